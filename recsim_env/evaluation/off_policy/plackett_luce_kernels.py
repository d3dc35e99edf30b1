"""The compiled loops of `plackett_luce_marginals`: row by row, one set of placed items after the other.

Sets of one size are numbered in colexicographic order, rank(c_0 < c_1 < ...) = sum_i C(c_i, i + 1), which is
also the order in which they are visited. With item a put between c_{j-1} and c_j, those below keep their
place in the sum and those above move up by one: the rank of the larger set is a sum of three parts.
"""

import numpy as np
from numba import njit

from recsim_env.arrays import Bools, Floats, Ints


@njit(cache=True)
def place(
    weight: Floats, pinned: Ints, choose: Ints, now: Floats, after: Floats, flow: Floats
) -> tuple[Floats, Floats]:
    """Add to flow (K, N) the probability that an item comes to a slot, of lists that hold what is pinned.

    Args:
        weight: (N,) w.
        pinned: (K,) the item of each slot, -1 = any. A slot counts what is pinned down to it.
        choose: (N + 1, K + 2) binomial coefficients.
        now: as many cells as there are sets of one size; scratch.
        after: the same.
        flow: (K, N) zeros.

    Returns:
        The scratch, swapped.
    """
    N, K = len(weight), len(pinned)
    held = np.empty(K, np.int64)
    now[0] = 1.0
    for k in range(K):
        if k + 1 < K:
            after[: choose[N, k + 1]] = 0.0
        for i in range(k):
            held[i] = i
        for s in range(choose[N, k]):  # held = the items of set s
            if now[s] > 0.0:
                total, j, above = 0.0, 0, 0
                for a in range(N):
                    if j < k and held[j] == a:
                        above += choose[a, j + 2]
                        j += 1
                    else:
                        total += weight[a]
                share, below, j = now[s] / total, 0, 0
                for a in range(N):
                    if j < k and held[j] == a:  # of the sets with one more, held[j] is number j of, or j + 1
                        below += choose[a, j + 1]
                        above -= choose[a, j + 2]
                        j += 1
                    elif pinned[k] < 0 or pinned[k] == a:
                        part = share * weight[a]
                        flow[k, a] += part
                        if k + 1 < K:
                            after[below + choose[a, j + 1] + above] += part
            i = 0
            while i < k - 1 and held[i] + 1 == held[i + 1]:
                held[i] = i
                i += 1
            if k > 0:
                held[i] += 1
        now, after = after, now
    return now, after


@njit(cache=True)
def fill_marginals(weight: Floats, choose: Ints, out: Floats) -> None:
    """Write P(item at slot) to out (B, K, N), zeros before; weight is (B, N)."""
    B, K, N = out.shape
    pinned = np.full(K, -1)
    now, after = np.empty(choose[N].max()), np.empty(choose[N].max())
    for b in range(B):
        now, after = place(weight[b], pinned, choose, now, after, out[b])


@njit(cache=True)
def fill_pairs(weight: Floats, choose: Ints, out: Floats) -> None:
    """Write P(a at j, c at k) to out (B, K, N, K, N), zeros before: pin one item, read all below."""
    B, K, N = out.shape[:3]
    pinned, flow = np.full(K, -1), np.empty((K, N))
    now, after = np.empty(choose[N].max()), np.empty(choose[N].max())
    for b in range(B):
        for j in range(K):
            for a in range(N):
                pinned[j] = a
                flow[:] = 0.0
                now, after = place(weight[b], pinned, choose, now, after, flow)
                out[b, j, a, j, a] = flow[j, a]
                for k in range(j + 1, K):
                    for c in range(N):
                        out[b, j, a, k, c] = flow[k, c]
                        out[b, k, c, j, a] = flow[k, c]
                pinned[j] = -1


@njit(cache=True)
def fill_joint(weight: Floats, slate: Ints, relevant: Bools, choose: Ints, out: Floats) -> None:
    """Write P(the slate's items at all relevant slots) to out (R, K); weight, relevant: R rows or one."""
    R, K = slate.shape
    N = weight.shape[1]
    pinned, flow = np.empty(K, np.int64), np.empty((K, N))
    now, after = np.empty(choose[N].max()), np.empty(choose[N].max())
    for r in range(R):
        for k in range(K):
            last = -1
            for j in range(K):
                pinned[j] = -1
                if relevant[r % len(relevant), k, j]:
                    pinned[j], last = slate[r, j], j
            if last < 0:
                out[r, k] = 1.0
            else:
                flow[:] = 0.0
                now, after = place(
                    weight[r % len(weight)], pinned[: last + 1], choose, now, after, flow[: last + 1]
                )
                out[r, k] = flow[last, slate[r, last]]
