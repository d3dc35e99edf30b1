"""Base-level learning on the clock of real time: what was had lately and often comes back."""

from typing import Self

import numpy as np

from recsim_env.agents.sequential.session_memory import shares
from recsim_env.agents.sequential.session_recommender import check_sessions, training_popularity
from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError
from recsim_env.simulators.sessions_split import Sessions, SessionSplit

TIE_BREAK = 1e-12
"""What the most popular item gains on others of equal strength: too little to overturn a difference."""


class BaseLevelSessions:
    """Score = the item's share of the memory's strength at the start t of a session.

    With t_1, t_2, ... the starts of the earlier sessions that item i was in,

        s_i = sum_j (t - t_j)^-d,     score(i) = s_i / sum_k s_k,     or popularity(i) / most - 1 if s_i = 0:

    the softmax of ACT-R's base-level activation ln s_i over all items of the user's past, BLL in the paper of
    PISA. Its unit of time does not matter. Items the user never had follow by the number of users who had
    them in training, of whom the most popular item has `most`.

    Args:
        decay: d, 0 or more; 0 counts sessions.

    After `fit`: `num_items_`; `popularity_`, (N,) users who had each item in training.

    Source: Reiter-Haas and others, "Predicting music relistening behavior using the ACT-R framework", RecSys
    2021; Tran and others, RecSys 2024.
    """

    num_items_: int
    popularity_: Floats  # (N,)

    def __init__(self, *, decay: float = 0.5) -> None:
        self.decay = decay

    def fit(self, split: SessionSplit) -> Self:
        """Count users.

        Raises:
            InputError: a decay below 0.
        """
        if not 0.0 <= self.decay < np.inf:
            raise InputError(f"decay must be 0 or more, got {self.decay!r}")
        self.num_items_ = split.sessions.num_items
        self.popularity_ = training_popularity(split)
        return self

    def scores(self, sessions: Sessions, rows: Array) -> Floats:
        """See `SessionRecommender`.

        Raises:
            InputError: as `check_sessions`.
        """
        check_sessions(self, sessions)
        share = shares(sessions, rows, self.decay)
        popularity = self.popularity_ / max(1.0, self.popularity_.max())
        return np.where(share > 0, share + TIE_BREAK * popularity, popularity - 1)
