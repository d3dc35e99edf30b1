"""Exp4: exponential weights over experts that advise an item for every context.

With cost c = 1 - reward, in round t, and C(pi) the estimated cost of expert pi so far,

    q(pi) ~ exp(-eta_t C(pi)),      p(a) = sum over pi with pi(x_t) = a of q(pi),      A_t ~ p,
    C(pi) += c_t / p(A_t) for every pi with pi(x_t) = A_t,      eta_t = sqrt(log P / (t K))

(P experts, K items). The costs are unbiased whatever the contexts and rewards are, drawn or chosen by an
adversary. Costs, not rewards, are weighted by 1 / p: then no uniform exploration need be mixed in.

Experts here are the policies of a table over cells of the context, so regret is against the best of them in
hindsight, not against the best item for every user.

Feedback: the reward of the item pulled.
Bound: E R(T) <= 2 sqrt(T K log P) against the best expert, for rewards from 0 to 1.
Source: Auer, Cesa-Bianchi, Freund, Schapire, "The nonstochastic multiarmed bandit problem", SIAM J. Comput.
    32, 2002 (Exp4); in the form without mixing Lattimore, Szepesvari, "Bandit algorithms", 2020, algorithm
    11 and theorem 18.1; the falling rate as in Bubeck, Cesa-Bianchi, 2012, theorem 4.2 (number from memory).
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import out_of_range
from recsim_env.agents.bandits.context_cells import ContextCells, check_policies
from recsim_env.agents.bandits.exponentials import exponentiate
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.simulators.luck import stream_number
from recsim_env.simulators.philox import fill_uniform

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck

STREAM = stream_number("exp4")


class Exp4:
    """One learner per row, for rewards from 0 to 1.

    Args:
        num_replicates: B.
        num_items: N, which is K above.
        policies: (P, cells) of items, such as `context_cells.decision_stumps`: the experts.
        dimension: D of contexts.
        bins: of the cells along each coordinate.

    Attributes:
        advice: (cells, P) the policies, seen from a cell.
        costs: (B, P), C(pi).
        cell: (B,) of the contexts, and
        probabilities: (B, N), p, of the last `act`.
        rounds: (B,).

    Raises:
        InputError: a size below 1, a table of another shape or with items that do not exist.
    """

    def __init__(
        self, num_replicates: int, num_items: int, policies: Ints, *, dimension: int, bins: int
    ) -> None:
        self.cells = ContextCells(num_replicates, dimension, bins)
        self.advice = np.ascontiguousarray(check_policies(policies, num_items, self.cells.number).T)
        self.costs = np.zeros((num_replicates, len(policies)))
        self.cell = np.zeros(num_replicates, np.int64)
        self.probabilities = np.zeros((num_replicates, num_items))
        self.rounds = np.zeros(num_replicates)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """An item drawn from p, (B, 1).

        Raises:
            InputError: no contexts, of another shape, or outside [0, 1].
        """
        self.cell = self.cells.of(observation)
        known = self.cell, self.advice, self.costs, self.rounds
        slates: Ints = draw_advice(luck.seed, luck.episode, luck.step, STREAM, *known, self.probabilities)
        return slates

    def update(self, transition: Transition) -> None:
        """Charge the experts that advised this item.

        Raises:
            InputError: a reward outside 0 to 1.
        """
        row = charge(
            self.cell,
            transition.slates,
            transition.reward,
            self.advice,
            self.probabilities,
            self.costs,
            self.rounds,
        )
        if row >= 0:
            raise out_of_range(row, transition.reward, (0.0, 1.0))


@njit(cache=True)
def draw_advice(
    seed: Array,
    episode: Ints,
    step: Ints,
    stream: int,
    cell: Ints,
    advice: Ints,
    costs: Floats,
    rounds: Floats,
    probabilities: Floats,
) -> Ints:
    """Write p (B, N), and draw items (B, 1) from it."""
    B, N = probabilities.shape
    P = advice.shape[1]
    slates, weight, u = np.empty((B, 1), np.int64), np.empty(P), np.empty((2, B))
    fill_uniform(seed, episode, step, stream, u)
    for b in range(B):
        rate = np.sqrt(np.log(P) / ((rounds[b] + 1.0) * N))
        least = costs[b].min()  # subtracted, so that the largest weight is 1
        for i in range(P):
            weight[i] = rate * (least - costs[b, i])
        exponentiate(weight)
        p, items = probabilities[b], advice[cell[b]]
        p[:] = 0.0
        for i in range(P):
            p[items[i]] += weight[i]
        total = p.sum()
        below, item = 0.0, -1
        for a in range(N):
            p[a] /= total
            below += p[a]
            if item < 0 and u[0, b] < below:
                item = a
        if item < 0:  # the sum of p was rounded down below u
            item = int(np.argmax(p))
        slates[b, 0] = item
    return slates


@njit(cache=True)
def charge(
    cell: Ints,
    slates: Ints,
    reward: Floats,
    advice: Ints,
    probabilities: Floats,
    costs: Floats,
    rounds: Floats,
) -> int:
    """Add estimated costs; returns the first row whose reward is out of range (nothing changes), or -1."""
    for b in range(len(slates)):
        if not 0.0 <= reward[b] <= 1.0:
            return b
    for b in range(len(slates)):
        rounds[b] += 1.0
        item, items = slates[b, 0], advice[cell[b]]
        cost = (1.0 - reward[b]) / probabilities[b, item]
        for i in range(len(items)):
            costs[b, i] += cost if items[i] == item else 0.0
    return -1


def regret_bound(rounds: Ints | Floats, *, num_items: int, num_policies: int) -> Floats:
    """(P,) expected regret against the best expert after `rounds` (P,).

    With a rate eta that falls, log P / eta_T + K / 2 sum_t eta_t (the step of theorem 18.1 of Lattimore and
    Szepesvari, read in their book, where eta is constant and the bound sqrt(2 T K log P)) is at most
    2 sqrt(T K log P) for eta_t = sqrt(log P / (t K)), because sum_t 1 / sqrt(t) <= 2 sqrt(T).
    """
    return np.asarray(2.0 * np.sqrt(np.asarray(rounds, np.float64) * num_items * np.log(num_policies)))
