"""Bandits that many users teach at once: posteriors against dense ones and the suite's, one row at a time."""

import numpy as np
import pytest

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.beta_ts import BetaTS
from recsim_env.agents.bandits.cascade_ridge import CascadeRidge
from recsim_env.agents.bandits.cascade_ts import CascadeTS
from recsim_env.agents.bandits.ridge_regressions import RidgeRegressions
from recsim_env.errors import InputError
from recsim_env.experiments.organic_users import organic_users
from recsim_env.experiments.shared_bandits import (
    PolicyFeatures,
    SharedCounts,
    SharedLinTS,
    TasteFeatures,
    looked_at,
)
from recsim_env.experiments.simulated_rewards import SimulatedReward
from recsim_env.simulators.luck import Luck

N, F, U, K = 7, 3, 9, 3
RNG = np.random.default_rng(0)
FEATURES, HISTORY = RNG.standard_normal((N, F)), RNG.integers(N, size=(U, 4))
HISTORY[0, :3] = -1
TASTE = TasteFeatures(FEATURES, HISTORY)


def answers(slots, rounds=6, rows=5, seed=1):
    """Users (B,), lists (B, slots) and clicks, for some rounds."""
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        users = rng.integers(U, size=rows)
        yield users, np.stack([rng.permutation(N)[:slots] for _ in users]), rng.random((rows, slots)) < 0.4


def transition(users, shown, clicked):
    examined = looked_at(clicked)
    seen, none = {"state": np.zeros(len(users), np.int64)}, np.zeros(len(users), np.bool_)
    return Transition(seen, shown, clicked & examined, examined, 1.0 * clicked.sum(1), seen, none, none)


def test_features_of_pairs():
    pairs, items = np.array([0, 4, 4]), np.array([2, 2, 6])
    taste = [FEATURES[HISTORY[0, 3]], FEATURES[HISTORY[4]].mean(0), FEATURES[HISTORY[4]].mean(0)]
    expected = np.hstack([FEATURES[items], FEATURES[items] * taste, np.ones((3, 1))])
    np.testing.assert_allclose(TASTE.of(pairs, items), expected)
    log_pi = np.log(RNG.dirichlet(np.ones(N), size=U))
    for features in (TASTE, PolicyFeatures(log_pi)):
        theta = RNG.standard_normal((U, len(features.prior)))
        every = [
            [features.of(np.array([u]), np.array([i]))[0] @ theta[u] for i in range(N)] for u in range(U)
        ]
        np.testing.assert_allclose(features.scores(np.arange(U), theta), every)
    assert PolicyFeatures(np.full((1, N), -np.log(N))).of([0], [2]).tolist() == [[0.0, 1.0]]


def test_a_warm_start():
    """Before any answer, a bandit lists what its policy would; the mean of theta is pulled from there."""
    log_pi = np.log(RNG.dirichlet(np.ones(N), size=U))
    bandit = SharedLinTS(PolicyFeatures(log_pi), offsets=False, penalty=2.0)
    assert bandit.lists(np.arange(U), N).tolist() == np.argsort(-log_pi, axis=1).tolist()
    users, shown = np.array([1, 3]), np.array([[2], [5]])
    bandit.learn(users, shown, np.array([[True], [False]]))
    x = np.stack([1.0 + log_pi[users, shown[:, 0]] / np.log(N), [1.0, 1.0]], axis=1)
    rest = np.array([1.0, 0.0]) - x[:, 0]  # of the answers, that theta_0 does not explain
    expected = np.array([1.0, 0.0]) + np.linalg.solve(2.0 * np.eye(2) + x.T @ x, x.T @ rest)
    np.testing.assert_allclose(bandit._posterior()[0], expected)


@pytest.mark.parametrize("examination", [None, np.array([1.0, 0.6, 0.3])])
def test_the_posterior_is_that_of_all_unknowns(examination):
    """Ridge regression of theta and all offsets at once, and what is drawn from it."""
    bandit = SharedLinTS(TASTE, K, examination=examination, penalty=0.7, inflation=0.4)
    D = len(TASTE.prior)
    V, y = 0.7 * np.eye(D + N), np.zeros(D + N)
    for users, shown, clicked in answers(K):
        bandit.learn(users, shown, clicked)
        for u, items, clicks in zip(users, shown, clicked, strict=True):
            for k in range(K):
                w = 1.0 if examination is None else examination[k]
                x = w * np.append(TASTE.of(np.array([u]), items[k : k + 1])[0], np.eye(N)[items[k]])
                V, y = V + np.outer(x, x), y + clicks[k] * x
                if examination is None and clicks[k]:
                    break  # cascade feedback ends at the first click
    mean = np.linalg.solve(V, y)
    every = np.concatenate([TASTE.of(np.full(N, 2), np.arange(N)), np.eye(N)], axis=1)  # of user 2
    assert bandit.lists(np.array([2]), N)[0].tolist() == np.argsort(-every @ mean).tolist()
    theta_hat, _ = bandit._posterior()
    np.testing.assert_allclose(theta_hat, mean[:D], atol=1e-10)
    np.testing.assert_allclose((bandit.s - bandit.B @ theta_hat) / bandit.d, mean[D:], atol=1e-10)
    rows = 40_000
    first = bandit.choose(np.full(rows, 2), Luck.from_seeds(np.arange(rows)))[:, 0]
    draws = np.random.default_rng(3).multivariate_normal(mean, 0.16 * np.linalg.inv(V), size=rows)
    shares = [np.bincount(of, minlength=N) / rows for of in (first, (draws @ every.T).argmax(axis=1))]
    np.testing.assert_allclose(*shares, atol=5 * np.sqrt(0.5 / rows))


