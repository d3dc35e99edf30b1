"""Corrupted feedback: an agent for arms whose rewards pass through an attacker before it is told of them.

The world pays r, the agent learns r - alpha (`simulators/attackers/reward_corruption.py`), and whatever the
loop records (regret, reward) stays the world's: nothing of the attack enters honest numbers.

Feedback: that of the agent inside, with its rewards changed; clicks are left as they are.
Bound: none: a learner whose regret is o(T) can be made to pull any arm in all but o(T) rounds.
Source: Jun, Li, Ma, Zhu, "Adversarial attacks on stochastic bandits", NeurIPS 2018, section 2.
"""

from typing import TYPE_CHECKING

import numpy as np

from recsim_env.agents.agent import Agent, Transition
from recsim_env.agents.bandits.arm_counts import check_sizes
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.attackers.reward_corruption import RewardCorruption
    from recsim_env.simulators.luck import Luck


class CorruptedFeedback:
    """An agent behind an attacker, one attack per row.

    Args:
        agent: with B rows; it learns from slates of one item and their rewards.
        attack: of its rewards.
        num_replicates: B.
        num_items: N.

    Attributes:
        pulls: (B, N).
        sums: (B, N) of what the world paid.
        taken: (B, N) from the rewards of every arm.

    Raises:
        InputError: a size below its least value, a target that is no arm.
    """

    def __init__(self, agent: Agent, attack: "RewardCorruption", num_replicates: int, num_items: int) -> None:
        check_sizes(num_replicates, num_items)
        if attack.target >= num_items:
            raise InputError(
                f"target {attack.target} is not an arm: there are {num_items} (0-{num_items - 1})"
            )
        self.agent, self.attack = agent, attack
        self.pulls, self.sums, self.taken = np.zeros((3, num_replicates, num_items))

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """What the agent inside does, (B, 1)."""
        return self.agent.act(observation, luck)

    def update(self, transition: Transition) -> None:
        """Let the attack take from the rewards, and tell the agent what is left."""
        told = self.attack.told(transition.slates, transition.reward, self.pulls, self.sums, self.taken)
        self.agent.update(transition._replace(reward=told))

    @property
    def spent(self) -> Floats:
        """(B,) what was taken in all."""
        return np.asarray(self.taken.sum(axis=1))
