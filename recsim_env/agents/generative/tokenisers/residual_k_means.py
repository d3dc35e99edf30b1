"""Residual k-means: each level is a k-means of what the levels before it leave over.

    r_0 = x - mean x,     c_l = argmin_v |r_{l-1} - e_{l,v}|^2,     r_l = r_{l-1} - e_{l,c_l}

with the V_l centres e_l of a k-means of all r_{l-1} (see `k_means.py`). With `balanced`, no centre has more
than ceil(N / V_l) points. The codes stand for mean x + sum of e_{l,c_l}.

Source: Deng and others, "OneRec", 2025 (balanced residual k-means, there centre by centre).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recsim_env.agents.generative.tokenisers.identifiers import (
    Identifiers,
    check_collisions,
    finite_features,
    resolve,
)
from recsim_env.agents.generative.tokenisers.k_means import distances, k_means
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, check_ranges


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
    check_collisions(collisions)
    x = finite_features(features)
    sizes = tuple(int(size) for size in level_sizes)
    check_ranges({f"level_sizes[{i}]": size for i, size in enumerate(sizes)} | {"rounds": rounds}, {}, {})
    if not sizes or max(sizes) > len(x):
        raise InputError(f"level_sizes must be 1 to {len(x)}, the number of items, got {sizes}")
    rng = np.random.default_rng(seed)
    left = before = x - x.mean(axis=0)
    codes: list[Ints] = []
    centres_of: list[Floats] = []
    for size in sizes:
        room = -(-len(x) // size) if balanced else None
        centres, nearest = k_means(left, size, rng, rounds=rounds, room=room)
        before, left = left, left - centres[nearest]
        codes.append(nearest)
        centres_of.append(centres)
    found = Identifiers(np.stack(codes, axis=1), sizes, tuple(centres_of))
    found = resolve(found, collisions, distances(before, centres_of[-1]))
    parts = [centres[found.codes[:, level]] for level, centres in enumerate(centres_of)]
    return replace(found, rebuilt=x.mean(axis=0) + np.sum(parts, axis=0))
