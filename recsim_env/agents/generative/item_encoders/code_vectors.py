"""The vector of an item is the sum of vectors of its codes, so that alike items begin alike, new ones too.

    e(i) = sum over levels l of E_l(c_l(i))

A history is one vector an item, not one a code: attention over it costs L^2 times less.

Source: the item-level encoding of OneRec and RPG; TIGER reads code by code, see `encoders/code_sequence.py`.
"""

from collections.abc import Sequence

import numpy as np

from recsim_env.agents.sequential.neural.encoders.item_table import ItemTable
from recsim_env.arrays import Array
from recsim_env.errors import InputError, refuse, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import embedding  # noqa: E402


class CodeVectors(ItemTable):
    """Items of any shape -> their vectors, (..., D).

    Args:
        codes: (N, L) of every item.
        level_sizes: (L,) V_1 .. V_L.
        dimension: D.

    Raises:
        InputError: a number below 1, codes of another shape or out of range.
    """

    def __init__(self, codes: Array, level_sizes: Sequence[int], dimension: int = 64) -> None:
        super().__init__(len(codes), dimension)
        if codes.ndim != 2 or codes.shape[1] != len(level_sizes):
            raise InputError(f"codes must be (items, {len(level_sizes)}), got {codes.shape}")
        bad = (codes < 0) | (codes >= np.array(level_sizes))
        refuse("codes", bad, codes, "codes are from 0 to below their level's size")
        starts = np.cumsum([0, *level_sizes[:-1]])
        empty = np.full((1, codes.shape[1]), sum(level_sizes))
        places = np.concatenate(
            [codes + starts, empty]
        )  # (N + 1, L) of all vectors, one level after the other
        self.register_buffer("places", torch.from_numpy(places.astype(np.int64)))
        self.learned = nn.EmbeddingBag(
            sum(level_sizes) + 1, dimension, mode="sum", padding_idx=sum(level_sizes)
        )

    @property
    def length(self) -> int:
        """L."""
        return int(self.places.shape[1])

    def apart(self, items: Tensor) -> Tensor:
        """Vectors (..., L, D) of the codes of items (...), N = an empty cell."""
        return embedding(self.places[items], self.learned.weight)

    def forward(self, items: Tensor) -> Tensor:
        """Vectors (..., D) of items (...), N = an empty cell."""
        found: Tensor = self.learned(self.places[items].flatten(0, -2))
        return found.unflatten(0, items.shape)

    def all(self) -> Tensor:
        """Vectors (N, D) of all items."""
        found: Tensor = self.learned(self.places[:-1])
        return found
