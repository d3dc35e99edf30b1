"""How readily items are discovered: by hand, by a general optimiser, and out of simulated orders."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

from recsim_env.arrays import Floats
from recsim_env.simulators.calibration import fit_discovery, histories_of
from recsim_env.simulators.calibration.discovery import PSEUDO_DISCOVERIES
from recsim_env.simulators.log import Log
from recsim_env.user_models.choices import PlackettLuce


def _log(rows: list[tuple[int, float, int]]) -> Log:
    user, time, item = zip(*rows, strict=True)
    return Log.from_interactions(np.array(user), np.array(item), np.array(time))


def _plain_log_posterior(log: Log, weight: dict[int, float]) -> float:
    """Of unscaled weights: each user's baskets of new items (ties by Efron), and the prior."""
    N = len(weight)
    total = sum(
        PSEUDO_DISCOVERIES * math.log(p) - PSEUDO_DISCOVERIES * N * p for p in weight.values()
    )  # of Gamma(1 + a, a N), but for constants
    for user in np.unique(log.user).tolist():
        mine, known = log.user == user, set()
        for now in np.unique(log.time[mine]).tolist():
            new = set(log.slate[mine & (log.time == now), 0].tolist()) - known
            unknown = sum(p for item, p in weight.items() if item not in known)
            together = sum(weight[item] for item in new)
            total += sum(math.log(weight[item]) for item in new)
            total -= sum(math.log(unknown - place / len(new) * together) for place in range(len(new)))
            known |= new
    return total


def _few(seed: int) -> Log:
    """Baskets of one to three of seven items, some had before."""
    rng = np.random.default_rng(seed)
    return _log(
        [
            (user, float(time), int(item))
            for user in range(4)
            for time in range(4)
            for item in rng.choice(7, rng.integers(1, 4), replace=False, p=np.arange(1, 8) / 28)
        ]
    )


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_maximum_that_a_general_optimiser_finds(seed: int) -> None:
    log = _few(seed)
    found = fit_discovery(histories_of(log))
    items = found.item_id.tolist()

    def loss(x: Floats) -> float:
        return -_plain_log_posterior(log, dict(zip(items, np.exp(x).tolist(), strict=True)))

    best = minimize(loss, np.zeros(len(items)), method="BFGS", options={"gtol": 1e-7})
    assert found.converged
    assert_allclose(found.weight.sum(), 1.0)
    assert_allclose(found.weight, np.exp(best.x), rtol=1e-4)  # also in scale, which the prior fixes


def test_who_is_met_first_by_all_does_not_take_everything() -> None:
    found = fit_discovery(histories_of(_log([(u, float(t), t) for u in range(50) for t in range(3)])))
    assert found.converged
    assert (np.diff(found.weight) < 0.0).all()
    assert found.weight.min() > 0.0


@pytest.mark.parametrize("seed", range(20))
def test_repeats_tell_nothing_and_neither_does_the_order_in_a_basket(seed: int) -> None:
    log = _few(seed)
    again = Log.sorted(
        user=np.append(log.user, log.user),
        time=np.append(log.time, log.time + 100.0),
        slate=np.append(log.slate, log.slate, axis=0),
        clicked=np.append(log.clicked, log.clicked, axis=0),
    )
    turned = Log.from_interactions(log.user[::-1], log.slate[::-1, 0], log.time[::-1])
    for other in (again, turned):
        one, same = fit_discovery(histories_of(log)), fit_discovery(histories_of(other))
        assert_allclose(one.weight, same.weight, rtol=1e-5)


def test_weights_are_recovered_where_counts_of_users_saturate() -> None:
    N, U, met = 40, 400, 20
    truth = np.arange(1, N + 1) ** -1.0
    truth /= truth.sum()
    u = np.random.default_rng(5).random((U, N))
    order = PlackettLuce().rank(np.tile(np.log(truth), (U, 1)), u)[:, :met]  # half of all items, in order
    log = Log.from_interactions(np.repeat(np.arange(U), met), order.ravel(), np.tile(np.arange(met), U))
    found = fit_discovery(histories_of(log))
    assert_array_equal(found.item_id, np.arange(N))
    counts = np.bincount(order.ravel())
    assert np.polyfit(np.log(truth), np.log(found.weight), 1)[0] == pytest.approx(1.0, abs=0.03)
    assert np.polyfit(np.log(truth), np.log(counts), 1)[0] < 0.6
    # an item that n users met has a relative error near 1 / sqrt(n)
    assert (np.abs(np.log(found.weight / truth)) < 5.0 / np.sqrt(counts)).all()


def test_relative_weights_are_one_on_average_and_least_for_strangers() -> None:
    found = fit_discovery(histories_of(_log([(0, 0.0, 9), (0, 1.0, 4), (1, 0.0, 9), (1, 1.0, 30)])))
    assert_array_equal(found.item_id, [4, 9, 30])
    assert_allclose(found.relative(found.item_id).mean(), 1.0)
    assert_allclose(found.relative(np.array([[9, 5], [99, -1]])), 3 * np.array([
        [found.weight[1], found.weight.min()], [found.weight.min(), found.weight.min()]
    ]))  # fmt: skip


def test_everyone_who_met_everything() -> None:
    rows = [(u, float(t), (u + t) % 5) for u in range(5) for t in range(5)]
    found = fit_discovery(histories_of(_log(rows)))
    assert_allclose(found.weight, 0.2)
    assert_allclose(fit_discovery(histories_of(_log([(0, 0.0, 3)]))).weight, 1.0)
