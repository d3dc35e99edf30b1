"""Arms that change and arms that an adversary moves, and the learners made for them."""

import math
from functools import cache

import numpy as np
import pytest
from driving import play_rounds

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits import exp3
from recsim_env.agents.bandits.beta_ts import BetaTS
from recsim_env.agents.bandits.discounted_ts import DiscountedTS
from recsim_env.agents.bandits.discounted_ucb import DiscountedUCB
from recsim_env.agents.bandits.exp3 import Exp3
from recsim_env.agents.bandits.sliding_window_ts import SlidingWindowTS
from recsim_env.agents.bandits.sliding_window_ucb import SlidingWindowUCB
from recsim_env.agents.bandits.ucb1 import UCB1
from recsim_env.agents.bandits.window_counts import tuned_discount, tuned_window
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.switching import SwitchingWorld
from recsim_env.simulators.worlds.switching_bandit import looks_elsewhere, switching_bandit

B = 100


def told(slates, reward):
    """A transition of bandit feedback."""
    nothing = np.zeros(len(reward), bool)
    seen = np.ones((len(reward), 1), bool)
    return Transition({}, slates, seen, seen, reward, {}, nothing, nothing)


# The world


def test_fixed_regret_is_that_of_the_best_single_arm():
    means = np.random.default_rng(0).random((9, 3))
    fixed = SwitchingWorld(means).fixed_regret()
    for t in range(10):
        best = max((means[:t, a].sum() for a in range(3)), default=0.0)
        assert fixed[t] == pytest.approx(sum(max(m) for m in means[:t].tolist()) - best, abs=1e-12)


def test_recorded_regret_less_fixed_is_regret_in_hindsight():
    world = switching_bandit(num_items=4, kind="drift", drift=0.05, horizon=300, world_seed=3)
    shown, curve = play_rounds(world, Exp3(6, 4), 6)
    earned = np.cumsum(world.means[np.arange(300)[:, None], shown[:, :, 0]], axis=0)  # (H, B)
    best = np.cumsum(world.means, axis=0).max(axis=1)
    np.testing.assert_allclose(curve - world.fixed_regret()[1:, None], best[:, None] - earned, atol=1e-9)


def test_piecewise_means_change_as_often_as_is_said_and_at_equal_distance():
    means = switching_bandit(kind="piecewise", num_switches=6, horizon=1000).means
    changes = np.flatnonzero((means[1:] != means[:-1]).all(axis=1)) + 1
    assert len(changes) == 6
    assert not (means[1:] != means[:-1]).any(axis=1).sum() > 6
    stretches = np.diff([0, *changes, 1000])
    assert stretches.max() - stretches.min() <= 1
    still = switching_bandit(num_switches=0, horizon=50).means
    assert (still == still[0]).all()


def test_drifting_means_walk_and_turn_back():
    means = switching_bandit(kind="drift", drift=0.02, num_items=50, horizon=5000).means
    assert ((means > 0.0) & (means < 1.0)).all()  # they do not stick to the ends
    assert (means.max(axis=0) > 0.95).any()
    assert (means.min(axis=0) < 0.05).any()
    inside = (means[:-1] > 0.1) & (means[:-1] < 0.9)
    steps = np.diff(means, axis=0)[inside]
    assert abs(steps.std() - 0.02) < 4 * 0.02 / np.sqrt(2 * len(steps))
    assert abs(steps.mean()) < 4 * 0.02 / np.sqrt(len(steps))


def test_an_adversary_leaves_nothing_to_chance():
    world = switching_bandit(kind="adversary", horizon=300)
    assert set(np.unique(world.means)) == {0.0, 1.0}
    luck, state = Luck.from_seeds(range(50)), world.begin(Luck.from_seeds(range(50)))
    for t in range(40):
        slates = np.random.default_rng(t).integers(10, size=(50, 1))
        state, outcome = world.respond(state, slates, luck.at(t))
        assert np.array_equal(outcome.reward, world.means[t, slates[:, 0]])


def plain_ucb1(rewards, order):
    """The arms that UCB1 pulls, equal ones in this order."""
    H, n = rewards.shape
    tie, arms = np.random.default_rng(order).permutation(n), []
    pulls, won = [0] * n, [0.0] * n
    for t in range(H):
        log = 2.0 * math.log(t + 1)
        index = [won[a] / pulls[a] + math.sqrt(log / pulls[a]) if pulls[a] else math.inf for a in range(n)]
        arm = max(range(n), key=lambda a: (index[a], tie[a]))
        pulls[arm] += 1
        won[arm] += rewards[t, arm]
        arms.append(arm)
    return np.array(arms)


