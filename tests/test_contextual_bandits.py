"""Linear and contextual bandits: the two worlds against closed forms, the learners against plain Python."""

import math

import numpy as np
import pytest
from driving import drive, play_rounds

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits import exp4, lin_ucb
from recsim_env.agents.bandits.binned_contexts import BinnedContexts, theory_bins, theory_width
from recsim_env.agents.bandits.context_cells import ContextCells, decision_stumps
from recsim_env.agents.bandits.exp4 import Exp4
from recsim_env.agents.bandits.exponentials import exponentiate
from recsim_env.agents.bandits.lin_ts import LinTS, best_of_draws, posterior_draws, theory_inflation
from recsim_env.agents.bandits.lin_ucb import LinUCB
from recsim_env.agents.bandits.neural_linear_kernels import fit_rows, hidden_layers, matrices, train_rows
from recsim_env.agents.bandits.neural_linear_ts import NeuralLinearTS
from recsim_env.agents.bandits.policy_class_epsilon_greedy import PolicyClassEpsilonGreedy
from recsim_env.agents.bandits.ridge_regressions import RidgeRegressions
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.contextual_bandit import ContextualWorld, contextual_bandit
from recsim_env.simulators.worlds.linear_bandit import LinearWorld, linear_bandit

STUMPS = decision_stumps(5, 1, 8)
CLASS = {"policies": STUMPS, "dimension": 1, "bins": 8}


class Recording:
    """Plays an agent and keeps what it saw: contexts or features, items, rewards."""

    def __init__(self, agent, key):
        self.agent, self.key = agent, key
        self.seen, self.items, self.rewards = [], [], []

    def act(self, observation, luck):
        return self.agent.act(observation, luck)

    def update(self, transition):
        self.seen.append(transition.observation[self.key].copy())
        self.items.append(transition.slates[:, 0].copy())
        self.rewards.append(transition.reward.copy())
        self.agent.update(transition)


# --- worlds


@pytest.mark.parametrize("noise", ["normal", "coins"])
@pytest.mark.parametrize("fresh", [True, False])
def test_linear_rewards_are_theta_times_features(fresh, noise):
    world = linear_bandit(7, 3, fresh, noise, deviation=0.2, horizon=5)
    B = 4000
    luck = Luck.from_seeds(np.arange(B))
    state = world.begin(luck)
    slates = (np.arange(B) % 7)[:, None]
    for step in range(3):
        features = world.observe(state)["features"].astype(np.float64)
        means = features @ world.theta
        assert features.shape == (B, 7, 3)
        assert (np.linalg.norm(features, axis=2) <= 1.0).all()
        np.testing.assert_allclose(world.arm_means(state), means, atol=1e-12)
        state, outcome = world.respond(state, slates, luck.at(step))
        np.testing.assert_allclose(outcome.best_value, means.max(axis=1), atol=1e-12)
        np.testing.assert_allclose(outcome.slate_value, means[np.arange(B), slates[:, 0]], atol=1e-12)
        surprise = outcome.reward - outcome.slate_value
        variance = 0.04 if noise == "normal" else (outcome.slate_value * (1 - outcome.slate_value)).mean()
        assert abs(surprise.mean()) < 4 * np.sqrt(variance / B)
        assert abs(surprise.var() / variance - 1) < 0.15
        assert (outcome.response.clicked[:, 0] == (noise == "normal") | (outcome.reward > 0)).all()
        again = world.observe(state)["features"]
        assert np.array_equal(again, features) != fresh
    assert np.linalg.norm(world.theta) == pytest.approx(1.0)


def test_fresh_features_are_uniform_and_independent():
    world = linear_bandit(4, 3)
    luck = Luck.from_seeds(np.arange(20_000))
    entries = world.observe(world.begin(luck))["features"].reshape(20_000, 12) * math.sqrt(3)
    error = 1 / math.sqrt(20_000)
    np.testing.assert_allclose(entries.mean(axis=0), 0.0, atol=4 * error)
    np.testing.assert_allclose((entries**2).mean(axis=0), 1 / 3, atol=4 * error)
    correlations = np.corrcoef(entries.T) - np.eye(12)
    assert np.abs(correlations).max() < 5 * error


def test_normal_noise_is_normal():
    """The shares beyond one, two and three deviations."""
    world = LinearWorld(np.array([1.0]), 1, 1, deviation=1.0, features=np.zeros((1, 1)))
    luck = Luck.from_seeds(np.arange(100_000))
    _, outcome = world.respond(world.begin(luck), np.zeros((100_000, 1), np.int64), luck)
    for z in (0.5, 1.0, 2.0, 3.0):
        for tail in (outcome.reward > z, outcome.reward < -z):
            share = 0.5 * math.erfc(z / math.sqrt(2))
            assert abs(tail.mean() - share) < 4 * math.sqrt(share / 100_000)


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_waves_are_lipschitz_and_every_arm_is_best_somewhere(dimension):
    world = contextual_bandit(num_items=5, dimension=dimension, waves=3, height=0.3)
    assert world.lipschitz == pytest.approx(3.6)
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 20_000, dimension))
    y = x + 0.05 * (y - x)
    apart = np.abs(x - y).max(axis=1)
    moved = np.abs(world.mean_rewards(x) - world.mean_rewards(y)).max(axis=1)
    assert (moved <= world.lipschitz * apart + 1e-12).all()
    if dimension == 1:
        assert (moved / apart).max() > 0.999 * world.lipschitz  # no smaller constant would do
    assert (np.bincount(world.mean_rewards(x).argmax(axis=1), minlength=5) > 0.1 * 20_000).all()
    wave = np.array([[0.0], [0.25], [0.5], [0.125]])
    flat = ContextualWorld(np.zeros((1, 1)), 0.4, 1, 1)
    np.testing.assert_allclose(flat.mean_rewards(wave)[:, 0], [0.9, 0.5, 0.1, 0.7])


