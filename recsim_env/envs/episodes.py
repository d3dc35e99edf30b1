"""Which episodes there are: the options of `reset`, and how long an episode lasts."""

from typing import Any

import numpy as np

from recsim_env.arrays import Array, Bools, Ints
from recsim_env.errors import InputError, unknown_name
from recsim_env.simulators.worlds.world import World

MOST_EPISODES = 1 << 32  # the luck counts episodes in 32 bits


def check_options(options: dict[str, Any] | None, known: tuple[str, ...]) -> dict[str, Any]:
    """The options, none by default.

    Raises:
        InputError: something else than a dictionary, or an option that is not known.
    """
    if options is None:
        return {}
    if not isinstance(options, dict):
        raise InputError(f"options must be a dictionary with {' or '.join(known)}, got {options!r}")
    for name in options:
        if name not in known:
            raise unknown_name("option of reset", str(name), known)
    return options


def episodes(option: Any, rows: int) -> Ints:
    """(B,) the episode of each row, from one number for all or (B,).

    Raises:
        InputError: not whole numbers from 0 to 2^32 - 1, or not as many as rows.
    """
    numbers: Array = np.asarray(option)
    whole = numbers.dtype.kind in "iu"
    if not whole or numbers.shape not in ((), (rows,)) or numbers.min() < 0 or numbers.max() >= MOST_EPISODES:
        many = f", or {rows} of them" if rows > 1 else ""
        raise InputError(f"episode must be a whole number from 0 to 2^32 - 1{many}, got {option!r}")
    return np.broadcast_to(numbers.astype(np.int64), (rows,)).copy()


def rows_to_reset(option: Any, rows: int) -> Bools:
    """(B,) which rows begin a new episode.

    Raises:
        InputError: not a flag for each row.
    """
    mask: Array = np.asarray(option)
    if mask.shape != (rows,) or mask.dtype != np.bool_:
        raise InputError(f"reset_mask must be bool of shape ({rows},), got {mask.dtype} {mask.shape}")
    return mask


def episode_steps(world: World, max_episode_steps: int | None) -> int:
    """Steps of an episode: the world's horizon, or fewer.

    Raises:
        InputError: not a whole number from 1.
    """
    if max_episode_steps is None:
        return world.horizon
    if not isinstance(max_episode_steps, int | np.integer) or max_episode_steps < 1:
        raise InputError(f"max_episode_steps must be a whole number from 1, got {max_episode_steps!r}")
    return min(world.horizon, int(max_episode_steps))
