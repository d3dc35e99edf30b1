"""Adaptive inverse propensity scoring: a slot is weighted by the slots that matter for it, and no others.

    aips     v = 1/R sum_r sum_k w_{r,k} y_{r,k}
    snaips   v = sum_k ( sum_r w_{r,k} y_{r,k} / sum_r w_{r,k} )
             w_{r,k} = pi(A_j, j in c_r(k) | x_r) / pi_0(A_j, j in c_r(k) | x_r)

with y_{r,k} the reward of slot k, c_r(k) the slots that are relevant for it to the user of row r (their
behaviour), and pi(A_j, j in c) the probability that these items stand at these slots, whatever is at the
others. Unbiased if the reward of slot k depends on the items at c_r(k) alone, and of all inverse propensity
scores that are, the one of least variance. With c(k) = {k} it is `iips`, with {0 ... k} `rips`, with all
slots `sips`. Biased where c_r(k) leaves out a slot that matters; where it holds too many it has more
variance than it need.

Which behaviour? `choose_behavior` compares nested ones, in groups of contexts and slot by slot, by SLOPE:
from the one with most relevant slots on, as long as the estimates can be told to agree. A simplification:
the paper grows a tree over contexts, and minimises an estimate of the mean squared error.

Weights of Plackett-Luce policies: `plackett_luce_log_joint` of both, then `importance_weights`. The code of
the paper's authors takes the product of propensities over relevant slots, as if the others did not exist;
that is not the probability of these items unless the relevant slots are the first ones, and it is not done
here.

Source: Kiyohara, Uehara, Narita, Shimizu, Yamamoto, Saito, "Off-Policy Evaluation of Ranking Policies under
Diverse User Behavior", KDD 2023; Su, Srinath, Krishnamurthy, "Adaptive Estimator Selection for Off-Policy
Evaluation", ICML 2020 (SLOPE).
"""

import math

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError, as_numbers
from recsim_env.evaluation.intervals import Estimate, Interval, mean_of
from recsim_env.evaluation.off_policy.slate_weights import with_slot_diagnostics
from recsim_env.evaluation.off_policy.slots import check_slot_weights
from recsim_env.evaluation.off_policy.sum_of_ratios import sum_of_ratios

REACH = 2.0  # standard errors to either side of an estimate


def aips(
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
        slot_weight: (R, K) of the items at the relevant slots.
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


def snaips(
    slot_reward: Array,
    slot_weight: Array,
    *,
    clipped: bool = False,
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """The weighted mean of every slot, summed. As `aips`; a slot needs a weight above 0."""
    reward, weight = check_slot_weights(slot_reward, slot_weight)
    estimate = sum_of_ratios(weight * reward, weight, interval=interval, groups=groups)
    return with_slot_diagnostics(estimate, weight, clipped=clipped)


def relevant_slots(behavior: str, slate_size: int) -> Bools:
    """(K, K) flags of a behaviour: [k, j] = slot j is relevant for slot k. A slot is relevant for itself.

    Args:
        behavior: `independent` (no other), `cascade` (all above), `standard` (all), `above-m` (the m right
            above), `near-m` (the m to either side) or `top-m` (the first m); m is a number of 1 or more.
        slate_size: K.

    Raises:
        InputError: another behaviour, or a slate without slots.
    """
    if slate_size < 1:
        raise InputError(f"slate_size must be 1 or more, got {slate_size}")
    slot = np.arange(slate_size)
    distance = slot[:, None] - slot[None, :]  # how far j is above k
    name, _, reach = str(behavior).partition("-")
    if reach == "" and behavior in ("independent", "cascade", "standard"):
        return {
            "independent": distance == 0,
            "cascade": distance >= 0,
            "standard": np.ones((slate_size, slate_size), np.bool_),
        }[behavior]
    if name not in ("above", "near", "top") or not reach.isdecimal() or int(reach) < 1:
        raise InputError(
            "behavior must be independent, cascade, standard, above-m, near-m or top-m with m of 1 or more, "
            f"got {behavior!r}"
        )
    m = int(reach)
    return {
        "above": (distance >= 0) & (distance <= m),
        "near": np.abs(distance) <= m,
        "top": (distance == 0) | (slot[None, :] < m),
    }[name]


def choose_behavior(slot_reward: Array, slot_weights: Array, *, context_group: Array | None = None) -> Ints:
    """(R, K) which of M behaviours each slot of each row is weighted by, by SLOPE.

    With v_m and s_m the mean and standard error of w_m y in a group at a slot, m = 0 ... M - 1 from the most
    to the fewest relevant slots: the largest m for which all intervals v_j -+ 2 s_j, j <= m, have a point in
    common. `np.take_along_axis(slot_weights, choice[None], axis=0)[0]` are the weights to give to `aips`.
    The same rows choose and estimate, so the interval of the estimate does not hold the error of the choice;
    with few rows all intervals overlap, and the fewest slots win.

    Args:
        slot_reward: (R, K).
        slot_weights: (M, R, K) of each behaviour, such as `standard`, `cascade`, `independent` in this order.
            Each should be relevant for less than the one before, or what is chosen has no justification.
        context_group: (R,) integers; rows with the same number have the same behaviour. None = all rows.

    Raises:
        InputError: bad input, named by behaviour, row and slot, or a group of one row.
    """
    slot_weights = as_numbers("slot_weights", slot_weights)
    if slot_weights.ndim != 3 or len(slot_weights) == 0:
        raise InputError(f"slot_weights must have shape (M, R, K), M of 1 or more, got {slot_weights.shape}")
    parts: list[Floats] = []
    for m, weight in enumerate(slot_weights):
        try:
            reward, checked = check_slot_weights(slot_reward, weight)
        except InputError as error:
            raise InputError(f"behaviour {m}: {error}") from error
        parts.append(reward * checked)
    part = np.stack(parts)  # (M, R, K)
    _, R, K = part.shape
    group = np.zeros(R, np.int64) if context_group is None else np.asarray(context_group)
    if group.shape != (R,) or group.dtype.kind not in "iu":
        raise InputError(
            f"context_group must hold integers of shape ({R},), got {group.dtype} of {group.shape}"
        )
    choice = np.zeros((R, K), np.int64)
    for number in np.unique(group):
        rows = group == number
        size = int(rows.sum())
        if size == 1:
            row = int(np.argmax(rows))
            raise InputError(f"context_group[{row}] = {number} has no other row: merge it with another group")
        value = part[:, rows].mean(axis=1)  # (M, K)
        reach = REACH * part[:, rows].std(axis=1, ddof=1) / math.sqrt(size)
        low, high = np.maximum.accumulate(value - reach), np.minimum.accumulate(value + reach)
        choice[rows] = (low <= high).sum(axis=0) - 1
    return choice
