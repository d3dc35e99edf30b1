"""What a Plackett-Luce policy does at each slot, exactly: a dynamic programme over sets of items.

The policy fills the list from the top; with S the set of items placed so far and w_a = exp(theta_a),

    P(A_k = a | S) = w_a / sum_{b not in S} w_b,      a not in S.

The order inside S does not matter for what follows, so the probability of S is all that is carried on:

    p(S + {a}) += p(S) P(A_k = a | S),      P(A_k = a) = sum_{|S| = k} p(S) P(A_k = a | S).

N items in slates of K take sum_{k < K} C(N, k) sets of N steps each, where enumeration takes N! / (N - K)!
lists: 386 sets and not 30,240 lists at N = 10, K = 5. A slot whose item is given (pinned) lets only that
item through; what comes through is the probability of all that is pinned, which gives pairs and any other
joint probability. All sums are of positive terms: nothing is lost to cancellation.

Source of the law: Plackett, "The analysis of permutations", Applied Statistics 24, 1975.
"""

import math

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, as_numbers, refuse
from recsim_env.evaluation.off_policy.plackett_luce_kernels import fill_joint, fill_marginals, fill_pairs
from recsim_env.evaluation.off_policy.slots import check_slates

MOST_SETS = 2_000_000  # half a second a row, and 30 MB
MOST_CELLS = 2**27  # of all pairs: 1 GiB
WIDEST = 700.0  # between two logits of a row: beyond, exp is 0 and what is left after the best has no mass


def plackett_luce_marginals(logits: Array, slate_size: int) -> Floats:
    """P(item at slot), (B, K, N), or (K, N) for logits (N,).

    Args:
        logits: (B, N) or (N,) theta, finite, at most 700 apart in a row.
        slate_size: K, from 1 to N.

    Raises:
        InputError: bad logits or slate size, or more than 2 million sets.
    """
    weight = _checked(logits, slate_size)
    out = np.zeros((len(weight), slate_size, weight.shape[1]))
    fill_marginals(weight, _binomials(weight.shape[1], slate_size), out)
    return out if np.ndim(logits) == 2 else out[0]


def plackett_luce_pair_marginals(logits: Array, slate_size: int) -> Floats:
    """P(item a at slot j and item b at slot k), (B, K, N, K, N), or (K, N, K, N) for logits (N,).

    The blocks j = k are diagonal and hold the marginals. Arguments and errors as `plackett_luce_marginals`;
    K N times its time, and at most 1 GiB of result.
    """
    weight = _checked(logits, slate_size)
    B, N = weight.shape
    if B * (slate_size * N) ** 2 > MOST_CELLS:
        raise InputError(
            f"logits of {B} rows and {N} items make {B * (slate_size * N) ** 2:,} pairs, "
            f"at most {MOST_CELLS:,} fit: give fewer rows at a time"
        )
    out = np.zeros((B, slate_size, N, slate_size, N))
    fill_pairs(weight, _binomials(N, slate_size), out)
    return out if np.ndim(logits) == 2 else out[0]


def plackett_luce_log_joint(logits: Array, slate: Array, relevant: Array) -> Floats:
    """(R, K) log P(the items of the slate stand at all slots that are relevant for slot k).

    Args:
        logits: (R, N), or (N,) if they are the same in all rows.
        slate: (R, K) full.
        relevant: (K, K) or (R, K, K) flags; [k, j] = slot j is relevant for slot k.

    Raises:
        InputError: as `plackett_luce_marginals`; a slate with an empty slot; flags of another shape or type.
    """
    K = np.shape(slate)[1] if np.ndim(slate) == 2 else 1
    weight = _checked(logits, K)
    slate = check_slates(slate, weight.shape[1], full=True)
    if len(weight) not in (1, len(slate)):
        raise InputError(f"logits must have {len(slate)} rows as slate has, got {len(weight)}")
    relevant = np.asarray(relevant)
    if relevant.dtype != np.bool_ or relevant.shape not in ((K, K), (len(slate), K, K)):
        raise InputError(
            f"relevant must hold flags of shape ({K}, {K}) or ({len(slate)}, {K}, {K}), "
            f"got {relevant.dtype} of {relevant.shape}"
        )
    out = np.zeros(slate.shape)
    relevant = np.ascontiguousarray(relevant.reshape(-1, K, K))
    fill_joint(weight, slate, relevant, _binomials(weight.shape[1], K), out)
    return np.minimum(np.log(out), 0.0)


