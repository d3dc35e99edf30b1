"""Ranked bandits: one UCB1 learner for each slot, over all items.

From the top, the learner of slot k chooses the item of largest

    m_k(i) + sqrt(2 log t / n_k(i)),

infinite for an item that it never chose; m_k(i) is the mean of its n_k(i) payoffs. If a slot above shows
that item already, the slot shows one drawn uniformly from those not shown yet. Credit: the learner of slot
k is paid for the item that it CHOSE, 1 if that item was shown in slot k and clicked there, else 0. So a
learner whose choice was replaced is paid 0 whatever the replacement earned, which is how it learns to
differ from the slots above. Only `clicked` is used.

UCB1 rather than Exp3 in the slots: here users stay what they are, so there is no adversary to hedge against,
and it need not know how many rounds there will be. The paper's guarantee, (1 - 1/e) of the best list less
O(K sqrt(T N log N)), is for Exp3 (its payoffs may be adversarial, and those of slot k do change as the slots
above learn); with UCB1 there is none.

Feedback: the clicked slots of the list.
Bound: none for UCB1 in the slots, whose payoffs are not independent draws.
Source: Radlinski, Kleinberg, Joachims, "Learning diverse rankings with multi-armed bandits", ICML 2008,
    Ranked Bandits Algorithm. Credit and replacement were read in a published fork of Lerot
    (`RankedBanditsUCB1Algorithm`), which has 0.51 in place of 2 as its default; the 2 is that of Auer,
    Cesa-Bianchi, Fischer, Machine Learning 47, 2002.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.item_counts import check_slate_sizes
from recsim_env.agents.bandits.ties import UNSEEN, tie_breakers
from recsim_env.arrays import Array, Bools, Floats, Ints

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class RankedBandits:
    """One learner of K slots per row.

    Args:
        num_replicates: B.
        num_items: N.
        slate_size: K, 1 to N.

    Attributes:
        choices: (B, K, N), n_k(i).
        clicks: (B, K, N), n_k(i) m_k(i).
        chosen: (B, K), what the learners chose last, replaced or not.

    Raises:
        InputError: a size out of range.
    """

    def __init__(self, num_replicates: int, num_items: int, slate_size: int) -> None:
        check_slate_sizes(num_replicates, num_items, slate_size)
        self.choices = np.zeros((num_replicates, slate_size, num_items))
        self.clicks = np.zeros((num_replicates, slate_size, num_items))
        self.chosen = np.zeros((num_replicates, slate_size), np.int64)
        self.rounds = np.zeros(num_replicates)
        self.ties = np.zeros(
            (num_replicates, slate_size, num_items)
        )  # as in CascadeUCB: equal indices are drawn

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The choices of the slots from the top, replaced where shown already, (B, K)."""
        self.ties = tie_breakers(self.ties, luck, "ranked_bandits/ties")
        self.chosen, slates = choose(
            self.choices,
            self.clicks,
            self.rounds,
            self.ties,
            luck.uniform("ranked_bandits/replacement", self.chosen.shape[1:]),
        )
        return slates

    def update(self, transition: Transition) -> None:
        """Pay every slot's learner for its choice."""
        pay(self.choices, self.clicks, self.rounds, self.chosen, transition.slates, transition.clicked)


@njit(cache=True, error_model="numpy")
def choose(choices: Floats, clicks: Floats, rounds: Floats, ties: Floats, u: Floats) -> tuple[Ints, Ints]:
    """What the slots choose and what they show, (B, K) both; u (B, K) draws the replacements."""
    B, K, N = choices.shape
    chosen, slates = np.empty((B, K), np.int64), np.empty((B, K), np.int64)
    free = np.empty(N, np.bool_)
    for b in range(B):
        free[:] = True
        c = np.sqrt(2.0 * np.log(rounds[b] + 1.0))
        for k in range(K):
            best, highest = 0, -1.0
            for i in range(N):
                n, index = choices[b, k, i], UNSEEN * (1.0 + ties[b, k, i])
                if n > 0.0:
                    index = clicks[b, k, i] / n + c / np.sqrt(n) + ties[b, k, i]
                if index > highest:
                    best, highest = i, index
            chosen[b, k] = best
            if not free[best]:
                which = int(u[b, k] * (N - k))  # of the N - k items not shown yet
                for i in range(N):
                    if free[i]:
                        if which == 0:
                            best = i
                            break
                        which -= 1
            free[best] = False
            slates[b, k] = best
    return chosen, slates


@njit(cache=True)
def pay(choices: Floats, clicks: Floats, rounds: Floats, chosen: Ints, slates: Ints, clicked: Bools) -> None:
    """Add one round of every row."""
    B, K = slates.shape
    for b in range(B):
        rounds[b] += 1.0
        for k in range(K):
            i = chosen[b, k]
            choices[b, k, i] += 1.0
            clicks[b, k, i] += clicked[b, k] and slates[b, k] == i