@pytest.mark.parametrize("num_items", [2, 3, 10])
def test_the_adversary_knows_when_ucb1_looks_elsewhere(num_items):
    """A plain UCB1 with another order of equal arms every time: only in those rounds it leaves the bait."""
    rewards = np.zeros((600, num_items))
    rewards[:, 0] = np.random.default_rng(1).random(600) < 0.5
    rewards[:num_items, 0] = 1.0
    looks = looks_elsewhere(rewards[:, 0], num_items)
    for order in range(5):
        arms = plain_ucb1(rewards, order)
        assert ((arms != 0) == looks)[num_items:].all()
    assert 0 < looks[num_items:].sum() < 400


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"num_items": 1}, "num_items must be at least 2, got 1"),
        ({"kind": "adversry"}, "there is no kind 'adversry': did you mean adversary"),
        ({"num_switches": -1}, "num_switches must be from 0 to horizon - 1, 9999, got -1"),
        ({"num_switches": 50, "horizon": 50}, "num_switches must be from 0 to horizon - 1, 49, got 50"),
        ({"drift": 0.0}, "drift must be above 0 and at most 1, got 0.0"),
        ({"horizon": 0}, "horizon must be at least 1, got 0"),
        ({"kind": "adversary", "horizon": 9}, "horizon must be at least 10, got 9"),
        ({"horizon": 10**8}, "horizon x num_items must be at most 50,000,000, .* got 100000000 x 10"),
    ],
)
def test_bad_parameters(setting, message):
    with pytest.raises(InputError, match=message):
        switching_bandit(**setting)


def test_bad_tables():
    with pytest.raises(InputError, match=r"means\[1, 0\] = 1.5: the mean of a 0/1 reward is from 0 to 1"):
        SwitchingWorld([[0.1, 0.2], [1.5, 0.2]])
    with pytest.raises(InputError, match="means must differ between arms in some round"):
        SwitchingWorld([[0.1, 0.1], [0.5, 0.5]])
    with pytest.raises(
        InputError, match=r"means must have shape \(H, N\) with a round and two arms, got \(3,\)"
    ):
        SwitchingWorld([0.1, 0.2, 0.3])


# Exp3


class PlainExp3:
    """One run in plain Python floats."""

    def __init__(self, n, horizon):
        self.n, self.horizon, self.t, self.costs = n, horizon, 0, [0.0] * n

    def probabilities(self):
        if self.horizon is None:
            eta = math.sqrt(math.log(self.n) / ((self.t + 1) * self.n))
        else:
            eta = math.sqrt(2.0 * math.log(self.n) / (self.horizon * self.n))
        weights = [math.exp(-eta * (c - min(self.costs))) for c in self.costs]
        return [w / sum(weights) for w in weights]

    def act(self, u):
        self.p = self.probabilities()
        below = 0.0
        for a in range(self.n):
            below += self.p[a]
            if u < below:
                return a
        return self.n - 1

    def update(self, arm, reward):
        self.t += 1
        self.costs[arm] += (1.0 - reward) / self.p[arm]


@pytest.mark.parametrize("horizon", [None, 400])
def test_exp3_is_the_plain_one(horizon):
    world = switching_bandit(num_items=5, horizon=400)
    agent, plain = Exp3(3, 5, horizon=horizon), [PlainExp3(5, horizon) for _ in range(3)]
    mine, users = Luck.from_seeds([1, 2, 3]), Luck.from_seeds([4, 5, 6])
    state = world.begin(users)
    for t in range(400):
        np.testing.assert_allclose(agent.probabilities(), [p.probabilities() for p in plain], rtol=1e-11)
        slates = agent.act({}, mine.at(t))
        u = mine.at(t).uniform("exp3")
        assert slates[:, 0].tolist() == [p.act(x) for p, x in zip(plain, u, strict=True)]
        state, outcome = world.respond(state, slates, users.at(t))
        agent.update(told(slates, outcome.reward))
        for p, arm, reward in zip(plain, slates[:, 0].tolist(), outcome.reward.tolist(), strict=True):
            p.update(arm, reward)


def test_draws_follow_the_probabilities():
    agent = Exp3(1, 4)
    agent.costs[0] = [0.0, 0.3, 2.0, 1e4]
    agent.rounds[0] = 3
    p = agent.probabilities()[0]
    crowd = Exp3(40_000, 4)
    crowd.costs[:], crowd.rounds[:] = agent.costs, 3
    share = np.bincount(crowd.act({}, Luck.from_seeds(np.arange(40_000)))[:, 0], minlength=4) / 40_000
    assert (np.abs(share - p) <= 4 * np.sqrt(p * (1 - p) / 40_000)).all()
    assert share[3] == 0.0


HARD = {
    "adversary": {"kind": "adversary", "horizon": 3000},
    "piecewise": {"kind": "piecewise", "horizon": 3000},
    "drift": {"kind": "drift", "horizon": 3000},
    "one gap": {"num_switches": 0, "horizon": 3000},
}


