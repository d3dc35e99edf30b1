"""Doubly robust estimation of sequences: a model of the values, corrected by what the log shows.

    D_e(H) = 0,  D_e(h) = V(s_h) + w_{e,h} ( r_{e,h} + gamma D_e(h+1) - q(s_h, a_h) ),    v = 1/E sum_e D_e(0)

with q any estimate of the evaluated policy's action values for the steps that are left, and
V(s) = sum_a pi(a|s) q(s, a). It is unbiased whatever q is, if q was not fitted to the same episodes; q = 0
makes it per-decision importance sampling. With the exact q it has no variance but that of V(s_0), of the
rewards and of where actions lead: none at all in a deterministic world.

Believe it: where per-decision weights are fair and q is better than nothing; a good q takes away most of the
variance, a bad one adds some. The weights are those of importance sampling, so are its limits in horizon. If
q is fitted to the log, fit it to other episodes (half and half, exchanged), or the standard error is too
small.

Source: Jiang, Li, "Doubly robust off-policy value evaluation for reinforcement learning", ICML 2016.
"""

import numpy as np

from recsim_env.arrays import Array
from recsim_env.evaluation.intervals import Estimate, Interval, mean_of
from recsim_env.evaluation.off_policy.padded_episodes import check_discount, check_numbers, check_reward
from recsim_env.evaluation.off_policy.sequence_weights import cumulative_weights, with_step_diagnostics


def sequential_doubly_robust(
    reward: Array,
    weight: Array,
    q: Array,
    value: Array,
    *,
    discount: float = 1.0,
    present: Array | None = None,
    clipped: bool = False,
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """The mean of D_e(0) over episodes.

    Args:
        reward: (E, H).
        weight: (E, H) of every step by itself, not multiplied up: `importance_weights` of arrays (E, H).
        q: (E, H) q(s_h, a_h) of what was done, under the evaluated policy, of the steps from h on.
        value: (E, H) V(s_h) = sum_a pi(a|s_h) q(s_h, a).
        discount: gamma, in [0, 1].
        present: (E, H) which steps took place, see `padded_episodes`; None = all.
        clipped: whether the weights were clipped.
        interval: `Normal()` if None.
        groups: (E,) whose each episode is; None = all are independent.

    Returns:
        The value of an episode; its effective sample size is that of rho at the last step.

    Raises:
        InputError: bad input, named by episode and step.
    """
    reward, present = check_reward(reward, present)
    check_discount(discount)
    rho = cumulative_weights(weight, present)
    q, value = check_numbers("q", q, present), check_numbers("value", value, present)
    weight = np.where(present, weight, 1.0)
    after = np.zeros(len(reward))  # (E,) D of the step after
    for h in range(reward.shape[1] - 1, -1, -1):
        after = value[:, h] + weight[:, h] * (reward[:, h] + discount * after - q[:, h])
    return with_step_diagnostics(mean_of(after, interval=interval, groups=groups), rho, clipped=clipped)
