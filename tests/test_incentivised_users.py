"""IncentivisedUsers-v0: what users choose, by Bayes' rule, and RepeatedHE."""

import itertools
from math import comb

import numpy as np
import pytest
from driving import play_rounds
from scipy.special import beta as beta_function

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.repeated_he import RepeatedHE
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.incentivised import IncentivisedWorld
from recsim_env.simulators.worlds.incentivised_users import incentivised_users
from recsim_env.user_models.obedience import (
    best_responses,
    expected_gap,
    safe_exploration,
    sample_outcomes,
)

ALPHA, BETA, N_SAMPLES = np.array([2.2, 2.0]), np.array([1.8, 2.0]), 6
PRIOR_GAP = 0.05


def simulated(alpha, beta, samples, n, seed=0):
    """Theta (n, N) from the prior, and posterior means (n, N) after samples of each arm."""
    rng = np.random.default_rng(seed)
    theta = rng.beta(alpha, beta, (n, len(alpha)))
    won = rng.binomial(samples, theta)
    return theta, (alpha + won) / (alpha + beta + samples)


def test_outcomes_against_a_plain_enumeration():
    """The sum over outcomes by Python's own arithmetic: probabilities, gaps and the safe rate."""
    prob, mean = sample_outcomes(ALPHA, BETA, 3)
    seen = {}
    for won in itertools.product(range(4), repeat=2):
        chance = 1.0
        for s, a, b in zip(won, ALPHA, BETA, strict=True):
            chance *= comb(3, s) * beta_function(a + s, b + 3 - s) / beta_function(a, b)
        seen[won] = chance, [(a + s) / (a + b + 3) for s, a, b in zip(won, ALPHA, BETA, strict=True)]
    assert len(prob) == 16
    assert sorted(prob) == pytest.approx(sorted(c for c, _ in seen.values()), rel=1e-10)
    assert prob.sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(prob @ mean, ALPHA / (ALPHA + BETA), atol=1e-12)  # a martingale
    gaps = [sum(c * max(m[a] - m[1 - a], 0.0) for c, m in seen.values()) for a in range(2)]
    np.testing.assert_allclose(expected_gap(ALPHA, BETA, 3), gaps, rtol=1e-10)
    assert safe_exploration(ALPHA, BETA, 3) == pytest.approx(min(gaps) / 3, rel=1e-10)


@pytest.mark.parametrize(
    ("alpha", "beta"), [(ALPHA, BETA), (np.array([3.0, 2.5, 2.0]), np.array([2.0, 2.0, 2.0]))]
)
def test_expected_gaps_against_simulation(alpha, beta):
    _, mean = simulated(alpha, beta, N_SAMPLES, 200_000)
    for a, exact in enumerate(expected_gap(alpha, beta, N_SAMPLES)):
        gain = np.maximum(mean[:, a] - np.delete(mean, a, axis=1).max(axis=1), 0.0)
        assert abs(gain.mean() - exact) < 5 * gain.std() / np.sqrt(len(gain))


def test_the_threshold_of_obedience_by_hand():
    """Of two arms: arm 1 is followed as long as (1-e) E[G+] >= e (prior gap), beyond the safe rate."""
    gain = expected_gap(ALPHA, BETA, N_SAMPLES)[1]
    threshold = gain / (gain + PRIOR_GAP)
    safe = safe_exploration(ALPHA, BETA, N_SAMPLES)
    assert safe < 0.1 < threshold
    for rate, told_1 in ((0.0, 1), (safe, 1), (threshold - 1e-6, 1), (threshold + 1e-6, 0), (1.0, 0)):
        assert best_responses(ALPHA, BETA, N_SAMPLES, rate).tolist() == [0, told_1], rate


@pytest.mark.parametrize(("rate", "obeys"), [(0.3, True), (0.9, False)])
def test_obedience_against_a_simulated_platform(rate, obeys):
    """Of all who are told arm 1, as users think of the platform: do they gain by following?"""
    theta, mean = simulated(ALPHA, BETA, N_SAMPLES, 400_000, seed=1)
    explores = np.random.default_rng(2).random(len(theta)) < rate
    told = explores | (mean[:, 1] > mean[:, 0])
    gain = (theta[:, 1] - theta[:, 0])[told]
    error = gain.std() / np.sqrt(len(gain))
    assert abs(gain.mean()) > 5 * error
    assert (gain.mean() > 0) == obeys
    assert (best_responses(ALPHA, BETA, N_SAMPLES, rate)[1] == 1) == obeys


