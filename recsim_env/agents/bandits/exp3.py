"""Exp3: Hedge for bandits, on costs that are estimated from the one arm that was pulled.

In round t, with X_t the reward, from 0 to 1,

    p_t(a) ~ exp(-eta_t L_{t-1}(a)),      A_t ~ p_t,      L_t(a) = L_{t-1}(a) + 1{A_t = a} (1 - X_t) / p_t(a),

L being an unbiased estimate of what arm a would have cost. eta = sqrt(2 ln N / (T N)) where the horizon T is
told, and eta_t = sqrt(ln N / (t N)) where it is not. One uniform a round draws from p_t by inversion.

The first form of the algorithm estimates rewards instead of costs, and pulls any arm with a probability of
gamma / N at least. Its bound is larger, 2 sqrt(e - 1) sqrt(T N ln N), and it is not implemented. The bound is
of the expected regret: single runs vary widely, because an arm that seemed bad is seldom looked at again.

Feedback: the reward of the arm pulled.
Bound: E R(T) <= sqrt(2 T N ln N) with a known horizon; 2 sqrt(T N ln N) without.
Source: Auer, Cesa-Bianchi, Freund, Schapire, "The nonstochastic multiarmed bandit problem", SIAM Journal on
    Computing 32, 2002; this form, eta and bound with a known horizon: Lattimore, Szepesvari, "Bandit
    algorithms", 2020, theorem 11.2 (read in the source); without: Bubeck, Cesa-Bianchi, "Regret analysis of
    stochastic and nonstochastic multi-armed bandit problems", 2012, theorem 3.1 (from memory).
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import check_sizes, out_of_range
from recsim_env.agents.bandits.hedge import exponential_weights, weigh_and_draw
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class Exp3:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        horizon: T if it is known, at least 1; the bound holds for T rounds.

    Attributes:
        costs: (B, N) L, estimated, so far.
        chosen: (B, N) p of the last round, by which its cost is divided.
        rounds: (B,).

    Raises:
        InputError: a size below its least value, a horizon below 1.
    """

    def __init__(self, num_replicates: int, num_items: int, *, horizon: int | None = None) -> None:
        check_sizes(num_replicates, num_items)
        if horizon is not None and not horizon >= 1:
            raise InputError(f"horizon must be at least 1, got {horizon}")
        scale = 1.0 if horizon is None else 2.0 / horizon
        self.rate = float(np.sqrt(scale * np.log(num_items) / num_items))
        self.falling = horizon is None  # eta_t = rate / sqrt(t)
        self.costs = np.zeros((num_replicates, num_items))
        self.chosen = np.ones((num_replicates, num_items))
        self.rounds = np.zeros(num_replicates)

    def probabilities(self) -> Floats:
        """(B, N) p of the round to come."""
        p = np.empty(self.costs.shape)
        exponential_weights(self.costs, self.rounds, self.rate, self.falling, p)
        return p

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """An arm drawn from p, (B, 1)."""
        slates, u = np.empty((len(self.costs), 1), np.int64), luck.uniform("exp3")
        weigh_and_draw(self.costs, self.rounds, self.rate, self.falling, u, self.chosen, slates)
        return slates

    def update(self, transition: Transition) -> None:
        """Estimate the costs of all arms from that of the one pulled.

        Raises:
            InputError: a reward outside 0 to 1.
        """
        row = add_estimate(transition.slates, transition.reward, self.chosen, self.costs, self.rounds)
        if row >= 0:
            raise out_of_range(row, transition.reward, (0.0, 1.0))


@njit(cache=True)
def add_estimate(slates: Ints, reward: Floats, p: Floats, costs: Floats, rounds: Floats) -> int:
    """Add one round; returns the first row whose reward is out of range (nothing changes), or -1."""
    for b in range(len(slates)):
        if not 0.0 <= reward[b] <= 1.0:
            return b
    for b in range(len(slates)):
        a = slates[b, 0]
        costs[b, a] += (1.0 - reward[b]) / p[b, a]
        rounds[b] += 1.0
    return -1


def regret_bound(rounds: Ints | Floats, *, num_items: int, horizon_known: bool = False) -> Floats:
    """(P,) of the expected regret against the best arm in hindsight, after `rounds` (P,).

    With a known horizon, each of `rounds` is the horizon of a run of its own: the constant of theorem 11.2 of
    Lattimore and Szepesvari, read in the source. Without, twice sqrt(T N ln N): ln N / eta_T + sum_t eta_t N
    / 2 of their proof, or theorem 3.1 of Bubeck and Cesa-Bianchi, from memory.
    """
    T = np.asarray(rounds, np.float64)
    return np.asarray((np.sqrt(2.0) if horizon_known else 2.0) * np.sqrt(T * num_items * np.log(num_items)))
