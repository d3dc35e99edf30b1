"""What a learner of changing arms counts: pulls and rewards of every arm, the old ones forgotten.

`WindowCounts` forgets a pull W rounds after it, `DiscountedCounts` a share 1 - gamma of all in every round.
"""

import math

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import check_sizes, largest, out_of_range
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.beta_draws import fill_beta


class WindowCounts:
    """Of the last W rounds, for B learners.

    Args:
        num_replicates: B.
        num_items: N.
        window: W, N or more.

    Attributes:
        pulls: (B, N) in the window.
        sums: (B, N) of their rewards.
        rounds: (B,) of all.
        arms: (B, W) pulled in the rounds of the window; round t is in column t mod W.
        rewards: (B, W) the same of rewards.

    Raises:
        InputError: a size below its least value.
    """

    def __init__(self, num_replicates: int, num_items: int, window: int) -> None:
        check_sizes(num_replicates, num_items)
        if window < num_items:
            raise InputError(f"window must be num_items, {num_items}, or more rounds, got {window}")
        self.pulls, self.sums = np.zeros((2, num_replicates, num_items))
        self.rounds = np.zeros(num_replicates, np.int64)
        # A round of all learners is one stretch of memory.
        self.arms = np.zeros((window, num_replicates), np.int64).T
        self.rewards = np.zeros((window, num_replicates)).T

    def update(self, transition: Transition) -> None:
        """Count one round, and forget one.

        Raises:
            InputError: a reward outside 0 to 1.
        """
        row = slide(
            transition.slates,
            transition.reward,
            self.pulls,
            self.sums,
            self.rounds,
            self.arms,
            self.rewards,
        )
        if row >= 0:
            raise out_of_range(row, transition.reward, (0.0, 1.0))


class DiscountedCounts:
    """Of all rounds, a round ago weighing gamma times as much, for B learners.

    Args:
        num_replicates: B.
        num_items: N.
        discount: gamma, above 0 and below 1.

    Attributes:
        pulls: (B, N) discounted.
        sums: (B, N) of their rewards, discounted.

    Raises:
        InputError: a size below its least value, a discount out of range.
    """

    def __init__(self, num_replicates: int, num_items: int, discount: float) -> None:
        check_sizes(num_replicates, num_items)
        if not 0.0 < discount < 1.0:
            raise InputError(f"discount must be above 0 and below 1, got {discount}")
        self.discount = discount
        self.pulls, self.sums = np.zeros((2, num_replicates, num_items))

    def update(self, transition: Transition) -> None:
        """Discount all, and count one round.

        Raises:
            InputError: a reward outside 0 to 1.
        """
        row = fade(transition.slates, transition.reward, self.discount, self.pulls, self.sums)
        if row >= 0:
            raise out_of_range(row, transition.reward, (0.0, 1.0))


def tuned_window(horizon: int, num_switches: int) -> int:
    """W = 2 sqrt(T ln T / switches), from 1 to T, for arms that change `num_switches` times in T rounds.

    Source: Garivier, Moulines, ALT 2011, for rewards from 0 to 1 (from memory).
    """
    _check_tuning(horizon, num_switches)
    window = math.ceil(2.0 * math.sqrt(horizon * math.log(horizon) / max(num_switches, 1)))
    return min(max(window, 1), horizon)


def tuned_discount(horizon: int, num_switches: int) -> float:
    """Gamma = 1 - sqrt(switches / T) / 4, for arms that change `num_switches` times in T rounds.

    Source: Garivier, Moulines, ALT 2011, for rewards from 0 to 1 (from memory).
    """
    _check_tuning(horizon, num_switches)
    return 1.0 - math.sqrt(max(num_switches, 1) / horizon) / 4.0


def _check_tuning(horizon: int, num_switches: int) -> None:
    if not horizon >= 1:
        raise InputError(f"horizon must be at least 1, got {horizon}")
    if not 0 <= num_switches <= horizon:
        raise InputError(f"num_switches must be from 0 to horizon, {horizon}, got {num_switches}")


@njit(cache=True)
def largest_draw(seed: Array, episode: Ints, step: Ints, stream: int, pulls: Floats, sums: Floats) -> Ints:
    """The arm of largest draw from Beta(1 + wins, 1 + losses) of every row, (B, 1)."""
    B, N = pulls.shape
    alpha, beta, theta = np.empty((B, N)), np.empty((B, N)), np.empty((B, N))
    for b in range(B):
        for a in range(N):
            alpha[b, a] = 1.0 + sums[b, a]
            beta[b, a] = 1.0 + max(pulls[b, a] - sums[b, a], 0.0)  # below 0 by rounding alone
    fill_beta(seed, episode, step, stream, alpha, beta, theta)
    return largest(theta)


@njit(cache=True)
def slide(
    slates: Ints,
    reward: Floats,
    pulls: Floats,
    sums: Floats,
    rounds: Ints,
    arms: Ints,
    rewards: Floats,
) -> int:
    """Bring all up to date; returns the first row whose reward is out of range (nothing changes), or -1."""
    B, W = arms.shape
    for b in range(B):
        if not 0.0 <= reward[b] <= 1.0:
            return b
    for b in range(B):
        column = rounds[b] % W
        if rounds[b] >= W:
            old = arms[b, column]
            pulls[b, old] -= 1.0
            # No rest of rounding stays where nothing is left.
            sums[b, old] = max(sums[b, old] - rewards[b, column], 0.0) if pulls[b, old] > 0.0 else 0.0
        a = slates[b, 0]
        pulls[b, a] += 1.0
        sums[b, a] += reward[b]
        arms[b, column] = a
        rewards[b, column] = reward[b]
        rounds[b] += 1
    return -1


@njit(cache=True)
def fade(slates: Ints, reward: Floats, discount: float, pulls: Floats, sums: Floats) -> int:
    """Bring both up to date; returns the first row whose reward is out of range (nothing changes), or -1."""
    B, N = pulls.shape
    for b in range(B):
        if not 0.0 <= reward[b] <= 1.0:
            return b
    for b in range(B):
        for a in range(N):
            pulls[b, a] *= discount
            sums[b, a] *= discount
        pulls[b, slates[b, 0]] += 1.0
        sums[b, slates[b, 0]] += reward[b]
    return -1
