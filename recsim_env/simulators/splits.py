"""What to learn from and what to predict: the last event, or the last basket, of every user held out.

Which of the two depends on the clock. Where every event has its own time, both are the usual
leave-one-out. Where many events share a time (the lines of a shopping basket), their order is that of
the file: `leave_one_out` then asks for the line that happens to stand last, with the rest of its basket
known, and `tied_share` says for how many users; `leave_last_basket_out` asks for the whole basket.

The order of the file can carry the answer. The grocery log of this package is sorted by popularity
inside its baskets, so the last line is the rarest product: leave-one-out NDCG@10 of the popularity
ranking is .030 there, and about .087 once `shuffle_ties` has put the lines of each basket in random order.
"""

from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Bools, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log


@dataclass(frozen=True)
class HeldOut:
    """The two parts of a log; U users are evaluated."""

    train: Log  # all rows that are not held out, those of users who are not evaluated included
    user: Ints  # (U,) ids of the evaluated users, ascending
    history: Ints  # (U, H) items before what is held out, padded with -1 on the left: the latest stands last
    relevant: Ints  # (U, M) distinct held-out items, ascending, padded with -1 on the right
    tied_share: float  # share of the U users whose last two events have the same time

    @property
    def target(self) -> Ints:
        """(U,) the held-out item, where exactly one is held out of every user.

        Raises:
            InputError: the split holds out baskets.
        """
        if self.relevant.shape[1] != 1:
            raise InputError(
                f"target needs one held-out item per user, but up to {self.relevant.shape[1]} are"
            )
        return self.relevant[:, 0]


def leave_one_out(log: Log) -> HeldOut:
    """Hold out the last event of every user with two events or more.

    Ties: among events of the same time the last row of the log is the last event; the others stay in
    history and training. `tied_share` is the share of targets for which this rule, rather than the
    clock, decided. Applied twice, `leave_one_out(leave_one_out(log).train)`, it gives the usual training
    set without the last two events, whose last is for validation.

    Args:
        log: of interactions (K = 1, all clicked).

    Raises:
        InputError: a log of slates, or no user with two events.
    """
    start, size = _users(log)
    held = np.zeros(len(log), np.bool_)
    held[(start + size - 1)[size > 1]] = True
    return _hold_out(log, held)


def leave_last_basket_out(log: Log) -> HeldOut:
    """Hold out all events that share the last time of their user, for users with an earlier one.

    Arguments and errors as in `leave_one_out`, which is the special case without ties.
    """
    start, size = _users(log)
    last = np.repeat(log.time[start + size - 1], size)
    earlier = np.repeat(log.time[start], size) < last
    return _hold_out(log, (log.time == last) & earlier)


def shuffle_ties(log: Log, seed: int) -> Log:
    """The same rows with those of one user and one time in random order, which `seed` alone decides."""
    chance = np.random.default_rng(seed).random(len(log))
    return log.rows(np.lexsort((chance, log.time, log.user)))


def _users(log: Log) -> tuple[Ints, Ints]:
    """First row and number of rows of every user, (users,) each; the log is sorted by user."""
    if log.slate.shape[1] != 1 or not log.clicked.all():
        found = f"slates of {log.slate.shape[1]} with {int((~log.clicked).sum())} slots not clicked"
        raise InputError(
            f"log must hold interactions, slates of one clicked item, got {found}: "
            "make it with Log.from_interactions"
        )
    _, start, size = np.unique(log.user, return_index=True, return_counts=True)
    return start, size


def _hold_out(log: Log, held: Bools) -> HeldOut:
    if not held.any():
        raise InputError("log must have a user with two events at different times or rows, got none")
    user, row_of_user = np.unique(log.user[held], return_inverse=True)
    item = log.slate[:, 0]
    before = np.isin(log.user, user) & ~held
    history = _padded(np.searchsorted(user, log.user[before]), item[before], len(user), left=True)
    pairs = np.unique(np.stack([row_of_user, item[held]], axis=1), axis=0)
    relevant = _padded(pairs[:, 0], pairs[:, 1], len(user), left=False)
    end = np.searchsorted(log.user, user, side="right")  # every one of them has two rows or more
    tied = log.time[end - 1] == log.time[end - 2]
    return HeldOut(log.rows(~held), user, history, relevant, float(tied.mean()))


def _padded(row: Ints, item: Ints, num_rows: int, *, left: bool) -> Ints:
    """Items, sorted by row, as a table of shape (num_rows, most items of a row)."""
    count = np.bincount(row, minlength=num_rows)
    width = int(count.max())
    table = np.full((num_rows, width), -1, np.int64)
    column = np.arange(len(row)) - (np.cumsum(count) - count)[row]
    table[row, column + (width - count)[row] if left else column] = item
    return table
