"""What an agent counts of every item where users have no state, and the sizes that it checks."""

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.errors import InputError


class ItemCounts:
    """Examinations and clicks of every item, for B learners.

    Attributes:
        examinations: (B, N).
        clicks: (B, N).
        rounds: (B,), slates shown.
    """

    def __init__(self, num_replicates: int, num_items: int) -> None:
        self.examinations = np.zeros((num_replicates, num_items))
        self.clicks = np.zeros((num_replicates, num_items))
        self.rounds = np.zeros(num_replicates)

    def update(self, transition: Transition) -> None:
        """Count the examined slots of one step."""
        _count(
            self.examinations,
            self.clicks,
            self.rounds,
            transition.slates,
            transition.clicked,
            transition.examined,
        )


@njit(cache=True)
def _count(
    examinations: Floats, clicks: Floats, rounds: Floats, slates: Ints, clicked: Bools, examined: Bools
) -> None:
    B, K = slates.shape
    for b in range(B):
        rounds[b] += 1.0
        for k in range(K):
            if examined[b, k]:
                examinations[b, slates[b, k]] += 1.0
                if clicked[b, k]:
                    clicks[b, slates[b, k]] += 1.0


def check_slate_sizes(
    num_replicates: int, num_items: int, slate_size: int, num_rounds: int | None = None
) -> None:
    """Refuse no replicates, more slots than items, and rounds too few to take the logarithm of."""
    if num_replicates < 1:
        raise InputError(f"num_replicates must be at least 1, got {num_replicates}")
    if num_items < 1:
        raise InputError(f"num_items must be at least 1, got {num_items}")
    if not 1 <= slate_size <= num_items:
        raise InputError(f"slate_size must be from 1 to num_items, {num_items}, got {slate_size}")
    if num_rounds is not None and not num_rounds >= 2:
        raise InputError(f"num_rounds must be at least 2, got {num_rounds}")
