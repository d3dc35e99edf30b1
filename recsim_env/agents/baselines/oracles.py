"""Oracles: agents that are handed a policy of the true world, the ends of every scale.

`Fixed(world.myopic_policy())` shows what earns most now and ignores where a click leads;
`Fixed(world.optimal_policy)` is what regret is measured against.

Feedback: none is used: the policy is given.
Bound: 0 for the optimal policy; none for another one, whose regret grows by the same amount every episode.
"""

from typing import TYPE_CHECKING

from recsim_env.agents.agent import Transition
from recsim_env.arrays import Array, Ints

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class Fixed:
    """Plays a policy table and learns nothing.

    Args:
        policy: (S, K), or (H, S, K) with a list for every step; -1 in unused slots.
    """

    def __init__(self, policy: Ints) -> None:
        self.policy = policy

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The policy's lists, (B, K)."""
        if self.policy.ndim == 2:
            slates: Ints = self.policy[observation["state"]]
        else:
            slates = self.policy[observation["step"], observation["state"]]
        return slates

    def update(self, transition: Transition) -> None:
        """Nothing to learn."""
