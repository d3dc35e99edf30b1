"""The direct method: what a model of the rewards says that the evaluated policy would earn."""

from recsim_env.arrays import Array
from recsim_env.evaluation.intervals import Estimate, Interval, mean_of
from recsim_env.evaluation.off_policy.rows import check_rows
from recsim_env.evaluation.off_policy.weights import with_bias_warning


def direct_method(
    q_target: Array,
    *,
    residual: Array | None = None,
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """V = 1/R sum_i qhat_i, qhat_i = sum_a pi(a | x_i) qhat(x_i, a).

    As good as the model: its bias is the model's on the actions of the evaluated policy. Standard error and
    interval are those of drawing contexts, as if the model were right, and mostly far too short. How well the
    log can tell whether the model is right is seen by its weighted residuals, whose mean is the difference
    between `doubly_robust` and this.

    Args:
        q_target: (R,) the model's value of the evaluated policy in every row, `model_values`.
        residual: (R,) w_i (r_i - qhat(x_i, a_i)) of a model that did not see row i (`cross_fit`), for the
            warning: their mean is far from 0, or not known well enough. Without them nothing is checked.
        interval: as of `ips`.
        groups: as of `ips`.

    Raises:
        InputError: shapes that differ, or a number that is not finite.

    Source: Beygelzimer and Langford, "The offset tree for learning with partial labels", KDD 2009; named in
    Dudik, Langford and Li 2011.
    """
    (q_target,) = check_rows(q_target=q_target)
    estimate = mean_of(q_target, interval=interval, groups=groups)
    if residual is None:
        return estimate
    q_target, residual = check_rows(q_target=q_target, residual=residual)
    return with_bias_warning(estimate, -residual, "the errors of the model", groups=groups)
