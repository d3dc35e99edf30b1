"""Sliding-window UCB: UCB on what happened in the last W rounds, for arms that change.

In round t, with n_a pulls of arm a in the last W rounds and their mean reward m_a,

    U_t(a) = m_a + sqrt(xi log min(t, W) / n_a),

infinite for an arm that was not pulled in them. A short window follows changes soon and explores for ever.

Feedback: the reward of the arm pulled.
Bound: O(sqrt(switches T log T)) of the dynamic regret, for fixed gaps, with `tuned_window` and xi > 1/2.
Source: Garivier, Moulines, "On upper-confidence bound policies for switching bandit problems", ALT 2011; the
    index as quoted by Lattimore, Szepesvari, "Bandit algorithms", 2020, section 31.3; xi = 0.6 as in the
    paper's simulations (from memory).
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.ties import UNSEEN, tie_breakers
from recsim_env.agents.bandits.window_counts import WindowCounts
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class SlidingWindowUCB:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        window: W, N or more; see `window_counts.tuned_window`.
        xi: of the index, above 0; larger explores more.

    Raises:
        InputError: a size below its least value, xi out of range.
    """

    def __init__(self, num_replicates: int, num_items: int, *, window: int, xi: float = 0.6) -> None:
        if not 0.0 < xi < np.inf:
            raise InputError(f"xi must be above 0 and finite, got {xi}")
        self.counts = WindowCounts(num_replicates, num_items, window)
        self.xi = xi
        # Equal indices are ordered by a draw of each replicate's own, so that no arm is favoured by its id.
        self.ties = np.zeros((num_replicates, num_items))

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The arm of largest index, (B, 1)."""
        self.ties = tie_breakers(self.ties, luck, "sliding_window_ucb/ties")
        counts = self.counts
        window = counts.arms.shape[1]
        slates: Ints = highest_bound(counts.pulls, counts.sums, counts.rounds, window, self.xi, self.ties)
        return slates

    def update(self, transition: Transition) -> None:
        """Count the pull, and forget the oldest."""
        self.counts.update(transition)


@njit(cache=True, error_model="numpy")
def highest_bound(pulls: Floats, sums: Floats, rounds: Ints, window: int, xi: float, ties: Floats) -> Ints:
    """The arm of largest U of every row, (B, 1)."""
    B, N = pulls.shape
    slates = np.empty((B, 1), np.int64)
    round_before, scaled = -1, 0.0
    for b in range(B):
        if rounds[b] != round_before:  # rows are in step, so one logarithm serves all of them
            round_before = rounds[b]
            scaled = xi * np.log(min(rounds[b] + 1, window))
        best, highest = 0, -np.inf
        for a in range(N):
            n = pulls[b, a]
            bound = UNSEEN * (1.0 + ties[b, a])
            if n > 0.0:
                bound = sums[b, a] / n + np.sqrt(scaled / n) + ties[b, a]
            if bound > highest:
                best, highest = a, bound
        slates[b, 0] = best
    return slates
