"""The vector of an item is the sum of rows at the hashes of every n codes of it that follow each other.

    e(i) = sum over g = 1 .. L - n + 1 of E_g[hash of (c_g .. c_{g+n-1})]

a table E_g of R rows for each place g (see `hashing.py`; the place is hashed too). For n = 1 and R large it
is `CodeVectors`, but for collisions. Longer pieces tell more items apart, and fewer items share them.

Source: Singh and others, "Better generalization with semantic IDs: a case study in ranking for
recommendations", RecSys 2024, its N-gram variant.
"""

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from recsim_env.agents.generative.item_encoders.code_vectors import numbered_codes
from recsim_env.agents.generative.item_encoders.hashing import hashed
from recsim_env.agents.generative.item_encoders.summed_rows import SummedRows
from recsim_env.arrays import Array
from recsim_env.errors import InputError


class NgramVectors(SummedRows):
    """Items of any shape -> their vectors, (..., D).

    Args:
        codes: (N, L) of every item.
        level_sizes: (L,) V_1 .. V_L.
        dimension: D.
        length: n, 1 to L.
        rows: R of each table.
        seed: of the hash, from 0 to 2^64 - 1.

    Raises:
        InputError: a number out of range, codes of another shape or out of range.
    """

    def __init__(
        self,
        codes: Array,
        level_sizes: Sequence[int],
        dimension: int = 64,
        *,
        length: int = 2,
        rows: int,
        seed: int = 0,
    ) -> None:
        numbers = numbered_codes(codes, level_sizes)  # each says its level, so a piece says its place
        if not 1 <= length <= len(level_sizes):
            raise InputError(f"length must be from 1 to {len(level_sizes)}, got {length}")
        places = hashed(sliding_window_view(numbers, length, axis=1), rows, seed)  # (N, L - n + 1)
        tables = places.shape[1]
        super().__init__(places + rows * np.arange(tables), tables * rows, dimension)
