"""Scores -> slate: the agent gives every item a number, and the K largest are shown, largest first.

    A_k = the item of the k-th largest score;  of equal scores the lower number stands first

Action: Box(-1, 1, (N,), float32), the range that libraries of continuous control ask for; only the order
counts, so any number is taken, infinities too. Where the observation has an `action_mask` (N,), such as
behind `Candidates`, items of mask 0 are never shown, and slots for which no item is left stay empty.
"""

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Space
from numba import njit

from recsim_env.arrays import Array, Bools, Ints
from recsim_env.envs.wrappers.change import Change, Observation, entry, numbers
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import World


class ScoresToSlate(Change):
    """See the module.

    Raises:
        InputError: scores of another shape, NaN among them.
    """

    def bind(
        self, world: World, num_envs: int, action_space: Space[Any], observation_space: Space[Any]
    ) -> None:
        """The action is a score for each of N items."""
        super().bind(world, num_envs, action_space, observation_space)
        self.K, self.N = self.slot_space()
        self.action_space = Box(-1.0, 1.0, (self.N,), np.float32)
        self.allowed = np.ones((num_envs, self.N), np.bool_)

    def observe(self, observation: Observation, luck: Luck) -> Observation:
        """Keeps the mask."""
        mask = entry(observation, "action_mask")
        if mask is not None:
            self.allowed = mask.astype(np.bool_)
        return observation

    def act(self, actions: Array) -> Array:
        """Slates (B, K) of scores (B, N)."""
        scores = numbers(actions, (self.num_envs, self.N), "scores")
        return highest_allowed(np.ascontiguousarray(scores), self.allowed, self.K)


@njit(cache=True)
def highest_allowed(scores: Array, allowed: Bools, K: int) -> Ints:
    """(B, K) places of the largest allowed scores (B, N), ties by the lower place; N where none is left."""
    B, N = scores.shape
    slates, best = np.full((B, K), N), np.empty(K, scores.dtype)
    for b in range(B):
        found = 0
        for i in range(N):
            score = scores[b, i]
            if allowed[b, i] and (found < K or score > best[K - 1]):
                k = min(found, K - 1)
                while k > 0 and best[k - 1] < score:
                    best[k], slates[b, k] = best[k - 1], slates[b, k - 1]
                    k -= 1
                best[k], slates[b, k] = score, i
                found = min(found + 1, K)
    return slates
