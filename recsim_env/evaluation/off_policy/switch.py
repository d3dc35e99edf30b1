"""SWITCH: inverse propensity scoring where weights are small, a model of the rewards where they are large."""

import numpy as np

from recsim_env.arrays import Array
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate, Interval, mean_of
from recsim_env.evaluation.off_policy.rows import check_rows
from recsim_env.evaluation.off_policy.weights import check_weights, with_changed_weights


def switch(
    reward: Array,
    weight: Array,
    q_logged: Array,
    q_above: Array,
    *,
    threshold: float,
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """V = 1/R sum_i [ 1[w_i <= t] w_i r_i + sum_a 1[w(x_i, a) > t] pi(a | x_i) qhat(x_i, a) ].

    With t = inf it is `ips`, with t = 0 the direct method. It needs the weights of all actions, and so the
    log's policy as a whole; `switch_doubly_robust` does not, and uses the model below the threshold too.

    Args:
        reward: (R,) finite.
        weight: (R,) importance weights of the actions in the rows.
        q_logged: (R,) qhat of the action in the row; for the warning only: whether the model is biased where
            it stands in for the rewards.
        q_above: (R,) the second sum, `(np.where(target / logging > t, target, 0) * q).sum(axis=1)`. The
            weights there must be computed as those of `weight`: `t * logging` rounds otherwise, and an action
            at the threshold would count twice or not at all.
        threshold: t, 0 or more; `slope` chooses it.
        interval: as of `ips`.
        groups: as of `ips`.

    Raises:
        InputError: as `doubly_robust`, and a threshold below 0.

    Source: Wang, Agarwal and Dudik, "Optimal and adaptive off-policy evaluation in contextual bandits", ICML
    2017.
    """
    if not threshold >= 0:
        raise InputError(f"threshold must be 0 or more, got {threshold!r}")
    reward, _, q_logged, q_above = check_rows(
        reward=reward, weight=weight, q_logged=q_logged, q_above=q_above
    )
    weight = check_weights(weight)
    used = np.where(weight <= threshold, weight, 0)
    estimate = mean_of(used * reward + q_above, interval=interval, groups=groups)
    return with_changed_weights(estimate, weight, used, reward - q_logged, groups=groups)
