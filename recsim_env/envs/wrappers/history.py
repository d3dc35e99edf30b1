"""History window: the last H slates, their clicks and rewards, in the observation; the newest stands last.

    history          (H, K) items of the catalogue; N in empty slots, and where the episode is younger than H
    history_clicked  (H, K) 1 where the item was clicked, 0 where it was not and in padding
    history_reward   (H,)   float32, 0 in padding

The items that were clicked are `history[history_clicked == 1]`. A new episode begins with padding alone.
Items are of the catalogue, also where actions are places in a candidate set. The reward is that of the
environment inside: put `RewardShaping` inside to remember the shaped one.
"""

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, MultiBinary, MultiDiscrete, Space

from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.envs.wrappers.change import Change, Info, Observation, Step, entry
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import World

LARGEST = float(np.finfo(np.float32).max)
ENTRIES = ("history", "history_clicked", "history_reward")


class History(Change):
    """See the module.

    Args:
        length: H, 1 or more.

    Raises:
        InputError: a length out of range; a history inside already.
    """

    def __init__(self, length: int) -> None:
        if isinstance(length, bool) or not isinstance(length, int | np.integer) or length < 1:
            raise InputError(f"length must be a whole number from 1, got {length!r}")
        self.length = int(length)

    def bind(
        self, world: World, num_envs: int, action_space: Space[Any], observation_space: Space[Any]
    ) -> None:
        """Three more entries."""
        super().bind(world, num_envs, action_space, observation_space)
        K, N = self.slot_space()
        spaces = self.dict_space().spaces
        if "history" in spaces:
            raise InputError(
                "the observation has a history already, of this world or of a History inside: take one"
            )
        candidates = spaces.get("candidates")
        if isinstance(candidates, MultiDiscrete):  # items of a catalogue of which the places show a part
            N = max(world.catalogue.num_items if hasattr(world, "catalogue") else 0, world.num_items)
        self.N, H = N, self.length
        more = {
            "history": MultiDiscrete(np.full((H, K), N + 1)),
            "history_clicked": MultiBinary([H, K]),
            "history_reward": Box(-LARGEST, LARGEST, (H,), np.float32),
        }
        self.observation_space = Dict({**spaces, **more})
        self.items: Ints = np.full((num_envs, H, K), N)
        self.clicked: Bools = np.zeros((num_envs, H, K), np.bool_)
        self.reward: Floats = np.zeros((num_envs, H))
        self.candidates: Ints | None = None

    def begin(self, rows: Bools) -> None:
        """Nothing has been shown."""
        self.items[rows], self.clicked[rows], self.reward[rows] = self.N, False, 0.0

    def after(self, step: Step) -> tuple[Floats, Info]:
        """One slate more, the oldest forgotten."""
        items = self.shown(step, self.candidates)
        new = np.where(items < 0, self.N, items), step.info["clicked"], step.reward
        for column, newest in zip((self.items, self.clicked, self.reward), new, strict=True):
            column[step.going, :-1] = column[step.going, 1:]
            column[step.going, -1] = newest[step.going]
        return step.reward, {}

    def observe(self, observation: Observation, luck: Luck) -> Observation:
        """With what was shown last."""
        self.candidates = entry(observation, "candidates")
        reward = np.clip(self.reward, -LARGEST, LARGEST).astype(np.float32)
        shown = (self.items.copy(), self.clicked.astype(np.int8), reward)
        return {**observation, **dict(zip(ENTRIES, shown, strict=True))}
