"""Regret and the intervals around it."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate, mean_estimate
from recsim_env.evaluation.regret import cumulative_regret


def test_regret_by_hand() -> None:
    best = np.array([[1.0, 0.5], [1.0, 0.5], [0.25, 0.5]])
    expected = np.array([[0.5, 0.5], [1.0, 0.25], [0.0, 0.0]])
    assert_allclose(cumulative_regret(best, expected), [[0.5, 0], [0.5, 0.25], [0.75, 0.75]])


def test_rounding_passes_and_more_does_not() -> None:
    best = np.full((2, 1), 1000.0)
    assert_allclose(cumulative_regret(best, best + 1e-7), [[-1e-7], [-2e-7]], rtol=1e-3)
    with pytest.raises(InputError, match=r"expected\[1, 0\] = 1000.01 must not exceed best = 1000.0"):
        cumulative_regret(best, best + np.array([[0], [0.01]]))
    with pytest.raises(InputError, match="not an optimum"):
        cumulative_regret(np.zeros((1, 1)), np.full((1, 1), 2e-9))


@pytest.mark.parametrize(
    ("best", "expected", "message"),
    [
        (np.zeros(3), np.zeros(3), r"one shape \(T, B\), got \(3,\) and \(3,\)"),
        (np.zeros((3, 1)), np.zeros((3, 2)), r"one shape \(T, B\), got \(3, 1\) and \(3, 2\)"),
        (np.zeros((2, 1)), np.array([[0], [np.nan]]), r"expected\[1, 0\] must be finite, got nan"),
        (np.full((1, 1), np.inf), np.zeros((1, 1)), r"best\[0, 0\] must be finite, got inf"),
    ],
)
def test_bad_input(best: np.ndarray, expected: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        cumulative_regret(best, expected)


def test_mean_and_standard_error_by_hand() -> None:
    made = mean_estimate(np.array([[1.0, 2.0, 3.0, 6.0], [5.0, 5.0, 5.0, 5.0]]))  # (T, B)
    error = np.sqrt((4 + 1 + 0 + 9) / 3 / 4)
    assert_allclose(made.value, [3, 5])
    assert_allclose(made.std_error, [error, 0])
    assert made.count == 4
    low, high = made.interval
    assert_allclose(low, [3 - 3.182446 * error, 5], rtol=1e-6)  # Student's t, 3 degrees of freedom
    assert_allclose(high, [3 + 3.182446 * error, 5], rtol=1e-6)


def test_a_large_sample_has_the_normal_interval() -> None:
    assert_allclose(Estimate(0.0, 1.0).interval, (-1.959964, 1.959964), rtol=1e-6)
    assert_allclose(Estimate(0.0, 1.0, 10**6).interval, (-1.959966, 1.959966), rtol=1e-6)


def test_one_replicate_has_a_value_and_no_error() -> None:
    made = mean_estimate(np.array([[2.0], [3.0]]))
    assert_array_equal(made.value, [2, 3])
    assert np.isnan(made.std_error).all()
    assert all(np.isnan(end).all() for end in made.interval)
    single = mean_estimate(np.array([2.0]))
    assert single.value == 2
    assert np.isnan(single.std_error)


def test_the_interval_covers_the_mean_in_95_of_100_samples() -> None:
    rng = np.random.default_rng(3)
    low, high = mean_estimate(rng.normal(1, 2, (20_000, 5))).interval
    covered = ((low <= 1) & (high >= 1)).mean()
    assert abs(covered - 0.95) < 5 * np.sqrt(0.95 * 0.05 / 20_000)


@pytest.mark.parametrize("samples", [np.float64(1), np.empty((3, 0))])
def test_no_replicate_is_refused(samples: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"samples must have shape"):
        mean_estimate(samples)
