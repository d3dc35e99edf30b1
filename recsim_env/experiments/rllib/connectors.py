"""Dict observations -> rows, as a connector of RLlib: `env_to_module_connector=flat_observations`.

RLlib's own `FlattenObservations` does the same user by user and entry by entry; this one takes the whole
batch at once (see `flat.py` for what becomes of each entry).
"""

from typing import Any

import numpy as np
from gymnasium.spaces import Dict, Space
from ray.rllib.connectors.connector_v2 import ConnectorV2

from recsim_env.experiments.rllib.flat import Flat


class FlatObservations(ConnectorV2):
    """Replaces the last observation of every episode by its row."""

    def recompute_output_observation_space(
        self, input_observation_space: Space[Any], input_action_space: Space[Any]
    ) -> Space[Any]:
        """A Box of as many numbers as a row has."""
        assert isinstance(input_observation_space, Dict)
        self._flat = Flat(input_observation_space, input_action_space)
        return self._flat.space

    def __call__(self, *, batch: Any, episodes: Any, **_: Any) -> Any:
        """See the class; the default connector after it puts the rows into the batch."""
        begun = [episode for episode in episodes if episode.is_reset]
        if begun:
            played = [episode.observations.data for episode in begun]  # lists: their getters cost a step
            stacked = {name: np.array([rows[-1][name] for rows in played]) for name in played[0][-1]}
            for episode, rows, row in zip(begun, played, self._flat.rows(stacked), strict=True):
                episode.observation_space = self._flat.space
                rows[-1] = row
        return batch


def flat_observations(env: Any = None, spaces: Any = None, device: Any = None) -> FlatObservations:
    """What `env_to_module_connector` wants."""
    return FlatObservations()
