"""Reward corruption: a man in the middle takes from the rewards of a bandit until it pulls his arm.

In a round the learner pulls arm i, the world pays r, and the learner is told r - alpha. With N_a pulls of arm
a so far, this one included, S_a the sum of what they paid and A_a of what was taken from them before, and m_K
the mean reward of the target K, from which nothing is ever taken,

    alpha = max(0, S_i - A_i - N_i (m_K - 2 beta(N_K) - Delta)),      alpha = 0 if i = K,
    beta(n) = sigma sqrt(2 / n log(pi^2 N n^2 / (3 delta))),

so what the learner has as the mean of arm i is never above that of the target less a margin. Nothing is
taken before the target's first pull. Delta > 0 is the attack on UCB, Delta = 0 that on epsilon-greedy, whose
greedy rounds need no margin. The attacker knows neither the means nor what else the learner does.

Why UCB1 is captured at O(log T): let it pull the arm of largest m_a + w sqrt(log t / n_a). With probability 1
- delta all means of rewards stay within beta of their expectations. As beta falls with n, an arm that was
attacked has m_i <= m_K - Delta in every later round, so it is pulled only while w sqrt(log t / N_i) >= Delta:

    N_i(T) <= n = 2 + w^2 log T / Delta^2   and   N_i <= N_K,      for each i other than K,
    total taken <= sum over i of n (max(0, mu_i - mu_K) + Delta + 4 beta(n)).

Budgets: `budget` ends the attack of a learner when as much was taken, and `least` keeps what is told in the
range of rewards that learners accept (then targets below the least reward by a margin cannot win).

Source: Jun, Li, Ma, Zhu, "Adversarial attacks on stochastic bandits", NeurIPS 2018: the attacks as in two
    public implementations of them (bmetevier/CS660, fangliu0302/DataPoisonBandits); theorem 2 with its w = 3
    sigma is from memory, the bounds here are derived above and hold for any w.
Ours: budget and least.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError, check_ranges


@dataclass(frozen=True)
class RewardCorruption:
    """See the module.

    Raises:
        InputError: a number out of range.
    """

    target: int  # K, the arm to be pulled
    deviation: float = 0.5  # sigma: rewards are sigma-sub-Gaussian; 1/2 from 0 to 1
    margin: float = 0.5  # Delta, 0 or more
    confidence: float = 0.05  # delta, above 0 and at most 1/2
    budget: float = np.inf  # that is taken from one learner in all, 0 or more
    least: float = -np.inf  # reward that is ever told

    def __post_init__(self) -> None:
        check_ranges({}, {}, {"deviation": self.deviation, "confidence": self.confidence})
        if self.target < 0:
            raise InputError(f"target must be an arm, got {self.target}")
        if not 0.0 <= self.margin < np.inf:
            raise InputError(f"margin must be 0 or more and finite, got {self.margin}")
        if self.confidence > 0.5:
            raise InputError(f"confidence must be at most 0.5, got {self.confidence}")
        if not self.budget >= 0.0:
            raise InputError(f"budget must be 0 or more, got {self.budget}")

    def told(self, slates: Ints, reward: Floats, pulls: Floats, sums: Floats, taken: Floats) -> Floats:
        """What the learners of B rows are told of a round.

        Args:
            slates: (B, 1) arms pulled.
            reward: (B,) that the world pays.
            pulls: (B, N) N_a before this round; brought up to date, as the next two are.
            sums: (B, N) S_a of what the world paid.
            taken: (B, N) A_a.

        Returns:
            (B,) rewards.
        """
        corrupted = np.empty(len(reward))
        numbers = self.target, self.deviation, self.margin, self.confidence, self.budget, self.least
        take(slates, reward, *numbers, pulls, sums, taken, corrupted)
        return corrupted


@njit(cache=True)
def take(
    slates: Ints,
    reward: Floats,
    target: int,
    deviation: float,
    margin: float,
    confidence: float,
    budget: float,
    least: float,
    pulls: Floats,
    sums: Floats,
    taken: Floats,
    corrupted: Floats,
) -> None:
    """One round: bring the counts up to date and write what is told (B,)."""
    B, N = pulls.shape
    for b in range(B):
        i = slates[b, 0]
        pulls[b, i] += 1.0
        sums[b, i] += reward[b]
        alpha, n = 0.0, pulls[b, target]
        if i != target and n > 0.0:
            beta = deviation * np.sqrt(2.0 / n * np.log(np.pi**2 * N * n * n / (3.0 * confidence)))
            ceiling = sums[b, target] / n - 2.0 * beta - margin
            alpha = max(0.0, sums[b, i] - taken[b, i] - pulls[b, i] * ceiling)
            alpha = max(0.0, min(alpha, budget - taken[b].sum(), reward[b] - least))
        taken[b, i] += alpha
        corrupted[b] = reward[b] - alpha


def pulls_bound(rounds: Ints | Floats, *, width: float, margin: float) -> Floats:
    """(P,) pulls of each other arm after `rounds` (P,) by a learner with bonus sqrt(width log t / n).

    With probability 1 - confidence; see the module. `UCB1` has it as its attribute `width`.
    """
    return np.asarray(2.0 + width * np.log(np.maximum(rounds, 1)) / margin**2)


def cost_bound(rounds: Ints | Floats, attack: RewardCorruption, *, width: float, means: Floats) -> Floats:
    """(P,) what is taken in all after `rounds` (P,), with probability 1 - confidence; see the module.

    Args:
        rounds: (P,).
        attack: without a budget, and without a least reward.
        width: of the learner, see `pulls_bound`.
        means: (N,) of the arms.
    """
    n = pulls_bound(rounds, width=width, margin=attack.margin)
    log = np.log(np.pi**2 * len(means) * n**2 / (3.0 * attack.confidence))
    beta = attack.deviation * np.sqrt(2.0 / n * log)
    ahead = np.maximum(np.delete(means, attack.target) - means[attack.target], 0.0)
    return np.asarray(n * (ahead.sum() + len(ahead) * (attack.margin + 4.0 * beta)))
