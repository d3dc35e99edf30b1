"""Product quantisation: L codes that do not follow from one another, each of a part of the features.

The features are turned by a rotation R and cut into L parts of D / L numbers; code c_l is the nearest of V
centres of part l:

    y = (x - mean x) R,     c_l = argmin_v |y_l - e_{l,v}|^2,     x' = mean x + [e_{1,c_1} .. e_{L,c_L}] R^T

R is the identity, or (`rotated`) found in turn with the centres, so that x' comes as near to x as it can:

    given the codes, R = U W^T  of the singular value decomposition  U S W^T = (x - mean x)^T [e_{1,c_1} ..]

which is the optimal rotation for these (orthogonal Procrustes); then one round of Lloyd in each part.

Source: Jégou, Douze, Schmid, "Product quantization for nearest neighbor search", PAMI 2011; Ge, He, Ke, Sun,
"Optimized product quantization", CVPR 2013 (non-parametric).
"""

import numpy as np

from recsim_env.agents.generative.tokenisers.identifiers import (
    Identifiers,
    check_collisions,
    finite_features,
    resolve,
)
from recsim_env.agents.generative.tokenisers.k_means import k_means
from recsim_env.arrays import Array
from recsim_env.errors import InputError, check_ranges


def product(
    features: Array,
    levels: int = 8,
    size: int = 256,
    *,
    rotated: bool = True,
    rounds: int = 20,
    collisions: str = "append",
    seed: int = 0,
) -> Identifiers:
    """Identifiers of parts of the features.

    Args:
        features: (N, D), D a multiple of L.
        levels: L, 1 or more.
        size: V of every level, 1 to N.
        rotated: whether a rotation is looked for.
        rounds: of Lloyd, and of the rotation.
        collisions: what becomes of shared identifiers, see `identifiers`.
        seed: of the first centres.

    Raises:
        InputError: features that are not finite or of another shape, a number out of range.
    """
    check_collisions(collisions, transport=False)
    x = finite_features(features)
    check_ranges({"levels": levels, "size": size, "rounds": rounds}, {}, {})
    (N, D), mean = x.shape, x.mean(axis=0)
    if size > N:
        raise InputError(f"size must be 1 to {N}, the number of items, got {size}")
    if D % levels:
        raise InputError(f"levels must divide the {D} numbers of an item, got {levels}")
    rng = np.random.default_rng(seed)
    rotation, width = np.eye(D), D // levels
    parts = [slice(start, start + width) for start in range(0, D, width)]
    turned = x - mean
    found = [k_means(turned[:, part], size, rng, rounds=rounds) for part in parts]
    for _ in range(rounds if rotated else 0):
        rebuilt = np.concatenate([centres[code] for centres, code in found], axis=1)
        left, _, right = np.linalg.svd((x - mean).T @ rebuilt)
        rotation = left @ right
        turned = (x - mean) @ rotation
        found = [
            k_means(turned[:, part], size, rng, rounds=1, first=centres)
            for part, (centres, _) in zip(parts, found, strict=True)
        ]
    rebuilt = np.concatenate([centres[code] for centres, code in found], axis=1) @ rotation.T + mean
    codes = np.stack([code for _, code in found], axis=1)
    books = tuple(centres for centres, _ in found)
    return resolve(Identifiers(codes, (size,) * levels, books, rebuilt), collisions)
