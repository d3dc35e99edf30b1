"""The doubly robust estimator with residuals averaged by the sum of their weights."""

import math
from dataclasses import replace

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Bootstrap, EmpiricalBernstein, Estimate, Interval, mean_of
from recsim_env.evaluation.off_policy.rows import check_rows
from recsim_env.evaluation.off_policy.weights import check_weights, with_diagnostics
from recsim_env.evaluation.resampling import resampled_sums


def self_normalised_doubly_robust(
    reward: Array,
    weight: Array,
    q_logged: Array,
    q_target: Array,
    *,
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """V = 1/R sum_i qhat_i + sum_i w_i (r_i - qhat(x_i, a_i)) / sum_i w_i.

    To `doubly_robust` what `snips` is to `ips`: large weights cannot carry it far from the model, at the
    price of a bias of the order of one over the effective sample size.

    The standard error is that of the linearised rows

        z_i = rho + qhat_i + w_i (r_i - qhat(x_i, a_i) - rho) / wbar,

    with rho the ratio above and wbar the mean weight; their mean is V. A bootstrap resamples the whole of V.

    Args: as of `doubly_robust`.

    Raises:
        InputError: as there; all weights 0; and for empirical Bernstein intervals, which are not for ratios.

    Source: the self-normalised form in Thomas and Brunskill, ICML 2016 (as weighted doubly robust).
    """
    reward, _, q_logged, q_target = check_rows(
        reward=reward, weight=weight, q_logged=q_logged, q_target=q_target
    )
    weight = check_weights(weight)
    if isinstance(interval, EmpiricalBernstein):
        raise InputError(
            "empirical Bernstein intervals are for means of independent rows, not for self-normalised "
            "estimates: use Normal or Bootstrap"
        )
    if not weight.any():
        raise InputError("weight is 0 in all rows: the evaluated policy never does what the log shows")
    ratio = float(weight @ (reward - q_logged)) / float(weight.sum())
    rows = ratio + q_target + weight * (reward - q_logged - ratio) / weight.mean()
    if isinstance(interval, Bootstrap):
        estimate = mean_of(rows, groups=groups)
        parts = np.stack([weight * (reward - q_logged), weight, q_target], axis=1)
        estimate = replace(estimate, bounds=_resampled_bounds(parts, interval, groups))
    else:
        estimate = mean_of(rows, interval=interval, groups=groups)
    return with_diagnostics(estimate, weight)


def _resampled_bounds(parts: Floats, interval: Bootstrap, groups: Array | None) -> tuple[float, float]:
    """Quantiles of V over resamples of rows or groups; resamples whose weights are all 0 are left out."""
    rows: Floats | int = len(parts)
    if groups is not None:
        place = np.unique(groups, return_inverse=True)[1]
        parts = np.stack([np.bincount(place), *(np.bincount(place, c) for c in parts.T)], axis=1)
    sums = resampled_sums(parts, interval.resamples, interval.seed)
    if groups is not None:  # how many rows a resample of groups has differs
        rows, sums = sums[:, 0], sums[:, 1:]
    defined = sums[:, 1] > 0
    values = (sums[:, 0] / np.where(defined, sums[:, 1], 1) + sums[:, 2] / rows)[defined]
    tail = (1 - interval.confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail]) if len(values) else (math.nan, math.nan)
    return float(low), float(high)
