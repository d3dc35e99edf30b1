"""One slot at a time: K steps build one slate, so that an agent chooses one item a step.

    step 1 .. K-1 of a slate   the item goes into the next slot; reward 0, nothing happens to the user
    step K                     the slate is shown: reward, info and the next observation of the environment

Action: Discrete(N), the item of the next slot. An item that is in the slate already leaves the slot empty, as
in every world here. The observation gains

    slot           0 to K-1, the slot that is filled next
    partial_slate  (K,) what was chosen so far, N in empty slots and those to come
    action_mask    (N,) 0 where the item is in the slate already, or the mask of `Candidates` inside is 0;
                   all 1 where nothing is left to show: any choice then leaves the slot empty

An episode has K times as many steps; discount with gamma^(1/K) to mean the same. All rows are in the same
slot, which NEXT_STEP, where a row spends a step on its reset alone, does not allow: there wrap the single
environments, one by one. Between slates `info` holds zeros.
"""

from typing import Any

import numpy as np
from gymnasium.spaces import Dict, Discrete, MultiBinary, MultiDiscrete, Space
from gymnasium.vector import AutoresetMode, VectorEnv

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.envs.wrappers.change import (
    ONE,
    Change,
    ChangedEnv,
    ChangedVectorEnv,
    Info,
    Observation,
    _only,
    _rows,
)
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import World


class OneSlotEnv(ChangedEnv):
    """One user: see the module."""

    change: "OneSlot"

    def __init__(self, env: Any, change: "OneSlot") -> None:
        super().__init__(env, change)
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, Info]:
        """Begin an episode, with an empty slate."""
        self._over = False
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, Info]:
        """Fill one slot; show the slate if it was the last one."""
        if self._over:
            raise InputError("the episode is over or has not begun: call reset() first")
        change = self.change
        change.choose(np.asarray(action)[None])
        if change.slot < change.K:
            return _only(change.again()), 0.0, False, False, _only(change.no_info())
        slate = change.partial[0].copy()
        change.begin(ONE)
        observation, reward, terminated, truncated, info = self.env.step(slate)
        self._over = terminated or truncated
        seen = _only(change.observe(_rows(observation), self.inner.luck))
        return seen, float(reward), terminated, truncated, info


class OneSlotVectorEnv(ChangedVectorEnv):
    """Many users, all in the same slot: see the module."""

    change: "OneSlot"

    def __init__(self, env: VectorEnv[Any, Any, Any], change: "OneSlot") -> None:
        if env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP:
            raise InputError(
                "autoreset_mode must be SAME_STEP or DISABLED around OneSlot, got NEXT_STEP: a row that only "
                "resets would fall out of step with the others; or wrap single environments, one by one"
            )
        super().__init__(env, change)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Observation, Info]:
        """Begin episodes, with empty slates."""
        mask = np.asarray((options or {}).get("reset_mask", True))
        if self.change.slot and not mask.all():
            raise InputError(
                f"reset_mask must be of all rows in the middle of a slate (slot {self.change.slot}): rows "
                "stay in the same slot"
            )
        return super().reset(seed=seed, options=options)

    def step(self, actions: Array) -> tuple[Observation, Floats, Bools, Bools, Info]:  # type: ignore[override]
        """Fill one slot of every slate; show the slates if it was the last one."""
        if self._over.any():
            raise InputError(
                f"the episode of row {np.argmax(self._over)} is over: call "
                "reset(options={'reset_mask': rows})"
            )
        change = self.change
        change.choose(np.asarray(actions))
        if change.slot < change.K:
            no = np.zeros(self.num_envs, np.bool_)
            return change.again(), np.zeros(self.num_envs), no, no.copy(), change.no_info()
        slates = change.partial.copy()
        change.begin(np.ones(self.num_envs, np.bool_))
        observation, reward, terminated, truncated, info = self.env.step(slates)
        if "final_obs" in info:
            info = {**info, "final_obs": change.observe(info["final_obs"], self.inner.luck)}
        else:
            self._over = terminated | truncated
        return change.observe(observation, self.inner.luck), reward, terminated, truncated, info


