"""Robust UCB by medians of means: an upper confidence bound that a few rewards cannot move, however large.

The rewards of an arm are dealt in turn to k blocks. In round t, with n_a pulls of arm a,

    U_t(a) = median of the means of its blocks + sqrt(c v log t / n_a),      k = ceil(1 + 16 log T),

infinite until every block of the arm has a reward; v bounds the variance of rewards, which need no other
moment, and T is the number of rounds that will be played. As long as fewer than half of the blocks hold a
corrupted reward, the median lies between means of blocks that hold none: k / 2 - 1 rewards of each arm may be
anything.

That is another promise than `corruption_robust_ucb.py`'s: no size of a corruption counts here, only its
rounds. An attacker who corrupts every pull of an arm moves its median as he moves a mean.

With c = 384 a median leaves its interval with probability T^-2, and an arm is pulled in vain while
2 sqrt(c v log t / n) >= gap. That is so wide that little is learned in 100,000 rounds; the default, 12, is
pi / 2 (a median's variance over a mean's, of normal blocks) times 8, which is UCB1's c for v = 1/4.

Feedback: the reward of the arm pulled, some of them possibly corrupted.
Bound: for c = 384, E R(T) <= sum over arms with gap > 0 of O(v log T / gap + gap); none for smaller c.
Source: Bubeck, Cesa-Bianchi, Lugosi, "Bandits with heavy tail", IEEE Transactions on Information Theory 59,
    2013, lemma 2 and the robust UCB policy, constants from memory.
Ours: blocks are dealt in turn, fixed in number and filled first, so that a pull costs no pass over the past
    and a few first rewards decide nothing.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import ArmCounts
from recsim_env.agents.bandits.ties import UNSEEN
from recsim_env.agents.bandits.ucb1 import highest_bound
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import check_ranges

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class MedianOfMeansUCB:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        horizon: T, rounds that will be played, at least 1.
        variance: v, above 0; 1/4 from 0 to 1.
        exploration: c, above 0.

    Attributes:
        means: (B, N, k) of the blocks.
        ordered: (B, N, k) the same, least first, infinite where there is no reward yet.

    Raises:
        InputError: a size below its least value, a variance or exploration not above 0.
    """

    def __init__(
        self,
        num_replicates: int,
        num_items: int,
        horizon: int,
        variance: float = 0.25,
        exploration: float = 12.0,
    ) -> None:
        check_ranges({"horizon": horizon}, {}, {"variance": variance, "exploration": exploration})
        self.counts = ArmCounts(num_replicates, num_items, (-np.inf, np.inf))
        k = int(np.ceil(1.0 + 16.0 * np.log(horizon)))
        self.means = np.full((num_replicates, num_items, k), np.inf)
        self.ordered = self.means.copy()
        self.width = exploration * variance

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The arm of largest index, (B, 1)."""
        counts = self.counts
        counts.break_ties(luck, "median_of_means_ucb/ties")
        slates: Ints = highest_bound(counts.centres, counts.inverse_roots, counts.rounds, self.width)
        return slates

    def update(self, transition: Transition) -> None:
        """Count the pull, and bring the median of its arm up to date.

        Raises:
            InputError: a reward that is not a number.
        """
        counts = self.counts
        pulls = counts.pulls.copy()
        counts.update(transition)
        given = transition.slates, transition.reward, pulls, counts.ties
        deal(*given, self.means, self.ordered, counts.centres)


@njit(cache=True)
def deal(
    slates: Ints,
    reward: Floats,
    pulls: Floats,
    ties: Floats,
    means: Floats,
    ordered: Floats,
    centres: Floats,
) -> None:
    """Give the reward to its block, move that block to its place among the others, write the median."""
    k = means.shape[2]
    for b in range(len(slates)):
        a = slates[b, 0]
        n = int(pulls[b, a])
        block, held = n % k, n // k
        row = ordered[b, a]
        place = np.searchsorted(row, means[b, a, block])
        mean = reward[b] if held == 0 else means[b, a, block] + (reward[b] - means[b, a, block]) / (held + 1)
        means[b, a, block] = mean
        while place > 0 and row[place - 1] > mean:
            row[place] = row[place - 1]
            place -= 1
        while place < k - 1 and row[place + 1] < mean:
            row[place] = row[place + 1]
            place += 1
        row[place] = mean
        full = n + 1 >= k
        median = (row[(k - 1) // 2] + row[k // 2]) / 2.0
        centres[b, a] = median + ties[b, a] if full else UNSEEN * (1.0 + ties[b, a])