@pytest.mark.parametrize("known", [False, True], ids=["anytime", "horizon_known"])
@pytest.mark.parametrize("name", HARD)
def test_exp3_is_within_its_bound(name, known):
    """The mean over 100 replicates, and even four standard errors more."""
    world = switching_bandit(**HARD[name])
    _, curve = play_rounds(world, Exp3(B, 10, horizon=3000 if known else None), B)
    regret = curve - world.fixed_regret()[1:, None]
    if known:
        regret = regret[-1:]
    rounds = np.arange(3001 - len(regret), 3001)
    bound = exp3.regret_bound(rounds, num_items=10, horizon_known=known)
    error = regret.std(axis=1, ddof=1) / np.sqrt(B)
    assert (regret.mean(axis=1) + 4 * error <= bound)[bound > 10].all()


def test_exp3_is_flat_where_ucb1_breaks():
    """UCB1 loses the same amount in every round, whatever its draws; Exp3 less and less."""
    world = switching_bandit(kind="adversary", horizon=6000)
    fixed = world.fixed_regret()[1:, None]
    _, ucb = play_rounds(world, UCB1(B, 10), B)
    _, exp = play_rounds(world, Exp3(B, 10), B)
    ucb, exp = ucb - fixed, exp - fixed
    assert (ucb[10:] == ucb[10:, :1]).all()
    assert ucb[-1, 0] > 0.4 * 6000
    assert ucb[-1, 0] > exp3.regret_bound(6000, num_items=10)
    late, early = ucb[-1, 0] - ucb[2999, 0], ucb[2999, 0]
    assert late > 0.9 * early
    late, early = exp[-1] - exp[2999], exp[2999]
    assert late.mean() + 4 * late.std(ddof=1) / np.sqrt(B) < 0.75 * early.mean()
    assert exp[-1].mean() + 4 * exp[-1].std(ddof=1) / np.sqrt(B) < 0.2 * ucb[-1, 0]


def test_so_does_follow_the_leader():
    """One pull of each arm, and then the arm of the largest mean."""
    world = switching_bandit(kind="adversary", horizon=2000)
    pulls, won, lost = np.zeros(10), np.zeros(10), 0.0
    order = np.random.default_rng(0).permutation(10)
    for t in range(2000):
        arm = order[t] if t < 10 else int(np.argmax(won / pulls))
        pulls[arm] += 1
        won[arm] += world.means[t, arm]
        lost += world.means[t].max() - world.means[t, arm]
    assert lost - world.fixed_regret()[-1] > 0.2 * 2000


# Windows and discounts


def test_sliding_window_ucb_is_the_plain_one():
    """Looks at the whole history every round, and adds up the last W of it."""
    W, n, xi = 40, 4, 0.6
    world = switching_bandit(num_items=n, num_switches=5, horizon=300)
    agent, mine, users = SlidingWindowUCB(2, n, window=W), *map(Luck.from_seeds, ([1, 2], [3, 4]))
    state, history = world.begin(users), [[], []]
    for t in range(300):
        slates = agent.act({}, mine.at(t))
        for row, arm in enumerate(slates[:, 0].tolist()):
            recent = history[row][-W:]
            index = []
            for a in range(n):
                rewards = [r for b, r in recent if b == a]
                radius = math.sqrt(xi * math.log(min(t + 1, W)) / max(len(rewards), 1))
                index.append(sum(rewards) / len(rewards) + radius if rewards else math.inf)
            assert index[arm] >= max(index) - 1e-8
        state, outcome = world.respond(state, slates, users.at(t))
        agent.update(told(slates, outcome.reward))
        for row in range(2):
            history[row].append((int(slates[row, 0]), float(outcome.reward[row])))


def test_discounted_ucb_is_the_plain_one():
    gamma, n, xi = 0.95, 4, 0.6
    world = switching_bandit(num_items=n, num_switches=5, horizon=300)
    agent, mine, users = DiscountedUCB(2, n, discount=gamma), *map(Luck.from_seeds, ([1, 2], [3, 4]))
    state, history = world.begin(users), [[], []]
    for t in range(300):
        slates = agent.act({}, mine.at(t))
        for row, arm in enumerate(slates[:, 0].tolist()):
            N = [
                sum(gamma ** (t - 1 - s) for s, (b, _) in enumerate(history[row]) if b == a) for a in range(n)
            ]
            S = [
                sum(r * gamma ** (t - 1 - s) for s, (b, r) in enumerate(history[row]) if b == a)
                for a in range(n)
            ]
            log = math.log(max(sum(N), 1.0))
            index = [S[a] / N[a] + 2 * math.sqrt(xi * log / N[a]) if N[a] else math.inf for a in range(n)]
            assert index[arm] >= max(index) - 1e-8
        state, outcome = world.respond(state, slates, users.at(t))
        agent.update(told(slates, outcome.reward))
        for row in range(2):
            history[row].append((int(slates[row, 0]), float(outcome.reward[row])))


