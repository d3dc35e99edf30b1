"""Binned contexts: cut [0, 1]^D into cells, and let a UCB1 of its own learn in each.

With n pulls of item a in the cell of x_t, their mean reward m, and t rounds in this cell,

    U(a) = m + sqrt(2 log t / n),

infinite for an item never pulled there. If mean rewards are Lipschitz with constant L, a policy that is the
same throughout a cell of width w loses at most L w a round, and UCB1 in w^-D cells costs
sqrt(K T w^-D log T) together; the two are equal at

    w = (K log T / (L^2 T))^{1 / (D + 2)}

(`theory_width`). Nothing learned in one cell tells anything of the next, which is the price of knowing so
little.

Feedback: the reward of the item pulled.
Bound: O(T^{2/3} (L K log T)^{1/3}) for D = 1, O(T^{(D+1)/(D+2)} (L^D K log T)^{1/(D+2)}) else.
Source: Slivkins, "Introduction to multi-armed bandits", 2019, section 8.2 for D = 1 (number from
    memory); UCB1 of Auer, Cesa-Bianchi, Fischer, 2002. Only the order is stated there: the width balances
    the two terms above, without their constants.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import out_of_range
from recsim_env.agents.bandits.context_cells import ContextCells
from recsim_env.agents.bandits.ties import UNSEEN, tie_breakers
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class BinnedContexts:
    """One learner per row, for rewards from 0 to 1.

    Args:
        num_replicates: B.
        num_items: N.
        dimension: D of contexts.
        bins: along each coordinate; 1 is one UCB1 for all users. `theory_bins` gives the theory's number.

    Attributes:
        pulls: (B, cells, N).
        means: (B, cells, N) of rewards, 0 before the first pull.
        rounds: (B, cells).

    Raises:
        InputError: a size below 1, more than a million cells.
    """

    def __init__(self, num_replicates: int, num_items: int, dimension: int, bins: int) -> None:
        self.cells = ContextCells(num_replicates, dimension, bins)
        if num_items < 1:
            raise InputError(f"num_items must be at least 1, got {num_items}")
        shape = num_replicates, self.cells.number, num_items
        self.pulls, self.means = np.zeros(shape), np.zeros(shape)
        self.rounds = np.zeros(shape[:2])
        # Equal indices are ordered by a draw of each replicate's own, so that no item is favoured by its id.
        self.ties = np.zeros((num_replicates, num_items))

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The item of largest index in the cell of this user, (B, 1).

        Raises:
            InputError: no contexts, of another shape, or outside [0, 1].
        """
        self.ties = tie_breakers(self.ties, luck, "binned_contexts/ties")
        slates: Ints = highest_in_cell(
            self.cells.of(observation), self.pulls, self.means, self.rounds, self.ties
        )
        return slates

    def update(self, transition: Transition) -> None:
        """Count the pull.

        Raises:
            InputError: a reward outside 0 to 1.
        """
        cells, reward = self.cells.of(transition.observation), transition.reward
        row = count_in_cell(cells, transition.slates, reward, self.pulls, self.means, self.rounds)
        if row >= 0:
            raise out_of_range(row, reward, (0.0, 1.0))


def theory_width(rounds: int, num_items: int, lipschitz: float, dimension: int = 1) -> float:
    """The width w of cells for T rounds, 1 at most."""
    if rounds < 1 or num_items < 1 or dimension < 1 or not 0.0 < lipschitz < np.inf:
        raise InputError(
            "rounds, num_items and dimension must be at least 1 and lipschitz above 0 and finite, "
            f"got {rounds}, {num_items}, {dimension} and {lipschitz}"
        )
    width = (num_items * math.log(max(rounds, 2)) / (lipschitz**2 * rounds)) ** (1.0 / (dimension + 2))
    return min(width, 1.0)


def theory_bins(rounds: int, num_items: int, lipschitz: float, dimension: int = 1) -> int:
    """The number of bins along a coordinate whose width is `theory_width` at most."""
    return math.ceil(1.0 / theory_width(rounds, num_items, lipschitz, dimension))


@njit(cache=True)
def highest_in_cell(cells: Ints, pulls: Floats, means: Floats, rounds: Floats, ties: Floats) -> Ints:
    """The item of largest bound in the cell of every row, (B, 1); one never pulled there goes first."""
    B, N = ties.shape
    slates = np.empty((B, 1), np.int64)
    for b in range(B):
        n, m = pulls[b, cells[b]], means[b, cells[b]]
        c = np.sqrt(2.0 * np.log(rounds[b, cells[b]] + 1.0))
        best, highest = 0, -np.inf
        for a in range(N):
            bound = UNSEEN * (1.0 + ties[b, a])
            if n[a] > 0.0:
                bound = m[a] + c / np.sqrt(n[a]) + ties[b, a]
            if bound > highest:
                best, highest = a, bound
        slates[b, 0] = best
    return slates


@njit(cache=True)
def count_in_cell(
    cells: Ints, slates: Ints, reward: Floats, pulls: Floats, means: Floats, rounds: Floats
) -> int:
    """Count one pull a row; returns the first row whose reward is out of range (nothing changes), or -1."""
    for b in range(len(slates)):
        if not 0.0 <= reward[b] <= 1.0:
            return b
    for b in range(len(slates)):
        c, a = cells[b], slates[b, 0]
        rounds[b, c] += 1.0
        pulls[b, c, a] += 1.0
        means[b, c, a] += (reward[b] - means[b, c, a]) / pulls[b, c, a]
    return -1
