"""The cascading Markov decision process: a user with a state looks down the slate and clicks once at most.

In state s the item a attracts with probability q(s,a). The user examines the slate from the top, clicks
the first item that attracts (the cascade), which earns r(s,a), and moves to the next state by
p(.|s, a); without a click, by p(.|s, no click). An episode is H slates. With

    w_h(s,a) = r(s,a) + sum_s' p(s'|s,a) V_{h+1}(s'),      r(s, no click) = 0,
    Q_h(s,A) = f(A; q(s,.), w_h(s,.)),      V_h(s) = max_A Q_h(s,A),      V_H = 0      (h = 0 .. H-1)

the optimum is exact, because `best_permutation` maximises f over all lists.

Source: Du, Srikant, Chen, "Cascading Reinforcement Learning", ICLR 2024, section 3.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck, stream_number
from recsim_env.simulators.worlds.cascade_checks import check_tables
from recsim_env.simulators.worlds.cascade_kernels import (
    policy_backup,
    respond_rows,
    values_of_slates,
)
from recsim_env.simulators.worlds.cascade_planning import optimal_plan
from recsim_env.simulators.worlds.world import Entry, Outcome
from recsim_env.user_models.affinity import present
from recsim_env.user_models.clicks import Cascade, Response, best_permutation

CLICKS = Cascade()
STREAM = stream_number("cascade")
# dtype objects, not types: a third off each allocation of a small array
INT, BOOL = np.dtype(np.int64), np.dtype(np.bool_)


class CascadeState(NamedTuple):
    """Where B users are."""

    user_state: Ints  # (B,) s
    step: Ints  # (B,) h, slates shown so far in this episode


@dataclass(frozen=True)
class CascadeWorld:
    """A cascading MDP of S states and N items, given by its tables.

    Raises:
        InputError: a table of the wrong shape, a probability outside [0, 1] or NaN, a transition row
            that does not sum to 1, a slate size or horizon out of range.
    """

    plans_ahead: ClassVar[bool] = True  # see `World`

    attraction: Floats  # (S, N) q, in [0, 1]
    transition: Floats  # (S, N+1, S) p; column N of the second axis is "no click"
    reward: Floats  # (S, N) r of a click
    slate_size: int  # K, 1 to N
    horizon: int  # H, slates of an episode, 1 or more
    start: Floats | None = None  # (S,) distribution of the first state; uniform by default
    item_names: tuple[str, ...] | None = None  # (N,) for pictures

    def __post_init__(self) -> None:
        check_tables(self)

    @property
    def num_states(self) -> int:
        """S."""
        return self.attraction.shape[0]

    @property
    def num_items(self) -> int:
        """N."""
        return self.attraction.shape[1]

    def begin(self, luck: Luck) -> CascadeState:
        """Users in a first state drawn from `start`."""
        u = luck.uniform("start")
        user_state = np.searchsorted(self._cumulative_start, u, side="right")  # (B,)
        return CascadeState(user_state, np.zeros(len(u), np.int64))

    def observe(self, state: CascadeState) -> dict[str, Array]:
        """The user's state and the step: this MDP is fully observed."""
        return {"state": state.user_state.copy(), "step": state.step.copy()}

    def observation_entries(self) -> dict[str, Entry]:
        """S states; steps 0 to H, where H is seen once, after the last slate."""
        return {"state": Entry(0, self.num_states - 1), "step": Entry(0, self.horizon)}

    def respond(self, state: CascadeState, slates: Ints, luck: Luck) -> tuple[CascadeState, Outcome]:
        """Show slates (B, K), -1 in empty slots; an item shown a second time counts as an empty slot."""
        B, K = slates.shape
        after = CascadeState(np.empty(B, INT), np.empty(B, INT))
        response = Response(np.empty((K, B), BOOL).T, np.empty((K, B), BOOL).T)  # slot by slot in memory
        reward, best, value = np.empty(B), np.empty(B), np.empty(B)
        respond_rows(
            *self._tables,
            state.user_state,
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
        left = np.zeros(B, BOOL)  # nobody leaves: the episode ends at the horizon
        return after, Outcome(reward, left, response, best, value)

    def expected_reward(self, state: CascadeState, slates: Ints) -> Floats:
        """(B,) sum_k P(click at k) r(s, A_k)."""
        attraction, listed = present(self.attraction, state.user_state, slates)
        reward = self.reward[state.user_state[:, None], np.where(listed, slates, 0)]  # (B, K)
        return np.asarray((CLICKS.click_prob(attraction) * reward).sum(axis=1))

    def slate_attraction(self, state: CascadeState, slates: Ints) -> Floats:
        """(B, K) q(s, A_k), 0 in empty slots: the truth behind the clicks, for logs."""
        return np.asarray(present(self.attraction, state.user_state, slates)[0])

    def best_slate(self, state: CascadeState) -> Ints:
        """(B, K) the optimal policy's slate in this state at this step."""
        return np.asarray(self._plan[1][np.minimum(state.step, self.horizon - 1), state.user_state])

    def values(self, state: CascadeState, slates: Ints) -> tuple[Floats, Floats]:
        """(B,) V_h(s) and (B,) Q_h(s, A)."""
        best, value = np.empty(len(slates)), np.empty(len(slates))
        shown, _ = present(self.attraction, state.user_state, slates)
        optimal, _, worth = self._plan
        values_of_slates(worth, optimal, shown, state.user_state, state.step, slates, best, value)
        return best, value

    def optimal_values(self) -> Floats:
        """(H+1, S) V_h(s), by backward induction with `best_permutation`; the last row is 0."""
        return self._plan[0].copy()

    @property
    def optimal_policy(self) -> Ints:
        """(H, S, K) a best list for every step and state, -1 in unused slots."""
        return self._plan[1].copy()

    def policy_values(self, policy: Ints) -> Floats:
        """(H+1, S) exact values of any deterministic policy.

        Args:
            policy: (H, S, K) or (S, K) for one that ignores the step; -1 in empty slots.
        """
        policy = np.asarray(policy, np.int64)
        shape = (self.horizon, self.num_states, self.slate_size)
        if policy.shape not in (shape, shape[1:]):
            raise InputError(f"policy must have shape {shape} or {shape[1:]}, got {policy.shape}")
        if policy.size and not (policy.min() >= -1 and policy.max() < self.num_items):
            raise InputError(
                f"policy must hold items 0-{self.num_items - 1} or -1 for an empty slot, "
                f"got {policy.min()} to {policy.max()}"
            )
        policy = np.ascontiguousarray(np.broadcast_to(policy, shape))
        values: Floats = policy_backup(self.attraction, self.transition, self.reward, policy)
        return values

    def myopic_policy(self) -> Ints:
        """(S, K) the list of largest expected reward of this step alone, in every state."""
        return best_permutation(self.attraction, self.reward, np.zeros(self.num_states), self.slate_size)[0]

    def mean_start_value(self, values: Floats) -> float:
        """The value of an episode, averaged over the first state, from values (H+1, S)."""
        return float(values[0] @ self.start_distribution)

    @property
    def start_distribution(self) -> Floats:
        """(S,) of the first state."""
        return np.full(self.num_states, 1.0 / self.num_states) if self.start is None else self.start

    @cached_property
    def _plan(self) -> tuple[Floats, Ints, Floats]:
        return optimal_plan(self.attraction, self.transition, self.reward, self.slate_size, self.horizon)

    @cached_property
    def _tables(self) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        values, _, worth = self._plan
        return self.attraction, self._cumulative_transition, self.reward, worth, values

    @cached_property
    def _cumulative_start(self) -> Floats:  # (S-1,): a draw above the last entry means the last state
        return np.cumsum(self.start_distribution)[:-1]

    @cached_property
    def _cumulative_transition(self) -> Floats:  # (S, N+1, S-1)
        return np.ascontiguousarray(np.cumsum(self.transition, axis=2)[:, :, :-1])
