"""The doubly robust estimator with weights that shrink smoothly, the larger the more."""

import math

import numpy as np

from recsim_env.arrays import Array
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate, Interval, mean_of
from recsim_env.evaluation.off_policy.rows import check_rows
from recsim_env.evaluation.off_policy.weights import check_weights, with_changed_weights


def doubly_robust_optimistic_shrinkage(
    reward: Array,
    weight: Array,
    q_logged: Array,
    q_target: Array,
    *,
    shrinkage: float,
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """V = 1/R sum_i [ qhat_i + l w_i / (w_i^2 + l) (r_i - qhat(x_i, a_i)) ], l the shrinkage.

    Weights far below sqrt(l) stay, none comes out above sqrt(l) / 2, and weights far above count l / w. With
    l = inf it is `doubly_robust`, with l = 0 the direct method. The weights minimise a bound of the mean
    squared error; as in SWITCH, what the model lacks where they shrink is a bias.

    Args:
        reward: (R,) finite.
        weight: (R,) importance weights.
        q_logged: (R,) qhat of the action in the row.
        q_target: (R,) qhat of the evaluated policy in the row.
        shrinkage: l, 0 or more; `slope` chooses it.
        interval: as of `ips`.
        groups: as of `ips`.

    Raises:
        InputError: as `doubly_robust`, and a shrinkage below 0.

    Source: Su, Dimakopoulou, Krishnamurthy and Dudik, "Doubly robust off-policy evaluation with shrinkage",
    ICML 2020 (DRos).
    """
    if not shrinkage >= 0:
        raise InputError(f"shrinkage must be 0 or more, got {shrinkage!r}")
    reward, _, q_logged, q_target = check_rows(
        reward=reward, weight=weight, q_logged=q_logged, q_target=q_target
    )
    weight = check_weights(weight)
    used = weight
    if shrinkage == 0:
        used = np.zeros_like(weight)
    elif not math.isinf(shrinkage):
        used = weight / (weight * (weight / shrinkage) + 1)  # l / w at most, without a square that overflows
    estimate = mean_of(q_target + used * (reward - q_logged), interval=interval, groups=groups)
    return with_changed_weights(estimate, weight, used, reward - q_logged, groups=groups)
