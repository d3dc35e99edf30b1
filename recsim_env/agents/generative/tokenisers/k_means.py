"""K-means, with or without a limit to the points of a centre.

Begun at points drawn with chance proportional to their squared distance from the nearest one so far
(k-means++), then rounds of Lloyd; a centre without points takes the point that lies farthest from its own.

Under a limit, pairs of point and centre are taken by distance, the nearest first, as long as the centre has
room. That is the stable matching of points and centres, found by proposals: all points without a centre ask
the nearest that they have not asked, and a centre keeps the nearest of those that ask it.

Source: Arthur, Vassilvitskii, "k-means++", SODA 2007; Gale, Shapley, "College admissions and the stability of
marriage", 1962.
"""

import numpy as np

from recsim_env.arrays import Floats, Ints


def k_means(
    points: Floats,
    size: int,
    rng: np.random.Generator,
    *,
    rounds: int = 20,
    room: int | None = None,
    first: Floats | None = None,
) -> tuple[Floats, Ints]:
    """Centres (V, D), and (M,) which one each point has.

    Args:
        points: (M, D), M >= V.
        size: V.
        rng: of the first centres.
        rounds: at most.
        room: points that a centre may have, M / V or more; None = any number.
        first: (V, D) centres to begin with; None = drawn.
    """
    centres = _begin(points, size, rng) if first is None else first
    nearest = np.full(len(points), -1)
    for _ in range(rounds):
        distance = distances(points, centres)
        before, nearest = nearest, _nearest(distance, room)
        if (before == nearest).all():
            break
        count = np.bincount(nearest, minlength=size)
        centres = np.zeros_like(centres)
        np.add.at(centres, nearest, points)
        centres /= np.maximum(count, 1)[:, None]
        empty = np.flatnonzero(count == 0)
        if len(empty):
            own = ((points - centres[nearest]) ** 2).sum(axis=1)
            centres[empty] = points[np.argsort(-own, kind="stable")[: len(empty)]]
    return centres, _nearest(distances(points, centres), room)


def distances(points: Floats, centres: Floats) -> Floats:
    """(M, V) squared."""
    found: Floats = points @ (-2.0 * centres.T)
    found += (centres**2).sum(axis=1)
    found += (points**2).sum(axis=1)[:, None]
    return found


def _nearest(distance: Floats, room: int | None) -> Ints:
    """(M,) the centre of each point."""
    return np.asarray(distance.argmin(axis=1)) if room is None else matched(distance, room)


def _begin(points: Floats, size: int, rng: np.random.Generator) -> Floats:
    """The first centres, by k-means++."""
    chosen = np.empty((size, points.shape[1]))
    left = np.full(len(points), np.inf)
    square = (points**2).sum(axis=1)
    for v in range(size):
        total = left.sum() if v else 0.0
        if total > 0.0:
            place = int(np.searchsorted(left.cumsum(), rng.random() * total, side="right"))
        else:  # the first, or all points are centres already
            place = int(rng.integers(len(points)))
        chosen[v] = points[min(place, len(points) - 1)]
        distance = square - 2.0 * (points @ chosen[v]) + chosen[v] @ chosen[v]
        left = np.minimum(left, np.maximum(distance, 0.0))
    return chosen


def matched(distance: Floats, room: int) -> Ints:
    """(M,) the centre of each point in the stable matching.

    Args:
        distance: (M, V).
        room: points that a centre may have, M / V or more.
    """
    M, V = distance.shape
    unasked = distance.copy()  # infinite where a point has asked
    found = np.full(M, -1)
    free = np.arange(M)
    while len(free):
        found[free] = unasked[free].argmin(axis=1)
        unasked[free, found[free]] = np.inf
        full = np.flatnonzero(np.bincount(found, minlength=V) > room)
        member = np.flatnonzero(np.isin(found, full))
        own = found[member]
        order = np.lexsort((member, distance[member, own], own))
        member, own = member[order], own[order]
        first = np.searchsorted(own, own)
        free = member[np.arange(len(own)) - first >= room]
        found[free] = -1
    return found
