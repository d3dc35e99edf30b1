"""Does a list find what people come back to, or what is new to them? NDCG and recall of the two parts.

A relevant item that the user had before is *repeated*, another is *explored*. The list is the same for both
parts, only the relevant items are split: NDCG-Rep rates it against the repeated ones alone, with the ideal
of that many, and so on. A row without relevant items of a kind has no value there (nan). The metrics of
PISA (Tran and others, "Transformers meet ACT-R", RecSys 2024, arXiv 2408.16578; read in the repository
deezer/recsys24-pisa), which averages the sessions of a user first, then users: `mean_by_user`.

Letters: B rows, a user or one of their sessions; R places, M relevant items, H items of the history, U
users; -1 is an empty place or cell.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.evaluation.over_users import place_of_user
from recsim_env.evaluation.ranked_lists import check_rows, first_places, in_row, item_ids, list_length, share
from recsim_env.evaluation.ranking import ndcg, recall


@dataclass(frozen=True)
class RepeatExplore:
    """Metrics at k of every row, nan where there is nothing to find."""

    ndcg_repeated: Floats  # (B,)
    ndcg_explored: Floats  # (B,)
    recall_repeated: Floats  # (B,)
    recall_explored: Floats  # (B,)
    repeat_ratio: Floats  # (B,) share of the items of the list that the user had before; nan if it is empty
    relevant_repeat_ratio: Floats  # (B,) the same of the relevant items: what an unbiased list would have


def repeat_explore(ranked: Any, relevant: Any, history: Any, k: int) -> RepeatExplore:
    """Rate lists by what is repeated and what is explored.

    Args:
        ranked: (B, R) item ids, best first, -1 = empty place; made without masking the history, or
            nothing repeated can be found.
        relevant: (B, M) item ids in any order, -1 = empty cell.
        history: (B, H) items the user had before, repetitions allowed, -1 = empty cell.
        k: 1 or more.

    Raises:
        InputError: as `ranking.ndcg`, and another number of rows in the history.
    """
    repeated, explored = split_relevant(relevant, history)
    listed = first_places(ranked, list_length(k))
    had = in_row(listed, item_ids("history", history))
    known = np.count_nonzero(repeated >= 0, axis=1)
    return RepeatExplore(
        ndcg(ranked, repeated, k),
        ndcg(ranked, explored, k),
        recall(ranked, repeated, k),
        recall(ranked, explored, k),
        share(had.sum(axis=1), np.count_nonzero(listed >= 0, axis=1)),
        share(known, known + np.count_nonzero(explored >= 0, axis=1)),
    )


def split_relevant(relevant: Any, history: Any) -> tuple[Ints, Ints]:
    """The relevant items that are in the history, and those that are not, (B, M) each, -1 elsewhere.

    Arguments and errors as in `repeat_explore`.
    """
    relevant, history = item_ids("relevant", relevant), item_ids("history", history)
    check_rows("history", history, len(relevant), "relevant")
    had = in_row(relevant, history)
    return np.where(had, relevant, -1), np.where(had, -1, relevant)


def mean_by_user(values: Array, user: Array) -> Floats:
    """(U,) mean of every user's rows, nan rows left out, by increasing user; nan where none is left.

    Args:
        values: (B,) a metric of every row, such as a session.
        user: (B,) ids.

    Raises:
        InputError: no row, or not one user per row.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1:
        raise InputError(f"values must have shape (B,), got {values.shape}")
    place, there = place_of_user(user, len(values)), ~np.isnan(values)
    num_users = int(place.max()) + 1
    total = np.bincount(place, np.where(there, values, 0), minlength=num_users)
    return share(total, np.bincount(place, there, minlength=num_users))
