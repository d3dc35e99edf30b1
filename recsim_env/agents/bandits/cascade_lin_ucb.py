"""CascadeLinUCB: upper confidence bounds on attraction that is linear in the features of the items.

With the ridge regression of `cascade_ridge.py`, item e of features x_e has

    U_t(e) = min{ x_e' theta + c sqrt(x_e' M^-1 x_e), 1 },
    c = (1/sigma) sqrt(D log(1 + n K / (D sigma^2)) + 2 log(n K)) + 1,

and the list is the K items of largest U_t. The 1 at the end of c stands for the length of the true theta,
which is assumed to be at most 1, as those of the features are. Many U_t are 1 at first, and the paper leaves
open how equal ones are ordered: here by what they are before they are cut off at 1.

The theory's c is far too careful: `bonus_scale` multiplies it.

Feedback: cascade, a click or none in every slot examined; the features of all items.
Bound: E R(n) <= 2 c K sqrt(D n log(1 + n K / (D sigma^2)) / log(1 + 1/sigma^2)) + 1, at bonus_scale 1.
Source: Zong, Ni, Sung, Ke, Wen, Kveton, "Cascading bandits for large-scale recommendation problems",
    UAI 2016, Algorithm 2. c was checked in code published with Zhong, Cheung, Tan, JMLR 22, 2021, for
    sigma = 1; the bound (theorem 1) and the place of sigma in c are from memory.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.cascade_counts import highest
from recsim_env.agents.bandits.cascade_ridge import CascadeRidge
from recsim_env.agents.bandits.ties import tie_breakers
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class CascadeLinUCB:
    """One learner per row.

    Args:
        num_replicates: B.
        features: (N, D) of the items, at most 1 long for the bound to hold.
        slate_size: K.
        num_rounds: n, the number of lists that c is chosen for.
        noise: sigma, more than 0.
        bonus_scale: multiplies c; more than 0, 1 in theory.

    Raises:
        InputError: see `CascadeRidge`; no rounds, or a scale that is not positive.
    """

    def __init__(
        self,
        num_replicates: int,
        features: Array,
        slate_size: int,
        num_rounds: int,
        *,
        noise: float = 1.0,
        bonus_scale: float = 1.0,
    ) -> None:
        self.ridge = CascadeRidge(num_replicates, features, slate_size, noise, with_variance=True)
        if not num_rounds >= 1:
            raise InputError(f"num_rounds must be at least 1, got {num_rounds}")
        if not 0.0 < bonus_scale < np.inf:
            raise InputError(f"bonus_scale must be more than 0 and finite, got {bonus_scale}")
        self.slate_size = slate_size
        self.width = bonus_scale * confidence_width(
            num_rounds, dimension=self.ridge.features.shape[1], slate_size=slate_size, noise=noise
        )
        self.ties = np.zeros((num_replicates, len(self.ridge.features)))  # as in CascadeUCB

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The K items of largest index, (B, K)."""
        self.ties = tie_breakers(self.ties, luck, "cascade_lin_ucb/ties")
        ridge = self.ridge
        index = _upper_bounds(ridge.features, ridge.theta, ridge.variance, self.width, self.ties)
        slates: Ints = highest(index, self.slate_size)
        return slates

    def update(self, transition: Transition) -> None:
        """Learn from what was examined and clicked."""
        self.ridge.update(transition)


def confidence_width(num_rounds: int, *, dimension: int, slate_size: int, noise: float) -> float:
    """The c of the theory."""
    seen = num_rounds * slate_size
    spread = dimension * np.log(1.0 + seen / (dimension * noise**2)) + 2.0 * np.log(seen)
    return float(np.sqrt(spread) / noise + 1.0)


def regret_bound(
    rounds: Ints | Floats, *, dimension: int, slate_size: int, num_rounds: int, noise: float = 1.0
) -> Floats:
    """(P,) the bound at each of these numbers of rounds, with the c of `num_rounds`; see the module.

    Args:
        rounds: (P,) n.
        dimension: D.
        slate_size: K.
        num_rounds: that c was chosen for.
        noise: sigma.
    """
    n, D = np.asarray(rounds, np.float64), dimension
    c = confidence_width(num_rounds, dimension=D, slate_size=slate_size, noise=noise)
    growth = np.log(1.0 + n * slate_size / (D * noise**2)) / np.log(1.0 + noise**-2)
    return 2.0 * c * slate_size * np.sqrt(D * n * growth) + 1.0


@njit(cache=True)
def _upper_bounds(features: Floats, theta: Floats, variance: Floats, width: float, ties: Floats) -> Floats:
    """U_t(e) + ties of every row, not cut off at 1: (B, N)."""
    B, N = ties.shape
    D = features.shape[1]
    index = np.empty((B, N))
    for b in range(B):
        for e in range(N):
            mean = 0.0
            for i in range(D):
                mean += features[e, i] * theta[b, i]
            index[b, e] = mean + width * np.sqrt(max(variance[b, e], 0.0)) + ties[b, e]
    return index
