"""CascadeKL-UCB: upper confidence bounds from the Kullback-Leibler divergence of Bernoulli variables.

In round t, with T_e examinations and mean m_e = W_e / T_e of item e,

    U_t(e) = max { u in [m_e, 1] :  T_e KL(m_e || u) <= log t + 3 log log t },      KL(m || u) =
             m log(m/u) + (1-m) log((1-m)/(1-u)),

1 for an item never examined; log log t is taken as 0 while log t < 1. The list is the K items of
largest U_t, in descending order.

`kl_bounds.py` finds U_t, starting from that of the round before.

As CascadeUCB1, the learner is myopic, and sees unseen items first rather than observing each for free.

Feedback: cascade: the slots down to the first click, and which of them was clicked.
Bound: E R(T) <= sum over items outside the best K of (1 + eps) gap (1 + ln(1 / gap)) / KL(w_e || w_K)
    (ln T + 3 ln ln T) + a constant.
Source: Kveton, Szepesvari, Wen, Ashkan, "Cascading bandits: learning to rank in the cascade model",
    ICML 2015, Algorithm 1 with the index of Garivier and Cappe, COLT 2011.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.cascade_counts import CascadeCounts, highest
from recsim_env.agents.bandits.item_counts import check_slate_sizes
from recsim_env.agents.bandits.kl_bounds import FARTHEST, kl_root
from recsim_env.agents.bandits.ties import tie_breakers
from recsim_env.arrays import Array, Floats, Ints

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class CascadeKLUCB:
    """One CascadeKL-UCB learner per row; arguments as in `CascadeUCB`."""

    def __init__(self, num_replicates: int, num_states: int, num_items: int, slate_size: int) -> None:
        check_slate_sizes(num_replicates, num_items, slate_size)
        self.slate_size = slate_size
        self.counts = CascadeCounts(num_replicates, num_states, num_items)
        self.bounds = np.full((num_replicates, num_states, num_items), FARTHEST)  # x of the last round
        self.ties = np.zeros((num_replicates, num_items))

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The K items of largest index, (B, K)."""
        self.ties = tie_breakers(self.ties, luck, "cascade_kl_ucb/ties")
        counts = self.counts
        known = counts.clicks, counts.examinations, counts.rounds, observation["state"]
        slates: Ints = highest_bounds(*known, self.bounds, self.ties, self.slate_size)
        return slates

    def update(self, transition: Transition) -> None:
        """Count what was examined and clicked."""
        self.counts.update(transition)


@njit(cache=True)
def highest_bounds(
    clicks: Floats, examinations: Floats, rounds: Floats, state: Ints, bounds: Floats, ties: Floats, K: int
) -> Ints:
    """The K items of largest `kl_upper_bounds` of every row, (B, K)."""
    return highest(kl_upper_bounds(clicks, examinations, rounds, state, bounds, ties), K)


@njit(cache=True)
def kl_upper_bounds(
    clicks: Floats, examinations: Floats, rounds: Floats, state: Ints, bounds: Floats, ties: Floats
) -> Floats:
    """U_t(e) + ties of every row, (B, N); `bounds` (B, S, N) are brought up to date."""
    B, N = ties.shape
    index = np.empty((B, N))
    for b in range(B):
        s = state[b]
        log_t = np.log(rounds[b, s] + 1.0)
        budget = log_t + 3.0 * np.log(max(log_t, 1.0))
        for e in range(N):
            T = examinations[b, s, e]
            if T == 0.0 or clicks[b, s, e] == T:
                bounds[b, s, e] = FARTHEST
                index[b, e] = 1.0 + ties[b, e]
                continue
            x = kl_root(clicks[b, s, e] / T, budget / T, bounds[b, s, e])
            bounds[b, s, e] = x
            index[b, e] = 1.0 - np.exp(-x) + ties[b, e]
    return index