def plackett_luce_slot_prob(logits: Array, slate: Array) -> Floats:
    """(R, K, N) P(A_k = a | the items of the slate above slot k); the slate's own item gives its propensity.

    Args:
        logits: (R, N), or (N,) if they are the same in all rows.
        slate: (R, K) full.

    Raises:
        InputError: as `plackett_luce_log_joint`.
    """
    weight = _checked(logits, 1)
    slate = check_slates(slate, weight.shape[1], full=True)
    if len(weight) not in (1, len(slate)):
        raise InputError(f"logits must have {len(slate)} rows as slate has, got {len(weight)}")
    R, K = slate.shape
    left, out = np.broadcast_to(weight, (R, weight.shape[1])).copy(), np.empty((R, K, weight.shape[1]))
    for k in range(K):
        out[:, k] = left / left.sum(axis=1, keepdims=True)
        left[np.arange(R), slate[:, k]] = 0.0
    return out


def plackett_luce_marginals_sampled(
    logits: Array, slate_size: int, *, samples: int = 1000, seed: int = 0
) -> Floats:
    """P(item at slot) estimated, where the sets are too many; shape as `plackett_luce_marginals`.

    The mean over sampled lists of the exact P(A_k = a | A_<k), so the first slot is exact, a slot sums to 1,
    and every probability is unbiased with a standard error below sqrt(p (1 - p) / samples). Weights made of
    them are ratios and so slightly biased. All rows share their random numbers.

    Args:
        logits: as there.
        slate_size: as there.
        samples: lists, 1 or more.
        seed: of the lists.

    Raises:
        InputError: bad logits, slate size or number of samples.
    """
    weight = _checked(logits, slate_size, sampled=True)
    if samples < 1:
        raise InputError(f"samples must be 1 or more, got {samples}")
    B, N = weight.shape
    arrival = np.random.default_rng(seed).exponential(size=(samples, N))  # the first to come stands first
    out = np.empty((B, slate_size, N))
    for b in range(B):
        left = np.tile(weight[b], (samples, 1))
        order = np.argsort(arrival / weight[b], axis=1)
        for k in range(slate_size):
            out[b, k] = (left / left.sum(axis=1, keepdims=True)).mean(axis=0)
            left[np.arange(samples), order[:, k]] = 0.0
    return out if np.ndim(logits) == 2 else out[0]


def _binomials(N: int, K: int) -> Ints:
    """(N + 1, K + 2) C(n, k), no more than is needed: columns beyond the sets of K - 1 items are cut to 0."""
    table = np.zeros((N + 1, K + 2), np.int64)
    for k in range(K):
        table[:, k] = [math.comb(n, k) for n in range(N + 1)]
    return table


def _checked(logits: Array, slate_size: int, *, sampled: bool = False) -> Floats:
    """(B, N) exp(theta - the largest of the row)."""
    theta = as_numbers("logits", logits)
    if theta.ndim not in (1, 2) or theta.size == 0:
        raise InputError(f"logits must have shape (B, N) or (N,), got {theta.shape}")
    refuse("logits", ~np.isfinite(theta), theta, "it is not finite: an item that is never shown has no logit")
    theta = np.atleast_2d(theta)
    N = theta.shape[1]
    if (
        isinstance(slate_size, bool)
        or not isinstance(slate_size, int | np.integer)
        or not 1 <= slate_size <= N
    ):
        raise InputError(f"slate_size must be an integer from 1 to N = {N}, got {slate_size!r}")
    spread = theta.max(axis=1) - theta.min(axis=1)
    if spread.max() > WIDEST:
        row = int(np.argmax(spread))
        raise InputError(
            f"logits[{row}] are {spread[row]:.0f} apart, and items more than {WIDEST:.0f} below the best "
            "have probability 0 in floats: raise the lowest"
        )
    sets = sum(math.comb(N, k) for k in range(slate_size))
    if not sampled and sets > MOST_SETS:
        raise InputError(
            f"slates of {slate_size} out of {N} items make {sets:,} sets, at most {MOST_SETS:,} are counted "
            "out: use plackett_luce_marginals_sampled, or fewer candidates"
        )
    return np.exp(theta - theta.max(axis=1, keepdims=True))
