"""What every user did, one item after another, as batches of a network: rows of about the same length.

Letters: U users, L cells of a row, N items. In all rows empty cells stand on the left: N in items, 0 in gaps,
-1 in targets. A history that is longer than a row may be cut into several, each of which stands for a user
then: the first item of a row is the last of the one before, so that every item but a user's first is a target
once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recsim_env.agents.recommender import clicked_items
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log

LENGTH_NOISE = 2  # items by which rows of one batch may differ on top of it, so that batches differ by epoch


@dataclass(frozen=True)
class Rows:
    """What a network reads of some users, and what it should say."""

    users: Ints  # (B,) places in `Sequences`
    items: Ints  # (B, L); N + 1 = hidden
    gaps: Floats  # (B, L) seconds from each item to the next
    targets: Ints  # (B, L) the item that each state should name, -1 where none


@dataclass(frozen=True)
class Sequences:
    """The last items, or all, of U users who have two or more.

    Raises:
        InputError: `of_log` finds nobody with two items.
    """

    items: Ints  # (C,) those of user 0, oldest first, then those of user 1, ...
    time: Floats  # (C,) seconds
    start: Ints  # (U,) where each user's begin
    length: Ints  # (U,) how many they are, 2 or more
    num_items: int  # N
    user: Ints  # (U,) place of each among all users of the log, in the order of their ids

    @classmethod
    def of_log(cls, log: Log, num_items: int | None, most: int, *, whole: bool = False) -> "Sequences":
        """The clicked items of every user of a log, see `clicked_items`.

        Args:
            log: what happened.
            num_items: N; None = 1 + the largest id in the log.
            most: items of a user that are kept, the last ones; 2 or more.
            whole: whether those before are kept, too, as further users of `most` items.
        """
        user, item, num_items = clicked_items(log, num_items)
        time = np.repeat(log.time, np.count_nonzero(log.clicked, axis=1))
        _, first, count = np.unique(user, return_index=True, return_counts=True)
        several = np.minimum(count, most) >= 2
        place, first, count = np.flatnonzero(several), first[several], count[several]
        if not several.any():
            raise InputError("log must hold a user with two clicks, got none: there is no next item to learn")
        pieces = -(-(count - 1) // (most - 1)) if whole else np.ones_like(count)
        piece = np.arange(pieces.sum()) - np.repeat(pieces.cumsum() - pieces, pieces)  # 0 = the latest
        end = np.repeat(first + count, pieces) - piece * (most - 1)
        start = np.maximum(np.repeat(first, pieces), end - most)
        return cls(item, time, start, end - start, num_items, np.repeat(place, pieces))

    def next_items(self, users: Array, lengths: Array | None = None) -> Rows:
        """The items of these users but the last, each with the item that came next.

        Args:
            users: (B,).
            lengths: (B,) how many of a user's items there are to begin with, 2 or more; None = all.
        """
        length = (self.length[users] if lengths is None else lengths) - 1
        place, there = self._places(users, length)
        return Rows(
            users,
            np.where(there, self.items[place], self.num_items),
            np.where(there, self.time[place + 1] - self.time[place], 0.0),
            np.where(there, self.items[place + 1], -1),
        )

    def beginnings(self, users: Array, rng: np.random.Generator) -> Rows:
        """A beginning of two items or more of every user, of random length; only the last has a target."""
        length = rng.integers(2, self.length[users], endpoint=True)
        rows = self.next_items(users, length)
        rows.targets[:, :-1] = -1
        return rows

    def hidden_items(self, users: Array, share: float, last_share: float, rng: np.random.Generator) -> Rows:
        """All items of these users, some of them hidden, which are the targets (cloze).

        Args:
            users: (B,).
            share: of the items, hidden at random; at least one a user.
            last_share: of the users, of whom the last item alone is hidden, as when scoring.
            rng: of the choice.
        """
        length = self.length[users]
        place, there = self._places(users, length)
        items = np.where(there, self.items[place], self.num_items)
        chance = np.where(there, rng.random(items.shape), np.inf)
        hidden = (chance < share) | (chance == chance.min(axis=1, keepdims=True))
        last = rng.random(len(users)) < last_share
        hidden[last] = np.arange(items.shape[1]) == items.shape[1] - 1
        following = np.minimum(place + 1, len(self.time) - 1)
        inner = there & (np.arange(items.shape[1]) < items.shape[1] - 1)
        gaps = np.where(inner, self.time[following] - self.time[place], 0.0)
        return Rows(
            users, np.where(hidden, self.num_items + 1, items), gaps, np.where(hidden & there, items, -1)
        )

    def _places(self, users: Array, length: Ints) -> tuple[Ints, Array]:
        """(B, L) where the first `length` items of users stand in `items`; whether a cell holds one."""
        L = int(length.max())
        column = np.arange(L)[None, :] - (L - length)[:, None]  # below 0 in empty cells
        return self.start[users][:, None] + np.maximum(column, 0), column >= 0

    def batches(self, size: int, rng: np.random.Generator) -> Iterator[Ints]:
        """All users once, in batches of `size` (one may be smaller) of similar length, in random order."""
        noisy = self.length + LENGTH_NOISE * rng.random(len(self.length))
        order = np.argsort(noisy, kind="stable")
        cuts = range(0, len(order), size)
        for start in rng.permutation(np.array(cuts)):
            yield order[start : start + size]
