"""A log of `recsim-env log` as RLlib's offline data: a Parquet file of one row for each slate.

    obs, new_obs   (F,) float32 what the user looked like before and after, as rows (`flat.py`)
    actions        (K,) int64 the slate, N in empty slots
    rewards, terminateds, truncateds, eps_id, t

`learn_from` lets an algorithm learn from such a file as `LogData` reads it: whole, in this process, episodes
drawn by a seed. A file too large for that is what RLlib's own reader is for, which streams it over Ray Data:
`config.offline_data(input_=[file])` and nothing else, at the price of a start of many seconds.

Our logs hold no observations: a world is pure, so `log_replay.replay` plays the log again and gives them, and
says so if the log is of another world. The end of an episode is `terminated`, as
in `users.py` (where `step` is observed); of an episode that the log cuts off, the last row is `truncated`.
"""

from pathlib import Path
from typing import Any

import numpy as np
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.offline.offline_data import OfflineData
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch

from recsim_env.errors import InputError
from recsim_env.experiments.files import write_atomically
from recsim_env.experiments.rllib.flat import Flat
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_files import read_log
from recsim_env.simulators.log_replay import replay
from recsim_env.simulators.worlds.world import World


def write_offline_data(log: Log, world: World, flat: Flat, path: Path) -> int:
    """Write the file; returns its number of rows.

    Args:
        log: with seed, episode, step and reward, of this world: whole episodes from their first step.
        world: that the log was made with.
        flat: how observations become rows.
        path: of the file.

    Raises:
        InputError: the log lacks a column, or another world made it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    reward = log.require("reward")
    played = replay(world, log)
    episode, step, seed = log.require("episode"), log.require("step"), log.require("seed")
    follows = np.zeros(len(log), np.bool_)  # the next row goes on with this episode
    follows[:-1] = (seed[1:] == seed[:-1]) & (episode[1:] == episode[:-1]) & (step[1:] == step[:-1] + 1)
    if not len(log):
        raise InputError("log must hold a slate, got none")
    ended = played.left | ((step + 1 >= world.horizon) & ("step" in world.observation_entries()))
    truncated = ~follows & ~ended
    begins = np.append(True, ~follows[:-1])
    columns = {
        "eps_id": pa.array(np.char.mod("%d", np.cumsum(begins))),
        "t": pa.array(step),
        "obs": _lists(flat.rows(played.observation)),
        "new_obs": _lists(flat.rows(played.next_observation)),
        "actions": _lists(np.where(played.slates < 0, world.num_items, played.slates)),
        "rewards": pa.array(reward),
        "terminateds": pa.array(ended),
        "truncateds": pa.array(truncated),
    }
    write_atomically(path, lambda temporary: pq.write_table(pa.table(columns), temporary))
    return len(log)


def _lists(rows: np.ndarray):  # type: ignore[no-untyped-def]
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(rows).reshape(-1)), rows.shape[1])


def learn_from(config: AlgorithmConfig, log: Path, world: World, flat: Flat, folder: Path) -> None:
    """Let the config's algorithm learn from a file of `recsim-env log`.

    Args:
        config: of BC or MARWIL.
        log: the file.
        world: that it was made with.
        flat: how observations become rows.
        folder: where the rows are written, as `rows.parquet`.

    Raises:
        InputError: as `read_log` and `write_offline_data`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_offline_data(read_log(log), world, flat, folder / "rows.parquet")
    config.offline_data(
        input_=[str(folder / "rows.parquet")],
        offline_data_class=LogData,
        dataset_num_iters_per_learner=1,
    )


class LogData(OfflineData):
    """The episodes of a file of `write_offline_data`, in memory; RLlib asks `sample` for each gradient."""

    spaces: Any  # what Algorithm puts here
    learner_handles: Any

    def __init__(self, config: AlgorithmConfig) -> None:
        import pyarrow.parquet as pq

        self.config = config
        self.iter_batches_kwargs: dict[str, Any] = {}
        table = pq.read_table(config.input_[0])
        last = np.asarray(table["terminateds"]) | np.asarray(table["truncateds"])
        self._ends = np.flatnonzero(last) + 1
        self._starts = np.append(0, self._ends[:-1])
        self._columns = {
            name: np.stack(table[name].combine_chunks().flatten().to_numpy().reshape(len(table), -1))
            for name in ("obs", "new_obs", "actions")
        }
        self._rewards = np.asarray(table["rewards"])
        self._terminated = np.asarray(table["terminateds"])
        self._draws = np.random.default_rng(config.seed)
        self._connector: Any = None

    def begin(self, seed: int) -> None:
        """What is drawn from here on depends on the seed alone."""
        self._draws = np.random.default_rng(seed)

    def sample(self, num_samples: int, **_: Any) -> MultiAgentBatch:
        """Whole episodes, drawn with replacement, of `num_samples` rows together or a little more."""
        module = self.learner_handles[0].module
        if self._connector is None:
            self._connector = self.config.build_learner_connector(
                input_observation_space=self.config.observation_space,
                input_action_space=self.config.action_space,
            )
        episodes, rows = [], 0
        while rows < num_samples:
            drawn = int(self._draws.integers(len(self._starts)))
            episodes.append(self._episode(drawn))
            rows += len(episodes[-1])
        batch = self._connector(rl_module=module, batch={}, episodes=episodes, shared_data={}, metrics=None)
        return MultiAgentBatch({m: SampleBatch(columns) for m, columns in batch.items()}, env_steps=rows)

    def _episode(self, number: int) -> SingleAgentEpisode:
        start, end = self._starts[number], self._ends[number]
        seen = np.concatenate([self._columns["obs"][start:end], self._columns["new_obs"][end - 1 : end]])
        ended = bool(self._terminated[end - 1])
        return SingleAgentEpisode(
            observations=list(seen),
            actions=list(self._columns["actions"][start:end]),
            rewards=list(self._rewards[start:end]),
            terminated=ended,
            truncated=not ended,
            len_lookback_buffer=0,
        ).to_numpy()
