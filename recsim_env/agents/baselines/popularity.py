"""Popularity: show the items that were clicked most so far, whatever the user's state.

It explores only while it knows nothing: items with equal clicks are in random order, drawn afresh for every
slate, so the first K items that are clicked stay for ever, and only their order is learned. That is what
makes it the baseline to beat.
"""

from typing import TYPE_CHECKING

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
        self.num_items = num_items

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The K items with most clicks, (B, K)."""
        ties = luck.uniform("popularity", (self.num_items,))  # below the one click that tells two items apart
        slates: Ints = highest(self.counts.clicks.sum(axis=1) + ties, self.slate_size)
        return slates

    def update(self, transition: Transition) -> None:
        """Count the clicks."""
        self.counts.update(transition)
