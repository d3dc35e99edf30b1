"""The vector of an item is made of rows of M small tables, at M hashes of its id.

    sum             e(i) = sum over m of E_m[h_m(i)]                D numbers a row
    concatenation   e(i) = [E_1[h_1(i)]; ..; E_M[h_M(i)]]           D / M numbers a row

with h_m(i) = hash of (m, i) (see `hashing.py`), from 0 to R - 1. Two items are the same only if all M hashes
agree, which happens to a pair with probability R^-M; where some agree they share rows, though they have
nothing to do with each other. M R rows serve any number of items, and nothing is known of a new one.

Source: Weinberger and others, "Feature hashing for large scale multitask learning", ICML 2009; several hashes
as in Svenstrup and others, "Hash embeddings for efficient word representations", NeurIPS 2017, there weighted
by numbers that are learned for every item.
"""

import numpy as np

from recsim_env.agents.generative.item_encoders.hashing import hashed
from recsim_env.agents.sequential.neural.encoders.item_table import ItemTable
from recsim_env.errors import InputError, check_ranges, require, unknown_name

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402

COMBINED = ("sum", "concatenation")


class HashedVectors(ItemTable):
    """Items of any shape -> their vectors, (..., D).

    Args:
        num_items: N.
        dimension: D; for a concatenation a multiple of `tables`.
        rows: R of each table.
        tables: M.
        combined: one of `COMBINED`.
        seed: of the hashes, from 0 to 2^64 - 1.

    Raises:
        InputError: a number out of range, another way to combine.
    """

    def __init__(
        self,
        num_items: int,
        dimension: int = 64,
        *,
        rows: int,
        tables: int = 2,
        combined: str = "sum",
        seed: int = 0,
    ) -> None:
        super().__init__(num_items, dimension)
        check_ranges({"rows": rows, "tables": tables}, {}, {})
        if combined not in COMBINED:
            raise unknown_name("way to combine hashed rows", combined, COMBINED)
        if combined == "concatenation" and dimension % tables:
            raise InputError(f"dimension must be a multiple of tables ({tables}), got {dimension}")
        self.combined = combined
        ids, table = np.arange(num_items)[:, None], np.arange(tables)
        pairs = np.stack(np.broadcast_arrays(table, ids), axis=-1)  # (N, M, 2)
        empty = np.full((1, tables), tables * rows)
        places = np.concatenate([hashed(pairs, rows, seed) + rows * table, empty])
        self.register_buffer("places", torch.from_numpy(places))
        width = dimension if combined == "sum" else dimension // tables
        self.learned = nn.Embedding(tables * rows + 1, width, padding_idx=tables * rows)

    def forward(self, items: Tensor) -> Tensor:
        """Vectors (..., D) of items (...), N = an empty cell."""
        found: Tensor = self.learned(self.places[items])  # (..., M, D or D / M)
        return found.sum(dim=-2) if self.combined == "sum" else found.flatten(-2)

    def all(self) -> Tensor:
        """Vectors (N, D) of all items."""
        return self(torch.arange(self.num_items, device=self.places.device))

    def clear_empty(self) -> None:
        """See `ItemTable`."""
        self.learned.weight[-1] = 0.0
