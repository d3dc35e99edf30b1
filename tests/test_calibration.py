"""The cascading MDP fitted to baskets: recovery, determinism, smoothing, and held-out users."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from recsim_env.arrays import Floats
from recsim_env.errors import InputError
from recsim_env.simulators.calibration import FittedCascadeMDP, fit_cascade_mdp, held_out_gain
from recsim_env.simulators.calibration.baskets import item_vectors, visits_of
from recsim_env.simulators.datasets import read_interactions
from recsim_env.simulators.log import Log

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"
S, N, MARKERS = 3, 4, 40
Q = np.array([[0.7, 0.2, 0.3, 0.25], [0.3, 0.6, 0.25, 0.3], [0.4, 0.35, 0.55, 0.2]])  # (S, N)
MOVES = np.array(  # (2, S, S) where a visit without item 0 leads, and one with it
    [[[0.6, 0.3, 0.1], [0.2, 0.6, 0.2], [0.1, 0.3, 0.6]], [[0.1, 0.1, 0.8], [0.7, 0.2, 0.1], [0.3, 0.5, 0.2]]]
)


def _synthetic(users: int, visits: int, seed: int) -> Log:
    """Baskets of a known MDP: the next state follows item 0, and shows as five of its own 40 markers."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[int, int, int]] = []
    for user in range(users):
        state = rng.integers(S)
        for t in range(visits):
            bought = np.flatnonzero(rng.random(N) < Q[state])
            state = rng.choice(S, p=MOVES[int(0 in bought), state])
            markers = N + state * MARKERS + rng.choice(MARKERS, 5, replace=False)
            rows += [(user, int(item), t) for item in (*bought, *markers)]
    user_, item, time = np.array(rows).T
    return Log.from_interactions(user_, item, time)


@pytest.fixture(scope="module")
def synthetic() -> Log:
    return _synthetic(users=300, visits=40, seed=1)


def _fit(log: Log, **options: float) -> FittedCascadeMDP:
    # the states are told by the markers alone: weight 0 on what the four items say
    settings = {
        "num_items": N,
        "num_states": S,
        "dim": 8,
        "shown_weight": 0.0,
        "prior_visits": 1.0,
        "prior_moves": 1.0,
    }
    return fit_cascade_mdp(log, **(settings | options))  # type: ignore[arg-type]


def test_a_known_mdp_is_recovered(synthetic: Log) -> None:
    fit = _fit(synthetic)
    assert sorted(fit.item_ids.tolist()) == list(range(N))
    by_item = np.argsort(fit.item_ids)
    attraction = fit.attraction[:, by_item]
    order = min(permutations(range(S)), key=lambda p: float(np.abs(attraction[list(p)] - Q).sum()))
    states = list(order)
    visits = fit.visits_in_state[states]
    # 12 binomial shares: 4.5 standard errors, and a little for baskets that k-means puts elsewhere
    assert_allclose(attraction[states], Q, atol=float(4.5 * 0.5 / np.sqrt(visits.min())) + 0.005)
    transition = fit.transition[states][:, [*by_item, N]][:, :, states]  # (S, N+1, S)
    assert_allclose(transition[:, 0], MOVES[1], atol=0.05)
    assert_allclose(transition[:, N], MOVES[0], atol=0.08)  # the rarest: no item at all
    mixed: Floats = Q[:, :1] * MOVES[1] + (1 - Q[:, :1]) * MOVES[0]  # the other items tell nothing
    for a in (1, 2, 3):
        assert_allclose(transition[:, a], mixed, atol=0.08)


def test_the_same_seed_gives_the_same_fit(synthetic: Log) -> None:
    one, two, other = (_fit(synthetic, seed=seed) for seed in (5, 5, 6))
    for name in ("attraction", "transition", "start", "item_ids", "vectors", "centres"):
        assert_array_equal(getattr(one, name), getattr(two, name))
    assert not np.array_equal(one.centres, other.centres)


def test_every_row_is_a_distribution_and_nothing_is_impossible() -> None:
    fit = fit_cascade_mdp(_synthetic(users=12, visits=5, seed=3), num_items=20, num_states=10)
    assert fit.transition.shape == (10, 21, 10)
    assert_allclose(fit.transition.sum(axis=2), 1.0, atol=1e-12)
    assert_allclose(fit.start.sum(), 1.0, atol=1e-12)
    for table in (fit.attraction, fit.transition, fit.start, fit.stateless):
        assert ((table > 0) & (table < 1)).all()
    assert fit.visits_in_state.sum() == 12 * 4  # the first visit of a user has no state


def test_smoothing_by_hand() -> None:
    # one state: two users, three visits each, of which the last two count; item 7 is in 3 of these 4, 8 in 1
    item = [7, 7, 8, 7, 7, 7, 9]
    log = Log.from_interactions(
        np.array([0, 0, 0, 0, 1, 1, 1]), np.array(item), np.array([0, 1, 1, 2, 0, 1, 2])
    )
    fit = fit_cascade_mdp(log, num_items=2, num_states=1, dim=2, prior_visits=4.0)
    assert_array_equal(fit.item_ids, [7, 8])
    stateless = np.array([3.5, 1.5]) / 5.0
    assert_allclose(fit.stateless, stateless)
    assert_allclose(fit.attraction[0], (np.array([3.0, 1.0]) + 4.0 * stateless) / 8.0)
    assert_allclose(fit.transition, 1.0)


