"""Self-normalised inverse propensity scoring: the weighted mean of the rewards."""

from recsim_env.arrays import Array
from recsim_env.evaluation.intervals import Estimate, Interval, ratio_of
from recsim_env.evaluation.off_policy.rows import check_rows
from recsim_env.evaluation.off_policy.weights import check_weights, with_diagnostics


def snips(
    reward: Array, weight: Array, *, interval: Interval | None = None, groups: Array | None = None
) -> Estimate:
    """V = sum_i w_i r_i / sum_i w_i.

    Lies between the least and the largest reward, and moves along when a constant is added to all of them.
    Its bias is of the order of one over the effective sample size; its variance is mostly below that of
    `ips`. It cannot notice what the log lacks: look at the mean weight, whose distance from 1 is a warning.

    Args, errors: as of `ips`; also an InputError if all weights are 0, and for empirical Bernstein intervals,
        which are not for ratios.

    Source: Swaminathan and Joachims, "The self-normalized estimator for counterfactual learning",
    NeurIPS 2015.
    """
    reward, _ = check_rows(reward=reward, weight=weight)
    weight = check_weights(weight)
    return with_diagnostics(ratio_of(weight * reward, weight, interval=interval, groups=groups), weight)
