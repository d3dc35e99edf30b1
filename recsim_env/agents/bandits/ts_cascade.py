"""TS-Cascade: Thompson sampling with one normal draw shared by all items.

In round t, with N_e examinations of item e and mean m_e (0 while N_e = 0),

    Z_t ~ N(0, 1),    l_e = log(t+1) / (N_e + 1),    theta_e = m_e + Z_t max{ sqrt(m_e (1 - m_e) l_e), l_e },

and the list is the K items of largest theta, in descending order. Sharing Z makes the draws of a list
move together, which the analysis needs. The learner is myopic: one table for each user state.

Feedback: cascade: the slots down to the first click, and which of them was clicked.
Bound: O(sqrt(K N T) log T).
Source: Cheung, Tan, Zhong, "A Thompson sampling algorithm for cascading bandits", AISTATS 2019,
    Algorithm 1 (form checked against the code published with the authors' JMLR 2021 paper).
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


class TSCascade:
    """One learner per row; arguments as in `CascadeUCB`."""

    def __init__(self, num_replicates: int, num_states: int, num_items: int, slate_size: int) -> None:
        check_slate_sizes(num_replicates, num_items, slate_size)
        self.slate_size = slate_size
        self.counts = CascadeCounts(num_replicates, num_states, num_items)
        self.ties = np.zeros((num_replicates, num_items))  # as in CascadeUCB: unseen items are all alike

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The K items of largest theta, (B, K)."""
        self.ties = tie_breakers(self.ties, luck, "ts_cascade/ties")
        counts = self.counts
        known = counts.clicks, counts.examinations, counts.rounds, observation["state"]
        slates: Ints = highest_draws(*known, luck.normal("ts_cascade"), self.ties, self.slate_size)
        return slates

    def update(self, transition: Transition) -> None:
        """Count what was examined and clicked."""
        self.counts.update(transition)


@njit(cache=True)
def highest_draws(
    clicks: Floats, examinations: Floats, rounds: Floats, state: Ints, z: Floats, ties: Floats, K: int
) -> Ints:
    """The K items of largest `shared_draws` of every row, (B, K)."""
    return highest(shared_draws(clicks, examinations, rounds, state, z, ties), K)


@njit(cache=True)
def shared_draws(
    clicks: Floats, examinations: Floats, rounds: Floats, state: Ints, z: Floats, ties: Floats
) -> Floats:
    """Theta + ties of every row, (B, N), from one normal draw z (B,)."""
    B, N = ties.shape
    theta = np.empty((B, N))
    for b in range(B):
        s = state[b]
        log_t = np.log(rounds[b, s] + 2.0)
        for e in range(N):
            T = examinations[b, s, e]
            mean = clicks[b, s, e] / max(T, 1.0)
            width = log_t / (T + 1.0)
            theta[b, e] = mean + z[b] * max(np.sqrt(mean * (1.0 - mean) * width), width) + ties[b, e]
    return theta
