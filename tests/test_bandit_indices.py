"""The indices of the cascading bandits against their formulas."""

import numpy as np
import pytest
from driving import drive

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.cascade_counts import highest
from recsim_env.agents.bandits.cascade_kl_ucb import CascadeKLUCB, kl_upper_bounds
from recsim_env.agents.bandits.cascade_ts import CascadeTS
from recsim_env.agents.bandits.cascade_ucb import UNSEEN, CascadeUCB, upper_bounds
from recsim_env.agents.bandits.ts_cascade import TSCascade, shared_draws
from recsim_env.simulators.luck import Luck
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


@pytest.mark.parametrize("T", [1.0, 2.0, 1e4, 1e9])
@pytest.mark.parametrize("rounds", [1.0, 2.0, 1e3, 1e9])
@pytest.mark.parametrize("start", [1e-12, 0.5, 30.0])
def test_kl_ucb_at_the_edges(T, rounds, start):
    """No clicks, one click, one miss, only clicks; one examination, a billion; any start of the search."""
    W = np.array([0.0, 1.0, np.floor(T / 2), T - 1, T])
    bounds, ties = np.full((1, 1, 5), start), np.zeros((1, 5))
    examinations, state = np.full((1, 1, 5), T), np.zeros(1, int)
    log_t = np.log(rounds + 1)
    for _ in range(2):  # the second call starts from what the first left
        index = kl_upper_bounds(W[None, None], examinations, np.full((1, 1), rounds), state, bounds, ties)
        for e in range(5):
            exact = 1.0 if W[e] == T else by_bisection(W[e] / T, T, log_t + 3 * np.log(max(log_t, 1)))
            assert abs(index[0, e] - exact) < 1e-8


def test_kl_ucb_along_a_run():
    """The warm starts lose nothing, round after round."""
    world, agent, seen = cascade_bandit(6, 2, 0.3, 0.2, horizon=20), CascadeKLUCB(3, 1, 6, 2), []

    def check(agent):
        """Right after `act`: the counts and the bounds are of the same round."""
        c = agent.counts
        log_t = np.log(c.rounds + 1)
        budget = log_t + 3 * np.log(np.maximum(log_t, 1))
        for b, e in np.ndindex(3, 6):
            T, W = c.examinations[b, 0, e], c.clicks[b, 0, e]
            if T > 0 and W < T:
                bound = 1.0 - np.exp(-agent.bounds[b, 0, e])
                assert abs(bound - by_bisection(W / T, T, budget[b, 0])) < 1e-8
                seen.append(bound)

    drive(world, agent, 3, 100, each_episode=check)
    assert len(seen) > 1000


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
    a = np.array([[1.0, 1, 1], [3, 1, 10]])
    b = np.array([[1.0, 1, 1], [4, 1, 1]])
    for seed in range(50):
        agent, luck = CascadeTS(2, 2, 3, 2), Luck.from_seeds([seed, seed + 50])
        agent.counts.examinations[1, 1], agent.counts.clicks[1, 1] = [5, 0, 9], [2, 0, 9]
        slates = agent.act({"state": np.array([0, 1])}, luck)
        assert np.array_equal(slates, highest(luck.beta("cascade_ts", a, b), 2))


@pytest.mark.parametrize("K", [1, 3, 8])
def test_highest(K):
    index = np.random.default_rng(0).integers(0, 5, (200, 8)).astype(float)
    expected = np.argsort(-index, axis=1, kind="stable")[:, :K]
    assert np.array_equal(highest(index, K), expected)


@pytest.mark.parametrize("make", [CascadeUCB, CascadeKLUCB])
def test_unseen_items_go_first(make):
    """Slates hold unseen items, from the top, as long as there are any.

    To KL-UCB an item that was always clicked is as good as an unseen one: both have index 1.
    """
    world = cascade_bandit(9, 4, 0.2, 0.1, horizon=1)
    agent = make(30, 1, 9, 4)
    mixed = 0

    class Watching:
        def act(self, observation, luck):
            nonlocal mixed
            slates = agent.act(observation, luck)
            T, W = agent.counts.examinations[:, 0], agent.counts.clicks[:, 0]
            top = T == 0 if make is CascadeUCB else T == W
            for b in range(30):
                shown = top[b, slates[b]]
                assert shown.sum() == min(4, top[b].sum())
                assert shown[: shown.sum()].all()
                mixed += 0 < shown.sum() < 4
            return slates

        def update(self, transition):
            agent.update(transition)

    drive(world, Watching(), 30, 30)
    assert mixed > 10
    assert (agent.counts.examinations > 0).all()


@pytest.mark.parametrize("make", [CascadeUCB, CascadeKLUCB, CascadeTS, TSCascade])
def test_every_state_has_its_own_table(make):
    world = engagement_ladder(3, 4, 2, 5)
    agent = make(4, 3, 4, 2)
    drive(world, agent, 4, 20)
    assert agent.counts.rounds.sum() == 4 * 20 * 5
    assert (agent.counts.rounds > 0).sum(axis=1).min() >= 2
    assert (agent.counts.clicks <= agent.counts.examinations).all()


@pytest.mark.parametrize("make", [CascadeUCB, CascadeKLUCB, CascadeTS, TSCascade])
def test_what_is_learnt_in_one_state_stays_there(make):
    """After lessons in state 1, state 0 is as before and state 1 is not."""
    learner, novice, luck = make(1, 2, 4, 2), make(1, 2, 4, 2), Luck.from_seeds([7])
    here, there = ({"state": np.array([s]), "step": np.array([0])} for s in (0, 1))
    for agent in (learner, novice):  # the tie-breaking draws of a replicate are made by its first act
        agent.act(here, luck)
    yes, no = np.array([True]), np.array([False])
    for _ in range(40):  # item 3 is examined and clicked, the slot after it is not examined
        clicked = np.array([[True, False]])
        learner.update(Transition(there, np.array([[3, 2]]), clicked, clicked, np.ones(1), here, no, no))
        for item in (0, 1, 2):
            lesson = np.array([[item, -1]])
            missed = np.array([[False, False]])
            learner.update(Transition(there, lesson, missed, clicked, np.zeros(1), here, no, yes))
    c = learner.counts
    assert not c.examinations[0, 0].any()
    assert not c.clicks[0, 0].any()
    assert c.rounds[0].tolist() == [0, 160]
    assert c.examinations[0, 1].tolist() == [40] * 4
    assert c.clicks[0, 1].tolist() == [0, 0, 0, 40]
    for step in range(1, 30):
        assert np.array_equal(learner.act(here, luck.at(step)), novice.act(here, luck.at(step)))
    if make is not TSCascade:  # whose one draw may be negative, and then turns the order round
        assert learner.act(there, luck.at(99))[0, 0] == 3