def test_the_safe_rate_is_safe_for_any_prior():
    rng = np.random.default_rng(4)
    refused = 0
    for _ in range(60):
        N, samples = rng.integers(2, 4), int(rng.integers(1, 9))
        alpha, beta = rng.uniform(1.0, 6.0, (2, N))
        safe = safe_exploration(alpha, beta, samples)
        assert best_responses(alpha, beta, samples, safe).tolist() == list(range(N))
        refused += best_responses(alpha, beta, samples, 1.0).tolist() != list(range(N))
    assert refused > 50


def test_more_samples_make_exploring_safer():
    rates = [safe_exploration(ALPHA, BETA, n) for n in (0, 1, 3, 10, 40)]
    assert rates[0] == 0.0
    assert (np.diff(rates) > 0).all()


def test_who_disobeys_takes_the_other_arm():
    """Not in the paid rounds; after them whoever is told arm 1 by a platform that explores too much."""
    world = incentivised_users(warm_up=5, exploration=0.9)
    luck = Luck.from_seeds(np.arange(200))
    state, told = world.begin(luck), np.ones((200, 1), np.int64)
    for h in range(14):
        state, o = world.respond(state, told, luck.at(h))
        taken = 1 if h < 10 else 0
        assert (world.observe(state)["chosen"] == taken).all()
        np.testing.assert_array_equal(o.slate_value, state.theta[:, taken])
        np.testing.assert_array_equal(o.best_value, state.theta.max(axis=1))
        if h >= 10:
            assert not o.response.clicked.any()  # the recommendation was not followed
            assert o.reward.any()


def test_theta_is_of_the_prior_and_of_the_episode():
    world = incentivised_users()
    luck = Luck.from_seeds(np.arange(20_000))
    theta = world.begin(luck).theta
    error = theta.std(axis=0) / np.sqrt(len(theta))
    assert (abs(theta.mean(axis=0) - world.alpha / 4.0) < 5 * error).all()
    variance = world.alpha * world.beta / (16.0 * 5.0)
    np.testing.assert_allclose(theta.var(axis=0), variance, rtol=0.05)
    assert (world.begin(luck.of_episode(1)).theta != theta).all()


class Always:
    def __init__(self, arm):
        self.arm = arm

    def act(self, observation, luck):
        return np.full((len(luck), 1), self.arm)

    def update(self, transition):
        pass


def test_users_of_the_history_take_what_looks_best():
    """Against fractions recomputed from the log, and the recommendation where two arms look alike."""
    world = IncentivisedWorld([2.0, 2.0, 1.0], [2.0, 2.0, 2.0], "history", 0, 0.0, 60)
    luck = Luck.from_seeds(np.arange(30))
    state, log, ties = world.begin(luck), [[] for _ in range(30)], 0
    for h in range(60):
        told = np.full((30, 1), h % 3)
        state, o = world.respond(state, told, luck.at(h))
        for b in range(30):
            mean = []
            for a in range(3):
                wins = [w for arm, w in log[b] if arm == a]
                mean.append((world.alpha[a] + sum(wins)) / (world.alpha[a] + world.beta[a] + len(wins)))
            best = np.flatnonzero(np.isclose(mean, max(mean), rtol=0, atol=1e-12))
            ties += len(best) > 1 and h % 3 in best
            assert state.chosen[b] == (h % 3 if h % 3 in best else best[0])
            log[b].append((state.chosen[b], o.reward[b]))
    assert ties > 10


def never_tried(alpha, beta, T):
    """P(no user of T ever takes arm 1), of greedy users with the history and arm 0 better a priori.

    By forward enumeration of the wins of arm 0: absorbed when its posterior mean falls below arm 1's prior
    mean.
    """
    other = alpha[1] / (alpha[1] + beta[1])
    alive = {0: 1.0}
    for n in range(T):
        after = {}
        for wins, prob in alive.items():
            mean = (alpha[0] + wins) / (alpha[0] + beta[0] + n)
            if mean >= other - 1e-12:  # a tie goes to arm 0, which is what is recommended
                for won, chance in ((1, mean), (0, 1.0 - mean)):
                    after[wins + won] = after.get(wins + won, 0.0) + prob * chance
        alive = after
    return sum(alive.values())


