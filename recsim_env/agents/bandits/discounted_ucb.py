"""Discounted UCB: UCB on pulls that weigh less the longer they are past, for arms that change.

With gamma < 1, and sums over the rounds s before t,

    n_a = sum_s gamma^(t-1-s) 1{A_s = a},   m_a = sum_s gamma^(t-1-s) X_s 1{A_s = a} / n_a,   n = sum_a n_a,
    U_t(a) = m_a + 2 sqrt(xi log n / n_a),

infinite for an arm never pulled. About the last 1 / (1 - gamma) rounds count. With the xi of the theory it
explores so much that it passes UCB1 only where arms stay long and UCB1 has much to forget; xi = 0.15 explores
as `SlidingWindowUCB` does.

Feedback: the reward of the arm pulled.
Bound: O(sqrt(switches T) log T) of the dynamic regret, for fixed gaps, with `tuned_discount` and xi > 1/2.
Source: Garivier, Moulines, "On upper-confidence bound policies for switching bandit problems", ALT 2011,
    after Kocsis, Szepesvari, 2006; the factor 2 and xi = 0.6 as in the paper (from memory).
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.ties import UNSEEN, tie_breakers
from recsim_env.agents.bandits.window_counts import DiscountedCounts
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class DiscountedUCB:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        discount: gamma, above 0 and below 1; see `window_counts.tuned_discount`.
        xi: of the index, above 0; larger explores more.

    Raises:
        InputError: a size below its least value, a discount or xi out of range.
    """

    def __init__(self, num_replicates: int, num_items: int, *, discount: float, xi: float = 0.6) -> None:
        if not 0.0 < xi < np.inf:
            raise InputError(f"xi must be above 0 and finite, got {xi}")
        self.counts = DiscountedCounts(num_replicates, num_items, discount)
        self.xi = xi
        self.ties = np.zeros((num_replicates, num_items))  # as in SlidingWindowUCB

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The arm of largest index, (B, 1)."""
        self.ties = tie_breakers(self.ties, luck, "discounted_ucb/ties")
        slates: Ints = highest_bound(self.counts.pulls, self.counts.sums, self.xi, self.ties)
        return slates

    def update(self, transition: Transition) -> None:
        """Discount all pulls, and count this one."""
        self.counts.update(transition)


@njit(cache=True, error_model="numpy")
def highest_bound(pulls: Floats, sums: Floats, xi: float, ties: Floats) -> Ints:
    """The arm of largest U of every row, (B, 1)."""
    B, N = pulls.shape
    slates = np.empty((B, 1), np.int64)
    for b in range(B):
        total = 0.0
        for a in range(N):
            total += pulls[b, a]
        scaled = 4.0 * xi * np.log(max(total, 1.0))
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