def test_visits_are_sets_and_unknown_baskets_are_no_visits() -> None:
    user = np.array([0, 0, 0, 0, 3])
    log = Log.from_interactions(user, np.array([5, 5, 2, 9, 2]), np.array([0, 0, 0, 4, 1]))
    visits = visits_of(log)
    assert_array_equal(visits.user, [0, 0, 3])
    assert_array_equal(visits.baskets.toarray(), [[1, 1, 0], [0, 0, 1], [1, 0, 0]])  # items 2, 5, 9
    assert_array_equal(visits.of_last_visit(np.array([4, 6, 8])), [-1, 4, -1])
    known = visits.restricted_to(np.array([1, 2]))
    assert_array_equal(known.user, [0, 3])
    assert_array_equal(known.baskets.toarray(), [[0, 1], [0, 1]])


def test_item_vectors_rebuild_ppmi_and_both_solvers_agree() -> None:
    rng = np.random.default_rng(0)
    log = Log.from_interactions(rng.integers(0, 60, 900), rng.integers(0, 30, 900), rng.integers(0, 3, 900))
    baskets = visits_of(log).baskets
    together = (baskets.T @ baskets).toarray()
    np.fill_diagonal(together, 0)
    margin = together.sum(axis=1)
    ratio = together * together.sum() / np.outer(margin, margin)
    ppmi = np.maximum(np.log(np.where(ratio > 0, ratio, 1.0)), 0.0)
    values, vectors = np.linalg.eigh(ppmi)
    best = (vectors * np.maximum(values, 0))[:, -8:] @ vectors[:, -8:].T
    for dim in (8, 16):  # 8 goes through the sparse solver, 16 through the dense one
        got = item_vectors(baskets, dim)
        assert got.shape == (30, dim)
        top = np.sort((got**2).sum(axis=0))[-8:]
        assert_allclose(top, np.maximum(values[-8:], 0), atol=1e-9)
    assert_allclose(item_vectors(baskets, 8) @ item_vectors(baskets, 8).T, best, atol=1e-9)


def test_the_state_of_a_basket(synthetic: Log) -> None:
    fit = _fit(synthetic)
    states = [fit.state_of_basket(np.arange(N + s * MARKERS, N + s * MARKERS + 5)) for s in range(S)]
    assert sorted(states) == [0, 1, 2]
    with pytest.raises(InputError, match=r"basket must hold an item that the fit knows, got \[999\]"):
        fit.state_of_basket(np.array([999]))


def test_the_state_tells_nothing_where_there_is_nothing_to_tell() -> None:
    rng = np.random.default_rng(4)
    user, time, item = (
        np.repeat(np.arange(100), 60),
        np.tile(np.repeat(np.arange(20), 3), 100),
        rng.integers(0, 12, 6000),
    )
    gain = held_out_gain(Log.from_interactions(user, item, time), num_items=5, num_states=4)
    assert gain.gain < 2 * gain.std_error


def test_known_gain_and_its_error(synthetic: Log) -> None:
    gain = held_out_gain(synthetic, folds=2, num_items=N, num_states=S, dim=8, shown_weight=0.0)
    assert gain.num_users == 300
    assert gain.num_visits == 300 * 39
    assert gain.gain == pytest.approx(gain.with_state - gain.without)
    start = np.bincount(fit_states(synthetic), minlength=S) / gain.num_visits
    marginal = start @ Q
    exact = (start[:, None] * (Q * np.log(Q / marginal) + (1 - Q) * np.log((1 - Q) / (1 - marginal)))).sum()
    assert abs(gain.gain - exact) < 4 * gain.std_error + 0.002


def fit_states(log: Log) -> np.ndarray:
    """The true last state of every visit but the first ones, read off the markers."""
    markers = log.slate[:, 0] >= N
    visit_user, visit_time = log.user[markers][::5], log.time[markers][::5]
    state = (log.slate[markers, 0][::5] - N) // MARKERS
    assert len(state) == len(np.unique(np.stack([visit_user, visit_time]), axis=1).T)
    return np.asarray(state.reshape(-1, 40)[:, :-1].ravel())


def test_held_out_households_of_the_shipped_log() -> None:
    gain = held_out_gain(read_interactions("complete-journey").log)
    assert gain.gain > 5 * gain.std_error
    assert gain.gain == pytest.approx(0.0676, abs=0.006)  # as in its docstring
    assert gain.std_error == pytest.approx(0.0044, abs=0.001)
    assert gain.num_users == 2436


def test_held_out_customers_of_online_retail() -> None:
    if not (REAL / "online-retail").is_dir():
        pytest.skip("the data set online-retail is not on this machine")
    gain = held_out_gain(read_interactions(REAL / "online-retail").log)
    assert gain.gain > 5 * gain.std_error
    assert gain.gain == pytest.approx(0.467, abs=0.04)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_items": 0}, "num_items must be at least 1, got 0"),
        ({"num_items": 500}, "num_items must be at most 124, the items bought, got 500"),
        ({"num_states": 0}, "num_states must be at least 1, got 0"),
        ({"prior_moves": 0.0}, "prior_moves must be positive, got 0.0"),
        ({"prior_visits": float("nan")}, "prior_visits must be positive, got nan"),
    ],
)
def test_options_out_of_range(synthetic: Log, options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _fit(synthetic, **options)


def test_logs_that_cannot_be_fitted() -> None:
    once = Log.from_interactions(np.arange(30), np.arange(30) % 6, np.zeros(30))
    with pytest.raises(InputError, match="two visits or more"):
        fit_cascade_mdp(once, num_items=3, num_states=2)
    with pytest.raises(
        InputError, match="num_states must be at most 4, the number of different basket vectors, got 20"
    ):
        fit_cascade_mdp(once, num_items=3)
    with pytest.raises(InputError, match="this log has none"):
        fit_cascade_mdp(Log(once.user, once.time, once.slate, ~once.clicked))
    with pytest.raises(InputError, match="folds must be from 2 to the number of users, 30, got 1"):
        held_out_gain(once, folds=1)
