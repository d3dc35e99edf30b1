"""MOSS: an upper confidence bound that shrinks sooner, so that the worst case loses no logarithm.

In round t, with n_a pulls of arm a and their mean reward m_a,

    U_t(a) = m_a + sigma sqrt( max(0, log(T / (K n_a))) / n_a ),

infinite for an arm never pulled. T is the number of rounds that will be played; the anytime form has t
instead. An arm pulled more than T / K times has its mean as index. sigma = 1 for rewards from 0 to 1 and 2 s
for normal ones of standard deviation s.

Feedback: the reward of the arm pulled.
Bound: E R(T) <= 49 sqrt(K T) for rewards from 0 to 1, whatever the gaps, when T is told.
Source: Audibert, Bubeck, "Minimax policies for adversarial and stochastic bandits", COLT 2009, section 2.2
    (MOSS) and its theorem; the anytime form: Degenne, Perchet, "Anytime optimal algorithms in stochastic
    multi-armed bandits", ICML 2016, has a slightly larger radius, and no bound is drawn for the one here.
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


class MOSS:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: K.
        horizon: T, at least 1; None for the anytime form.
        deviation: None for rewards from 0 to 1; else s of normal rewards.

    Attributes:
        log_pulls: (B, K) log n_a, 0 before the first pull.

    Raises:
        InputError: a size below its least value, a horizon below 1, a deviation that is not above 0.
    """

    def __init__(
        self,
        num_replicates: int,
        num_items: int,
        horizon: int | None = None,
        deviation: float | None = None,
    ) -> None:
        if horizon is not None and not horizon >= 1:
            raise InputError(f"horizon must be at least 1, got {horizon}")
        if deviation is not None and not 0.0 < deviation < np.inf:
            raise InputError(f"deviation must be above 0 and finite, got {deviation}")
        everything = (0.0, 1.0) if deviation is None else (-np.inf, np.inf)
        self.counts = ArmCounts(num_replicates, num_items, everything)
        self.log_pulls = np.zeros((num_replicates, num_items))
        self.horizon = 0.0 if horizon is None else float(horizon)
        self.sigma = 1.0 if deviation is None else 2.0 * deviation

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The arm of largest index, (B, 1)."""
        n = self.counts
        n.break_ties(luck, "moss/ties")
        slates: Ints = largest_moss(
            n.centres, n.inverse_roots, self.log_pulls, n.rounds, self.horizon, self.sigma
        )
        return slates

    def update(self, transition: Transition) -> None:
        """Count the pull."""
        self.counts.update(transition)
        take_logs(transition.slates, self.counts.pulls, self.log_pulls)


@njit(cache=True)
def largest_moss(
    centres: Floats, inverse_roots: Floats, log_pulls: Floats, rounds: Floats, horizon: float, sigma: float
) -> Ints:
    """The arm of largest index of every row, (B, 1); horizon 0 is the anytime form."""
    B, K = centres.shape
    slates = np.empty((B, 1), np.int64)
    round_before, fair = (
        -1.0,
        np.log(horizon / K) if horizon > 0.0 else 0.0,
    )  # log of an arm's fair share of T
    for b in range(B):
        if horizon == 0.0 and rounds[b] != round_before:
            round_before = rounds[b]
            fair = np.log((rounds[b] + 1.0) / K)
        best, highest = 0, -np.inf
        for a in range(K):
            radius = np.sqrt(max(fair - log_pulls[b, a], 0.0)) * inverse_roots[b, a]
            index = centres[b, a] + sigma * radius
            if index > highest:
                best, highest = a, index
        slates[b, 0] = best
    return slates


@njit(cache=True)
def take_logs(slates: Ints, pulls: Floats, log_pulls: Floats) -> None:
    """Of the counts that changed."""
    for b in range(len(slates)):
        a = slates[b, 0]
        log_pulls[b, a] = np.log(pulls[b, a])


def regret_bound(rounds: Ints | Floats, *, num_items: int, horizon: int) -> Floats:
    """(P,) after `rounds` (P,), for a learner told the horizon T: 49 sqrt(K T), and at most 1 a round.

    The 49 is that of the paper (from memory: the abstract, read, says only that the rate is optimal).
    """
    t = np.asarray(rounds, np.float64)
    return np.asarray(np.minimum(t, 49.0 * np.sqrt(num_items * horizon)))
