"""Bandits with knapsacks: every pull may cost a unit of one budget, and time is the other resource.

N arms; the last one is to wait, which earns and costs nothing. With b units left in round h, pulling arm a
gives, while b > 0,

    reward = size_a Bernoulli(p_a),      cost = Bernoulli(c_a),      b' = b - cost,

and nothing at all once b = 0: the remaining rounds of the episode are empty. Both draws are independent, or
one draw decides both (`coupled`: a sale earns the price and takes one unit from the stock). With mu_a =
size_a p_a the optimum is exact, by backward induction over rounds and units:

    V_h(b) = max_a Q_h(b, a),      Q_h(b, a) = mu_a + c_a V_{h+1}(b-1) + (1-c_a) V_{h+1}(b),
    V_H = 0,      V_h(0) = 0                                                            (h = 0 .. H-1)

The benchmark of the literature is T times the linear programme of the mean round, which is at least V_0(B):

    LP = max over x >= 0 of sum_a x_a mu_a      with sum_a x_a <= 1 and sum_a x_a c_a <= B/T.

Source: Badanidiyuru, Kleinberg, Slivkins, "Bandits with knapsacks", FOCS 2013 and JACM 2018; Slivkins,
"Introduction to multi-armed bandits", 2019, chapter 10.
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

STREAM = stream_number("knapsack")
MOST_CELLS = 50_000_000  # of the table of V: 400 MB
INT, BOOL = np.dtype(np.int64), np.dtype(np.bool_)


class KnapsackState(NamedTuple):
    """Where B users are."""

    budget: Ints  # (B,) b, units left
    cost: Ints  # (B,) of the last pull, 0 or 1
    step: Ints  # (B,) h, rounds played


@dataclass(frozen=True)
class KnapsackWorld:
    """One budget beside time; the tables are of the arms that cost, and waiting is added as the last one.

    Raises:
        InputError: tables of unequal shape, a probability outside [0, 1], a reward outside (0, 1], a budget
            below 1 or above the horizon, a horizon whose plan would not fit into memory.
    """

    plans_ahead: ClassVar[bool] = True  # see `World`
    slate_size: ClassVar[int] = 1

    reward_prob: Floats  # (N-1,) p, that a pull earns something
    reward_size: Floats  # (N-1,) what it earns then, in (0, 1]
    cost_prob: Floats  # (N-1,) c, that a pull costs a unit
    budget: int  # B, units of an episode, 1 to the horizon
    horizon: int  # T = H, rounds of an episode
    coupled: bool = False  # one draw decides reward and cost

    def __post_init__(self) -> None:
        for name in ("reward_prob", "reward_size", "cost_prob"):
            object.__setattr__(self, name, as_numbers(name, getattr(self, name)))
        shape = self.reward_prob.shape
        if len(shape) != 1 or shape[0] < 1 or not shape == self.reward_size.shape == self.cost_prob.shape:
            raise InputError(
                "reward_prob, reward_size and cost_prob must have one shape (N-1,) with an arm or more, got "
                f"{shape}, {self.reward_size.shape} and {self.cost_prob.shape}"
            )
        for name in ("reward_prob", "cost_prob"):
            table = getattr(self, name)
            refuse(name, ~((table >= 0.0) & (table <= 1.0)), table, "a probability is from 0 to 1")
        size = self.reward_size
        refuse("reward_size", ~((size > 0.0) & (size <= 1.0)), size, "a reward is above 0 and 1 at most")
        if self.horizon < 1:
            raise InputError(f"horizon must be at least 1, got {self.horizon}")
        if not 1 <= self.budget <= self.horizon:
            raise InputError(
                f"budget must be from 1 to the horizon, {self.horizon}, got {self.budget}: "
                "without a budget nothing can be pulled, and more than the horizon cannot be spent"
            )
        if (int(self.horizon) + 1) * (int(self.budget) + 1) > MOST_CELLS:
            raise InputError(
                f"horizon x budget must be at most {MOST_CELLS:,}, the size of the exact plan, "
                f"got {self.horizon} x {self.budget}"
            )

    @property
    def num_items(self) -> int:
        """N, waiting included."""
        return len(self.reward_prob) + 1

    @property
    def wait(self) -> int:
        """The arm that earns and costs nothing, N-1."""
        return len(self.reward_prob)

    @property
    def reward_range(self) -> tuple[float, float]:
        """Of one reward."""
        return 0.0, float(self.reward_size.max())

    @property
    def mean_reward(self) -> Floats:
        """(N,) mu, 0 of waiting."""
        return self._table[2].copy()

    @property
    def mean_cost(self) -> Floats:
        """(N,) c, 0 of waiting."""
        return self._table[3].copy()

    def begin(self, luck: Luck) -> KnapsackState:
        """The full budget."""
        B = len(luck)
        return KnapsackState(np.full(B, self.budget, INT), np.zeros(B, INT), np.zeros(B, INT))

    def observe(self, state: KnapsackState) -> dict[str, Array]:
        """What is left, what the last pull cost, and the round."""
        return {"budget": state.budget.copy(), "cost": state.cost.copy(), "step": state.step.copy()}

    def observation_entries(self) -> dict[str, Entry]:
        """Whole units and rounds."""
        return {"budget": Entry(0, self.budget), "cost": Entry(0, 1), "step": Entry(0, self.horizon)}

    def respond(self, state: KnapsackState, slates: Ints, luck: Luck) -> tuple[KnapsackState, Outcome]:
        """Pull the arms of slates (B, 1)."""
        B = len(slates)
        after = KnapsackState(np.empty(B, INT), np.empty(B, INT), np.empty(B, INT))
        reward, best, value = np.empty(B), np.empty(B), np.empty(B)
        response = Response(np.empty((B, 1), BOOL), np.empty((B, 1), BOOL))
        pull_rows(
            self._table,
            self._plan,
            self.coupled,
            state.budget,
            state.step,
            slates,
            luck.seed,
            luck.episode,
            luck.step,
            STREAM,
            *after,
            reward,
            *response,
            best,
            value,
        )
        return after, Outcome(reward, np.zeros(B, BOOL), response, best, value)

    def expected_reward(self, state: KnapsackState, slates: Ints) -> Floats:
        """(B,) mu of the arm pulled, 0 once the budget is gone."""
        return np.where(state.budget > 0, self._table[2][slates[:, 0]], 0.0)

    def best_slate(self, state: KnapsackState) -> Ints:
        """(B, 1) the arm of largest Q."""
        every = [self.values(state, np.full((len(state.step), 1), a))[1] for a in range(self.num_items)]
        return np.asarray(np.argmax(every, axis=0)[:, None])

    def values(self, state: KnapsackState, slates: Ints) -> tuple[Floats, Floats]:
        """(B,) V_h(b) and (B,) Q_h(b, a)."""
        best, value = np.empty(len(slates)), np.empty(len(slates))
        values_of_pulls(self._table, self._plan, state.budget, state.step, slates, best, value)
        return best, value

    def arm_means(self, state: KnapsackState) -> Floats:
        """(B, N) expected reward of this round, of every arm; costs are left out."""
        return np.where(state.budget[:, None] > 0, self._table[2], 0.0)

    def optimal_values(self) -> Floats:
        """(H+1, budget+1) V_h(b)."""
        return self._plan.copy()

    @property
    def optimal_value(self) -> float:
        """V_0(B): what the best policy expects of an episode."""
        return float(self._plan[0, self.budget])

    @cached_property
    def lp_value(self) -> float:
        """T times the linear programme of the mean round: at least `optimal_value`."""
        from scipy.optimize import linprog

        mean, cost = self._table[2:]
        rows, bounds = np.stack([np.ones(len(mean)), cost]), [1.0, self.budget / self.horizon]
        return float(-linprog(-mean, A_ub=rows, b_ub=bounds).fun) * self.horizon

    @cached_property
    def _table(self) -> Floats:
        """(4, N) p, size, mu and c of every arm, waiting included."""
        prob, size, cost = (np.append(t, 0.0) for t in (self.reward_prob, self.reward_size, self.cost_prob))
        return np.stack([prob, size, prob * size, cost])

    @cached_property
    def _plan(self) -> Floats:
        plan: Floats = backward_induction(self._table, self.horizon, self.budget)
        return plan


@njit(inline="always")
def _worth(mean: float, cost: float, later: Floats, b: int) -> float:
    """Q_h(b, a) from `later`, V_{h+1}."""
    return mean + cost * later[b - 1] + (1.0 - cost) * later[b]


@njit(cache=True)
def backward_induction(table: Floats, horizon: int, budget: int) -> Floats:
    """V (H+1, budget+1)."""
    mean, cost = table[2], table[3]
    V = np.zeros((horizon + 1, budget + 1))
    for h in range(horizon - 1, -1, -1):
        for b in range(1, budget + 1):
            best = 0.0
            for a in range(len(mean)):
                best = max(best, _worth(mean[a], cost[a], V[h + 1], b))
            V[h, b] = best
    return V


@njit(cache=True)
def values_of_pulls(
    table: Floats,
    plan: Floats,
    budget: Ints,
    step: Ints,
    slates: Ints,
    best_value: Floats,
    slate_value: Floats,
) -> None:
    """Write V_h(b) and Q_h(b, a) of every row, (B,) both; 0 once budget or time is gone."""
    H = len(plan) - 1
    for i in range(len(slates)):
        b, h, a = budget[i], step[i], slates[i, 0]
        best_value[i] = slate_value[i] = 0.0
        if b > 0 and h < H:
            best_value[i] = plan[h, b]
            slate_value[i] = _worth(table[2, a], table[3, a], plan[h + 1], b)


@njit(cache=True)
def pull_rows(
    # the world
    table: Floats,
    plan: Floats,
    coupled: bool,
    # the users, what they are shown and their luck
    budget: Ints,
    step: Ints,
    slates: Ints,
    seed: Array,
    episode: Ints,
    luck_step: Ints,
    stream: int,
    # what is written
    next_budget: Ints,
    next_cost: Ints,
    next_step: Ints,
    reward: Floats,
    clicked: Bools,
    examined: Bools,
    best_value: Floats,
    slate_value: Floats,
) -> None:
    """A whole round in one compiled call, results into arrays of the caller (see `cascade_kernels`)."""
    u = np.empty((2, len(slates)))
    fill_uniform(seed, episode, luck_step, stream, u)
    for i in range(len(slates)):
        a, open_ = slates[i, 0], budget[i] > 0
        earns = open_ and u[0, i] < table[0, a]
        costs = open_ and (u[0, i] if coupled else u[1, i]) < table[3, a]
        reward[i] = table[1, a] if earns else 0.0
        clicked[i, 0], examined[i, 0] = earns, True
        next_cost[i] = 1 if costs else 0
        next_budget[i] = budget[i] - next_cost[i]
        next_step[i] = step[i] + 1
    values_of_pulls(table, plan, budget, step, slates, best_value, slate_value)