@pytest.mark.parametrize("gap", [0.05, 0.2])
def test_greedy_users_may_never_try_the_second_arm(gap):
    """As often as enumerated, which is at least the gap of the prior means (Slivkins, chapter 11)."""
    n, T = 4000, 150
    world = incentivised_users(best_mean=0.6, gap=gap, kind="history", warm_up=0, horizon=T)
    exact = never_tried(world.alpha, world.beta, T)
    assert exact >= gap
    luck = Luck.from_seeds(np.arange(n))
    state = world.begin(luck)
    for h in range(T):
        state, _ = world.respond(state, np.zeros((n, 1), np.int64), luck.at(h))
    share = (state.pulls[:, 1] == 0).mean()
    assert abs(share - exact) < 5 * np.sqrt(exact * (1 - exact) / n)
    # of those it is a loss wherever the second arm is the better one, which it is with positive probability
    stuck = state.theta[state.pulls[:, 1] == 0]
    assert (stuck[:, 1] > stuck[:, 0]).mean() > 0.1


def learner(world, B, **kwargs):
    return RepeatedHE(B, world.num_items, world.alpha, world.beta, world.warm_up, world.horizon, **kwargs)


def test_exploration_is_as_rare_as_announced_and_followed():
    world = incentivised_users(horizon=1000)
    agent, explored, followed = learner(world, 100), [], []

    class Watching:
        def act(self, observation, luck):
            self.slates = agent.act(observation, luck)
            explored.append(agent.counted.copy())
            return self.slates

        def update(self, t):
            followed.append(t.next_observation["chosen"] == self.slates[:, 0])
            agent.update(t)

    play_rounds(world, Watching(), 100)
    explored = np.array(explored)
    assert explored[:40].all()
    assert agent.exploration == pytest.approx(world.exploration)
    rate = agent.exploration
    assert abs(explored[40:].mean() - rate) < 5 * np.sqrt(rate / explored[40:].size)
    assert np.array(followed).all()
    assert (agent.pulls.sum(axis=1) == explored.sum(axis=0)).all()
    assert (agent.pulls >= 20).all()


def test_recommendations_are_those_of_the_equations():
    """Recomputed from the log: warm-up in turn, exploring by UCB1, else the largest posterior mean."""
    world = incentivised_users(num_items=3, best_mean=0.6, warm_up=4, horizon=400)
    agent = learner(world, 5, exploration=0.3)
    pulls, wins, kinds = np.zeros((5, 3)), np.zeros((5, 3)), np.zeros(3)

    class Watching:
        def act(self, observation, luck):
            self.slates = agent.act(observation, luck)
            told, h = self.slates[:, 0], observation["step"][0]
            explores = luck.uniform("repeated_he") < 0.3
            self.counted = explores | (h < 12)
            for b in range(5):
                if h < 12:
                    index = np.arange(3) == h % 3
                elif explores[b]:
                    index = wins[b] / pulls[b] + np.sqrt(2 * np.log(400) / pulls[b])
                else:
                    index = (world.alpha + wins[b]) / (world.alpha + world.beta + pulls[b])
                assert index[told[b]] >= index.max() - 1e-8
                kinds[0 if h < 12 else 1 + explores[b]] += 1
            return self.slates

        def update(self, t):
            chosen = t.next_observation["chosen"]
            np.add.at(pulls, (np.arange(5)[self.counted], chosen[self.counted]), 1)
            np.add.at(wins, (np.arange(5)[self.counted], chosen[self.counted]), t.reward[self.counted])
            agent.update(t)

    play_rounds(world, Watching(), 5)
    assert np.array_equal(agent.pulls, pulls)
    assert (kinds > 50).all()


