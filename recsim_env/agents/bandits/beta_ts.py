"""Thompson sampling with a Beta posterior for every arm: pull the arm whose drawn mean is largest.

    theta_a ~ Beta(alpha_a, beta_a),      A_t = argmax_a theta_a,      alpha_A += X_t,  beta_A += 1 - X_t

The prior may be wrong: it is given as alpha and beta for all arms or for each, and what a wrong one costs can
be measured. A reward between 0 and 1 counts as that share of a win; Agrawal and Goyal toss a coin for it
instead, which is the same for rewards of 0 and 1.

Feedback: the reward of the arm pulled.
Bound: E R(T) <= (1 + eps) sum over arms with gap > 0 of gap ln T / KL(mu_a || mu*) + O(N / eps^2).
Source: Thompson, Biometrika 25, 1933; Agrawal, Goyal, "Further optimal regret bounds for Thompson sampling",
    AISTATS 2013, theorem 1. The constant in O(N / eps^2) is not stated, so no bound is drawn.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import check_sizes, largest, out_of_range
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, as_numbers

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class BetaTS:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        prior: (alpha, beta), or (N, 2) with one pair for every arm; at least 1 each.

    Attributes:
        alpha: (B, N) of the posterior.
        beta: (B, N).

    Raises:
        InputError: a size below its least value, a prior of another shape or below 1.
    """

    def __init__(
        self, num_replicates: int, num_items: int, prior: tuple[float, float] | Floats = (1.0, 1.0)
    ) -> None:
        check_sizes(num_replicates, num_items)
        pairs = as_numbers("prior", prior)
        if pairs.shape not in ((2,), (num_items, 2)):
            raise InputError(f"prior must have shape (2,) or ({num_items}, 2), got {pairs.shape}")
        if not (np.isfinite(pairs).all() and pairs.min() >= 1.0):
            raise InputError(f"prior must hold finite numbers of 1 or more, got {pairs.min()}")
        alpha, beta = np.broadcast_to(pairs, (num_items, 2)).T
        self.alpha, self.beta = np.tile(alpha, (num_replicates, 1)), np.tile(beta, (num_replicates, 1))

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The arm of largest draw, (B, 1)."""
        slates: Ints = largest(luck.beta("beta_ts", self.alpha, self.beta))
        return slates

    def update(self, transition: Transition) -> None:
        """Move the posterior of the arm pulled.

        Raises:
            InputError: a reward outside 0 to 1.
        """
        row = add_wins(transition.slates, transition.reward, self.alpha, self.beta)
        if row >= 0:
            raise out_of_range(row, transition.reward, (0.0, 1.0))


@njit(cache=True)
def add_wins(slates: Ints, reward: Floats, alpha: Floats, beta: Floats) -> int:
    """Count wins and losses; returns the first row whose reward is out of range (nothing changes), or -1."""
    for b in range(len(slates)):
        if not 0.0 <= reward[b] <= 1.0:
            return b
    for b in range(len(slates)):
        a = slates[b, 0]
        alpha[b, a] += reward[b]
        beta[b, a] += 1.0 - reward[b]
    return -1
