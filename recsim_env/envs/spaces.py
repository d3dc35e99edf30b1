"""Between a world's arrays and Gymnasium's spaces: which world, which actions, which observations."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space
from numba import njit

from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError, unknown_name
from recsim_env.simulators.worlds.world import Entry, World

WorldSource = World | str
_INT = np.dtype(np.int64)
MOST_WHOLE = 1 << 53  # larger sizes fit into no memory, and larger seeds are refused by the worlds


def make_world(source: WorldSource, parameters: dict[str, Any]) -> World:
    """The world of an id: built by the function that `module:function` names, or the one given.

    Raises:
        InputError: the function has no such parameter, or it takes another type; the world does not fit into
            memory; a ready world came with parameters.
    """
    if isinstance(source, str):
        module, function = source.split(":")
        build: Callable[..., World] = getattr(import_module(module), function)
        known = get_type_hints(build)
        known.pop("return", None)
        for name, value in parameters.items():
            if name not in known:
                raise unknown_name("parameter", name, known)
            _check_type(name, value, known[name])
        # as Python's numbers: those of NumPy overflow, one of 8 bits soon
        plain = {name: v.item() if isinstance(v, np.generic) else v for name, v in parameters.items()}
        try:
            return build(**plain)
        except MemoryError as error:
            given = ", ".join(f"{name}={value!r}" for name, value in plain.items())
            raise InputError(f"{given}: this world does not fit into memory, take smaller sizes") from error
    if parameters:
        raise InputError(f"a ready world takes no parameters, got {', '.join(parameters)}")
    return source


def _check_type(name: str, value: Any, wanted: Any) -> None:
    """Refuse a value that is not of the annotated type; whole numbers are numbers, flags are neither."""
    accepted = get_args(wanted) or (wanted,)
    flag = isinstance(value, bool | np.bool_)
    whole, number = isinstance(value, int | np.integer), isinstance(value, int | float | np.number)
    fits = {
        bool: flag,
        int: whole and not flag,
        float: number and not flag and value == value,
        str: isinstance(value, str),
        Path: isinstance(value, Path),
        type(None): value is None,
    }
    if not any(fits[kind] for kind in accepted):
        words = " or ".join(_WORDS[kind] for kind in accepted)
        raise InputError(f"{name} must be {words}, got {value!r}")
    if whole and not flag and abs(int(value)) > MOST_WHOLE:
        raise InputError(f"{name} must be at most 2^53 in size, got {value!r}")


_WORDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    type(None): "None",
}


def slate_space(world: World) -> MultiDiscrete:
    """One number per slot: an item, or N for an empty slot, which the first slot cannot be."""
    N, K = world.num_items, world.slate_size
    return MultiDiscrete(np.array([N] + [N + 1] * (K - 1)))


def observation_space(world: World) -> Dict:
    """One space per entry of the observation: whole numbers, flags or real numbers."""
    return Dict({name: _space(entry) for name, entry in world.observation_entries().items()})


def _space(entry: Entry) -> Space[Any]:
    if entry.dtype is np.int8:
        return MultiBinary(list(entry.shape))
    if entry.dtype is np.float32:
        return Box(entry.low, entry.high, entry.shape, np.float32)
    if entry.shape == ():
        return Discrete(int(entry.high) + 1)
    return MultiDiscrete(np.full(entry.shape, int(entry.high) + 1))


def to_slates(actions: Array, shape: tuple[int, int], num_items: int) -> Ints:
    """Actions of `slate_space` -> slates with -1 in empty slots, checked.

    Args:
        actions: (B, K) integers; N and -1 both stand for an empty slot.
        shape: the (B, K) that is expected; (1, K) for an action (K,) of one user.
        num_items: N.

    Raises:
        InputError: wrong shape, not integers, an item outside the catalogue, an empty first slot.
    """
    if actions.shape != shape:
        raise InputError(f"slates must have shape {shape}, got {actions.shape}")
    if actions.dtype.kind not in "iu":
        raise InputError(f"slates must hold integers, got {actions.dtype}: convert them with astype(int)")
    slates = np.empty(shape[::-1], _INT).T  # slot by slot in memory, as the loops over users want it
    bad = _empty_to_minus_one(actions, num_items, slates)
    if bad >= 0:
        row, slot = divmod(bad, shape[1])
        item = actions[row, slot]
        if slot == 0 and item in (-1, num_items):
            raise InputError(
                f"slates[{row}, 0] is empty: the first slot must hold an item (0-{num_items - 1})"
            )
        raise InputError(
            f"slates[{row}, {slot}] = {item} is not an item: "
            f"the catalogue has {num_items} items (0-{num_items - 1}); {num_items} leaves the slot empty"
        )
    return slates


@njit(cache=True)
def _empty_to_minus_one(actions: Array, N: int, slates: Ints) -> int:
    """Write the slates (B, K); returns the flat index of a cell that is not allowed, or -1."""
    B, K = actions.shape
    bad = -1
    for b in range(B):
        for k in range(K):
            item = np.int64(actions[b, k])
            if item < -1 or item > N or (k == 0 and (item == -1 or item == N)):
                bad = b * K + k if bad < 0 else bad
            slates[b, k] = -1 if item == N else item
    return bad
