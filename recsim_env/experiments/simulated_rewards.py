"""What items are worth to simulated users, as a learner may ask: a click or none, and how often it asked.

Every user of a pool is in some state of a world. An item is shown to a user alone on a slate, in their state,
which stays as it is; the reward is what the user does then, drawn once. All items that are asked about at
once meet a user under the same luck (common random numbers), so that the better one is told sooner.

What a user is like stays in here: a learner gets numbers of users, and rewards.
"""

from typing import Any

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import World, repeat_rows, take_rows


class SimulatedReward:
    """Numbers of users in the pool (B,), items (B, G) -> rewards (B, G).

    Args:
        world: whose slates have one slot or more.
        state: of P users.
        seed: of what they do.

    Attributes:
        queries: rewards that were asked for so far.
    """

    def __init__(self, world: World, state: Any, seed: int) -> None:
        self._world, self._state, self._seed = world, state, seed
        self._calls = 0
        self.queries = 0

    def __call__(self, users: Ints, items: Ints) -> Floats:
        """See the class."""
        B, G = items.shape
        slates = np.full((B * G, self._world.slate_size), -1)
        slates[:, 0] = items.ravel()
        luck = Luck.from_seeds(users + (self._seed << 32)).at(self._calls).repeat(G)
        state = repeat_rows(take_rows(self._state, users), G)
        _, outcome = self._world.respond(state, slates, luck)
        self._calls += 1
        self.queries += B * G
        return np.asarray(outcome.reward.reshape(B, G))
