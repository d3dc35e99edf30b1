"""Experts whose advice can be followed: `ExpertAdvice-v0`, with full feedback.

Every round has an outcome y_t of 0 or 1, which N experts predict. The learner sees what each of them
predicts, follows one, and then learns what it would have paid with any of them:

    c_t(a) = 1 if expert a is wrong, else 0,      reward = 1 - c_t(A_t),
    dynamic regret = sum_t (c_t(A_t) - min_a c_t(a)).

Who is wrong in which round was fixed before the first round (`costs`, the same for all users). The outcome is
a fair coin of each user, and the predictions follow from both: they tell who sides with whom, not which side
is right. To follow a vote is to follow any expert on the side that has won it; where most experts are right
more often than not, it can pass the best of them.

Regret against the best single expert in hindsight is less than the dynamic one, by an amount known exactly:

    regret(T) = dynamic regret(T) - fixed(T),   fixed(T) = min_a sum_{t<T} c_t(a) - sum_{t<T} min_a c_t(a).

Source: Slivkins, "Introduction to multi-armed bandits", 2019, chapter 5.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError, as_numbers, refuse
from recsim_env.simulators.luck import Luck, stream_number
from recsim_env.simulators.philox import fill_uniform
from recsim_env.simulators.worlds.world import Entry, Outcome
from recsim_env.user_models.clicks import Response

FIRST, NEXT = stream_number("first_outcome"), stream_number("outcome")  # both may be drawn at step 0
# dtype objects, not types: a third off each allocation of a small array
INT, BOOL, FLAG = np.dtype(np.int64), np.dtype(np.bool_), np.dtype(np.int8)


class ExpertState(NamedTuple):
    """Where B users are."""

    outcome: Array  # (B,) int8 y of the round to come, 0 or 1, hidden
    step: Ints  # (B,) rounds played


@dataclass(frozen=True)
class ExpertWorld:
    """N experts with a cost of 0 or 1 for every round.

    Raises:
        InputError: no round, fewer than two experts, a cost that is not 0 or 1, experts that are wrong
            together in all rounds.
    """

    plans_ahead: ClassVar[bool] = False  # see `World`
    slate_size: ClassVar[int] = 1
    reward_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    costs: Floats  # (H, N) c

    def __post_init__(self) -> None:
        costs = as_numbers("costs", self.costs)
        if costs.ndim != 2 or costs.shape[0] < 1 or costs.shape[1] < 2:
            raise InputError(f"costs must have shape (H, N) with a round and two experts, got {costs.shape}")
        refuse("costs", (costs != 0.0) & (costs != 1.0), costs, "an expert is right, 0, or wrong, 1")
        if (costs == costs[:, :1]).all():
            raise InputError("costs must differ between experts in some round: nothing is to learn")
        object.__setattr__(self, "costs", np.ascontiguousarray(costs))

    @property
    def num_items(self) -> int:
        """N."""
        return self.costs.shape[1]

    @property
    def horizon(self) -> int:
        """H."""
        return self.costs.shape[0]

    def begin(self, luck: Luck) -> ExpertState:
        """Users before the first round."""
        outcome = np.empty(len(luck), FLAG)
        toss(luck.seed, luck.episode, luck.step, FIRST, outcome)
        return ExpertState(outcome, np.zeros(len(luck), np.int64))

    def observe(self, state: ExpertState) -> dict[str, Array]:
        """The round, what every expert predicts for it, and the costs of all experts in the round before."""
        B, N = len(state.step), self.num_items
        predictions, costs = np.empty((B, N), FLAG), np.empty((B, N), np.float32)
        look(self.costs, *state, predictions, costs)
        return {"step": state.step.copy(), "predictions": predictions, "costs": costs}

    def observation_entries(self) -> dict[str, Entry]:
        """Rounds 0 to H; what is seen is 0 where there is no such round, before the first or after H."""
        return {
            "step": Entry(0, self.horizon),
            "predictions": Entry(0, 1, (self.num_items,), np.int8),
            "costs": Entry(0.0, 1.0, (self.num_items,), np.float32),
        }

    def respond(self, state: ExpertState, slates: Ints, luck: Luck) -> tuple[ExpertState, Outcome]:
        """Follow the experts of slates (B, 1)."""
        B = len(slates)
        reward, best, value = np.empty(B), np.empty(B), np.empty(B)
        outcome, after = np.empty(B, FLAG), np.empty(B, INT)
        clicked, examined = np.empty((B, 1), BOOL), np.empty((B, 1), BOOL)
        draw = luck.seed, luck.episode, luck.step, NEXT
        given = self.costs, self._least, state.step, slates
        follow(*draw, *given, outcome, after, reward, clicked, examined, best, value)
        left = np.zeros(B, BOOL)  # nobody leaves
        return ExpertState(outcome, after), Outcome(reward, left, Response(clicked, examined), best, value)

    def expected_reward(self, state: ExpertState, slates: Ints) -> Floats:
        """(B,) 1 where the expert followed is right in this round, which holds no chance."""
        return np.asarray(1.0 - self.costs[self._round(state), slates[:, 0]])

    def best_slate(self, state: ExpertState) -> Ints:
        """(B, 1) an expert who is right in this round, if there is one."""
        return np.asarray(self.costs[self._round(state)].argmin(axis=1)[:, None])

    def values(self, state: ExpertState, slates: Ints) -> tuple[Floats, Floats]:
        """(B,) 1 where any expert is right in this round, and where the one followed is."""
        return np.asarray(1.0 - self._least[self._round(state)]), self.expected_reward(state, slates)

    def arm_means(self, state: ExpertState) -> Floats:
        """(B, N) 1 for every expert who is right in this round."""
        return np.asarray(1.0 - self.costs[self._round(state)])

    def fixed_regret(self) -> Floats:
        """(H+1,) dynamic regret of the best single expert of the first t rounds: see the module."""
        return self.best_cost() - np.concatenate([[0.0], np.cumsum(self._least)])

    def best_cost(self) -> Floats:
        """(H+1,) cost of the best single expert of the first t rounds."""
        return np.concatenate([[0.0], np.cumsum(self.costs, axis=0).min(axis=1)])

    def _round(self, state: ExpertState) -> Ints:
        return np.minimum(state.step, self.horizon - 1)  # after the last round, the last one

    @cached_property
    def _least(self) -> Floats:
        return self.costs.min(axis=1)  # (H,)


@njit(cache=True)
def toss(seed: Array, episode: Ints, step: Ints, stream: int, outcome: Array) -> None:
    """Write a fair coin of every user."""
    u = np.empty((2, len(outcome)))
    fill_uniform(seed, episode, step, stream, u)
    for b in range(len(outcome)):
        outcome[b] = u[0, b] < 0.5


@njit(cache=True)
def look(costs: Floats, outcome: Array, step: Ints, predictions: Array, before: Array) -> None:
    """Write what is seen: who is wrong predicts what will not be."""
    H, N = costs.shape
    for b in range(len(step)):
        t = step[b]
        for a in range(N):
            wrong = t < H and costs[t, a] > 0.0
            predictions[b, a] = t < H and ((outcome[b] > 0) != wrong)
            before[b, a] = costs[t - 1, a] if t > 0 else 0.0


@njit(cache=True)
def follow(
    seed: Array,
    episode: Ints,
    luck_step: Ints,
    stream: int,
    costs: Floats,
    least: Floats,
    step: Ints,
    slates: Ints,
    outcome: Array,
    after: Ints,
    reward: Floats,
    clicked: Bools,
    examined: Bools,
    best: Floats,
    value: Floats,
) -> None:
    """Write what comes of following an expert, and the coin of the next round."""
    toss(seed, episode, luck_step, stream, outcome)
    for b in range(len(slates)):
        t = min(step[b], len(least) - 1)
        right = costs[t, slates[b, 0]] == 0.0
        reward[b] = value[b] = 1.0 if right else 0.0
        clicked[b, 0], examined[b, 0] = right, True
        best[b] = 1.0 - least[t]
        after[b] = step[b] + 1
