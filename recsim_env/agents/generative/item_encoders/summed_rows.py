"""What tables have in common where the vector of an item is the sum of some rows of one matrix.

    e(i) = sum over p of E[place_p(i)]

Which rows these are is fixed; items that share some begin alike and are learned together.
"""

import numpy as np

from recsim_env.agents.sequential.neural.encoders.item_table import ItemTable
from recsim_env.arrays import Ints
from recsim_env.errors import require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402


class SummedRows(ItemTable):
    """Items of any shape -> their vectors, (..., D).

    Args:
        places: (N, P) rows of the matrix, from 0 to below `rows`, -1 = none.
        rows: of the matrix.
        dimension: D.
    """

    def __init__(self, places: Ints, rows: int, dimension: int) -> None:
        super().__init__(len(places), dimension)
        empty = np.full((1, places.shape[1]), -1)
        every = np.concatenate([places, empty])
        self.register_buffer("places", torch.from_numpy(np.where(every < 0, rows, every).astype(np.int64)))
        self.learned = nn.EmbeddingBag(rows + 1, dimension, mode="sum", padding_idx=rows)

    def forward(self, items: Tensor) -> Tensor:
        """Vectors (..., D) of items (...), N = an empty cell."""
        found: Tensor = self.learned(self.places[items].flatten(0, -2))
        return found.unflatten(0, items.shape)

    def all(self) -> Tensor:
        """Vectors (N, D) of all items."""
        found: Tensor = self.learned(self.places[:-1])
        return found
