"""The score by which items are nearest, in float64, and the best of what a search found.

s(a, i) = f_i . a + o_i,      o_i = 0 for inner_product, -|f_i|^2 / 2 for l2
"""

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import unknown_name

METRICS = ("inner_product", "l2")


def check_metric(metric: str) -> None:
    """Refuse a metric that there is not."""
    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS)


def offsets(features: Array, metric: str) -> Floats:
    """(N,) o of the scores."""
    if metric == "inner_product":
        return np.zeros(len(features))
    return np.asarray(-0.5 * np.einsum("nd,nd->n", features, features, dtype=np.float64))


@njit(cache=True)
def rescore(points: Array, features: Array, offset: Floats, found: Ints, K: int) -> tuple[Ints, Floats]:
    """(B, K) the best of found (B, L) in float64, -1 where there are fewer, and the K-th score (B,)."""
    B = len(found)
    slates, kth = np.full((B, K), -1), np.full(B, -np.inf)
    best = np.empty(K)
    for b in range(B):
        best[:] = -np.inf
        for item in found[b]:
            if item >= 0:
                place_item(score_of(points[b], features[item], offset[item]), item, slates[b], best)
        kth[b] = best[K - 1]
    return slates, kth


@njit(cache=True)
def full_search(point: Array, features: Array, offset: Floats, K: int) -> Ints:
    """(K,) the best of all items in float64."""
    slate, best = np.full(K, -1), np.full(K, -np.inf)
    for item in range(len(features)):
        score = score_of(point, features[item], offset[item])
        if score > best[K - 1]:
            place_item(score, item, slate, best)
    return slate


@njit(cache=True)
def score_of(point: Array, item: Array, offset: float) -> float:
    """In float64: f . a + o."""
    total = offset
    for d in range(len(point)):
        total += np.float64(point[d]) * np.float64(item[d])
    return total


@njit(cache=True)
def place_item(score: float, item: int, slate: Ints, best: Floats) -> None:
    """Where it belongs in the slate (K,) of scores best (K,); of equal scores the lower number first."""
    K = len(slate)
    k = K
    while k > 0 and (
        best[k - 1] < score or (best[k - 1] == score and slate[k - 1] > item) or slate[k - 1] < 0
    ):
        if k < K:
            best[k], slate[k] = best[k - 1], slate[k - 1]
        k -= 1
    if k < K:
        best[k], slate[k] = score, item
