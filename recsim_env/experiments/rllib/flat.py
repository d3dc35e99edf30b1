"""Dict observations of a batch -> one row of float32 for each user, as a network without branches reads it.

    Discrete(n)        -> one-hot (B, n)
    MultiDiscrete(v)   -> the one-hot of every cell, one after the other, (B, sum of v)
    MultiBinary, Box   -> their values, (B, size)

Entries follow each other in the order of the space. An entry `action_mask` holds flags of what may be shown:
(M,), where M is the number of choices of one slot, which then hold for every slot, or of all slots together.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space

from recsim_env.arrays import Array
from recsim_env.errors import InputError

MASK = "action_mask"


class Flat:
    """How observations of a space become rows.

    Raises:
        InputError: observations that are no Dict; an entry of a type that is not in the list above; a mask of
            another size.
    """

    def __init__(self, space: Space[Any], actions: Space[Any]) -> None:
        if not isinstance(space, Dict):
            raise InputError(f"observations must be a Dict of entries, got {space}: leave out Flatten")
        self.start: dict[str, int] = {}
        self.width = 0
        self._entries = dict(space.spaces)
        for name, entry in self._entries.items():
            self.start[name] = self.width
            self.width += _width(name, entry)
        self.actions = actions
        self.choices = _choices(actions)
        self.mask: tuple[int, int] | None = None  # columns of the row that hold it: first, last + 1
        if MASK in self._entries:
            size = _width(MASK, self._entries[MASK])
            if size not in (sum(self.choices), self.choices[0]):
                raise InputError(
                    f"{MASK} must have {sum(self.choices)} flags, one for each choice of each slot, or "
                    f"{self.choices[0]} that hold for every slot, got {size}"
                )
            self.mask = (self.start[MASK], self.start[MASK] + size)
        self.space = Box(-np.inf, np.inf, (self.width,), np.float32)

    def rows(self, observation: Mapping[str, Array]) -> Array:
        """(B, F) float32 of observations (B, ...)."""
        first = np.asarray(observation[next(iter(self._entries))])
        flat = np.zeros((len(first), self.width), np.float32)
        users = np.arange(len(first))[:, None]
        for name, entry in self._entries.items():
            value, at = np.asarray(observation[name]), self.start[name]
            if isinstance(entry, Discrete):
                flat[users[:, 0], at + value - entry.start] = 1
            elif isinstance(entry, MultiDiscrete):
                sizes = entry.nvec.reshape(-1)
                offset = at + np.cumsum(sizes) - sizes
                flat[users, offset + value.reshape(len(first), -1) - entry.start.reshape(-1)] = 1
            else:
                flat[:, at : at + _width(name, entry)] = value.reshape(len(first), -1)
        return flat


def legal(mask: Array, choices: list[int]) -> Array:
    """(B, sum of choices) bool: whether each choice of each slot may be made.

    Args:
        mask: (B, M) flags; see the module. Where a slot has one choice more than the mask has flags, it is to
            leave the slot empty, which is always legal.
        choices: of every slot.
    """
    mask = np.asarray(mask, np.bool_)
    if mask.shape[1] == sum(choices):
        return mask
    padded = np.concatenate([mask, np.ones((len(mask), 1), np.bool_)], axis=1)
    return np.concatenate([padded[:, :n] for n in choices], axis=1)


def check_masks(mask: Array, choices: list[int]) -> None:
    """Refuse masks (B, M) that leave a user without a legal action.

    Raises:
        InputError: the message names the row and the slot.
    """
    flags, at = legal(mask, choices), 0
    for slot, n in enumerate(choices):
        stuck = ~flags[:, at : at + n].any(axis=1)
        if stuck.any():
            raise InputError(
                f"{MASK}[{int(np.argmax(stuck))}] leaves no legal action in slot {slot}: let the mask "
                "allow one item at least, or end the episode before it comes to this"
            )
        at += n


def _choices(actions: Space[Any]) -> list[int]:
    if isinstance(actions, Discrete):
        return [int(actions.n)]
    if isinstance(actions, MultiDiscrete) and actions.nvec.ndim == 1:
        return [int(n) for n in actions.nvec]
    raise InputError(f"actions must be Discrete or a slate of MultiDiscrete, got {actions}")


def _width(name: str, entry: Space[Any]) -> int:
    if isinstance(entry, Discrete):
        return int(entry.n)
    if isinstance(entry, MultiDiscrete):
        return int(entry.nvec.sum())
    if isinstance(entry, MultiBinary | Box):
        return int(np.prod(entry.shape))
    raise InputError(f"{name} of the observation is {entry}: only numbers can be made a row of them")
