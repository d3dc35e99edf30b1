"""The indices of the cascading bandits against their formulas."""

import numpy as np
import pytest
from driving import drive

from recsim_env.agents.bandits.cascade_counts import highest
from recsim_env.agents.bandits.cascade_kl_ucb import CascadeKLUCB, kl_upper_bounds
from recsim_env.agents.bandits.cascade_ts import CascadeTS
from recsim_env.agents.bandits.cascade_ucb import UNSEEN, CascadeUCB, upper_bounds
from recsim_env.agents.bandits.ts_cascade import TSCascade, shared_draws
from recsim_env.simulators.worlds.cascade_bandit import cascade_bandit
from recsim_env.simulators.worlds.engagement_ladder import engagement_ladder


def counts(B=40, S=2, N=7, seed=0):
    rng = np.random.default_rng(seed)
    T = rng.integers(0, 60, (B, S, N)) * rng.choice([1, 1, 1000], (B, S, N))
    W = rng.binomial(T, rng.random((B, S, N)))
    W[:, :, 0], W[:, :, 1] = 0, T[:, :, 1]
    rounds = rng.integers(0, 100_000, (B, S))
    return W.astype(float), T.astype(float), rounds.astype(float), rng.integers(0, S, B)


def test_ucb():
    W, T, rounds, state = counts()
    ties = np.random.default_rng(1).random((40, 7)) * 1e-9
    index = upper_bounds(W, T, rounds, state, ties)
    for b, s in enumerate(state):
        for e in range(7):
            if T[b, s, e] == 0:
                assert index[b, e] == UNSEEN + ties[b, e]
                continue
            bound = W[b, s, e] / T[b, s, e] + np.sqrt(1.5 * np.log(rounds[b, s] + 1) / T[b, s, e])
            assert abs(index[b, e] - bound - ties[b, e]) < 1e-12


def by_bisection(m, T, budget):
    def kl(u):
        first = m * np.log(m / u) if m > 0 else 0.0
        return first + ((1 - m) * np.log((1 - m) / (1 - u)) if m < 1 else 0.0)

    low, high = m, 1.0 - 1e-15
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if T * kl(middle) <= budget else (low, middle)
    return low


@pytest.mark.parametrize("start", ["cold", "random"])
def test_kl_ucb_against_bisection(start):
    W, T, rounds, state = counts(B=120, seed=3)
    ties = np.zeros((120, 7))
    bounds = np.full(W.shape, 30.0) if start == "cold" else 8 * np.random.default_rng(0).random(W.shape)
    index = kl_upper_bounds(W, T, rounds, state, bounds, ties)
    for b, s in enumerate(state):
        log_t = np.log(rounds[b, s] + 1)
        budget = log_t + 3 * np.log(max(log_t, 1))
        for e in range(7):
            if T[b, s, e] == 0 or W[b, s, e] == T[b, s, e]:
                assert index[b, e] == 1.0
            else:
                assert abs(index[b, e] - by_bisection(W[b, s, e] / T[b, s, e], T[b, s, e], budget)) < 1e-8


def test_kl_ucb_along_a_run():
    """The warm start loses nothing over thousands of rounds."""
    world, agent = cascade_bandit(6, 2, 0.3, 0.2, horizon=2000), CascadeKLUCB(3, 1, 6, 2)
    drive(world, agent, 3, 1)
    c = agent.counts
    warm = kl_upper_bounds(
        c.clicks, c.examinations, c.rounds, np.zeros(3, int), agent.bounds, np.zeros((3, 6))
    )
    for b in range(3):
        log_t = np.log(2001.0)
        for e in range(6):
            T, W = c.examinations[b, 0, e], c.clicks[b, 0, e]
            assert abs(warm[b, e] - by_bisection(W / T, T, log_t + 3 * np.log(log_t))) < 1e-8


def test_ts_cascade():
    W, T, rounds, state = counts(seed=5)
    z = np.random.default_rng(2).normal(size=40)
    theta = shared_draws(W, T, rounds, state, z, np.zeros((40, 7)))
    for b, s in enumerate(state):
        for e in range(7):
            n = T[b, s, e]
            mean = W[b, s, e] / n if n else 0.0
            log_t = np.log(rounds[b, s] + 2)  # round t = rounds + 1, and log(t + 1)
            width = max(np.sqrt(mean * (1 - mean) * log_t / (n + 1)), log_t / (n + 1))
            assert abs(theta[b, e] - mean - z[b] * width) < 1e-12


def test_thompson_sampling_draws_from_the_posterior():
    class Recorder:
        def beta(self, stream, a, b):
            self.a, self.b = a, b
            return np.zeros(a.shape)

    agent, luck = CascadeTS(2, 2, 3, 2), Recorder()
    agent.counts.examinations[1, 1], agent.counts.clicks[1, 1] = [5, 0, 9], [2, 0, 9]
    agent.act({"state": np.array([0, 1])}, luck)
    assert luck.a.tolist() == [[1, 1, 1], [3, 1, 10]]
    assert luck.b.tolist() == [[1, 1, 1], [4, 1, 1]]


@pytest.mark.parametrize("K", [1, 3, 8])
def test_highest(K):
    index = np.random.default_rng(0).integers(0, 5, (200, 8)).astype(float)
    expected = np.argsort(-index, axis=1, kind="stable")[:, :K]
    assert np.array_equal(highest(index, K), expected)


@pytest.mark.parametrize("make", [CascadeUCB, CascadeKLUCB])
def test_unseen_items_go_first(make):
    world = cascade_bandit(9, 2, 0.2, 0.1, horizon=60)
    agent = make(30, 1, 9, 2)
    drive(world, agent, 30, 1)
    assert (agent.counts.examinations > 0).all()


@pytest.mark.parametrize("make", [CascadeUCB, CascadeKLUCB, CascadeTS, TSCascade])
def test_every_state_has_its_own_table(make):
    world = engagement_ladder(3, 4, 2, 5)
    agent = make(4, 3, 4, 2)
    drive(world, agent, 4, 20)
    assert agent.counts.rounds.sum() == 4 * 20 * 5
    assert (agent.counts.rounds > 0).sum(axis=1).min() >= 2
    assert (agent.counts.clicks <= agent.counts.examinations).all()