class OneSlot(Change):
    """See the module.

    Raises:
        InputError: a vector environment in NEXT_STEP; an action that the mask of `Candidates` forbids; a
            reset of some rows in the middle of a slate.
    """

    single_face = OneSlotEnv
    vector_face = OneSlotVectorEnv

    def bind(
        self, world: World, num_envs: int, action_space: Space[Any], observation_space: Space[Any]
    ) -> None:
        """The action is one item."""
        super().bind(world, num_envs, action_space, observation_space)
        self.K, self.N = self.slot_space()
        more = {
            "slot": Discrete(self.K),
            "partial_slate": MultiDiscrete(np.full(self.K, self.N + 1)),
            "action_mask": MultiBinary(self.N),
        }
        self.observation_space = Dict({**self.dict_space().spaces, **more})
        self.action_space = Discrete(self.N)
        self.slot = 0
        self.partial: Ints = np.full((num_envs, self.K), self.N)
        self.allowed = np.ones((num_envs, self.N), np.bool_)  # but for what is in the slate
        self.seen: dict[str, Array] = {}

    def begin(self, rows: Bools) -> None:
        """Empty slates; all rows at once, or none has begun one."""
        self.partial[rows], self.slot = self.N, 0

    def observe(self, observation: Observation, luck: Luck) -> Observation:
        """Before the first slot."""
        self.seen = observation
        mask = observation.get("action_mask")
        if mask is not None:
            self.allowed = mask.astype(np.bool_)
        return self.again()

    def again(self) -> Observation:
        """The same user, and the slate as it is now."""
        more = {
            "slot": np.full(self.num_envs, self.slot),
            "partial_slate": self.partial.copy(),
            "action_mask": self.mask().astype(np.int8),
        }
        return {**{name: np.array(value) for name, value in self.seen.items()}, **more}

    def left(self) -> Bools:
        """(B, N) what is allowed and not yet in the slate."""
        left = np.concatenate([self.allowed, self.allowed[:, :1]], axis=1)  # a column for empty slots
        np.put_along_axis(left, self.partial, False, axis=1)
        return left[:, : self.N]

    def mask(self) -> Bools:
        """(B, N) what may be chosen."""
        left = self.left()
        return left | ~left.any(axis=1, keepdims=True)

    def choose(self, actions: Array) -> None:
        """Put an item (B,) into the next slot."""
        number = np.asarray(actions)
        if number.shape != (self.num_envs,) or number.dtype.kind not in "iu":
            raise InputError(
                f"actions must be integers of shape ({self.num_envs},), got {number.dtype} {number.shape}"
            )
        if number.min() < 0 or number.max() >= self.N:
            row = int(np.argmax((number < 0) | (number >= self.N)))
            raise InputError(
                f"actions[{row}] = {number[row]} is not an item: there are {self.N} (0-{self.N - 1})"
            )
        place, left = number[:, None].astype(np.int64), self.left()
        forbidden = ~np.take_along_axis(self.allowed, place, axis=1)[:, 0] & left.any(axis=1)
        if forbidden.any():
            row = int(np.argmax(forbidden))
            raise InputError(f"actions[{row}] = {number[row]} may not be shown now: its action_mask is 0")
        number = np.where(np.take_along_axis(left, place, axis=1)[:, 0], number, self.N)
        self.partial[:, self.slot] = number
        self.slot += 1

    def no_info(self) -> Info:
        """What the users did between two slates: nothing."""
        B, K = self.num_envs, self.K
        return {
            "clicked": np.zeros((B, K), np.bool_),
            "examined": np.zeros((B, K), np.bool_),
            "best_value": np.zeros(B),
            "slate_value": np.zeros(B),
        }
