"""Every slate there is: what exhaustive search goes through, and why nobody wants to."""

import math
from itertools import permutations

import numpy as np

from recsim_env.arrays import Ints
from recsim_env.errors import InputError

MOST_LISTS = 2_000_000


def all_lists(num_items: int, slate_size: int) -> Ints:
    """Every ordered list of 1 to K distinct items, sum_{l<=K} N! / (N - l)! of them, short ones first.

    Args:
        num_items: N.
        slate_size: K, 1 to N.

    Returns:
        (L, K) item ids, -1 in unused trailing slots; 820 lists for N = 10, K = 3.

    Raises:
        InputError: a size out of range, or more than two million lists.
    """
    if not 1 <= slate_size <= num_items:
        raise InputError(f"slate_size must be from 1 to num_items, {num_items}, got {slate_size}")
    count = sum(math.perm(num_items, length) for length in range(1, slate_size + 1))
    if count > MOST_LISTS:
        raise InputError(
            f"num_items = {num_items} and slate_size = {slate_size} make {count:,} lists, more than "
            f"{MOST_LISTS:,}: use an agent that does not go through them all, such as cascading_vi"
        )
    lists = [np.full((0, slate_size), -1)]
    for length in range(1, slate_size + 1):
        full = np.array(list(permutations(range(num_items), length)))
        lists.append(np.pad(full, ((0, 0), (0, slate_size - length)), constant_values=-1))
    return np.concatenate(lists).astype(np.int64)
