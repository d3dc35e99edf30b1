"""Weighted doubly robust estimation: the doubly robust one with self-normalised weights at every step.

    v = 1/E sum_e V(s_{e,0}) + sum_h gamma^h sum_e u_{e,h} ( r_{e,h} - q(s_h, a_h) + gamma V(s_{h+1}) ),
    u_{e,h} = rho_{e,h} / sum_f rho_{f,h},      rho_{e,h} = prod_{j <= h} w_{e,j},      V(s_H) = 0

q and V are as in `sequential_doubly_robust`; q = 0 makes it the stepwise weighted per-decision importance
sampling. Episodes that ended keep their weight in the sums below and add nothing above.

Believe it: as the doubly robust one, of which it mostly has less variance, and some bias, which falls as
1 / E. With all weight on one episode it is the model corrected by that one episode, and the effective sample
size says so.

Source: Thomas, Brunskill, "Data-efficient off-policy policy evaluation for reinforcement learning", ICML 2016
(their w_{-1} = 1 / E is the first mean here).
"""

import numpy as np

from recsim_env.arrays import Array
from recsim_env.evaluation.intervals import Estimate, Interval
from recsim_env.evaluation.off_policy.padded_episodes import check_numbers, check_reward, discounts
from recsim_env.evaluation.off_policy.sequence_weights import cumulative_weights, with_step_diagnostics
from recsim_env.evaluation.off_policy.sum_of_ratios import sum_of_ratios


def weighted_doubly_robust(
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
    """The model's value of the first states, plus the self-normalised corrections of every step.

    Args:
        reward: (E, H).
        weight: (E, H) of every step by itself, not multiplied up: `importance_weights` of arrays (E, H).
        q: (E, H) q(s_h, a_h) of what was done, under the evaluated policy, of the steps from h on.
        value: (E, H) V(s_h) = sum_a pi(a|s_h) q(s_h, a).
        discount: gamma, in [0, 1].
        present: (E, H) which steps took place, see `padded_episodes`; None = all.
        clipped: whether the weights were clipped.
        interval: `Normal()` if None; empirical Bernstein intervals are not for ratios.
        groups: (E,) whose each episode is; None = all are independent.

    Returns:
        The value of an episode; its effective sample size is that of rho at the last step.

    Raises:
        InputError: bad input, named by episode and step; a step at which all episodes have weight 0.
    """
    reward, present = check_reward(reward, present)
    rho = cumulative_weights(weight, present)
    q, value = check_numbers("q", q, present), check_numbers("value", value, present)
    after = np.pad(value[:, 1:], ((0, 0), (0, 1)))  # (E, H) V(s_{h+1}), 0 where the episode is over
    part = rho * (reward - q + discount * after) * discounts(discount, reward.shape[1])
    estimate = sum_of_ratios(
        np.concatenate([part, value[:, :1]], axis=1),
        np.concatenate([rho, np.ones((len(rho), 1))], axis=1),
        place="at step {}",
        interval=interval,
        groups=groups,
    )
    return with_step_diagnostics(estimate, rho, clipped=clipped)
