"""Explore-first: pull every arm N times, then the one with the best mean for ever.

    A_t = each arm N times, in turn, while t <= N K;      A_t = argmax_a m_a(N) after that

with m_a(N) the mean of the N rewards of arm a. For a known number of rounds T the course takes

    N = (T / K)^{2/3} (log T)^{1/3},

which balances what exploring costs, N per arm, against T times the error sqrt(log T / N) of the means.
Nothing is learnt after the first N K rounds, so an arm that looked best by chance is pulled for ever.

Feedback: the reward of the arm pulled.
Bound: E R(T) <= N sum_a gap_a + (T - N K) sum_a gap_a exp(-N gap_a^2) for rewards from 0 to 1; with N as
    above, T^{2/3} O(K log T)^{1/3} whatever the gaps.
Source: Slivkins, "Introduction to multi-armed bandits", 2019, section 1.2; Lattimore, Szepesvari, "Bandit
    algorithms", 2020, theorem 6.1 (for 1-sub-Gaussian rewards: exp(-N gap^2 / 4)).
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


class ExploreFirst:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: K arms.
        pulls: N, of every arm before the best one is chosen; `tuned_pulls` knows how many.
        reward_range: (low, high) of a reward.

    Attributes:
        chosen: (B,) the arm pulled for ever, -1 before it is chosen.

    Raises:
        InputError: a size below its least value, pulls below 1.
    """

    def __init__(
        self, num_replicates: int, num_items: int, pulls: int, reward_range: tuple[float, float] = (0.0, 1.0)
    ) -> None:
        if not pulls >= 1:
            raise InputError(f"pulls must be at least 1, got {pulls}")
        self.counts = ArmCounts(num_replicates, num_items, reward_range)
        self.pulls = float(pulls)
        self.chosen = np.full(num_replicates, -1)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The arm whose turn it is, or the chosen one, (B, 1)."""
        counts = self.counts
        counts.break_ties(luck, "explore_first/ties")
        slates: Ints = explore_or_stay(counts.pulls, counts.centres, counts.ties, self.pulls, self.chosen)
        return slates

    def update(self, transition: Transition) -> None:
        """Count the pull."""
        self.counts.update(transition)


@njit(cache=True)
def explore_or_stay(pulls: Floats, centres: Floats, ties: Floats, enough: float, chosen: Ints) -> Ints:
    """The arm of fewest pulls until all have enough, in the order of ties; then `chosen`, (B, 1)."""
    B, K = pulls.shape
    slates = np.empty((B, 1), np.int64)
    for b in range(B):
        if chosen[b] < 0:
            fewest, best = 0, 0
            for a in range(1, K):
                less = pulls[b, a] < pulls[b, fewest]
                if less or (pulls[b, a] == pulls[b, fewest] and ties[b, a] > ties[b, fewest]):
                    fewest = a
                if centres[b, a] > centres[b, best]:
                    best = a
            if pulls[b, fewest] < enough:
                slates[b, 0] = fewest
                continue
            chosen[b] = best
        slates[b, 0] = chosen[b]
    return slates


def tuned_pulls(rounds: int, num_items: int) -> int:
    """N = (T / K)^{2/3} (log T)^{1/3}, rounded up, at least 1 and at most T / K.

    Raises:
        InputError: fewer rounds than arms.
    """
    if rounds < num_items:
        raise InputError(f"rounds must be at least the number of arms, {num_items}, got {rounds}")
    best = int(np.ceil((rounds / num_items) ** (2 / 3) * np.log(rounds) ** (1 / 3)))
    return max(1, min(best, rounds // num_items))


def regret_bound(
    rounds: Ints | Floats, *, means: Floats, pulls: int, deviation: float | None = None
) -> Floats:
    """(P,) after `rounds` (P,), for arms of these means (K,), each pulled N = `pulls` times first.

    Rewards from 0 to 1 are 1/2-sub-Gaussian (deviation None), normal ones s-sub-Gaussian (deviation s). The
    difference of two means of N is then s sqrt(2 / N)-sub-Gaussian, so an arm looks better than the best one
    with probability at most exp(-N gap^2 / (4 s^2)): theorem 6.1 of Lattimore and Szepesvari (from memory,
    for s = 1), derived here for any s. While exploring, no more than the largest gap is lost in a round.
    """
    gaps = np.max(means) - np.asarray(means, np.float64)
    t, K = np.asarray(rounds, np.float64), len(gaps)
    s = 0.5 if deviation is None else deviation
    exploring = np.minimum(t * gaps.max(), pulls * gaps.sum())
    wrong = (gaps * np.exp(-pulls * gaps**2 / (4.0 * s**2))).sum()
    return np.asarray(exploring + np.maximum(t - pulls * K, 0.0) * wrong)