def test_the_window_holds_the_last_rounds_of_any_rewards():
    rng, W, n = np.random.default_rng(0), 7, 3
    agent, history = SlidingWindowTS(2, n, window=W), []
    for _ in range(60):
        slates, reward = rng.integers(n, size=(2, 1)), rng.random(2)
        agent.update(told(slates, reward))
        history.append((slates[:, 0], reward))
        for row in range(2):
            for a in range(n):
                recent = [r[row] for s, r in history[-W:] if s[row] == a]
                assert agent.counts.pulls[row, a] == len(recent)
                assert agent.counts.sums[row, a] == pytest.approx(sum(recent), abs=1e-12)


def test_discounted_ts_fades_to_its_prior():
    agent = DiscountedTS(1, 2, discount=0.5)
    agent.update(told(np.array([[0]]), np.array([1.0])))
    agent.update(told(np.array([[1]]), np.array([0.25])))
    agent.update(told(np.array([[1]]), np.array([1.0])))
    np.testing.assert_allclose(agent.counts.sums, [[0.25, 1.125]])
    np.testing.assert_allclose(agent.counts.pulls, [[0.25, 1.5]])


SWITCHES = {"num_items": 4, "num_switches": 2, "horizon": 20_000}
W, GAMMA = tuned_window(20_000, 2), tuned_discount(20_000, 2)


@cache
def lost_to_switches(still):
    return play_rounds(switching_bandit(**SWITCHES), still(20, 4), 20)[1][-1]


@pytest.mark.parametrize(
    ("changing", "still"),
    [
        (lambda: SlidingWindowUCB(20, 4, window=W), UCB1),
        (lambda: DiscountedUCB(20, 4, discount=GAMMA), UCB1),
        (lambda: SlidingWindowTS(20, 4, window=W), BetaTS),
        (lambda: DiscountedTS(20, 4, discount=GAMMA), BetaTS),
    ],
    ids=["sliding_window_ucb", "discounted_ucb", "sliding_window_ts", "discounted_ts"],
)
def test_who_forgets_follows_switches_better(changing, still):
    """Dynamic regret on means drawn anew twice in 20,000 rounds."""
    gain = lost_to_switches(still) - play_rounds(switching_bandit(**SWITCHES), changing(), 20)[1][-1]
    assert gain.mean() > 4 * gain.std(ddof=1) / np.sqrt(20)


def test_tuning():
    assert tuned_window(10_000, 4) == math.ceil(2 * math.sqrt(10_000 * math.log(10_000) / 4))
    assert tuned_discount(10_000, 4) == pytest.approx(1 - 0.25 * 0.02)
    assert tuned_window(1, 0) == 1
    for tuned in (tuned_window, tuned_discount):
        with pytest.raises(InputError, match="horizon must be at least 1, got 0"):
            tuned(0, 0)
        with pytest.raises(InputError, match="num_switches must be from 0 to horizon, 5, got 6"):
            tuned(5, 6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Exp3(0, 2), "num_replicates must be at least 1, got 0"),
        (lambda: Exp3(2, 1), "num_items must be at least 2, got 1"),
        (lambda: Exp3(2, 2, horizon=0), "horizon must be at least 1, got 0"),
        (lambda: SlidingWindowUCB(2, 5, window=4), "window must be num_items, 5, or more rounds, got 4"),
        (lambda: SlidingWindowUCB(2, 5, window=9, xi=0.0), "xi must be above 0 and finite, got 0.0"),
        (lambda: SlidingWindowTS(2, 1, window=4), "num_items must be at least 2, got 1"),
        (lambda: DiscountedUCB(2, 5, discount=1.0), "discount must be above 0 and below 1, got 1.0"),
        (lambda: DiscountedUCB(2, 5, discount=0.9, xi=-1.0), "xi must be above 0 and finite, got -1.0"),
        (lambda: DiscountedTS(2, 5, discount=0.0), "discount must be above 0 and below 1, got 0.0"),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    "agent",
    [
        Exp3(2, 3),
        SlidingWindowUCB(2, 3, window=5),
        SlidingWindowTS(2, 3, window=5),
        DiscountedUCB(2, 3, discount=0.9),
        DiscountedTS(2, 3, discount=0.9),
    ],
    ids=lambda agent: type(agent).__name__,
)
@pytest.mark.parametrize("reward", [1.5, -0.1, np.nan])
def test_rewards_out_of_range_are_refused(agent, reward):
    agent.act({}, Luck.from_seeds([0, 1]))
    with pytest.raises(InputError, match=r"reward\[1\] = .* is outside the range 0 to 1"):
        agent.update(told(np.zeros((2, 1), np.int64), np.array([0.5, reward])))
