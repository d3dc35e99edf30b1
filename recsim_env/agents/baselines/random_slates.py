"""Random: a uniformly random full list, every time."""

from typing import TYPE_CHECKING

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.cascade_counts import highest
from recsim_env.arrays import Array, Ints

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class RandomSlates:
    """Shows K distinct items in random order; learns nothing.

    Args:
        num_items: N.
        slate_size: K.
    """

    def __init__(self, num_items: int, slate_size: int) -> None:
        self.num_items = num_items
        self.slate_size = slate_size

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The K items of largest uniform draw, (B, K)."""
        slates: Ints = highest(luck.uniform("random_slates", (self.num_items,)), self.slate_size)
        return slates

    def update(self, transition: Transition) -> None:
        """Nothing to learn."""
