"""Finite scalar quantisation: no codebook, a few numbers of each part of the features rounded to a grid.

The features are cut into L parts. Part p becomes d numbers by a linear layer, number j one of n_j grid
points, and the grid points of a part are its code, in mixed radix:

    y   = W x_p + b
    f_j = h_j tanh(y_j + s_j) - o_j,     h_j = (n_j - 1) (1 + 1e-3) / 2,  o_j = 1/2 if n_j is even, else 0,
                                         s_j = artanh(o_j / h_j)
    g_j = round(f_j),                    from -floor(n_j / 2) to floor((n_j - 1) / 2); the gradient passes as
                                         if it were f_j
    x'  = U (g / floor(n / 2)) + u,      loss = |x - x'|, mean over all numbers

so a code is one of V = n_1 n_2 .. n_d, and all grid points can be had. x has mean 0 and variance 1.

Source: Mentzer and others, "Finite scalar quantization: VQ-VAE made simple", ICLR 2024; Jiang and others,
"RecGPT: a foundation model for sequential recommendation", EMNLP 2025, and its code: four parts, grids of 8,
8, 8, 6 and 5 points, absolute errors.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recsim_env.agents.generative.tokenisers.autoencoder import Standardised, minimise
from recsim_env.agents.generative.tokenisers.identifiers import (
    Identifiers,
    check_collisions,
    finite_features,
    resolve,
)
from recsim_env.arrays import Array
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402

GRID = (8, 8, 8, 6, 5)
MARGIN = 1e-3
MOST_POINTS = 1000  # of one number: beyond, the margin would add some


class FSQ(nn.Module):
    """Parts (B, L, D / L) -> parts, through grids.

    Args:
        width: D / L.
        parts: L.
        grid: n_1 .. n_d.
        generator: of the first weights.
    """

    def __init__(self, width: int, parts: int, grid: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        points = torch.tensor(grid, dtype=torch.float32)
        even = (points % 2 == 0) * 0.5
        half = (points - 1) * (1 + MARGIN) / 2
        self.register_buffer("points", torch.tensor(grid))
        self.register_buffer("reach", half)
        self.register_buffer("offset", even)
        self.register_buffer("shift", (even / half).atanh())
        self.into = nn.Parameter(torch.empty(parts, width, len(grid)))
        self.into_constant = nn.Parameter(torch.zeros(parts, len(grid)))
        self.out = nn.Parameter(torch.empty(parts, len(grid), width))
        self.out_constant = nn.Parameter(torch.zeros(parts, width))
        for weight in (self.into, self.out):
            for part in weight:
                nn.init.xavier_uniform_(part, generator=generator)

    def grid(self, x: Tensor) -> Tensor:
        """(B, L, d) the grid points, whole numbers around 0."""
        y = torch.einsum("blw,lwd->bld", x, self.into) + self.into_constant
        bounded = self.reach * (y + self.shift).tanh() - self.offset
        return bounded + (bounded.round() - bounded).detach()

    def rebuilt(self, grid: Tensor) -> Tensor:
        """(B, L, D / L) what grid points (B, L, d) stand for."""
        return torch.einsum("bld,ldw->blw", grid / (self.points // 2), self.out) + self.out_constant

    def codes(self, grid: Tensor) -> Tensor:
        """(B, L) of grid points (B, L, d), the first number the largest digit."""
        digits = grid.round().long() + self.points // 2
        radix = torch.cat([self.points[1:].flip(0).cumprod(0).flip(0), self.points.new_ones(1)])
        return (digits * radix).sum(dim=-1)


def fsq(
    features: Array,
    parts: int = 4,
    grid: Sequence[int] = GRID,
    *,
    epochs: int = 200,
    batch_size: int = 1024,
    learning_rate: float = 1e-3,
    collisions: str = "append",
    seed: int = 0,
) -> Identifiers:
    """Identifiers of items that are alike by features.

    Args:
        features: (N, D), D a multiple of L.
        parts: L, 1 or more.
        grid: n_1 .. n_d, each from 2 to 1000.
        epochs: of training.
        batch_size: items of one gradient.
        learning_rate: of Adam.
        collisions: what becomes of shared identifiers, see `identifiers`; not `transport`.
        seed: of weights and batches.

    Raises:
        InputError: features that are not finite or of another shape, a number out of range, a loss that is no
            number.
    """
    check_collisions(collisions, transport=False)
    given = finite_features(features)
    check_ranges(
        {"parts": parts, "epochs": epochs, "batch_size": batch_size}, {}, {"learning_rate": learning_rate}
    )
    whole = all(isinstance(points, int | np.integer) for points in grid)
    if not len(grid) or not whole or not 2 <= min(grid) <= max(grid) <= MOST_POINTS:
        raise InputError(f"grid must be whole numbers from 2 to {MOST_POINTS}, got {tuple(grid)}")
    if math.prod(grid) >= 2**62:
        raise InputError(f"a grid of {tuple(grid)} has more than 2^62 points: take fewer")
    if given.shape[1] % parts:
        raise InputError(f"parts must divide the {given.shape[1]} numbers of an item, got {parts}")
    table = Standardised(given)
    x = table.x.unflatten(1, (parts, -1))
    generator = torch.Generator().manual_seed(seed)
    network = FSQ(x.shape[2], parts, grid, generator)
    minimise(
        network.parameters(),
        len(x),
        lambda rows: (network.rebuilt(network.grid(x[rows])) - x[rows]).abs().mean(),
        generator,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
    )
    with torch.inference_mode():
        points = network.grid(x)
        rebuilt = table.features(network.rebuilt(points).flatten(1))
        codes = network.codes(points).numpy()
    found = resolve(Identifiers(codes, (math.prod(grid),) * parts), collisions)
    return replace(found, rebuilt=rebuilt)
