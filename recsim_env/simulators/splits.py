"""What to learn from and what to predict: the last events held out, or all after a date, or whole users.

`leave_one_out` and `leave_last_basket_out` hold out the end of every user's history, and so learn from events
that lie after some that are predicted. `split_by_time` does not: all learning ends at one date, the same for
all users, as in a system that is trained and then runs. `split_by_user` keeps users apart, for what must work
for people never seen. Every split says how ties in time were handled, and for which share it mattered.

Which of the first two depends on the clock. Where every event has its own time, both are the usual
leave-one-out. Where many events share a time (the lines of a shopping basket), their order is that of
the file: `leave_one_out` then asks for the line that happens to stand last, with the rest of its basket
known, and `tied_share` says for how many users; `leave_last_basket_out` asks for the whole basket.

The order of the file can carry the answer. The grocery log of this package is sorted by popularity
inside its baskets, so the last line is the rarest product: leave-one-out NDCG@10 of the popularity
ranking is .030 there, and about .087 once `shuffle_ties` has put the lines of each basket in random order.
"""

from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log


@dataclass(frozen=True)
class HeldOut:
    """The two parts of a log; U users are evaluated."""

    train: Log  # all rows that are not held out, those of users who are not evaluated included
    user: Ints  # (U,) ids of the evaluated users, ascending
    history: Ints  # (U, H) items before what is held out, padded with -1 on the left: the latest stands last
    relevant: Ints  # (U, M) distinct held-out items, ascending, padded with -1 on the right
    gaps: Floats  # (U, H) seconds from each item of it to the next, from the last to what is held out
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


@dataclass(frozen=True)
class Parts:
    """A log in two parts; every row is in one of them."""

    train: Log
    test: Log
    boundary: float  # the first time of the test part; nan where time was not what decided
    tied_share: float  # share of all rows that have the boundary's time: the rule for ties decided on them

    def held_out(self) -> HeldOut:
        """Every user with rows in both parts: what stands in `train` is history, in `test` to be predicted.

        Its `tied_share` is the share of these users whose last event in train and first in test have the same
        time: 0 after `split_by_time`.

        Raises:
            InputError: a log of slates, or no such user, as after `split_by_user`.
        """
        user = np.intersect1d(self.train.user, self.test.user)
        if len(user) == 0:
            raise InputError(
                "no user has rows in both parts: after split_by_user, hold out from parts.test, such as "
                "leave_one_out(parts.test)"
            )
        _users(self.train)
        _users(self.test)
        before, after = np.isin(self.train.user, user), np.isin(self.test.user, user)
        item, target = self.train.slate[before, 0], self.test.slate[after, 0]
        history = _padded(np.searchsorted(user, self.train.user[before]), item, len(user), left=True)
        pairs = np.unique(np.stack([np.searchsorted(user, self.test.user[after]), target], axis=1), axis=0)
        relevant = _padded(pairs[:, 0], pairs[:, 1], len(user), left=False)
        last = self.train.time[np.searchsorted(self.train.user, user, side="right") - 1]
        first = self.test.time[np.searchsorted(self.test.user, user)]
        time, ends = self.train.time[before], np.cumsum((history >= 0).sum(axis=1)) - 1
        gaps, between = np.zeros(history.shape), np.diff(time, append=0.0)
        between[ends] = first - last
        gaps[history >= 0] = between
        return HeldOut(self.train, user, history, relevant, gaps, float((last == first).mean()))


def split_by_time(log: Log, *, at: float | None = None, quantile: float | None = None) -> Parts:
    """Split at one date for all users: rows before it are train, rows at it or after it test.

    Ties: rows of one time are never put apart, all rows at the date itself go to test. With a quantile the
    date is the time of the row that stands at that share of all rows in the order of time, so that train
    holds that share of the rows or, where there are ties, less; `tied_share` says how many rows have that
    time.

    Args:
        log: of any slates. Its clock must be one clock for all users, such as Unix seconds: the position in
            each user's history (`order`) says nothing about who was earlier.
        at: the date, on the log's clock.
        quantile: instead of it, the share of rows before the date, between 0 and 1.

    Raises:
        InputError: both or none given, a quantile out of range, or a date that leaves a part without rows.
    """
    if (at is None) == (quantile is None):
        raise InputError(f"give either at or quantile, got at={at} and quantile={quantile}")
    if len(log) == 0:
        raise InputError("log must have rows to be split, got none")
    if quantile is not None:
        if not 0 < quantile < 1:
            raise InputError(f"quantile must lie between 0 and 1, got {quantile}")
        rank = int(quantile * len(log) + 1e-6)  # 0.29 of 100 rows are 29, though 0.29 * 100 < 29
        at = float(np.partition(log.time, rank)[rank])
    assert at is not None
    late = log.time >= at
    if late.all() or not late.any():
        first, last = log.time.min(), log.time.max()
        where = f"at {at}" if quantile is None else f"quantile {quantile} (time {at})"
        raise InputError(
            f"{where} leaves {'train' if late.all() else 'test'} without rows: the log runs from {first} to "
            f"{last}"
        )
    return Parts(log.rows(~late), log.rows(late), float(at), float((log.time == at).mean()))


def split_by_user(log: Log, *, test_share: float, seed: int) -> Parts:
    """Put whole users into train or test, by chance; time plays no part, so there are no ties.

    Args:
        log: of any slates.
        test_share: share of the users that go to test, rounded to whole users, at least one in each part.
        seed: which users; the same with the same users, whatever their rows.

    Raises:
        InputError: a share that is not between 0 and 1, or fewer than two users.
    """
    user = np.unique(log.user)
    if not 0 < test_share < 1:
        raise InputError(f"test_share must lie between 0 and 1, got {test_share}")
    if len(user) < 2:
        raise InputError(f"log must have two users or more to be split by user, got {len(user)}")
    size = min(max(round(test_share * len(user)), 1), len(user) - 1)
    test = np.random.default_rng(seed).permutation(user)[:size]
    mine = np.isin(log.user, test)
    return Parts(log.rows(~mine), log.rows(mine), float("nan"), 0.0)


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
    gaps = np.zeros(history.shape)
    following = np.flatnonzero(before) + 1  # of the same user: what is held out comes after the history
    gaps[history >= 0] = log.time[following] - log.time[before]
    return HeldOut(log.rows(~held), user, history, relevant, gaps, float(tied.mean()))


def _padded(row: Ints, item: Ints, num_rows: int, *, left: bool) -> Ints:
    """Items, sorted by row, as a table of shape (num_rows, most items of a row)."""
    count = np.bincount(row, minlength=num_rows)
    width = int(count.max())
    table = np.full((num_rows, width), -1, np.int64)
    column = np.arange(len(row)) - (np.cumsum(count) - count)[row]
    table[row, column + (width - count)[row] if left else column] = item
    return table