def test_contexts_and_clicks_are_those_of_the_users_luck():
    world = contextual_bandit(dimension=3)
    luck = Luck.from_seeds(np.arange(50))
    state = world.begin(luck)
    assert np.array_equal(state.context, luck.uniform("first context", (3,)).astype(np.float32))
    slates = np.arange(50)[:, None] % 5
    after, outcome = world.respond(state, slates, luck.at(4))
    assert np.array_equal(after.context, luck.at(4).uniform("next context", (3,)).astype(np.float32))
    np.testing.assert_allclose(after.mean, world.mean_rewards(after.context))
    means = world.mean_rewards(state.context)[np.arange(50), slates[:, 0]]
    assert np.array_equal(outcome.reward, (luck.at(4).uniform("click") < means) * 1.0)


# --- linear models


@pytest.mark.parametrize("shared", [True, False])
def test_estimates_are_ridge_regressions(shared):
    """Solved directly, after 400 rounds, with the determinant of the confidence set."""
    if shared:
        world, agent = linear_bandit(6, 4, horizon=400), LinUCB(3, 6, 4, penalty=0.5)
    else:
        world, agent = contextual_bandit(3, 2, horizon=400), LinUCB(3, 3, 2, shared=False, penalty=0.5)
    record = Recording(agent, "features" if shared else "context")
    play_rounds(world, record, 3)
    seen, items, rewards = (np.array(x) for x in (record.seen, record.items, record.rewards))
    known = agent.regressions
    for b in range(3):
        for m in range(known.estimate.shape[1]):
            if shared:
                X, r = seen[np.arange(400), b, items[:, b]].astype(float), rewards[:, b]
            else:
                X, r = (z[items[:, b] == m] for z in (seen[:, b].astype(float), rewards[:, b]))
                X = np.hstack([X, np.ones((len(X), 1))])
            V = 0.5 * np.eye(X.shape[1]) + X.T @ X
            np.testing.assert_allclose(known.estimate[b, m], np.linalg.solve(V, X.T @ r), atol=1e-9)
            np.testing.assert_allclose(known.inverse[b, m], np.linalg.inv(V), atol=1e-9)
            growth = np.linalg.slogdet(2.0 * V)[1]
            np.testing.assert_allclose(known.log_growth[b, m], growth, atol=1e-9)
            radius = 0.5 * np.sqrt(2 * np.log((1 if shared else 3) / 0.05) + growth) + np.sqrt(0.5)
            np.testing.assert_allclose(agent.radius()[b, m], radius)


@pytest.mark.parametrize("shared", [True, False])
def test_lin_ucb_pulls_the_largest_bound(shared):
    """Against the index written out in NumPy, in every round."""
    world = linear_bandit(9, 4, horizon=60) if shared else contextual_bandit(4, 2, horizon=60)
    N, D = world.num_items, world.dimension

    class Checking(LinUCB):
        def act(self, observation, luck):
            slates = super().act(observation, luck)
            for b in range(4):
                index = []
                for a in range(N):
                    x = observation["features"][b, a] if shared else np.append(observation["context"][b], 1.0)
                    m = 0 if shared else a
                    V = self.regressions.inverse[b, m]
                    width = self.radius()[b, m] * np.sqrt(x @ V @ x)
                    index.append(x @ self.regressions.estimate[b, m] + width + self.ties[b, a])
                assert index[slates[b, 0]] >= max(index) - 1e-12
            return slates

    play_rounds(world, Checking(4, N, D, shared=shared, deviation=0.1), 4)


def test_the_confidence_set_holds_theta():
    """In all rounds at once, in at least 1 - delta of 200 replicates; one of half the radius does not."""
    world = linear_bandit(8, 3, deviation=0.5, horizon=300)
    agent = LinUCB(200, 8, 3, deviation=0.5, delta=0.1)
    inside, narrow = np.ones(200, bool), np.ones(200, bool)

    class Watching(Recording):
        def update(self, transition):
            super().update(transition)
            apart = world.theta - agent.regressions.estimate[:, 0]
            V = np.linalg.inv(agent.regressions.inverse[:, 0])
            distance = np.sqrt(np.einsum("bd,bde,be->b", apart, V, apart))
            inside[:] &= distance <= agent.radius()[:, 0]
            narrow[:] &= distance <= 0.5 * agent.radius()[:, 0]

    play_rounds(world, Watching(agent, "features"), 200)
    assert inside.mean() >= 0.9
    assert narrow.mean() < 0.9


def test_regret_of_lin_ucb_is_within_its_bound():
    world = linear_bandit(20, 2, deviation=0.1, horizon=3000)
    _, curve = play_rounds(world, LinUCB(100, 20, 2, deviation=0.1, delta=0.05), 100)
    rounds = np.arange(1, 3001)
    bound = lin_ucb.regret_bound(rounds, num_features=2, deviation=0.1)
    _, chance = play_rounds(world, Uniform(20), 100, rounds=3000)
    within = (curve <= bound[:, None]).all(axis=0)
    assert within.mean() >= 0.95
    assert (chance[-1] > bound[-1]).all()  # so the bound says something
    growth = 2 * math.log(1 + 3000 / 2)
    radius = 0.1 * math.sqrt(2 * math.log(20) + growth) + 1
    assert bound[-1] == pytest.approx(2 * radius * math.sqrt(2 * 3000 * growth))


