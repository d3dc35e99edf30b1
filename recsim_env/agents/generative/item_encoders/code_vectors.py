"""The vector of an item is the sum of vectors of its codes, so that alike items begin alike, new ones too.

    e(i) = sum over levels l of E_l(c_l(i))

A history is one vector an item, not one a code: attention over it costs L^2 times less.

Source: the item-level encoding of OneRec and RPG; TIGER reads code by code, see `encoders/code_sequence.py`.
"""

from collections.abc import Sequence

import numpy as np

from recsim_env.agents.generative.item_encoders.summed_rows import SummedRows
from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError, refuse, require

require("torch", "torch")
from torch import Tensor  # noqa: E402 - after the check that says which extra has it
from torch.nn.functional import embedding  # noqa: E402


class CodeVectors(SummedRows):
    """Items of any shape -> their vectors, (..., D).

    Args:
        codes: (N, L) of every item.
        level_sizes: (L,) V_1 .. V_L.
        dimension: D.

    Raises:
        InputError: a number below 1, codes of another shape or out of range.
    """

    def __init__(self, codes: Array, level_sizes: Sequence[int], dimension: int = 64) -> None:
        super().__init__(numbered_codes(codes, level_sizes), sum(level_sizes), dimension)

    @property
    def length(self) -> int:
        """L."""
        return int(self.places.shape[1])

    def apart(self, items: Tensor) -> Tensor:
        """Vectors (..., L, D) of the codes of items (...); of an empty cell, N, they say nothing."""
        return embedding(self.places[items], self.learned.weight)


def numbered_codes(codes: Array, level_sizes: Sequence[int]) -> Ints:
    """Codes (N, L) as numbers below V_1 + .. + V_L, one level after the other.

    Raises:
        InputError: codes of another shape or out of range.
    """
    codes = np.asarray(codes)
    if codes.ndim != 2 or codes.shape[1] != len(level_sizes) or codes.dtype.kind not in "iu":
        raise InputError(
            f"codes must be (items, {len(level_sizes)}) integers, got {codes.dtype} of {codes.shape}"
        )
    bad = (codes < 0) | (codes >= np.array(level_sizes))
    refuse("codes", bad, codes, "codes are from 0 to below their level's size")
    return np.asarray(codes.astype(np.int64) + np.cumsum([0, *level_sizes[:-1]]))
