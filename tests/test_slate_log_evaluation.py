"""A log of slates in one call: what its parts are, the truth, and bad input."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.tree import DecisionTreeRegressor

from recsim_env.arrays import Array
from recsim_env.errors import InputError
from recsim_env.evaluation.off_policy import (
    cascade_dr,
    draw_folds,
    fit_cascade_q,
    iips,
    plackett_luce_marginals,
    plackett_luce_slot_prob,
    position_weights,
    prefix_weights,
    q_of_log,
    rips,
    sips,
    slate_weights,
)
from recsim_env.simulators.log import Log
from recsim_env.simulators.slate_log_evaluation import slate_off_policy_values as values

N, K = 5, 3
LOGGING, TARGET = np.array([0.8, 0.4, 0.0, -0.4, -0.8]), np.array([-0.5, 0.0, 0.9, 0.3, 0.2])
ATTRACTION = np.array([0.1, 0.3, 0.7, 0.5, 0.2])


def log_prob(logits: Array, slate: Array) -> Array:
    prob = plackett_luce_slot_prob(logits, slate)
    return np.log(np.take_along_axis(prob, slate[:, :, None], axis=2)[:, :, 0])


def a_log(rows: int = 4000, seed: int = 0, **without: None) -> Log:
    """Plackett-Luce lists, and users who click like a cascade: one click at most, from the top."""
    rng = np.random.default_rng(seed)
    slate = np.argsort(-(LOGGING + rng.gumbel(size=(rows, N))), axis=1)[:, :K]
    attracted = rng.random((rows, K)) < ATTRACTION[slate]
    clicked = attracted & (attracted.cumsum(axis=1) == 1)
    columns: dict[str, Any] = {"slot_log_propensity": log_prob(LOGGING, slate)} | without
    return Log(np.sort(rng.integers(0, rows // 4, rows)), np.arange(rows), slate, clicked, **columns)


def truth() -> float:
    from itertools import permutations

    slate = np.array(list(permutations(range(N), K)))
    clicks = 1 - np.prod(1 - ATTRACTION[slate], axis=1)
    return float(np.exp(log_prob(TARGET, slate).sum(axis=1)) @ clicks)


def test_it_is_what_its_parts_are() -> None:
    log = a_log(600)
    reward, users = log.clicked.astype(float), {"groups": log.user}
    logged, target = log.require("slot_log_propensity"), log_prob(TARGET, log.slate)
    positions = position_weights(*(plackett_luce_marginals(p, K) for p in (TARGET, LOGGING)), log.slate)
    prob = plackett_luce_slot_prob(TARGET, log.slate)
    tree, context = DecisionTreeRegressor(max_depth=2, random_state=0), np.arange(1200.0).reshape(600, 2)
    found = values(
        log, slot_target=prob, position_weight=positions, model=tree, context=context, folds=4, seed=2
    )
    q = fit_cascade_q(
        log.slate, reward, prob, tree, context=context, fold=draw_folds(600, 4, seed=2, groups=log.user)
    )
    prefix = prefix_weights(target, logged)
    expected = {
        "sips": sips(reward, slate_weights(target, logged), **users),
        "rips": rips(reward, prefix, **users),
        "iips": iips(reward, positions, **users),
        "cascade_dr": cascade_dr(reward, prefix, *q_of_log(q, prob, log.slate), **users),
    }
    assert list(found) == ["sips", "snsips", "rips", "snrips", "iips", "sniips", "cascade_dr"]
    for name, estimate in expected.items():
        assert found[name].value == pytest.approx(estimate.value, rel=1e-12), name
        assert found[name].std_error == pytest.approx(estimate.std_error, rel=1e-9), name
    assert found.logged.value == pytest.approx(log.clicked.sum(axis=1).mean())
    shown = values(log, target)
    assert list(shown) == ["sips", "snsips", "rips", "snrips"]
    assert shown["sips"].value == pytest.approx(found["sips"].value, rel=1e-12)
    assert str(shown).splitlines()[1].startswith("the log's mean")
    apart = values(log, target, by_user=False)
    assert (shown["rips"].count, apart["rips"].count) == (len(np.unique(log.user)), 600)


def test_the_truth_is_found_by_those_who_should() -> None:
    log, value = a_log(20_000), truth()
    positions = position_weights(*(plackett_luce_marginals(p, K) for p in (TARGET, LOGGING)), log.slate)
    found = values(log, slot_target=plackett_luce_slot_prob(TARGET, log.slate), position_weight=positions)
    assert abs(found.logged.value - value) > 10 * found.logged.std_error  # there is something to find
    for name in ("sips", "snsips", "rips", "snrips", "cascade_dr"):
        assert abs(found[name].value - value) < 4 * found[name].std_error, name
        assert found[name].believable, name
    assert abs(found["iips"].value - value) > 5 * found["iips"].std_error  # users are no such users
    assert found["cascade_dr"].std_error < found["rips"].std_error < found["sips"].std_error


def test_means_by_item_and_slot_by_hand() -> None:
    slate, reward = np.array([[0, 1], [1, 0], [0, 1]]), np.array([[1.0, 0], [0, 1], [0, 1]])
    prob = np.tile([[0.5, 0.5], [0.25, 0.75]], (3, 1, 1))
    q = fit_cascade_q(slate, reward, prob)
    np.testing.assert_allclose(q[:, 1], [[1, 0.5]] * 3)
    after = 0.25 * 1 + 0.75 * 0.5
    np.testing.assert_allclose(q[:, 0], [[0.5 + after, 0 + after]] * 3)
    crossed = fit_cascade_q(slate, reward, prob, fold=np.array([0, 1, 1]))
    np.testing.assert_allclose(crossed[0, 1], [1, 1])  # of rows 1 and 2
    np.testing.assert_allclose(crossed[1:, 1], [[0, 0]] * 2)  # of row 0, which does not show item 0 there
    np.testing.assert_allclose(crossed[0, 0], [0 + 1, 0 + 1])


def test_empty_slots_and_rewards_of_slots() -> None:
    log = a_log(300)
    slate = log.slate.copy()
    slate[::3, 2] = -1
    propensity = np.where(slate < 0, 0.0, log.require("slot_log_propensity"))
    short = replace(log, slate=slate, clicked=log.clicked & (slate >= 0), slot_log_propensity=propensity)
    target = np.where(slate < 0, -9.0, log_prob(TARGET, log.slate))  # what stands there does not matter
    found = values(short, target, slot_reward=2.0 * short.clicked)
    weight = prefix_weights(target, propensity, slate=slate)
    assert found["rips"].value == pytest.approx(rips(2.0 * short.clicked, weight).value)
    assert found["sips"].value == pytest.approx(sips(2.0 * short.clicked, weight[:, -1]).value)
    assert found.logged.value == pytest.approx(2 * short.clicked.sum(axis=1).mean())


LOG = a_log(40)
GOOD = log_prob(TARGET, LOG.slate)
PROB = plackett_luce_slot_prob(TARGET, LOG.slate)
NEVER = np.full((40, K, N + 2), 1 / (N + 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: values(LOG), "give slot_log_target, or slot_target in its place"),
        (lambda: values(LOG, GOOD, slot_target=PROB), "give slot_log_target, or slot_targ"),
        (lambda: values(LOG.rows(np.arange(0)), GOOD[:0]), "log must hold a row or more"),
        (
            lambda: values(a_log(40, slot_log_propensity=None), GOOD),
            "log has no slot_log_propensity: log with a policy that states its propensities",
        ),
        (lambda: values(LOG, GOOD[:, :2]), r"must have the shape of log_logging, \(40, 3\)"),
        (lambda: values(LOG, np.exp(GOOD)), r"log_target\[0, 0\] = .* logarithm of a prob"),
        (
            lambda: values(LOG, slot_target=NEVER),
            r"slot_target has no support in the log, which never shows items 5, 6: 28.57% of what",
        ),
        (lambda: values(LOG, slot_target=PROB[..., :3]), r"sum of slot_target\[\d+, \d\]"),
        (lambda: values(LOG, slot_target=2 * PROB), r"slot_target\[\d+, \d, \d\] = 1\.\d+"),
        (lambda: values(LOG, GOOD, slot_reward=np.full((40, 3), np.nan)), r"reward\[0, 0\] = nan"),
        (lambda: values(LOG, GOOD, slot_reward=np.ones(40)), "slot_reward must have shape"),
        (lambda: values(LOG, GOOD, position_weight=np.ones(3)), "slot_weight must have shape"),
        (lambda: values(LOG, slot_target=PROB, context=np.ones((40, 1))), "needs a regressor"),
        (lambda: values(LOG, slot_target=PROB, folds=1), "folds must be an integer from 2"),
        (lambda: fit_cascade_q(LOG.slate, LOG.clicked, PROB, fold=np.zeros(40, int)), "two or more diff"),
    ],
)  # fmt: skip
def test_bad_input(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
