"""Contexts in [0, 1]^D cut into cells, and policies as tables over the cells.

With b bins along each of D coordinates a context x lies in the cell

    sum_d min(floor(b x_d), b - 1) b^d,      one of b^D.

A policy that takes the same item for all contexts of a cell is a row of a table (P, cells) of items.
"""

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError

MOST_CELLS = 10**6
INT = np.dtype(np.int64)  # a dtype, not a type: a third off each allocation of a small array


class ContextCells:
    """The cells of B users' contexts.

    Args:
        num_replicates: B.
        dimension: D.
        bins: b, along each coordinate.

    Raises:
        InputError: a size below 1, more than a million cells.
    """

    def __init__(self, num_replicates: int, dimension: int, bins: int) -> None:
        sizes = (("num_replicates", num_replicates), ("dimension", dimension), ("bins", bins))
        for name, size in sizes:
            if size < 1:
                raise InputError(f"{name} must be at least 1, got {size}")
        if dimension * np.log(bins) > np.log(MOST_CELLS) + 1e-9:  # the power itself may take for ever
            raise InputError(
                f"bins must make {MOST_CELLS} cells at most, got {bins} to the power of {dimension}"
            )
        self.shape = num_replicates, dimension
        self.bins = bins

    @property
    def number(self) -> int:
        """b^D."""
        return self.bins ** self.shape[1]

    def of(self, observation: dict[str, Array]) -> Ints:
        """(B,) cells of the contexts of an observation.

        Raises:
            InputError: no contexts, of another shape, or outside [0, 1].
        """
        context = observation.get("context")
        if context is None:
            raise InputError(
                f"the observation has no 'context', only {', '.join(sorted(observation))}: this learner "
                "needs a world that shows contexts of users"
            )
        if context.shape != self.shape:
            raise InputError(
                f"context must have shape {self.shape}, got {context.shape}: "
                "make the learner for the world's sizes"
            )
        cells = np.empty(len(context), INT)
        row = write_cells(context, self.bins, cells)
        if row >= 0:
            raise InputError(f"context[{row}] = {context[row].tolist()}: contexts must be from 0 to 1")
        return cells


@njit(cache=True)
def write_cells(context: Array, bins: int, cells: Ints) -> int:
    """Write cells (B,); returns the first row whose context is not in [0, 1]^D, or -1."""
    B, D = context.shape
    for b in range(B):
        cell, unit = 0, 1
        for d in range(D):
            x = np.float64(context[b, d])
            if not 0.0 <= x <= 1.0:
                return b
            cell += min(int(x * bins), bins - 1) * unit
            unit *= bins
        cells[b] = cell
    return -1


def decision_stumps(num_items: int, dimension: int, bins: int) -> Ints:
    """(P, cells) all policies that ask whether one coordinate is below one border, at most.

    The N constant policies come first, then those of two different items: P = N + D (b - 1) N (N - 1).

    Raises:
        InputError: a size below 1, more than a million cells.
    """
    if num_items < 1:
        raise InputError(f"num_items must be at least 1, got {num_items}")
    cells = np.arange(ContextCells(1, dimension, bins).number)
    policies = [np.full(len(cells), a) for a in range(num_items)]
    for d in range(dimension):
        place = cells // bins**d % bins
        for border in range(1, bins):
            for below in range(num_items):
                policies += [
                    np.where(place < border, below, above) for above in range(num_items) if above != below
                ]
    return np.array(policies, np.int64)


def check_policies(policies: Ints, num_items: int, cells: int) -> Ints:
    """The table, as int64 in memory order.

    Raises:
        InputError: not whole numbers, of another shape, no policy, or an item that does not exist.
    """
    table = np.asarray(policies)
    if table.dtype.kind not in "iu":
        raise InputError(f"policies must hold integers, got {table.dtype}")
    if table.ndim != 2 or table.shape[1] != cells or len(table) < 1:
        raise InputError(
            f"policies must have shape (P, {cells}), one column for each cell, got {table.shape}"
        )
    if num_items < 1:
        raise InputError(f"num_items must be at least 1, got {num_items}")
    if table.min() < 0 or table.max() >= num_items:
        raise InputError(f"policies must hold items 0-{num_items - 1}, got {table.min()} to {table.max()}")
    return np.ascontiguousarray(table, np.int64)