def test_without_offsets_it_is_the_model_of_lin_ts():
    bandit = SharedLinTS(TASTE, offsets=False, penalty=0.7)
    known = RidgeRegressions(1, 1, len(TASTE.prior), 0.7)
    for users, shown, clicked in answers(1):
        bandit.learn(users, shown, clicked)
        for row in zip(users, shown, clicked, strict=True):
            x = TASTE.of(row[0][None], row[1])[None]
            known.add(x, np.zeros((1, 1), np.int64), row[2].astype(float))
    theta_hat, C = bandit._posterior()
    np.testing.assert_allclose(theta_hat, known.estimate[0, 0])
    np.testing.assert_allclose(np.linalg.inv(C @ C.T), known.inverse[0, 0])


def test_of_slates_it_is_the_model_of_cascade_lin_ts():
    class OfItems:  # no user in it
        num_items, prior = N, np.zeros(F)

        def of(self, users, items):
            return FEATURES[items]

        def scores(self, users, theta):
            return theta @ FEATURES.T

    bandit = SharedLinTS(OfItems(), K, offsets=False)
    known = CascadeRidge(1, FEATURES, K, 1.0, with_variance=False)
    for users, shown, clicked in answers(K):
        bandit.learn(users, shown, clicked)
        for row in zip(users, shown, clicked, strict=True):
            known.update(transition(*(part[None] for part in row)))
    theta_hat, C = bandit._posterior()
    np.testing.assert_allclose(theta_hat, known.theta[0])
    np.testing.assert_allclose(np.linalg.inv(C @ C.T), known.inverse[0])


@pytest.mark.parametrize("slots", [1, K])
def test_counts_that_are_shared(slots):
    """As one learner counts who meets the users one after the other."""

    def make(rows):
        return BetaTS(rows, N) if slots == 1 else CascadeTS(rows, 1, N, K)

    def tables(agent):
        return (agent.alpha, agent.beta) if slots == 1 else (agent.counts.clicks, agent.counts.examinations)

    shared, alone = SharedCounts(make(5)), make(1)
    for users, shown, clicked in answers(slots):
        assert shared.choose(users, Luck.from_seeds(users)).shape == (5, slots)
        shared.learn(users, shown, clicked)
        for row in zip(users, shown, clicked, strict=True):
            alone.update(transition(*(part[None] for part in row)))
    for ours, theirs in zip(tables(shared.agent), tables(alone), strict=True):
        np.testing.assert_allclose(ours, np.broadcast_to(theirs, ours.shape))
    wins, losses = tables(alone)
    mean = wins / (wins + losses) if slots == 1 else (1 + wins[0]) / (2 + losses[0])
    listed = shared.lists(np.arange(2), 4)
    assert listed.tolist() == [np.argsort(-mean[0], kind="stable")[:4].tolist()] * 2


def test_clicks_on_slates():
    of = organic_users(40, 50, 7, 3, 2, seed=4)
    reward = SimulatedReward(of.world, of.state, seed=1)
    users, slates = np.array([3, 7, 3]), np.array([[1, 2, 5], [5, 9, -1], [1, 2, 5]])
    draws = np.stack([reward.clicks(users, slates) for _ in range(4000)])
    assert reward.queries == 4000 * 8
    attraction = of.world.slate_attraction(type(of.state)(*(part[users] for part in of.state)), slates)
    np.testing.assert_allclose(draws.mean(0), of.world.clicks.click_prob(attraction), atol=5 * 0.5 / 63)
    assert not draws[:, 1, 2].any()
    assert (draws[:, 0] != draws[:, 2]).any()  # rows are independent, those of one user too


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"slots": 0}, r"slots must be from 1 to 7 \(items\), got 0"),
        ({"slots": 2, "examination": np.ones(3)}, r"examination must hold 2 probabilities \(slots\) above 0"),
        ({"examination": np.array([np.nan])}, "examination must hold 1 probabilities"),
        ({"penalty": 0.0}, "penalty must be above 0"),
        ({"inflation": 0.0}, "inflation must be above 0"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(InputError, match=message):
        SharedLinTS(TASTE, **settings)
