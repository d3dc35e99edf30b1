"""Cascade doubly robust: reward-interaction scoring of what a model of the rest of the slate leaves.

    v = 1/R sum_r sum_k [   w_{r,k}   (y_{r,k} - Q_k(x, A_0 ... A_k))
                          + w_{r,k-1} E_{a ~ pi}[ Q_k(x, A_0 ... A_{k-1}, a) ] ]

with w_{r,k} the weight of slots 0 ... k (`prefix_weights`), w_{r,-1} = 1, y_{r,k} the reward of slot k, and
Q_k(x, a_0 ... a_k) a model of the rewards of slots k, k+1, ... when pi fills the slots below k. The sum is
the recursion of the paper written out. Unbiased, whatever the model, if the reward of a slot depends on the
items down to it alone, and biased like `rips` if items further down matter. With Q = 0 it is `rips`; with
the exact Q only the chance of the rewards themselves and of the first expectation is left. The model must
not have been fitted to the same rows for this to be exact; a small model does little harm.

Source: Kiyohara, Saito, Matsuhiro, Narita, Shimizu, Yamamoto, "Doubly Robust Off-Policy Evaluation for
Ranking Policies under the Cascade Behavior Model", WSDM 2022. Equal to Open Bandit Pipeline 0.5.5.
"""

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError, as_numbers, refuse
from recsim_env.evaluation.intervals import Estimate, Interval, mean_of
from recsim_env.evaluation.off_policy.slate_weights import with_slot_diagnostics
from recsim_env.evaluation.off_policy.slots import (
    check_slates,
    check_slot_distribution,
    check_slot_weights,
    check_slots,
)


def cascade_dr(
    slot_reward: Array,
    prefix_weight: Array,
    q_logged: Array,
    q_expected: Array,
    *,
    clipped: bool = False,
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """The mean over slates of the doubly robust rewards of their slots.

    Args:
        slot_reward: (R, K), 0 in empty slots.
        prefix_weight: (R, K) from `prefix_weights`.
        q_logged: (R, K) Q_k of what was shown; see `q_of_log`.
        q_expected: (R, K) the expectation of Q_k over the item that pi would put at slot k.
        clipped: whether the weights were clipped.
        interval: `Normal()` if None.
        groups: (R,) whose each row is; None = all rows are independent.

    Returns:
        The expected reward of a slate; its effective sample size is that of the slot with the smallest.

    Raises:
        InputError: bad input, named by row and slot.
    """
    reward, weight = check_slot_weights(slot_reward, prefix_weight)
    _, logged, expected = check_slots(slot_reward=reward, q_logged=q_logged, q_expected=q_expected)
    before = np.concatenate([np.ones((len(weight), 1)), weight[:, :-1]], axis=1)
    samples = (weight * (reward - logged) + before * expected).sum(axis=1)
    estimate = mean_of(samples, interval=interval, groups=groups)
    return with_slot_diagnostics(estimate, weight, clipped=clipped)


def q_of_log(q: Array, slot_target: Array, slate: Array) -> tuple[Floats, Floats]:
    """(R, K) twice: Q_k of what was shown, and its expectation over what pi would show at slot k instead.

    Args:
        q: (R, K, N) Q_k(x, A_0 ... A_{k-1}, a) for every item a, after what was shown above; finite.
        slot_target: (R, K, N) pi(a | A_0 ... A_{k-1}), such as `plackett_luce_slot_prob`.
        slate: (R, K) what was shown; both are 0 in empty slots (-1).

    Raises:
        InputError: bad input, named by row and slot.
    """
    q = as_numbers("q", q)
    if q.ndim != 3 or q.size == 0 or np.shape(slate) != q.shape[:2]:
        raise InputError(
            f"q must have shape (R, K, N) with slate (R, K), got {q.shape} and {np.shape(slate)}"
        )
    refuse("q", ~np.isfinite(q), q, "it is not finite: mend the model")
    target = check_slot_distribution("slot_target", slot_target, (q.shape[0], q.shape[1]))
    if target.shape != q.shape:
        raise InputError(f"slot_target must have the shape of q, {q.shape}, got {target.shape}")
    slate = check_slates(slate, q.shape[2])
    logged = np.take_along_axis(q, np.maximum(slate, 0)[:, :, None], axis=2)[:, :, 0]
    expected = np.einsum("rkn,rkn->rk", target, q)
    return np.where(slate < 0, 0.0, logged), np.where(slate < 0, 0.0, expected)
