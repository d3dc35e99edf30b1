"""Matrix factorisation of what was taken and what was not, by alternating least squares.

    minimise  sum over (u, i) taken of (1 - p_u . q_i)^2 + alpha0 sum over all (u, i) of (p_u . q_i)^2
              + l (sum over u of n_u^e |p_u|^2 + sum over i of n_i^e |q_i|^2),
              n_u = events of u + alpha0 N,  n_i alike with the number of users, e = `exponent`
    p_u = (sum over i of u of q_i q_i' + alpha0 Q'Q + l n_u^e I)^-1  sum over i of u of q_i,   q_i alike
    score(i) = p_u . q_i, with p_u solved for the history that is given: nobody needs to be known

Source: Hu, Koren, Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008; the
regularisation of Rendle and others, "Revisiting the performance of iALS on item recommendation
benchmarks", RecSys 2022.
"""

from typing import Self

import numpy as np
from scipy import sparse

from recsim_env.agents.recommender import check_history, check_weights, clicked_items
from recsim_env.arrays import Array, Floats
from recsim_env.errors import check_ranges
from recsim_env.simulators.log import Log

BLOCK_CELLS = 2**22  # numbers of the vectors that are gathered at a time: 32 MB


class ImplicitALSRecommender:
    """See the module.

    Args:
        dimension: D, 1 or more.
        sweeps: of both sides, 1 or more.
        unobserved: alpha0, above 0.
        regularisation: l, above 0.
        exponent: e, from 0 to 1; 1 = everyone's vector is held back as much as they have events.
        seed: of the first vectors.
        num_items: N; None = 1 + the largest id in the log.

    After `fit`: `num_items_`; `items_`, the q (N, D).

    Raises:
        InputError: `fit`: a number out of range, a log without clicks, weights that `check_weights` refuses.
    """

    num_items_: int
    items_: Floats

    def __init__(
        self,
        *,
        dimension: int = 64,
        sweeps: int = 8,
        unobserved: float = 0.01,
        regularisation: float = 0.01,
        exponent: float = 1.0,
        seed: int = 0,
        num_items: int | None = None,
    ) -> None:
        self.dimension, self.sweeps = dimension, sweeps
        self.unobserved, self.regularisation, self.exponent = unobserved, regularisation, exponent
        self.seed, self.num_items = seed, num_items

    def fit(self, log: Log, weights: Floats | None = None) -> Self:
        """Alternate.

        Args:
            log: what was clicked.
            weights: (U,) of the log's users in the order of their ids, 0 or more: how much what a user took
                counts; None = 1.
        """
        whole = {"dimension": self.dimension, "sweeps": self.sweeps}
        above_0 = {"unobserved": self.unobserved, "regularisation": self.regularisation}
        check_ranges(whole, {"exponent": self.exponent}, above_0)
        user, item, N = clicked_items(log, self.num_items)
        self.num_items_ = N
        _, row = np.unique(user, return_inverse=True)
        U = int(row.max()) + 1
        had = sparse.csr_array((np.ones(len(row)), (row, item)), (U, N))
        had.sum_duplicates()
        had.data[:] = 1.0
        if weights is not None:
            had.data *= np.repeat(check_weights(weights, U), np.diff(had.indptr))
        by_item = sparse.csr_array(had.T)
        rng = np.random.default_rng(self.seed)
        self.items_ = rng.normal(0.0, 1.0 / np.sqrt(self.dimension), (N, self.dimension))
        for _ in range(self.sweeps):
            users = self._solved(had, self.items_)
            self.items_ = self._solved(by_item, users)
        return self

    def scores(self, history: Array) -> Floats:
        """The scores above, (B, N) float64, for a history (B, H) padded on the left.

        Raises:
            InputError: not fitted, or a history that `check_history` refuses.
        """
        return self.users(history) @ self.items_.T

    def users(self, history: Array) -> Floats:
        """The vectors p_u (B, D) of users with these histories; arguments and errors as of `scores`."""
        history = check_history(self, history)
        row, column = np.nonzero(history >= 0)
        shape = len(history), self.num_items_
        had = sparse.csr_array((np.ones(len(row)), (row, history[row, column])), shape)
        had.sum_duplicates()
        had.data[:] = 1.0
        return self._solved(had, self.items_)

    def _solved(self, had: sparse.csr_array, other: Floats) -> Floats:
        """The vectors of one side (rows of `had`), given those of the other."""
        count, D = np.diff(had.indptr), other.shape[1]
        everyone = self.unobserved * other.T @ other
        found = np.zeros((len(count), D))
        order = np.argsort(count, kind="stable")
        start = 0
        while start < len(order):
            longest = max(1, int(count[order[min(len(order), start + 1024) - 1]]))
            rows = order[start : start + max(1, min(1024, BLOCK_CELLS // (longest * D)))]
            longest = max(1, int(count[rows].max()))
            cell = had.indptr[rows][:, None] + np.arange(longest)
            real = np.arange(longest) < count[rows][:, None]
            cell = np.where(real, cell, 0)
            weight = np.where(real, had.data[cell] if had.nnz else 0.0, 0.0)
            vectors = other[had.indices[cell]] if had.nnz else np.zeros((len(rows), longest, D))
            weighted = vectors * weight[:, :, None]
            held_back = (
                self.regularisation * (weight.sum(axis=1) + self.unobserved * len(other)) ** self.exponent
            )
            left = weighted.transpose(0, 2, 1) @ vectors + everyone
            left += held_back[:, None, None] * np.eye(D)
            found[rows] = np.linalg.solve(left, weighted.sum(axis=1)[:, :, None])[:, :, 0]
            start += len(rows)
        return found
