"""UCB1 with bounds so wide that an attacker of a known budget cannot hide the best arm.

In round t, with n_a pulls of arm a and the mean m_a of what was told of them,

    U_t(a) = m_a + sigma sqrt(c log t / n_a) + C / n_a,

infinite for an arm never pulled, where C bounds the sum of all |told - paid|. An attacker, even one who sees
the arm before he corrupts its reward, moves m_a by C / n_a at most: U is a bound whenever UCB1's index is.

An arm of gap d is pulled in vain only while 2 sigma sqrt(c log t / n) + 2 C / n >= d, for which one of these
terms must be d / 2:

    n <= max(16 c sigma^2 log t / d^2, 4 C / d).

With C = 0 it is UCB1. If more than C is taken there is no guarantee: then it too is captured, at a cost
that grows with C, where that of capturing UCB1 grows as log T alone.

Feedback: the reward of the arm pulled, possibly corrupted.
Bound: E R(T) <= sum over arms with gap > 0 of max(32 sigma^2 ln T / gap, 4 C) + (1 + pi^2 / 3) gap, for
    c = 2.
Source: Lykouris, Mirrokni, Paes Leme, "Stochastic bandits robust to adversarial corruptions", STOC 2018,
    whose first algorithm widens the intervals of active arm elimination by C / n (from memory).
Ours: the same on UCB1, and the bound.
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


class CorruptionRobustUCB:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        corruption: C, 0 or more, in units of reward.
        exploration: c, above 0; 2 is UCB1's.
        deviation: None for rewards from 0 to 1; else s of rewards that can be any number.

    Raises:
        InputError: a size below its least value, a corruption below 0, an exploration or deviation that is
            not above 0.
    """

    def __init__(
        self,
        num_replicates: int,
        num_items: int,
        corruption: float,
        exploration: float = 2.0,
        deviation: float | None = None,
    ) -> None:
        if not 0.0 <= corruption < np.inf:
            raise InputError(f"corruption must be 0 or more and finite, got {corruption}")
        if not 0.0 < exploration < np.inf:
            raise InputError(f"exploration must be above 0 and finite, got {exploration}")
        if deviation is not None and not 0.0 < deviation < np.inf:
            raise InputError(f"deviation must be above 0 and finite, got {deviation}")
        everything = (0.0, 1.0) if deviation is None else (-np.inf, np.inf)
        self.counts = ArmCounts(num_replicates, num_items, everything)
        self.corruption = float(corruption)
        self.width = exploration * (1.0 if deviation is None else 4.0 * deviation**2)  # sigma^2 c

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The arm of largest index, (B, 1)."""
        counts = self.counts
        counts.break_ties(luck, "corruption_robust_ucb/ties")
        given = counts.centres, counts.inverse_roots, counts.rounds, self.width, self.corruption
        slates: Ints = highest_bound(*given)
        return slates

    def update(self, transition: Transition) -> None:
        """Count the pull."""
        self.counts.update(transition)


@njit(cache=True)
def highest_bound(
    centres: Floats, inverse_roots: Floats, rounds: Floats, width: float, corruption: float
) -> Ints:
    """The arm of largest bound of every row, (B, 1); one never pulled before all others."""
    B, N = centres.shape
    slates = np.empty((B, 1), np.int64)
    round_before, radius = -1.0, 0.0
    for b in range(B):
        if rounds[b] != round_before:  # rows are in step, so one logarithm serves all of them
            round_before = rounds[b]
            radius = np.sqrt(width * np.log(rounds[b] + 1.0))
        best, highest = 0, -np.inf
        for a in range(N):
            root = inverse_roots[b, a]
            bound = centres[b, a] + (radius + corruption * root) * root
            if bound > highest:
                best, highest = a, bound
        slates[b, 0] = best
    return slates


def regret_bound(
    rounds: Ints | Floats, *, means: Floats, corruption: float, deviation: float | None = None
) -> Floats:
    """(P,) after `rounds` (P,), for arms of these means (N,), c = 2 and corruption C in all.

    Derived in the module: a mean leaves its interval with probability t^-4 as in UCB1, whose last term this
    is. No more than the largest gap is lost in a round.
    """
    gaps = np.max(means) - np.asarray(means, np.float64)
    gaps = gaps[gaps > 0.0]
    rounds = np.asarray(rounds, np.float64)
    logs = np.log(np.maximum(rounds, 1.0))[:, None]
    sigma = 1.0 if deviation is None else 2.0 * deviation
    pulled = np.maximum(32.0 * sigma**2 * logs / gaps, 4.0 * corruption).sum(axis=1)
    return np.asarray(np.minimum(pulled + (1.0 + np.pi**2 / 3.0) * gaps.sum(), rounds * gaps.max()))
