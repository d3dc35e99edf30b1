"""Recommenders: they learn from a log, then score every item for a history. Manners of scikit-learn.

Hyper-parameters are keywords of the constructor, stored unchanged; `fit(log)` returns the recommender;
what it learned is held in attributes that end in an underscore.
"""

from collections.abc import Iterator
from typing import Protocol, Self, cast, runtime_checkable

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, as_numbers, refuse
from recsim_env.evaluation.ranked_lists import BLOCK_CELLS
from recsim_env.evaluation.ranking import TargetRank, rank_of, top_k
from recsim_env.simulators.log import Log


class Recommender(Protocol):
    """Learns from a log once and is frozen then."""

    num_items_: int  # N, set by fit

    def fit(self, log: Log) -> Self:
        """Learn from what was clicked in the log; forgets what an earlier call learned."""

    def scores(self, history: Array) -> Array:
        """Finite scores of all items, float64 or float32, higher is better, (B, N).

        Row i depends on row i of the history alone.

        Args:
            history: (B, H) item ids, -1 = empty cell, padded on the left: the latest item stands last.
        """


class TimedRecommender(Recommender, Protocol):
    """One that also reads how much time lay between the items."""

    def scores(self, history: Array, gaps: Array | None = None) -> Array:
        """See `Recommender.scores`.

        Args:
            history: (B, H).
            gaps: (B, H) seconds from each item to the next, from the last to the moment that is scored.
        """


@runtime_checkable
class BlockRecommender(Protocol):
    """One that scores many users with less work than block by block, such as a network."""

    def score_blocks(self, history: Array, gaps: Array | None = None) -> Iterator[Array]:
        """The `scores` of the rows in order, in blocks of about BLOCK_CELLS cells; at least one block."""


def recommend(
    recommender: Recommender, history: Array, k: int, *, mask_history: bool, gaps: Array | None = None
) -> Ints:
    """The k best items of the full catalogue for every user, best first, (U, k), -1 where fewer are left.

    Args:
        recommender: fitted.
        history: (U, H), as `Recommender.scores` takes it.
        k: 1 or more.
        mask_history: whether items of the history are left out of the list.
        gaps: (U, H) of a `TimedRecommender`; None for all others.

    Ties go to the lowest item id (see `top_k`). Users are scored in blocks, so memory is U k + a few MB.
    """
    history = np.asarray(history)
    return top_k(score_blocks(recommender, history, gaps), k, history if mask_history else None)


def target_ranks(
    recommender: Recommender,
    history: Array,
    target: Array,
    *,
    mask_history: bool,
    gaps: Array | None = None,
) -> TargetRank:
    """Where the target of every user stands in the full catalogue, ties in expectation (see `rank_of`).

    Args:
        recommender: fitted.
        history: (U, H), as `Recommender.scores` takes it.
        target: (U,) item ids.
        mask_history: whether items of the history are no candidates; a target among them is a miss.
        gaps: (U, H) of a `TimedRecommender`; None for all others.
    """
    history, target = np.asarray(history), np.asarray(target)
    if target.shape != history.shape[:1]:
        raise InputError(f"target must have shape {history.shape[:1]}, got {target.shape}")
    return rank_of(score_blocks(recommender, history, gaps), target, history if mask_history else None)


def score_blocks(
    recommender: Recommender | TimedRecommender, history: Array, gaps: Array | None
) -> Iterator[Array]:
    """Scores of blocks of users, in order, that take about BLOCK_CELLS cells; at least one block.

    Args:
        recommender: fitted.
        history: (U, H).
        gaps: (U, H) of a `TimedRecommender`; None for all others.
    """
    if isinstance(recommender, BlockRecommender):
        yield from recommender.score_blocks(history, gaps)
        return
    history = check_history(recommender, history)  # of all users, so that an error names the right row
    step = max(1, BLOCK_CELLS // recommender.num_items_)
    for start in range(0, max(1, len(history)), step):
        rows = slice(start, start + step)
        if gaps is None:
            yield recommender.scores(history[rows])
        else:
            yield cast(TimedRecommender, recommender).scores(history[rows], gaps[rows])


def clicked_items(log: Log, num_items: int | None) -> tuple[Ints, Ints, int]:
    """User and item of every click, (C,) each, in the order of the log, and the size of the catalogue.

    Args:
        log: slates of any length; clicks of one slate count from the top.
        num_items: N, or None for 1 + the largest id in the log, clicked or not.

    Raises:
        InputError: no click, or an item outside the catalogue.
    """
    if not log.clicked.any():
        raise InputError("log must hold a click, got none: there is nothing to learn from")
    largest = int(log.slate.max())
    if num_items is not None and largest >= num_items:
        raise InputError(f"log shows item {largest}, but num_items = {num_items} (0-{num_items - 1})")
    user = np.repeat(log.user, np.count_nonzero(log.clicked, axis=1))
    return user, log.slate[log.clicked], largest + 1 if num_items is None else num_items


def check_weights(weights: Array, users: int) -> Floats:
    """How much each user of a log counts, (U,) float64.

    Raises:
        InputError: not one finite weight of 0 or more for each, or nobody who counts.
    """
    found = as_numbers("weights", weights)
    if found.shape != (users,):
        raise InputError(f"weights must be ({users},), one for every user of the log, got {found.shape}")
    bad = ~np.isfinite(found) | (found < 0)
    refuse("weights", bad, found, "weights of users are finite and 0 or more")
    if not found.any():
        raise InputError("weights of all users are 0: there is nobody to learn from")
    return found


def check_history(recommender: object, history: Array) -> Ints:
    """The history as int64.

    Raises:
        InputError: the recommender is not fitted; a wrong shape, a type that is not integer, an id
            outside the catalogue, or a row that is padded on the right.
    """
    num_items = getattr(recommender, "num_items_", None)
    if num_items is None:
        raise InputError(f"{type(recommender).__name__} has learned nothing yet: call fit(log) first")
    history = np.asarray(history)
    if history.ndim != 2 or not np.issubdtype(history.dtype, np.integer):
        raise InputError(
            f"history must hold integers of shape (B, H), got {history.dtype} of {history.shape}"
        )
    bad = (history < -1) | (history >= num_items)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        found = f"history[{row}, {column}] = {history[row, column]}"
        raise InputError(f"{found} is not an item: the catalogue has {num_items} items (0-{num_items - 1})")
    gap = (history[:, :-1] >= 0) & (history[:, 1:] < 0)
    if gap.any():
        row, column = np.argwhere(gap)[0]
        raise InputError(f"history[{row}, {column + 1}] is empty after an item: pad with -1 on the left")
    return history.astype(np.int64, copy=False)
