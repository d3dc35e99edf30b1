"""SWITCH with the doubly robust estimator: residuals count where their weight is small."""

import numpy as np

from recsim_env.arrays import Array
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate, Interval, mean_of
from recsim_env.evaluation.off_policy.rows import check_rows
from recsim_env.evaluation.off_policy.weights import check_weights, with_changed_weights


def switch_doubly_robust(
    reward: Array,
    weight: Array,
    q_logged: Array,
    q_target: Array,
    *,
    threshold: float,
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """V = 1/R sum_i [ qhat_i + 1[w_i <= t] w_i (r_i - qhat(x_i, a_i)) ].

    qhat_i = sum_a pi(a | x_i) qhat(x_i, a). With t = inf it is `doubly_robust`, with t = 0 the direct method.
    Rows with weights above t trust the model: what it lacks there is a bias, which a warning names if the
    log shows it.

    Args:
        reward: (R,) finite.
        weight: (R,) importance weights.
        q_logged: (R,) qhat of the action in the row.
        q_target: (R,) qhat of the evaluated policy in the row.
        threshold: t, 0 or more; `slope` chooses it.
        interval: as of `ips`.
        groups: as of `ips`.

    Raises:
        InputError: as `doubly_robust`, and a threshold below 0.

    Source: Wang, Agarwal and Dudik, ICML 2017 (SWITCH-DR).
    """
    if not threshold >= 0:
        raise InputError(f"threshold must be 0 or more, got {threshold!r}")
    reward, _, q_logged, q_target = check_rows(
        reward=reward, weight=weight, q_logged=q_logged, q_target=q_target
    )
    weight = check_weights(weight)
    used = np.where(weight <= threshold, weight, 0)
    estimate = mean_of(q_target + used * (reward - q_logged), interval=interval, groups=groups)
    return with_changed_weights(estimate, weight, used, reward - q_logged, groups=groups)
