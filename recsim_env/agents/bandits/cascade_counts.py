"""What a cascading bandit counts, and how it makes a list of its indices.

A slot is observed if the user examined it: the slots down to the click, all of them without one.
"""

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.errors import InputError


class CascadeCounts:
    """Examinations and clicks of every item, for B learners with one table per user state.

    Attributes:
        examinations: (B, S, N), T_e.
        clicks: (B, S, N), W_e.
        rounds: (B, S), slates shown in that state.

    Raises:
        InputError: a size below 1.
    """

    def __init__(self, num_replicates: int, num_states: int, num_items: int) -> None:
        for name, size in (("replicates", num_replicates), ("states", num_states), ("items", num_items)):
            if size < 1:
                raise InputError(f"num_{name} must be at least 1, got {size}")
        self.examinations = np.zeros((num_replicates, num_states, num_items))
        self.clicks = np.zeros((num_replicates, num_states, num_items))
        self.rounds = np.zeros((num_replicates, num_states))

    def update(self, transition: Transition) -> None:
        """Count the examined slots of one step."""
        _count(
            self.examinations,
            self.clicks,
            self.rounds,
            transition.observation["state"],
            transition.slates,
            transition.clicked,
            transition.examined,
        )


@njit(cache=True)
def _count(
    examinations: Floats,
    clicks: Floats,
    rounds: Floats,
    state: Ints,
    slates: Ints,
    clicked: Bools,
    examined: Bools,
) -> None:
    B, K = slates.shape
    for b in range(B):
        s = state[b]
        rounds[b, s] += 1.0
        for k in range(K):
            if examined[b, k]:
                examinations[b, s, slates[b, k]] += 1.0
                if clicked[b, k]:
                    clicks[b, s, slates[b, k]] += 1.0


@njit(cache=True)
def highest(index: Floats, K: int) -> Ints:
    """The K items of largest index (B, N), largest first, ties to the lower id: (B, K)."""
    B, N = index.shape
    slates = np.empty((B, K), np.int64)
    for b in range(B):
        filled = 0
        for a in range(N):
            if filled == K and index[b, a] <= index[b, slates[b, K - 1]]:
                continue
            k = min(filled, K - 1)
            while k > 0 and index[b, slates[b, k - 1]] < index[b, a]:
                slates[b, k] = slates[b, k - 1]
                k -= 1
            slates[b, k] = a
            filled = min(filled + 1, K)
    return slates
