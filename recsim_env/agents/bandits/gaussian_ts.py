"""Thompson sampling with a normal posterior for every arm: pull the arm whose drawn mean is largest.

With prior mu_a ~ N(m, s^2) and rewards N(mu_a, d^2) of known deviation d, after n_a pulls that sum to S_a,

    precision_a = 1/s^2 + n_a/d^2,      theta_a ~ N( (m/s^2 + S_a/d^2) / precision_a,  1 / precision_a ),
    A_t = argmax_a theta_a

The prior may be wrong: it is given for all arms or for each, and what a wrong one costs can be measured. For
rewards from 0 to 1 the usual choice is m = 0, s = 1, d = 1: Agrawal and Goyal's N(S / (n + 1), 1 / (n + 1)).

Feedback: the reward of the arm pulled.
Bound: E R(T) <= O(sqrt(K T log K)) for K <= T, with m = 0, s = d = 1 and rewards from 0 to 1; the constant is
    not stated, so no bound is drawn.
Source: Agrawal, Goyal, "Near-optimal regret bounds for Thompson sampling", Journal of the ACM 64, 2017,
    theorem 1.3.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import check_sizes
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, as_numbers

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class GaussianTS:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: K.
        prior: (m, s) of the mean of an arm, or (K, 2) with one pair for every arm; s above 0.
        deviation: d of a reward, above 0.

    Attributes:
        mean: (B, K) of the posterior.
        precision: (B, K) one over the variance of the posterior.
        scale: (B, K) standard deviation of the posterior.

    Raises:
        InputError: a size below its least value, a prior of another shape or without a width, a deviation
            that is not above 0.
    """

    def __init__(
        self,
        num_replicates: int,
        num_items: int,
        prior: tuple[float, float] | Floats = (0.0, 1.0),
        deviation: float = 1.0,
    ) -> None:
        check_sizes(num_replicates, num_items)
        pairs = as_numbers("prior", prior)
        if pairs.shape not in ((2,), (num_items, 2)):
            raise InputError(f"prior must have shape (2,) or ({num_items}, 2), got {pairs.shape}")
        if not np.isfinite(pairs).all():
            raise InputError("prior must hold finite numbers, the mean and the deviation of an arm's mean")
        if not pairs[..., 1].min() > 0.0:
            raise InputError(f"the deviations of prior must be above 0, got {pairs[..., 1].min()}")
        if not 0.0 < deviation < np.inf:
            raise InputError(f"deviation must be above 0 and finite, got {deviation}")
        mean, scale = np.broadcast_to(pairs, (num_items, 2)).T
        self.mean, self.scale = np.tile(mean, (num_replicates, 1)), np.tile(scale, (num_replicates, 1))
        self.precision = self.scale**-2.0
        self.weight = float(deviation) ** -2.0  # precision that one reward adds

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The arm of largest draw, (B, 1)."""
        z = luck.normal("gaussian_ts", self.mean.shape[1:])
        slates: Ints = largest_draw(self.mean, self.scale, z)
        return slates

    def update(self, transition: Transition) -> None:
        """Move the posterior of the arm pulled.

        Raises:
            InputError: a reward that is not a finite number.
        """
        reward = transition.reward
        row = move(transition.slates, reward, self.weight, self.mean, self.precision, self.scale)
        if row >= 0:
            raise InputError(f"reward[{row}] = {reward[row]} must be a finite number")


@njit(cache=True)
def largest_draw(mean: Floats, scale: Floats, z: Floats) -> Ints:
    """The arm of largest mean + scale z of every row, (B, 1)."""
    B, K = mean.shape
    slates = np.empty((B, 1), np.int64)
    for b in range(B):
        best, highest = 0, -np.inf
        for a in range(K):
            theta = mean[b, a] + scale[b, a] * z[b, a]
            if theta > highest:
                best, highest = a, theta
        slates[b, 0] = best
    return slates


@njit(cache=True)
def move(slates: Ints, reward: Floats, weight: float, mean: Floats, precision: Floats, scale: Floats) -> int:
    """Count one reward; returns the first row whose reward is not finite (nothing changes), or -1."""
    for b in range(len(slates)):
        if not np.isfinite(reward[b]):
            return b
    for b in range(len(slates)):
        a = slates[b, 0]
        precision[b, a] += weight
        mean[b, a] += (reward[b] - mean[b, a]) * weight / precision[b, a]
        scale[b, a] = 1.0 / np.sqrt(precision[b, a])
    return -1
