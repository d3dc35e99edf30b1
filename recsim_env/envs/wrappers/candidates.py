"""Candidate sets: at every step M items can be shown, and the agent acts by their places.

Action: a slate of places, 0 to M-1, or M for an empty slot. The observation gains

    candidates   (M,) items of the catalogue; N where there are fewer than M
    action_mask  (M,) 1 where the place may be shown; an empty slot always may, but the first

The candidates are drawn, one uniformly from each of M equal stretches of the catalogue, from the luck of the
user's step (so they do not depend on the batch); or given by a function; or those of a world that has
candidate sets (`gym.make(..., candidates=M)`), whose observation then only gains the mask.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.spaces import Dict, MultiBinary, MultiDiscrete, Space

from recsim_env.arrays import Array, Ints
from recsim_env.envs.spaces import to_slates
from recsim_env.envs.wrappers.change import Change, Observation, items_at
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import ShowsCandidates, World

Source = Callable[[dict[str, Array], Luck], Ints]


class Candidates(Change):
    """See the module.

    Args:
        count: M, the slate size to N; None takes the candidates of a world that has them. source:
        (observation (B, ...), luck) -> (B, M) distinct items, -1 where there are fewer; drawn if None.

    Raises:
        InputError: a count out of range, or none in a world without candidates, or one in a world with them;
            a function that gives something else than items, one twice, or no item at all; an action that
            shows a place of mask 0.
    """

    def __init__(self, count: int | None = None, source: Source | None = None) -> None:
        if source is not None and count is None:
            raise InputError("count must be given with a source: it says how many candidates there are")
        self.count, self.source = count, source

    def bind(
        self, world: World, num_envs: int, action_space: Space[Any], observation_space: Space[Any]
    ) -> None:
        """The action is a slate of places."""
        super().bind(world, num_envs, action_space, observation_space)
        K, self.N = self.slot_space()
        spaces = self.dict_space().spaces
        has_them = isinstance(world, ShowsCandidates) or "candidates" in spaces
        if has_them != (self.count is None):
            raise InputError(
                "count must be left out: this world has candidate sets of its own"
                if has_them
                else "count must be given: this world has no candidate sets of its own"
            )
        self.own = has_them
        M = self.N if self.count is None else self.count
        if isinstance(M, bool) or not isinstance(M, int | np.integer) or not K <= M <= self.N:
            raise InputError(f"count must be from the slate size ({K}) to {self.N} items, got {M!r}")
        self.shape = (num_envs, int(M))
        if not has_them:
            spaces = {**spaces, "candidates": MultiDiscrete(np.full(M, self.N + 1))}
        self.observation_space = Dict({**spaces, "action_mask": MultiBinary(int(M))})
        self.action_space = MultiDiscrete(np.array([M] + [M + 1] * (K - 1)))
        self.slots = (num_envs, K)
        self.now: Ints = np.zeros(
            self.shape, np.int64
        )  # (B, M) candidates of the step, -1 where there is none

    def observe(self, observation: Observation, luck: Luck) -> Observation:
        """The candidates of the step to come, and which places hold one."""
        if self.own:
            return {**observation, "action_mask": np.ones(self.shape, np.int8)}
        if self.source is None:
            edges = np.arange(self.shape[1] + 1) * self.N // self.shape[1]  # of the stretches
            u = luck.uniform("wrapper candidates", self.shape[1:])
            self.now = edges[:-1] + (u * np.diff(edges)).astype(np.int64)
        else:
            self.now = self._given(self.source(observation, luck))
        shown = np.where(self.now < 0, self.N, self.now)
        return {**observation, "candidates": shown, "action_mask": (self.now >= 0).astype(np.int8)}

    def act(self, actions: Array) -> Array:
        """Slates of items, of slates of places."""
        places = to_slates(np.asarray(actions), self.slots, self.shape[1])
        if self.own:
            return np.where(places < 0, self.N, places)
        items = items_at(self.now, places)
        bad = (items < 0) & (places >= 0)
        if bad.any():
            row, slot = np.argwhere(bad)[0]
            raise InputError(
                f"slates[{row}, {slot}] = {places[row, slot]} may not be shown now: its action_mask is 0"
            )
        return np.where(items < 0, self.N, items)

    def _given(self, candidates: Ints) -> Ints:
        """(B, M) of the function, checked."""
        given = np.asarray(candidates)
        if given.shape != self.shape or given.dtype.kind not in "iu":
            raise InputError(
                f"source must give integers of shape {self.shape}, got {given.dtype} {given.shape}"
            )
        given = given.astype(np.int64)
        if given.min() < -1 or given.max() >= self.N:
            row, place = np.argwhere((given < -1) | (given >= self.N))[0]
            raise InputError(
                f"source gave candidates[{row}, {place}] = {given[row, place]}, which is not an item: "
                f"the catalogue has {self.N} items (0-{self.N - 1}); -1 where there are fewer"
            )
        none = (given < 0).all(axis=1)
        if none.any():
            raise InputError(
                f"source gave no candidate for row {np.argmax(none)}: a mask with no legal action; give one "
                "item at least"
            )
        ordered = np.sort(given, axis=1)
        twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
        if twice.any():
            raise InputError(f"source gave row {np.argmax(twice)} one item twice: candidates are distinct")
        return given
