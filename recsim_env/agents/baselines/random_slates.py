"""Random: a uniformly random full list, every time; the plainest policy to make a log with.

Items are drawn without replacement, so with N items slot k = 0, 1, ... shows each item that is not yet in the
list with probability 1 / (N - k), and a list of K items has probability (N - K)! / N!.

Feedback: none is used.
Bound: none: regret grows by the same amount every round.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.cascade_counts import highest
from recsim_env.arrays import Array, Bools, Floats, Ints

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class RandomSlates:
    """Shows K distinct items in random order; learns nothing.

    Args:
        num_items: N.
        slate_size: K.
    """

    def __init__(self, num_items: int, slate_size: int) -> None:
        self.num_items = num_items
        self.slate_size = slate_size

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The K items of largest uniform draw, (B, K)."""
        slates: Ints = highest(luck.uniform("random_slates", (self.num_items,)), self.slate_size)
        return slates

    def log_propensities(self, observation: dict[str, Array], slates: Ints) -> Floats:
        """(B, K) log P(slot k | the slots above it); minus infinity for an empty slot or a repeated item."""
        chance = -np.log(self.num_items - np.arange(self.slate_size, dtype=np.float64))  # (K,)
        return np.asarray(np.where(shown_first(slates), chance, -np.inf))

    def update(self, transition: Transition) -> None:
        """Nothing to learn."""


@njit(cache=True)
def shown_first(slates: Ints) -> Bools:
    """(B, K) whether a slot holds an item that no slot above it holds."""
    B, K = slates.shape
    first = np.empty((B, K), np.bool_)
    for b in range(B):
        for k in range(K):
            new = slates[b, k] >= 0
            for j in range(k):
                new &= slates[b, j] != slates[b, k]
            first[b, k] = new
    return first
