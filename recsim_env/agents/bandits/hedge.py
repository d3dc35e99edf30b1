"""Hedge: follow an expert at random, one with less cost so far more often, exponentially.

With L_{t-1}(a) the cost of expert a in all rounds before t, from 0 to 1 in each,

    p_t(a) = exp(-eta_t L_{t-1}(a)) / sum_b exp(-eta_t L_{t-1}(b)),

with eta = sqrt(8 ln N / T) where the horizon T is told, and eta_t = sqrt(8 ln N / t) where it is not. The
costs may be chosen by an adversary, who may know p_t but not the draw from it. What an expert costs is seen
whoever is followed, so p_t holds no chance, and one uniform a round draws from it by inversion.

Slivkins writes the same as weights multiplied by (1 - epsilon)^cost, with eta = -ln(1 - epsilon).

Feedback: full: the costs of all experts, `costs` of the next observation.
Bound: R(T) <= sqrt(T ln N / 2) with a known horizon; 2 sqrt(T ln N / 2) + sqrt(ln N / 8) without.
Source: Freund, Schapire, "A decision-theoretic generalization of on-line learning and an application to
    boosting", JCSS 55, 1997; eta and bounds are theorems 2.2 and 2.3 of Cesa-Bianchi, Lugosi, "Prediction,
    learning, and games", 2006 (from memory).
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import check_sizes
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class Hedge:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        horizon: T if it is known, at least 1; the bound holds for T rounds.
        learning_rate: eta of all rounds instead, above 0.

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
        if learning_rate is not None and not 0.0 < learning_rate < np.inf:
            raise InputError(f"learning_rate must be above 0 and finite, got {learning_rate}")
        eta = np.sqrt(8.0 * np.log(num_items) / (horizon or 1)) if learning_rate is None else learning_rate
        self.rate = float(eta)
        self.falling = horizon is None and learning_rate is None  # eta_t = rate / sqrt(t)
        self.costs = np.zeros((num_replicates, num_items))
        self.rounds = np.zeros(num_replicates)

    def probabilities(self) -> Floats:
        """(B, N) p of the round to come."""
        p = np.empty(self.costs.shape)
        exponential_weights(self.costs, self.rounds, self.rate, self.falling, p)
        return p

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """An expert drawn from p, (B, 1)."""
        p, slates = np.empty(self.costs.shape), np.empty((len(self.costs), 1), np.int64)
        weigh_and_draw(self.costs, self.rounds, self.rate, self.falling, luck.uniform("hedge"), p, slates)
        return slates

    def update(self, transition: Transition) -> None:
        """Learn from the costs of all experts."""
        self.learn(transition.next_observation["costs"])

    def learn(self, costs: Array) -> None:
        """Add the costs (B, N) of one round.

        Raises:
            InputError: a cost outside 0 to 1.
        """
        row = add_costs(costs, self.costs, self.rounds)
        if row >= 0:
            raise InputError(f"costs[{row}] must be from 0 to 1, got {costs[row]}: scale costs")


@njit(cache=True, error_model="numpy")
def exponential_weights(costs: Floats, rounds: Floats, rate: float, falling: bool, p: Floats) -> None:
    """Write p(a) ~ exp(-eta costs(a)) of every row (B, N), less the least cost, so that one weight is 1."""
    B, N = costs.shape
    for b in range(B):
        eta = rate / np.sqrt(rounds[b] + 1.0) if falling else rate
        least = costs[b, 0]
        for a in range(1, N):
            least = min(least, costs[b, a])
        total = 0.0
        for a in range(N):
            p[b, a] = np.exp(eta * (least - costs[b, a]))
            total += p[b, a]
        for a in range(N):
            p[b, a] /= total


@njit(cache=True)
def weigh_and_draw(
    costs: Floats, rounds: Floats, rate: float, falling: bool, u: Floats, p: Floats, slates: Ints
) -> None:
    """Write `exponential_weights` p (B, N), and slates (B, 1) drawn by inversion of uniforms u (B,)."""
    exponential_weights(costs, rounds, rate, falling, p)
    B, N = p.shape
    for b in range(B):
        below, a = p[b, 0], 0
        while u[b] >= below and a < N - 1:
            a += 1
            below += p[b, a]
        while p[b, a] == 0.0:  # rounding has left the end of the distribution function below u
            a -= 1
        slates[b, 0] = a


@njit(cache=True)
def add_costs(costs: Array, sums: Floats, rounds: Floats) -> int:
    """Add one round; returns the first row with a cost out of range (nothing changes), or -1."""
    B, N = sums.shape
    for b in range(B):
        for a in range(N):
            if not 0.0 <= costs[b, a] <= 1.0:
                return b
    for b in range(B):
        rounds[b] += 1.0
        for a in range(N):
            sums[b, a] += costs[b, a]
    return -1


def regret_bound(rounds: Ints | Floats, *, num_items: int, horizon_known: bool = False) -> Floats:
    """(P,) of the expected regret against the best expert in hindsight, after `rounds` (P,).

    With a known horizon, each of `rounds` is the horizon of a run of its own. The constants are those of
    theorems 2.2 and 2.3 of Cesa-Bianchi and Lugosi, from memory; the tests hold regret against them.
    """
    T, log = np.asarray(rounds, np.float64), np.log(num_items)
    tuned = np.sqrt(T * log / 2.0)
    return np.asarray(tuned if horizon_known else 2.0 * tuned + np.sqrt(log / 8.0))