def test_regret_is_within_its_bound_and_below_that_of_users_alone():
    """N n + R / epsilon, R of the base algorithm alone with users who are all paid; of 1,000 replicates."""
    B, T = 1000, 4000
    world = incentivised_users(warm_up=10, horizon=T)
    paid = IncentivisedWorld(world.alpha, world.beta, "history", T // 2, 0.0, T)
    alone = incentivised_users(warm_up=0, kind="history", horizon=T)
    he = play_rounds(world, learner(world, B), B)[1]
    base = play_rounds(paid, learner(world, B, exploration=1.0), B)[1][-1]
    users = play_rounds(alone, Always(0), B)[1][-1]

    def error(difference):
        return difference.std(ddof=1) / np.sqrt(B)

    later = he[-1] - he[19]  # after the warm-up; the arms of a row are the same in all three runs
    room = base / world.exploration - later
    assert room.mean() > 4 * error(room)
    saved = users - he[-1]
    assert saved.mean() > 4 * error(saved)
    # the second half costs less than half, where herding users go on losing the same in every round
    half = he[-1] - he[T // 2 - 1]
    assert half.mean() + 4 * error(half) < 0.5 * he[-1].mean()


def test_too_eager_a_platform_is_not_followed_and_learns_nothing_more():
    """Announcing 0.9 and exploring as much: no user takes arm 1 after the warm-up, whatever is found."""
    world = incentivised_users(warm_up=10, exploration=0.9, horizon=400)
    agent = learner(world, 200, exploration=0.9)
    _, curve = play_rounds(world, agent, 200)
    assert (agent.pulls[:, 1] == 10).all()
    safe = incentivised_users(warm_up=10, horizon=400)
    _, followed = play_rounds(safe, learner(safe, 200), 200)
    error = np.hypot(curve[-1].std(), followed[-1].std()) / np.sqrt(200)
    assert followed[-1].mean() < curve[-1].mean() - 4 * error


def test_the_learner_begins_anew_in_the_next_episode():
    world = incentivised_users(horizon=100)
    agent, luck = learner(world, 3), Luck.from_seeds([1, 2, 3])
    play_rounds(world, agent, 3)
    assert agent.pulls.sum() >= 120
    agent.act({"step": np.array([0, 1, 0])}, luck)
    assert agent.pulls[[0, 2]].sum() == agent.wins[[0, 2]].sum() == 0
    assert agent.pulls[1].sum() >= 40


def test_rewards_out_of_range_are_refused():
    world = incentivised_users()
    agent, flags = learner(world, 2), np.ones((2, 1), bool)
    slates = agent.act({"step": np.zeros(2, np.int64)}, Luck.from_seeds([0, 1]))
    after = {"chosen": slates[:, 0], "step": np.ones(2, np.int64)}
    with pytest.raises(InputError, match=r"reward\[0\] = 3.0 is outside the range 0 to 1"):
        agent.update(
            Transition({}, slates, flags, flags, np.array([3.0, 0.0]), after, flags[:, 0], flags[:, 0])
        )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"num_items": 1}, "num_items must be at least 2, got 1"),
        ({"gap": 0.0}, "gap must be above 0 and below 1, so that arm 0 is preferred a priori, got 0.0"),
        ({"gap": 0.6}, r"best_mean - gap x arm must be in \(0, 1\) for all 2 arms, got 0.55 to -0.05"),
        ({"strength": 1.0}, r"alpha\[0\] = 0.55: must be 1 or more"),
        ({"strength": 0.0}, "strength must be above 0"),
        ({"kind": "gossip"}, "kind must be recommendation or history, got 'gossip'"),
        ({"gap": np.inf}, "gap must be above 0 and below 1, .* got inf"),
        ({"warm_up": -1}, "warm_up must be 0 or more"),
        ({"warm_up": -1, "exploration": 0.1, "kind": "history"}, "warm_up must be 0 or more"),
        ({"warm_up": 1000}, r"\(warm_up \+ 1\)\^2 1,000,000 at most, .* got 1000"),
        ({"warm_up": 1000, "exploration": 0.1}, r"\(warm_up \+ 1\)\^2 1,000,000 at most"),
        ({"exploration": 1.5}, "exploration must be a probability, 0 to 1, got 1.5"),
        ({"horizon": 0}, "horizon must be at least 1, got 0"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(InputError, match=message):
        incentivised_users(**parameters)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 2, ALPHA, BETA, 1, 10), "num_replicates must be at least 1, got 0"),
        ((1, 3, ALPHA, BETA, 1, 10), r"alpha must have shape \(3,\), got \(2,\)"),
        ((1, 2, ALPHA, BETA, 0, 10), "warm_up must be at least 1 sample"),
        ((1, 2, ALPHA, BETA, 1, 0), "horizon must be at least 1, got 0"),
        ((1, 2, ALPHA, BETA[:1], 1, 10), "alpha and beta must have one shape"),
    ],
)
def test_bad_sizes_of_the_learner(arguments, message):
    with pytest.raises(InputError, match=message):
        RepeatedHE(*arguments)
    with pytest.raises(InputError, match="exploration must be above 0"):
        RepeatedHE(1, 2, ALPHA, BETA, 1, 10, exploration=0.0)
