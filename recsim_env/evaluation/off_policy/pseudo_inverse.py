"""The pseudo-inverse estimator: one reward for the slate, which is a sum over slots that nobody observes.

    v = 1/R sum_r w_r y_r,      w_r = q_r' G_r^+ 1_{A_r},      G = E_{pi_0}[ 1_A 1_A' ],      q = E_pi[ 1_A ]

with 1_A in {0,1}^{K N} the indicator of item and slot, so G holds the probabilities of pairs under the log's
policy, q the probability of item and slot under the evaluated one, and ^+ is the pseudo-inverse. Unbiased if

    E[y | x, A] = sum_k phi_k(x, A_k)      for some phi nobody needs to know,

and the log's policy puts every item wherever the evaluated one does. Biased where items interact: under a
cascade, or where two similar items are worth less than the sum of both. Its variance grows with K N and not
with the number of slates. Weights may be negative and have mean 1. Where the rewards of slots are seen,
`iips` assumes the same and uses more.

With pi_0 uniform over lists of distinct items (`uniform_pseudo_inverse_weights`) and Q_a = sum_k q_{k,a},

    w = 1 + (N - 1) (d - t) + N (N - 1) / (N - K) t,      d = sum_k q_{k,A_k} - K / N,
                                                          t = (sum_{a in A} Q_a - K^2 / N) / K,

the last term absent if K = N (then t = 0): G has the eigenvalues K / N (what is constant),
(N - K) / (N (N - 1)) (items, alike at all slots), 1 / (N - 1) (the rest) and 0.

Supported: any log policy whose pair probabilities are given; exactly, Plackett-Luce policies
(`plackett_luce_pair_marginals`) and uniform ones. Slates must be full. G has (K N)^2 numbers: where it
differs from row to row, take a thousand rows at a time.

Source: Swaminathan, Krishnamurthy, Agarwal, Dudik, Langford, Jose, Zitouni, "Off-policy evaluation for slate
recommendation", NeurIPS 2017, equation 5; the self-normalised form is their wPI.
"""

from dataclasses import replace

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError, as_numbers, refuse
from recsim_env.evaluation.intervals import Estimate, Interval, mean_of, ratio_of
from recsim_env.evaluation.off_policy.slots import (
    check_slate_rewards,
    check_slates,
    check_slot_distribution,
)
from recsim_env.evaluation.off_policy.weights import FEW_ROWS, away_from_one, effective_size

SMALLEST = 1e-10  # eigenvalues of the scaled G, all at most K, that count as 0
NOT_COVERED = 1e-6  # of q, relative, outside what the log's policy can tell apart


def pseudo_inverse(
    reward: Array, weight: Array, *, interval: Interval | None = None, groups: Array | None = None
) -> Estimate:
    """The mean of weight times reward.

    Args:
        reward: (R,) of slates, or (R, K) of slots, which are summed.
        weight: (R,) from `pseudo_inverse_weights` or `uniform_pseudo_inverse_weights`; may be negative.
        interval: `Normal()` if None.
        groups: (R,) whose each row is; None = all rows are independent.

    Returns:
        The expected reward of a slate.

    Raises:
        InputError: bad input, named by row.
    """
    reward, weight = _checked(reward, weight)
    return _with_diagnostics(mean_of(weight * reward, interval=interval, groups=groups), weight)


def sn_pseudo_inverse(
    reward: Array, weight: Array, *, interval: Interval | None = None, groups: Array | None = None
) -> Estimate:
    """The weighted mean; biased for few rows, consistent. Arguments and errors as `pseudo_inverse`."""
    reward, weight = _checked(reward, weight)
    estimate = ratio_of(weight * reward, weight, interval=interval, groups=groups)
    return _with_diagnostics(estimate, weight)


