"""Item-kNN: the items that people had who also had those of the history, the first collaborative baseline."""

from typing import Self

import numpy as np
from scipy import sparse

from recsim_env.agents.recommender import check_history, clicked_items
from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log

BLOCK_CELLS = 2**22
"""Co-occurrences are held for blocks of items of about this many cells: 32 MB."""


class ItemKNNRecommender:
    """Sum of the similarities to the items of the history, whatever their order.

    With n(i) = users who had item i and n(i, j) = users who had both,

        s(j, i) = n(i, j) / (sqrt(n(i) n(j)) + shrinkage),   i other than j,
        score(i) = sum over the distinct items j of the history of s(j, i), where i is a neighbour of j,

    and the neighbours of j are the `neighbours` items most similar to it; the first of equal ones in a
    random order that `seed` draws, for ids can carry the answer.

    Args:
        neighbours: k, 1 or more.
        shrinkage: 0 or more, in users; it keeps two items that one user had from being most similar.
        seed: of the order of equally similar items.
        num_items: N, the size of the catalogue; None = 1 + the largest id in the log.

    After `fit`: `num_items_`; `similarity_`, sparse (N, N) float64, row j = the neighbours of j.

    Source: Deshpande and Karypis 2004, "Item-based top-N recommendation algorithms", cosine; the shrinkage
    as in Ferrari Dacrema et al. 2019, "Are we really making much progress?". The defaults are ours.
    """

    num_items_: int
    similarity_: sparse.csr_array  # (N, N)

    def __init__(
        self, *, neighbours: int = 100, shrinkage: float = 10.0, seed: int = 0, num_items: int | None = None
    ) -> None:
        self.neighbours = neighbours
        self.shrinkage = shrinkage
        self.seed = seed
        self.num_items = num_items

    def fit(self, log: Log) -> Self:
        """Count users in common, item by item in blocks, and keep the neighbours.

        Raises:
            InputError: less than one neighbour, a negative shrinkage, a log without clicks, or with an item
                outside the catalogue.
        """
        if isinstance(self.neighbours, bool) or self.neighbours < 1:
            raise InputError(f"neighbours must be 1 or more, got {self.neighbours!r}")
        if not (np.isfinite(self.shrinkage) and self.shrinkage >= 0):
            raise InputError(f"shrinkage must be 0 or more, got {self.shrinkage!r}")
        user, item, N = clicked_items(log, self.num_items)
        self.num_items_ = N
        _, row = np.unique(user, return_inverse=True)
        had = sparse.csr_array((np.ones(len(row)), (row, item)), (int(row.max()) + 1, N))
        had.sum_duplicates()
        had.data[:] = 1.0
        users = np.asarray(had.sum(axis=0)).ravel()
        root = np.sqrt(users)
        chance = np.random.default_rng(self.seed).permutation(N)
        by_item = sparse.csr_array(had.T)
        step, blocks = max(1, BLOCK_CELLS // N), []
        for start in range(0, N, step):
            common = sparse.csr_array(by_item[start : start + step] @ had)  # (items, N)
            j = np.repeat(np.arange(len(common.indptr) - 1), np.diff(common.indptr))
            i = common.indices
            similarity = common.data / (root[start + j] * root[i] + self.shrinkage)
            order = np.lexsort((chance[i], -similarity, j))
            order = order[i[order] != start + j[order]]
            first = np.searchsorted(j[order], np.arange(common.shape[0]))
            order = order[np.arange(len(order)) - first[j[order]] < self.neighbours]
            blocks.append(sparse.csr_array((similarity[order], (j[order], i[order])), common.shape))
        self.similarity_ = sparse.csr_array(sparse.vstack(blocks))
        return self

    def scores(self, history: Array) -> Floats:
        """The scores above, (B, N) float64, for a history (B, H) padded on the left; 0 for an empty one.

        Raises:
            InputError: not fitted, or a history that `check_history` refuses.
        """
        history = check_history(self, history)
        row, column = np.nonzero(history >= 0)
        shape = (len(history), self.num_items_)
        had = sparse.csr_array((np.ones(len(row)), (row, history[row, column])), shape)
        had.sum_duplicates()
        had.data[:] = 1.0
        return np.asarray((had @ self.similarity_).toarray())
