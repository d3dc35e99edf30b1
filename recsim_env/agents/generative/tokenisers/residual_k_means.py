"""Residual k-means: each level is a k-means of what the levels before it leave over.

    r_0 = x - mean x,     c_l = argmin_v |r_{l-1} - e_{l,v}|^2,     r_l = r_{l-1} - e_{l,c_l}

with the V_l centres e_l of a k-means of all r_{l-1}: begun at points drawn with chance proportional to their
squared distance from the nearest one so far (k-means++), `rounds` of Lloyd; a centre without points takes the
point that lies farthest from its own.

With `balanced`, no centre has more than ceil(N / V_l) points: pairs of point and centre are taken by
distance, the nearest first, as long as the centre has room. That is the stable matching of points and
centres, found by proposals: all points without a centre ask the nearest that they have not asked, and a
centre keeps the nearest of those that ask it.

The sum of the means and the rows of the codebooks is what an item is taken for; the mean of x is part of the
first codebook.

Source: Deng and others, "OneRec", 2025 (balanced residual k-means, there centre by centre); Arthur,
Vassilvitskii, "k-means++", SODA 2007; Gale, Shapley, 1962 (proposals).
"""

from collections.abc import Sequence

import numpy as np

from recsim_env.agents.generative.tokenisers.identifiers import Identifiers, resolve
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, as_numbers, check_ranges


def residual_k_means(
    features: Array,
    level_sizes: Sequence[int] = (256, 256, 256),
    *,
    balanced: bool = False,
    rounds: int = 20,
    collisions: str = "append",
    seed: int = 0,
) -> Identifiers:
    """Identifiers of items that are alike by features.

    Args:
        features: (N, D).
        level_sizes: V_1 .. V_L.
        balanced: whether centres have as many points each, but for one.
        rounds: of Lloyd, 1 or more; fewer, once nothing changes.
        collisions: what becomes of shared identifiers, see `identifiers`.
        seed: of the first centres.

    Raises:
        InputError: features that are not finite or of another shape, a number out of range, more codes in a
            level than items.
    """
    x = as_numbers("features", features)
    if x.ndim != 2 or not x.size or not np.isfinite(x).all():
        raise InputError(f"features must be (items, numbers), all finite, got {x.shape}")
    sizes = tuple(int(size) for size in level_sizes)
    check_ranges({f"level_sizes[{i}]": size for i, size in enumerate(sizes)} | {"rounds": rounds}, {}, {})
    if not sizes or max(sizes) > len(x):
        raise InputError(f"level_sizes must be 1 to {len(x)}, the number of items, got {sizes}")
    rng = np.random.default_rng(seed)
    mean = x.mean(axis=0)
    left = x - mean
    codes: list[Ints] = []
    books: list[Floats] = []
    for level, size in enumerate(sizes):
        centres, nearest = k_means(left, size, rounds, balanced, rng)
        left = left - centres[nearest]
        codes.append(nearest)
        books.append(centres + mean if level == 0 else centres)
    return resolve(Identifiers(np.stack(codes, axis=1), sizes, tuple(books)), collisions)


def k_means(
    points: Floats, size: int, rounds: int, balanced: bool, rng: np.random.Generator
) -> tuple[Floats, Ints]:
    """Centres (V, D), and (M,) which one each point has.

    Args:
        points: (M, D), M >= V.
        size: V.
        rounds: at most.
        balanced: see the module.
        rng: of the first centres.
    """
    centres = _begin(points, size, rng)
    nearest = np.full(len(points), -1)
    for _ in range(rounds):
        distance = _distances(points, centres)
        before, nearest = nearest, _nearest(distance, balanced)
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
    return centres, _nearest(_distances(points, centres), balanced)


def _distances(points: Floats, centres: Floats) -> Floats:
    """(M, V) squared."""
    found: Floats = points @ (-2.0 * centres.T)
    found += (centres**2).sum(axis=1)
    found += (points**2).sum(axis=1)[:, None]
    return found


def _nearest(distance: Floats, balanced: bool) -> Ints:
    """(M,) the centre of each point."""
    return _matched(distance) if balanced else np.asarray(distance.argmin(axis=1))


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


def _matched(distance: Floats) -> Ints:
    """(M,) the centre of each point in the stable matching; none has more than ceil(M / V) points."""
    M, V = distance.shape
    room = -(-M // V)
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
