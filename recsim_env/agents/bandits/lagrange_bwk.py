"""LagrangeBwK: a bandit that pulls arms against an adversary that prices the resources.

T rounds, a budget of B units, N arms of which the last is to wait. Time is a resource like the other, of
which every round uses B/T, so that both have the budget B. The game of a round pays the player of arms, and
costs the player of resources, the Lagrangian at one resource:

    L(a, budget) = r_t(a) + 1 - (T/B) c_t(a),      L(a, time) = r_t(a).

The arms are played by Exp3-IX and the resources by Hedge, both on payoffs moved into [0, 1], w = 1 + T/B:

    i_t ~ q_t,      q_t(i) ~ exp(-eta' sum_s L_s(a_s, i) / w),                  eta' = sqrt(8 log 2 / T),
    a_t ~ p_t,      p_t(a) ~ exp(-eta sum_s loss_s(a)),                         eta = sqrt(2 log N / (N T)),
    loss_t(a) = 1{a_t = a} (2 - L_t(a, i_t)) / w / (p_t(a) + eta/2).

Average play is close to a saddle point, where the arms' mix solves the linear programme of the mean round.
The budget runs out somewhat before the time. What happens after that is not learned from; rewards are at
most 1. Not implemented: the adversarial version, which guesses the optimum.

Feedback: reward and cost of the arm played.
Bound: O((T/B) sqrt(T N log(N T))) below T LP, with high probability.
Source: Immorlica, Sankararaman, Schapire, Slivkins, "Adversarial bandits with knapsacks", FOCS 2019,
    algorithm 1; Slivkins, "Introduction to multi-armed bandits", 2019, chapter 10 (both from memory). They
    play arms by Exp3.P, another high-probability algorithm; Exp3-IX and its constants: Neu, "Explore no
    more", NeurIPS 2015, corollary 1. Hedge's constant: Cesa-Bianchi, Lugosi, "Prediction, learning, and
    games", 2006, theorem 2.2.
"""

from math import log, sqrt
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import check_sizes, out_of_range
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck

BUDGET, TIME = 0, 1


class LagrangeBwK:
    """One LagrangeBwK learner per row.

    Args:
        num_replicates: B of the arrays.
        num_items: N, of which the last is to wait.
        budget: B of the formulas, units of an episode.
        horizon: T, rounds of an episode.

    Attributes:
        loss: (B, N) sum of the estimated losses of every arm.
        price_loss: (B,) sum of L(a, budget) - L(a, time), over w: what Hedge weighs the two by.
        resource: (B,) the resource of this round, 0 the budget, 1 time.
        chance: (B,) p_t of the arm of this round.

    Raises:
        InputError: a size below its least, a budget of 0.
    """

    def __init__(self, num_replicates: int, num_items: int, budget: int, horizon: int) -> None:
        check_sizes(num_replicates, num_items)
        if not 1 <= budget <= horizon:
            raise InputError(f"budget must be from 1 to the horizon, {horizon}, got {budget}")
        self.scarcity = horizon / budget  # T/B
        self.eta = sqrt(2.0 * log(num_items) / (num_items * horizon))
        self.eta_price = sqrt(8.0 * log(2.0) / horizon)
        self.loss = np.zeros((num_replicates, num_items))
        self.price_loss = np.zeros(num_replicates)
        self.resource = np.zeros(num_replicates, np.int64)
        self.chance = np.ones(num_replicates)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """An arm of the primal player, (B, 1)."""
        slates = np.empty((len(self.loss), 1), np.int64)
        u = luck.uniform("lagrange_bwk", (2,))
        _play(self.loss, self.price_loss, self.eta, self.eta_price, u, self.resource, self.chance, slates)
        return slates

    def update(self, transition: Transition) -> None:
        """Both players learn, unless the budget was gone.

        Raises:
            InputError: a reward outside 0 to 1.
        """
        row = _learn(
            self.loss,
            self.price_loss,
            self.resource,
            self.chance,
            self.scarcity,
            self.eta,
            transition.observation["budget"],
            transition.slates,
            transition.reward,
            transition.next_observation["cost"],
        )
        if row >= 0:
            raise out_of_range(row, transition.reward, (0.0, 1.0))


@njit(cache=True)
def _play(
    loss: Floats,
    price_loss: Floats,
    eta: float,
    eta_price: float,
    u: Floats,
    resource: Ints,
    chance: Floats,
    slates: Ints,
) -> None:
    B, N = loss.shape
    weight = np.empty(N)
    for b in range(B):
        least = loss[b].min()
        total = 0.0
        for a in range(N):
            weight[a] = np.exp(-eta * (loss[b, a] - least))
            total += weight[a]
        left, a = u[b, 0] * total, 0
        while a < N - 1 and left >= weight[a]:
            left -= weight[a]
            a += 1
        slates[b, 0] = a
        chance[b] = weight[a] / total
        resource[b] = BUDGET if u[b, 1] < 1.0 / (1.0 + np.exp(eta_price * price_loss[b])) else TIME


@njit(cache=True)
def _learn(
    loss: Floats,
    price_loss: Floats,
    resource: Ints,
    chance: Floats,
    scarcity: float,
    eta: float,
    budget: Ints,
    slates: Ints,
    reward: Floats,
    cost: Ints,
) -> int:
    """Returns the first row whose reward is out of range (nothing changes), or -1."""
    for b in range(len(slates)):
        if not 0.0 <= reward[b] <= 1.0:
            return b
    width = 1.0 + scarcity
    for b in range(len(slates)):
        if budget[b] == 0:
            continue
        a, margin = slates[b, 0], 1.0 - scarcity * cost[b]  # L(a, budget) - L(a, time)
        payoff = reward[b] + (margin if resource[b] == BUDGET else 0.0)
        loss[b, a] += (2.0 - payoff) / width / (chance[b] + 0.5 * eta)
        price_loss[b] += margin / width
    return -1
