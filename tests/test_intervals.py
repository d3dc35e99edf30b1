"""Means, ratios and their three intervals, and importance weights."""

import numpy as np
import pytest
from scipy import stats

from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Bootstrap, EmpiricalBernstein, Normal, mean_of, ratio_of
from recsim_env.evaluation.off_policy import diagnose, importance_weights
from recsim_env.evaluation.resampling import resampled_sums


def test_mean_by_hand() -> None:
    estimate = mean_of(np.array([1.0, 2.0, 4.0, 5.0]))
    assert estimate.value == 3
    assert estimate.std_error == pytest.approx(np.sqrt(10 / 3 / 4))
    expected = stats.t.interval(0.95, 3, 3, np.sqrt(10 / 12))
    assert estimate.interval == pytest.approx(expected)
    assert estimate.believable


def test_mean_over_groups_is_over_samples_with_errors_over_groups() -> None:
    samples, groups = np.array([1.0, 1, 1, 5, 5, 5]), np.array([7, 7, 7, 3, 3, 3])
    estimate = mean_of(samples, groups=groups)
    assert estimate.value == 3
    assert estimate.std_error == pytest.approx(2.0)  # two samples, 1 and 5, not six
    assert estimate.count == 2


def test_ratio_error_agrees_with_many_repetitions() -> None:
    rng = np.random.default_rng(3)
    whole = rng.gamma(2.0, size=(4000, 200))
    part = whole * rng.random((4000, 200))
    values = part.sum(axis=1) / whole.sum(axis=1)
    errors = [ratio_of(a, b).std_error for a, b in zip(part[:200], whole[:200], strict=True)]
    assert np.mean(errors) == pytest.approx(values.std(), rel=0.04)


def test_resamples_are_fair_and_repeat() -> None:
    sums = resampled_sums(np.eye(5), 20_000, 4)
    assert (sums.sum(axis=1) == 5).all()
    assert np.abs(sums.mean(axis=0) - 1).max() < 5 * np.sqrt(0.8 / 20_000)
    counts = np.bincount(sums[:, 0].astype(int), minlength=6)[:6]
    expected = 20_000 * stats.binom.pmf(np.arange(6), 5, 0.2)
    assert stats.chisquare(counts, expected).pvalue > 1e-4
    np.testing.assert_array_equal(sums, resampled_sums(np.eye(5), 20_000, 4))
    np.testing.assert_array_equal(sums[:7], resampled_sums(np.eye(5), 7, 4))
    rows = np.arange(1000.0)[:, None] ** 2  # no resample of a seed is one of its neighbour's
    assert not set(resampled_sums(rows, 200, 4).ravel()) & set(resampled_sums(rows, 200, 5).ravel())


def test_bootstrap_agrees_with_scipy() -> None:
    samples = np.random.default_rng(0).exponential(size=400)
    mine = mean_of(samples, interval=Bootstrap(resamples=20_000)).interval
    theirs = stats.bootstrap((samples,), np.mean, n_resamples=20_000, method="percentile", rng=1)
    assert mine == pytest.approx(theirs.confidence_interval, abs=0.006)


@pytest.mark.parametrize("interval", [Normal(0.9), Bootstrap(0.9), EmpiricalBernstein(0.0, 1.0, 0.9)])
def test_intervals_cover(interval: Normal | Bootstrap | EmpiricalBernstein) -> None:
    rng = np.random.default_rng(1)
    covered, length = 0, 0.0
    for _ in range(400):
        low, high = mean_of(rng.random(200) ** 3, interval=interval).interval
        covered += low <= 0.25 <= high
        length += high - low
    if isinstance(interval, EmpiricalBernstein):
        assert covered == 400  # it holds for the worst distribution, so it is long for this one
    else:
        assert 0.85 <= covered / 400 <= 0.95
        assert length / 400 == pytest.approx(2 * 1.645 * np.sqrt((1 / 7 - 1 / 16) / 200), rel=0.05)


def test_bernstein_by_hand() -> None:
    samples = np.tile([0.0, 1.0, 1.0, 0.0, 0.0], 100)  # sample variance 500 x 0.24 / 499
    reach = np.sqrt(2 * 500 * 0.24 / 499 * np.log(80) / 500) + 7 * 2 * np.log(80) / (3 * 499)
    low, high = mean_of(samples, interval=EmpiricalBernstein(0.0, 2.0)).interval
    assert (low, high) == pytest.approx((0.4 - reach, 0.4 + reach), rel=1e-12)
    assert 0 < low
    few = mean_of(samples[:5], interval=EmpiricalBernstein(0.0, 2.0))
    assert few.interval == (0.0, 2.0)  # never beyond what is possible
    shifted = mean_of(samples - 5, interval=EmpiricalBernstein(-5.0, -3.0)).interval
    assert shifted == pytest.approx((low - 5, high - 5))


