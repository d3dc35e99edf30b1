"""CascadeLinTS: Thompson sampling of attraction that is linear in the features of the items.

With the ridge regression of `cascade_ridge.py`, in every round

    theta_t = theta + C z,      C C' = M^-1,      z ~ N(0, I),

a draw from N(theta, M^-1), and the list is the K items of largest x_e' theta_t. One draw is shared by all
items, so that items with like features move together.

Feedback: cascade, a click or none in every slot examined; the features of all items.
Bound: none proven for this form; the paper bounds CascadeLinUCB.
Source: Zong, Ni, Sung, Ke, Wen, Kveton, "Cascading bandits for large-scale recommendation problems",
    UAI 2016, Algorithm 1 (form checked in code published with Zhong, Cheung, Tan, JMLR 22, 2021).
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.cascade_counts import highest
from recsim_env.agents.bandits.cascade_ridge import CascadeRidge
from recsim_env.arrays import Array, Floats, Ints

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class CascadeLinTS:
    """One learner per row.

    Args:
        num_replicates: B.
        features: (N, D) of the items.
        slate_size: K.
        noise: sigma, more than 0; the smaller, the narrower the posterior.

    Raises:
        InputError: see `CascadeRidge`.
    """

    def __init__(self, num_replicates: int, features: Array, slate_size: int, *, noise: float = 1.0) -> None:
        self.slate_size = slate_size
        self.ridge = CascadeRidge(num_replicates, features, slate_size, noise, with_variance=False)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The K items of largest attraction under the draw, (B, K)."""
        ridge = self.ridge
        z = luck.normal("cascade_lin_ts", ridge.theta.shape[1:])
        slates: Ints = _highest(ridge.features, ridge.theta, ridge.inverse, z, self.slate_size)
        return slates

    def update(self, transition: Transition) -> None:
        """Learn from what was examined and clicked."""
        self.ridge.update(transition)


@njit(cache=True)
def _highest(features: Floats, theta: Floats, inverse: Floats, z: Floats, K: int) -> Ints:
    """The K items of largest `_drawn` of every row, (B, K)."""
    return highest(_drawn(features, theta, inverse, z), K)


@njit(cache=True)
def _drawn(features: Floats, theta: Floats, inverse: Floats, z: Floats) -> Floats:
    """x_e' (theta + C z) of every row, (B, N), with C by the algorithm of Cholesky."""
    B, D = theta.shape
    N = len(features)
    score = np.empty((B, N))
    C, drawn = np.zeros((D, D)), np.empty(D)
    for b in range(B):
        for i in range(D):
            drawn[i] = theta[b, i]
            for j in range(i + 1):
                rest = inverse[b, i, j]
                for k in range(j):
                    rest -= C[i, k] * C[j, k]
                C[i, j] = rest / C[j, j] if j < i else np.sqrt(rest)
                drawn[i] += C[i, j] * z[b, j]
        for e in range(N):
            score[b, e] = 0.0
            for i in range(D):
                score[b, e] += features[e, i] * drawn[i]
    return score
