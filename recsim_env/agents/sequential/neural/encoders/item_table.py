"""What every table of item vectors is: items of any shape -> their vectors, 0 in empty cells."""

from recsim_env.errors import check_ranges, require

require("torch", "torch")
from torch import Tensor, nn  # noqa: E402 - after the check that says which extra has it


class ItemTable(nn.Module):
    """Items (...) -> vectors (..., D).

    Args:
        num_items: N.
        dimension: D.

    Raises:
        InputError: a number below 1.
    """

    def __init__(self, num_items: int, dimension: int) -> None:
        super().__init__()
        check_ranges({"num_items": num_items, "dimension": dimension}, {}, {})
        self.num_items, self.dimension = num_items, dimension

    def forward(self, items: Tensor) -> Tensor:
        """Vectors (..., D) of items (...), N = an empty cell, whose vector is 0."""
        raise NotImplementedError

    def all(self) -> Tensor:
        """Vectors (N, D) of all items."""
        raise NotImplementedError

    def clear_empty(self) -> None:
        """Make the vector of an empty cell 0, after all weights were drawn; nothing where it is 0 anyway."""
