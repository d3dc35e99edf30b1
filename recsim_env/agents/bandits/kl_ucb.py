"""KL-UCB: pull the arm whose mean may be largest, by the divergence that the lower bound is made of.

In round t, with n_a pulls of arm a and their mean reward m_a,

    U_t(a) = max { u in [m_a, 1] :  n_a KL(m_a || u) <= log t + c log log t },

with the Kullback-Leibler divergence of Bernoulli variables; infinite for an arm never pulled. It holds for
all rewards from 0 to 1 and is never above UCB1's index (Pinsker) of radius sqrt(budget / 2 n). The theorem
has c = 3, the authors recommend c = 0. log log t is taken as 0 while log t < 1. `kl_bounds.py` finds U_t,
starting from that of the round before.

Feedback: the reward of the arm pulled.
Bound: limsup E R(T) / log T <= sum over arms with gap > 0 of gap / KL(mu_a || mu*), the best possible for
    rewards of 0 and 1; the constants of the finite-time bound are not explicit, so no bound is drawn.
Source: Garivier, Cappe, "The KL-UCB algorithm for bounded stochastic bandits and beyond", COLT 2011,
    algorithm 1 and theorem 1.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import ArmCounts, largest
from recsim_env.agents.bandits.kl_bounds import FARTHEST, kl_root
from recsim_env.agents.bandits.ties import UNSEEN
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class KLUCB:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: K.
        c: of log log t in the budget, 0 or more.

    Attributes:
        bounds: (B, K) -log(1 - U_t) of the last round, from where the next one is searched.

    Raises:
        InputError: a size below its least value, a negative c.
    """

    def __init__(self, num_replicates: int, num_items: int, c: float = 0.0) -> None:
        if not 0.0 <= c < np.inf:
            raise InputError(f"c must be 0 or more and finite, got {c}")
        self.counts = ArmCounts(num_replicates, num_items)
        self.bounds = np.full((num_replicates, num_items), FARTHEST)
        self.c = float(c)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The arm of largest index, (B, 1)."""
        n = self.counts
        n.break_ties(luck, "kl_ucb/ties")
        slates: Ints = highest_kl(n.pulls, n.sums, n.rounds, n.ties, self.c, self.bounds)
        return slates

    def update(self, transition: Transition) -> None:
        """Count the pull."""
        self.counts.update(transition)


@njit(cache=True)
def highest_kl(pulls: Floats, sums: Floats, rounds: Floats, ties: Floats, c: float, bounds: Floats) -> Ints:
    """The arm of largest index, (B, 1): one call, which a batch of one feels."""
    slates: Ints = largest(kl_indices(pulls, sums, rounds, ties, c, bounds))
    return slates


@njit(cache=True)
def kl_indices(pulls: Floats, sums: Floats, rounds: Floats, ties: Floats, c: float, bounds: Floats) -> Floats:
    """U_t(a) + ties of every row, (B, K); `bounds` are brought up to date."""
    B, K = pulls.shape
    index = np.empty((B, K))
    round_before, budget = -1.0, 0.0
    for b in range(B):
        if rounds[b] != round_before:
            round_before = rounds[b]
            log_t = np.log(rounds[b] + 1.0)
            budget = log_t + c * np.log(max(log_t, 1.0))
        for a in range(K):
            n = pulls[b, a]
            if n == 0.0:
                index[b, a] = UNSEEN * (1.0 + ties[b, a])
                continue
            if sums[b, a] >= n:
                bounds[b, a] = FARTHEST
                index[b, a] = 1.0 + ties[b, a]
                continue
            x = kl_root(sums[b, a] / n, budget / n, bounds[b, a])
            bounds[b, a] = x
            index[b, a] = 1.0 - np.exp(-x) + ties[b, a]
    return index
