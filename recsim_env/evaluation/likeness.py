"""Cosines between items, for features that are dense (embeddings) or sparse (words, attributes)."""

import numpy as np
from scipy import sparse

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError


def unit_rows(features: Array | sparse.csr_array, num_items: int) -> Array | sparse.csr_array:
    """Rows of length 1, or 0 where the row is empty: (N, D) float32 of the kind given, dense or sparse.

    Args:
        features: (N, D).
        num_items: N.

    Raises:
        InputError: not one row per item, or a number that is not finite.
    """
    shape = features.shape if sparse.issparse(features) else np.shape(features)
    if len(shape) != 2 or shape[0] != num_items:
        raise InputError(f"features must have shape ({num_items}, D), one row per item, got {shape}")
    if sparse.issparse(features):
        rows = sparse.csr_array(features, dtype=np.float64)
        rows.sum_duplicates()
        if not np.isfinite(rows.data).all():
            row = int(np.searchsorted(rows.indptr, np.argmin(np.isfinite(rows.data)), side="right")) - 1
            raise InputError(f"features[{row}] holds a number that is not finite: mend or drop its column")
        length = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
        rows.data /= np.repeat(np.where(length > 0, length, 1), np.diff(rows.indptr))
        return rows.astype(np.float32)
    dense = np.asarray(features, np.float64)
    if not np.isfinite(dense).all():
        row, column = np.argwhere(~np.isfinite(dense))[0]
        raise InputError(
            f"features[{row}, {column}] = {dense[row, column]} is not finite: mend or drop its column"
        )
    length = np.linalg.norm(dense, axis=1, keepdims=True)
    return (dense / np.where(length > 0, length, 1)).astype(np.float32)


def cosine_of_pairs(unit: Array | sparse.csr_array, first: Array, second: Array) -> Floats:
    """(P,) cosine of item first[p] and item second[p].

    Args:
        unit: (N, D), what `unit_rows` gives.
        first: (P,) item ids.
        second: (P,) item ids.
    """
    one, other = unit[first], unit[second]
    product = other.multiply(one) if isinstance(other, sparse.csr_array) else one * other
    return np.asarray(product.sum(axis=1), np.float64).ravel()


def cosine_rows(unit: Array | sparse.csr_array, items: Array) -> Array:
    """(S, N) float32 cosine of each of some items with every item; `unit` as in `cosine_of_pairs`."""
    product = unit[items] @ unit.T
    return np.asarray(product.toarray() if isinstance(product, sparse.csr_array) else product, np.float32)
