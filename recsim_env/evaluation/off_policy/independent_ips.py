"""Independent inverse propensity scoring: every slot is a log of its own.

    iips     v = 1/R sum_r sum_k w_{r,k} y_{r,k}
    sniips   v = sum_k ( sum_r w_{r,k} y_{r,k} / sum_r w_{r,k} )
             w_{r,k} the weight of the item at slot k (`position_weights`)

with y_{r,k} the reward of slot k. Unbiased if the reward of a slot depends on the context, the slot and the
item there alone, as in the position-based click model, and the log's policy puts every item wherever the
evaluated one does. Biased as soon as the other items matter: under a cascade the items above decide whether
the slot is seen at all. Its weights vary least of the three inverse propensity scores of slates, which makes
its wrong values look sure. Exact weights of Plackett-Luce policies: `plackett_luce_marginals`.

Source: Li, Abbasi-Yadkori, Kveton, Muthukrishnan, Vinay, Wen, "Offline Evaluation of Ranking Policies with
Click Models", KDD 2018 (the item-position model). Equal to Open Bandit Pipeline 0.5.5.
"""

from recsim_env.arrays import Array
from recsim_env.evaluation.intervals import Estimate, Interval, mean_of
from recsim_env.evaluation.off_policy.slate_weights import with_slot_diagnostics
from recsim_env.evaluation.off_policy.slots import check_slot_weights
from recsim_env.evaluation.off_policy.sum_of_ratios import sum_of_ratios


def iips(
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
        slot_weight: (R, K) from `position_weights`.
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


def sniips(
    slot_reward: Array,
    slot_weight: Array,
    *,
    clipped: bool = False,
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """The weighted mean of every slot, summed. As `iips`; a slot needs a weight above 0."""
    reward, weight = check_slot_weights(slot_reward, slot_weight)
    estimate = sum_of_ratios(weight * reward, weight, interval=interval, groups=groups)
    return with_slot_diagnostics(estimate, weight, clipped=clipped)
