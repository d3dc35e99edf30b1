"""Alternating least squares: brute force, planted structure, and the shipped log."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.sparse import csr_array

from recsim_env.errors import InputError
from recsim_env.evaluation.ranking import ndcg, top_k
from recsim_env.simulators.calibration import interest_vectors as module
from recsim_env.simulators.calibration.interest_vectors import (
    fit_interest_vectors,
    mean_rank,
    objective,
    solve_rows,
)
from recsim_env.simulators.datasets import read_interactions
from recsim_env.simulators.log import Log
from recsim_env.simulators.splits import leave_last_basket_out


def _log(counts: np.ndarray) -> Log:
    user, item = np.nonzero(counts)
    times = counts[user, item]
    user, item = np.repeat(user, times), np.repeat(item, times)
    return Log.from_interactions(user, item, np.arange(len(user)))


def _counts(U: int, N: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.7, (U, N))
    counts[:, 0] = 1  # nobody is silent
    return counts


def _dense(
    counts: np.ndarray, alpha: float, lam: float, full_user: np.ndarray, full_item: np.ndarray
) -> float:
    """F term by term, over all pairs."""
    total = 0.0
    for u, row in enumerate(counts):
        for i, r in enumerate(row):
            total += (1 + alpha * r) * (float(r > 0) - full_user[u] @ full_item[i]) ** 2
    return total + lam * float((full_user[:, :-1] ** 2).sum() + (full_item**2).sum())


def _extra(counts: np.ndarray, alpha: float) -> csr_array:
    return csr_array(alpha * counts.astype(float))


def test_the_objective_is_its_sum_over_all_pairs() -> None:
    counts, rng = _counts(7, 5, 0), np.random.default_rng(1)
    full_user = np.append(rng.normal(size=(7, 3)), np.ones((7, 1)), axis=1)
    full_item = rng.normal(size=(5, 4))
    wanted = _dense(counts, 0.7, 1.3, full_user, full_item)
    assert_allclose(objective(_extra(counts, 0.7), full_user, full_item, 1.3), wanted)


@pytest.mark.parametrize("cells", [1, 100, 2**21])
def test_a_row_is_the_dense_weighted_least_squares_solution(
    cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH_CELLS", cells)
    counts, rng = _counts(9, 12, 2), np.random.default_rng(3)
    counts[4] = 0  # a row without clicks has a solution as well
    item, bias = rng.normal(size=(12, 3)), rng.normal(size=12)
    solved = solve_rows(_extra(counts, 0.7), item, bias, 1.3)
    for u, row in enumerate(counts):
        root = np.sqrt(1 + 0.7 * row)
        rows = np.append(root[:, None] * item, np.sqrt(1.3) * np.eye(3), axis=0)
        target = np.append(root * ((row > 0) - bias), np.zeros(3))
        assert_allclose(solved[u], np.linalg.lstsq(rows, target)[0], atol=1e-10)


def test_the_objective_never_rises_and_the_curve_is_the_objective() -> None:
    counts = _counts(30, 20, 4)
    for alpha, lam, D in ((0.3, 10.0, 4), (40.0, 0.1, 20), (0.01, 1e-3, 1)):
        fit = fit_interest_vectors(
            _log(counts), D, alpha=alpha, regularization=lam, held_out=0, max_sweeps=40, tolerance=0
        )
        assert (np.diff(fit.learning_curve) <= 1e-12).all()
        full_user = np.append(fit.user, np.ones((30, 1)), axis=1)
        full_item = np.append(fit.item, fit.item_bias[:, None], axis=1)
        assert_allclose(fit.learning_curve[-1], _dense(counts, alpha, lam, full_user, full_item) / 600)
        assert np.isnan(fit.held_out_loss)
        assert fit.held_out_pairs == 0


def test_it_reaches_a_minimum_that_gradient_descent_finds_too() -> None:
    counts, D = _counts(6, 5, 5), 2
    fit = fit_interest_vectors(
        _log(counts), D, alpha=0.5, regularization=0.4, held_out=0, max_sweeps=2000, tolerance=1e-14
    )
    assert fit.converged

    def f(flat: np.ndarray) -> float:
        full_user = np.append(flat[: 6 * D].reshape(6, D), np.ones((6, 1)), axis=1)
        return _dense(counts, 0.5, 0.4, full_user, flat[6 * D :].reshape(5, D + 1))

    rng = np.random.default_rng(6)
    found = [minimize(f, rng.normal(size=6 * D + 5 * (D + 1))).fun for _ in range(5)]
    assert_allclose(fit.learning_curve[-1] * 30, min(found), rtol=1e-4)


def test_planted_tastes_are_recovered() -> None:
    rng = np.random.default_rng(7)
    U, N = 200, 60
    taste, kind = rng.integers(0, 3, U), rng.integers(0, 3, N)
    chance = np.where(taste[:, None] == kind, 0.5, 0.02)
    counts = (rng.random((U, N)) < chance).astype(int)
    counts[np.arange(U), [np.flatnonzero(kind == t)[0] for t in taste]] = 1
    fit = fit_interest_vectors(_log(counts), 3, num_items=N, held_out=0.2)
    assert fit.converged
    assert fit.held_out_pairs > 400
    # nearly all held-out pairs are of the user's kind, one third of the items
    assert fit.held_out_loss < 0.22 < 0.35 < fit.popularity_loss
    score = fit.scores(np.arange(U))
    mine = taste[:, None] == kind
    assert (score[mine].mean() - score[~mine].mean()) > 3 * score[~mine].std()
    within = np.mean([np.corrcoef(score[u], chance[u])[0, 1] for u in range(U)])
    assert within > 0.85


def test_popularity_goes_to_the_bias_where_all_are_alike() -> None:
    rng = np.random.default_rng(8)
    chance = np.linspace(0.05, 0.9, 30)
    counts = (rng.random((500, 30)) < chance).astype(int)
    counts[:, -1] = 1
    fit = fit_interest_vectors(_log(counts), 2, alpha=1e-6, regularization=50.0, held_out=0)
    assert np.corrcoef(fit.item_bias, counts.mean(axis=0))[0, 1] > 0.99
    assert np.abs(fit.user @ fit.item.T).mean() < 0.1 * fit.item_bias.mean()


def test_mean_rank_by_hand() -> None:
    # user 0 clicked item 0 in the fit; candidates 1, 2, 3 score 5, 5, 1; user 1 clicked nothing
    extra = csr_array(np.array([[1.0, 0, 0, 0], [0, 0, 0, 0]]))
    item = np.array([[9.0], [5.0], [5.0], [1.0]])
    pairs = (np.array([0, 1, 0]), np.array([1, 3, 3]))
    wanted = [0.5 / 2, 3 / 3, 2 / 2]
    assert_allclose(mean_rank(extra, pairs, np.ones((2, 1)), item), np.mean(wanted))


def test_users_keep_their_ids_and_items_nobody_clicked_get_nothing() -> None:
    log = Log.from_interactions(np.array([7, 3, 7, 3]), np.array([0, 2, 2, 0]), np.arange(4))
    fit = fit_interest_vectors(log, 1, num_items=4)
    assert_array_equal(fit.user_ids, [3, 7])
    assert fit.user.shape == (2, 1)
    assert_array_equal(fit.item[[1, 3]], 0)
    assert_array_equal(fit.item_bias[[1, 3]], 0)
    assert fit.scores(np.array([1])).shape == (1, 4)


def test_the_same_seed_gives_the_same_vectors_and_another_as_good_ones() -> None:
    log = _log(_counts(40, 25, 9))
    one, same, other = (
        fit_interest_vectors(log, 4, seed=seed, held_out=0, tolerance=1e-8) for seed in (0, 0, 1)
    )
    assert_array_equal(one.user, same.user)
    assert (one.user != other.user).all()
    assert_allclose(one.learning_curve[-1], other.learning_curve[-1], rtol=1e-3)


@pytest.mark.slow
def test_the_grocery_figures_in_the_docstring() -> None:
    data = read_interactions("complete-journey")
    log, N = data.log, data.num_items
    key = log.user * N + log.slate[:, 0]
    pairs = np.unique(key)
    chosen = pairs[np.random.default_rng(0).random(len(pairs)) < 0.1]
    hidden = np.isin(key, chosen)
    train = Log(log.user[~hidden], log.time[~hidden], log.slate[~hidden], log.clicked[~hidden])
    fit = fit_interest_vectors(train, 16, num_items=N, held_out=0)
    assert fit.converged
    new, had = (_table(keys, fit.user_ids, N) for keys in (chosen, np.unique(key[~hidden])))
    learned = ndcg(top_k(fit.scores(np.arange(len(fit.user_ids))), 10, had), new, 10)
    clicks = np.tile(np.bincount(train.slate[:, 0], minlength=N), (len(fit.user_ids), 1))
    popular = ndcg(top_k(clicks, 10, had), new, 10)
    gain = (learned - popular)[~np.isnan(popular)]
    assert gain.mean() > 10 * gain.std() / np.sqrt(len(gain))  # beats popularity among what is new
    assert_allclose([np.nanmean(learned), np.nanmean(popular)], [0.303, 0.228], atol=2e-3)

    held_out = leave_last_basket_out(log)
    fit = fit_interest_vectors(held_out.train, 16, num_items=N)
    assert_allclose([fit.held_out_loss, fit.popularity_loss], [0.160, 0.195], atol=2e-3)
    rows = np.searchsorted(fit.user_ids, held_out.user)
    learned = ndcg(top_k(fit.scores(rows), 10), held_out.relevant, 10)
    clicks = np.tile(np.bincount(held_out.train.slate[:, 0], minlength=N), (len(rows), 1))
    popular = ndcg(top_k(clicks, 10), held_out.relevant, 10)
    assert_allclose([learned.mean(), popular.mean()], [0.150, 0.166], atol=2e-3)  # and not where all may come


def _table(keys: np.ndarray, user_ids: np.ndarray, N: int) -> np.ndarray:
    """(U, M) the items of each user, padded with -1 on the right, of keys user N + item."""
    row, item = np.searchsorted(user_ids, keys // N), keys % N
    count = np.bincount(row, minlength=len(user_ids))
    table = np.full((len(user_ids), count.max()), -1)
    table[row, np.arange(len(row)) - (np.cumsum(count) - count)[row]] = item
    return table


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dimension": 0}, "dimension must be from 1 to 4, for 6 users and 4 items, got 0"),
        ({"dimension": 5}, "dimension must be from 1 to 4"),
        ({"alpha": 0.0}, "alpha must be above 0"),
        ({"regularization": -1.0}, "regularization must be above 0, got -1.0"),
        ({"held_out": 1.0}, r"held_out must be in \[0, 1\), got 1.0"),
        ({"max_sweeps": 0}, "max_sweeps must be 1 or more"),
        ({"tolerance": -1.0}, "tolerance must be 0 or more"),
        ({"num_items": 3}, r"log shows item 3, but num_items = 3 \(0-2\)"),
    ],
)
def test_bad_options(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_interest_vectors(_log(np.ones((6, 4), int)), **{"dimension": 2, **change})


def test_bad_logs() -> None:
    with pytest.raises(InputError, match="needs two users and two items or more, got 1 and 4"):
        fit_interest_vectors(_log(np.ones((1, 4), int)), 1)
    with pytest.raises(InputError, match="needs two users and two items or more, got 3 and 1"):
        fit_interest_vectors(_log(np.ones((3, 1), int)), 1)
    slate = np.array([[0, 1], [0, 1], [1, 2]])
    clicked = np.array([[True, False], [False, False], [False, True]])
    log = Log(np.array([2, 5, 9]), np.zeros(3), slate, clicked)
    with pytest.raises(
        InputError, match="user 5 clicks nothing in the log, as 1 of 3 users do: leave them out"
    ):
        fit_interest_vectors(log, 1)
    with pytest.raises(InputError, match="log must hold a click, got none"):
        fit_interest_vectors(Log(np.array([2]), np.zeros(1), slate[:1], clicked[1:2]), 1)
