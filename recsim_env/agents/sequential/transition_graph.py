"""The transition-graph heuristic (TGH): no training, only what followed what, and which items are alike.

A sequence model that does not beat it on a data set has not shown there that it models sequences.
"""

from typing import Self

import numpy as np
from scipy import sparse

from recsim_env.agents.recommender import check_history, clicked_items
from recsim_env.agents.sequential.cooccurrence import cooccurrence_features
from recsim_env.agents.sequential.transition_rings import best_of_rings, fill_places
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.evaluation.likeness import cosine_rows, unit_rows
from recsim_env.simulators.log import Log

TGH_1 = ((7, 2, 1),)
"""Places of the list for rings 1, 2 and 3 of the last item."""
TGH_2 = ((5, 1), (3, 1))
"""Places for rings 1 and 2 of the last item, then for rings 1 and 2 of the one before it."""
BLOCK_CELLS = 2**22
"""Cosines are held for blocks of sources of about this many cells: 16 MB."""


class TransitionGraphRecommender:
    """Lists of the nearest items in the graph of transitions, ordered by likeness: TGH-1 and TGH-2.

    The graph has an edge a -> b with count c(a, b) for every b that came directly after a in one user's
    clicks. Ring 1 of a source s holds the items that s has an edge to, ring r + 1 those that ring r has an
    edge to and that are in no earlier ring and not s. With unit features x,

        score(i) = x_s . x_i + alpha log(1 + c(s, i)) / max_j log(1 + c(s, j))     in ring 1
        score(i) = x_s . x_i                                                       in the other rings

    Each source fills its places ring by ring with the best of each ring. A ring with fewer items than
    places leaves them to the best of earlier rings that found no place there; places that are empty at the
    end go to the best left over, in the order of the rings. A later source leaves out what an earlier one
    has taken. What is still empty is random: see `lists` and `scores`.

    Items of the history are not left out: that is the published protocol, and pays where people come back
    to an item. Pass `mask_history=True` to `recommend` or `target_ranks` to leave them out.

    Args:
        budgets: for each source (the last item, the one before it, ...) the places of each of its rings:
            TGH_1 or TGH_2, ten places both.
        features: (N, D) of the items, dense or sparse, scaled here to unit length: `attribute_features`,
            `title_features`, `sentence_features`, ...; None = `cooccurrence_features` of the log that is
            fitted, which need nothing beside it.
        edge_weight: alpha, 0 or more.
        seed: of the order of items with equal scores, and of the random places. It is not the order of the
            ids, which can carry the answer.
        num_items: N, the size of the catalogue; None = 1 + the largest id in the log.

    After `fit`: `num_items_`; `transitions_`, sparse (N, N) counts c; `features_`, (N, D) unit rows.

    What differs from the published program: equal scores and random places are drawn from another
    generator, and the random places stand at the end of the list, where TGH-2's first source has its own
    in the middle there. No more than ten items are ranked, so figures beyond 10 are of random items.

    Source: Han et al. 2026, "An embarrassingly simple graph heuristic reveals shortcut-solvable benchmarks
    for sequential recommendation", arXiv 2605.07125; alpha = 0.5 and the budgets are theirs, on all data.
    """

    num_items_: int
    transitions_: sparse.csr_array  # (N, N)
    features_: Array | sparse.csr_array  # (N, D)
    _bonus: Floats  # (edges,) what ring 1 adds to the cosine, as `transitions_.data`
    _chance: Ints  # (N,) place of each item among equal scores

    def __init__(
        self,
        *,
        budgets: tuple[tuple[int, ...], ...] = TGH_1,
        features: Array | sparse.csr_array | None = None,
        edge_weight: float = 0.5,
        seed: int = 0,
        num_items: int | None = None,
    ) -> None:
        self.budgets = budgets
        self.features = features
        self.edge_weight = edge_weight
        self.seed = seed
        self.num_items = num_items

    def fit(self, log: Log) -> Self:
        """Count transitions between consecutive clicks of one user.

        Raises:
            InputError: budgets that hold no place, a negative weight, features of another number of items
                or not finite, a log without clicks, or with an item outside the catalogue.
        """
        places = [k for budget in self.budgets for k in budget]
        if not places or not all(self.budgets) or min(places) < 0 or sum(places) < 1:
            raise InputError(
                f"budgets must hold places of rings, such as TGH_1 = {TGH_1}, got {self.budgets}"
            )
        if not (np.isfinite(self.edge_weight) and self.edge_weight >= 0):
            raise InputError(f"edge_weight must be 0 or more, got {self.edge_weight!r}")
        user, item, self.num_items_ = clicked_items(log, self.num_items)
        same_user = user[1:] == user[:-1]
        self.transitions_ = transition_counts(item[:-1][same_user], item[1:][same_user], self.num_items_)
        weight = np.log1p(self.transitions_.data)
        degree = np.diff(self.transitions_.indptr)
        largest = np.zeros(self.num_items_)
        np.maximum.at(largest, np.repeat(np.arange(self.num_items_), degree), weight)
        self._bonus = self.edge_weight * weight / np.repeat(largest, degree)
        if self.features is None:
            self.features_ = cooccurrence_features(user, item, self.num_items_)
        else:
            self.features_ = unit_rows(self.features, self.num_items_)
        self._chance = np.random.default_rng(self.seed).permutation(self.num_items_)
        return self

    def lists(self, history: Array) -> Ints:
        """The items in the order of their places, (B, sum of the budgets), for a history (B, H).

        What the rings leave empty is drawn at random from the other items of the graph, row by row from
        `seed` and the number of the row; -1 where the graph has too few.

        Raises:
            InputError: not fitted, or a history that `check_history` refuses.
        """
        filled = self._filled(check_history(self, history))
        known = np.zeros(self.num_items_, np.bool_)
        known[self.transitions_.indices] = True
        known |= np.diff(self.transitions_.indptr) > 0
        pool = np.flatnonzero(known)
        for row in np.flatnonzero((filled < 0).any(axis=1)).tolist():
            places = np.flatnonzero(filled[row] < 0)
            others = pool[~np.isin(pool, filled[row])]
            drawn = np.random.default_rng((self.seed, row)).permutation(others)[: len(places)]
            filled[row, places[: len(drawn)]] = drawn
        return filled

    def scores(self, history: Array) -> Floats:
        """The number of places from an item's to the end of the list, (B, N); 0 for items without one.

        All items without a place are equal, so that `target_ranks`, which takes ties in expectation, gives
        the exact expectation over random places.

        Raises:
            InputError: not fitted, or a history that `check_history` refuses.
        """
        filled = self._filled(check_history(self, history))
        scores = np.zeros((len(filled), self.num_items_))
        row, place = np.nonzero(filled >= 0)
        scores[row, filled[row, place]] = filled.shape[1] - place
        return scores

    def _filled(self, history: Ints) -> Ints:
        """The lists, -1 in the places that are left to chance."""
        total = sum(sum(budget) for budget in self.budgets)
        filled = np.full((len(history), total), -1, np.int64)
        taken = np.zeros(len(history), np.int64)  # places filled so far
        for back, budget in enumerate(self.budgets, start=1):
            if back > history.shape[1]:
                break
            rows = np.flatnonzero(history[:, -back] >= 0)
            source, which = np.unique(history[rows, -back], return_inverse=True)
            best = self._best_of_rings(source, len(budget), total)
            fill_places(filled, taken, rows, which, best, np.array(budget, np.int64))
        return filled

    def _best_of_rings(self, source: Ints, depth: int, width: int) -> Ints:
        """(S, depth, width) the best items of each ring of each source, best first, -1 beyond the last."""
        best = np.full((len(source), depth, width), -1, np.int64)
        step = max(1, BLOCK_CELLS // self.num_items_)
        graph = self.transitions_
        for start in range(0, len(source), step):
            some = source[start : start + step]
            cosine = cosine_rows(self.features_, some)
            into = best[start : start + step]
            best_of_rings(some, graph.indptr, graph.indices, self._bonus, cosine, self._chance, into)
        return best


def transition_counts(item: Ints, following: Ints, num_items: int) -> sparse.csr_array:
    """The graph: sparse (N, N) counts c(a, b) of how often b came directly after a.

    Args:
        item: (T,) a.
        following: (T,) b, the item that came next.
        num_items: N.
    """
    counts = sparse.csr_array((np.ones(len(item)), (item, following)), (num_items, num_items))
    counts.sum_duplicates()
    return counts
