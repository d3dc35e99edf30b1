"""Layers of several widths in one: the first w numbers that come out are made of the first w that go in.

That holds for each of the widths w_1 < w_2 < ... < w_m = D, so that networks of such layers hold one network
of every width, each inside the next (Matryoshka). Groups of numbers are those from one width to the next:
1 .. w_1, w_1 + 1 .. w_2, ...

Source: Wang, Yue and others, "Train once, deploy anywhere: Matryoshka representation learning for multimodal
recommendation", EMNLP Findings 2024.
"""

from collections.abc import Sequence
from itertools import pairwise

from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors
from recsim_env.errors import InputError, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import layer_norm, linear  # noqa: E402


class NestedLinear(nn.Module):
    """W x + b with a block-triangular W: group g of what comes out is made of the groups 1 .. g of x."""

    def __init__(self, widths: Sequence[int], *, bias: bool = True) -> None:
        super().__init__()
        D = widths[-1]
        self.weight = nn.Parameter(torch.empty(D, D))
        self.bias = nn.Parameter(torch.zeros(D)) if bias else None
        allowed = torch.zeros(D, D)
        for start, stop in pairwise((0, *widths)):
            allowed[start:stop, :stop] = 1.0
        self.register_buffer("allowed", allowed, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) of x (..., D)."""
        made: Tensor = linear(x, self.weight * self.allowed, self.bias)
        return made


class GroupNorm(nn.Module):
    """Every group of numbers moved to mean 0 and variance 1, then a line for each number."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.sizes = [stop - start for start, stop in pairwise((0, *widths))]
        self.weight, self.bias = nn.Parameter(torch.ones(widths[-1])), nn.Parameter(torch.zeros(widths[-1]))

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) of x (..., D)."""
        parts = [layer_norm(part, part.shape[-1:]) for part in x.split(self.sizes, dim=-1)]
        made: Tensor = torch.cat(parts, dim=-1) * self.weight + self.bias
        return made


def check_widths(widths: Sequence[int], items: ItemVectors) -> None:
    """Refuse widths that do not rise or do not end at the dimension, and vectors whose numbers are mixed.

    Raises:
        InputError: the widths, or the kind of the vectors.
    """
    rising = all(before < after for before, after in pairwise((0, *widths)))
    if not widths or not rising or widths[-1] != items.dimension:
        raise InputError(f"widths must rise from 1 or more to {items.dimension}, got {tuple(widths)}")
    if items.kind == "gated":
        raise InputError("nested widths need item vectors of kind id or features, got gated")