class Uniform:
    """Any item."""

    def __init__(self, N):
        self.N = N

    def act(self, observation, luck):
        return (luck.uniform("uniform", (1,)) * self.N).astype(np.int64)

    def update(self, transition):
        pass


def test_lin_ts_draws_from_the_posterior():
    """Mean theta_hat and covariance v^2 V^-1, of 40,000 draws and of the factor itself."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((30, 4))
    V = np.eye(4) + X.T @ X
    inverse, mean = np.linalg.inv(V)[None, None], rng.standard_normal((1, 1, 4))
    factor = np.column_stack(
        [posterior_draws(np.zeros((1, 1, 4)), inverse, 1.0, z[None, None])[0, 0] for z in np.eye(4)]
    )
    np.testing.assert_allclose(factor, np.linalg.cholesky(inverse[0, 0]), atol=1e-12)
    B = 40_000
    agent = LinTS(B, 6, 4, inflation=0.3)
    agent.regressions.estimate, agent.regressions.inverse = (
        np.tile(x, (B, *[1] * (x.ndim - 1))) for x in (mean, inverse)
    )
    z = Luck.from_seeds(np.arange(B)).normal("lin_ts", (1, 4))
    draws = posterior_draws(agent.regressions.estimate, agent.regressions.inverse, agent.inflation, z)[:, 0]
    covariance = 0.09 * inverse[0, 0]
    deviation = np.sqrt(np.diag(covariance))
    assert (np.abs(draws.mean(axis=0) - mean[0, 0]) < 4 * deviation / math.sqrt(B)).all()
    scale = np.outer(deviation, deviation)
    np.testing.assert_allclose(np.cov(draws.T) / scale, covariance / scale, atol=5 * math.sqrt(2 / B))


def test_lin_ts_learns_the_same_posterior_as_bayes():
    """Prior N(0, R^2 / lambda I) and noise R, by conditioning the joint normal distribution."""
    world = linear_bandit(5, 3, deviation=0.3, horizon=80)
    agent = LinTS(1, 5, 3, penalty=2.0, inflation=0.3)
    record = Recording(agent, "features")
    play_rounds(world, record, 1)
    X = np.array(record.seen)[np.arange(80), 0, np.array(record.items)[:, 0]].astype(float)
    prior = 0.09 / 2.0 * np.eye(3)
    gain = prior @ X.T @ np.linalg.inv(X @ prior @ X.T + 0.09 * np.eye(80))
    np.testing.assert_allclose(
        agent.regressions.estimate[0, 0], gain @ np.array(record.rewards)[:, 0], atol=1e-9
    )
    np.testing.assert_allclose(0.09 * agent.regressions.inverse[0, 0], prior - gain @ X @ prior, atol=1e-9)


def test_best_of_draws():
    rng = np.random.default_rng(0)
    items, one = rng.standard_normal((8, 5, 3)), rng.standard_normal((8, 1, 3))
    expected = np.einsum("bnd,bmd->bn", items, one).argmax(axis=1)
    assert np.array_equal(best_of_draws(items, one)[:, 0], expected)
    assert np.array_equal(best_of_draws(one, items)[:, 0], expected)


def test_theory_inflation():
    assert theory_inflation(1000, 10, 0.5, 0.1) == pytest.approx(0.5 * math.sqrt(90 * math.log(10_000)))
    with pytest.raises(InputError, match=r"delta must be in \(0, 1\), got 1.0"):
        theory_inflation(1000, 10, 0.5, 1.0)


@pytest.mark.parametrize("fresh", [True, False])
def test_linear_learners_learn_what_arms_share(fresh):
    """Far from chance's regret, also with features that never come again."""
    world = linear_bandit(20, 5, fresh, horizon=1500)
    _, chance = play_rounds(world, Uniform(20), 20)
    for agent in (LinUCB(20, 20, 5, deviation=0.1), LinTS(20, 20, 5, inflation=0.1)):
        _, curve = play_rounds(world, agent, 20)
        assert curve[-1].mean() < 0.2 * chance[-1].mean()
        late, early = curve[-1] - curve[749], curve[749]
        assert late.mean() < 0.5 * early.mean()


# --- cells of contexts


def test_cells():
    cells = ContextCells(6, 2, 4)
    context = np.array([[0, 0], [0.24, 0], [0.25, 0], [1, 0], [0, 0.5], [1, 1]], np.float32)
    assert cells.of({"context": context}).tolist() == [0, 0, 1, 3, 8, 15]
    context[3, 1] = 1.5
    with pytest.raises(InputError, match=r"context\[3\] = \[1.0, 1.5\]: contexts must be from 0 to 1"):
        cells.of({"context": context})


def test_decision_stumps():
    assert decision_stumps(2, 1, 3).tolist() == [
        [0, 0, 0],
        [1, 1, 1],
        [0, 1, 1],
        [1, 0, 0],
        [0, 0, 1],
        [1, 1, 0],
    ]
    plane = decision_stumps(3, 2, 4)
    assert plane.shape == (3 + 2 * 3 * 6, 16)
    assert len({tuple(policy) for policy in plane.tolist()}) == len(plane)
    square = plane.reshape(-1, 4, 4)  # cell = x + 4 y: the last axis is x
    along_x = (square == square[:, :1]).all(axis=(1, 2))
    along_y = (square == square[:, :, :1]).all(axis=(1, 2))
    assert (along_x | along_y).all()
    assert along_x.sum() == along_y.sum() == 3 + 3 * 6


