"""What every click model refuses: parameters that are no probabilities, and arrays that do not fit together.

The loops of `sample` are compiled and look nothing up: an array that is too short would be read past its end.
"""

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError


def check_probability(name: str, value: Floats | float, *, ndim: int | None = None) -> None:
    """Refuse numbers outside [0, 1], and, if `ndim` is given, another number of axes or an empty array."""
    numbers = np.asarray(value)
    if numbers.dtype.kind not in "fiu":
        raise InputError(f"{name} must hold numbers, got {numbers.dtype}")
    if ndim is not None and (numbers.ndim != ndim or numbers.size == 0):
        raise InputError(f"{name} must have {ndim} axes and an entry, got shape {numbers.shape}")
    outside = ~((numbers >= 0.0) & (numbers <= 1.0))
    if outside.any():
        where = np.argwhere(outside)[0].tolist()
        raise InputError(f"{name}{where or ''} = {numbers[tuple(where)]} is not a probability, from 0 to 1")


def check_slots(name: str, known: int, slots: int) -> None:
    """Refuse slates that are longer than a parameter by slot."""
    if slots > known:
        raise InputError(f"slates of {slots} slots are longer than {name}, which is known for {known}")


def check_draws(attraction: Array, u: Array, draws: int) -> None:
    """Refuse uniforms that do not fit the slates: u must have shape (B, draws, K)."""
    if attraction.ndim != 2 or u.shape != (len(attraction), draws, attraction.shape[1]):
        raise InputError(
            f"attraction must have shape (B, K) and u (B, {draws}, K), got {attraction.shape} and {u.shape}"
        )
