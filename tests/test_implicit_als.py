"""Implicit matrix factorisation: its steps minimise what it says, users need not be known."""

import numpy as np
import pytest
from scipy.optimize import minimize

from recsim_env.agents.baselines.implicit_als import ImplicitALSRecommender
from recsim_env.agents.recommender import recommend
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log


def log(seed=0, users=30, num_items=12):
    """Users of two groups, each with half the items."""
    rng = np.random.default_rng(seed)
    half = num_items // 2
    rows = [rng.choice(half, rng.integers(2, 5), replace=False) + half * (u % 2) for u in range(users)]
    user = np.repeat(np.arange(users), [len(row) for row in rows])
    return Log.from_interactions(user, np.concatenate(rows), np.arange(len(user)))


@pytest.mark.parametrize("weighted", [False, True])
def test_vectors_of_users_minimise_the_loss(weighted):
    of = log()
    weights = np.random.default_rng(1).uniform(0.2, 1.5, 30) if weighted else None
    model = ImplicitALSRecommender(dimension=3, sweeps=2, unobserved=0.05, regularisation=0.02, exponent=0.7)
    Q = model.fit(of, weights).items_
    had = np.zeros((30, 12))
    had[of.user, of.slate[:, 0]] = 1.0

    def loss(p, taken):
        held_back = 0.02 * (taken.sum() + 0.05 * 12) ** 0.7
        return (taken * (1 - Q @ p) ** 2).sum() + 0.05 * ((Q @ p) ** 2).sum() + held_back * p @ p

    scores = model.scores(
        np.stack([np.r_[np.full(12 - 2, -1), np.flatnonzero(had[u])[:2]] for u in range(5)])
    )
    for u in range(5):
        taken = np.zeros(12)
        taken[np.flatnonzero(had[u])[:2]] = 1.0
        best = minimize(loss, np.zeros(3), args=(taken,), tol=1e-12).x
        np.testing.assert_allclose(scores[u], Q @ best, atol=1e-5)


def test_every_sweep_lowers_the_loss_of_all():
    of, had = log(), np.zeros((30, 12))
    had[of.user, of.slate[:, 0]] = 1.0
    losses = []
    for sweeps in (1, 2, 4, 8):
        model = ImplicitALSRecommender(dimension=4, sweeps=sweeps, unobserved=0.05, regularisation=0.02)
        Q = model.fit(of).items_
        P = np.linalg.lstsq(Q, model.scores(of_histories(had)).T, rcond=None)[0].T
        error = (had * (1 - P @ Q.T) ** 2).sum() + 0.05 * ((P @ Q.T) ** 2).sum()
        error += 0.02 * ((had.sum(1) + 0.05 * 12) * (P**2).sum(1)).sum()
        error += 0.02 * ((had.sum(0) + 0.05 * 30) * (Q**2).sum(1)).sum()
        losses.append(error)
    assert (np.diff(losses) < 1e-9).all()


def of_histories(had):
    width = int(had.sum(1).max())
    return np.stack([np.r_[np.full(width - int(row.sum()), -1), np.flatnonzero(row)] for row in had])


def test_groups_are_found():
    of = log(users=80)
    model = ImplicitALSRecommender(dimension=4, num_items=13).fit(of)
    lists = recommend(model, np.array([[0, 1], [7, 8]]), 4, mask_history=True)
    assert (lists[0] < 6).all()
    assert ((lists[1] >= 6) & (lists[1] < 12)).all()
    assert not model.scores(np.array([[-1, -1]])).any()


def test_weights_of_0_are_users_who_are_not_there():
    of = log()
    kept = of.rows(of.user < 20)
    without = ImplicitALSRecommender(dimension=3, unobserved=0.05, num_items=12, exponent=0.0).fit(kept)
    with_0 = ImplicitALSRecommender(dimension=3, unobserved=0.05, num_items=12, exponent=0.0).fit(
        of, (np.arange(30) < 20).astype(float)
    )
    np.testing.assert_allclose(with_0.items_, without.items_, atol=1e-10)


@pytest.mark.parametrize("setting", [{"dimension": 0}, {"sweeps": 0}, {"unobserved": 0.0}, {"exponent": 2.0}])
def test_bad_settings(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        ImplicitALSRecommender(**setting).fit(log())
