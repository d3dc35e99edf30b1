"""BARBAR: epochs that forget, so that corruption costs what it is and no attacker's budget need be known.

Gaps are estimated anew in every epoch m = 1, 2, ... from the rewards of that epoch alone, and a worse arm is
still pulled a little, so that an arm whose rewards were corrupted comes back. With Delta^0 = 1,

    n_a = lambda / Delta_a^2,   N = ceil(sum n_a) rounds, each of arm a with probability n_a / sum n_a,
    r_a = sum of the rewards of a in the epoch / n_a,   r* = max_a (r_a - Delta_a / 16),
    Delta_a <- max(2^-m, r* - r_a),   lambda = c log(8 K log2(T) / delta).

Sums are divided by the expected number of pulls, not by the number made.

The attacker of the theorem chooses what he takes from every arm before he knows which is pulled. Against one
who sees the arm, drawing it at random protects nothing: who takes a little more than its gap from every pull
of every better arm makes his own the best one, at a cost of some lambda / gap an epoch. What holds all the
same is that a spent budget does harm for an epoch or two, and then no more.

Feedback: the reward of the arm pulled, possibly corrupted.
Bound: for c = 1024, with probability 1 - delta, R(T) = O(K C + sum over arms with gap > 0 of log T / gap
    log(K log T / delta)); constants are not stated, so no bound is drawn.
Source: Gupta, Koren, Talwar, "Better algorithms for stochastic bandits with adversarial corruptions",
    COLT 2019, algorithm 1, from memory; its steps agree with public code of a combinatorial variant.
Ours: c is a parameter, because 1024 is more than 48,000 rounds of pure exploration for five arms.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import check_sizes
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, check_ranges

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class Barbar:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: K.
        horizon: T, rounds that will be played, at least 2.
        exploration: c, above 0; the paper's is 1024.
        confidence: delta, above 0 and below 1.

    Attributes:
        gaps: (B, K) Delta.
        sums: (B, K) of rewards in this epoch.
        left: (B,) rounds of this epoch to come.
        epoch: (B,) m, from 1.

    Raises:
        InputError: a size below its least value, an exploration or confidence out of range.
    """

    def __init__(
        self,
        num_replicates: int,
        num_items: int,
        horizon: int,
        exploration: float = 1024.0,
        confidence: float = 0.05,
    ) -> None:
        check_sizes(num_replicates, num_items)
        check_ranges({}, {}, {"exploration": exploration})
        if horizon < 2:
            raise InputError(f"horizon must be at least 2, got {horizon}")
        if not 0.0 < confidence < 1.0:
            raise InputError(f"confidence must be above 0 and below 1, got {confidence}")
        self.rate = float(exploration * np.log(8.0 * num_items * np.log2(horizon) / confidence))  # lambda
        self.gaps = np.ones((num_replicates, num_items))
        self.sums = np.zeros((num_replicates, num_items))
        self.left = np.full(num_replicates, np.ceil(self.rate * num_items))
        self.epoch = np.ones(num_replicates)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """An arm by the weights 1 / Delta^2, (B, 1)."""
        slates: Ints = drawn_arm(self.gaps, luck.uniform("barbar"))
        return slates

    def update(self, transition: Transition) -> None:
        """Count the reward; where the epoch is over, begin the next one."""
        tables = self.gaps, self.sums, self.left, self.epoch
        count(transition.slates, transition.reward, self.rate, *tables)


@njit(cache=True)
def drawn_arm(gaps: Floats, u: Floats) -> Ints:
    """(B, 1) drawn by u (B,)."""
    B, K = gaps.shape
    slates = np.empty((B, 1), np.int64)
    for b in range(B):
        total = 0.0
        for a in range(K):
            total += 1.0 / gaps[b, a] ** 2
        below, arm = u[b] * total, K - 1
        for a in range(K):
            below -= 1.0 / gaps[b, a] ** 2
            if below < 0.0:
                arm = a
                break
        slates[b, 0] = arm
    return slates


@njit(cache=True)
def count(
    slates: Ints, reward: Floats, rate: float, gaps: Floats, sums: Floats, left: Floats, epoch: Floats
) -> None:
    """One round of every row."""
    B, K = gaps.shape
    for b in range(B):
        sums[b, slates[b, 0]] += reward[b]
        left[b] -= 1.0
        if left[b] > 0.0:
            continue
        best = -np.inf
        for a in range(K):
            sums[b, a] *= gaps[b, a] ** 2 / rate  # now r_a
            best = max(best, sums[b, a] - gaps[b, a] / 16.0)
        total = 0.0
        for a in range(K):
            gaps[b, a] = max(2.0 ** -epoch[b], best - sums[b, a])
            total += rate / gaps[b, a] ** 2
            sums[b, a] = 0.0
        left[b] = np.ceil(total)
        epoch[b] += 1.0
