"""PBM-UCB: upper confidence bounds where the examination probabilities of the slots are known.

With S_i clicks of item i, N_i showings of it, and their examination E_i = sum of theta_k over the slots k at
which it was shown, so that S_i / E_i is an unbiased estimate of its attraction,

    U_t(i) = S_i / E_i + sqrt(N_i / E_i) sqrt(delta_t / (2 E_i)),      delta_t = (1 + epsilon) log t,

infinite while E_i = 0. The item of largest U_t goes to the slot of largest theta, the next to the next. A
showing far down is worth little: N_i / E_i, at least 1, widens the bound of an item that was shown at slots
few look at.

The learner knows theta, not which slots were examined: it uses `clicked` alone. In a world of another click
model theta is wrong and so are the estimates; the cascade with theta = 1 is tried in the tests.

Feedback: the clicked slots of the list, with known examination probabilities.
Bound: O(log T), for epsilon > 0.
Source: Lagree, Vernade, Cappe, "Multiple-play bandits in the position-based model", NeurIPS 2016, Algorithm
    1. The index and delta_t are as in the code published by Gauthier and Gaudel with their ICML 2021 paper,
    read there beside epsilon = 0.01; the theorem's constants were not found and are not stated. Unseen
    items first, in an order of each replicate, in place of a first round-robin.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.item_counts import check_slate_sizes
from recsim_env.agents.bandits.ties import UNSEEN, tie_breakers
from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck

EPSILON = 0.01  # of delta_t


class PBMUCB:
    """One PBM-UCB learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        slate_size: K, 1 to N.
        examination: (K,) theta, in [0, 1]: the probability that slot k is examined.

    Raises:
        InputError: a size out of range, or an examination of the wrong length or outside [0, 1].
    """

    def __init__(self, num_replicates: int, num_items: int, slate_size: int, examination: Floats) -> None:
        check_slate_sizes(num_replicates, num_items, slate_size)
        examination = np.array(examination, np.float64)
        if examination.shape != (slate_size,):
            raise InputError(
                f"examination must hold one probability for each of {slate_size} slots, "
                f"got shape {examination.shape}"
            )
        outside = ~((examination >= 0.0) & (examination <= 1.0))
        if outside.any():
            k = int(np.argmax(outside))
            raise InputError(f"examination[{k}] = {examination[k]} is not a probability, from 0 to 1")
        self.examination = examination
        self.slots = np.argsort(-examination, kind="stable")  # (K,) most examined first
        self.clicks = np.zeros((num_replicates, num_items))  # S
        self.showings = np.zeros((num_replicates, num_items))  # N
        self.exposure = np.zeros((num_replicates, num_items))  # E
        self.rounds = np.zeros(num_replicates)
        self.ties = np.zeros((num_replicates, num_items))  # as in CascadeUCB: equal indices are drawn

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The K items of largest index, the largest at the most examined slot, (B, K)."""
        self.ties = tie_breakers(self.ties, luck, "pbm_ucb/ties")
        slates: Ints = choose(self.clicks, self.showings, self.exposure, self.rounds, self.ties, self.slots)
        return slates

    def update(self, transition: Transition) -> None:
        """Count clicks, showings and their examination."""
        count(
            self.clicks,
            self.showings,
            self.exposure,
            self.rounds,
            self.examination,
            transition.slates,
            transition.clicked,
        )


@njit(cache=True, error_model="numpy")
def choose(
    clicks: Floats, showings: Floats, exposure: Floats, rounds: Floats, ties: Floats, slots: Ints
) -> Ints:
    """The slates (B, K): items of largest U_t + ties, at `slots` in this order."""
    B, N = clicks.shape
    K = len(slots)
    slates = np.empty((B, K), np.int64)
    index, ranked = np.empty(N), np.empty(K, np.int64)
    for b in range(B):
        delta = (1.0 + EPSILON) * np.log(rounds[b] + 1.0)
        filled = 0
        for i in range(N):
            E = exposure[b, i]
            index[i] = UNSEEN * (1.0 + ties[b, i])
            if E > 0.0:
                index[i] = clicks[b, i] / E + np.sqrt(showings[b, i] * delta * 0.5) / E + ties[b, i]
            if filled == K and index[i] <= index[ranked[K - 1]]:
                continue
            k = min(filled, K - 1)
            while k > 0 and index[ranked[k - 1]] < index[i]:
                ranked[k] = ranked[k - 1]
                k -= 1
            ranked[k] = i
            filled = min(filled + 1, K)
        for k in range(K):
            slates[b, slots[k]] = ranked[k]
    return slates


@njit(cache=True)
def count(
    clicks: Floats,
    showings: Floats,
    exposure: Floats,
    rounds: Floats,
    examination: Floats,
    slates: Ints,
    clicked: Bools,
) -> None:
    """Add one round of every row."""
    B, K = slates.shape
    for b in range(B):
        rounds[b] += 1.0
        for k in range(K):
            i = slates[b, k]
            showings[b, i] += 1.0
            exposure[b, i] += examination[k]
            clicks[b, i] += clicked[b, k]
