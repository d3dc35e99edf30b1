"""Reward-interaction inverse propensity scoring: a slot is weighted by itself and all above it.

    rips     v = 1/R sum_r sum_k w_{r,k} y_{r,k}
    snrips   v = sum_k ( sum_r w_{r,k} y_{r,k} / sum_r w_{r,k} )
             w_{r,k} the weight of slots 0 ... k (`prefix_weights`)

with y_{r,k} the reward of slot k. Unbiased if the reward of a slot depends on the context and the items from
the top down to it, and on nothing below: users who go through a list from the top, such as those of all
cascade-like click models. Biased if items further down matter (a user who compares them all). It needs no
marginals, and its weight at the last slot is that of the whole slate, so that slot has the variance of
`sips`.

Source: McInerney, Brost, Chandar, Mehrotra, Carterette, "Counterfactual Evaluation of Slate Recommendations
with Sequential Reward Interactions", KDD 2020. Equal to Open Bandit Pipeline 0.5.5.
"""

from recsim_env.arrays import Array
from recsim_env.evaluation.intervals import Estimate, Interval, mean_of
from recsim_env.evaluation.off_policy.slate_weights import with_slot_diagnostics
from recsim_env.evaluation.off_policy.slots import check_slot_weights
from recsim_env.evaluation.off_policy.sum_of_ratios import sum_of_ratios


def rips(
    slot_reward: Array,
    slot_weight: Array,
    *,
    clipped: bool = False,
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """The mean over slates of the weighted rewards of their slots.

    Args:
        slot_reward: (R, K), 0 in empty slots.
        slot_weight: (R, K) from `prefix_weights`.
        clipped: whether the weights were clipped.
        interval: `Normal()` if None.
        groups: (R,) whose each row is; None = all rows are independent.

    Returns:
        The expected reward of a slate; its effective sample size is that of the slot with the smallest.

    Raises:
        InputError: bad input, named by row and slot.
    """
    reward, weight = check_slot_weights(slot_reward, slot_weight)
    estimate = mean_of((weight * reward).sum(axis=1), interval=interval, groups=groups)
    return with_slot_diagnostics(estimate, weight, clipped=clipped)


def snrips(
    slot_reward: Array,
    slot_weight: Array,
    *,
    clipped: bool = False,
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """The weighted mean of every slot, summed. As `rips`; a slot needs a weight above 0."""
    reward, weight = check_slot_weights(slot_reward, slot_weight)
    estimate = sum_of_ratios(weight * reward, weight, interval=interval, groups=groups)
    return with_slot_diagnostics(estimate, weight, clipped=clipped)
