"""Items in cells: an exact search that leaves cells out by a bound, or a quick one of the nearest cells.

The scores, the cells and the bounds are said in `nearest.py`.
"""

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.envs.wrappers.item_scores import check_metric, full_search, offsets, rescore
from recsim_env.errors import InputError

SPARE = 8  # items found beyond K, so that rounding hides none
SMALL = 4096  # catalogues up to this size are one cell


class CellSearch:
    """Items in cells.

    Args:
        features: (N, D) float32.
        metric: inner_product or l2.
        probes: P, of the cells; None is exact.
        seed: of the k-means.

    Raises:
        InputError: an unknown metric; probes below 1.
    """

    def __init__(self, features: Array, metric: str, probes: int | None = None, seed: int = 0) -> None:
        check_metric(metric)
        if probes is not None and probes < 1:
            raise InputError(f"probes must be at least 1, got {probes}")
        self.features = np.ascontiguousarray(features, np.float32)
        self.num_items, self.metric, self.probes = len(features), metric, probes
        self.offset = offsets(self.features, metric)
        cell, self.centres = cells_of(self.features, seed)
        C = len(self.centres)
        self.items = np.argsort(cell, kind="stable")  # by cell
        self.start = np.searchsorted(cell[self.items], np.arange(C + 1))
        away = self.features - self.centres[cell]
        radius = np.zeros(C)
        np.maximum.at(radius, cell, np.sqrt(np.einsum("nd,nd->n", away, away, dtype=np.float64)))
        self.radius = radius
        self.longest = float(np.sqrt(np.einsum("nd,nd->n", features, features, dtype=np.float64).max()))
        self.blocks = np.empty(self.features.size, np.float32)  # cell by cell, feature by feature
        for c in range(C):
            mine = self.items[self.start[c] : self.start[c + 1]]
            block = slice(self.start[c] * features.shape[1], self.start[c + 1] * features.shape[1])
            self.blocks[block] = self.features[mine].T.reshape(-1)
        self.sorted_offset = self.offset[self.items].astype(np.float32)

    def nearest(self, points: Array, K: int) -> Ints:
        """See `Search`."""
        points = np.ascontiguousarray(points, np.float32)
        L = min(K + SPARE, self.num_items)
        inner, size = _inner(points, self.centres), np.linalg.norm(points.astype(np.float64), axis=1)
        if self.metric == "l2":
            square = (self.centres.astype(np.float64) ** 2).sum(axis=1)
            near = np.sqrt(np.maximum(size[:, None] ** 2 - 2 * inner + square, 0.0)) - self.radius
            bound = 0.5 * (size[:, None] ** 2 - np.maximum(near, 0.0) ** 2)
            centred = inner - 0.5 * square
        else:
            bound, centred = inner + size[:, None] * self.radius, inner
        # of float32 sums of D products, and of the bounds
        error = (points.shape[1] + 8) * 2.0**-23 * (size + self.longest) * self.longest
        first = centred.argmax(axis=1)
        if self.probes is None or self.probes >= len(self.centres):
            wanted = np.ones(centred.shape, np.bool_)
        else:
            wanted = np.zeros(centred.shape, np.bool_)
            chosen = np.argpartition(-centred, self.probes - 1, axis=1)[:, : self.probes]
            np.put_along_axis(wanted, chosen, True, axis=1)
        found, score = np.full((len(points), L), -1), np.full((len(points), L), -np.inf, np.float32)
        scan(
            points,
            self.blocks,
            self.start,
            self.items,
            self.sorted_offset,
            first,
            wanted,
            bound + error[:, None],
            found,
            score,
        )
        slates, kth = rescore(points, self.features, self.offset, found, K)
        # the last one found is as low as what was left out can be: is it surely below the K-th?
        sure = (
            (found[:, -1] >= 0) & (score[:, -1] + 2.0 * error < kth)
            if self.num_items > L
            else found[:, -1] >= 0
        )
        unsure = ~sure if self.probes is None else slates[:, -1] < 0
        for b in np.flatnonzero(unsure):
            slates[b] = full_search(points[b], self.features, self.offset, K)
        return slates


