"""The items most like the last one: how far the features alone go, without anybody's history."""

from typing import Self

import numpy as np
from scipy import sparse

from recsim_env.agents.recommender import check_history, clicked_items
from recsim_env.arrays import Array, Floats
from recsim_env.evaluation.likeness import cosine_rows, unit_rows
from recsim_env.simulators.log import Log


class FeatureSimilarityRecommender:
    """Score of an item = cosine of its features with those of the last item; 0 for an empty history.

    The last item itself has the highest score: pass `mask_history=True` where nobody comes back to an item.

    Args:
        features: (N, D) of the items, dense or sparse.

    After `fit`: `num_items_`; `features_`, (N, D) unit rows. Nothing is learned from the log.
    """

    num_items_: int
    features_: Array | sparse.csr_array  # (N, D)

    def __init__(self, features: Array | sparse.csr_array) -> None:
        self.features = features

    def fit(self, log: Log) -> Self:
        """Scale the features to unit length.

        Raises:
            InputError: features that `unit_rows` refuses, or a log with an item that has none.
        """
        _, _, self.num_items_ = clicked_items(log, self.features.shape[0])
        self.features_ = unit_rows(self.features, self.num_items_)
        return self

    def scores(self, history: Array) -> Floats:
        """The cosines, (B, N), for a history (B, H) padded on the left.

        Raises:
            InputError: not fitted, or a history that `check_history` refuses.
        """
        history = check_history(self, history)
        scores = np.zeros((len(history), self.num_items_))
        if history.shape[1]:
            known = np.flatnonzero(history[:, -1] >= 0)
            scores[known] = cosine_rows(self.features_, history[known, -1])
        return scores