def test_weights_by_hand_and_diagnosis() -> None:
    target, logging = np.log([0.5, 0.25, 0.1]), np.log([0.25, 0.5, 0.1])
    np.testing.assert_allclose(importance_weights(target, logging), [2, 0.5, 1])
    np.testing.assert_allclose(importance_weights(target, logging, clip=1.5), [1.5, 0.5, 1])
    found = diagnose(np.array([3.0, 1, 0, 0]))
    assert found.effective_sample_size == pytest.approx(16 / 10)
    assert found.largest_share == 0.75
    assert found.share_zero == 0.5
    assert len(found.warnings) == 2
    assert diagnose(np.array([3.0, 1, 1, 0, 0])).effective_sample_size == pytest.approx(25 / 11)
    assert found.mean == 1
    assert found.mean_std_error == pytest.approx(np.sqrt(6 / 3 / 4))
    assert found.quantiles == pytest.approx(
        np.quantile([0, 0, 1, 3], [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99])
    )
    huge = diagnose(np.array([3e200, 1e200, 1e200, 0, 0]))  # whose squares are too large for a float
    assert huge.effective_sample_size == pytest.approx(25 / 11)
    assert huge.mean_std_error == pytest.approx(1e200 * np.sqrt(1.5 / 5))
    assert diagnose(np.full(40, 5e-324)).effective_sample_size == pytest.approx(40)
    assert not diagnose(np.ones(100)).warnings
    absent = diagnose(np.full(1000, 0.5))
    assert "not 1" in absent.warnings[0]
    assert not diagnose(np.full(1000, 0.5), clipped=True).warnings


@pytest.mark.parametrize(
    "interval", [None, Normal(), Bootstrap(), EmpiricalBernstein(0.0, 9.0)], ids=lambda i: type(i).__name__
)
def test_one_sample_has_no_interval(interval: Normal | Bootstrap | EmpiricalBernstein | None) -> None:
    estimate = mean_of(np.array([4.0]), interval=interval)
    assert estimate.value == 4
    assert np.isnan([estimate.std_error, *estimate.interval]).all()
    if not isinstance(interval, EmpiricalBernstein):
        of_one_user = mean_of(np.array([4.0, 2.0]), interval=interval, groups=np.array([7, 7]))
        assert of_one_user.value == 3
        assert np.isnan([of_one_user.std_error, *of_one_user.interval]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: importance_weights(np.zeros(2), np.array([0, -np.inf])), r"logging\[1\] = -inf: .*"),
        (lambda: importance_weights(np.zeros(2), np.array([0.1, 0])), r"log_logging\[0\] = 0.1: .*\(0, 1\]"),
        (lambda: importance_weights(np.array([[0, np.nan]]), np.zeros((1, 2))), r"log_target\[0, 1\] = nan"),
        (lambda: importance_weights(np.zeros(2), np.zeros(3)), r"shape of log_logging, \(3,\), got \(2,\)"),
        (lambda: importance_weights(np.zeros(1), np.zeros(1), clip=0), "clip must be above 0"),
        (lambda: importance_weights(np.zeros(1), np.full(1, -800.0)), "too small for a number"),
        (lambda: diagnose(np.array([1, -1.0])), r"weight\[1\] = -1.0"),
        (lambda: mean_of(np.array([1, np.nan])), r"samples\[1\] = nan: it is not finite"),
        (lambda: mean_of(np.array([])), "S of 1 or more"),
        (lambda: mean_of(np.ones(3), groups=np.ones(2)), r"groups must have shape \(3,\)"),
        (lambda: ratio_of(np.ones(3), np.zeros(3)), "all rows have weight 0"),
        (lambda: Normal(1.0), r"confidence must be inside \(0, 1\)"),
        (lambda: Bootstrap(resamples=0), "resamples must be an integer of 1 or more, got 0"),
        (lambda: Bootstrap(seed=-1), "seed must be an integer of 0 or more, got -1"),
        (lambda: mean_of(np.ones(3), interval="bootstrap"), r"interval must be Normal\(\), .* got 'bootst"),
        (lambda: mean_of(np.ones(2), groups=np.array([1, np.nan])), r"groups\[1\] = nan: whose the row is"),
        (lambda: EmpiricalBernstein(1.0, 1.0), "low must be below high"),
        (lambda: mean_of(np.array([0, 3.0]), interval=EmpiricalBernstein(0.0, 2.0)), "sample 1 = 3.0 is out"),
        (lambda: ratio_of(np.ones(3), np.ones(3), interval=EmpiricalBernstein(0.0, 2.0)), "not for ratios"),
        (lambda: resampled_sums(np.ones((2, 1)), 1, -1), "seed must be 0 or more"),
    ],
)  # fmt: skip
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
