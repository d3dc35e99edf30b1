"""Follow the perturbed leader (FPL): follow the expert with the least cost so far, after a random discount.

With L_{t-1}(a) the cost of expert a in all rounds before t and fresh Z_t(a) ~ Exponential(1) of every expert,

    A_t = argmin_a L_{t-1}(a) - Z_t(a) / eta_t.

Without the discount this is follow-the-leader, which an adversary leads by the nose; with it the leader is
not known beforehand. Only a minimum has to be found, so it works where experts are too many to weigh, such as
all paths of a graph. Where the horizon T is told, eta = sqrt((1 + ln N) / T), and where it is not,
eta_t = sqrt((1 + ln N) / (2 t)).

Why the bound holds: who knew the costs of round t too, and followed argmin L_t - Z / eta, would pay at most
min_a L_T(a) + E max_a Z(a) / eta_T, and E max_a Z(a) <= 1 + ln N. Exponential noise forgets, so that p_t(a)
is at most exp(eta_t) times the probability of that, and not to know costs at most eta_t a round.

Feedback: full: the costs of all experts, `costs` of the next observation.
Bound: E R(T) <= 2 sqrt(T (1 + ln N)) with a known horizon; 2 sqrt(2 T (1 + ln N)) without.
Source: Kalai, Vempala, "Efficient algorithms for online decision problems", JCSS 71, 2005; Hutter, Poland,
    "Adaptive online prediction by following the perturbed leader", JMLR 6, 2005, for eta_t. The constants
    follow from the argument above.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import check_sizes
from recsim_env.agents.bandits.hedge import add_costs
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class FollowThePerturbedLeader:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        horizon: T if it is known, at least 1; the bound holds for T rounds.
        learning_rate: eta of all rounds instead, above 0; infinity is follow-the-leader, who chooses between
            equal leaders by chance.

    Attributes:
        costs: (B, N) L, so far.
        rounds: (B,).

    Raises:
        InputError: a size below its least value, a horizon or learning rate out of range.
    """

    def __init__(
        self,
        num_replicates: int,
        num_items: int,
        *,
        horizon: int | None = None,
        learning_rate: float | None = None,
    ) -> None:
        check_sizes(num_replicates, num_items)
        if horizon is not None and not horizon >= 1:
            raise InputError(f"horizon must be at least 1, got {horizon}")
        if learning_rate is not None and not learning_rate > 0.0:
            raise InputError(f"learning_rate must be above 0, got {learning_rate}")
        scale = 0.5 if horizon is None else 1.0 / horizon
        eta = np.sqrt(scale * (1.0 + np.log(num_items))) if learning_rate is None else learning_rate
        self.rate = float(eta)
        self.falling = horizon is None and learning_rate is None  # eta_t = rate / sqrt(t)
        self.costs = np.zeros((num_replicates, num_items))
        self.rounds = np.zeros(num_replicates)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The expert of least perturbed cost, (B, 1)."""
        u = luck.uniform("fpl", self.costs.shape[1:])
        slates: Ints = perturbed_leader(self.costs, self.rounds, self.rate, self.falling, u)
        return slates

    def update(self, transition: Transition) -> None:
        """Add the costs of all experts.

        Raises:
            InputError: a cost outside 0 to 1.
        """
        costs = transition.next_observation["costs"]
        row = add_costs(costs, self.costs, self.rounds)
        if row >= 0:
            raise InputError(f"costs[{row}] must be from 0 to 1, got {costs[row]}: scale costs")


@njit(cache=True)
def perturbed_leader(costs: Floats, rounds: Floats, rate: float, falling: bool, u: Floats) -> Ints:
    """The argmin of every row (B, 1), from uniforms (B, N), one for every exponential."""
    B, N = costs.shape
    slates = np.empty((B, 1), np.int64)
    for b in range(B):
        scale = (np.sqrt(rounds[b] + 1.0) if falling else 1.0) / rate
        leader, least = 0, np.inf
        for a in range(N):
            cost = costs[b, a] + scale * np.log1p(-u[b, a])
            if cost < least or (cost == least and u[b, a] > u[b, leader]):
                leader, least = a, cost
        slates[b, 0] = leader
    return slates


def regret_bound(rounds: Ints | Floats, *, num_items: int, horizon_known: bool = False) -> Floats:
    """(P,) of the expected regret against the best expert in hindsight, after `rounds` (P,).

    With a known horizon, each of `rounds` is the horizon of a run of its own. The constants are derived in
    the module; Hutter and Poland have 2 sqrt(2 T k) with k = ln N for the second, from memory.
    """
    T = np.asarray(rounds, np.float64)
    return np.asarray(2.0 * np.sqrt((1.0 if horizon_known else 2.0) * T * (1.0 + np.log(num_items))))
