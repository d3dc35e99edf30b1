"""CascadingVI: optimistic value iteration that plans lists with `best_permutation`.

Before every episode it plans by backward induction with upper bounds of attraction and worth
(`optimistic_planning.py` has the equations), then plays the optimistic policy. The confidence width is

    L = log(K H S N / delta'),    delta' = delta / 14        (K episodes)

and its regret is of order H sqrt(H S N K), up to logarithms; the lower bound is H sqrt(S N K).

The theory's constants are useless at small K: on the engagement ladder (S=5, N=8, slate 3, H=5) the upper
values stay at their cap for thousands of episodes. `bonus_scale` multiplies sqrt(L): 1.0, the default,
is the theory; demonstrations use 0.1.

Two variants for comparison are the same agent with another part:
`CascadingVIBonus` takes bonuses that do not know the variance, and `CascadingVIOracle` searches all
lists instead of calling `best_permutation`: the same policy, far slower.

Feedback: cascade, with the user's state before and after every list.
Bound: of order H sqrt(H S N E) after E episodes, up to logarithms.
Source: Du, Srikant, Chen, "Cascading Reinforcement Learning", ICLR 2024, Algorithm 2.
"""

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from recsim_env.agents.agent import Transition
from recsim_env.agents.tabular.cascade_model import CascadeModel
from recsim_env.agents.tabular.optimistic_planning import RANGE, VARIANCE, plan
from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError
from recsim_env.user_models.clicks.all_lists import all_lists

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class CascadingVI:
    """One learner per row.

    Args:
        num_replicates: B.
        num_states: S.
        num_items: N.
        slate_size: K.
        horizon: H.
        num_episodes: how many will be played: the bounds hold for all of them together.
        bonus_scale: multiplies sqrt(L); 1.0 is the theory.
        delta: probability that some bound fails, in (0, 1); the paper's experiments use 0.005.
        replan: `episode` plans before every episode, `doubling` only if some count has reached a power
            of two since the last plan, which is rarely worse and much cheaper in long runs.

    Attributes:
        policy: (B, H, S, K), of the last plan.
        upper_values: (B, H+1, S), at least V* with probability 1 - delta at bonus_scale 1.
        lower_values: (B, H+1, S), at most the policy's value likewise.
    """

    bonus = VARIANCE

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
        replan: Literal["episode", "doubling"] = "episode",
    ) -> None:
        if not bonus_scale > 0:
            raise InputError(f"bonus_scale must be positive, got {bonus_scale}")
        if not 0 < delta < 1:
            raise InputError(f"delta must be in (0, 1), got {delta}")
        if replan not in ("episode", "doubling"):
            raise InputError(f"replan must be 'episode' or 'doubling', got {replan!r}")
        B, S, N, H, K = num_replicates, num_states, num_items, horizon, slate_size
        self.width = math.log(num_episodes * H * S * N / (delta / 14.0))
        self.scale = bonus_scale**2
        self.replan = replan
        self.model = CascadeModel(B, S, N)
        self.policy = np.full((B, H, S, K), -1, np.int64)
        self.upper_values = np.zeros((B, H + 1, S))
        self.lower_values = np.zeros((B, H + 1, S))
        self._rows = np.arange(B)
        self._lists = self._lists_to_search(N, K)

    def _lists_to_search(self, num_items: int, slate_size: int) -> Ints:
        return np.empty((0, slate_size), np.int64)  # none: best_permutation needs no search

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The planned lists, (B, K), after planning for the rows that begin an episode."""
        step, state = observation["step"], observation["state"]
        begins = step == 0
        if self.replan == "doubling":
            begins &= self.model.news
        if begins.any():
            self.plan(begins)
        slates: Ints = self.policy[self._rows, step, state]
        return slates

    def update(self, transition: Transition) -> None:
        """Count what was examined and clicked, and where it led."""
        self.model.update(transition)

    def plan(self, rows: Array) -> None:
        """Plan anew for the rows of the mask (B,)."""
        model = self.model
        model.news[rows] = False
        plan(
            rows,
            self.bonus,
            self.width,
            self.scale,
            self._lists,
            model.examinations,
            model.clicks,
            model.moves,
            model.successors,
            model.reward,
            self.policy,
            self.upper_values,
            self.lower_values,
        )


class CascadingVIBonus(CascadingVI):
    """CascadingVI with bonuses that do not know the variance: sqrt(L/n) and H sqrt(L/n)."""

    bonus = RANGE


class CascadingVIOracle(CascadingVI):
    """CascadingVI that goes through all lists in place of `best_permutation`: O(N^K) for O(N log N + N K)."""

    def _lists_to_search(self, num_items: int, slate_size: int) -> Ints:
        return all_lists(num_items, slate_size)