def pseudo_inverse_weights(slate: Array, target_marginal: Array, logging_pairs: Array) -> Floats:
    """(R,) the weights under a log policy whose pair probabilities are known.

    Args:
        slate: (R, K) full.
        target_marginal: (R, K, N) q, or (K, N) if all rows share it.
        logging_pairs: (R, K, N, K, N) G, or (K, N, K, N) if all rows share it, which is much faster.

    Raises:
        InputError: bad shapes, items or probabilities, or an item that the evaluated policy puts where the
            log's never does, naming row, slot and item.
    """
    shape = np.shape(slate)
    if len(shape) != 2:
        raise InputError(f"slate must have shape (R, K), got {shape}")
    R, K = shape
    target = check_slot_distribution("target_marginal", target_marginal, (R, K))
    N = target.shape[2]
    slate = check_slates(slate, N, full=True)
    pairs = as_numbers("logging_pairs", logging_pairs)
    if pairs.shape not in ((K, N, K, N), (R, K, N, K, N)):
        raise InputError(
            f"logging_pairs must have shape ({K}, {N}, {K}, {N}), or ({R}, {K}, {N}, {K}, {N}), "
            f"got {pairs.shape}"
        )
    refuse("logging_pairs", ~((pairs >= 0) & (pairs <= 1 + 1e-9)), pairs, "it is not a probability")
    pairs = pairs.reshape(-1, K * N, K * N)
    marginal = np.diagonal(pairs, axis1=1, axis2=2)  # (1 or R, K N)
    never = (target.reshape(R, -1) > 0) & (marginal == 0)
    if never.any():
        row, cell = (int(i) for i in np.argwhere(never)[0])
        raise InputError(
            f"target_marginal[{row}, {cell // N}, {cell % N}] = {target[row, cell // N, cell % N]}: the "
            f"log's policy never puts item {cell % N} at slot {cell // N}, so nothing is known of it"
        )
    rows, slots = np.arange(R), np.arange(K)
    shown = slots * N + slate  # (R, K) cells
    unlikely = np.broadcast_to(marginal, (R, K * N))[rows[:, None], shown] == 0
    refuse("slate", unlikely, slate, "the log's policy never puts this item at this slot")
    with np.errstate(divide="ignore"):  # scaled, rare items do not look like eigenvalues of 0
        scale = np.where(marginal > 0, 1 / np.sqrt(marginal), 0.0)
    inverse = np.linalg.pinv(scale[:, :, None] * pairs * scale[:, None, :], rcond=SMALLEST, hermitian=True)
    scaled = target.reshape(R, -1) * scale
    if len(pairs) == 1:
        row_weight = scaled @ inverse[0]
        back = row_weight @ (scale[0][:, None] * pairs[0] * scale[0])
    else:
        row_weight = np.einsum("rc,rcd->rd", scaled, inverse)
        back = np.einsum("rd,rde->re", row_weight * scale, pairs) * scale
    lost = np.linalg.norm(back - scaled, axis=1) > NOT_COVERED * np.linalg.norm(scaled, axis=1)
    if lost.any():
        row = int(np.argmax(lost))
        raise InputError(
            f"target_marginal[{row}] is no mixture of what the log's policy shows: q is not in the range of "
            "G, and the weights would not be unbiased"
        )
    row_weight = row_weight * scale
    return np.asarray(np.einsum("rk->r", row_weight[rows[:, None], shown]))


def uniform_pseudo_inverse_weights(slate: Array, target_marginal: Array) -> Floats:
    """(R,) the weights if the log shows every list of K distinct items out of N equally often.

    Args:
        slate: (R, K) full.
        target_marginal: (R, K, N) q, or (K, N) if all rows share it; of a policy that repeats no item.

    Raises:
        InputError: bad shapes, items or probabilities.
    """
    shape = np.shape(slate)
    if len(shape) != 2:
        raise InputError(f"slate must have shape (R, K), got {shape}")
    R, K = shape
    target = check_slot_distribution("target_marginal", target_marginal, (R, K))
    N = target.shape[2]
    slate = check_slates(slate, N, full=True)
    rows = np.arange(R)[:, None]
    direct = target[rows, np.arange(K), slate].sum(axis=1) - K / N
    anywhere = (target.sum(axis=1)[rows, slate].sum(axis=1) - K**2 / N) / K
    weight = 1 + (N - 1) * (direct - anywhere)
    return np.asarray(weight + N * (N - 1) / (N - K) * anywhere if N > K else weight)


def _checked(reward: Array, weight: Array) -> tuple[Floats, Floats]:
    reward, weight = check_slate_rewards(reward), as_numbers("weight", weight)
    if weight.shape != reward.shape:
        raise InputError(f"weight must have shape {reward.shape}, one per row, got {weight.shape}")
    refuse("weight", ~np.isfinite(weight), weight, "weights are finite")
    return reward, weight


def _with_diagnostics(estimate: Estimate, weight: Floats) -> Estimate:
    """As `with_diagnostics`, of weights that may be negative."""
    size, warnings = effective_size(weight), away_from_one(weight)
    if size < FEW_ROWS:
        warnings.insert(0, f"the effective sample size is {size:.1f} of {len(weight):,} rows")
    return replace(estimate, effective_sample_size=size, warnings=(*estimate.warnings, *warnings))
