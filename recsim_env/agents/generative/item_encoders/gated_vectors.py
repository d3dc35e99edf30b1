"""The vector of an item is mixed, number by number, from those of two tables, such as of its id and of codes.

    e(i) = g * a(i) + (1 - g) * b(i),     g = sigmoid(G [a(i); b(i)] + c), D numbers

An id can say what is special about an item that is taken often; codes say of a rare one what those that
are like it have taught. `losses/branch_alignment.py` holds the two together.

Source: Liu and others, "The best of the two worlds: harmonizing semantic and hash IDs for sequential
recommendation" (H2Rec), 2025, arXiv 2512.10388, which has a branch of each. Ours: the gate.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from recsim_env.agents.sequential.neural.encoders.item_table import ItemTable
from recsim_env.errors import InputError, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402


class GatedVectors(ItemTable):
    """Items of any shape -> their vectors, (..., D).

    Args:
        first: the vectors a.
        second: the vectors b, of as many items and numbers.

    Raises:
        InputError: tables that do not go together.
    """

    def __init__(self, first: ItemTable, second: ItemTable) -> None:
        super().__init__(first.num_items, first.dimension)
        for name, one, other in (
            ("items", first.num_items, second.num_items),
            ("numbers a vector", first.dimension, second.dimension),
        ):
            if one != other:
                raise InputError(f"first and second must have the same {name}, got {one} and {other}")
        self.branches = nn.ModuleList([first, second])
        self.gate = nn.Linear(2 * self.dimension, self.dimension)
        self._alone: int | None = None

    def forward(self, items: Tensor) -> Tensor:
        """Vectors (..., D) of items (...), N = an empty cell."""
        if self._alone is not None:
            return self.branches[self._alone](items)
        return self._mix(*(branch(items) for branch in self.branches))

    def all(self) -> Tensor:
        """Vectors (N, D) of all items."""
        if self._alone is not None:
            return self.branches[self._alone].all()
        return self._mix(*(branch.all() for branch in self.branches))

    def clear_empty(self) -> None:
        """See `ItemTable`; what is mixed of zeros is 0."""
        for branch in self.branches:
            branch.clear_empty()

    @contextmanager
    def alone(self, branch: int) -> Iterator[None]:
        """For as long as it lasts, the vectors are a (0) or b (1), wherever an encoder reads them."""
        self._alone = branch
        try:
            yield
        finally:
            self._alone = None

    def _mix(self, first: Tensor, second: Tensor) -> Tensor:
        share = torch.sigmoid(self.gate(torch.cat([first, second], dim=-1)))
        return share * first + (1 - share) * second
