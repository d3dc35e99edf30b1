"""Epsilon-greedy over a class of policies: explore at random, follow the policy that exploration speaks for.

Policies pi map contexts to items. In round t, with probability

    epsilon_t = min(1, (K log(P t) / t)^{1/3})      (P policies, K items)

the item is uniform, and such rounds alone are data: the inverse propensity score of every policy is

    V(pi) = 1/n sum over the n rounds explored of K 1{pi(x_s) = A_s} r_s,

an unbiased estimate of what pi earns. All other rounds follow the policy of largest V, which is what the
books ask of an oracle; here the class is a table and the oracle reads it through.

Regret against the best policy of the class is small; against the best item for every user it is not, unless
the class holds a policy that is nearly so good.

Feedback: the reward of the item pulled.
Bound: O(T^{2/3} (K log(P T))^{1/3}) against the best policy of the class.
Source: Slivkins, "Introduction to multi-armed bandits", 2019, section 8.4 (explore-first with an oracle;
    epsilon-greedy as its exercise), number from memory; Langford, Zhang, "The epoch-greedy algorithm",
    NeurIPS 2007. The constant in epsilon_t is 1, ours.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import out_of_range
from recsim_env.agents.bandits.context_cells import ContextCells, check_policies
from recsim_env.agents.bandits.ties import tie_breakers
from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class PolicyClassEpsilonGreedy:
    """One learner per row, for rewards from 0 to 1.

    Args:
        num_replicates: B.
        num_items: N, which is K above.
        policies: (P, cells) of items, such as `context_cells.decision_stumps`.
        dimension: D of contexts.
        bins: of the cells along each coordinate.
        epsilon: the same in all rounds, in (0, 1]; None = epsilon_t.

    Attributes:
        scores: (B, P), n V(pi).
        explorations: (B,), n.
        leader: (B,), the policy of largest V.
        rounds: (B,).

    Raises:
        InputError: a size below 1, a table of another shape or with items that do not exist, an epsilon out
            of range.
    """

    def __init__(
        self,
        num_replicates: int,
        num_items: int,
        policies: Ints,
        *,
        dimension: int,
        bins: int,
        epsilon: float | None = None,
    ) -> None:
        self.cells = ContextCells(num_replicates, dimension, bins)
        self.policies = check_policies(policies, num_items, self.cells.number)
        if epsilon is not None and not 0.0 < epsilon <= 1.0:
            raise InputError(f"epsilon must be in (0, 1], got {epsilon}")
        self.num_items = num_items
        self.epsilon = -1.0 if epsilon is None else epsilon
        self.scores = np.zeros((num_replicates, len(self.policies)))
        self.explorations, self.rounds = np.zeros(num_replicates), np.zeros(num_replicates)
        self.explored = np.zeros(num_replicates, np.bool_)  # in the round of the last `act`
        self.leader = np.zeros(num_replicates, np.int64)
        # Equal scores are ordered by a draw of each replicate's own, so that no policy's place favours it.
        self.ties = np.zeros((num_replicates, len(self.policies)))

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """A uniform item, or that of the leading policy, (B, 1).

        Raises:
            InputError: no contexts, of another shape, or outside [0, 1].
        """
        if self.ties.item(0) == 0.0:  # not drawn yet
            self.ties = tie_breakers(self.ties, luck, "policy_class_epsilon_greedy/ties")
            self.leader = self.ties.argmax(axis=1)
        cells, draws = self.cells.of(observation), luck.uniform("policy_class_epsilon_greedy", (2,))
        slates: Ints = follow_or_explore(
            cells, self.policies, self.leader, self.rounds, self.epsilon, self.num_items, draws, self.explored
        )
        return slates

    def update(self, transition: Transition) -> None:
        """Score the policies, if this round was explored.

        Raises:
            InputError: a reward outside 0 to 1.
        """
        row = add_scores(
            self.cells.of(transition.observation),
            transition.slates,
            transition.reward,
            self.policies,
            self.num_items,
            self.explored,
            self.scores,
            self.explorations,
            self.rounds,
            self.leader,
            self.ties,
        )
        if row >= 0:
            raise out_of_range(row, transition.reward, (0.0, 1.0))


@njit(cache=True)
def follow_or_explore(
    cells: Ints,
    policies: Ints,
    leader: Ints,
    rounds: Floats,
    epsilon: float,
    N: int,
    draws: Floats,
    explored: Bools,
) -> Ints:
    """Items (B, 1), and whether they were drawn (B,); an epsilon below 0 stands for epsilon_t."""
    B, P = len(cells), len(policies)
    slates = np.empty((B, 1), np.int64)
    for b in range(B):
        t = rounds[b] + 1.0
        rate = epsilon if epsilon >= 0.0 else (N * np.log(P * t) / t) ** (1.0 / 3.0)
        explored[b] = draws[b, 0] < rate
        slates[b, 0] = np.int64(draws[b, 1] * N) if explored[b] else policies[leader[b], cells[b]]
    return slates


@njit(cache=True)
def add_scores(
    cells: Ints,
    slates: Ints,
    reward: Floats,
    policies: Ints,
    N: int,
    explored: Bools,
    scores: Floats,
    explorations: Floats,
    rounds: Floats,
    leader: Ints,
    ties: Floats,
) -> int:
    """Score policies by explored rounds; returns the first row whose reward is out of range, or -1."""
    for b in range(len(slates)):
        if not 0.0 <= reward[b] <= 1.0:
            return b
    P = len(policies)
    for b in range(len(slates)):
        rounds[b] += 1.0
        if not explored[b]:
            continue
        explorations[b] += 1.0
        best, highest = 0, -np.inf
        for p in range(P):
            if policies[p, cells[b]] == slates[b, 0]:
                scores[b, p] += N * reward[b]
            if scores[b, p] + ties[b, p] > highest:
                best, highest = p, scores[b, p] + ties[b, p]
        leader[b] = best
    return -1
