"""What every user consumed, basket by basket, with the items of each user numbered as they met them."""

from dataclasses import dataclass, replace

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log


@dataclass(frozen=True)
class Histories:
    """U users, V baskets (all that one user consumed at one time), R events (an item in a basket, once).

    Item j of a user is the j-th different one they consumed, from 0; so the items that a user knows before a
    basket are 0 to m - 1, for some m. Items new in the same basket are numbered in the order of the log.
    """

    user: Ints  # (U,) ids in the log, increasing
    first_basket: Ints  # (U+1,) where the baskets of each user begin, and V
    time: Floats  # (V,) increasing within a user
    first_event: Ints  # (V+1,) where the events of each basket begin, and R
    item: Ints  # (R,) the user's number of the item
    item_id: Ints  # (R,) the id in the log

    @property
    def user_of_event(self) -> Ints:
        """(R,) number of the user, 0 to U-1, of each event."""
        return np.repeat(np.arange(len(self.user)), np.diff(self.first_event[self.first_basket]))


def histories_of(log: Log) -> Histories:
    """The histories of a log: what was clicked was consumed, a basket counts an item once.

    Raises:
        InputError: nothing in the log is clicked.
    """
    row, slot = np.nonzero(log.clicked)
    if len(row) == 0:
        raise InputError("log must hold clicks, got none: in a log of consumption every row is clicked")
    user, time, item = log.user[row], np.asarray(log.time[row], np.float64), log.slate[row, slot]
    new_basket = np.append(True, (np.diff(user) != 0) | (np.diff(time) != 0))
    basket = np.cumsum(new_basket) - 1
    once = np.sort(np.unique(np.stack([basket, item]), axis=1, return_index=True)[1])
    user, time, item, basket = user[once], time[once], item[once], basket[once]

    users, number = np.unique(user, return_inverse=True)
    first_event = np.searchsorted(basket, np.arange(basket[-1] + 2))
    first_basket = np.searchsorted(number[first_event[:-1]], np.arange(len(users) + 1))
    _, met, pair = np.unique(np.stack([number, item]), axis=1, return_index=True, return_inverse=True)
    rank = np.empty(len(met), np.int64)
    rank[np.argsort(met)] = np.arange(len(met))  # of each (user, item), by when they met
    before = np.searchsorted(np.sort(number[met]), np.arange(len(users)))  # pairs of the users before
    local = rank[pair.ravel()] - before[number]
    return Histories(users, first_basket, time[first_event[:-1]], first_event, local, item)


def in_visits(log: Log) -> Log:
    """The same log on the clock of each user's visits: 0, 1, 2, ... for one time after the other.

    On it, memory fades with what happens and not while the user is away. In logs of shops that fits better
    than seconds and gives curves of coming back (`repeat_by_gap`) that fall from the first visit on: nobody
    can come back to an item between two visits, and nobody buys milk twice on one day.
    """
    again = np.append(False, np.diff(log.user) == 0)
    later = np.cumsum(again & np.append(False, np.diff(log.time) > 0))
    first = np.flatnonzero(~again)
    number = later - np.repeat(later[first], np.diff(np.append(first, len(log))))
    return replace(log, time=number.astype(np.float64))
