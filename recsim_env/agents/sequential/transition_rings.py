"""The rings of the transition-graph heuristic, compiled: who is in them, and who gets a place in the list."""

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Floats, Ints


@njit(cache=True)
def best_of_rings(
    source: Ints, indptr: Array, indices: Array, bonus: Floats, cosine: Array, chance: Ints, best: Ints
) -> None:
    """Fill `best` with the best items of each ring of each source, best first; the rest of it stays as it is.

    Args:
        source: (S,) items.
        indptr: (N + 1,) and
        indices: (edges,) the graph, as SciPy's compressed rows.
        bonus: (edges,) added to the cosine in ring 1.
        cosine: (S, N) of every source with every item.
        chance: (N,) where scores are equal the lower one comes first.
        best: (S, depth, width), -1 everywhere.
    """
    S, depth, width = best.shape
    N = cosine.shape[1]
    seen = np.full(N, -1, np.int64)  # the source for which an item was reached
    ring, following = np.empty(N, np.int64), np.empty(N, np.int64)
    value = np.empty(width, np.float64)
    for s in range(S):
        a = source[s]
        size = 0
        for edge in range(indptr[a], indptr[a + 1]):
            ring[size] = indices[edge]
            seen[indices[edge]] = s
            size += 1
        seen[a] = s
        for r in range(depth):
            held = 0
            for j in range(size):
                i = ring[j]
                score = np.float64(cosine[s, i])
                if r == 0:
                    score += bonus[indptr[a] + j]
                place = held
                while place > 0 and (
                    score > value[place - 1]
                    or (score == value[place - 1] and chance[i] < chance[best[s, r, place - 1]])
                ):
                    place -= 1
                if place < width:
                    for after in range(min(held, width - 1), place, -1):
                        value[after], best[s, r, after] = value[after - 1], best[s, r, after - 1]
                    value[place], best[s, r, place] = score, i
                    held = min(held + 1, width)
            if r + 1 < depth:
                reached = 0
                for j in range(size):
                    for edge in range(indptr[ring[j]], indptr[ring[j] + 1]):
                        i = indices[edge]
                        if seen[i] != s:
                            seen[i] = s
                            following[reached] = i
                            reached += 1
                ring, following, size = following, ring, reached


@njit(cache=True)
def fill_places(filled: Ints, taken: Ints, rows: Ints, which: Ints, best: Ints, budget: Ints) -> None:
    """Let one source fill its places, sum(budget) of them, in the lists of some rows.

    Args:
        filled: (B, places) the lists, changed.
        taken: (B,) how many places are filled, changed.
        rows: (R,) the rows that have this source.
        which: (R,) place of each one's source in `best`.
        best: (S, depth, width) from `best_of_rings`.
        budget: (depth,) places of each ring.
    """
    _, depth, width = best.shape
    left_over = np.empty(depth * width, np.int64)
    for n in range(len(rows)):
        row, start = rows[n], taken[rows[n]]
        end = start + budget.sum()
        at, waiting, served = start, 0, 0
        for r in range(depth):
            size = 0  # items of this ring that no earlier source has taken
            for j in range(width):
                if best[which[n], r, j] >= 0 and not _among(best[which[n], r, j], filled[row, :start]):
                    size += 1
            places = budget[r]
            while places > size and served < waiting:
                filled[row, at] = left_over[served]
                at, served, places = at + 1, served + 1, places - 1
            for j in range(width):
                i = best[which[n], r, j]
                if i < 0 or _among(i, filled[row, :start]):
                    continue
                if places > 0:
                    filled[row, at] = i
                    at, places = at + 1, places - 1
                else:
                    left_over[waiting] = i
                    waiting += 1
        while at < end and served < waiting:
            filled[row, at] = left_over[served]
            at, served = at + 1, served + 1
        taken[row] = at


@njit(cache=True)
def _among(item: int, taken: Ints) -> bool:
    """Whether an earlier source has the item."""
    for other in taken:  # noqa: SIM110 (compiled: no generators)
        if other == item:
            return True
    return False
