"""Recommenders of sessions: at the start of a session, from what its user did before, they score every item.

`OfHistories` makes one of any `Recommender`; `evaluate_sessions` rates one session by session.
"""

from collections.abc import Callable
from typing import Any, Protocol, Self

import numpy as np

from recsim_env.agents.recommender import Recommender
from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError
from recsim_env.evaluation.ranked_lists import BLOCK_CELLS
from recsim_env.evaluation.ranking import top_k
from recsim_env.evaluation.repeat_explore import mean_by_user
from recsim_env.evaluation.session_metrics import SESSION_METRICS, session_metrics
from recsim_env.simulators.sessions_split import TRAIN, Sessions, SessionSplit


class SessionRecommender(Protocol):
    """Learns from the training sessions of a split once and is frozen then."""

    num_items_: int  # N, set by fit

    def fit(self, split: SessionSplit) -> Self:
        """Learn; forgets what an earlier call learned. Test sessions are not looked at."""

    def scores(self, sessions: Sessions, rows: Array) -> Floats:
        """Finite scores of all items, higher is better, (B, N).

        Row b depends on the sessions that the user of `rows[b]` had before it, and on its start, alone.

        Args:
            sessions: with the items of those that were learned from.
            rows: (B,) numbers of the sessions that begin.
        """


class OfHistories:
    """A session recommender by one of histories, which knows their order and not their times.

    Args:
        recommender: learns from the training sessions as one log.

    After `fit`: `num_items_`; `recommender`, fitted.
    """

    num_items_: int

    def __init__(self, recommender: Recommender) -> None:
        self.recommender = recommender

    def fit(self, split: SessionSplit) -> Self:
        """Fit the recommender; errors are its own."""
        self.recommender.fit(split.sessions.log(split.rows(TRAIN)))
        self.num_items_ = self.recommender.num_items_
        return self

    def scores(self, sessions: Sessions, rows: Array) -> Floats:
        """See `SessionRecommender`.

        Raises:
            InputError: as `check_sessions`.
        """
        check_sessions(self, sessions)
        return self.recommender.scores(sessions.before(rows)[0])


def evaluate_sessions(
    recommender: SessionRecommender,
    split: SessionSplit,
    part: int,
    k: int,
    *,
    known: str = "before",
    progress: Callable[[int], Any] = lambda sessions: None,
) -> dict[str, Floats]:
    """Rank all items at the start of every session of a part, and rate the lists: (U,) every metric by user.

    Args:
        recommender: fitted on this split.
        split: what it was fitted on.
        part: VALIDATION or TEST.
        k: places of a list.
        known: which items count as repeated: `before`, all that the user had before the session, or `train`,
            what they had in the sessions for training, as in the paper of PISA.
        progress: told of every so many sessions.

    Returns:
        By name (`SESSION_METRICS`), the mean over each user's sessions, nan for a user without a value.

    Raises:
        InputError: an unknown `known`, and see `session_metrics`.
    """
    if known not in ("before", "train"):
        raise InputError(f"known must be before or train, got {known!r}")
    sessions, rows = split.sessions, split.rows(part)
    popularity = training_popularity(split) / len(sessions.user_ids)
    of_training = np.bincount(sessions.user[split.rows(TRAIN)], minlength=len(sessions.user_ids))
    trained_until = sessions.first[:-1] + of_training  # (U,) the first session that is not for training
    found: list[dict[str, Floats]] = []
    step = block_rows(sessions)
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        ranked = top_k(recommender.scores(sessions, block), k)
        until = block if known == "before" else trained_until[sessions.user[block]]
        history = sessions.before(until)[0]
        found.append(session_metrics(ranked, sessions.items[block], history, popularity, k))
        progress(len(block))
    return {
        name: mean_by_user(np.concatenate([one[name] for one in found]), sessions.user[rows])
        for name in SESSION_METRICS
    }


def training_popularity(split: SessionSplit) -> Floats:
    """(N,) users who had each item in a session for training."""
    rows = split.rows(TRAIN)
    place, column = np.nonzero(split.sessions.items[rows] >= 0)
    pairs = np.stack([split.sessions.user[rows][place], split.sessions.items[rows][place, column]])
    had = np.unique(pairs, axis=1)[1]
    return np.bincount(had, minlength=split.sessions.num_items).astype(np.float64)


def block_rows(sessions: Sessions) -> int:
    """Sessions that are scored at once."""
    return max(1, BLOCK_CELLS // sessions.num_items)


def check_sessions(recommender: object, sessions: Sessions) -> None:
    """Refuse sessions of another catalogue.

    Raises:
        InputError: that, or the recommender is not fitted.
    """
    num_items = getattr(recommender, "num_items_", None)
    if num_items is None:
        raise InputError(f"{type(recommender).__name__} has learned nothing yet: call fit(split) first")
    if sessions.num_items != num_items:
        raise InputError(
            f"sessions must be of the {num_items} items that were learned from, got {sessions.num_items}: "
            f"cut both logs with num_items={num_items}"
        )
