"""Sums over the slots of a slate that do not depend on how many users there are.

NumPy adds (B, K) along K in an order that depends on the memory layout, and so on B: the last bit of a sum of
one user would not be that of the same user in a batch. Here it is always slot by slot from the top.
"""

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Floats


def sum_over_slots(values: Array) -> Floats:
    """(B,) sums of (B, K) numbers or flags, from the top slot down."""
    total = np.zeros(len(values))
    add_slots(values, total)
    return total


@njit(cache=True)
def add_slots(values: Array, total: Floats) -> None:
    """Add the slots (B, K) of each user to total (B,)."""
    B, K = values.shape
    for k in range(K):
        for b in range(B):
            total[b] += values[b, k]
