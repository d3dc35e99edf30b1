"""Paired comparisons: against SciPy, full enumeration, and what they promise under no difference."""

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from recsim_env.errors import InputError
from recsim_env.evaluation.paired import against_baseline, holm, paired_comparison


def test_the_t_test_is_scipys() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(50), rng.random(50) - 0.05
    found = paired_comparison(a, b, resamples=200)
    theirs = stats.ttest_rel(a, b)
    assert_allclose(found.p_t_test, theirs.pvalue, rtol=1e-10)
    assert_allclose(found.difference / found.std_error, theirs.statistic, rtol=1e-10)
    assert_allclose(found.difference, (a - b).mean())
    assert found.users == 50


def test_sign_flips_of_few_users_are_enumerated() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        a, b = rng.integers(0, 5, 9) / 4, rng.integers(0, 4, 9) / 4
        d = a - b
        flips = np.array([abs(np.dot(signs, d)) for signs in product((-1, 1), repeat=9)])
        wanted = np.mean(flips >= abs(d.sum()) - 1e-9)
        assert_allclose(paired_comparison(a, b, resamples=600).p_sign_flip, wanted, atol=1e-12)


def test_sums_that_are_equal_but_for_rounding_are_as_far_from_0() -> None:
    """Of .1, .2, .3, ... whole numbers of tenths: the exact answer is that of the whole numbers."""
    rng = np.random.default_rng(8)
    for _ in range(20):
        tenths = rng.integers(-4, 5, 8)
        flips = np.array([abs(np.dot(signs, tenths)) for signs in product((-1, 1), repeat=8)])
        wanted = np.mean(flips >= abs(tenths.sum()))
        assert paired_comparison(tenths / 10, np.zeros(8), resamples=256).p_sign_flip == wanted


def test_random_sign_flips_agree_with_the_enumeration() -> None:
    d = np.random.default_rng(2).standard_normal(12) + 0.4
    exact = paired_comparison(d, np.zeros(12), resamples=4096).p_sign_flip
    # the rest of the users adds nothing, and 4,095 resamples are too few to enumerate
    sample = [paired_comparison(d, np.zeros(12), seed=s, resamples=4095).p_sign_flip for s in range(20)]
    error = math.sqrt(exact * (1 - exact) / 4095)
    assert 0.02 < exact < 0.9
    assert np.abs(np.array(sample) - exact).max() < 5 * error
    assert len(set(sample)) > 1
    padded = np.append(d, np.zeros(500))
    assert paired_comparison(padded, np.zeros(512), resamples=4096).p_sign_flip == exact


def test_the_p_value_of_a_large_difference_is_not_zero() -> None:
    d = np.random.default_rng(3).random(2000) + 1
    assert paired_comparison(d, np.zeros(2000), resamples=99).p_sign_flip == 1 / 100


def test_the_interval_is_that_of_the_mean_of_many_users() -> None:
    d = np.random.default_rng(4).standard_exponential(3000)
    found = paired_comparison(d, np.zeros(3000), resamples=4000)
    low, high = found.interval
    assert abs(low - (found.difference - 1.96 * found.std_error)) < 0.15 * found.std_error
    assert abs(high - (found.difference + 1.96 * found.std_error)) < 0.15 * found.std_error
    assert found == paired_comparison(d, np.zeros(3000), resamples=4000)
    assert found.interval != paired_comparison(d, np.zeros(3000), resamples=4000, seed=1).interval


def test_under_no_difference_the_p_values_are_uniform_and_the_intervals_cover() -> None:
    rng = np.random.default_rng(5)
    t, flip, covered = [], [], []
    for seed in range(400):
        # metrics of few values, most of them equal for both
        d = rng.choice([-0.5, -0.2, 0, 0, 0, 0.2, 0.5], 80)
        found = paired_comparison(d, np.zeros(80), seed=seed, resamples=400)
        t.append(found.p_t_test)
        flip.append(found.p_sign_flip)
        covered.append(found.interval[0] <= 0 <= found.interval[1])
    for p in (t, flip):
        for level in (0.05, 0.2, 0.5):
            assert (
                abs(np.mean(np.array(p) <= level) - level) < 4 * math.sqrt(level * (1 - level) / 400) + 0.01
            )
    assert 0.95 - 4 * math.sqrt(0.95 * 0.05 / 400) - 0.01 < np.mean(covered)


def test_users_without_a_value_are_left_out_and_counted() -> None:
    a, b = np.array([1, np.nan, 0.5, 0.2]), np.array([0.5, np.nan, 0.5, 0.4])
    found = paired_comparison(a, b)
    assert (found.users, found.without_value) == (3, 1)
    assert_allclose(found.difference, 0.1)
    one = paired_comparison(a[:2], b[:2])
    assert math.isnan(one.std_error)
    assert math.isnan(one.p_t_test)
    assert one.p_sign_flip == 1


def test_equal_recommenders() -> None:
    found = paired_comparison(np.ones(5), np.ones(5))
    assert (found.difference, found.p_t_test, found.p_sign_flip, found.interval) == (0, 1, 1, (0, 0))
    better = paired_comparison(np.ones(5), np.full(5, 0.5))  # by the same for everybody
    assert (better.difference, better.p_t_test, better.p_sign_flip) == (0.5, 0, 2 / 2**5)


def test_holm() -> None:
    assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])  # by hand
    assert_allclose(holm([0.9, 0.6]), [1, 1])
    assert_allclose(holm([0.02, np.nan]), [0.04, np.nan])
    assert holm(np.empty(0)).shape == (0,)


def test_several_against_a_baseline() -> None:
    rng = np.random.default_rng(6)
    base = rng.random(200)
    values = {"a": base + 0.02 * rng.standard_normal(200), "base": base, "b": base + 0.1 * rng.random(200)}
    found = against_baseline(values, "base", resamples=500)
    assert list(found.comparisons) == ["a", "b"]
    assert found.comparisons["b"] == paired_comparison(values["b"], base, resamples=500)
    raw = [one.p_t_test for one in found.comparisons.values()]
    assert_allclose(list(found.holm_t_test.values()), holm(raw))
    assert_allclose(found.holm_sign_flip["b"], 2 / 501)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired_comparison([1, 2], [1]), r"one shape \(U,\), got \(2,\) and \(1,\)"),
        (lambda: paired_comparison([[1]], [[1]]), "one shape"),
        (lambda: paired_comparison([1, np.inf], [1, 2]), r"a\[1\] must be finite, or nan .* got inf"),
        (lambda: paired_comparison([1, 2], [1, np.nan]), r"a\[1\] = 2.0 but b\[1\] = nan"),
        (lambda: paired_comparison([np.nan], [np.nan]), "a user with a value, got none"),
        (lambda: paired_comparison([1], [1], resamples=0), "resamples must be an integer"),
        (lambda: holm([0.5, 1.5]), r"p must hold numbers in \[0, 1\]"),
        (lambda: against_baseline({"x": [1]}, "y"), "the baseline 'y' and one more, got x"),
        (lambda: against_baseline({"x": [1]}, "x"), "the baseline 'x' and one more, got x"),
        (
            lambda: against_baseline({"x": [1, 2], "y": [1, np.nan]}, "x"),
            r"y \(a\) against x \(b\): a\[1\] = nan but",
        ),
    ],
)
def test_bad_input(call: Callable, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
