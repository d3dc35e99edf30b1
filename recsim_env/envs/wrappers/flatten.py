"""Flattening: the Dict observation as one Box(float32), for libraries and networks that take nothing else.

Entry after entry, in the order of the space, cell after cell:

    real numbers, flags                     as they are, not scaled
    whole numbers of n values, n <= limit   one-hot, n numbers
    items of the catalogue, more of them    the D features of the item; zeros for an empty slot
    other whole numbers, such as a user     scaled to [0, 1], v / (n - 1)

`layout` says what stands where. Items are the entries `slate`, `history`, `partial_slate` and `candidates`
(of places in a candidate set, which change their meaning at every step, the first two hold items all the
same). This is not Gymnasium's FlattenObservation, which makes one-hot vectors of everything: 10,010 numbers
for a slate of 10 out of 1,000 items.
"""

from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space

from recsim_env.arrays import Array
from recsim_env.envs.wrappers.change import Change, Observation
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import World

ITEMS = ("slate", "history", "partial_slate", "candidates")
LARGEST = float(np.finfo(np.float32).max)


class Part(NamedTuple):
    """Where an entry stands in the flat observation."""

    entry: str
    start: int
    stop: int
    how: str  # as_is, one_hot, features or scaled
    values: int  # n of whole numbers, else 0


class Flatten(Change):
    """See the module.

    Args:
        most_one_hot: the limit, 0 (nothing is one-hot) or more.

    Raises:
        InputError: a limit below 0; an observation that is no dictionary, or holds another space.
    """

    def __init__(self, most_one_hot: int = 64) -> None:
        if isinstance(most_one_hot, bool) or not isinstance(most_one_hot, int) or most_one_hot < 0:
            raise InputError(f"most_one_hot must be a whole number from 0, got {most_one_hot!r}")
        self.most_one_hot = most_one_hot

    def bind(
        self, world: World, num_envs: int, action_space: Space[Any], observation_space: Space[Any]
    ) -> None:
        """One Box."""
        super().bind(world, num_envs, action_space, observation_space)
        catalogue = getattr(world, "catalogue", None)
        features = None if catalogue is None else np.asarray(catalogue.features, np.float32)
        self.features: Array | None = None
        if features is not None:  # one row more: an empty slot
            self.features = np.concatenate([features, np.zeros_like(features[:1])])
        low, high, self.layout = [], [], []
        start = 0
        for name, space in self.dict_space().spaces.items():
            how, values = self._how(name, space)
            size = int(np.prod(space.shape or (), dtype=np.int64))
            if how == "as_is":
                bounds = (space.low, space.high) if isinstance(space, Box) else (0.0, 1.0)
                low.append(np.broadcast_to(bounds[0], space.shape or ()).reshape(-1))
                high.append(np.broadcast_to(bounds[1], space.shape or ()).reshape(-1))
            else:
                size *= {"one_hot": values, "scaled": 1, "features": self._dimension}[how]
                bound = LARGEST if how == "features" else 1.0
                if how == "features" and self.features is not None:
                    bound = float(np.abs(self.features).max())
                low.append(np.full(size, -bound if how == "features" else 0.0))
                high.append(np.full(size, bound))
            self.layout.append(Part(name, start, start + size, how, values))
            start += size
        self.observation_space = Box(
            np.concatenate(low).astype(np.float32), np.concatenate(high).astype(np.float32), dtype=np.float32
        )

    @property
    def _dimension(self) -> int:
        return 0 if self.features is None else self.features.shape[1]

    def _how(self, name: str, space: Space[Any]) -> tuple[str, int]:
        if isinstance(space, Box | MultiBinary):
            return "as_is", 0
        if not isinstance(space, Discrete | MultiDiscrete):
            raise InputError(f"observation {name!r} must be numbers, flags or whole numbers, got {space}")
        values = int(np.max(space.n if isinstance(space, Discrete) else space.nvec))
        if values <= self.most_one_hot:
            return "one_hot", values
        items = name in ITEMS and self.features is not None and values == len(self.features)
        return ("features" if items else "scaled"), values

    def observe(self, observation: Observation, luck: Luck) -> Array:
        """(B, size) float32."""
        flat = np.empty((self.num_envs, self.layout[-1].stop), np.float32)
        for part in self.layout:
            cells = np.asarray(observation[part.entry]).reshape(self.num_envs, -1)
            place = flat[:, part.start : part.stop]
            if part.how == "as_is":
                place[:] = cells
            elif part.how == "one_hot":
                hot = cells[:, :, None] == np.arange(part.values)
                place[:] = hot.reshape(self.num_envs, -1)
            elif part.how == "features":
                assert self.features is not None
                place[:] = self.features[cells].reshape(self.num_envs, -1)
            else:
                place[:] = cells / (part.values - 1)
        return flat
