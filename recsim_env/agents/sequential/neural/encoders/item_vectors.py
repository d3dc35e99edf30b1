"""The vector of every item: learned, made of features that are given and stay as they are, or of both.

With x_i the F given numbers of item i, such as an embedding of its title:

    id:        e(i) = v_i                                    learned, D numbers an item
    features:  e(i) = W x_i + b                              W, b learned, x as it is: new items have one too
    gated:     e(i) = g * v_i + (1 - g) * (W x_i + b),       g = sigmoid(G [v_i; W x_i + b] + c), D numbers

An empty cell of a history is item N, and its vector is 0.
"""

from typing import Any

import numpy as np

from recsim_env.agents.sequential.neural.encoders.item_table import ItemTable
from recsim_env.errors import InputError, require, unknown_name

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import embedding  # noqa: E402

KINDS = ("id", "features", "gated")


class ItemVectors(ItemTable):
    """Items of any shape -> their vectors, (..., D).

    Args:
        num_items: N.
        dimension: D.
        features: (N, F) finite numbers, or None; needed by all kinds but `id`. Each column is centred and
            divided by the standard deviation of all cells, so that any scale will do.
        kind: one of `KINDS`; None = `id` without features, `features` with them.

    Raises:
        InputError: an unknown kind, features missing or not wanted, of a wrong shape, or not finite.
    """

    def __init__(
        self, num_items: int, dimension: int = 64, *, features: Any = None, kind: str | None = None
    ) -> None:
        super().__init__(num_items, dimension)
        kind = kind or ("id" if features is None else "features")
        if kind not in KINDS:
            raise unknown_name("kind of item vectors", kind, KINDS)
        if (kind == "id") != (features is None):
            wanted = "takes no features" if kind == "id" else "needs features (N, F)"
            raise InputError(f"{kind} item vectors: this kind {wanted}")
        self.kind = kind
        if kind != "features":
            self.learned = nn.Embedding(num_items + 1, dimension, padding_idx=num_items)
        if features is not None:
            given = np.asarray(features, np.float32)
            if given.ndim != 2 or len(given) != num_items or not np.isfinite(given).all():
                raise InputError(
                    f"features must hold finite numbers of shape ({num_items}, F), got {given.shape}"
                )
            given = given - given.mean(axis=0)
            self.register_buffer("given", torch.from_numpy(given / (given.std() or 1.0)))
            self.line = nn.Linear(given.shape[1], dimension)
        if kind == "gated":
            self.gate = nn.Linear(2 * dimension, dimension)

    def forward(self, items: Tensor) -> Tensor:
        """Vectors (..., D) of items (...), N = an empty cell."""
        if self.kind == "id":
            vectors: Tensor = self.learned(items)
            return vectors
        made = self.line(embedding(items.clamp(max=self.num_items - 1), self.given))
        if self.kind == "gated":
            made = self._mix(self.learned(items), made)
        empty = items == self.num_items
        return made.masked_fill(empty[..., None], 0.0)

    def all(self) -> Tensor:
        """Vectors (N, D) of all items."""
        if self.kind == "id":
            return self.learned.weight[:-1]
        made: Tensor = self.line(self.given)
        return made if self.kind == "features" else self._mix(self.learned.weight[:-1], made)

    def clear_empty(self) -> None:
        """See `ItemTable`."""
        if self.kind != "features":
            self.learned.weight[self.num_items] = 0.0

    def _mix(self, learned: Tensor, made: Tensor) -> Tensor:
        share = torch.sigmoid(self.gate(torch.cat([learned, made], dim=-1)))
        return share * learned + (1 - share) * made
