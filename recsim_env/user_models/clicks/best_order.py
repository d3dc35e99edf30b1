"""The best slate where it is not plainly the most attractive items, most attractive first.

It is that where a higher slot is examined no less, whatever was clicked, and a click is not worse for
attraction: the cascade, and the others with their defaults but one. A fitted model may look at its second
slot most, or stop after a click on the first; and in the click chain model a click on an attractive item ends
the search more often. There a slate is improved by exchanges until none is worth anything:

    repeat: for every slot i, and every other slot or item that is not shown j:
                exchange i and j where that raises the worth of the slate

Expected clicks are linear in the attraction of each slot (but in the click chain model), so that only the K
most and the K least attractive items need be tried. For a product of examination and attraction this ends at
the best slate, the largest attraction where the largest examination is, by the rearrangement inequality; for
the others at one that no exchange improves.
"""

from collections.abc import Callable

import numpy as np

from recsim_env.arrays import Floats, Ints


def best_order(attraction: Floats, slate_size: int, worth: Callable[[Floats], Floats]) -> Ints:
    """(R, K) the columns of the items that make the slate found, top first.

    Args:
        attraction: (R, M) of items, M at least K; the first K are the slate to begin with.
        slate_size: K.
        worth: (R, K) attraction by slot -> (R,) of the slates.
    """
    R, M = attraction.shape
    order = np.tile(np.arange(M), (R, 1))
    attraction, value = attraction.copy(), worth(attraction[:, :slate_size])
    improved = True
    while improved:
        improved = False
        for i in range(slate_size):
            for j in range(i + 1, M):
                exchanged = attraction.copy()
                exchanged[:, [i, j]] = attraction[:, [j, i]]
                other = worth(exchanged[:, :slate_size])
                rows = np.flatnonzero(other > value * (1.0 + 1e-12))  # more than rounding
                if len(rows):
                    improved = True
                    attraction[rows], value[rows] = exchanged[rows], other[rows]
                    order[rows[:, None], [i, j]] = order[rows[:, None], [j, i]]
    return order[:, :slate_size]
