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
from recsim_env.errors import InputError

MOST_COUNTED = 64  # beyond, sorting is faster than counting


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

    Args: as of `attraction_of_slates`, finite; K is 1 to N.

    Raises:
        InputError: another K.
    """
    _check_count(K, len(features))
    best, highest = np.empty((len(interest), K), np.int64), np.empty((len(interest), K), np.float32)
    fill_top_items(interest, np.ascontiguousarray(features.T), offset, best, highest)
    return best


def top_attraction(interest: Array, columns: Array, offset: Array, K: int) -> Floats:
    """(B, K) the highest attractions of the catalogue, highest first.

    Args: as of `attraction_of_slates`, finite, but columns (D, N) are the features transposed, contiguous; K
        is 1 to N.

    Raises:
        InputError: another K.
    """
    _check_count(K, columns.shape[1])
    best, highest = np.empty((len(interest), K), np.int64), np.empty((len(interest), K), np.float32)
    fill_top_items(interest, columns, offset, best, highest)
    return attraction_of_logits(highest)


def _check_count(K: int, num_items: int) -> None:
    if not 1 <= K <= num_items:
        raise InputError(f"K must be from 1 to the number of items ({num_items}), got {K}")


def attraction_of_catalogue(interest: Array, features: Array, offset: Array) -> Floats:
    """(B, N) attraction of every item, to the last bit that of `attraction_of_slates`.

    Args: as of `attraction_of_slates`.
    """
    attraction = np.empty((len(interest), len(features)))
    fill_catalogue(interest, np.ascontiguousarray(features.T), offset, attraction)
    return attraction


def attraction_of_logits(logit: Array) -> Floats:
    """Sigmoid of float32 logits (B, K), in double precision."""
    attraction = np.empty(logit.shape[::-1]).T
    fill_sigmoid(logit, attraction)
    return attraction


@njit(cache=True, error_model="numpy")
def fill_attraction(
    interest: Array, features: Array, offset: Array, slates: Ints, attraction: Floats
) -> None:
    """The compiled loops of `attraction_of_slates`, written into attraction (B, K)."""
    B, K = slates.shape
    logit, shown, power = np.empty(B, np.float32), np.empty(B, np.bool_), np.empty(B)
    for k in range(K):
        logits_of_slot(interest, features, offset, slates[:, k], logit)
        is_new(slates, k, shown)
        sigmoid(logit, shown, power, attraction[:, k])


@njit(cache=True, error_model="numpy")
def logits_of_slot(interest: Array, features: Array, offset: Array, items: Ints, logit: Array) -> None:
    """Write the logits (B,) of the items (B,) of one slot; of item 0 where it is empty (-1)."""
    if items.size > 0 and items.max() >= len(features):
        raise IndexError("a slate holds an item outside the catalogue")
    for b in range(len(items)):
        item = max(items[b], 0)
        total = offset[item]
        for d in range(features.shape[1]):
            total += interest[b, d] * features[item, d]
        logit[b] = total


@njit(cache=True, error_model="numpy")
def fill_sigmoid(logit: Array, attraction: Floats) -> None:
    """The compiled loop of `attraction_of_logits`."""
    B, K = logit.shape
    shown, power = np.ones(B, np.bool_), np.empty(B)
    for k in range(K):
        sigmoid(logit[:, k], shown, power, attraction[:, k])


@njit(cache=True, error_model="numpy")
def sigmoid(logit: Array, shown: Bools, power: Floats, attraction: Floats) -> None:
    """Write shown / (1 + exp(-logit)), all (B,), in double precision; relative error below 1e-12.

    Logits are finite; beyond +-693 they count as that (1e-301). exp by a power of two and Taylor's series, in
    loops without calls, which the compiler runs several users at a time: twice as fast as a call of the C
    library for each. power (B,) is scratch.
    """
    bits = power.view(np.int64)
    for b in range(len(logit)):
        x: float = -np.float64(logit[b]) * 1.4426950408889634  # to base 2
        x = x if x < 1000.0 else 1000.0
        x = x if x > -1000.0 else -1000.0
        power[b] = x + 6755399441055744.0  # 1.5 2^52: its last bits are the nearest whole number
        y = (x - (power[b] - 6755399441055744.0)) * 0.6931471805599453
        series = 1 / 5040 + y * (1 / 40320 + y * (1 / 362880 + y * (1 / 3628800 + y / 39916800)))
        series = 1 / 6 + y * (1 / 24 + y * (1 / 120 + y * (1 / 720 + y * series)))
        attraction[b] = 1.0 + y * (1.0 + y * (1 / 2 + y * series))
    for b in range(len(logit)):
        bits[b] = (bits[b] + 1023) << 52
    for b in range(len(logit)):
        attraction[b] = shown[b] / (1.0 + attraction[b] * power[b])


@njit(cache=True, error_model="numpy")
def is_new(slates: Ints, k: int, shown: Bools) -> None:
    """Write (B,) whether slot k holds an item that no higher slot holds."""
    for b in range(len(slates)):
        shown[b] = slates[b, k] >= 0
    for j in range(k):
        for b in range(len(slates)):
            shown[b] &= slates[b, j] != slates[b, k]


@njit(cache=True, error_model="numpy")
def present(attraction: Floats, user: Ints, slates: Ints) -> tuple[Floats, Bools]:
    """`attraction_of_slates` of users (B,), looked up in a table (U, N), and `listed`, (B, K) both.

    The environments have checked the slates; a world called directly must not read past its tables.
    """
    B, K = slates.shape
    if slates.size > 0 and slates.max() >= attraction.shape[1]:
        raise IndexError("a slate holds an item outside the catalogue")
    shown, holds = np.empty((K, B)), np.empty((K, B), np.bool_)
    for k in range(K):
        is_new(slates, k, holds[k])
    for b in range(B):
        for k in range(K):
            shown[k, b] = attraction[user[b], max(slates[b, k], 0)] * holds[k, b]
    return shown.T, holds.T


@njit(cache=True, error_model="numpy")
def fill_catalogue(interest: Array, columns: Array, offset: Array, attraction: Floats) -> None:
    """The compiled loops of `attraction_of_catalogue`: columns (D, N) are the features."""
    N = columns.shape[1]
    logit, shown, power = np.empty(N, np.float32), np.ones(N, np.bool_), np.empty(N)
    for b in range(len(interest)):
        fill_logits(interest[b], columns, offset, logit)
        sigmoid(logit, shown, power, attraction[b])


@njit(cache=True, error_model="numpy")
def fill_top_items(interest: Array, columns: Array, offset: Array, best: Ints, highest: Array) -> None:
    """The loop of `top_items`: columns (D, N) are the features; best and highest (B, K) are written."""
    N, K = columns.shape[1], best.shape[1]
    logit, maxima, passed = np.empty(N, np.float32), np.empty(lanes(K), np.float32), np.empty(N + 1, np.int64)
    for b in range(len(interest)):
        fill_logits(interest[b], columns, offset, logit)
        keep_highest(logit, maxima, passed, best[b], highest[b])


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
def keep_highest(logit: Array, maxima: Array, passed: Ints, best: Ints, highest: Array) -> None:
    """Write the numbers and values (K,) of the highest logits (N,), highest first, ties by the lower number.

    The items are dealt to lanes, item n to lane n mod M. The K-th highest of the maxima of the lanes is at
    most the K-th highest logit and nearly as high, so few items pass it, and these are ranked by counting.
    There is hardly a branch on a logit: a wrongly predicted one costs as much as ten comparisons, and sorting
    by insertion took five times as long. Where many pass, as K is large or many are equal, they are sorted.

    Shapes: logit (N,), best and highest (K,); scratch are maxima (M,), M = `lanes(K)`, and passed (N + 1,).
    """
    N, M, K = len(logit), len(maxima), len(best)
    quarter = M // 4
    maxima[:] = -np.inf
    for begin in range(0, N, M):
        raise_to(maxima, logit[begin : begin + M])
    for part in range(1, 4):
        raise_to(maxima[:quarter], maxima[part * quarter : (part + 1) * quarter])
    lowest = np.float32(np.inf)
    if K > MOST_COUNTED:
        lowest = np.sort(maxima[:quarter])[quarter - K]
    for one in range(quarter if K <= MOST_COUNTED else 0):
        rank = 0
        for other in range(quarter):
            rank += maxima[other] > maxima[one]
        lowest = maxima[one] if (rank < K) & (maxima[one] < lowest) else lowest
    above = 0
    for n in range(N):
        passed[above] = n
        above += logit[n] >= lowest
    if above > max(M, MOST_COUNTED):
        order = np.argsort(-logit[passed[:above]], kind="mergesort")
        for k in range(K):
            best[k] = passed[order[k]]
            highest[k] = logit[best[k]]
        return
    value = maxima if above <= M else np.empty(above, np.float32)
    for i in range(above):
        value[i] = logit[passed[i]]
    for i in range(above):
        rank = 0
        for j in range(above):
            rank += value[j] > value[i]
        for j in range(i):
            rank += value[j] == value[i]
        if rank < K:
            best[rank], highest[rank] = passed[i], value[i]


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
def listed(slates: Ints) -> Bools:
    """(B, K) which slots hold an item for the first time."""
    B, K = slates.shape
    holds = np.empty((K, B), np.bool_)
    for k in range(K):
        is_new(slates, k, holds[k])
    return holds.T
