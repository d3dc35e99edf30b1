"""Popularity: show the items that were clicked most so far, whoever the user is.

It explores only while it knows nothing: items with equal clicks are in random order, drawn afresh for every
slate, so the first K items that are clicked stay for ever, and only their order is learned. That is what
makes it the baseline to beat.

Feedback: the clicks on what was shown.
Bound: none: it can settle on the wrong items, and its regret then grows by the same amount every round.
"""

from typing import TYPE_CHECKING

import numpy as np

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.cascade_counts import highest
from recsim_env.arrays import Array, Ints

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class Popularity:
    """One learner per row, in any world of slates.

    Args:
        num_replicates: B.
        num_items: N.
        slate_size: K.
    """

    def __init__(self, num_replicates: int, num_items: int, slate_size: int) -> None:
        self.slate_size = slate_size
        self.clicks = np.zeros((num_replicates, num_items))

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The K items with most clicks, (B, K)."""
        ties = luck.uniform(
            "popularity", self.clicks.shape[1:]
        )  # below the one click that tells two items apart
        slates: Ints = highest(self.clicks + ties, self.slate_size)
        return slates

    def update(self, transition: Transition) -> None:
        """Count the clicks."""
        row, slot = np.nonzero(transition.clicked)
        self.clicks[row, transition.slates[row, slot]] += 1.0  # no item stands twice on a slate
