"""The rows of a table that are nearest to each of its rows, by cosine, all pairs looked at."""

import numpy as np

from recsim_env.arrays import Floats, Ints

CELLS = 4_000_000  # cosines that are held at a time


def nearest_rows(vectors: Floats, count: int) -> Ints:
    """The rows (M, count) with the highest cosine to each of M rows, itself left out, nearest first."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = (vectors / np.where(length > 0, length, 1.0)).astype(np.float32)
    found = np.empty((len(unit), count), np.int64)
    step = max(1, CELLS // len(unit))
    for start in range(0, len(unit), step):
        cosine = unit[start : start + step] @ unit.T
        own = np.arange(len(cosine))
        cosine[own, start + own] = -np.inf
        some = np.argpartition(-cosine, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(cosine, some, axis=1), axis=1, kind="stable")
        found[start : start + step] = np.take_along_axis(some, order, axis=1)
    return found
