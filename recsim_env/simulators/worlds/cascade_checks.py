"""What makes tables a cascading MDP."""

from typing import TYPE_CHECKING

import numpy as np

from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.worlds.cascade import CascadeWorld


def check_tables(world: "CascadeWorld") -> None:
    """Refuse tables that are not a cascading MDP; see `CascadeWorld`."""
    if world.attraction.ndim != 2 or 0 in world.attraction.shape:
        raise InputError(f"attraction must have shape (S, N), got {world.attraction.shape}")
    S, N = world.attraction.shape
    start = world.start_distribution
    for name, table, shape in (
        ("transition", world.transition, (S, N + 1, S)),
        ("reward", world.reward, (S, N)),
        ("start", start, (S,)),
    ):
        if table.shape != shape:
            raise InputError(f"{name} must have shape {shape}, got {table.shape}")
    for name, table in (("attraction", world.attraction), ("transition", world.transition), ("start", start)):
        bad = ~((table >= 0) & (table <= 1))
        if bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            raise InputError(f"{name} must be in [0, 1], got {name}{list(where)} = {table[where]}")
    if not np.isfinite(world.reward).all():
        raise InputError("reward must be finite")
    for name, table in (("transition", world.transition), ("start", start)):
        off = np.abs(table.sum(axis=-1) - 1.0)
        if off.max() > 1e-9:
            where = tuple(int(i) for i in np.unravel_index(np.argmax(off), off.shape))
            raise InputError(
                f"{name} rows must sum to 1, got {name}{list(where)} with sum {table.sum(axis=-1)[where]}"
            )
    if not 1 <= world.slate_size <= N:
        raise InputError(f"slate_size must be from 1 to the number of items, {N}, got {world.slate_size}")
    if world.horizon < 1:
        raise InputError(f"horizon must be at least 1, got {world.horizon}")
    if world.item_names is not None and len(world.item_names) != N:
        raise InputError(f"item_names must hold {N} names, got {len(world.item_names)}")
