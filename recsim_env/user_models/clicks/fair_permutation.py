"""The best slate for a cascading user that shows at least q_g items of every group g, exactly.

With f(A) as in `best_permutation`: for a given set the descending order of w is best, also where some w are
below w_0 (swapping neighbours changes f by their product of attractions times w_a - w_b). So with all items
sorted by descending w, and F[i][k][c] the most that the items from i on are worth in at most k slots, when
c_g more of each group g must be among them,

    F[i][k][c] = max( F[i+1][k][c],  u_i w_i + (1 - u_i) F[i+1][k-1][c - e_{g(i)}] ),     c - e_g not below 0,
    F[J+1][k][c] = w_0 if c = 0, else minus infinity;           the answer is F[1][K][q]

in O(N K prod_g (q_g + 1)): the quotas are an extra index. Without quotas it is `best_permutation`.

Source: the recursion of Du, Srikant, Chen, ICLR 2024, Algorithm 1, with the index c added (ours).
"""

from collections.abc import Sequence

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError

MOST_CELLS = 1 << 28  # of the table of decisions, bytes


def check_quotas(
    groups: Array, quotas: Sequence[int] | Array, num_items: int, slate_size: int
) -> tuple[Ints, Ints]:
    """The groups (N,) and quotas (G,) as integers.

    Raises:
        InputError: not one group for each item, or one that has no quota; quotas below 0, that sum to more
            than K, or that are larger than their group.
    """
    group, quota = np.asarray(groups), np.asarray(quotas)
    if group.shape != (num_items,) or group.dtype.kind not in "iu":
        raise InputError(f"groups must be integers of shape ({num_items},), got {group.dtype} {group.shape}")
    if quota.ndim != 1 or len(quota) == 0 or quota.dtype.kind not in "iu":
        raise InputError(f"quotas must be whole numbers, one for each group, got {quotas!r}")
    if quota.min() < 0:
        raise InputError(f"quotas[{quota.argmin()}] = {quota.min()} is below 0")
    if group.min() < 0 or group.max() >= len(quota):
        item = int(np.argmax((group < 0) | (group >= len(quota))))
        raise InputError(
            f"groups[{item}] = {group[item]} has no quota: there are {len(quota)} (0-{len(quota) - 1}), give "
            "0 to groups without one"
        )
    if quota.sum() > slate_size:
        raise InputError(
            f"quotas {quota.tolist()} cannot be met: they sum to {quota.sum()}, and a slate has {slate_size} "
            "slots"
        )
    members = np.bincount(group, minlength=len(quota))
    if (members < quota).any():
        g = int(np.argmax(members < quota))
        raise InputError(f"quotas[{g}] = {quota[g]} cannot be met: group {g} has {members[g]} items")
    return group.astype(np.int64), quota.astype(np.int64)


def check_table(num_items: int, slate_size: int, quota: Ints) -> None:
    """Refuse a table of decisions that would be too large."""
    cells = num_items * (slate_size + 1) * int(np.prod(quota + 1.0))
    if cells > MOST_CELLS:
        raise InputError(
            f"quotas {quota.tolist()} over {num_items} items in {slate_size} slots need {cells:,} decisions, "
            f"more than {MOST_CELLS:,}: join groups, or leave items out that can be in no good slate"
        )


@njit(cache=True)
def fair_rows(u: Floats, w: Floats, w_0: Floats, K: int, group: Ints, quota: Ints) -> tuple[Ints, Floats]:
    """(B, K) best slates, -1 in unused trailing slots, and their values (B,); one quota at least above 0."""
    B, N = u.shape
    G = len(quota)
    stride = np.ones(G, np.int64)  # of c as one number
    for g in range(1, G):
        stride[g] = stride[g - 1] * (quota[g - 1] + 1)
    C = stride[G - 1] * (quota[G - 1] + 1)
    # for each group and c: where c - e_g is
    fewer = np.empty((G, C), np.int64)
    for g in range(G):
        for c in range(C):
            fewer[g, c] = c - stride[g] if (c // stride[g]) % (quota[g] + 1) > 0 else c
    slates, values = np.full((B, K), -1), np.empty(B)
    F, take = np.empty((K + 1, C)), np.empty((N, K + 1, C), np.bool_)
    for b in range(B):
        order = np.argsort(-w[b], kind="mergesort")
        F[:] = -np.inf
        F[:, 0] = w_0[b]
        for i in range(N - 1, -1, -1):
            a = order[i]
            gain, pass_on, needs = u[b, a] * w[b, a], 1.0 - u[b, a], fewer[group[a]]
            for k in range(K, 0, -1):
                for c in range(C):  # F[k - 1] is still that of item i + 1
                    below = F[k - 1, needs[c]]
                    # 0 times minus infinity would be no number
                    f = gain + pass_on * below if below > -np.inf else -np.inf
                    better = f >= F[k, c] and f > -np.inf
                    take[i, k, c] = better
                    if better:
                        F[k, c] = f
        k, c, slot = K, C - 1, 0
        for i in range(N):
            if k > 0 and take[i, k, c]:
                slates[b, slot] = order[i]
                c = fewer[group[order[i]], c]
                slot += 1
                k -= 1
        values[b] = F[K, C - 1]
    return slates, values
