"""What a training has learned, in one `.npz` file that is read without running code.

RLlib's own checkpoints are directories of pickles: even with `use_msgpack=True` the class and its arguments
are a pickle (`class_and_ctor_args.pkl`), and reading a pickle runs what is in it. Here a file holds the
weights of the network, target networks included, what the optimiser keeps for each weight, the mean by which
MARWIL scales advantages, and a JSON text: how far the training is, and of what it is a checkpoint. All else
(config, spaces, classes) is made anew from the run's settings. Not in it are the replay buffer of DQN, which
fills again, and the middle of episodes.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from ray.rllib.algorithms.algorithm import Algorithm

from recsim_env.arrays import Array
from recsim_env.errors import InputError
from recsim_env.experiments.files import write_atomically

FORMAT = 1
COUNTERS = (
    "lifetime_sum",
)  # kinds of RLlib's metrics that learning depends on, such as how much was sampled


def save(path: Path, algorithm: Algorithm, about: dict[str, Any]) -> None:
    """Write a checkpoint, atomically.

    Args:
        path: of the file.
        algorithm: that learns in this process (`num_learners=0`).
        about: what JSON can hold: `task`, which a reader must agree with, `sampled`, the steps so far, and
            what else is to be kept.
    """
    learner = algorithm.learner_group.get_state()["learner"]
    arrays: dict[str, Array] = {}
    for module, weights in learner["rl_module"].items():
        arrays |= {f"weights|{module}|{name}": np.asarray(value) for name, value in weights.items()}
    for optimizer, kept in learner["optimizer"].items():
        for index, buffers in kept["state"]["state"].items():
            arrays |= {f"optimizer|{optimizer}|{index}|{name}": np.asarray(v) for name, v in buffers.items()}
    arrays |= {f"scale|{module}": np.asarray(value) for module, value in _scales(algorithm).items()}
    mine = {"format": FORMAT, "ray": ray.__version__, "counter": _counter(algorithm, about["sampled"])}
    text = json.dumps({**about, **mine}, sort_keys=True)

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, about=np.array(text), **arrays)  # type: ignore[arg-type]

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, write)


def read(path: Path, task: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    """What the file says about itself, and its arrays.

    Args:
        path: of the file.
        task: what the checkpoint must be of: environment, its parameters, algorithm, size of the network.

    Raises:
        InputError: no such file or no checkpoint; one of another version of this package or of Ray, or of
            another task.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(str(arrays.pop("about")))
        found = about["format"], about["ray"], about["task"]
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is not a checkpoint of a training ({error}): delete it to start anew"
        ) from None
    if found[0] != FORMAT:
        raise InputError(
            f"{path} has format {found[0]}, and this version of recsim-env reads {FORMAT}: use the version "
            "that wrote it, or start anew in another --out"
        )
    if found[1] != ray.__version__:
        raise InputError(
            f"{path} was written with ray {found[1]}, and this is {ray.__version__}: pip install "
            f"'ray[rllib]=={found[1]}', or start anew in another --out"
        )
    for name in sorted(task.keys() | found[2].keys()):
        if task.get(name) != found[2].get(name):
            raise InputError(
                f"{path} is a checkpoint of {name} {found[2].get(name)!r}, and {task.get(name)!r} was "
                "asked for"
            )
    return about, arrays


def restore(path: Path, algorithm: Algorithm, task: dict[str, Any]) -> dict[str, Any]:
    """Put a checkpoint into an algorithm built from the same settings; returns what was said about it.

    Raises:
        InputError: as `read`, or the arrays are not those of this network.
    """
    about, arrays = read(path, task)
    now = algorithm.learner_group.get_state()["learner"]
    weights: dict[str, dict[str, Array]] = {}
    optimizers = {
        name: {**kept, "state": {**kept["state"], "state": {}}} for name, kept in now["optimizer"].items()
    }
    for key, value in arrays.items():
        kind, owner, *rest = key.split("|")
        if kind == "weights":
            weights.setdefault(owner, {})[rest[0]] = value
        elif kind == "scale":
            _scales(algorithm)[owner] = torch.as_tensor(value)
        else:
            optimizers[owner]["state"]["state"].setdefault(int(rest[0]), {})[rest[1]] = value
    shapes = {(m, n): np.shape(v) for m, named in weights.items() for n, v in named.items()}
    wanted = {(m, n): np.shape(v) for m, named in now["rl_module"].items() for n, v in named.items()}
    if shapes != wanted:
        odd = sorted(str(key) for key in shapes.keys() | wanted.keys() if shapes.get(key) != wanted.get(key))
        raise InputError(f"{path} is of another network ({odd[0]} differs): start anew in another --out")
    algorithm.learner_group.set_state({"learner": {"rl_module": weights, "optimizer": optimizers}})
    metrics = algorithm.metrics.get_state()
    metrics["stats"] |= about["counter"]
    algorithm.metrics.set_state(metrics)
    if algorithm.env_runner_group is not None:
        algorithm.env_runner_group.sync_weights(
            from_worker_or_learner_group=algorithm.learner_group, inference_only=True
        )
        algorithm.env_runner_group.foreach_env_runner(
            _Sampled(about["sampled"]), local_env_runner=True, timeout_seconds=None
        )
    return about


class _Sampled:
    """Tells an env runner how much was sampled before it was made: DQN explores less and less by it."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __call__(self, env_runner: Any) -> None:
        env_runner.set_state({"num_env_steps_sampled_lifetime": self.steps})


def _scales(algorithm: Algorithm) -> dict[str, Any]:
    """Of MARWIL, the running mean of squared advantages, which RLlib's own state leaves out; else nothing."""
    return getattr(algorithm.learner_group._learner, "moving_avg_sqd_adv_norms_per_module", {})


def _counter(algorithm: Algorithm, sampled: int) -> dict[str, Any]:
    """The steps sampled, in the form of the state of RLlib's metrics."""
    ours = ("num_env_steps_sampled_lifetime", "env_runners--num_env_steps_sampled_lifetime")
    stats = algorithm.metrics.get_state()["stats"]
    counts = {
        key: {**stats[key], "lifetime_sum": sampled, "latest_merged": sampled} for key in ours if key in stats
    }
    return json.loads(json.dumps(counts, default=float))
