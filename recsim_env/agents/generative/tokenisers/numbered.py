"""Identifiers that say nothing of an item: one code for each, random digits, digits in order of appearance.

    atomic      L = 1, V_1 = N
    random      the digits of a random number from 0 to below V^L, all different
    sequential  the digits of the item's place in the order in which items appear in the log, so that items of
                one sequence share their first codes

Sequential numbers leak where a test item is numbered beside the items of its own user. So the order is that
of the log that is learned from; items that it lacks come after all others, by their ids.

Source: Hua and others, "How to index item IDs for recommendation foundation models", SIGIR-AP 2023: random
and sequential indexing, and what the sequential one of P5 leaked.
"""

import numpy as np

from recsim_env.agents.generative.tokenisers.identifiers import Identifiers
from recsim_env.agents.recommender import clicked_items
from recsim_env.arrays import Ints
from recsim_env.errors import InputError, check_ranges
from recsim_env.simulators.log import Log


def atomic(num_items: int) -> Identifiers:
    """One code an item."""
    check_ranges({"num_items": num_items}, {}, {})
    return Identifiers(np.arange(num_items)[:, None], (num_items,))


def random(num_items: int, levels: int, size: int, seed: int) -> Identifiers:
    """Random digits, all different.

    Args:
        num_items: N.
        levels: L, 1 or more.
        size: V of every level.
        seed: of the digits.

    Raises:
        InputError: a number out of range, or V^L < N.
    """
    _check(num_items, levels, size)
    rng = np.random.default_rng(seed)
    most = size**levels
    if most < 4 * num_items:
        number = rng.permutation(most)[:num_items]
    else:  # draw until enough differ; at most a quarter is taken
        number = np.zeros(0, np.int64)
        while len(number) < num_items:
            drawn = np.append(number, rng.integers(most, size=2 * num_items))
            _, first = np.unique(drawn, return_index=True)
            number = drawn[np.sort(first)]
        number = number[:num_items]
    return Identifiers(_digits(number, levels, size), (size,) * levels)


def sequential(log: Log, levels: int, size: int, num_items: int | None = None) -> Identifiers:
    """Digits in order of appearance.

    Args:
        log: that is learned from, user by user.
        levels: L, 1 or more.
        size: V of every level.
        num_items: N; None = 1 + the largest id in the log.

    Raises:
        InputError: a number out of range, V^L < N, or an item beyond N.
    """
    _, item, num_items = clicked_items(log, num_items)
    _check(num_items, levels, size)
    known, first = np.unique(item, return_index=True)
    order = known[np.argsort(first)]
    order = np.append(order, np.setdiff1d(np.arange(num_items), known))
    number = np.empty(num_items, np.int64)
    number[order] = np.arange(num_items)
    return Identifiers(_digits(number, levels, size), (size,) * levels)


def _check(num_items: int, levels: int, size: int) -> None:
    check_ranges({"num_items": num_items, "levels": levels, "size": size}, {}, {})
    if size**levels < num_items:
        raise InputError(
            f"{levels} levels of {size} codes tell {size**levels} items apart, and there are {num_items}: "
            "take more levels or codes"
        )
    if size**levels >= 2**62:
        raise InputError(f"{levels} levels of {size} codes are more than 2^62 numbers: take fewer")


def _digits(number: Ints, levels: int, size: int) -> Ints:
    """(N, L) of numbers (N,), the largest digit first."""
    return number[:, None] // size ** np.arange(levels - 1, -1, -1) % size