def test_width_of_bins():
    assert theory_width(10_000, 5, 3.2) == pytest.approx(
        (5 * math.log(10_000) / (3.2**2 * 10_000)) ** (1 / 3)
    )
    assert theory_width(10_000, 5, 3.2, 2) == pytest.approx((5 * math.log(1e4) / (3.2**2 * 1e4)) ** (1 / 4))
    assert theory_width(3, 50, 0.01) == 1.0
    assert theory_bins(10_000, 5, 3.2) == math.ceil(1 / theory_width(10_000, 5, 3.2)) == 14
    w = theory_width(10_000, 5, 3.2, 3)  # both halves of the regret are equal there
    assert 3.2 * w * 10_000 == pytest.approx(math.sqrt(5 * 10_000 * w**-3 * math.log(10_000)))
    with pytest.raises(InputError, match=r"lipschitz above 0 and finite, got 100, 5, 1 and 0\.0"):
        theory_width(100, 5, 0.0)


def test_bins_beat_one_ucb1_for_all_and_learn_the_means():
    world = contextual_bandit(num_items=3, waves=1, horizon=6000)
    agent = BinnedContexts(20, 3, 1, 12)
    _, curve = play_rounds(world, agent, 20)
    _, one = play_rounds(world, BinnedContexts(20, 3, 1, 1), 20)
    assert curve[-1].mean() < 0.5 * one[-1].mean()
    centre = (np.arange(1200) + 0.5) / 1200
    truth = world.mean_rewards(centre[:, None]).reshape(12, 100, 3).mean(axis=1)
    pulls, means = agent.pulls, agent.means
    assert (agent.rounds.sum(axis=1) == 6000).all()
    assert np.array_equal(pulls.sum(axis=2), agent.rounds)
    total = (pulls * means).sum(axis=0) / pulls.sum(axis=0)
    # each context of a cell is as likely under every arm but for what UCB1 learned: within 5 standard errors
    np.testing.assert_array_less(np.abs(total - truth), 5 * np.sqrt(0.25 / pulls.sum(axis=0)) + 0.01)


def test_binned_contexts_are_one_ucb1_per_cell():
    """Against plain Python."""
    world = contextual_bandit(num_items=3, horizon=250)
    agent = BinnedContexts(1, 3, 1, 4)
    record = Recording(agent, "context")
    play_rounds(world, record, 1)
    n, total, t = np.zeros((4, 3)), np.zeros((4, 3)), np.zeros(4)
    for x, item, reward in zip(record.seen, record.items, record.rewards, strict=True):
        c = min(int(4 * float(x[0, 0])), 3)
        t[c] += 1
        with np.errstate(divide="ignore", invalid="ignore"):
            index = np.where(n[c] > 0, total[c] / n[c] + np.sqrt(2 * np.log(t[c]) / n[c]), np.inf)
        assert index[item[0]] >= index.max() - 1e-8
        n[c, item[0]] += 1
        total[c, item[0]] += reward[0]
    assert np.array_equal(agent.pulls[0], n)


# --- classes of policies


def best_of_class(world, policies, bins):
    """(P,) exact expected reward of every policy, by the midpoint rule on 8,000 contexts of each user."""
    x = (np.arange(8000) + 0.5) / 8000
    means = world.mean_rewards(x[:, None])
    cell = (x * bins).astype(int)
    return np.array([means[np.arange(8000), policy[cell]].mean() for policy in policies])


def test_epsilon_greedy_finds_the_best_policy_of_the_class():
    """Its scores are unbiased, and what it follows in the end is worth what the best of the class is."""
    world = contextual_bandit(num_items=5, waves=1, height=0.5, horizon=4000)
    agent = PolicyClassEpsilonGreedy(40, 5, epsilon=0.5, **CLASS)
    play_rounds(world, agent, 40)
    worth = best_of_class(world, STUMPS, 8)
    estimates = agent.scores / agent.explorations[:, None]
    error = estimates.std(axis=0, ddof=1) / math.sqrt(40)
    assert (np.abs(estimates.mean(axis=0) - worth) < 5 * error).all()
    assert worth[agent.leader].mean() > worth.max() - 0.02
    assert worth.max() > np.sort(worth[:5])[-1] + 0.1  # of which no constant policy comes near


def test_epsilon_greedy_explores_as_often_as_it_says():
    world = contextual_bandit(horizon=1500)
    agent = PolicyClassEpsilonGreedy(50, 5, **CLASS)
    play_rounds(world, agent, 50)
    t = np.arange(1, 1501)
    rate = np.minimum(1.0, (5 * np.log(145 * t) / t) ** (1 / 3))
    error = math.sqrt((rate * (1 - rate)).sum() / 50)
    assert abs(agent.explorations.mean() - rate.sum()) < 4 * error
    always = PolicyClassEpsilonGreedy(50, 5, epsilon=1.0, **CLASS)
    shown, _ = play_rounds(world, always, 50, rounds=200)
    np.testing.assert_allclose(np.bincount(shown.ravel()) / shown.size, 0.2, atol=0.02)


