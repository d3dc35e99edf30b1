"""Slates of nearest items, row by row: of one draw of the parameters, or one draw for every slot.

    one draw        the K items i of least |z - v_i|, nearest first
    K draws         slot k: the item of least |z^k - v^k_i| that no slot above holds

z^k is the user's preference when items, gamma and gates are those of draw k.
"""

import numpy as np
from numba import njit

from recsim_env.agents.bandits.slate_user_state import preference_of
from recsim_env.arrays import Array, Floats, Ints


@njit(cache=True)
def fill_slates(
    kind: int,
    history: Ints,
    count: Ints,
    draw: Ints,
    noise: Floats,
    items: Array,
    keep: Array,
    gates: Array,
    spread_scale: float,
    first_scale: float,
    slates: Ints,
) -> None:
    """Write the slates (B, K): the K nearest of one draw (B, 1), or one of each of K draws (B, K)."""
    B = len(slates)
    D, N = items.shape[1:]
    distance = np.empty(N, np.float32)  # squared
    for b in range(B):
        clicks = history[b, : count[b]]
        for m in range(draw.shape[1]):
            s = draw[b, m]
            z = preference_of(
                kind, clicks, items[s], keep[s], gates[s], spread_scale, first_scale, noise[b, m]
            )
            distance[:] = 0.0
            for d in range(D):
                at, row = np.float32(z[d]), items[s, d]
                for i in range(N):
                    distance[i] += (at - row[i]) * (at - row[i])
            if draw.shape[1] == 1:
                nearest(distance, slates[b])
            else:
                for k in range(m):
                    distance[slates[b, k]] = np.inf
                nearest(distance, slates[b, m : m + 1])


@njit(cache=True)
def nearest(distance: Array, slate: Ints) -> None:
    """Write the items of least distance (N,), least first, ties to the lower id."""
    filled = 0
    for i in range(len(distance)):
        if filled == len(slate) and distance[i] >= distance[slate[-1]]:
            continue
        k = min(filled, len(slate) - 1)
        while k > 0 and distance[slate[k - 1]] > distance[i]:
            slate[k] = slate[k - 1]
            k -= 1
        slate[k] = i
        filled = min(filled + 1, len(slate))
