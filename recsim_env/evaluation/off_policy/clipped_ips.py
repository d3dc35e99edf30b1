"""Inverse propensity scoring with clipped weights."""

import numpy as np

from recsim_env.arrays import Array
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate, Interval, mean_of
from recsim_env.evaluation.off_policy.rows import check_rows
from recsim_env.evaluation.off_policy.weights import check_weights, with_changed_weights


def clipped_ips(
    reward: Array,
    weight: Array,
    *,
    clip: float,
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """V = 1/R sum_i min(w_i, clip) r_i.

    Below `ips` in expectation where rewards are 0 or more: what is clipped is lost, -E[max(w - clip, 0) r].
    The interval does not hold this bias; a warning says when the log shows it to be large. `slope` chooses
    the clip.

    Args:
        reward: (R,) finite.
        weight: (R,) importance weights, unclipped.
        clip: the largest weight, above 0; inf = `ips`.
        interval: as of `ips`.
        groups: as of `ips`.

    Raises:
        InputError: as `ips`, and a clip that is not above 0.

    Source: Ionides, "Truncated importance sampling", J. Computational and Graphical Statistics 17, 2008.
    """
    if not clip > 0:
        raise InputError(f"clip must be above 0, got {clip!r}")
    reward, _ = check_rows(reward=reward, weight=weight)
    weight = check_weights(weight)
    used = np.minimum(weight, clip)
    estimate = mean_of(used * reward, interval=interval, groups=groups)
    return with_changed_weights(estimate, weight, used, reward, groups=groups)
