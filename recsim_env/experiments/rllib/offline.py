"""A log of `recsim-env log` as RLlib's offline data: a Parquet file of one row for each slate.

    obs, new_obs   (F,) float32 what the user looked like before and after, as rows (`flat.py`)
    actions        (K,) int64 the slate, N in empty slots
    rewards, terminateds, truncateds, eps_id, t

Our logs hold no observations: a world is pure, so `log_replay.replay` plays the log again and gives them, and
says so if the log is of another world. Where the world plans ahead, the end of an episode is `terminated`, as
in `users.py`; of an episode that the log cuts off, the last row is `truncated`.
"""

from pathlib import Path

import numpy as np

from recsim_env.errors import InputError
from recsim_env.experiments.files import write_atomically
from recsim_env.experiments.rllib.flat import Flat
from recsim_env.simulators.log import Log
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
    ended = played.left | ((step + 1 >= world.horizon) & world.plans_ahead)
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