def test_exponentials_are_numpys_wherever_they_stand():
    x = -np.concatenate([np.linspace(0.0, 700.0, 100_001), 2.0 ** np.arange(-60, 10), [0.0, 5e-324]])
    found = x.copy()
    exponentiate(found)
    np.testing.assert_allclose(found, np.exp(x), rtol=5e-16)
    assert found[0] == 1.0
    for first in range(1, 9):  # the processor takes several at a time, and the last few one by one
        part = x[first : 50 - first].copy()
        exponentiate(part)
        assert np.array_equal(part, found[first : 50 - first])
    beyond = np.array([-701.0, -1e9, -np.inf])
    exponentiate(beyond)
    np.testing.assert_allclose(beyond, math.exp(-700.0), rtol=5e-16)


def test_exp4_probabilities_against_plain_python():
    world = contextual_bandit(num_items=3, horizon=120)
    policies = decision_stumps(3, 1, 4)
    P = len(policies)
    agent = Exp4(2, 3, policies, dimension=1, bins=4)
    costs = np.zeros((2, P))

    class Checking:
        rounds = 0

        def act(self, observation, luck):
            slates = agent.act(observation, luck)
            self.rounds += 1
            rate = math.sqrt(math.log(P) / (self.rounds * 3))
            for b in range(2):
                cell = min(int(4 * float(observation["context"][b, 0])), 3)
                weights = [math.exp(-rate * cost) for cost in costs[b]]
                p = [
                    sum(w for w, policy in zip(weights, policies, strict=True) if policy[cell] == a)
                    / sum(weights)
                    for a in range(3)
                ]
                np.testing.assert_allclose(agent.probabilities[b], p, rtol=1e-9)
                u = luck.uniform("exp4")[b]
                assert slates[b, 0] == np.searchsorted(np.cumsum(p), u, side="right")
            return slates

        def update(self, t):
            for b in range(2):
                cell, item = min(int(4 * float(t.observation["context"][b, 0])), 3), t.slates[b, 0]
                for i in range(P):
                    if policies[i, cell] == item:
                        costs[b, i] += (1 - t.reward[b]) / agent.probabilities[b, item]
            agent.update(t)

    play_rounds(world, Checking(), 2)
    np.testing.assert_allclose(agent.costs, costs, rtol=1e-9)


def test_exp4_is_within_its_bound_against_the_best_expert():
    """And chance is not."""
    world = contextual_bandit(num_items=2, waves=1, height=0.5, horizon=3000)
    policies = decision_stumps(2, 1, 4)
    best = policies[best_of_class(world, policies, 4).argmax()]
    bound = exp4.regret_bound(np.arange(1, 3001), num_items=2, num_policies=len(policies))
    assert bound[-1] == pytest.approx(2 * math.sqrt(3000 * 2 * math.log(8)))
    lost = {}
    for name, agent in (("exp4", Exp4(100, 2, policies, dimension=1, bins=4)), ("chance", Uniform(2))):
        record = Recording(agent, "context")
        play_rounds(world, record, 100)
        x, items = np.array(record.seen)[..., 0], np.array(record.items)
        means = world.mean_rewards(x.reshape(-1, 1)).reshape(*x.shape, 2)
        expert = best[np.minimum((x * 4).astype(int), 3)]
        gain = np.take_along_axis(means, np.stack([expert, items], 2), 2)
        lost[name] = np.cumsum(gain[..., 0] - gain[..., 1], axis=0).mean(axis=1)
    assert (lost["exp4"] <= bound).all()
    assert lost["chance"][-1] > bound[-1]


# --- neural-linear


def neural(B, N=3, D=1, **settings):
    return NeuralLinearTS(B, N, D, **settings)


def test_neural_linear_beats_linear_where_nothing_is_linear():
    world = contextual_bandit(num_items=3, waves=2, height=0.5, horizon=1000)
    _, curve = play_rounds(world, neural(12), 12)
    _, linear = play_rounds(world, LinUCB(12, 3, 1, shared=False, alpha=0.5), 12)
    gain = linear[-1] - curve[-1]
    assert gain.mean() > 4 * gain.std(ddof=1) / math.sqrt(12)
    late = curve[-1] - curve[699]
    assert late.mean() < 0.5 * (linear[-1] - linear[699]).mean()


def test_first_weights_have_the_variances_of_he():
    """2 / inputs of a layer, and 1 of its constants."""
    agent = neural(500, 2, 3)
    agent.act({"context": np.full((500, 3), 0.5, np.float32)}, Luck.from_seeds(range(500)))
    start = 0
    for rows, columns in ((4, 32), (33, 16), (17, 2)):
        layer = agent.weights[:, start : start + rows * columns].reshape(500, rows, columns)
        assert abs(layer[:, :-1].var() * (rows - 1) / 2 - 1) < 0.05
        assert abs(layer[:, -1].var() - 1) < 0.1
        start += rows * columns
    assert start == agent.weights.shape[1]