def cells_of(features: Array, seed: int) -> tuple[Ints, Array]:
    """(N,) the cell of each item and (C, D) centres: a few rounds of k-means on a sample."""
    N = len(features)
    if N <= SMALL:
        return np.zeros(N, np.int64), features.mean(axis=0, keepdims=True).astype(np.float32)
    C = int(np.sqrt(N))
    rng = np.random.default_rng(seed)
    sample = features[np.sort(rng.permutation(N)[: 32 * C])]
    centres = sample[rng.permutation(len(sample))[:C]].copy()
    for _ in range(5):
        cell = _nearest_centre(sample, centres)
        total, count = np.zeros(centres.shape), np.bincount(cell, minlength=C)
        np.add.at(total, cell, sample)
        filled = count > 0
        centres[filled] = (total[filled] / count[filled, None]).astype(np.float32)
    return _nearest_centre(features, centres), centres


def _nearest_centre(features: Array, centres: Array) -> Ints:
    """(N,) by blocks that fit into the cache."""
    half = 0.5 * (centres**2).sum(axis=1)
    columns = np.ascontiguousarray(centres.T)
    cell = np.empty(len(features), np.int64)
    for start in range(0, len(features), 1024):
        cell[start : start + 1024] = (features[start : start + 1024] @ columns - half).argmax(axis=1)
    return cell


@njit(cache=True)
def _inner(points: Array, centres: Array) -> Floats:
    """(B, C) inner products in float64, in an order that does not depend on B."""
    B, C, D = len(points), len(centres), points.shape[1]
    inner = np.zeros((B, C))
    columns = centres.T.copy()
    for b in range(B):
        for d in range(D):
            for c in range(C):
                inner[b, c] += np.float64(points[b, d]) * np.float64(columns[d, c])
    return inner


@njit(cache=True, error_model="numpy")
def scan(
    points: Array,
    blocks: Array,
    start: Ints,
    items: Ints,
    offset: Array,
    first: Ints,
    wanted: Bools,
    bound: Floats,
    found: Ints,
    score: Array,
) -> None:
    """Fill found and score (B, L), best first: its first cell, then cell by cell all points that want it."""
    B, C = wanted.shape
    most = 0
    for c in range(C):
        most = max(most, start[c + 1] - start[c])
    sums = np.empty(most, np.float32)
    L = found.shape[1]
    for b in range(B):
        scan_cell(points[b], blocks, start, items, offset, first[b], sums, found[b], score[b])
    for c in range(C):
        for b in range(B):
            if wanted[b, c] and c != first[b] and bound[b, c] >= score[b, L - 1]:
                scan_cell(points[b], blocks, start, items, offset, c, sums, found[b], score[b])


@njit(cache=True, error_model="numpy")
def scan_cell(
    point: Array,
    blocks: Array,
    start: Ints,
    items: Ints,
    offset: Array,
    c: int,
    sums: Array,
    found: Ints,
    score: Array,
) -> None:
    """Put the items of one cell into found and score (L,), where they belong."""
    D, n, begin, L = len(point), start[c + 1] - start[c], start[c], len(found)
    block, total = blocks[begin * D : (begin + n) * D], sums[:n]
    for j in range(n):
        total[j] = offset[begin + j]
    d = 0
    while d + 4 <= D:  # four features at a time: a fourth of the traffic
        p0, p1, p2, p3 = point[d], point[d + 1], point[d + 2], point[d + 3]
        x0, x1 = block[d * n : (d + 1) * n], block[(d + 1) * n : (d + 2) * n]
        x2, x3 = block[(d + 2) * n : (d + 3) * n], block[(d + 3) * n : (d + 4) * n]
        for j in range(n):
            total[j] += (p0 * x0[j] + p1 * x1[j]) + (p2 * x2[j] + p3 * x3[j])
        d += 4
    while d < D:
        for j in range(n):
            total[j] += point[d] * block[d * n + j]
        d += 1
    least = score[L - 1]
    for j in range(n):
        if total[j] > least or found[L - 1] < 0:
            k = L - 1
            while k > 0 and (found[k - 1] < 0 or score[k - 1] < total[j]):
                score[k], found[k] = score[k - 1], found[k - 1]
                k -= 1
            score[k], found[k] = total[j], items[begin + j]
            least = score[L - 1]
