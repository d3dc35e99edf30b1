"""A generated log as a Minari data set, the format of offline reinforcement learning next to Gymnasium.

One episode of the log is one episode there: observations (T + 1) by playing the log again (`log_replay`),
actions as the environment takes them (item N in an empty slot), rewards, terminations, truncations, and
infos `clicked`, `examined` and, where the policy stated it, `log_propensity`, with a row of zeros in front
for the reset. `env.reset(seed=episode.seed, options=episode.options)` begins the very same episode. An
episode that the log cuts short ends as truncated. The true attraction is left out: it is hidden.

Needs the extra `minari`: pip install "recsim-env[minari]". Tried with Minari 0.5.4.
"""

from typing import Any

import numpy as np

from recsim_env.arrays import Array
from recsim_env.errors import InputError, require
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_replay import replay


def export_minari(log: Log, dataset_id: str, **about: Any) -> Any:
    """Write the log into Minari's local directory (MINARI_DATASETS_PATH, or ~/.minari/datasets).

    All episodes are held in memory as Python objects: meant for up to some 100,000 of them.

    Args:
        log: whole, made by `recsim-env log` or `generate_log` with `env_id` (and `env_args`) in its metadata.
        dataset_id: such as `cascade-rec/random-v0`.
        about: what else Minari records, such as author, author_email, code_permalink; it warns without them.

    Returns:
        The `minari.MinariDataset`.

    Raises:
        InputError: Minari is not installed, or refuses the id, for instance because it is taken; the log
            names no environment, or does not fit it.
    """
    require("minari", "minari")
    import gymnasium as gym
    import minari
    from minari.data_collector import EpisodeBuffer

    env_id = log.metadata.get("env_id")
    if env_id is None:
        raise InputError(
            "log does not say which environment it is of: "
            "give generate_log the metadata {'env_id': ..., 'env_args': {...}}"
        )
    if not len(log):
        raise InputError("log must hold an episode, got no rows")
    env = gym.make(env_id, **log.metadata.get("env_args", {}))
    columns, ends = _columns(log, env.unwrapped.world)  # type: ignore[attr-defined]
    buffers: list[Any] = []
    for start, end in zip(np.append(0, ends[:-1]), ends, strict=True):
        rows = slice(start, end)
        buffers.append(
            EpisodeBuffer(
                id=len(buffers),
                seed=int(log.require("seed")[start]),
                options={"episode": int(log.require("episode")[start])},
                observations={
                    name: np.append(before[rows], after[end - 1 : end], axis=0)
                    for name, (before, after) in columns["observation"].items()
                },
                actions=columns["action"][rows],
                rewards=columns["reward"][rows],
                terminations=columns["left"][rows],
                truncations=columns["truncated"][rows],
                infos={
                    name: np.append(np.zeros_like(info[:1]), info[rows], axis=0)
                    for name, info in columns["info"].items()
                },
            )
        )
    try:
        dataset = minari.create_dataset_from_buffers(
            dataset_id,
            buffers,
            env=env,
            eval_env=env,
            algorithm_name=str(log.metadata.get("agent", log.metadata.get("policy", "unknown"))),
            description=f"{len(buffers)} episodes of {env_id}, from a log of recsim-env",
            **about,
        )
    except ValueError as error:
        raise InputError(f"dataset_id = {dataset_id!r} is refused by Minari: {error}") from None
    env.close()  # type: ignore[no-untyped-call]
    return dataset


def _columns(log: Log, world: Any) -> tuple[dict[str, Any], Array]:
    """The columns that episodes are cut from, and the row after the end of each episode."""
    played = replay(world, log)
    step = log.require("step")
    last = np.append(step[1:] == 0, True)
    infos = {
        name: log.columns()[name]
        for name in ("clicked", "examined", "log_propensity")
        if name in log.columns()
    }
    return {
        "observation": {
            name: (before, played.next_observation[name]) for name, before in played.observation.items()
        },
        "action": np.where(played.slates < 0, world.num_items, played.slates),
        "reward": log.require("reward"),
        "left": played.left,
        "truncated": last & ~played.left,
        "info": infos,
    }, np.flatnonzero(last) + 1