def test_neural_linear_represents_and_regresses_as_written():
    """The hidden layers in NumPy; ridge regression on what they make of the memory, trained and between."""
    agent = neural(
        2, N=3, D=2, units=7, num_features=5, retrain=40, steps=5, batch_size=16, memory=60, penalty=0.5
    )
    world = contextual_bandit(num_items=3, dimension=2, horizon=110)
    record = Recording(agent, "context")
    play_rounds(world, record, 2)
    seen, items, rewards = (np.array(x)[-60:] for x in (record.seen, record.items, record.rewards))
    for b in range(2):
        first, second, _ = matrices(agent.weights[b], agent.sizes)
        x = np.hstack([seen[:, b].astype(float), np.ones((60, 1))])
        h = np.hstack([np.maximum(x @ first, 0.0), np.ones((60, 1))])
        z = np.hstack([np.maximum(h @ second, 0.0), np.ones((60, 1))])
        np.testing.assert_allclose(agent.represent({"context": seen[-1]})[b, 0], z[-1], atol=1e-5)
        # rounds 80 to 109 were added one by one to the memory at the training of round 80, rounds 20 to 79
        older = np.array(record.seen)[20:110, b].astype(float)
        x = np.hstack([older, np.ones((90, 1))])
        h = np.hstack([np.maximum(x @ first, 0.0), np.ones((90, 1))])
        z = np.hstack([np.maximum(h @ second, 0.0), np.ones((90, 1))])
        played, earned = np.array(record.items)[20:110, b], np.array(record.rewards)[20:110, b]
        for a in range(3):
            Z = z[played == a]
            V = 0.5 * np.eye(6) + Z.T @ Z
            expected = np.linalg.solve(V, Z.T @ earned[played == a])
            np.testing.assert_allclose(agent.regressions.estimate[b, a], expected, atol=1e-5)
            np.testing.assert_allclose(agent.regressions.inverse[b, a], np.linalg.inv(V), atol=1e-5)
            grown = np.linalg.slogdet(V)[1] - 6 * np.log(0.5)
            assert agent.regressions.log_growth[b, a] == pytest.approx(grown, abs=1e-5)
        assert set(map(tuple, agent.contexts[b])) == set(map(tuple, seen[:, b]))
        assert sorted(agent.rewards[b]) == sorted(rewards[:, b])
        assert sorted(agent.items[b]) == sorted(items[:, b])


def test_items_that_were_never_played_are_fitted_as_at_the_start():
    """And fitting anew gives what one round after the other gave."""
    rng = np.random.default_rng(1)
    network = rng.standard_normal((1, 3 * 8 + 9 * 4 + 5 * 3)), (2, 8, 4, 3)
    contexts, rewards = rng.random((1, 70, 2)).astype(np.float32), rng.random((1, 70))
    items = np.where(np.arange(70) % 3 == 0, 2, 0)[None]  # never 1
    anew, rounds = RidgeRegressions(1, 3, 5, 0.5), RidgeRegressions(1, 3, 5, 0.5)
    fitted = anew.inverse, anew.estimate, anew.log_growth
    fit_rows(*network, contexts, items, rewards, 70, 0.5, *fitted)
    for t in range(70):
        features = hidden_layers(contexts[:, t], *network)
        rounds.add(features, items[:, t : t + 1], rewards[:, t])
    np.testing.assert_allclose(anew.inverse[0, 1], np.eye(5) / 0.5, atol=1e-12)
    assert not anew.estimate[0, 1].any()
    assert anew.log_growth[0, 1] == pytest.approx(0.0, abs=1e-12)
    for name in ("inverse", "estimate", "log_growth"):
        np.testing.assert_allclose(getattr(anew, name), getattr(rounds, name), atol=1e-9)


def test_neural_linear_draws_items_as_drawn_vectors_would():
    """How often each item is best, against theta_a ~ N(theta_hat_a, v^2 V_a^-1) drawn whole by NumPy."""
    agent = neural(20_000, N=3, D=2, num_features=4, inflation=0.7)
    one = neural(1, N=3, D=2, num_features=4, retrain=1000)
    play_rounds(contextual_bandit(num_items=3, dimension=2, horizon=60), one, 1)
    for name in ("inverse", "estimate"):
        known = getattr(one.regressions, name)
        setattr(agent.regressions, name, np.repeat(known, 20_000, axis=0))
    agent.weights[:], agent.rounds[:] = one.weights, 1
    context = np.array([[0.3, 0.8]], np.float32)
    slates = agent.act({"context": np.repeat(context, 20_000, axis=0)}, Luck.from_seeds(range(20_000)))
    rng, z = np.random.default_rng(5), one.represent({"context": context})[0, 0]
    rewards = [
        rng.multivariate_normal(one.regressions.estimate[0, a], 0.49 * one.regressions.inverse[0, a], 20_000)
        @ z
        for a in range(3)
    ]
    shares = np.bincount(np.argmax(rewards, axis=0), minlength=3) / 20_000
    assert shares.min() > 0.05
    np.testing.assert_allclose(np.bincount(slates[:, 0], minlength=3) / 20_000, shares, atol=0.02)


