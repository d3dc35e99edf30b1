"""Hyper-parameters chosen by SLOPE, policies by estimates; cross-fitted models; a Log in one call."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from recsim_env.arrays import Array
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate
from recsim_env.evaluation.off_policy import (
    believable_slope,
    candidate_cuts,
    clipped_ips,
    cross_fit,
    doubly_robust,
    doubly_robust_optimistic_shrinkage,
    draw_folds,
    ips,
    model_values,
    policy_selection,
    slope,
    switch_doubly_robust,
)
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_evaluation import ESTIMATORS, off_policy_values


def estimate(value: float, half: float) -> Estimate:
    return Estimate(value, half / 1.96, bounds=(value - half, value + half))


def test_slope_by_hand() -> None:
    # 1.4 agrees: |1.4 - 1| <= 0.25 + 1.449 * 1 and |1.4 - 1.05| <= 0.25 + 1.449 * 0.5 = 0.97;
    # 2.4 agrees with the first, 1.4 <= 0.1 + 1.449, but not with the second: 1.35 > 0.1 + 0.72.
    first, second, third, fourth = (
        estimate(1, 1),
        estimate(1.05, 0.5),
        estimate(1.4, 0.25),
        estimate(2.4, 0.1),
    )
    assert slope([first, second, third, fourth]) == 2
    assert slope([fourth, third, first, second]) == 1  # in any order
    assert slope([first, fourth]) == 1
    assert slope([first]) == 0
    warned = replace(third, warnings=("biased",))
    assert believable_slope([first, second, warned, replace(fourth, warnings=("biased",))]) == 1
    assert believable_slope([warned]) == 0
    # once one has failed the rule stops, even where a later one would agree
    assert slope([first, estimate(9, 0.5), third]) == 0
    edge = np.sqrt(6) - 1 + 0.5
    assert slope([estimate(0, 1), estimate(edge - 1e-12, 0.5)]) == 1
    assert slope([estimate(0, 1), estimate(edge + 1e-12, 0.5)]) == 0


def squared_errors(logging: Array, target: Array, mean: Array, rows: int) -> tuple[Array, Array, Array]:
    """Of ten clips of the weights, (runs, 10), and of the clips that the two rules choose, (runs,)."""
    rng = np.random.default_rng(0)
    clips = np.geomspace(1, (target / logging).max(), 10)
    every, published, believable = [], [], []
    for _ in range(150):
        action = rng.choice(len(target), rows, p=logging)
        reward = (rng.random(rows) < mean[action]).astype(np.float64)
        weight = target[action] / logging[action]
        candidates = [clipped_ips(reward, weight, clip=float(clip)) for clip in clips]
        every.append([float((c.value - target @ mean) ** 2) for c in candidates])
        published.append(every[-1][slope(candidates)])
        believable.append(every[-1][believable_slope(candidates)])
    return np.array(every), np.array(published), np.array(believable)


def test_slope_avoids_the_variance_of_few_heavy_weights() -> None:
    logging = np.array([0.0005] * 5 + [0.0665] * 15)
    every, *chosen = squared_errors(logging, np.full(20, 0.05), np.linspace(0.8, 0.2, 20), 100)
    mse = every.mean(axis=0)
    assert mse[-1] > 4.5 * mse.min()  # without a clip
    for errors in chosen:
        assert errors.mean() < 1.25 * mse.min()


def test_believable_slope_avoids_the_bias_that_slope_takes() -> None:
    logging, target = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.1, 0.2, 0.3, 0.4])
    every, published, believable = squared_errors(logging, target, np.array([0.1, 0.3, 0.5, 0.7]), 1000)
    mse = every.mean(axis=0)
    assert believable.mean() < 1.1 * mse.min()
    assert published.mean() > 10 * believable.mean()


def test_candidate_cuts() -> None:
    weight = np.array([0.0, 1, 2, 9])
    cuts = candidate_cuts(weight, 3)
    np.testing.assert_allclose(cuts, [3, np.sqrt(27), 9])
    np.testing.assert_array_equal(candidate_cuts(np.ones(5)), [1])
    reward = np.array([1.0, 0, 1, 1])
    assert clipped_ips(reward, weight, clip=cuts[-1]) == ips(reward, weight)


def test_policy_selection_by_hand() -> None:
    truth = {"a": 0.5, "b": 0.4, "c": 0.3, "d": 0.2}
    found = policy_selection({"a": estimate(0.3, 1), "b": 0.4, "c": 0.6, "d": 0.1}, truth)
    assert found.policy == ("c", "b", "a", "d")
    assert [found.regret(k) for k in (1, 2, 3)] == pytest.approx([0.2, 0.1, 0.0])
    assert found.relative_regret() == pytest.approx(0.4)
    assert found.kendall_tau == pytest.approx(0.0)  # 3 of 6 pairs agree, 3 do not
    assert found.rmse == pytest.approx(np.sqrt((0.04 + 0 + 0.09 + 0.01) / 4))
    text = str(found)
    assert text.splitlines()[1].split() == ["c", "0.6", "0.3", "3"]
    assert "regret@1 0.2, regret@3 0 (@1: 40.0% of the best), Kendall tau 0.000, RMSE 0.1871" in text
    assert policy_selection(truth, truth).kendall_tau == pytest.approx(1)


def test_ties_are_not_praised() -> None:
    truth = {"a": 0.5, "b": 0.4, "c": 0.3}
    flat = policy_selection(dict.fromkeys(truth, 1.0), truth)
    assert flat.policy == ("c", "b", "a")
    assert flat.regret() == pytest.approx(0.2)
    assert np.isnan(flat.kendall_tau)
    tied = policy_selection({"a": 1.0, "b": 1.0, "c": 0.0}, truth)
    assert tied.kendall_tau == pytest.approx(stats.kendalltau([1, 1, 0], [3, 2, 1]).statistic)
    assert tied.kendall_tau == pytest.approx(2 / np.sqrt(2 * 3))  # tau-b: 2 pairs, 1 tied of 3


def test_folds() -> None:
    fold = draw_folds(11, 3, seed=1)
    assert sorted(np.bincount(fold)) == [3, 4, 4]
    np.testing.assert_array_equal(fold, draw_folds(11, 3, seed=1))
    assert (fold != draw_folds(11, 3, seed=2)).any()
    user = np.repeat([5, 9, 7, 1], 3)
    by_user = draw_folds(12, 2, groups=user)
    assert all(len(set(by_user[user == u])) == 1 for u in user)
    assert np.bincount(by_user).tolist() == [6, 6]


def test_cross_fit_by_hand() -> None:
    reward = np.array([1.0, 0, 4, 6, 8, 2])
    action = np.array([0, 0, 1, 0, 1, 0])
    fold = np.array([0, 0, 0, 1, 1, 1])
    q = cross_fit(reward, action, fold, 3)
    np.testing.assert_allclose(q[:3], [[4, 8, 16 / 3]] * 3)  # means of the second fold, action 2 unseen
    np.testing.assert_allclose(q[3:], [[0.5, 4, 5 / 3]] * 3)
    values = model_values(q, action, np.array([0.5, 0.25, 0.25]))
    np.testing.assert_allclose(values.logged, [4, 4, 8, 0.5, 4, 0.5])
    np.testing.assert_allclose(values.target[0], 2 + 2 + 4 / 3)
    placed = cross_fit(reward, action, fold, 2, position=np.array([0, 0, 1, 0, 1, 0]))
    np.testing.assert_allclose(placed, [[4, 4], [4, 4], [8, 8], [0.5, 0.5], [4, 4], [0.5, 0.5]])


def test_cross_fit_with_scikit_learn_models() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    context, action = rng.normal(size=(600, 2)), rng.integers(0, 3, 600)
    slopes = np.array([[1, 0], [0, 2], [-1, 1.0]])
    reward = (slopes[action] * context).sum(axis=1) + action
    fold = draw_folds(600)
    model = linear_model.LinearRegression()
    q = cross_fit(reward, action, fold, 3, model=model)  # one-hot actions alone: their means
    np.testing.assert_allclose(q, cross_fit(reward, action, fold, 3), atol=1e-9)
    assert not hasattr(model, "coef_")  # it was cloned
    interactions = np.hstack([context * (action == a)[:, None] for a in range(3)])
    assert np.abs(cross_fit(reward, action, fold, 3, model=model, context=interactions)[
        np.arange(600), action
    ] - reward).max() < 1e-9  # fmt: skip
    classifier = linear_model.LogisticRegression()
    never = np.where(fold == 0, reward > 1, False).astype(float)  # no reward outside fold 0
    q = cross_fit(never, action, fold, 3, model=classifier, context=context)
    assert (q[fold == 0] == 0).all()
    assert (q[fold == 1] > 0).all()


def test_cross_fitting_takes_out_the_bias_of_judging_what_one_taught() -> None:
    rng = np.random.default_rng(0)
    target = np.full(40, 1 / 40)
    own, crossed = [], []
    for _ in range(400):
        action = rng.integers(0, 40, 80)
        reward = (rng.random(80) < 0.5).astype(np.float64)
        weight = np.ones(80)
        for fold, values in ((draw_folds(80), crossed), (None, own)):
            if fold is None:
                count = np.maximum(np.bincount(action, minlength=40), 1)
                table = np.bincount(action, reward, 40) / count  # mean rewards, 0 where never shown
                q = np.tile(table, (80, 1))
            else:
                q = cross_fit(reward, action, fold, 40)
            values.append(doubly_robust(reward, weight, *model_values(q, action, target)).value)
    error = np.std(crossed) / 20
    assert abs(np.mean(crossed) - 0.5) < 4 * error
    assert abs(np.mean(own) - 0.5) > 10 * error


def a_log(rows: int = 3000, seed: int = 0, **without: None) -> tuple[Log, Array, Array]:
    """A log of slates of one item, the distribution of its policy, and the items' mean rewards."""
    rng = np.random.default_rng(seed)
    logging, mean = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.1, 0.3, 0.5, 0.7])
    item = rng.choice(4, rows, p=logging)
    clicked = rng.random(rows) < mean[item]
    columns: dict[str, Any] = {
        "reward": clicked.astype(np.float64),
        "log_propensity": np.log(logging[item]),
    } | without
    user = np.sort(rng.integers(0, rows // 5, rows))
    return Log(user, np.arange(rows), item[:, None], clicked[:, None], **columns), logging, mean


def test_log_in_one_call() -> None:
    log, logging, mean = a_log()
    target = np.array([0.1, 0.2, 0.3, 0.4])
    values = off_policy_values(log, target, logging_probability=logging)
    assert tuple(values) == ESTIMATORS
    for name, found in values.items():
        if name == "direct_method":  # whose standard error takes the model as right
            assert abs(found.value - target @ mean) < 4 * values["doubly_robust"].std_error
            assert "does not hold: the interval is too short" in found.warnings[0]
        else:
            assert abs(found.value - target @ mean) < 4 * found.std_error, name
            assert found.believable, name
    weight = target[log.slate[:, 0]] / logging[log.slate[:, 0]]
    assert values["ips"].value == pytest.approx(ips(log.reward, weight).value, rel=1e-12)
    assert values["ips"].count == len(np.unique(log.user))
    assert off_policy_values(log, target, ["ips"], by_user=False)["ips"].count == len(log)
    lines = str(values).splitlines()
    assert len(lines) == 2 + len(ESTIMATORS) + 1
    assert lines[-1].startswith("NOT TO BE BELIEVED (1): the errors of the model move")
    assert lines[1].startswith("the log's mean  ")
    assert lines[2].startswith("ips  ")
    assert values.logged.value == log.require("reward").mean()


def test_log_in_one_call_is_what_its_parts_are() -> None:
    log, logging, _ = a_log(400, 3)
    target, reward, item = np.array([0.1, 0.2, 0.3, 0.4]), log.require("reward"), log.slate[:, 0]
    position = np.arange(400) % 2
    weight = target[item] / logging[item]
    fold = draw_folds(400, 4, seed=5, groups=log.user)  # a user stays in one fold
    q = cross_fit(reward, item, fold, 4, position=position)
    columns = reward, weight, *model_values(q, item, target)
    found = off_policy_values(log, target, folds=4, seed=5, position=position)
    expected = doubly_robust(*columns, groups=log.user)
    assert found["doubly_robust"].value == pytest.approx(expected.value, rel=1e-12)
    assert found["doubly_robust"].std_error == pytest.approx(expected.std_error, rel=1e-9)


def test_cuts_in_one_call_are_chosen_by_believable_slope() -> None:
    log, logging, _ = a_log(100)
    target, reward, item = np.array([0.01, 0.01, 0.01, 0.97]), log.require("reward"), log.slate[:, 0]
    weight, users = target[item] / logging[item], {"groups": log.user}
    q = cross_fit(reward, item, draw_folds(100, groups=log.user), 4)
    columns, cuts = (reward, weight, *model_values(q, item, target)), candidate_cuts(weight)
    squares = [*cuts**2, np.inf]
    candidates = {
        "clipped_ips": [clipped_ips(reward, weight, clip=c, **users) for c in cuts],
        "switch_doubly_robust": [switch_doubly_robust(*columns, threshold=c, **users) for c in cuts],
        "doubly_robust_optimistic_shrinkage": [
            doubly_robust_optimistic_shrinkage(*columns, shrinkage=c, **users) for c in squares
        ],
    }
    found = off_policy_values(log, target, list(candidates))
    for name, estimates in candidates.items():
        chosen = believable_slope(estimates)
        assert chosen < len(estimates) - 1  # something is cut, or this would test nothing
        assert found[name].value == pytest.approx(estimates[chosen].value, rel=1e-9), name
        assert found[name].warnings == estimates[chosen].warnings, name


def test_probabilities_of_one_up_to_rounding() -> None:
    log, _, _ = a_log(200)
    exact = off_policy_values(log, np.array([0, 0, 0, 1.0]), ["ips"])["ips"]
    rounded = off_policy_values(log, np.array([0, 0, 0, 1 + 1e-7]), ["ips"])["ips"]
    assert rounded.value == pytest.approx(exact.value, rel=1e-6)


def test_believable_estimates_cover_the_truth() -> None:
    target = np.array([0.1, 0.2, 0.3, 0.4])
    covered: dict[str, list[bool]] = {name: [] for name in ESTIMATORS}
    for seed in range(60):
        log, _, mean = a_log(1000, seed)
        for name, found in off_policy_values(log, target).items():
            low, high = found.interval
            if found.believable:
                covered[name].append(bool(low <= target @ mean <= high))
    assert not covered.pop("direct_method")  # its interval would cover 1 in 13
    for name, runs in covered.items():
        assert len(runs) > 50, name
        assert np.mean(runs) > 0.86, name  # of 0.95, within three standard errors


def test_log_of_a_certain_policy_and_replay() -> None:
    log, _, mean = a_log(20_000)
    best = np.array([0, 0, 0, 1.0])
    found = off_policy_values(log, best, ["replay", "snips"])
    assert found["replay"].value == pytest.approx(found["snips"].value, rel=1e-12)
    assert abs(found["replay"].value - mean[3]) < 4 * found["replay"].std_error
    with pytest.raises(InputError, match="replay has no value for a policy that draws its actions"):
        off_policy_values(log, np.full(4, 0.25), ["replay"])


def test_warnings_are_printed_once() -> None:
    log, _, _ = a_log(60)
    text = str(off_policy_values(log, np.array([0.01, 0.01, 0.01, 0.97]), ["ips", "snips"]))
    assert text.count("effective sample size") == 1
    assert "NOT TO BE BELIEVED (1): " in text
    assert " (1)" in text.splitlines()[2]


EQUAL = np.full(4, 0.25)


def with_empty_slot() -> Log:
    log = a_log(20)[0]
    slate = log.slate.copy()
    slate[7] = -1
    return replace(log, slate=slate, clicked=log.clicked & (slate >= 0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: slope([]), "candidates must hold one estimate"),
        (lambda: slope([estimate(1, 1), Estimate(1.0, np.nan, 1)]), r"candidates\[1\] = .* no finite int"),
        (lambda: candidate_cuts(np.zeros(3)), "nothing to cut"),
        (lambda: candidate_cuts(np.array([1, np.nan])), r"weight\[1\] = nan"),
        (lambda: draw_folds(3, 2, groups=np.ones(3)), "cross-fitting needs two groups, got 1: take estima"),
        (lambda: candidate_cuts(np.ones(3), 1), "count must be 2 or more, got 1"),
        (lambda: policy_selection({"a": 1.0}, {"a": 1.0}), "two policies or more, got 1"),
        (lambda: policy_selection({"a": 1.0, "b": 1}, {"a": 1.0, "c": 1}), "only one has 'b'"),
        (lambda: policy_selection({"a": 1.0, "b": np.nan}, {"a": 1.0, "b": 1}), r"estimates\['b'\] = nan"),
        (lambda: policy_selection({"a": 1.0, "b": 1}, {"a": 1.0, "b": 1}).regret(3), "k must be from 1 to 2"),
        (lambda: draw_folds(5, 6), "folds must be an integer from 2 to the 5 rows, got 6"),
        (lambda: draw_folds(5, 3, groups=np.array([1, 1, 1, 2, 2])), "the 2 groups, got 3"),
        (lambda: draw_folds(5, 3, groups=np.ones(4)), r"groups must have shape \(5,\)"),
        (lambda: cross_fit(np.ones(3), np.zeros(3, int), np.zeros(3, int), 2), "two or more different folds"),
        (lambda: cross_fit(np.ones(2), np.array([0, 2]), np.arange(2), 2), r"action\[1\] = 2: there are 2"),
        (lambda: cross_fit(np.ones(2), np.arange(2), np.arange(2), 2, context=np.ones((2, 1))), "need a mod"),
        (
            lambda: cross_fit(np.ones(2), np.arange(2), np.arange(2), 2, context=np.array([[0], [np.nan]])),
            r"context\[1, 0\] = nan",
        ),
        (
            lambda: cross_fit(np.ones(2), np.arange(2), np.arange(2), 2, action_context=np.ones(2)),
            r"action_context must have shape \(2, D\)",
        ),
        (
            lambda: cross_fit(np.ones(2), np.arange(2), np.arange(2), 2, position=np.arange(2)),
            "position 0 has rows in fold 0 only",
        ),
        (lambda: off_policy_values(a_log(log_propensity=None)[0], EQUAL), "no log_propensity: log wi"),
        (lambda: off_policy_values(a_log()[0].rows(np.arange(0)), EQUAL), "log must hold a row or more"),
        (lambda: off_policy_values(with_empty_slot(), EQUAL, ["ips"], logging_probability=EQUAL),
         r"slate\[7, 0\] = -1: nothing was shown: drop the row"),
        (
            lambda: off_policy_values(a_log()[0], EQUAL, ["ips"], logging_probability=EQUAL),
            r"logging_probability\[0, \d\] = 0.25, but log_propensity\[0\] is the logarithm of 0\.\d \(3,000",
        ),
        (lambda: off_policy_values(a_log()[0], np.full((2, 4), 0.25)), "must have 3000 rows as the log"),
        (lambda: off_policy_values(a_log(reward=None)[0], EQUAL), "log has no reward: give it"),
        (lambda: off_policy_values(a_log()[0], EQUAL, ["ipw"]), "estimators has 'ipw', known are ips"),
        (lambda: off_policy_values(a_log()[0], np.full(3, 1 / 3)), r"slate\[\d+, 0\] = 3 is not an item"),
        (
            lambda: off_policy_values(a_log()[0], np.array([0.2, 0.2, 0.2, 0.2, 0.2])),
            "never shows action 4: 20.00% of what the evaluated policy does",
        ),
        (
            lambda: off_policy_values(
                Log(np.zeros(1, int), np.zeros(1), np.array([[0, 1]]), np.zeros((1, 2), bool)), EQUAL
            ),
            "log must show slates of one item, got 2",
        ),
    ],
)  # fmt: skip
def test_bad_input(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_classifier_of_other_rewards_is_refused() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    with pytest.raises(InputError, match="model is a classifier, and rewards are not all 0 or 1"):
        cross_fit(
            np.array([0, 2.0]),
            np.arange(2),
            np.arange(2),
            2,
            model=linear_model.LogisticRegression(),
        )
