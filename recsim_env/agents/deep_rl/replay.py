"""The last rows that an agent saw, in one NumPy array of fixed capacity; the oldest are overwritten."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from recsim_env.agents.agent import Transition
from recsim_env.agents.deep_rl.state_network import Entry
from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError

Fields = list[tuple[str, Any, tuple[int, ...]]]  # name, dtype and shape of one row


class Replay:
    """A ring of rows.

    Args:
        capacity: rows that are kept.
        fields: of a row.

    Attributes:
        rows: (capacity,) of a structured dtype; a checkpoint keeps it like any other array.
        added: (1,) rows ever added; row i stands at i modulo capacity.
    """

    def __init__(self, capacity: int, fields: Fields) -> None:
        self.rows = np.zeros(capacity, np.dtype(fields))
        self.added = np.zeros(1, np.int64)

    def __len__(self) -> int:
        return min(int(self.added[0]), len(self.rows))

    def add(self, columns: Mapping[str, Array]) -> None:
        """Add R rows, a column (R, ...) for every field."""
        count = len(next(iter(columns.values())))
        place = (int(self.added[0]) + np.arange(count)) % len(self.rows)
        for name, column in columns.items():
            self.rows[name][place] = column
        self.added[0] += count

    def take(self, index: Ints) -> dict[str, Array]:
        """Some rows by their places, as columns."""
        rows = self.rows[index]
        return {name: np.ascontiguousarray(rows[name]) for name in rows.dtype.names or ()}


def observation_fields(entries: Mapping[str, Entry], prefix: str) -> Fields:
    """The fields of an observation, `prefix` before each name."""
    return [(prefix + name, entry.dtype, entry.shape) for name, entry in entries.items()]


def observation_columns(
    observation: Mapping[str, Array], entries: Mapping[str, Entry], prefix: str
) -> dict[str, Array]:
    """The columns of an observation, of which other entries than these are left out."""
    return {prefix + name: observation[name] for name in entries}


def check_transition(transition: Transition, slate_size: int, num_items: int) -> None:
    """Refuse what would poison the memory: other slates than the agent's, rewards that are not finite.

    Raises:
        InputError: the first of them.
    """
    slates = transition.slates
    if slates.ndim != 2 or slates.shape[1] != slate_size:
        raise InputError(f"slates must have shape (B, {slate_size}), got {slates.shape}")
    if slates.min() < -1 or slates.max() >= num_items or (slates[:, 0] < 0).any():
        raise InputError(f"slates must hold items 0-{num_items - 1}, -1 in unused trailing slots")
    if not np.isfinite(transition.reward).all():
        row = int(np.argmin(np.isfinite(transition.reward)))
        raise InputError(f"reward[{row}] = {transition.reward[row]} is not finite")
