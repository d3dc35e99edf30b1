"""The first baseline of every offline ranking: the items that most were clicked, the same for everyone."""

from typing import Self

import numpy as np

from recsim_env.agents.recommender import check_history, clicked_items
from recsim_env.arrays import Array, Floats
from recsim_env.simulators.log import Log


class PopularityRecommender:
    """Score of an item = number of its clicks in the log, whoever asks.

    Args:
        num_items: N, the size of the catalogue; None = 1 + the largest id in the log.

    After `fit`: `num_items_` (N) and `popularity_`, (N,) float64, clicks of each item.
    """

    num_items_: int
    popularity_: Floats  # (N,)

    def __init__(self, *, num_items: int | None = None) -> None:
        self.num_items = num_items

    def fit(self, log: Log) -> Self:
        """Count the clicks of each item.

        Raises:
            InputError: a log without clicks, or with an item outside the catalogue.
        """
        _, item, self.num_items_ = clicked_items(log, self.num_items)
        self.popularity_ = np.bincount(item, minlength=self.num_items_).astype(np.float64)
        return self

    def scores(self, history: Array) -> Floats:
        """The popularity of all items, (B, N), one row per row of the history (B, H).

        Raises:
            InputError: not fitted, or a history that `check_history` refuses.
        """
        history = check_history(self, history)
        return np.tile(self.popularity_, (len(history), 1))
