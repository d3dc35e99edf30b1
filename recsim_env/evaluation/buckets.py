"""Metrics by bucket: users of short and long history, rare and popular items, early and late events.

A mean over everyone hides who is served badly: a recommender can gain on users with long histories what it
loses on new ones. A bucket is an interval of a key; its mean comes with its standard error over users and
its number of rows. Comparing buckets compares different people: it does not say what a longer history
would do for one of them. Letters: R rows, U users, J buckets.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate
from recsim_env.evaluation.over_users import check_edges, histogram_by_user, place_of_user, ratio_over_users


@dataclass(frozen=True)
class Buckets:
    """Means of a metric by bucket; bucket j holds edges[j] <= key < edges[j+1]."""

    edges: Floats  # (J+1,)
    means: tuple[Estimate, ...]  # (J,) nan in an empty bucket; standard error over its users, nan for one
    rows: Ints  # (J,) that have a value
    users: Ints  # (J,) of those rows
    without_value: Ints  # (J,) rows left out, because their value is nan (no relevant items)


def bucket_means(values: Array, key: Array, edges: Array, user: Array | None = None) -> Buckets:
    """Mean of a metric in every interval of a key.

    Args:
        values: (R,) a metric, nan = no value.
        key: (R,) finite: the user's history length, the popularity of the target, the time of the event.
        edges: (J+1,) increasing; the first and last may be infinite.
        user: (R,) ids, where several rows are one user's and not independent: the mean is over rows, its
            standard error over users. None = every row is another user.

    Raises:
        InputError: columns of different lengths, an infinite value, a key that is not finite or in no
            bucket, edges that do not increase.
    """
    values, key, edges = np.asarray(values, np.float64), np.asarray(key, np.float64), check_edges(edges)
    for name, column in (("values", values), ("key", key)):
        if column.ndim != 1 or len(column) != len(values):
            raise InputError(f"{name} must have shape ({len(values)},), one per row, got {column.shape}")
    if np.isinf(values).any():
        row = int(np.argmax(np.isinf(values)))
        raise InputError(f"values[{row}] must be finite, or nan where there is none, got {values[row]}")
    outside = ~(np.isfinite(key) & (key >= edges[0]) & (key < edges[-1]))
    if outside.any():
        row = int(np.argmax(outside))
        raise InputError(
            f"key[{row}] = {key[row]} is in no bucket: edges go from {edges[0]} to below {edges[-1]}, "
            "inf may end them"
        )
    place = np.arange(len(key)) if user is None else place_of_user(user, len(key))
    there = ~np.isnan(values)
    bucket = np.searchsorted(edges, key, side="right") - 1
    J, num_users = len(edges) - 1, int(place.max(initial=-1)) + 1
    cell = place[there] * J + bucket[there]
    shape, cells = (num_users, J), num_users * J
    total = np.bincount(cell, values[there], minlength=cells).reshape(shape)
    count = histogram_by_user(place[there], edges, key[there], num_users)
    return Buckets(
        edges,
        tuple(ratio_over_users(total[:, j], count[:, j]) for j in range(J)),
        count.sum(axis=0).astype(np.int64),
        np.count_nonzero(count, axis=0),
        np.bincount(bucket[~there], minlength=J),
    )


def warm_cold_means(values: Array, seen: Array, warm_from: int, user: Array | None = None) -> Buckets:
    """Mean of a metric for the cold (seen fewer than `warm_from` times in training) and the warm, J = 2.

    Args:
        values: (R,) a metric, nan = no value.
        seen: (R,) training events of the row's user (cold users) or of its target item (cold items).
        warm_from: 1 or more: the least number of events of the warm.
        user: as in `bucket_means`; give it for cold items.

    Raises:
        InputError: as `bucket_means`, or `warm_from` below 1.
    """
    if not warm_from >= 1:
        raise InputError(f"warm_from must be 1 or more, got {warm_from!r}")
    return bucket_means(values, seen, np.array([0.0, warm_from, np.inf]), user)


def quantile_edges(key: Any, buckets: int) -> Floats:
    """(J+1,) edges that part the keys into buckets of about equal size, the last one open at the top.

    Where many keys are equal they stay together, and fewer than `buckets` are left.

    Args:
        key: (R,) finite.
        buckets: 1 or more.

    Raises:
        InputError: no key, one that is not finite, or buckets below 1.
    """
    key = np.asarray(key, np.float64)
    if key.ndim != 1 or not len(key) or not np.isfinite(key).all():
        raise InputError(f"key must hold finite numbers of shape (R,), not empty, got shape {key.shape}")
    if buckets < 1:
        raise InputError(f"buckets must be 1 or more, got {buckets!r}")
    inner = np.quantile(key, np.arange(buckets) / buckets, method="higher")
    return np.append(np.unique(inner), np.inf)
