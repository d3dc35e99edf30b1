"""Popularity: show the items that were clicked most so far, whatever the user's state.

It never explores: what is shown first gets the first clicks and stays, which is what makes it the
baseline to beat. Items with equal clicks are in the random order of each replicate.
"""

from typing import TYPE_CHECKING

import numpy as np

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.cascade_counts import CascadeCounts, highest
from recsim_env.arrays import Array, Ints

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class Popularity:
    """One learner per row; arguments as in `CascadeUCB`."""

    def __init__(self, num_replicates: int, num_states: int, num_items: int, slate_size: int) -> None:
        self.slate_size = slate_size
        self.counts = CascadeCounts(num_replicates, num_states, num_items)
        self.ties = np.zeros((num_replicates, num_items))

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The K items with most clicks, (B, K)."""
        if not self.ties.any():
            self.ties = luck.uniform("popularity/ties", self.ties.shape[1:]).copy()
        slates: Ints = highest(self.counts.clicks.sum(axis=1) + self.ties, self.slate_size)
        return slates

    def update(self, transition: Transition) -> None:
        """Count the clicks."""
        self.counts.update(transition)
