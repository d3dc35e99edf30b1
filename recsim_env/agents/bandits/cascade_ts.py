"""CascadeTS: Thompson sampling with a Beta posterior for every item.

    theta_e ~ Beta(1 + W_e, 1 + T_e - W_e),

independent over items, with T_e examinations and W_e clicks; the list is the K items of largest theta,
in descending order. The learner is myopic: one table for each user state.

Feedback: cascade: the slots down to the first click, and which of them was clicked.
Bound: O(sum over items outside the best K of ln T / gap).
Source: "CTS" in Zhong, Cheung, Tan, "Thompson sampling algorithms for cascading bandits", JMLR 22, 2021.
"""

from typing import TYPE_CHECKING

import numpy as np

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.cascade_counts import CascadeCounts, highest
from recsim_env.agents.bandits.item_counts import check_slate_sizes
from recsim_env.arrays import Array, Ints

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class CascadeTS:
    """One learner per row; arguments as in `CascadeUCB`."""

    def __init__(self, num_replicates: int, num_states: int, num_items: int, slate_size: int) -> None:
        check_slate_sizes(num_replicates, num_items, slate_size)
        self.slate_size = slate_size
        self.counts = CascadeCounts(num_replicates, num_states, num_items)
        self._rows = np.arange(num_replicates)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The K items of largest posterior draw, (B, K)."""
        W = self.counts.clicks[self._rows, observation["state"]]  # (B, N)
        T = self.counts.examinations[self._rows, observation["state"]]
        theta = luck.beta("cascade_ts", 1.0 + W, 1.0 + T - W)
        slates: Ints = highest(theta, self.slate_size)
        return slates

    def update(self, transition: Transition) -> None:
        """Count what was examined and clicked."""
        self.counts.update(transition)
