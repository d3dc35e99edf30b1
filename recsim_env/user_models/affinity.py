"""How attractive items are to users with interests: a logistic model of an inner product.

    a(b, i) = sigmoid(logit(b, i)),      logit(b, i) = offset_i + sum_d interest_bd features_id

`offset` (N,) holds the intercept and the quality of the items; how sharply users tell items apart is the
length of their interest vectors. All loops add up in the same order in float32, without reassociation, so
that an item has the same logit, to the last bit, in a slate and in a scan of the whole catalogue, whatever
the number of users.
"""

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Bools, Floats, Ints


def attraction_of_slates(interest: Array, features: Array, offset: Array, slates: Ints) -> Floats:
    """(B, K) attraction of what is shown; 0 in empty slots and where an item stands for the second time.

    Args:
        interest: (B, D) float32.
        features: (N, D) float32.
        offset: (N,) float32.
        slates: (B, K) items, -1 in empty slots.

    Raises:
        IndexError: a slate holds an item outside the catalogue.
    """
    B, K = slates.shape
    attraction = np.empty((K, B)).T  # slot by slot in memory
    fill_attraction(interest, features, offset, slates, attraction)
    return attraction


def top_items(interest: Array, features: Array, offset: Array, K: int) -> Ints:
    """(B, K) the items of the highest attraction, highest first; ties by the lower number.

    Args: as of `attraction_of_slates`; K is 1 to N.
    """
    best = np.empty((len(interest), K), np.int64)
    fill_top_items(interest, np.ascontiguousarray(features.T), offset, best)
    return best


@njit(cache=True, error_model="numpy")
def fill_attraction(
    interest: Array, features: Array, offset: Array, slates: Ints, attraction: Floats
) -> None:
    """The compiled loops of `attraction_of_slates`, written into attraction (B, K)."""
    B, K = slates.shape
    D = features.shape[1]
    if slates.size > 0 and slates.max() >= len(features):
        raise IndexError("a slate holds an item outside the catalogue")
    logit, shown = np.empty(B, np.float32), np.empty(B, np.bool_)
    for k in range(K):
        for b in range(B):
            item = max(slates[b, k], 0)
            total = offset[item]
            for d in range(D):
                total += interest[b, d] * features[item, d]
            logit[b] = total
        is_new(slates, k, shown)
        for b in range(B):
            attraction[b, k] = shown[b] / (1.0 + np.exp(-np.float64(logit[b])))


@njit(cache=True, error_model="numpy")
def is_new(slates: Ints, k: int, shown: Bools) -> None:
    """Write (B,) whether slot k holds an item that no higher slot holds."""
    for b in range(len(slates)):
        shown[b] = slates[b, k] >= 0
    for j in range(k):
        for b in range(len(slates)):
            shown[b] &= slates[b, j] != slates[b, k]


@njit(cache=True, error_model="numpy")
def fill_top_items(interest: Array, columns: Array, offset: Array, best: Ints) -> None:
    """The compiled loop of `top_items`: columns (D, N) are the features, best (B, K) is written."""
    N, K = columns.shape[1], best.shape[1]
    logit, maxima, passed = np.empty(N, np.float32), np.empty(lanes(K), np.float32), np.empty(N, np.int64)
    for b in range(len(interest)):
        fill_logits(interest[b], columns, offset, logit)
        keep_highest(logit, maxima, passed, best[b])


@njit(cache=True, error_model="numpy")
def fill_logits(interest: Array, columns: Array, offset: Array, logit: Array) -> None:
    """Write the logits (N,) of all items for one user, interest (D,).

    Four dimensions a pass, added in the order of `fill_attraction`: a third less time than one a pass.
    """
    D, N = columns.shape
    logit[:] = offset
    whole = D - D % 4
    for d in range(0, whole, 4):
        w0, w1, w2, w3 = interest[d], interest[d + 1], interest[d + 2], interest[d + 3]
        c0, c1, c2, c3 = columns[d], columns[d + 1], columns[d + 2], columns[d + 3]
        for n in range(N):
            logit[n] = (((logit[n] + w0 * c0[n]) + w1 * c1[n]) + w2 * c2[n]) + w3 * c3[n]
    for d in range(whole, D):
        for n in range(N):
            logit[n] += interest[d] * columns[d, n]


@njit(cache=True, error_model="numpy")
def keep_highest(logit: Array, maxima: Array, passed: Ints, best: Ints) -> None:
    """Write the numbers (K,) of the highest logits (N,), highest first, ties by the lower number.

    The items are dealt to lanes, item n to lane n mod M. The K-th highest of the maxima of the lanes is at
    most the K-th highest logit and nearly as high, so few items pass it, and these are ranked by counting.
    There is no branch on a logit: a wrongly predicted one costs as much as ten comparisons, and sorting by
    insertion took five times as long.

    Args:
        logit: (N,).
        maxima: (M,) scratch, M = `lanes(K)`.
        passed: (N,) scratch.
        best: (K,).
    """
    N, M, K = len(logit), len(maxima), len(best)
    quarter = M // 4
    maxima[:] = -np.inf
    for begin in range(0, N, M):
        raise_to(maxima, logit[begin : begin + M])
    for part in range(1, 4):
        raise_to(maxima[:quarter], maxima[part * quarter : (part + 1) * quarter])
    lowest = kth_highest(maxima[:quarter], K, maxima[quarter:])
    above = 0
    for lane in range(quarter):
        if maxima[lane] >= lowest:
            for n in range(lane, N, quarter):
                passed[above] = n
                above += logit[n] >= lowest
    for n in passed[:above]:
        rank = 0
        for other in passed[:above]:
            rank += (logit[other] > logit[n]) | ((logit[other] == logit[n]) & (other < n))
        if rank < K:
            best[rank] = n


@njit(cache=True, error_model="numpy")
def raise_to(maxima: Array, values: Array) -> None:
    """Raise each maximum to its value if that is higher. Not `max`, whose care of NaN is slow."""
    for j in range(len(values)):
        maxima[j] = values[j] if values[j] > maxima[j] else maxima[j]


@njit(cache=True, error_model="numpy")
def lanes(K: int) -> int:
    """M, a multiple of four of at least 2 K: half of the quarter's maxima fall away."""
    return max(128, 8 * K)


@njit(cache=True, error_model="numpy")
def kth_highest(values: Array, K: int, sorted_values: Array) -> float:
    """The K-th highest of the values; `sorted_values`, at least K, is scratch. Bubbles, without branches."""
    sorted_values[:K] = -np.inf
    for value in values:
        falling = value
        for j in range(K):
            held = sorted_values[j]
            sorted_values[j] = falling if falling > held else held
            falling = held if falling > held else falling
    return sorted_values[K - 1]


@njit(cache=True, error_model="numpy")
def listed(slates: Ints) -> Bools:
    """(B, K) which slots hold an item for the first time."""
    B, K = slates.shape
    holds = np.empty((K, B), np.bool_)
    for k in range(K):
        is_new(slates, k, holds[k])
    return holds.T
