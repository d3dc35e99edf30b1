"""CascadingBPI: explore until a policy is proved good, then play it.

Best policy identification: before every episode it plans with the bonuses BEST of
`optimistic_planning.py`, and stops, row by row, as soon as

    V_up(s_1) - V_low(s_1) <= epsilon        for every first state s_1,

after which the last policy is kept. As V_low is a lower bound of the value of the policy that is played
and V_up an upper bound of V*, the policy is then within epsilon of the optimum with probability
1 - delta (at bonus_scale 1).

This stopping rule is ours: it is valid whenever the two bounds are. The paper stops on a recursion of
its own for the gap, whose constants we could not read; its sample complexity, of order
H^3 S N / epsilon^2 log(1/delta), is for that rule. The constants of the bonuses are from memory of the
paper's Algorithm 3 (after Menard et al., "Fast active learning for pure exploration in RL", ICML 2021).

Feedback: cascade, with the user's state before and after every list.
Bound: none on regret; it stops after of order H^3 S N / epsilon^2 log(1 / delta) episodes (the paper's rule).
Source: Du, Srikant, Chen, "Cascading Reinforcement Learning", ICLR 2024, section 5.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from recsim_env.agents.tabular.cascading_vi import CascadingVI
from recsim_env.agents.tabular.optimistic_planning import BEST
from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class CascadingBPI(CascadingVI):
    """One learner per row; other arguments and attributes as in `CascadingVI`.

    Args:
        num_replicates: B.
        num_states: S.
        num_items: N.
        slate_size: K.
        horizon: H.
        epsilon: how far from the optimum the policy may be, in reward of an episode.
        bonus_scale: multiplies the square root of every logarithm; 1.0 is the theory.
        delta: probability that the policy is not within epsilon, in (0, 1).

    Attributes:
        stopped: (B,) bool.
        episodes: (B,) episodes played before stopping.
    """

    bonus = BEST

    def __init__(
        self,
        num_replicates: int,
        num_states: int,
        num_items: int,
        slate_size: int,
        horizon: int,
        epsilon: float,
        bonus_scale: float = 1.0,
        delta: float = 0.005,
    ) -> None:
        if not epsilon > 0:
            raise InputError(f"epsilon must be positive, got {epsilon}")
        super().__init__(num_replicates, num_states, num_items, slate_size, horizon, 1, bonus_scale, delta)
        self.width = math.log(horizon * num_states * num_items / (delta / 14.0))
        self.epsilon = epsilon
        self.stopped = np.zeros(num_replicates, np.bool_)
        self.episodes = np.zeros(num_replicates, np.int64)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The planned lists, (B, K); plans only for rows that begin an episode and have not stopped."""
        begins = (observation["step"] == 0) & ~self.stopped
        if begins.any():
            self.plan(begins)
            gap = (self.upper_values[:, 0] - self.lower_values[:, 0]).max(axis=1)
            self.stopped |= begins & (gap <= self.epsilon)
            self.episodes += begins & ~self.stopped
        slates: Ints = self.policy[self._rows, observation["step"], observation["state"]]
        return slates
