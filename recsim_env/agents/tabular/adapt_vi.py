"""AdaptVI: value iteration that takes every list for an atomic action, and so learns each by itself.

With L(N, K) lists of 1 to K items, n visits of list A in state s, mean reward r^ and successors p^,

    Q_up = r^ + b_r + p^ V_up + b_w,       V_up = min(max_A Q_up, H - h),      Q_up = H - h where n = 0
    b_r = min( 2 sqrt(r^(1-r^) L/n) + 5 L/n, 1 )
    b_w = min( 2 sqrt(Var_p^(V_up) L/n) + 2 sqrt(p^ (V_up-V_low)^2 L/n) + 5 H L/n, H ),  V_low likewise
    L = log(K H S |A| / delta'),    delta' = delta / 14

It does not know that lists share items: regret grows with the number of lists (1,464 for 12 items and 3
slots). It stands here to be beaten; while a state has a list never tried, that list is shown there.

Feedback: cascade, with the user's state before and after every list.
Bound: of order H sqrt(H S M E) after E episodes, with M lists, up to logarithms (that of value iteration on
    lists; not stated for this form).
Source: the comparison "AdaptVI" of Du, Srikant, Chen, "Cascading Reinforcement Learning", ICLR 2024,
    section 6; the form of its bonuses is ours, those of CascadingVI on whole lists.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.tabular.optimistic_planning import VARIANCE, attraction_bonus, moments, worth_bonus
from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.user_models.clicks.all_lists import all_lists

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class AdaptVI:
    """One learner per row; arguments as in `CascadingVI`.

    Attributes:
        lists: (L, K) the actions, -1 in unused slots.
        visits: (B, S, L), and total reward (B, S, L) and successors (B, S, L, S) of them.
        policy: (B, H, S) numbers of lists.
        upper_values: (B, H+1, S), and lower_values.
    """

    def __init__(
        self,
        num_replicates: int,
        num_states: int,
        num_items: int,
        slate_size: int,
        horizon: int,
        num_episodes: int,
        bonus_scale: float = 1.0,
        delta: float = 0.005,
    ) -> None:
        if not bonus_scale > 0:
            raise InputError(f"bonus_scale must be positive, got {bonus_scale}")
        if not 0 < delta < 1:
            raise InputError(f"delta must be in (0, 1), got {delta}")
        self.lists = all_lists(num_items, slate_size)
        B, S, H, L = num_replicates, num_states, horizon, len(self.lists)
        self.width = bonus_scale**2 * math.log(num_episodes * H * S * L / (delta / 14.0))
        self.visits = np.zeros((B, S, L))
        self.total_reward = np.zeros((B, S, L))
        self.successors = np.zeros((B, S, L, S))
        self.policy = np.zeros((B, H, S), np.int64)
        self.upper_values = np.zeros((B, H + 1, S))
        self.lower_values = np.zeros((B, H + 1, S))
        self.untried = np.zeros((B, S), np.int64)  # lists are first tried in the order of their numbers
        self.shown = np.zeros(B, np.int64)  # number of the list on show
        self._rows = np.arange(B)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The planned lists, (B, K), after planning for the rows that begin an episode."""
        step, state = observation["step"], observation["state"]
        begins = step == 0
        if begins.any():
            _plan(
                begins,
                self.width,
                self.visits,
                self.total_reward,
                self.successors,
                self.untried,
                self.policy,
                self.upper_values,
                self.lower_values,
            )
        self.shown = self.policy[self._rows, step, state]
        slates: Ints = self.lists[self.shown]
        return slates

    def update(self, transition: Transition) -> None:
        """Count the list, its reward and where it led."""
        cell = (self._rows, transition.observation["state"], self.shown)
        self.visits[cell] += 1.0
        self.total_reward[cell] += transition.reward
        self.successors[(*cell, transition.next_observation["state"])] += 1.0
        self.untried[cell[:2]] = np.maximum(self.untried[cell[:2]], self.shown + 1)


@njit(cache=True)
def _plan(
    rows: Bools,
    width: float,
    visits: Floats,
    total_reward: Floats,
    successors: Floats,
    untried: Ints,
    policy: Ints,
    upper: Floats,
    lower: Floats,
) -> None:
    _, H, S = policy.shape
    L = visits.shape[2]
    r_up, r_low = np.empty((S, L)), np.empty((S, L))
    for b in range(len(rows)):
        if not rows[b]:
            continue
        for s in range(S):
            if untried[b, s] == L:
                for a in range(L):
                    n = visits[b, s, a]
                    r = total_reward[b, s, a] / n
                    b_r = attraction_bonus(VARIANCE, r, n, width, 1.0)
                    r_up[s, a], r_low[s, a] = r + b_r, r - b_r
        for h in range(H - 1, -1, -1):
            V_up, V_low = upper[b, h + 1], lower[b, h + 1]
            most, spread, gap_most = V_up.max(), V_up.max() - V_up.min(), (V_up - V_low).max()
            for s in range(S):
                if untried[b, s] < L:  # its upper value is the cap, which no other list can pass
                    policy[b, h, s] = untried[b, s]
                    upper[b, h, s], lower[b, h, s] = H - h, 0.0
                    continue
                best, best_up, best_low = 0, -1.0, 0.0
                for a in range(L):
                    n = visits[b, s, a]
                    # at most this, whatever the successors: most lists need no closer look
                    most_b_w = worth_bonus(
                        VARIANCE, 0.0, 0.25 * spread * spread, gap_most * gap_most, 0.0, n, width, 1.0, H, S
                    )
                    if r_up[s, a] + most + most_b_w <= best_up:
                        continue
                    mean, square, gap, low = moments(successors[b, s, a], n, V_up, V_low)
                    b_w = worth_bonus(VARIANCE, mean, square, gap, low, n, width, 1.0, H, S)
                    if r_up[s, a] + mean + b_w > best_up:
                        best, best_up, best_low = a, r_up[s, a] + mean + b_w, r_low[s, a] + low - b_w
                policy[b, h, s] = best
                upper[b, h, s], lower[b, h, s] = min(best_up, H - h), max(best_low, 0.0)
