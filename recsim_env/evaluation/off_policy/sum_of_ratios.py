"""A sum of self-normalised averages, one per step or slot, with its standard error and interval.

    v = sum_h A_h / B_h,      A_h = sum_e a_{e,h},      B_h = sum_e b_{e,h}

Its standard error is that of the linearisation, in which every episode (or row) has the pseudo-value

    psi_e = v + E sum_h (a_{e,h} - (A_h / B_h) b_{e,h}) / B_h,      mean_e psi_e = v,

so s.e. = std(psi) / sqrt(E), and with one step it is that of `ratio_of`. The bootstrap draws episodes and
computes the whole sum anew.
"""

from dataclasses import replace

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import (
    Bootstrap,
    EmpiricalBernstein,
    Estimate,
    Interval,
    mean_of,
    places_of_groups,
)
from recsim_env.evaluation.resampling import resampled_sums


def sum_of_ratios(
    part: Floats,
    whole: Floats,
    *,
    place: str = "at slot {}",
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """Estimate v.

    Args:
        part: (E, H) a.
        whole: (E, H) b, 0 or more.
        place: what to call a column in the error, with its number.
        interval: `Normal()` if None; empirical Bernstein intervals are not for ratios.
        groups: (E,) whose each episode is; None = all are independent.

    Raises:
        InputError: a column whose b are all 0, an empirical Bernstein interval, or bad groups.
    """
    if isinstance(interval, EmpiricalBernstein):
        raise InputError(
            "empirical Bernstein intervals are for means of independent rows, not for self-normalised "
            "estimates: use Normal or Bootstrap"
        )
    E, H = part.shape
    total = whole.sum(axis=0)
    if (total == 0).any():
        raise InputError(
            f"{place.format(int(np.argmax(total == 0)))} all {E:,} weights are 0, so the self-normalised "
            "estimate has no value: the log never does what the evaluated policy does up to there"
        )
    ratio = part.sum(axis=0) / total  # (H,)
    pseudo = ratio.sum() + E * ((part - ratio * whole) / total).sum(axis=1)  # (E,)
    linear = None if isinstance(interval, Bootstrap) else interval
    estimate = replace(mean_of(pseudo, interval=linear, groups=groups), value=float(ratio.sum()))
    if not isinstance(interval, Bootstrap):
        return estimate
    columns = np.concatenate([part, whole], axis=1)  # (E, 2H)
    if groups is not None:
        of_group = places_of_groups(groups, E)
        columns = np.stack([np.bincount(of_group, column) for column in columns.T], axis=1)
    sums = resampled_sums(columns, interval.resamples, interval.seed)
    sums = sums[(sums[:, H:] > 0).all(axis=1)]  # a resample without weight at a step has no value
    values = (sums[:, :H] / sums[:, H:]).sum(axis=1)
    return replace(estimate, bounds=interval.ends(values, len(columns)))
