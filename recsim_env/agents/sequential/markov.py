"""What comes after the last item: a table of transitions, the baseline that sequence models must beat."""

from typing import Self

import numpy as np
from scipy import sparse

from recsim_env.agents.recommender import check_history, clicked_items
from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log

TIE_BREAK = 1e-6
"""Score of the most popular item where no transition is known: too small to overturn one that is."""


class MarkovRecommender:
    """Items that followed the last item, and the one before it, in the log.

    With c(a, i) = how often item i came directly after item a in one user's clicks, a the last item of
    the history and b the one before it,

        score(i) = log(1 + c(a, i)) + w log(1 + c(b, i)) + 1e-6 popularity(i) / max popularity

    where w = 0 for order 1 and `previous_weight` for order 2. The logarithm changes nothing for order 1;
    for order 2 it keeps one frequent transition from drowning the other item: on MovieLens-1M NDCG@10 is
    .131 with it and .119 with plain counts. The last term orders the items that followed neither, most
    of the catalogue, by popularity; an empty history has only this term.

    In a log of baskets the rows of one basket follow each other in the order of the file, so most
    transitions are between items of one basket: c is then rather "bought together" than "bought next", and
    an order by item or popularity inside the baskets spoils it (`splits.shuffle_ties` mends that).

    Args:
        order: 1 = the last item, 2 = the last two.
        previous_weight: w, the weight of the item before the last, 0 or more; not used by order 1.
        num_items: N, the size of the catalogue; None = 1 + the largest id in the log.

    After `fit`: `num_items_`; `transitions_`, sparse (N, N) float64 counts c, row = the earlier item;
    `popularity_`, (N,) clicks of each item.

    Source: first-order chain with a weight for the item before, as in the figures that the tests
    reproduce (Amazon Beauty NDCG@10 .0440 and .0474, MovieLens-1M .1141 and .1309).
    """

    num_items_: int
    transitions_: sparse.csr_array  # (N, N)
    popularity_: Floats  # (N,)

    def __init__(self, *, order: int = 1, previous_weight: float = 0.5, num_items: int | None = None) -> None:
        self.order = order
        self.previous_weight = previous_weight
        self.num_items = num_items

    def fit(self, log: Log) -> Self:
        """Count transitions between consecutive clicks of one user.

        Raises:
            InputError: an order other than 1 and 2, a negative weight, a log without clicks, or with an
                item outside the catalogue.
        """
        if self.order not in (1, 2):
            raise InputError(f"order must be 1 or 2, got {self.order!r}")
        if not (np.isfinite(self.previous_weight) and self.previous_weight >= 0):
            raise InputError(f"previous_weight must be 0 or more, got {self.previous_weight!r}")
        user, item, self.num_items_ = clicked_items(log, self.num_items)
        same_user = user[1:] == user[:-1]
        pairs = (item[:-1][same_user], item[1:][same_user])
        shape = (self.num_items_, self.num_items_)
        self.transitions_ = sparse.csr_array((np.ones(len(pairs[0])), pairs), shape)  # sums repeated pairs
        self.transitions_.sum_duplicates()
        self.popularity_ = np.bincount(item, minlength=self.num_items_).astype(np.float64)
        return self

    def scores(self, history: Array) -> Floats:
        """The scores above, (B, N) float64, for a history (B, H) padded on the left.

        This is a dense table of 8 B N bytes: ask for many users in blocks, as `recommend` does.

        Raises:
            InputError: not fitted, or a history that `check_history` refuses.
        """
        history = check_history(self, history)
        weights = (1.0, self.previous_weight)[: min(self.order, history.shape[1])]
        scores = np.tile(TIE_BREAK * self.popularity_ / self.popularity_.max(), (len(history), 1))
        for back, weight in enumerate(weights, start=1):
            row = np.flatnonzero(history[:, -back] >= 0)
            after = self.transitions_[history[row, -back]]  # (rows, N), the few items that followed
            where = np.repeat(row, np.diff(after.indptr))
            scores[where, after.indices] += weight * np.log1p(after.data)  # each cell once: no repeats
        return scores
