"""A log as sessions, and which of them are learned from: the protocol of session-by-session recommendation.

A session is a run of one user's events without a gap longer than `gap`; it begins at its first event. An item
counts once in a session, at its first place. Each user's last sessions are for the test, the ones before them
for validation, all others for training; a recommender names the items of a session at its start, from what
its user did in all sessions before, and so goes through the test sessions one by one.

    sessions of a user      0  1  2  3  ...  n-16 | n-15 ... n-11 | n-10 ... n-1
                            training              | validation    | test

Letters: X sessions, sorted by user, then time; U users; M places of a session; H items of a history; W
windows; L sessions that a network reads.

Source: Tran and others, "Transformers meet ACT-R", RecSys 2024, with the constants for LFM-1b of the
repository deezer/recsys24-pisa: gaps of 20 minutes, sessions of 10 tracks or more cut to the first 10, users
with 50 sessions or more, 10 sessions for the test, 5 for validation, windows of 20 sessions every 5. Theirs,
and not here: the test memory ends for good where the test begins; here it goes on, as a service's would.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError, check_ranges
from recsim_env.simulators.log import Log

TRAIN, VALIDATION, TEST = 0, 1, 2
"""The parts of `SessionSplit.part`."""


@dataclass(frozen=True)
class Sessions:
    """X sessions of U users, who all have one."""

    user: Ints  # (X,) 0 to U-1, increasing
    start: Floats  # (X,) increasing within a user, in the unit of the log's times
    items: Ints  # (X, M) distinct in a row, in order of first event, -1 in empty cells on the right
    user_ids: Ints  # (U,) ids in the log, increasing
    num_items: int  # N

    def __len__(self) -> int:
        return len(self.user)

    @cached_property
    def first(self) -> Ints:
        """(U+1,) where the sessions of each user begin, and X."""
        return np.searchsorted(self.user, np.arange(len(self.user_ids) + 1))

    @cached_property
    def size(self) -> Ints:
        """(X,) items of each session."""
        return np.count_nonzero(self.items >= 0, axis=1)

    def before(self, rows: Array) -> tuple[Ints, Floats]:
        """Items that the users of some sessions had before these, and how long before their start.

        Args:
            rows: (B,) numbers of sessions.

        Returns:
            (B, H) items, with repetitions, the latest last, -1 in empty cells on the left; (B, H) time from
            the start of the session that an item was in to that of the row, nan in empty cells.
        """
        rows = np.asarray(rows)
        end = self._first_event[rows]
        H = end - self._first_event[self.first[self.user[rows]]]
        column = np.arange(int(H.max(initial=0))) - (H.max(initial=0) - H)[:, None]
        place = np.where(column >= 0, end[:, None] - H[:, None] + column, 0)
        items = np.where(column >= 0, self._flat[place], -1)
        age = self.start[rows][:, None] - self.start[self._session_of_event[place]]
        return items, np.where(column >= 0, age, np.nan)

    def of_users(self, keep: Bools) -> "Sessions":
        """The sessions of some users, keep (U,), numbered anew."""
        kept = keep[self.user]
        number = np.cumsum(keep) - 1
        return Sessions(
            number[self.user[kept]], self.start[kept], self.items[kept], self.user_ids[keep], self.num_items
        )

    def log(self, rows: Array) -> Log:
        """Some sessions as a log of interactions, every item at the start of its session; users 0 to U-1."""
        rows = np.asarray(rows)
        place, column = np.nonzero(self.items[rows] >= 0)
        row = rows[place]
        return Log.from_interactions(self.user[row], self.items[row, column], self.start[row])

    @cached_property
    def _first_event(self) -> Ints:  # (X+1,)
        return np.append(0, np.cumsum(self.size))

    @cached_property
    def _flat(self) -> Ints:  # (P,) items of all sessions, one after the other
        return self.items[self.items >= 0]

    @cached_property
    def _session_of_event(self) -> Ints:  # (P,)
        return np.repeat(np.arange(len(self)), self.size)


@dataclass(frozen=True)
class SessionSplit:
    """What is learned from, what decides when learning ends, and what is predicted in the end."""

    sessions: Sessions
    part: Ints  # (X,) TRAIN, VALIDATION or TEST

    def rows(self, part: int) -> Ints:
        """Numbers of the sessions of a part, increasing."""
        return np.flatnonzero(self.part == part)


def sessions_of(
    log: Log,
    *,
    gap: float = 1200.0,
    least: int = 10,
    most: int = 10,
    min_sessions: int = 50,
    num_items: int | None = None,
) -> Sessions:
    """Cut a log into sessions.

    Of events at one time the first row of the log comes first, which matters where a session is cut to its
    first items: files of baskets tend to be sorted inside (`splits.shuffle_ties` mends that).

    Args:
        log: what was clicked counts. Its clock is one of time: the sessions of a clock that counts
            positions would be its gaps.
        gap: 0 or more; an event that begins later than this after the one before begins a session.
        least: distinct items, 1 or more; sessions of fewer are left out.
        most: items of a session that are kept, its first, 1 or more.
        min_sessions: n, 1 or more; users with fewer are left out.
        num_items: N; None = 1 + the largest id in the log.

    Raises:
        InputError: a number out of range, an item outside the catalogue, or nobody with so many sessions.
    """
    check_ranges({"least": least, "most": most, "min_sessions": min_sessions}, {}, {})
    if not 0.0 <= gap < np.inf:
        raise InputError(f"gap must be 0 or more and finite, got {gap}")
    row, slot = np.nonzero(log.clicked)
    if len(row) == 0:
        raise InputError("log must hold clicks, got none: in a log of consumption every row is clicked")
    if num_items is not None:
        log.check_items(num_items)
    user, time, item = log.user[row], log.time[row], log.slate[row, slot]
    begins = np.append(True, (np.diff(user) != 0) | (np.diff(time) > gap))
    session = np.cumsum(begins) - 1
    once = np.sort(np.unique(np.stack([session, item]), axis=1, return_index=True)[1])
    session, item = session[once], item[once]
    first = np.searchsorted(session, np.arange(session[-1] + 2))
    size = np.diff(first)
    place = np.arange(len(session)) - first[session]
    items = np.full((len(size), most), -1)
    kept = place < most
    items[session[kept], place[kept]] = item[kept]
    long = size >= least
    users, number = np.unique(user[begins][long], return_inverse=True)
    N = int(log.slate.max()) + 1 if num_items is None else num_items
    whole = Sessions(number, time[begins][long], items[long], users, N)
    several = np.bincount(number, minlength=len(users)) >= min_sessions
    if not several.any():
        raise InputError(
            f"log must hold a user with {min_sessions} sessions of {least} items or more, but of "
            f"{len(np.unique(user)):,} users the one with most has {np.bincount(number).max(initial=0)}: "
            f"lower min_sessions or least, or see that gap ({gap:g}) is in the unit of its times"
        )
    return whole.of_users(several)


def split_sessions(sessions: Sessions, *, test: int = 10, validation: int = 5) -> SessionSplit:
    """The last `test` sessions of every user, the `validation` ones before, and the rest.

    Raises:
        InputError: a number below 1, or a user without two sessions for training.
    """
    check_ranges({"test": test, "validation": validation}, {}, {})
    left = np.diff(sessions.first)  # (U,)
    if left.min() < test + validation + 2:
        worst = int(left.argmin())
        raise InputError(
            f"every user needs {test + validation + 2} sessions, {test} for the test, {validation} for "
            f"validation and two to learn from, but user {sessions.user_ids[worst]} has {left[worst]}: raise "
            "min_sessions"
        )
    behind = sessions.first[1:][sessions.user] - np.arange(len(sessions))  # 1 for a user's last
    part = np.where(behind <= test, TEST, np.where(behind <= test + validation, VALIDATION, TRAIN))
    return SessionSplit(sessions, part)


def windows(sessions: Sessions, last: Array, length: int) -> Ints:
    """(B, L + 1) the sessions `last` (B,) in the last column, and the L of the same user before each.

    -1 stands, on the left, where the user has fewer.
    """
    last = np.asarray(last)
    rows = last[:, None] + np.arange(-length, 1)
    return np.where(rows >= sessions.first[sessions.user[last]][:, None], rows, -1)


def training_windows(split: SessionSplit, *, length: int = 20, stride: int = 5) -> Ints:
    """(W, L + 1) windows whose last column is to be predicted from the others, and each from those before.

    They end at a user's last session for training, and at every `stride`-th before it, as long as L others
    lie before; a user with fewer has one window, with -1 on the left.

    Raises:
        InputError: a number below 1.
    """
    check_ranges({"length": length, "stride": stride}, {}, {})
    first = split.sessions.first[:-1]
    end = first + np.bincount(split.sessions.user[split.part == TRAIN], minlength=len(first)) - 1  # (U,)
    rows = split.rows(TRAIN)
    user = split.sessions.user[rows]
    back = end[user] - rows
    full = rows - first[user] >= length
    return windows(split.sessions, rows[(back % stride == 0) & (full | (back == 0))], length)
