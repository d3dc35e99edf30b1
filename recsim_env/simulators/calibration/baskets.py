"""Visits and their baskets out of a log, and vectors of items from the company they keep.

A visit is all rows of one user with the same time; its basket is the set of items clicked in it.
Letters: V visits, M items of the vocabulary, D dimensions of an item vector.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import eigsh

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log


@dataclass(frozen=True)
class Visits:
    """V visits, sorted by user, then time."""

    user: Ints  # (V,)
    items: Ints  # (M,) item ids of the log, increasing: the columns of `baskets`
    baskets: csr_array  # (V, M) 1.0 where the basket holds the item; no basket is empty

    def __len__(self) -> int:
        return len(self.user)

    def of(self, keep: Bools) -> "Visits":
        """Some of the visits, keep (V,)."""
        return Visits(self.user[keep], self.items, self.baskets[np.flatnonzero(keep)])

    def restricted_to(self, items: Ints) -> "Visits":
        """The same visits with other items left out; a visit whose basket is empty then is no visit."""
        place = np.minimum(np.searchsorted(self.items, items), len(self.items) - 1)
        known = self.items[place] == items
        # a column of zeros for every item that no basket holds
        select = csr_array(
            (np.ones(known.sum()), (place[known], np.flatnonzero(known))), shape=(len(self.items), len(items))
        )
        baskets = csr_array(self.baskets @ select)
        keep = np.flatnonzero(np.diff(baskets.indptr) > 0)
        return Visits(self.user[keep], items, baskets[keep])

    def of_last_visit(self, value: Ints) -> Ints:
        """(V,) the value (V,) of the same user's visit before; -1 at a first visit."""
        last = np.full(len(value), -1, np.int64)
        again = self.user[1:] == self.user[:-1]
        last[1:][again] = value[:-1][again]
        return last


def visits_of(log: Log) -> Visits:
    """The visits of a log.

    Raises:
        InputError: nothing in the log is clicked.
    """
    rows, slots = np.nonzero(log.clicked)
    if len(rows) == 0:
        raise InputError("a fit needs clicks, but this log has none")
    user, time = log.user[rows], log.time[rows]
    first = np.append(True, (np.diff(user) != 0) | (np.diff(time) != 0))
    visit = np.cumsum(first) - 1
    items, column = np.unique(log.slate[rows, slots], return_inverse=True)
    baskets = csr_array((np.ones(len(rows)), (visit, column)), shape=(int(visit[-1]) + 1, len(items)))
    baskets.sum_duplicates()
    baskets.data[:] = 1.0  # an item counts once however often it was bought
    return Visits(user[first], items, baskets)


def item_vectors(baskets: csr_array, dim: int) -> Floats:
    """(M, D) vectors of items: items bought together point the same way.

    With C(a,b) = number of baskets that hold both a and b (a != b), C(a) = sum_b C(a,b), C = sum_a C(a),

        PPMI(a,b) = max(0, log C(a,b) C / (C(a) C(b))),      vector of a = row a of E sqrt(L),

    where E L E' is the part of PPMI's eigendecomposition with the D largest eigenvalues that are positive
    (for this symmetric matrix the SVD is the same up to signs). Columns of zeros fill up to D.

    Source: Levy, Goldberg, "Neural word embedding as implicit matrix factorization", NeurIPS 2014.
    """
    together = csr_array(baskets.T @ baskets)
    together = csr_array(together - diags_array(together.diagonal()))
    together.eliminate_zeros()
    margin = np.asarray(together.sum(axis=1)).ravel()
    row = np.repeat(np.arange(len(margin)), np.diff(together.indptr))
    together.data = np.maximum(
        np.log(together.data * margin.sum() / (margin[row] * margin[together.indices])), 0.0
    )
    M = len(margin)
    values: Array
    vectors: Array
    if 2 * dim >= M:
        values, vectors = np.linalg.eigh(together.toarray())
        values, vectors = values[-dim:], vectors[:, -dim:]
    else:  # a fixed first vector makes the iteration repeatable
        values, vectors = eigsh(together, k=dim, which="LA", v0=np.ones(M))
    scaled = np.zeros((M, dim))
    scaled[:, : len(values)] = vectors * np.sqrt(np.maximum(values, 0.0))
    return scaled
