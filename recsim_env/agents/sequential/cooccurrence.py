"""Item features out of what stands near what in the histories: the singular vectors of mutual information."""

import numpy as np
from scipy import sparse

from recsim_env.arrays import Array
from recsim_env.evaluation.likeness import unit_rows

DIMENSION = 64
WINDOW = 3
SMALL = 512
"""Items up to which all singular vectors are found, as the iteration for some of them breaks down and begins
anew by chance where there are hardly more than 64."""
HELD = 1e-6
"""A singular value, or a row, below this share of the largest one is rounding, and becomes zero."""


def cooccurrence_features(user: Array, item: Array, num_items: int) -> Array:
    """(N, D) float32 unit rows; items that stand near the same items lie near to each other.

    With n(i, j) = how often i and j stand at most WINDOW = 3 places apart in one user's events (either way
    round, i other than j), n(i) = sum_j n(i, j) and n = sum_i n(i),

        PPMI(i, j) = max(0, log n(i, j) n / (n(i) n(j))) ~ U S U',   features = U sqrt(S)

    with D = 64 singular values, fewer in a catalogue of 64 items or less. An item that is near nobody gets
    zeros. Window, root and dimension are those that give the published figures (see the tests).

    Args:
        user: (R,) sorted, the events of one user in their order.
        item: (R,) item ids.
        num_items: N.

    Source: Levy and Goldberg 2014, "Neural word embedding as implicit matrix factorization", section 4.2.
    """
    from scipy.sparse.linalg import svds

    near = sparse.csr_array((num_items, num_items))
    for places in range(1, WINDOW + 1):
        same = (user[places:] == user[:-places]) & (item[places:] != item[:-places])
        pairs = (item[:-places][same], item[places:][same])
        near = near + sparse.csr_array((np.ones(len(pairs[0])), pairs), near.shape)
    near = sparse.coo_array(near + near.T)
    row, column = near.coords
    total = np.asarray(near.sum(axis=1)).ravel()
    information = np.log(near.data * total.sum() / (total[row] * total[column]))
    kept = information > 0
    positive = sparse.csr_array((information[kept], (row[kept], column[kept])), near.shape)
    dimension = min(DIMENSION, num_items - 1)
    if positive.nnz == 0 or dimension < 1:
        return np.zeros((num_items, 1), np.float32)
    if num_items <= SMALL:
        vectors, size, _ = np.linalg.svd(positive.toarray())
        vectors, size = vectors[:, :dimension], size[:dimension]
    else:
        start = np.random.default_rng(0).standard_normal(num_items)  # of the iteration: rounding only
        vectors, size, _ = svds(positive, dimension, v0=start)
    features = vectors * np.sqrt(np.where(size > HELD * size.max(), size, 0))
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(unit_rows(np.where(length > HELD * length.max(), features, 0), num_items))
