"""What a learner of arms counts: pulls and rewards of every arm, and the means that follow.

Index policies look at every arm in every round, but only one arm changes in it: so the mean and the inverse
root of the pulls are brought up to date where they change, and an index costs one product and one sum.

Equal indices are ordered by a small draw of each replicate's own, which is part of `centres`, so that no arm
is favoured by its id.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.ties import UNSEEN, tie_breakers
from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class ArmCounts:
    """Of B learners.

    Args:
        num_replicates: B, at least 1.
        num_items: N, at least 2.
        reward_range: (low, high) of a reward, which `update` holds rewards against.

    Attributes:
        pulls: (B, N).
        sums: (B, N) of rewards.
        centres: (B, N) mean reward and a tie-breaking draw; before the first pull above all means, see
            `ties.py`.
        inverse_roots: (B, N) 1 / sqrt(pulls), 1 before the first pull.
        ties: (B, N) the tie-breaking draws.
        rounds: (B,).

    Raises:
        InputError: no replicate, fewer than two arms, a range in which no two rewards differ.
    """

    def __init__(
        self, num_replicates: int, num_items: int, reward_range: tuple[float, float] = (0.0, 1.0)
    ) -> None:
        check_sizes(num_replicates, num_items)
        low, high = reward_range
        if not low < high:
            raise InputError(f"reward_range must be (low, high) with low below high, got {reward_range}")
        self.reward_range = reward_range
        shape = num_replicates, num_items
        self.pulls, self.sums = np.zeros(shape), np.zeros(shape)
        self.centres, self.inverse_roots = np.full(shape, UNSEEN), np.ones(shape)
        self.ties = np.zeros(shape)
        self.rounds = np.zeros(num_replicates)

    def break_ties(self, luck: "Luck", stream: str) -> None:
        """Draw what orders equal indices, before the first round; nothing later."""
        if self.ties.item(0) == 0.0:  # not drawn yet
            self.ties = tie_breakers(self.ties, luck, stream)
            self.centres = UNSEEN * (1.0 + self.ties)

    def update(self, transition: Transition) -> None:
        """Count one round.

        Raises:
            InputError: a reward outside the range that was declared.
        """
        slates, reward = transition.slates, transition.reward
        low, high = self.reward_range
        tables = self.pulls, self.sums, self.centres, self.inverse_roots, self.rounds
        row = count_pulls(slates, reward, low, high, self.ties, *tables)
        if row >= 0:
            raise out_of_range(row, reward, self.reward_range)


def check_sizes(num_replicates: int, num_items: int) -> None:
    """Refuse no replicates, and fewer than two arms."""
    if num_replicates < 1:
        raise InputError(f"num_replicates must be at least 1, got {num_replicates}")
    if num_items < 2:
        raise InputError(f"num_items must be at least 2, got {num_items}: one arm leaves nothing to learn")


def out_of_range(row: int, reward: Floats, reward_range: tuple[float, float]) -> InputError:
    """The error for the reward of a row."""
    low, high = reward_range
    return InputError(
        f"reward[{row}] = {reward[row]} is outside the range {low:g} to {high:g} that this learner is made "
        "for: scale rewards, or choose a learner for normal rewards"
    )


@njit(cache=True)
def count_pulls(
    slates: Ints,
    reward: Floats,
    low: float,
    high: float,
    ties: Floats,
    pulls: Floats,
    sums: Floats,
    centres: Floats,
    inverse_roots: Floats,
    rounds: Floats,
) -> int:
    """Bring all up to date; returns the first row whose reward is out of range (nothing changes), or -1."""
    for b in range(len(slates)):
        if not low <= reward[b] <= high:
            return b
    for b in range(len(slates)):
        a = slates[b, 0]
        n = pulls[b, a] + 1.0
        s = sums[b, a] + reward[b]
        pulls[b, a], sums[b, a] = n, s
        centres[b, a] = s / n + ties[b, a]
        inverse_roots[b, a] = 1.0 / np.sqrt(n)
        rounds[b] += 1.0
    return -1


@njit(cache=True)
def largest(index: Floats) -> Ints:
    """The arm of largest index (B, N), ties to the lower id: slates (B, 1)."""
    B, N = index.shape
    slates = np.empty((B, 1), np.int64)
    for b in range(B):
        best = 0
        for a in range(1, N):
            if index[b, a] > index[b, best]:
                best = a
        slates[b, 0] = best
    return slates
