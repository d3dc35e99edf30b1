"""The doubly robust estimator: the direct method, put right by weighted residuals."""

from recsim_env.arrays import Array
from recsim_env.evaluation.intervals import Estimate, Interval, mean_of
from recsim_env.evaluation.off_policy.rows import check_rows
from recsim_env.evaluation.off_policy.weights import check_weights, with_diagnostics


def doubly_robust(
    reward: Array,
    weight: Array,
    q_logged: Array,
    q_target: Array,
    *,
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """V = 1/R sum_i [ qhat_i + w_i (r_i - qhat(x_i, a_i)) ], qhat_i = sum_a pi(a | x_i) qhat(x_i, a).

    Unbiased if the propensities are right, whatever the model, or if the model is right, whatever the
    propensities, provided that row i did not train the model that judges it (`cross_fit`). A good model takes
    out the variance of `ips` that comes from which action was drawn; what the noise of rewards puts in,
    w_i (r_i - E r_i), stays. With qhat = 0 it is `ips`, with weights 0 the direct method.

    Args:
        reward: (R,) finite.
        weight: (R,) importance weights.
        q_logged: (R,) qhat of the action in the row.
        q_target: (R,) qhat of the evaluated policy in the row; both from `model_values`.
        interval: as of `ips`.
        groups: as of `ips`.

    Raises:
        InputError: shapes that differ, a weight below 0, or a number that is not finite.

    Source: Dudik, Langford and Li, "Doubly robust policy evaluation and learning", ICML 2011.
    """
    reward, _, q_logged, q_target = check_rows(
        reward=reward, weight=weight, q_logged=q_logged, q_target=q_target
    )
    weight = check_weights(weight)
    rows = q_target + weight * (reward - q_logged)
    return with_diagnostics(mean_of(rows, interval=interval, groups=groups), weight)
