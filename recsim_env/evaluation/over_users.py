"""Shares and means of events, with standard errors over users.

Events of one user are alike, users are independent. A share or mean of events is the ratio of two sums
over users, r = sum_u a_u / sum_u n_u, and (linearisation of the ratio)

    s.e. = sqrt( U/(U-1) sum_u (a_u - r n_u)^2 ) / sum_u n_u,

so a user with many events weighs more. Letters: R rows of a log, U users, J bins.
"""

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate


def ratio_over_users(part: Array, whole: Array) -> Estimate:
    """(J,) sum_u part / sum_u whole.

    Args:
        part: (U, J) or (U,); then value and standard error are plain numbers.
        whole: of the same shape, 0 or more; users with 0 do not count towards U.

    Returns:
        Value and standard error (J,): nan where the whole is 0; the standard error also where only one
        user has any.
    """
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    total, users = np.asarray(whole.sum(axis=0)), np.asarray(np.count_nonzero(whole, axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0 is the nan that is promised
        value = part.sum(axis=0) / total
        squares = ((part - np.nan_to_num(value) * whole) ** 2).sum(axis=0)
        error = np.where(users > 1, np.sqrt(users / (users - 1) * squares) / total, np.nan)
    if part.ndim == 1:
        return Estimate(float(value), float(error), float(users))
    return Estimate(value, error, float(np.count_nonzero(whole.any(axis=1))))


def place_of_user(user: Array, rows: int) -> Ints:
    """(R,) place of each row's user among the distinct users, increasing.

    Raises:
        InputError: not one entry per row, or no row.
    """
    user = np.asarray(user)
    if user.shape != (rows,) or rows == 0:
        raise InputError(f"user must have shape ({rows},), as the other columns, not empty, got {user.shape}")
    return np.unique(user, return_inverse=True)[1].astype(np.int64)


def histogram_by_user(place: Ints, edges: Floats, values: Array, num_users: int) -> Floats:
    """(U, J) how many values of each user are in bin j, edges[j] <= value < edges[j+1]; others are left out.

    Args:
        place: (R,) 0 to U-1.
        edges: (J+1,) increasing.
        values: (R,).
        num_users: U.
    """
    J = len(edges) - 1
    j = np.searchsorted(edges, values, side="right") - 1
    inside = (j >= 0) & (j < J)
    cell = place[inside] * J + j[inside]
    return np.bincount(cell, minlength=num_users * J).reshape(num_users, J).astype(np.float64)


def check_edges(edges: Array) -> Floats:
    """(J+1,) the edges of bins.

    Raises:
        InputError: fewer than two, or edges that do not increase.
    """
    edges = np.asarray(edges, np.float64)
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise InputError(f"edges must increase, shape (J+1,) with J of 1 or more, got {edges}")
    return edges


def check_times(time: Array, rows: int) -> Floats:
    """(R,) times of events.

    Raises:
        InputError: not one entry per row, or a time that is not finite.
    """
    time = np.asarray(time, np.float64)
    if time.shape != (rows,):
        raise InputError(f"time must have shape ({rows},), as the other columns, got {time.shape}")
    if not np.isfinite(time).all():
        row = int(np.argmin(np.isfinite(time)))
        raise InputError(f"time[{row}] = {time[row]} is not finite")
    return time


def log_edges(values: Array, per_decade: int = 4) -> Floats:
    """(J+1,) edges 10^(i / per_decade) of bins that hold all the values.

    Raises:
        InputError: no value, or one that is not positive.
    """
    values = np.asarray(values, np.float64)
    if values.size == 0:
        raise InputError("values must hold a number, got none")
    if not (np.isfinite(values) & (values > 0)).all():
        raise InputError(f"values must be positive, got {values[~(np.isfinite(values) & (values > 0))][0]}")
    # the edges themselves are compared, so that rounding leaves no value outside
    low = int(np.floor(per_decade * np.log10(values.min()))) - 1
    high = int(np.ceil(per_decade * np.log10(values.max()))) + 1
    edges: Floats = 10.0 ** (np.arange(low, high + 1) / per_decade)
    first = int(np.searchsorted(edges, values.min(), side="right")) - 1
    last = int(np.searchsorted(edges, values.max(), side="right"))
    return edges[first : last + 1]
