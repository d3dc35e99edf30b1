"""Importance weights, and what they say about whether an estimate made of them can be believed.

    w_i = pi(a_i | x_i) / pi_0(a_i | x_i),     effective sample size = (sum_i w_i)^2 / sum_i w_i^2   (Kish)

with pi the policy that is evaluated and pi_0 the one that made the log. If the log's policy can do whatever
the other does, the mean weight is 1; if it cannot, the estimate lacks what was never tried, and no row of the
log shows that. So `diagnose` looks at what can be seen: few rows that carry the sum, and a mean weight away
from 1.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError, as_numbers, refuse
from recsim_env.evaluation.intervals import Estimate, mean_of

FEW_ROWS = 30  # below this effective size the normal interval has no ground to stand on
LARGE_SHARE = 0.1  # of the sum of weights on one row: what that row does decides
LARGE_ERROR = 0.25  # of a bias that may be there, in standard errors of the estimate
FAR_FROM_ONE = 4.0  # standard errors between the mean weight and 1


def importance_weights(log_target: Array, log_logging: Array, *, clip: float | None = None) -> Floats:
    """exp(log_target - log_logging), at most `clip`; of the shape of both, such as (R,) or (R, K).

    Args:
        log_target: log-probabilities of what was done under the policy that is evaluated, 0 at most; -inf
            where it would never do that.
        log_logging: log-propensities of the same under the policy that made the log, finite, 0 at most.
        clip: the largest weight, above 0; None = as they are. Clipping biases towards the log's policy and
            saves variance.

    Raises:
        InputError: different shapes; a propensity that is 0, above 1 or not a number, naming the cell; a
            weight too large for a float; a clip that is not positive.
    """
    log_target, log_logging = as_numbers("log_target", log_target), as_numbers("log_logging", log_logging)
    if log_target.shape != log_logging.shape:
        raise InputError(
            f"log_target must have the shape of log_logging, {log_logging.shape}, got {log_target.shape}"
        )
    rounding = 1e-9  # how far above 0 the logarithm of a probability may come out of a computation
    zero = np.isneginf(log_logging)
    refuse("log_logging", zero, log_logging, "the log's policy cannot have done what it gives probability 0")
    bad = ~(log_logging <= rounding)
    refuse("log_logging", bad, log_logging, "it must be the logarithm of a propensity in (0, 1]")
    bad = ~(log_target <= rounding)
    refuse("log_target", bad, log_target, "it must be the logarithm of a probability in [0, 1]")
    with np.errstate(over="ignore"):
        return _at_most(np.exp(log_target - log_logging), clip)


def weights_from_probabilities(
    target_probability: Array, propensity: Array, *, clip: float | None = None
) -> Floats:
    """`importance_weights` of probabilities, for logs that hold them and not their logarithms.

    Args:
        target_probability: in [0, 1], of what was done under the policy that is evaluated.
        propensity: in (0, 1], of the same under the policy that made the log.
        clip: as there.

    Raises:
        InputError: as there, and a probability out of its range, naming the cell.
    """
    target = as_numbers("target_probability", target_probability)
    logging = as_numbers("propensity", propensity)
    zero = "the log's policy cannot have done what it gives probability 0: mend or drop the row"
    refuse("propensity", logging == 0, logging, zero)
    refuse("propensity", ~((logging > 0) & (logging <= 1)), logging, "it must be in (0, 1]")
    refuse("target_probability", ~((target >= 0) & (target <= 1)), target, "it must be in [0, 1]")
    if target.shape != logging.shape:
        raise InputError(
            f"target_probability must have the shape of propensity, {logging.shape}, got {target.shape}: "
            "it is that of the action in the row, target[np.arange(R), action]"
        )
    with np.errstate(over="ignore"):
        return _at_most(target / logging, clip)


def _at_most(weight: Floats, clip: float | None) -> Floats:
    if clip is not None:
        if not clip > 0:
            raise InputError(f"clip must be above 0, got {clip!r}")
        return np.minimum(weight, clip)
    refuse("weight", np.isinf(weight), weight, "the propensity is too small for a number: clip the weights")
    return weight


@dataclass(frozen=True)
class WeightDiagnostics:
    """What R weights look like; `warnings` say in words what is wrong with them."""

    rows: int  # R
    effective_sample_size: float  # 0 if all weights are 0
    mean: float  # 1 in expectation, if nothing is clipped and the log's policy covers the other
    mean_std_error: float
    largest: float
    largest_share: float  # of the sum of weights on the row with most
    share_zero: float  # rows that the evaluated policy would never have made
    quantiles: tuple[float, ...]  # of the weights, at 1, 5, 25, 50, 75, 95 and 99 %
    warnings: tuple[str, ...]


QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def diagnose(weight: Array, *, clipped: bool = False) -> WeightDiagnostics:
    """Look at R weights before believing an average of them.

    Args:
        weight: (R,) finite, 0 or more.
        clipped: whether the weights were changed after the fact (clipped, shrunk): their mean need not be 1.

    Raises:
        InputError: no weights, or one that is negative or not finite.
    """
    weight = check_weights(weight)
    rows, largest = len(weight), float(weight.max())
    size, (mean, error) = effective_size(weight), _mean_weight(weight)
    share = 1 / float((weight / largest).sum()) if largest > 0 else math.nan
    away = [] if clipped else away_from_one(weight)
    warnings = weight_warnings(rows, size, largest, share, f"row {int(np.argmax(weight))}", away)
    quantiles = tuple(float(q) for q in np.quantile(weight, QUANTILES))
    zero = float(np.mean(weight == 0))
    return WeightDiagnostics(rows, size, mean, error, largest, share, zero, quantiles, tuple(warnings))


def weight_warnings(
    rows: int, size: float, largest: float, share: float, where: str, away: list[str]
) -> list[str]:
    """What is wrong with weights, in words.

    Args:
        rows: R.
        size: effective.
        largest: weight.
        share: of the sum of weights on it.
        where: it is.
        away: what `away_from_one` says.
    """
    if largest == 0:
        return ["all weights are 0: the evaluated policy never does what the log shows"]
    warnings = []
    if size < FEW_ROWS:
        warnings.append(f"the effective sample size is {size:.1f} of {rows:,} rows")
    if share > LARGE_SHARE:
        warnings.append(f"{where} alone carries {share:.0%} of all weight")
    return warnings + away


def with_diagnostics(estimate: Estimate, weight: Array, *, clipped: bool = False) -> Estimate:
    """The estimate with the effective sample size of its weights and their warnings."""
    found = diagnose(weight, clipped=clipped)
    return replace(
        estimate,
        effective_sample_size=found.effective_sample_size,
        warnings=(*estimate.warnings, *found.warnings),
    )


def with_changed_weights(
    estimate: Estimate, weight: Array, used: Array, residual: Array, *, groups: Array | None = None
) -> Estimate:
    """The estimate of an average of `used * residual` in place of `weight * residual`, with its warnings.

    Clipped, shrunk or switched weights buy a smaller variance with a bias, mean((used - weight) residual),
    which no interval holds: `with_bias_warning`.

    Args:
        estimate: made of `used`.
        weight: (R,) the importance weights.
        used: (R,) what was made of them.
        residual: (R,) the rewards, or what the model leaves of them.
        groups: as in `mean_of`.
    """
    weight, used = check_weights(weight), check_weights(used)
    found = diagnose(used, clipped=True)
    warnings = (*estimate.warnings, *found.warnings, *away_from_one(weight))
    estimate = replace(estimate, effective_sample_size=found.effective_sample_size, warnings=warnings)
    return with_bias_warning(estimate, (used - weight) * residual, "the weights that were cut", groups=groups)


def with_bias_warning(
    estimate: Estimate, bias: Array, subject: str, *, groups: Array | None = None
) -> Estimate:
    """The estimate with a warning if the mean of R biases is, or may be, above its standard error.

    It is if the mean is, and is above twice its own standard error. It may be if that is a quarter of the
    estimate's or more: the two errors go together, and the interval is too short by up to their ratio.
    """
    mean = mean_of(bias, groups=groups)
    value, error, spread = float(mean.value), float(mean.std_error), float(estimate.std_error)
    if abs(value) > max(2 * error, spread):
        said = f"more than its standard error of {spread:.2g}: the interval does not hold this bias"
    elif error > LARGE_ERROR * spread:
        said = f"which its standard error of {spread:.2g} does not hold: the interval is too short"
    else:
        return estimate
    warning = f"{subject} move the value by {value:.3g} +- {error:.2g}, {said}"
    return replace(estimate, warnings=(*estimate.warnings, warning))


def check_weights(weight: Array) -> Floats:
    """(R,) the weights as float64.

    Raises:
        InputError: another shape, no rows, or a weight that is negative or not finite.
    """
    weight = as_numbers("weight", weight)
    if weight.ndim != 1 or len(weight) == 0:
        raise InputError(f"weight must have shape (R,) with R of 1 or more, got {weight.shape}")
    refuse("weight", ~((weight >= 0) & np.isfinite(weight)), weight, "weights are finite and 0 or more")
    return weight


def effective_size(weight: Floats) -> float:
    """(sum w)^2 / sum w^2, Kish's; 0 if the sum is not above 0."""
    largest = float(np.abs(weight).max())
    if largest == 0:
        return 0.0
    scaled = weight / largest  # so that no square overflows
    return max(float(scaled.sum()), 0.0) ** 2 / float(scaled @ scaled)


def _mean_weight(weight: Floats) -> tuple[float, float]:
    """The mean and its standard error, nan of one row."""
    mean = mean_of(weight)
    return float(mean.value), float(mean.std_error)


def away_from_one(weight: Floats) -> list[str]:
    """A warning if the mean weight is not 1 by more than chance."""
    if len(weight) == 1 or not weight.any():
        return []
    return mean_away_from_one(*_mean_weight(weight))


def mean_away_from_one(mean: float, error: float) -> list[str]:
    """The same of the mean weight and its standard error."""
    if abs(mean - 1) <= FAR_FROM_ONE * error + 1e-9:  # the error of equal weights is 0 or rounding
        return []
    return [
        f"the mean weight is {mean:.3g} +- {error:.2g}, not 1: the log's policy never or too seldom does "
        "what the evaluated one does, or its propensities are not those that made the log"
    ]
