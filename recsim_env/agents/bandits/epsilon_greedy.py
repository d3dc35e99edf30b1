"""Epsilon-greedy: with probability eps any arm, else the one with the best mean.

    A_t = uniform over K arms with probability eps_t,      argmax_a m_a otherwise,
    eps_t = min(1, (K log t / t)^{1/3})

or min(1, d K / t), with rounds of exploration that grow as log T, where d is to be large if gaps are small;
or a fixed eps, whose regret never stops growing: eps times the average gap in every round. An arm never
pulled goes first. In round 1 there is nothing to exploit, and the formula, whose log 1 is 0, is taken at t =
2.

Feedback: the reward of the arm pulled.
Bound: E R(t) <= t^{2/3} O(K log t)^{1/3} for every t; constants are not stated, so no bound is drawn.
Source: Slivkins, "Introduction to multi-armed bandits", 2019, section 1.2, algorithm 1.2 and its theorem;
    Auer, Cesa-Bianchi, Fischer, Machine Learning 47, 2002, figure 3, for d K / t.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import ArmCounts
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class EpsilonGreedy:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: K.
        epsilon: fixed, from 0 to 1; None for the one that falls as in the course.
        reward_range: (low, high) of a reward.
        decay: d, above 0, for an epsilon that falls as 1 / t; None for the one of the course.

    Raises:
        InputError: a size below its least value, an epsilon that is no probability, a decay not above 0, or
            both of them.
    """

    def __init__(
        self,
        num_replicates: int,
        num_items: int,
        epsilon: float | None = None,
        reward_range: tuple[float, float] = (0.0, 1.0),
        decay: float | None = None,
    ) -> None:
        if decay is not None and (epsilon is not None or not 0.0 < decay < np.inf):
            raise InputError(f"decay must be above 0, finite and without epsilon, got {decay} and {epsilon}")
        if epsilon is not None and not 0.0 <= epsilon <= 1.0:
            raise InputError(f"epsilon must be from 0 to 1, got {epsilon}")
        self.counts = ArmCounts(num_replicates, num_items, reward_range)
        self.epsilon = -1.0 if epsilon is None else float(epsilon)
        self.decay = 0.0 if decay is None else float(decay)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The arm with the best mean, or any, (B, 1)."""
        counts = self.counts
        counts.break_ties(luck, "epsilon_greedy/ties")
        u = luck.uniform("epsilon_greedy", (2,))
        slates: Ints = greedy_or_any(counts.centres, counts.rounds, self.epsilon, u, self.decay)
        return slates

    def update(self, transition: Transition) -> None:
        """Count the pull."""
        self.counts.update(transition)


@njit(cache=True)
def greedy_or_any(centres: Floats, rounds: Floats, epsilon: float, u: Floats, decay: float = 0.0) -> Ints:
    """The arm of largest centre (B, K), or by u (B, 2) any, (B, 1); epsilon below 0 is the falling one."""
    B, K = centres.shape
    slates = np.empty((B, 1), np.int64)
    round_before, share = -1.0, epsilon
    for b in range(B):
        if epsilon < 0.0 and rounds[b] != round_before:  # rows are in step: one power serves all of them
            round_before = rounds[b]
            t = max(rounds[b] + 1.0, 2.0)
            share = (K * np.log(t) / t) ** (1.0 / 3.0) if decay == 0.0 else decay * K / t
            share = min(1.0, share)
        if u[b, 0] < share:
            slates[b, 0] = int(u[b, 1] * K)
            continue
        best = 0
        for a in range(1, K):
            if centres[b, a] > centres[b, best]:
                best = a
        slates[b, 0] = best
    return slates
