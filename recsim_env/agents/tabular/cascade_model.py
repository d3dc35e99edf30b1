"""What a planning agent learns of a cascading MDP: counts, for B learners.

An examined slot says whether its item attracts; a step says where a click, or none, leads. The world is
the same at every step of an episode, so all steps share one table.
"""

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError


class CascadeModel:
    """Counts of B learners; the last column of the item axis of `moves` and `successors` is "no click".

    Attributes:
        examinations: (B, S, N), n^q(s, a).
        clicks: (B, S, N); clicks / examinations estimate q(s, a).
        moves: (B, S, N+1), n^p(s, a): steps that ended with this click.
        successors: (B, S, N+1, S), how many of them led to each state; / moves they estimate p.
        reward: (B, S, N) r(s, a), which is deterministic: as seen last; 1, the most, before the first click.
        news: (B,) bool, some count has reached a power of two since it was last set to False.
    """

    def __init__(self, num_replicates: int, num_states: int, num_items: int) -> None:
        B, S, N = num_replicates, num_states, num_items
        self.examinations = np.zeros((B, S, N))
        self.clicks = np.zeros((B, S, N))
        self.moves = np.zeros((B, S, N + 1))
        self.successors = np.zeros((B, S, N + 1, S))
        self.reward = np.ones((B, S, N))
        self.news = np.ones(B, np.bool_)

    def update(self, transition: Transition) -> None:
        """Count one step of every row.

        Raises:
            InputError: a reward outside [0, 1], where the planners' bounds do not hold.
        """
        if not (transition.reward.min() >= 0.0 and transition.reward.max() <= 1.0):
            raise InputError(
                "reward must be in [0, 1] for the planners' bounds to hold, "
                f"got {transition.reward.min():g} to {transition.reward.max():g}: scale the world's rewards"
            )
        _count(
            self.examinations,
            self.clicks,
            self.moves,
            self.successors,
            self.reward,
            self.news,
            transition.observation["state"],
            transition.next_observation["state"],
            transition.slates,
            transition.clicked,
            transition.examined,
            transition.reward,
        )


@njit(inline="always")
def _is_power_of_two(count: float) -> bool:
    whole = np.int64(count)
    return (whole & (whole - 1)) == 0


@njit(cache=True)
def _count(
    examinations: Floats,
    clicks: Floats,
    moves: Floats,
    successors: Floats,
    rewards: Floats,
    news: Bools,
    state: Ints,
    next_state: Ints,
    slates: Ints,
    clicked: Bools,
    examined: Bools,
    reward: Array,
) -> None:
    B, K = slates.shape
    N = rewards.shape[2]
    for b in range(B):
        s, item = state[b], N
        for k in range(K):
            if examined[b, k]:
                a = slates[b, k]
                examinations[b, s, a] += 1.0
                news[b] |= _is_power_of_two(examinations[b, s, a])
                if clicked[b, k]:
                    clicks[b, s, a] += 1.0
                    rewards[b, s, a] = reward[b]
                    item = a
        moves[b, s, item] += 1.0
        news[b] |= _is_power_of_two(moves[b, s, item])
        successors[b, s, item, next_state[b]] += 1.0
