"""Who is asked what: the last event of every user, given those before it, after training on all but two."""

from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Array, Bools, Ints
from recsim_env.errors import InputError


@dataclass(frozen=True)
class Questions:
    """Rows of a log (R,) that is sorted by user, then time; B users have two events or more."""

    train: Bools  # (R,) seq[:-2]; of a user with two events the first, with one event that one
    before: Ints  # (B,) row of seq[-3], -1 where there is none
    last: Ints  # (B,) row of seq[-2]
    target: Ints  # (B,) row of seq[-1]


def ask_last(user: Array) -> Questions:
    """The questions of a log whose rows belong to these users (R,), sorted.

    Raises:
        InputError: nobody has two events.
    """
    _, start, size = np.unique(user, return_index=True, return_counts=True)
    end = (start + size)[size > 1]
    if len(end) == 0:
        raise InputError("log must have a user with two events, got none: there is nothing to predict")
    enough = size[size > 1] > 2
    train = np.ones(len(user), np.bool_)
    train[end - 1] = False
    train[end[enough] - 2] = False
    return Questions(train, np.where(enough, end - 3, -1), end - 2, end - 1)


def padded_history(user: Array, item: Array, asked: Questions) -> Ints:
    """(B, H) the items before each target, -1 padded on the left: the latest stands last."""
    first = np.searchsorted(user, user[asked.target])
    length = asked.target - first
    table = np.full((len(length), int(length.max())), -1, np.int64)
    row = np.repeat(np.arange(len(length)), length)
    place = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
    table[row, (table.shape[1] - length)[row] + place] = item[first[row] + place]
    return table
