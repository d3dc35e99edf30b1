"""Successive elimination: pull all arms in turn, and drop those that are surely not the best.

    phase:  pull every active arm once;  then drop arm a if  m_a + r < max over active a' of (m_a' - r),
    r = sigma sqrt(2 log T / n)

after n phases, with sigma = 1 for rewards from 0 to 1 and T the number of rounds that will be played. A
dropped arm never comes back; when one is left it is pulled for ever. Within a phase the order is a draw of
each replicate.

With probability 1 - 2 / T^2 no mean is ever further than r from its expectation (Hoeffding: 2 / T^4 for each
of the K T <= T^2 means); then the best arm stays, and an arm is dropped as soon as 4 r < gap.

Feedback: the reward of the arm pulled.
Bound: E R(T) <= sum over arms with gap > 0 of (32 sigma^2 log T / gap + gap) + 2 max gap / T.
Source: Even-Dar, Mannor, Mansour, JMLR 7, 2006; Slivkins, "Introduction to multi-armed bandits", 2019,
    section 1.3, whose theorem says O(sum log T / gap): the constants are those of its proof, followed here.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import ArmCounts
from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class SuccessiveElimination:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: K.
        horizon: T, rounds that will be played, at least 2; more may be, with a weaker guarantee.
        deviation: None for rewards from 0 to 1; else s of normal rewards, and sigma = 2 s.

    Attributes:
        active: (B, K).

    Raises:
        InputError: a size below its least value, a horizon below 2, a deviation that is not above 0.
    """

    def __init__(
        self, num_replicates: int, num_items: int, horizon: int, deviation: float | None = None
    ) -> None:
        if not horizon >= 2:
            raise InputError(f"horizon must be at least 2, got {horizon}")
        if deviation is not None and not 0.0 < deviation < np.inf:
            raise InputError(f"deviation must be above 0 and finite, got {deviation}")
        everything = (0.0, 1.0) if deviation is None else (-np.inf, np.inf)
        self.counts = ArmCounts(num_replicates, num_items, everything)
        self.active = np.ones((num_replicates, num_items), np.bool_)
        self.radius = float(np.sqrt(2.0 * np.log(horizon))) * (1.0 if deviation is None else 2.0 * deviation)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The active arm whose turn it is, (B, 1)."""
        c = self.counts
        c.break_ties(luck, "successive_elimination/ties")
        slates: Ints = next_of_phase(c.pulls, c.sums, c.inverse_roots, c.ties, self.radius, self.active)
        return slates

    def update(self, transition: Transition) -> None:
        """Count the pull."""
        self.counts.update(transition)


@njit(cache=True)
def next_of_phase(
    pulls: Floats, sums: Floats, inverse_roots: Floats, ties: Floats, radius: float, active: Bools
) -> Ints:
    """The active arm of fewest pulls, by ties, (B, 1); arms are dropped where a phase is over."""
    B, K = pulls.shape
    slates = np.empty((B, 1), np.int64)
    for b in range(B):
        fewest, most, left = -1, 0.0, 0
        for a in range(K):
            if active[b, a]:
                left += 1
                most = max(most, pulls[b, a])
                less = fewest < 0 or pulls[b, a] < pulls[b, fewest]
                if less or (pulls[b, a] == pulls[b, fewest] and ties[b, a] > ties[b, fewest]):
                    fewest = a
        if left > 1 and most > 0.0 and pulls[b, fewest] == most:
            r = radius * inverse_roots[b, fewest]
            top = -np.inf
            for a in range(K):
                if active[b, a]:
                    top = max(top, sums[b, a] / most)
            fewest = -1
            for a in range(K):
                if active[b, a]:
                    if sums[b, a] / most + r < top - r:
                        active[b, a] = False
                    elif fewest < 0 or ties[b, a] > ties[b, fewest]:
                        fewest = a
        slates[b, 0] = fewest
    return slates


def regret_bound(
    rounds: Ints | Floats, *, means: Floats, horizon: int, deviation: float | None = None
) -> Floats:
    """(P,) after `rounds` (P,), for arms of these means (K,) and the horizon T that the learner was told.

    An arm that is still active after n phases has gap <= 4 r = 4 sigma sqrt(2 log T / n), so it is pulled at
    most 32 sigma^2 log T / gap^2 + 1 times; the last term is the probability that a mean leaves its interval,
    2 / T^2, times what T rounds can lose. Derived here, for K <= T. It holds at every round up to the
    horizon; no more than the largest gap is lost in each.
    """
    gaps = np.max(means) - np.asarray(means, np.float64)
    largest, gaps = gaps.max(), gaps[gaps > 0.0]
    sigma = 1.0 if deviation is None else 2.0 * deviation
    total = (32.0 * sigma**2 * np.log(horizon) / gaps + gaps).sum() + 2.0 * largest / horizon
    return np.asarray(np.minimum(np.asarray(rounds, np.float64) * largest, total))
