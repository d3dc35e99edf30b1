"""What people had before, they have again: the baseline of every log with repetition."""

from typing import Self

import numpy as np

from recsim_env.agents.recommender import check_history, clicked_items
from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log

TIE_BREAK = 1e-12
"""What the most popular item gains on others that were had alike: too little to overturn a difference."""


class OwnHistoryRecommender:
    """Items of the user's own history, the oftener and the later they were had, the higher.

    With H items in the history and item i at the places j_1 < j_2 < ... (1 = the earliest),

        score(i) = sum_m (H - j_m + 1)^-d,    or    popularity(i) / max popularity - 1 if i is not among them:

    the base level of ACT-R on the clock of events, above 0; what the user never had follows by popularity.
    d = 0 counts (the personal top, P-Top), d = 0.5 is ACT-R's usual decay, and a large d goes by the last
    time alone. Of items with equal sums the more popular one comes first.

    Args:
        decay: d, 0 or more.
        num_items: N, the size of the catalogue; None = 1 + the largest id in the log.

    After `fit`: `num_items_`; `popularity_`, (N,) clicks of each item.

    Source: base-level learning of ACT-R, Anderson et al. 2004; P-Top and its rivals as in "Transformers Meet
    ACT-R", RecSys 2024.
    """

    num_items_: int
    popularity_: Floats  # (N,)

    def __init__(self, *, decay: float = 0.5, num_items: int | None = None) -> None:
        self.decay = decay
        self.num_items = num_items

    def fit(self, log: Log) -> Self:
        """Count the clicks of each item.

        Raises:
            InputError: a decay below 0, a log without clicks, or with an item outside the catalogue.
        """
        if not 0.0 <= self.decay < np.inf:
            raise InputError(f"decay must be 0 or more, got {self.decay!r}")
        _, item, self.num_items_ = clicked_items(log, self.num_items)
        self.popularity_ = np.bincount(item, minlength=self.num_items_).astype(np.float64)
        return self

    def scores(self, history: Array) -> Floats:
        """The scores above, (B, N) float64, for a history (B, H) padded on the left.

        Raises:
            InputError: not fitted, or a history that `check_history` refuses.
        """
        history = check_history(self, history)
        B, H = history.shape
        weight = np.arange(H, 0, -1, dtype=np.float64) ** -self.decay
        row, place = np.nonzero(history >= 0)
        cell = row * self.num_items_ + history[row, place]
        strength = np.bincount(cell, weight[place], B * self.num_items_).reshape(B, self.num_items_)
        popularity = self.popularity_ / self.popularity_.max()
        return np.where(strength > 0, strength + TIE_BREAK * popularity, popularity - 1)
