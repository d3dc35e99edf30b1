"""CascadeUCB1: show the items of largest upper confidence bound on their attraction.

In round t, with T_e examinations and W_e clicks of item e,

    U_t(e) = W_e / T_e + sqrt(1.5 log t / T_e),

infinite for an item never examined; the list is the K items of largest U_t, in descending order.

The learner is myopic: with several user states it keeps one table for each and ignores where a click
leads. The paper gives itself one free observation of every item before round 1; here an agent sees
only what it is shown, so unseen items go first instead.

Feedback: cascade: the slots down to the first click, and which of them was clicked.
Bound: E R(T) <= sum over items outside the best K of 12 ln T / gap + (pi^2 / 3) N, gap being what the item's
    attraction lacks to that of the least attractive item of the best K.
Source: Kveton, Szepesvari, Wen, Ashkan, "Cascading bandits: learning to rank in the cascade model",
    ICML 2015, Algorithm 1. The 1.5 is the paper's constant (checked in published code of later authors).
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.cascade_counts import CascadeCounts, highest
from recsim_env.agents.bandits.item_counts import check_slate_sizes
from recsim_env.agents.bandits.ties import tie_breakers
from recsim_env.arrays import Array, Floats, Ints

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck

UNSEEN = (
    1e3  # index of an item never examined: above every other, and small enough to keep tie-breaking digits
)


class CascadeUCB:
    """One CascadeUCB1 learner per row.

    Args:
        num_replicates: B.
        num_states: S; 1 for a bandit.
        num_items: N.
        slate_size: K.

    Raises:
        InputError: no replicates, no items, or more slots than items.
    """

    def __init__(self, num_replicates: int, num_states: int, num_items: int, slate_size: int) -> None:
        check_slate_sizes(num_replicates, num_items, slate_size)
        self.slate_size = slate_size
        self.counts = CascadeCounts(num_replicates, num_states, num_items)
        # Equal indices are ordered by a draw of each replicate's own, so that no item is favoured by its id.
        self.ties = np.zeros((num_replicates, num_items))

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The K items of largest index, (B, K)."""
        self.ties = tie_breakers(self.ties, luck, "cascade_ucb/ties")
        counts = self.counts
        index = upper_bounds(
            counts.clicks, counts.examinations, counts.rounds, observation["state"], self.ties
        )
        slates: Ints = highest(index, self.slate_size)
        return slates

    def update(self, transition: Transition) -> None:
        """Count what was examined and clicked."""
        self.counts.update(transition)


@njit(cache=True, error_model="numpy")
def upper_bounds(clicks: Floats, examinations: Floats, rounds: Floats, state: Ints, ties: Floats) -> Floats:
    """U_t(e) + ties of every row, (B, N)."""
    B, N = ties.shape
    index = np.empty((B, N))
    for b in range(B):
        s = state[b]
        W, T = clicks[b, s], examinations[b, s]
        c = np.sqrt(1.5 * np.log(rounds[b, s] + 1.0))
        for e in range(N):
            seen = max(T[e], 1.0)
            bound = W[e] / seen + c / np.sqrt(seen)
            index[b, e] = (bound if T[e] > 0.0 else UNSEEN) + ties[b, e]
    return index
