"""Inverse propensity scoring: rewards, weighted by how much more often the evaluated policy acts so."""

from recsim_env.arrays import Array
from recsim_env.evaluation.intervals import Estimate, Interval, mean_of
from recsim_env.evaluation.off_policy.rows import check_rows
from recsim_env.evaluation.off_policy.weights import check_weights, with_diagnostics


def ips(
    reward: Array, weight: Array, *, interval: Interval | None = None, groups: Array | None = None
) -> Estimate:
    """V = 1/R sum_i w_i r_i.

    Unbiased if the propensities are those that made the log and the log's policy can do all that the other
    does. Its variance grows with E[w^2 r^2], so believe it where the effective sample size is large; adding
    a constant to all rewards changes its error, which `snips` does not suffer from.

    Args:
        reward: (R,) finite.
        weight: (R,) importance weights, `importance_weights`.
        interval: how its interval is made; `Normal()` if None.
        groups: (R,) whose each row is, where rows belong together (the steps of one user).

    Raises:
        InputError: shapes that differ, a reward that is not finite, a weight that is negative or not finite.

    Source: Horvitz and Thompson 1952; for logs of policies, Strehl, Langford, Li and Kakade, NeurIPS 2010.
    """
    reward, _ = check_rows(reward=reward, weight=weight)
    weight = check_weights(weight)
    return with_diagnostics(mean_of(weight * reward, interval=interval, groups=groups), weight)
