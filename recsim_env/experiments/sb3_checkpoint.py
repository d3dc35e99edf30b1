"""A model of Stable-Baselines3 on disk, in a file that is read without executing anything.

The library's own `.zip` holds pickled objects: who loads one runs what its author put there. This file is
what `torch.save` writes of tensors, numbers and texts, and is read with `weights_only=True`:

    about       what the model is of, as JSON: environment, parameters, algorithm, versions
    parameters  the networks' and optimisers' states, as `model.get_parameters()` names them
    variables   learned numbers beside the networks, such as SAC's entropy coefficient
    counters    steps and updates so far
    buffer      the replay buffer's arrays, of an off-policy algorithm that goes on
    extra       arrays of the run, such as its curves so far

`about(path)` says what a file is of.
"""

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsim_env.arrays import Array
from recsim_env.errors import InputError, require
from recsim_env.experiments.files import write_atomically

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

COUNTERS = ("num_timesteps", "_n_updates", "_n_calls", "_episode_num")
BUFFER = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def save(
    path: Path,
    model: "BaseAlgorithm",
    about: Mapping[str, Any],
    *,
    buffer: bool = False,
    extra: Mapping[str, Array] | None = None,
) -> None:
    """Write the model atomically.

    Args:
        path: the file.
        model: of any algorithm of the library.
        about: what it is of, as JSON can hold it; `load` refuses a file of anything else.
        buffer: True keeps the replay buffer of an off-policy algorithm, to go on training.
        extra: arrays that `load` gives back.
    """
    import torch

    held = getattr(model, "replay_buffer", None) if buffer else None
    document = {
        "about": json.dumps(dict(about), sort_keys=True),
        "parameters": model.get_parameters(),
        "variables": {name: getattr(model, name).detach() for name in _variables(model)},
        "counters": {name: int(getattr(model, name)) for name in COUNTERS if hasattr(model, name)},
        "buffer": {} if held is None else _buffer_arrays(held),
        "extra": {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in (extra or {}).items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda temporary: torch.save(document, temporary))


def load(path: Path, model: "BaseAlgorithm", expected: Mapping[str, Any]) -> dict[str, Array]:
    """Put what was saved into a model that was made as the saved one was.

    Args:
        path: the file.
        model: of the same algorithm, spaces and network sizes.
        expected: what the file must be of.

    Returns:
        The extra arrays.

    Raises:
        InputError: no such file, not a checkpoint, another environment, parameter, algorithm or version, or
            networks of other sizes.
    """
    document = _read(path)
    found = json.loads(document["about"])
    for name, value in json.loads(json.dumps(dict(expected))).items():
        if found.get(name) != value:
            raise InputError(
                f"{path} is of {name} {found.get(name)!r}, and {value!r} is asked for: train anew, or ask "
                "for what it is of"
            )
    try:
        model.set_parameters(document["parameters"], exact_match=True, device=model.device)
    except (RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise InputError(f"{path} does not fit this model ({first}): train anew") from None
    for name, value in document["variables"].items():
        getattr(model, name).data = value.to(model.device)
    for name, count in document["counters"].items():
        setattr(model, name, count)
    if document["buffer"]:
        _fill(getattr(model, "replay_buffer", None), document["buffer"])
    return {name: tensor.numpy() for name, tensor in document["extra"].items()}


def about(path: Path | str) -> dict[str, Any]:
    """What the model in a file is of.

    Raises:
        InputError: no such file, or not a checkpoint.
    """
    found: dict[str, Any] = json.loads(_read(Path(path))["about"])
    return found


def _read(path: Path) -> dict[str, Any]:
    require("torch", "sb3")
    import torch

    if not path.is_file():
        raise InputError(f"{path} does not exist: give a file that `recsim-env train` wrote")
    try:
        document: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, pickle.UnpicklingError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{path} is no checkpoint of this package ({first}): delete it") from None
    if not isinstance(document, dict) or not {"about", "parameters", "variables"} <= document.keys():
        raise InputError(f"{path} is no checkpoint of this package: delete it")
    return document


def _variables(model: "BaseAlgorithm") -> list[str]:
    return [name for name in model._get_torch_save_params()[1] if getattr(model, name, None) is not None]


def _buffer_arrays(buffer: Any) -> dict[str, Any]:
    """What the buffer holds, and where it goes on."""
    import torch

    filled = buffer.buffer_size if buffer.full else buffer.pos
    kept = [name for name in BUFFER if getattr(buffer, name, None) is not None]
    arrays = {name: torch.from_numpy(getattr(buffer, name)[:filled]) for name in kept}
    return {**arrays, "position": torch.tensor([buffer.pos, int(buffer.full)])}


def _fill(buffer: Any, arrays: dict[str, Any]) -> None:
    position = arrays.pop("position")
    for name, tensor in arrays.items():
        getattr(buffer, name)[: len(tensor)] = tensor.numpy()
    buffer.pos, buffer.full = int(position[0]), bool(position[1])
