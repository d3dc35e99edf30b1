"""The doubly robust estimator with residuals averaged by the sum of their weights."""

import numpy as np

from recsim_env.arrays import Array
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate, Interval
from recsim_env.evaluation.off_policy.rows import check_rows
from recsim_env.evaluation.off_policy.sum_of_ratios import sum_of_ratios
from recsim_env.evaluation.off_policy.weights import check_weights, with_diagnostics


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
    price of a bias of the order of one over the effective sample size. Both terms are ratios of sums, so
    standard error and bootstrap are those of `sum_of_ratios`.

    Args: as of `doubly_robust`.

    Raises:
        InputError: as there; all weights 0; and for empirical Bernstein intervals, which are not for ratios.

    Source: the self-normalised form in Thomas and Brunskill, ICML 2016 (as weighted doubly robust).
    """
    reward, _, q_logged, q_target = check_rows(
        reward=reward, weight=weight, q_logged=q_logged, q_target=q_target
    )
    weight = check_weights(weight)
    if not weight.any():
        raise InputError("weight is 0 in all rows: the evaluated policy never does what the log shows")
    part = np.stack([weight * (reward - q_logged), q_target], axis=1)
    whole = np.stack([weight, np.ones_like(weight)], axis=1)
    return with_diagnostics(sum_of_ratios(part, whole, interval=interval, groups=groups), weight)
