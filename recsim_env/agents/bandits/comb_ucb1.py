"""CombUCB1: show the K items of largest upper confidence bound, where every slot gives feedback.

In round t, with T_e times shown, W_e clicks and n rounds in all,

    U_t(e) = W_e / T_e + sqrt(1.5 log(t - 1) / T_e),

infinite for an item never shown; the slate is the K items of largest U_t, which is what the paper's oracle
finds where any K items may be shown.

Let items be sorted by w, and Delta_e = w_K - w_e the gap of an item outside the best K: the least that a
slate with e loses, since it could show item K instead.

Feedback: semi-bandit, a click or none in every slot shown.
Bound: E R(n) <= sum over items e outside the best K of 534 K log n / Delta_e + (pi^2/3 + 1) K N, and
    E R(n) <= 47 sqrt(K N n log n) + (pi^2/3 + 1) K N.
Source: Kveton, Wen, Ashkan, Szepesvari, "Tight regret bounds for stochastic combinatorial semi-bandits",
    AISTATS 2015, Algorithm 1 and theorems 5 and 6. The constants 1.5, 534 and 47 and the numbers of the
    theorems are from memory; the orders, K N log n / Delta and sqrt(K N n log n), were checked in the
    abstract.
    The paper looks at every item once before round 1; here unseen items are shown first, at their cost.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.cascade_counts import highest
from recsim_env.agents.bandits.item_counts import ItemCounts, check_slate_sizes
from recsim_env.agents.bandits.ties import UNSEEN, tie_breakers
from recsim_env.arrays import Array, Floats, Ints

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class CombUCB1:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        slate_size: K.

    Raises:
        InputError: no replicates, no items, or more slots than items.
    """

    def __init__(self, num_replicates: int, num_items: int, slate_size: int) -> None:
        check_slate_sizes(num_replicates, num_items, slate_size)
        self.slate_size = slate_size
        self.counts = ItemCounts(num_replicates, num_items)
        self.ties = np.zeros((num_replicates, num_items))  # as in CascadeUCB: equal indices in any order

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The K items of largest index, (B, K)."""
        self.ties = tie_breakers(self.ties, luck, "comb_ucb1/ties")
        counts = self.counts
        index = _upper_bounds(counts.clicks, counts.examinations, counts.rounds, self.ties)
        slates: Ints = highest(index, self.slate_size)
        return slates

    def update(self, transition: Transition) -> None:
        """Count what was shown and clicked."""
        self.counts.update(transition)


@njit(cache=True)
def _upper_bounds(clicks: Floats, examinations: Floats, rounds: Floats, ties: Floats) -> Floats:
    """U_t(e) + ties of every row, (B, N)."""
    B, N = ties.shape
    index = np.empty((B, N))
    for b in range(B):
        c = np.sqrt(1.5 * np.log(max(rounds[b], 1.0)))  # rounds played so far are t - 1
        for e in range(N):
            seen = examinations[b, e]
            index[b, e] = UNSEEN * (1.0 + ties[b, e])
            if seen > 0.0:
                index[b, e] = clicks[b, e] / seen + c / np.sqrt(seen) + ties[b, e]
    return index


def regret_bound(rounds: Ints | Floats, *, means: Floats, slate_size: int) -> Floats:
    """(P,) the smaller of the two bounds at each of these numbers of rounds.

    Constants are from memory, see the module.

    Args:
        rounds: (P,) n.
        means: (N,) w.
        slate_size: K.
    """
    n, w = np.asarray(rounds, np.float64), np.sort(means)[::-1]
    gaps = w[slate_size - 1] - w[slate_size:]
    rest = (np.pi**2 / 3.0 + 1.0) * slate_size * len(w)
    # an item as good as the K-th best costs nothing: it is in another best slate
    by_gaps = 534.0 * slate_size * (1.0 / gaps[gaps > 0.0]).sum() * np.log(n)
    return np.minimum(by_gaps, 47.0 * np.sqrt(slate_size * len(w) * n * np.log(n))) + rest
