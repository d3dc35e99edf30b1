"""A number and how sure it is: means and ratios of independent samples, and three ways to an interval.

A mean is that of S samples x_i, a ratio r = sum_i a_i / sum_i b_i, whose standard error is that of its
linearisation, s.e. = sqrt(S/(S-1) sum_i (a_i - r b_i)^2) / |sum_i b_i|. Rows that belong together (the steps
of one user) are not independent: `groups` names whose each row is, and the sums of groups are resampled and
averaged instead of rows.

    Normal              value -+ t s.e., t of Student with S - 1 degrees of freedom; right for many samples
                        of bounded influence, too short where a few weights carry the sum
    Bootstrap           quantiles of the value over resamples of the samples; follows a skewed sum, but it
                        cannot know of large samples that were not drawn
    EmpiricalBernstein  holds for any distribution inside [low, high], and is long for that; of means only:
                        mean -+ ( sqrt(2 v L / S) + 7 (high - low) L / (3 (S - 1)) ), with
                        L = log(4 / (1 - confidence)) and v the sample variance
                        (Maurer and Pontil 2009, theorem 4, both sides)
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.special import stdtrit

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, as_numbers, refuse
from recsim_env.evaluation.resampling import resampled_sums


@dataclass(frozen=True)
class Estimate:
    """A value, or an array of them, with its standard error; both of one shape."""

    value: float | Floats
    std_error: float | Floats  # nan where there was one sample only
    count: float = math.inf  # independent samples behind it; inf = many, and the interval is the normal one
    bounds: tuple[float, float] | None = None  # of an interval that is not Student's
    effective_sample_size: float | None = None  # (sum w)^2 / sum w^2 of the weights behind it, if it has any
    warnings: tuple[str, ...] = ()  # why it should not be believed; empty = nothing was found

    @property
    def interval(self) -> tuple[float | Floats, float | Floats]:
        """Low and high end of the interval: `bounds`, or 95 % `value -+ t * std_error` in the value's shape.

        t is the 97.5 % point of Student's t with count - 1 degrees of freedom: 1.96 for many samples,
        2.09 for 20, 12.7 for two; nan for one.
        """
        if self.bounds is not None:
            return self.bounds
        reach = float(stdtrit(self.count - 1, 0.975)) * self.std_error
        return self.value - reach, self.value + reach

    @property
    def believable(self) -> bool:
        """Whether nothing speaks against it that the data can show."""
        return not self.warnings

    def __str__(self) -> str:
        """`0.0123 +- 0.0011 [0.0101, 0.0145]`, and what speaks against it."""
        low, high = self.interval
        text = f"{self.value:.4g} +- {self.std_error:.2g} [{low:.4g}, {high:.4g}]"
        return text + "".join(f"\n  NOT TO BE BELIEVED: {warning}" for warning in self.warnings)


@dataclass(frozen=True)
class Normal:
    """Student's interval around the value.

    Args:
        confidence: in (0, 1).
    """

    confidence: float = 0.95

    def __post_init__(self) -> None:
        _check_confidence(self.confidence)

    def of_ratio(self, part: Floats, whole: Floats | None) -> tuple[float, float]:
        """The two ends for sum part / sum whole, or for the mean of part if whole is None."""
        value, error = _ratio(part, whole)
        reach = (
            float(stdtrit(len(part) - 1, (1 + self.confidence) / 2)) * error if len(part) > 1 else math.nan
        )
        return value - reach, value + reach


@dataclass(frozen=True)
class Bootstrap:
    """The percentile bootstrap of Efron; the same seed gives the same interval.

    Args:
        confidence: in (0, 1).
        resamples: how often the samples are drawn anew, 1 or more; 1,000 fix the ends to about a twentieth
            of the length.
        seed: of the draws, 0 or more.
    """

    confidence: float = 0.95
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        _check_confidence(self.confidence)
        if isinstance(self.resamples, bool) or not isinstance(self.resamples, int) or self.resamples < 1:
            raise InputError(f"resamples must be an integer of 1 or more, got {self.resamples!r}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int | np.integer) or self.seed < 0:
            raise InputError(f"seed must be an integer of 0 or more, got {self.seed!r}")

    def of_ratio(self, part: Floats, whole: Floats | None) -> tuple[float, float]:
        """The two ends for sum part / sum whole, or for the mean of part if whole is None.

        Resamples whose whole sums to 0 have no ratio and are left out.
        """
        return self.ends(self.values(part, whole), len(part))

    def ends(self, values: Floats, size: int) -> tuple[float, float]:
        """The two ends of what was computed on resamples; nan of one sample, whose resamples are all itself.

        Args:
            values: (resamples or fewer,).
            size: S, the samples they were drawn from.
        """
        if size == 1 or len(values) == 0:
            return math.nan, math.nan
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(values, [tail, 1 - tail])
        return float(low), float(high)

    def values(self, part: Floats, whole: Floats | None = None) -> Floats:
        """(resamples or fewer,) the value in every resample."""
        if whole is None:
            return resampled_sums(part[:, None], self.resamples, self.seed)[:, 0] / len(part)
        sums = resampled_sums(np.stack([part, whole], axis=1), self.resamples, self.seed)
        defined = sums[:, 1] != 0
        return np.asarray(sums[defined, 0] / sums[defined, 1])


@dataclass(frozen=True)
class EmpiricalBernstein:
    """An interval that holds at every sample size, whatever the distribution inside [low, high].

    Args:
        low: no sample can be below; known beforehand, not the least that was seen.
        high: no sample can be above: for weighted rewards the largest weight times the largest reward.
        confidence: in (0, 1).
    """

    low: float
    high: float
    confidence: float = 0.95

    def __post_init__(self) -> None:
        _check_confidence(self.confidence)
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise InputError(f"low must be below high, both finite, got low {self.low}, high {self.high}")

    def of_ratio(self, part: Floats, whole: Floats | None) -> tuple[float, float]:
        """The two ends for the mean of part.

        Raises:
            InputError: a ratio, or a sample outside [low, high].
        """
        if whole is not None:
            raise InputError(
                "empirical Bernstein intervals are for means of independent rows, not for ratios "
                "(self-normalised estimates, rows in groups): use Normal or Bootstrap"
            )
        outside = (part < self.low) | (part > self.high)
        if outside.any():
            row = int(np.argmax(outside))
            raise InputError(
                f"sample {row} = {part[row]} is outside [{self.low}, {self.high}]: give the range that the "
                "weighted rewards can have, the largest weight times the largest reward"
            )
        if len(part) == 1:
            return math.nan, math.nan
        size, log_term = len(part), math.log(4 / (1 - self.confidence))
        reach = math.sqrt(2 * float(part.var(ddof=1)) * log_term / size)
        reach += 7 * (self.high - self.low) * log_term / (3 * (size - 1))
        mean = float(part.mean())
        return max(self.low, mean - reach), min(self.high, mean + reach)


Interval: TypeAlias = Normal | Bootstrap | EmpiricalBernstein
"""How the interval of an estimate is made."""


def mean_estimate(samples: Array) -> Estimate:
    """Mean and standard error `s / sqrt(B)` over the last axis, which counts independent replicates.

    Args:
        samples: (..., B) such as regret (T, B); s is the sample standard deviation (divisor B - 1). A nan
            makes its mean nan: what is undefined must be left out by the caller, in the open.

    Returns:
        Value and standard error of shape (...); with one replicate the standard error is nan.

    Raises:
        InputError: no replicate at all.
    """
    samples = np.asarray(samples, np.float64)
    if samples.ndim == 0 or samples.shape[-1] == 0:
        raise InputError(f"samples must have shape (..., B) with B of 1 or more, got {samples.shape}")
    count = samples.shape[-1]
    value = samples.mean(axis=-1)
    if count == 1:  # NumPy would divide 0 by 0 and warn
        return Estimate(value, np.full_like(value, np.nan), count)
    return Estimate(value, samples.std(axis=-1, ddof=1) / np.sqrt(count), count)


def mean_of(samples: Array, *, interval: Interval | None = None, groups: Array | None = None) -> Estimate:
    """The mean of S finite numbers with its standard error and interval.

    Args:
        samples: (S,).
        interval: `Normal()` if None.
        groups: (S,) whose each sample is; None = all are independent. The mean is still over samples.

    Raises:
        InputError: no samples, one that is not finite, or groups of another shape.
    """
    samples = _check_samples("samples", samples)
    if groups is None:
        return _estimate(samples, None, interval)
    return ratio_of(samples, np.ones_like(samples), interval=interval, groups=groups)


def ratio_of(
    part: Array, whole: Array, *, interval: Interval | None = None, groups: Array | None = None
) -> Estimate:
    """Sum part / sum whole with its standard error and interval.

    Args:
        part: (S,).
        whole: (S,).
        interval: `Normal()` if None; empirical Bernstein intervals are not for ratios.
        groups: as in `mean_of`.

    Raises:
        InputError: as `mean_of`, and a whole whose sum is 0: the ratio has no value then.
    """
    part, whole = _check_samples("part", part), _check_samples("whole", whole)
    if part.shape != whole.shape:
        raise InputError(f"whole must have the shape of part, {part.shape}, got {whole.shape}")
    if groups is not None:
        place = places_of_groups(groups, len(part))
        part, whole = (np.bincount(place, column).astype(np.float64) for column in (part, whole))
    if whole.sum() == 0:
        raise InputError("whole sums to 0, so the ratio has no value: all rows have weight 0")
    return _estimate(part, whole, interval)


def _estimate(part: Floats, whole: Floats | None, interval: Interval | None) -> Estimate:
    if interval is not None and not isinstance(interval, Normal | Bootstrap | EmpiricalBernstein):
        raise InputError(
            f"interval must be Normal(), Bootstrap() or EmpiricalBernstein(low, high), got {interval!r}"
        )
    value, error = _ratio(part, whole)
    bounds = (interval or Normal()).of_ratio(part, whole)
    return Estimate(value, error, len(part), bounds)


def _ratio(part: Floats, whole: Floats | None) -> tuple[float, float]:
    """Value and standard error, nan for one sample."""
    size = len(part)
    if whole is None:
        value, spread, scale = float(part.mean()), part - part.mean(), float(size)
    else:
        scale = float(whole.sum())
        value = float(part.sum() / scale)
        spread = part - value * whole
    if size == 1:
        return value, math.nan
    largest = float(np.abs(spread).max()) or 1.0  # taken out, so that no square overflows
    spread = spread / largest
    return value, largest * (math.sqrt(size / (size - 1) * float(spread @ spread)) / abs(scale))


def _check_samples(name: str, samples: Array) -> Floats:
    samples = as_numbers(name, samples)
    if samples.ndim != 1 or len(samples) == 0:
        raise InputError(f"{name} must have shape (S,), S of 1 or more, got {samples.shape}")
    refuse(name, ~np.isfinite(samples), samples, "it is not finite: mend or drop the row")
    return samples


def places_of_groups(groups: Array, size: int) -> Ints:
    """(S,) number of each sample's group, from 0.

    Raises:
        InputError: not one group per sample, or one that is not a number.
    """
    groups = np.asarray(groups)
    if groups.shape != (size,):
        raise InputError(f"groups must have shape ({size},), one per row, got {groups.shape}")
    if groups.dtype.kind == "f":
        refuse("groups", np.isnan(groups), groups, "whose the row is must be known: mend or drop it")
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise InputError(f"confidence must be inside (0, 1), such as 0.95, got {confidence!r}")
