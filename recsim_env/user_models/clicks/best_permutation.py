"""The best slate for a cascading user, exactly and fast.

A list A shown to a user with attraction u(a), where a click on a is worth w(a) and no click w_0, has value

    f(A) = sum_i [prod_{j<i} (1 - u(A_j))] u(A_i) w(A_i)  +  [prod_i (1 - u(A_i))] w_0.

Lemma: for a given set the descending order of w is best, and an item helps if and only if w > w_0.
So, with the J items of w > w_0 sorted by descending w:

    J = 0        the list must not be empty: the single item of largest u w + (1 - u) w_0
    J <= K       all J items
    J > K        F[i][k] = max( F[i+1][k],  u_i w_i + (1 - u_i) F[i+1][k-1] ),  F[J+1][k] = F[i][0] = w_0,
                 the answer is F[1][K]

in O(N log N + N K), where searching all lists takes O(N^K). With quotas, lower bounds on how many items of
each group are shown, the recursion has an extra index: `fair_permutation.py`.

Source: Du, Srikant, Chen, "Cascading Reinforcement Learning", ICLR 2024, Algorithm 1 (BestPerm).
"""

from collections.abc import Sequence

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.user_models.clicks.fair_permutation import check_quotas, check_table, fair_rows


def best_permutation(
    attraction: Floats,
    value: Floats,
    no_click_value: Floats,
    slate_size: int,
    groups: Array | None = None,
    quotas: Sequence[int] | Array | None = None,
) -> tuple[Ints, Floats]:
    """The list of 1 to K items that maximises f, for every row, of those that meet the quotas.

    Args:
        attraction: (B, N) in [0, 1], u.
        value: (B, N) worth of a click, w; any finite number.
        no_click_value: (B,) worth of no click, w_0.
        slate_size: K, the most items of a list.
        groups: (N,) group of each item, 0 to G-1; with quotas.
        quotas: (G,) the least number of items of each group in a list; all 0 by default.

    Returns:
        slates (B, K) item ids with -1 in unused trailing slots, and their values (B,).

    Raises:
        InputError: shapes that do not fit, an attraction outside [0, 1], a value that is not finite; groups
            without quotas or the other way round; quotas that cannot be met, as `check_quotas` says.
    """
    attraction = np.ascontiguousarray(attraction, np.float64)
    value = np.ascontiguousarray(value, np.float64)
    no_click_value = np.ascontiguousarray(no_click_value, np.float64)
    if attraction.ndim != 2 or attraction.shape[1] == 0:
        raise InputError(f"attraction must have shape (B, N) with N >= 1, got {attraction.shape}")
    if value.shape != attraction.shape:
        raise InputError(f"value must have shape {attraction.shape} like attraction, got {value.shape}")
    if no_click_value.shape != attraction.shape[:1]:
        raise InputError(f"no_click_value must have shape {attraction.shape[:1]}, got {no_click_value.shape}")
    if slate_size < 1:
        raise InputError(f"slate_size must be at least 1, got {slate_size}")
    if not ((attraction >= 0) & (attraction <= 1)).all():
        row, item = np.argwhere(~((attraction >= 0) & (attraction <= 1)))[0]
        raise InputError(
            f"attraction must be in [0, 1], got attraction[{row}, {item}] = {attraction[row, item]}"
        )
    if not (np.isfinite(value).all() and np.isfinite(no_click_value).all()):
        raise InputError("value and no_click_value must be finite")
    if (groups is None) != (quotas is None):
        raise InputError("groups and quotas must be given together, got one of them")
    if groups is not None and quotas is not None:
        group, quota = check_quotas(groups, quotas, attraction.shape[1], slate_size)
        if quota.any():
            check_table(attraction.shape[1], slate_size, quota)
            return fair_rows(attraction, value, no_click_value, slate_size, group, quota)
    return best_rows(attraction, value, no_click_value, slate_size)


@njit(cache=True)
def best_rows(u: Floats, w: Floats, w_0: Floats, K: int) -> tuple[Ints, Floats]:
    """`best_permutation` without its checks."""
    B, N = u.shape
    slates, values = np.empty((B, K), np.int64), np.empty(B)
    order, F, take = scratch(N, K)
    for b in range(B):
        values[b] = best_row(u[b], w[b], w_0[b], slates[b], order, F, take)
    return slates, values


@njit(cache=True)
def scratch(N: int, K: int) -> tuple[Ints, Floats, Bools]:
    """Working memory of `best_row`, made once for many rows: order (N,), F (K+1,), take (N, K+1)."""
    return np.empty(N, np.int64), np.empty(K + 1), np.empty((N, K + 1), np.bool_)


@njit(cache=True)
def best_row(u: Floats, w: Floats, w_0: float, slate: Ints, order: Ints, F: Floats, take: Bools) -> float:
    """Write the best list of one row into `slate` (K,) and return its value.

    Ties go to the lower item id; callers who plan inside a compiled loop call this directly.
    """
    N, K = len(u), len(slate)
    slate[:] = -1
    J = _sort_worthwhile(w, w_0, order)
    if J == 0:
        best, best_value = 0, -np.inf
        for a in range(N):
            f = u[a] * w[a] + (1.0 - u[a]) * w_0
            if f > best_value:
                best, best_value = a, f
        slate[0] = best
        return best_value
    if J <= K:
        f = w_0
        for i in range(J - 1, -1, -1):
            a = order[i]
            slate[i] = a
            f = u[a] * w[a] + (1.0 - u[a]) * f
        return f
    F[:] = w_0
    for i in range(J - 1, -1, -1):
        a = order[i]
        gain, pass_on = u[a] * w[a], 1.0 - u[a]
        for k in range(K, 0, -1):
            f = gain + pass_on * F[k - 1]
            take[i, k] = f >= F[k]
            if take[i, k]:
                F[k] = f
    k, slot = K, 0
    for i in range(J):
        if k > 0 and take[i, k]:
            slate[slot] = order[i]
            slot += 1
            k -= 1
    return F[K]


@njit(cache=True)
def _sort_worthwhile(w: Floats, w_0: float, order: Ints) -> int:
    """The items of w > w_0 into `order`, w descending, ties by id; returns how many there are."""
    J = 0
    if len(w) <= 64:  # insertion sort: the fastest for a short catalogue
        for a in range(len(w)):
            if w[a] > w_0:
                i = J
                while i > 0 and w[order[i - 1]] < w[a]:
                    order[i] = order[i - 1]
                    i -= 1
                order[i] = a
                J += 1
        return J
    for a in np.argsort(-w, kind="mergesort"):
        if w[a] <= w_0:
            break
        order[J] = a
        J += 1
    return J
