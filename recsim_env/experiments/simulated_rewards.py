"""What items are worth to simulated users, as a learner may ask: a click or none, and how often it asked.

Every user of a pool is in some state of a world. An item is shown to a user alone on a slate, in their state,
which stays as it is; the reward is what the user does then, drawn once. The items of a row meet the user
under the same luck (common random numbers), so that the better one is told sooner; rows are independent,
those of one user too.

What a user is like stays in here: a learner gets numbers of users, and rewards.
"""

from typing import Any

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import ShowsCandidates, World, repeat_rows, take_rows


class SimulatedReward:
    """Numbers of users in the pool (B,), items (B, G) -> rewards (B, G).

    Args:
        world: whose slates have one slot or more.
        state: of P users.
        seed: of what they do, from 0 to below 2^31.

    Attributes:
        queries: rewards that were asked for so far.

    Raises:
        InputError: a world in which a number on a slate is a place among candidates and not an item.
    """

    def __init__(self, world: World, state: Any, seed: int) -> None:
        if isinstance(world, ShowsCandidates):
            raise InputError("the world shows candidates: take one in which every item can be shown")
        self._world, self._state, self._seed = world, state, seed
        self._calls = 0
        self.queries = 0

    def __call__(self, users: Ints, items: Ints) -> Floats:
        """See the class."""
        B, G = items.shape
        slates = np.full((B * G, self._world.slate_size), -1)
        slates[:, 0] = items.ravel()
        self._calls += 1  # an episode of every row: 0 is left to those who are not asked
        luck = Luck.from_seeds(np.arange(B) + (self._seed << 32)).of_episode(self._calls).repeat(G)
        state = repeat_rows(take_rows(self._state, users), G)
        _, outcome = self._world.respond(state, slates, luck)
        self.queries += B * G
        return np.asarray(outcome.reward.reshape(B, G))
