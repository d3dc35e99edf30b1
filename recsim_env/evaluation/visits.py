"""When people come: visits, the gaps between them, and how much is done in one.

A visit (session, basket) ends where a user does nothing for longer than a stated gap; with gap 0 every
distinct time of a user is a visit of its own, so that the lines of one basket are one visit and never
before or after each other. Rows may stand in any order. Letters: R rows, S visits, G gaps, J bins, U users.
Standard errors are over users (`over_users`).
"""

from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate, mean_estimate
from recsim_env.evaluation.over_users import (
    check_edges,
    check_times,
    histogram_by_user,
    place_of_user,
    ratio_over_users,
)


def split_sessions(user: Array, time: Array, gap: float) -> Ints:
    """(R,) the visit of every row, numbered 0 to S-1 by user, then time.

    Args:
        user: (R,) ids.
        time: (R,) finite.
        gap: 0 or more, in the unit of time; a longer pause begins a new visit.

    Raises:
        InputError: no row, columns of different lengths, a time that is not finite, or a bad gap.
    """
    place = place_of_user(user, len(time))
    time = check_times(time, len(place))
    if not (np.isfinite(gap) and gap >= 0):
        raise InputError(f"gap must be 0 or more, got {gap!r}")
    order = np.lexsort((time, place))
    begins = np.append(True, (np.diff(place[order]) != 0) | (np.diff(time[order]) > gap))
    session = np.empty(len(order), np.int64)
    session[order] = np.cumsum(begins) - 1
    return session


@dataclass(frozen=True)
class Sessions:
    """S visits, by user, then time (or, where ids were given, then id)."""

    user: Array  # (S,) ids, of the type given
    length: Ints  # (S,) events
    mean: Estimate  # events / visits

    def share(self, edges: Array) -> Estimate:
        """(J,) share of the visits whose length is in bin j, edges[j] <= length < edges[j+1].

        Raises:
            InputError: edges that do not increase.
        """
        place = place_of_user(self.user, len(self.user))
        count = np.bincount(place)
        inside = histogram_by_user(place, check_edges(edges), self.length, len(count))
        return ratio_over_users(inside, np.broadcast_to(count[:, None], inside.shape))


def session_lengths(user: Array, time: Array, gap: float) -> Sessions:
    """How many events visits have, split where a user does nothing for longer than `gap`.

    Arguments and errors as in `split_sessions`; `given_session_lengths` is for visits that are known.
    """
    return given_session_lengths(user, split_sessions(user, time, gap))


def given_session_lengths(user: Array, session: Array) -> Sessions:
    """How many events visits have.

    Args:
        user: (R,) ids.
        session: (R,) ids of visits; two users may use the same ones.

    Raises:
        InputError: no row, or columns of different lengths.
    """
    session = np.asarray(session)
    place = place_of_user(user, len(session))
    order = np.lexsort((session, place))
    changes = (np.diff(place[order]) != 0) | (session[order][1:] != session[order][:-1])
    first = np.flatnonzero(np.append(True, changes))
    length = np.diff(np.append(first, len(order)))
    owner = order[first]  # a row of every visit
    mean = ratio_over_users(np.bincount(place), np.bincount(place[owner]))
    return Sessions(np.asarray(user)[owner], length, mean)


def visit_gaps(user: Array, time: Array, session_gap: float = 0.0) -> tuple[Array, Floats]:
    """User and length of every pause between two visits of one user, (G,) each, by user, then time.

    A pause runs from the last event of one visit to the first of the next, so all are longer than
    `session_gap`.

    Args:
        user: (R,) ids.
        time: (R,) finite.
        session_gap: 0 or more; 0 = every distinct time is a visit.

    Raises:
        InputError: as `split_sessions`, or no user with two visits.
    """
    session = split_sessions(user, time, session_gap)
    order = np.lexsort((np.asarray(time), session))
    user, time = np.asarray(user)[order], np.asarray(time, np.float64)[order]
    pause = (np.diff(session[order]) != 0) & (user[1:] == user[:-1])
    if not pause.any():
        raise InputError("gaps need a user with two visits, but no user of this log comes back")
    return user[1:][pause], np.diff(time)[pause]


def gap_quantiles(user: Array, time: Array, q: Array, session_gap: float = 0.0) -> Estimate:
    """(Q,) quantiles of the gaps between visits, the gaps of all users together.

    The standard error is Woodruff's (JASA 1952): half of Q(q + s) - Q(q - s), where s is the standard error
    over users of the share of gaps up to Q(q).

    Args:
        user: (R,) ids.
        time: (R,) finite.
        q: (Q,) in [0, 1].
        session_gap: as in `visit_gaps`.

    Raises:
        InputError: as `visit_gaps`, or q outside [0, 1].
    """
    q = np.asarray(q, np.float64)
    if q.ndim != 1 or not ((q >= 0) & (q <= 1)).all():
        raise InputError(f"q must hold numbers in [0, 1], shape (Q,), got {q}")
    users, gap = visit_gaps(user, time, session_gap)
    value = np.quantile(gap, q)
    place = place_of_user(users, len(users))
    count = np.bincount(place)
    below = np.stack([np.bincount(place, gap <= x) for x in value], axis=1)
    error = np.asarray(ratio_over_users(below, np.broadcast_to(count[:, None], below.shape)).std_error)
    if len(count) == 1:
        return Estimate(value, error, 1.0)  # nan
    low, high = np.quantile(gap, np.maximum(q - error, 0)), np.quantile(gap, np.minimum(q + error, 1))
    return Estimate(value, (high - low) / 2, float(len(count)))


@dataclass(frozen=True)
class GapLaw:
    """How long people stay away."""

    edges: Floats  # (J+1,)
    share: Estimate  # (J,) of all gaps that are in bin j, edges[j] <= gap < edges[j+1]
    variation: Floats  # (V,) s.d. / mean of the gaps of every user with two gaps or more, by user
    mean_variation: Estimate | None  # over those V users; None if there are none


def gap_law(user: Array, time: Array, edges: Array, session_gap: float = 0.0) -> GapLaw:
    """Histogram of the gaps between visits, and how irregular each user's gaps are.

    The coefficient of variation is 0 for visits on a grid, 1 in the limit of many gaps for visits at random
    (a Poisson process), more for bursts. With n gaps it cannot exceed sqrt(n), so users with few gaps pull
    the mean down.

    Args:
        user: (R,) ids.
        time: (R,) finite.
        edges: (J+1,) increasing, such as `over_users.log_edges` of the gaps of two logs together.
        session_gap: as in `visit_gaps`.

    Raises:
        InputError: as `visit_gaps`, or edges that do not increase.
    """
    edges = check_edges(edges)
    users, gap = visit_gaps(user, time, session_gap)
    place = place_of_user(users, len(users))
    count = np.bincount(place)
    inside = histogram_by_user(place, edges, gap, len(count))
    mean = np.bincount(place, gap) / count
    squares = np.bincount(place, (gap - mean[place]) ** 2)
    many = count > 1
    variation = np.sqrt(squares[many] / (count[many] - 1)) / mean[many]
    return GapLaw(
        edges,
        ratio_over_users(inside, np.broadcast_to(count[:, None], inside.shape)),
        variation,
        mean_estimate(variation) if many.any() else None,
    )
