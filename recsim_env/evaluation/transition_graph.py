"""The graph of what came directly after what, and how far from the last item the next one stands in it.

An edge a -> b has the count of how often b came directly after a in one user's events. Ring 1 of a holds the
items that a has an edge to; ring r + 1 those that ring r has an edge to, without a and the earlier rings.
"""

import numpy as np
from numba import njit
from scipy import sparse

from recsim_env.arrays import Array, Ints


def transition_counts(user: Array, item: Array, num_items: int) -> sparse.csr_array:
    """Sparse (N, N) float64 counts, row = the earlier item.

    Args:
        user: (R,) sorted, the events of one user in their order.
        item: (R,) item ids, 0 to N - 1.
        num_items: N.
    """
    same = user[1:] == user[:-1]
    pairs = (item[:-1][same], item[1:][same])
    counts = sparse.csr_array((np.ones(len(pairs[0])), pairs), (num_items, num_items))
    counts.sum_duplicates()
    return counts


def rings(graph: sparse.csr_array, last: Array, target: Array, depth: int) -> tuple[Ints, Ints]:
    """The sizes of the rings of every item, (N, depth), and the ring of each target, (B,), 0 if in none.

    Args:
        graph: (N, N), as `transition_counts` gives it.
        last: (B,) items.
        target: (B,) items.
        depth: rings to look at.
    """
    order = np.argsort(last, kind="stable")
    begin = np.searchsorted(last[order], np.arange(graph.shape[0] + 1))
    size = np.zeros((graph.shape[0], depth), np.int64)
    ring = np.zeros(len(last), np.int64)
    _rings(graph.indptr, graph.indices, begin, order, np.asarray(target, np.int64), size, ring)
    return size, ring


@njit(cache=True)
def _rings(
    indptr: Array, indices: Array, begin: Ints, order: Ints, target: Ints, size: Ints, ring: Ints
) -> None:
    """Fill `size` and `ring`; the users whose last item is a stand in order[begin[a]:begin[a + 1]]."""
    N, depth = size.shape
    seen = np.full(N, -1, np.int64)  # the source for which an item was reached last,
    found = np.zeros(N, np.int64)  # and in which ring
    members, following = np.empty(N, np.int64), np.empty(N, np.int64)
    for a in range(N):
        seen[a], found[a] = a, 0
        count = 0
        for edge in range(indptr[a], indptr[a + 1]):
            members[count] = indices[edge]
            seen[indices[edge]], found[indices[edge]] = a, 1  # a itself, where it follows itself
            count += 1
        for r in range(depth):
            size[a, r] = count
            if r + 1 == depth:
                break
            reached = 0
            for m in range(count):
                for edge in range(indptr[members[m]], indptr[members[m] + 1]):
                    i = indices[edge]
                    if seen[i] != a:
                        seen[i], found[i] = a, r + 2
                        following[reached] = i
                        reached += 1
            members, following, count = following, members, reached
        for place in range(begin[a], begin[a + 1]):
            i = target[order[place]]
            ring[order[place]] = found[i] if seen[i] == a else 0
