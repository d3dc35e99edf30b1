"""What every user did, one item after another, as batches of a network: rows of about the same length."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recsim_env.agents.recommender import clicked_items
from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log

LENGTH_NOISE = 2  # items by which rows of one batch may differ on top of it, so that batches differ by epoch


@dataclass(frozen=True)
class Sequences:
    """The last items of U users who have two or more.

    Raises:
        InputError: `of_log` finds nobody with two items.
    """

    items: Ints  # (C,) those of user 0, oldest first, then those of user 1, ...
    start: Ints  # (U,) where each user's begin
    length: Ints  # (U,) how many they are, 2 or more
    num_items: int  # N

    @classmethod
    def of_log(cls, log: Log, num_items: int | None, most: int) -> "Sequences":
        """The last `most` clicked items of every user of a log; see `clicked_items`."""
        user, item, num_items = clicked_items(log, num_items)
        _, first, count = np.unique(user, return_index=True, return_counts=True)
        kept = np.minimum(count, most)
        several = kept >= 2
        if not several.any():
            raise InputError("log must hold a user with two clicks, got none: there is no next item to learn")
        return cls(item, (first + count - kept)[several], kept[several], num_items)

    def rows(self, users: Array) -> tuple[Ints, Ints]:
        """Inputs and targets (B, L): the items of these users but the last, and those that came next.

        L is that of the longest; empty cells, on the left, hold N in the inputs and -1 in the targets.
        """
        length = self.length[users] - 1
        L = int(length.max())
        column = np.arange(L)[None, :] - (L - length)[:, None]  # below 0 in empty cells
        place = self.start[users][:, None] + np.maximum(column, 0)
        inputs = np.where(column >= 0, self.items[place], self.num_items)
        return inputs, np.where(column >= 0, self.items[place + 1], -1)

    def batches(self, size: int, rng: np.random.Generator) -> Iterator[Ints]:
        """All users once, in batches of `size` (one may be smaller) of similar length, in random order."""
        noisy = self.length + LENGTH_NOISE * rng.random(len(self.length))
        order = np.argsort(noisy, kind="stable")
        cuts = range(0, len(order), size)
        for start in rng.permutation(np.array(cuts)):
            yield order[start : start + size]