@pytest.mark.extra
def test_training_does_what_that_of_pytorch_does():
    """Thirty steps of Adam, gradients by its differentiation."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    sizes, known, S = ((3, 9), (10, 6), (7, 4)), 50, 12
    layers = [rng.standard_normal((2, *size)) for size in sizes]
    contexts = rng.random((2, 80, 2)).astype(np.float32)
    items, rewards = rng.integers(0, 4, (2, 80)), rng.random((2, 80))
    drawn = rng.random((2, 30 * S))
    weights = np.hstack([layer.reshape(2, -1) for layer in layers])
    train_rows(weights, (2, 9, 6, 4), contexts, items, rewards, known, drawn, S, 0.02)
    for b in range(2):
        theirs = [torch.tensor(layer[b], requires_grad=True) for layer in layers]
        optimiser = torch.optim.Adam(theirs, lr=0.02)
        for step in range(30):
            place = (drawn[b, step * S : (step + 1) * S] * known).astype(int)
            h = torch.from_numpy(contexts[b, place].astype(float))
            for layer in theirs[:2]:
                h = torch.relu(h @ layer[:-1] + layer[-1])
            predicted = (h @ theirs[2][:-1] + theirs[2][-1])[torch.arange(S), items[b, place]]
            optimiser.zero_grad()
            ((predicted - torch.from_numpy(rewards[b, place])) ** 2).mean().backward()
            optimiser.step()
        expected = np.concatenate([layer.detach().numpy().ravel() for layer in theirs])
        np.testing.assert_allclose(weights[b], expected, atol=1e-9)


@pytest.mark.parametrize("reward", [1e9, -1e39, math.nan])
def test_rewards_that_single_precision_cannot_square_are_refused(reward):
    agent, seen = neural(2), {"context": np.full((2, 1), 0.5, np.float32)}
    slates = agent.act(seen, Luck.from_seeds([1, 2]))
    none = np.zeros((2, 1), bool)
    transition = Transition(seen, slates, none, none, np.array([0.5, reward]), seen, none[:, 0], none[:, 0])
    with pytest.raises(InputError, match=r"reward\[1\] = .*: a network needs finite rewards, below 1e9"):
        agent.update(transition)
    assert not agent.rounds.any()
    assert not agent.regressions.estimate.any()


def test_training_lowers_the_error():
    """Of the network alone, on a memory filled by chance."""
    world = contextual_bandit(num_items=3, waves=1, height=0.5, horizon=301)
    agent = neural(3, retrain=300, steps=300)
    user = Luck.from_seeds(np.arange(3))
    state, errors = world.begin(user), []
    agent.act(world.observe(state), user)
    for t in range(300):
        slates = (user.at(t).uniform("any", (1,)) * 3).astype(np.int64)
        after, o = world.respond(state, slates, user.at(t))
        seen = world.observe(state)
        agent.update(Transition(seen, slates, *o.response, o.reward, world.observe(after), o.left, o.left))
        state = after

    def error():
        total = 0.0
        for b in range(3):
            first, second, last = matrices(agent.weights[b], agent.sizes)
            x = np.hstack([agent.contexts[b, :300].astype(float), np.ones((300, 1))])
            h = np.hstack([np.maximum(x @ first, 0.0), np.ones((300, 1))])
            z = np.hstack([np.maximum(h @ second, 0.0), np.ones((300, 1))])
            predicted = (z @ last)[np.arange(300), agent.items[b, :300]]
            truth = world.mean_rewards(agent.contexts[b, :300])[np.arange(300), agent.items[b, :300]]
            total += ((predicted - truth) ** 2).mean()
        return total / 3

    errors.append(error())
    agent.act(world.observe(state), user.at(300))
    assert error() < 0.05 < errors[0]  # the means vary by 1/12 around 1/2


# --- what holds for all of them

LEARNERS = {
    "lin_ucb": (lambda B: LinUCB(B, 6, 3, deviation=0.1), lambda: linear_bandit(6, 3, horizon=90)),
    "lin_ucb_kept": (lambda B: LinUCB(B, 6, 3), lambda: linear_bandit(6, 3, False, "coins", horizon=90)),
    "lin_ucb_disjoint": (
        lambda B: LinUCB(B, 5, 2, shared=False),
        lambda: contextual_bandit(5, 2, horizon=90),
    ),
    "lin_ts": (lambda B: LinTS(B, 6, 3), lambda: linear_bandit(6, 3, horizon=90)),
    "lin_ts_disjoint": (lambda B: LinTS(B, 5, 2, shared=False), lambda: contextual_bandit(5, 2, horizon=90)),
    "binned": (lambda B: BinnedContexts(B, 5, 2, 3), lambda: contextual_bandit(5, 2, horizon=90)),
    "policy_class": (
        lambda B: PolicyClassEpsilonGreedy(B, 5, **CLASS),
        lambda: contextual_bandit(horizon=90),
    ),
    "exp4": (lambda B: Exp4(B, 5, **CLASS), lambda: contextual_bandit(horizon=90)),
    "neural_linear": (
        lambda B: neural(B, 5, retrain=30, steps=8, batch_size=16),
        lambda: contextual_bandit(horizon=90),
    ),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_a_row_does_not_depend_on_the_others(name):
    """Bit for bit, and a run repeats under its seed."""
    make, build = LEARNERS[name]
    world = build()
    together, curve = drive(world, make(7), 7, 1, seed=20)
    again, _ = drive(world, make(7), 7, 1, seed=20)
    assert np.array_equal(together, again)
    assert not np.array_equal(together[:, 0], together[:, 1])
    for row in range(7):
        alone, alone_curve = drive(world, make(1), 1, 1, seed=20 + row)
        assert np.array_equal(alone[:, 0], together[:, row])
        assert np.array_equal(alone_curve[:, 0], curve[:, row])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinUCB(0, 5, 2), "num_replicates must be at least 1, got 0"),
        (lambda: LinUCB(2, 0, 2), "num_items must be at least 1, got 0"),
        (lambda: LinUCB(2, 5, 0), "num_features must be at least 1, got 0"),
        (lambda: LinUCB(2, 5, 2, delta=0.0), r"delta must be in \(0, 1\), got 0.0"),
        (lambda: LinUCB(2, 5, 2, delta=1.0), r"delta must be in \(0, 1\), got 1.0"),
        (lambda: LinUCB(2, 5, 2, penalty=0.0), "penalty must be above 0 and finite, got 0.0"),
        (lambda: LinUCB(2, 5, 2, deviation=-1.0), "deviation must be 0 or more and finite, got -1.0"),
        (lambda: LinUCB(2, 5, 2, norm=math.nan), "norm must be above 0 and finite, got nan"),
        (lambda: LinUCB(2, 5, 2, alpha=-0.1), "alpha must be 0 or more and finite, got -0.1"),
        (lambda: LinTS(2, 0, 2), "num_items must be at least 1, got 0"),
        (lambda: LinTS(2, 5, 2, inflation=0.0), "inflation must be above 0 and finite, got 0.0"),
        (lambda: BinnedContexts(2, 0, 1, 4), "num_items must be at least 1, got 0"),
        (lambda: BinnedContexts(2, 5, 1, 0), "bins must be at least 1, got 0"),
        (
            lambda: BinnedContexts(2, 5, 9, 10),
            "bins must make 1000000 cells at most, got 10 to the power of 9",
        ),
        (lambda: Exp4(2, 4, **CLASS), "policies must hold items 0-3, got 0 to 4"),
        (lambda: Exp4(2, 5, STUMPS[:, :3], dimension=1, bins=8), r"policies must have shape \(P, 8\)"),
        (lambda: Exp4(2, 5, STUMPS * 1.0, dimension=1, bins=8), "policies must hold integers, got float64"),
        (lambda: Exp4(2, 5, STUMPS[:0], dimension=1, bins=8), r"policies must have shape \(P, 8\)"),
        (lambda: PolicyClassEpsilonGreedy(2, 0, **CLASS), "num_items must be at least 1, got 0"),
        (
            lambda: PolicyClassEpsilonGreedy(2, 5, epsilon=0.0, **CLASS),
            r"epsilon must be in \(0, 1\], got 0.0",
        ),
        (lambda: linear_bandit(num_items=1), "num_items must be at least 2, got 1"),
        (lambda: linear_bandit(dimension=0), "dimension must be at least 1, got 0"),
        (lambda: linear_bandit(noise="none"), "noise must be normal or coins, got 'none'"),
        (lambda: linear_bandit(deviation=-0.1), "deviation must be a finite number, 0 or more, got -0.1"),
        (lambda: linear_bandit(horizon=0), "horizon must be at least 1, got 0"),
        (lambda: LinearWorld(np.array([0.8, 0.8]), 2, 9, 0.1), "theta must have length 1 at most, got 1.13"),
        (lambda: LinearWorld(np.array([-0.8]), 2, 9), r"theta\[0\] = -0.8: it must be 0 or more where"),
        (
            lambda: LinearWorld(np.array([1.0]), 2, 9, 0.1, np.ones((2, 3))),
            r"features must have shape \(2, 1\), got \(2, 3\)",
        ),
        (
            lambda: LinearWorld(np.array([1.0]), 2, 9, 0.1, np.array([[1.0], [2.0]])),
            r"length of features\[1\] = 2.0: scale features",
        ),
        (lambda: contextual_bandit(num_items=1), "num_items must be at least 2, got 1"),
        (lambda: contextual_bandit(dimension=0), "dimension must be at least 1, got 0"),
        (lambda: contextual_bandit(height=0.6), r"height must be in \(0, 0.5\], got 0.6"),
        (lambda: contextual_bandit(waves=0), "waves must be at least 1, got 0"),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("sizes", "settings", "message"),
    [
        ((2, 0), {}, "num_items must be at least 1, got 0"),
        ((2,), {"retrain": 0}, "retrain must be at least 1, got 0"),
        ((2,), {"learning_rate": 0.0}, "learning_rate must be above 0 and finite, got 0.0"),
    ],
)
def test_bad_settings_of_neural_linear(sizes, settings, message):
    with pytest.raises(InputError, match=message):
        neural(*sizes, **settings)


def test_observations_of_other_sizes_are_refused():
    luck = Luck.from_seeds([0, 1])
    plane = {"step": np.zeros(2), "context": np.full((2, 2), 0.5, np.float32)}
    vectors = {"step": np.zeros(2), "features": np.zeros((2, 5, 3), np.float32)}
    for agent in (LinUCB(2, 5, 1, shared=False), BinnedContexts(2, 5, 1, 4), Exp4(2, 5, **CLASS)):
        with pytest.raises(
            InputError, match=r"context must have shape \(2, 1\), got \(2, 2\): make the learner"
        ):
            agent.act(plane, luck)
        with pytest.raises(InputError, match="the observation has no 'context', only features, step"):
            agent.act(vectors, luck)
    for agent in (LinUCB(2, 5, 4), LinTS(2, 5, 4), LinTS(2, 6, 3), LinUCB(3, 5, 3)):
        with pytest.raises(
            InputError, match=r"features must have shape .*, got \(2, 5, 3\): make the learner"
        ):
            agent.act(vectors, luck)
        with pytest.raises(InputError, match="the observation has no 'features', only context, step"):
            agent.act(plane, luck)


def test_rewards_out_of_range_are_refused():
    luck, yes = Luck.from_seeds([0]), np.ones((1, 1), bool)
    point = {"context": np.full((1, 1), 0.5, np.float32)}

    def played(agent, reward):
        slates, left = agent.act(point, luck), np.zeros(1, bool)
        agent.update(Transition(point, slates, yes, yes, np.array([reward]), point, left, left))

    for agent in (BinnedContexts(1, 5, 1, 4), Exp4(1, 5, **CLASS), PolicyClassEpsilonGreedy(1, 5, **CLASS)):
        with pytest.raises(InputError, match=r"reward\[0\] = 1.5 is outside the range 0 to 1"):
            played(agent, 1.5)
    with pytest.raises(InputError, match=r"reward\[0\] = nan: a regression needs finite rewards"):
        played(LinUCB(1, 5, 1, shared=False), math.nan)
