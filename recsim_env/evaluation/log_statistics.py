"""What a log of events looks like: clicks by position, repetition, popularity.

A simulator that claims to behave like people must agree with their log in these figures, in those of
`visits` (gaps and sessions) and of `predictability`; `simulators.calibration.fidelity` puts two logs beside
each other. Letters: R rows (one event, or one slate shown), U users, J bins. Rows may stand in any order.
Standard errors are over users (`over_users`).

Ties in time: "before" always means at an earlier time. Two rows of one user with one time (lines of one
basket) are neither before nor after each other, so the order of the file changes nothing.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate
from recsim_env.evaluation.over_users import (
    check_edges,
    check_times,
    histogram_by_user,
    place_of_user,
    ratio_over_users,
)


def click_rate_by_position(clicked: Array, listed: Array, user: Array | None = None) -> Estimate:
    """(K,) clicks / times an item was listed, for every position from the top.

    Args:
        clicked: (R, K) bool.
        listed: (R, K) bool, False in empty slots.
        user: (R,) who saw the slate, for the standard error; None = every slate has its own user.

    Returns:
        Value and standard error (K,); nan at a position where nothing was listed.

    Raises:
        InputError: different shapes, no row, or a click where nothing is listed.
    """
    clicked, listed = np.asarray(clicked, np.bool_), np.asarray(listed, np.bool_)
    if clicked.ndim != 2 or clicked.shape != listed.shape or clicked.size == 0:
        found = f"{clicked.shape} and {listed.shape}"
        raise InputError(f"clicked and listed must have one shape (R, K), not empty, got {found}")
    if (clicked & ~listed).any():
        row, slot = np.argwhere(clicked & ~listed)[0]
        raise InputError(f"clicked[{row}, {slot}] is a click on a slot where nothing is listed")
    if user is None:
        return ratio_over_users(clicked, listed)
    place = place_of_user(user, len(clicked))
    U = int(place.max()) + 1
    clicks = np.stack([np.bincount(place, column, U) for column in clicked.T], axis=1)
    shown = np.stack([np.bincount(place, column, U) for column in listed.T], axis=1)
    return ratio_over_users(clicks, shown)


def repeat_ratio(user: Array, item: Array, time: Array) -> Estimate:
    """Share of the events whose item the same user had at an earlier time.

    An item twice at one time (twice in one basket) is no repetition of itself.

    Args:
        user: (R,) ids.
        item: (R,) ids.
        time: (R,) any increasing clock.

    Raises:
        InputError: no event, columns of different lengths, or a time that is not finite.
    """
    place, again = _repeats(user, item, time)
    return ratio_over_users(np.bincount(place, again), np.bincount(place))


def repeat_ratio_by_event_number(user: Array, item: Array, time: Array, edges: Array) -> Estimate:
    """(J,) the repeat ratio among the events whose number in their user's history is in each bin.

    Events of one user are numbered 1, 2, ... by time; those of one time all get their middle number. The
    curve climbs towards the repeat ratio of somebody whom the log has known for long.

    Args:
        user: (R,) ids.
        item: (R,) ids.
        time: (R,) any increasing clock.
        edges: (J+1,) increasing; bin j holds edges[j] <= number < edges[j+1].

    Returns:
        Value and standard error (J,); nan for bins without events.

    Raises:
        InputError: as `repeat_ratio`, or edges that do not increase.
    """
    place, again = _repeats(user, item, time)
    edges = check_edges(edges)
    time = np.asarray(time, np.float64)
    order = np.lexsort((time, place))
    begins = np.append(True, (np.diff(place[order]) != 0) | (np.diff(time[order]) != 0))
    size = np.diff(np.append(np.flatnonzero(begins), len(order)))  # of every group of one user and time
    events = np.bincount(place)
    before_user = (np.cumsum(events) - events)[place[order]]
    number = np.empty(len(order))
    number[order] = np.repeat(np.flatnonzero(begins) + (size + 1) / 2, size) - before_user
    U = len(events)
    repeats = histogram_by_user(place[again], edges, number[again], U)
    return ratio_over_users(repeats, histogram_by_user(place, edges, number, U))


@dataclass(frozen=True)
class ReturnRate:
    """How likely people come back to an item, by how long ago they had it."""

    edges: Floats  # (J+1,) time since the item was last had
    rate: Estimate  # (J,) returns per unit of time; nan where nobody was at risk
    returns: Ints  # (J,)


def repeat_gap_curve(user: Array, item: Array, time: Array, edges: Array) -> ReturnRate:
    """Rate at which users come back to an item, as a function of the time since they last had it.

    Each (user, item, time) begins a spell that ends with the next event of the same user and item (a
    return) or, unseen, with the user's last event (censored). In bin j, from edges[j] to edges[j+1],

        rate_j = returns in the bin / total time that spells spent in the bin,

    the maximum likelihood estimate of a rate that is constant within bins. If people forget, it falls: as a
    power of the gap in Anderson and Schooler, "Reflections of the environment in memory", 1991.

    Args:
        user: (R,) ids.
        item: (R,) ids.
        time: (R,) finite.
        edges: (J+1,) increasing, 0 or more.

    Raises:
        InputError: as `repeat_ratio`, or edges that do not increase or are negative.
    """
    edges = check_edges(edges)
    if edges[0] < 0:
        raise InputError(f"edges[0] = {edges[0]} is negative, but a gap never is")
    item = np.asarray(item)
    place, time = place_of_user(user, len(item)), check_times(time, len(item))
    U = int(place.max()) + 1
    last = np.full(U, -np.inf)
    np.maximum.at(last, place, time)
    order = np.lexsort((time, item, place))
    place, item, time = place[order], item[order], time[order]
    distinct = np.append(True, (np.diff(place) != 0) | (item[1:] != item[:-1]) | (np.diff(time) != 0))
    place, item, time = place[distinct], item[distinct], time[distinct]
    returned = np.append((place[1:] == place[:-1]) & (item[1:] == item[:-1]), False)
    gap = np.where(returned, np.append(time[1:], 0.0), last[place]) - time
    exposure = np.empty((U, len(edges) - 1))
    for j, (low, high) in enumerate(pairwise(edges)):
        exposure[:, j] = np.bincount(place, np.clip(gap - low, 0, high - low), U)
    # a gap of just edges[j+1] has spent its time in bin j: here bins are edges[j] < gap <= edges[j+1]
    returns = histogram_by_user(place[returned], -edges[::-1], -gap[returned], U)[:, ::-1]
    return ReturnRate(edges, ratio_over_users(returns, exposure), returns.sum(axis=0).astype(np.int64))


def popularity_gini(item: Array, num_items: int, user: Array | None = None) -> Estimate:
    """Gini coefficient of the numbers of events of all items: 0 = all alike, near 1 = all events on one.

        G = sum_i (2 r_i - N - 1) c_i / (N C),   c_i events of item i, r_i its rank from below, C = sum c_i.

    The standard error is that of the linearisation in c_i (ranks held, ties at their middle rank). Few
    events over many items raise G by themselves: compare logs of about the same size.

    Args:
        item: (R,) ids, 0 to N - 1.
        num_items: N; items without events count.
        user: (R,) for the standard error; None = every event has its own user.

    Raises:
        InputError: no event, an item outside the catalogue, or columns of different lengths.
    """
    item, count = _popularity(item, num_items)
    _, level, tied = np.unique(count, return_inverse=True, return_counts=True)
    rank = (np.cumsum(tied) - (tied - 1) / 2)[level]
    weight = (2 * rank - num_items - 1) / num_items
    place = np.arange(len(item)) if user is None else place_of_user(user, len(item))
    # G is a ratio of sums over users as well: of the weights of their events, and of their events
    return ratio_over_users(np.bincount(place, weight[item]), np.bincount(place))


def popularity_curve(item: Array, num_items: int, share: Array) -> Floats:
    """(P,) share of the events on the most popular `share` of the items: a Lorenz curve from the top.

    Args:
        item: (R,) ids, 0 to N - 1.
        num_items: N.
        share: (P,) in [0, 1]; between whole items the curve is straight.

    Raises:
        InputError: as `popularity_gini`.
    """
    item, count = _popularity(item, num_items)
    top = np.append(0.0, np.cumsum(np.sort(count)[::-1]) / len(item))
    return np.interp(share, np.arange(num_items + 1) / num_items, top)


def _repeats(user: Array, item: Array, time: Array) -> tuple[Ints, Bools]:
    """(R,) place of the user among the users, (R,) whether the event repeats an earlier one."""
    item = np.asarray(item)
    place, time = place_of_user(user, len(item)), check_times(time, len(item))
    order = np.lexsort((time, item, place))
    of_user, of_item = place[order], item[order]
    begins = np.append(True, (of_user[1:] != of_user[:-1]) | (of_item[1:] != of_item[:-1]))
    first = time[order][begins][np.cumsum(begins) - 1]
    again = np.empty(len(order), np.bool_)
    again[order] = time[order] > first
    return place, again


def _popularity(item: Array, num_items: int) -> tuple[Array, Ints]:
    """The items, and (N,) how many events each has."""
    item = np.asarray(item)
    if item.ndim != 1 or len(item) == 0:
        raise InputError(f"item must hold one id per event, shape (R,), not empty, got {item.shape}")
    bad = (item < 0) | (item >= num_items)
    if bad.any():
        row = int(np.argmax(bad))
        known = f"the catalogue has {num_items} items (0-{num_items - 1})"
        raise InputError(f"item[{row}] = {item[row]} is not an item: {known}")
    return item, np.bincount(item, minlength=num_items)
