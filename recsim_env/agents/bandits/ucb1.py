"""UCB1: pull the arm of largest upper confidence bound on its mean.

In round t, with n_a pulls of arm a and their mean reward m_a,

    U_t(a) = m_a + sigma sqrt(c log t / n_a),

infinite for an arm never pulled. For rewards from 0 to 1 the paper has c = 2 and sigma = 1; normal rewards
of standard deviation s are covered with sigma = 2 s, because a variable of range 1 is 1/2-sub-Gaussian.

Feedback: the reward of the arm pulled.
Bound: E R(T) <= sum over arms with gap > 0 of 8 sigma^2 ln T / gap + (1 + pi^2 / 3) gap, for c = 2.
Source: Auer, Cesa-Bianchi, Fischer, "Finite-time analysis of the multiarmed bandit problem", Machine Learning
    47, 2002, figure 1 and theorem 1.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import ArmCounts
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class UCB1:
    """One UCB1 learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        exploration: c, above 0; 2 is the paper's, smaller ones often earn more.
        deviation: None for rewards from 0 to 1; else s of rewards that can be any number.

    Raises:
        InputError: a size below its least value, an exploration or deviation that is not above 0.
    """

    def __init__(
        self,
        num_replicates: int,
        num_items: int,
        exploration: float = 2.0,
        deviation: float | None = None,
    ) -> None:
        if not 0.0 < exploration < np.inf:
            raise InputError(f"exploration must be above 0 and finite, got {exploration}")
        if deviation is not None and not 0.0 < deviation < np.inf:
            raise InputError(f"deviation must be above 0 and finite, got {deviation}")
        everything = (0.0, 1.0) if deviation is None else (-np.inf, np.inf)
        self.counts = ArmCounts(num_replicates, num_items, everything)
        self.width = exploration * (1.0 if deviation is None else 4.0 * deviation**2)  # sigma^2 c

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The arm of largest index, (B, 1)."""
        counts = self.counts
        counts.break_ties(luck, "ucb1/ties")
        slates: Ints = highest_bound(counts.centres, counts.inverse_roots, counts.rounds, self.width)
        return slates

    def update(self, transition: Transition) -> None:
        """Count the pull."""
        self.counts.update(transition)


@njit(cache=True)
def highest_bound(centres: Floats, inverse_roots: Floats, rounds: Floats, width: float) -> Ints:
    """The arm of largest bound of every row, (B, 1); one never pulled before all others."""
    B, N = centres.shape
    slates = np.empty((B, 1), np.int64)
    round_before, radius = -1.0, 0.0
    for b in range(B):
        if rounds[b] != round_before:  # rows are in step, so one logarithm serves all of them
            round_before = rounds[b]
            radius = np.sqrt(width * np.log(rounds[b] + 1.0))
        centre, root = centres[b], inverse_roots[b]
        best, highest = 0, -np.inf
        for a in range(N):
            bound = centre[a] + radius * root[a]
            if bound > highest:
                best, highest = a, bound
        slates[b, 0] = best
    return slates


def regret_bound(rounds: Ints | Floats, *, means: Floats, deviation: float | None = None) -> Floats:
    """(P,) theorem 1 after `rounds` (P,), for arms of these means (N,), c = 2 and rewards as told to `UCB1`.

    The constants 8 and 1 + pi^2 / 3 are those of the paper's theorem 1 (from memory, as most courses quote
    them), for rewards from 0 to 1: a mean leaves its interval with probability t^-4, and an arm is pulled
    8 ln T / gap^2 times until twice its radius is below the gap. Normal rewards of deviation s have the same
    t^-4 with sigma = 2 s, and need sigma^2 times as many pulls.
    """
    gaps = np.max(means) - np.asarray(means, np.float64)
    gaps = gaps[gaps > 0.0]
    logs = np.log(np.maximum(np.asarray(rounds, np.float64), 1.0))
    sigma = 1.0 if deviation is None else 2.0 * deviation
    return np.asarray(8.0 * sigma**2 * (1.0 / gaps).sum() * logs + (1.0 + np.pi**2 / 3.0) * gaps.sum())
