"""Every slate a number: for libraries whose actions are Discrete, such as DQN, and catalogues that are small.

Action: Discrete(L), the number of a list of 1 to K distinct items among all of them (`lists`, short ones
first). L = sum_{l <= K} N! / (N - l)! is 1,464 for 12 items and 3 slots, and 34 million for 70 items and 4: a
catalogue that makes more than 100,000 lists is refused.
"""

import math
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete, Space

from recsim_env.arrays import Array, Ints
from recsim_env.envs.wrappers.change import Change
from recsim_env.errors import InputError
from recsim_env.simulators.worlds.world import World
from recsim_env.user_models.clicks.all_lists import all_lists

MOST_ACTIONS = 100_000


class DiscreteSlates(Change):
    """See the module.

    Raises:
        InputError: more than 100,000 lists; an action that is not the number of one.
    """

    def bind(
        self, world: World, num_envs: int, action_space: Space[Any], observation_space: Space[Any]
    ) -> None:
        """The action is one number."""
        super().bind(world, num_envs, action_space, observation_space)
        K, self.N = self.slot_space()
        count = sum(math.perm(self.N, length) for length in range(1, K + 1))
        if count > MOST_ACTIONS:
            raise InputError(
                f"{self.N} items in {K} slots make {count:,} slates, more than {MOST_ACTIONS:,}: put "
                "Candidates of fewer items inside, or act slot by slot (OneSlot) or by scores (ScoresToSlate)"
            )
        self.lists = all_lists(self.N, K)  # (L, K), -1 in unused slots
        self.weights = (self.N + 1) ** np.arange(K)
        keys = (self.lists + 1) @ self.weights
        self._order = np.argsort(keys)
        self._keys = keys[self._order]
        self.action_space = Discrete(count)

    def act(self, actions: Array) -> Array:
        """Slates (B, K) of numbers (B,)."""
        number = np.asarray(actions)
        if number.shape != (self.num_envs,) or number.dtype.kind not in "iu":
            raise InputError(
                f"actions must be integers of shape ({self.num_envs},), got {number.dtype} {number.shape}"
            )
        L = len(self.lists)
        if number.min() < 0 or number.max() >= L:
            bad = number[(number < 0) | (number >= L)][0]
            raise InputError(f"action {bad} is not a slate: there are {L:,} (0-{L - 1})")
        slates = self.lists[number]
        return np.where(slates < 0, self.N, slates)

    def numbers(self, slates: Ints) -> Ints:
        """(B,) the actions that show slates (B, K) of distinct items, N or -1 in unused trailing slots.

        Raises:
            InputError: a slate that is none of the lists.
        """
        given = np.asarray(slates)
        keys = (np.where(given == self.N, -1, given) + 1) @ self.weights
        found = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        number = self._order[found]
        wrong = (self._keys[found] != keys) | (
            np.where(given == self.N, -1, given) != self.lists[number]
        ).any(1)
        if wrong.any():
            raise InputError(f"slates[{np.argmax(wrong)}] = {given[np.argmax(wrong)]} is none of the lists")
        return number
