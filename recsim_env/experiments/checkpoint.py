"""An agent's state on disk, so that a run that was killed goes on where it was.

All that an agent learns is held in NumPy arrays, its own or those of the parts it is made of, or in networks,
optimisers (moments and step counts) and generators of PyTorch; they are kept in one `.npz` file, which is
read without unpickling:

    agent/<part>/<attribute>            an array
    torch/<part>/<attribute>/<name>     a tensor of a network's `state_dict`
    torch/<part>/<attribute>/<i>/<name> what an optimiser knows of its parameter i, without its settings
    torch/<part>/<attribute>/generator  the state of a generator
"""

import sys
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.arrays import Array
from recsim_env.errors import InputError
from recsim_env.experiments.files import read_arrays, write_atomically


def arrays_of(agent: object, prefix: str = "") -> dict[str, tuple[Any, str]]:
    """Name -> (owner, attribute) of every NumPy array of an agent, parts included."""
    found: dict[str, tuple[Any, str]] = {}
    for name, value in vars(agent).items():
        if isinstance(value, np.ndarray):
            found[prefix + name] = (agent, name)
        elif _is_torch(value):
            continue
        elif hasattr(value, "__dict__") and _is_part(type(value), type(agent)):
            found |= arrays_of(value, f"{prefix}{name}/")
    return found


def tensors_of(agent: object) -> dict[str, dict[str, Array]]:
    """By name, the arrays of every network, optimiser and generator of an agent, parts included: views."""
    return {name: _arrays(part) for name, part in _torch_parts(agent, "").items()}


def _torch_parts(agent: object, prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in vars(agent).items():
        if _is_torch(value):
            found[prefix + name] = value
        elif hasattr(value, "__dict__") and _is_part(type(value), type(agent)):
            found |= _torch_parts(value, f"{prefix}{name}/")
    return found


def _is_torch(value: object) -> bool:
    """Whether this is a network, an optimiser or a generator; whoever has one has imported torch."""
    torch = sys.modules.get("torch")
    kinds = () if torch is None else (torch.nn.Module, torch.optim.Optimizer, torch.Generator)
    return isinstance(value, kinds)


def _arrays(part: Any) -> dict[str, Array]:
    if hasattr(part, "get_state"):
        return {"generator": part.get_state().cpu().numpy()}
    state = part.state_dict()
    if "param_groups" not in state:
        return {name: tensor.cpu().numpy() for name, tensor in state.items()}
    return {
        f"{i}/{name}": value.cpu().numpy()
        for i, known in state["state"].items()
        for name, value in known.items()
    }


def _put_back(part: Any, arrays: dict[str, Array]) -> None:
    """The reverse of `_arrays`.

    Raises:
        KeyError, RuntimeError: the arrays are those of another network.
    """
    import torch

    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    if hasattr(part, "set_state"):
        part.set_state(tensors["generator"])
    elif isinstance(part, torch.nn.Module):
        part.load_state_dict(tensors)
    else:
        state: dict[int, dict[str, Any]] = {}
        for name, tensor in tensors.items():
            i, _, quantity = name.partition("/")
            state.setdefault(int(i), {})[quantity] = tensor
        part.load_state_dict({"state": state, "param_groups": part.state_dict()["param_groups"]})


def _is_part(kind: type, agent: type) -> bool:
    """Whether a class is of the agents here, or of the package that the agent itself comes from.

    What is frozen is not learned: data to learn from.
    """
    if is_dataclass(kind) and kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return False
    own = agent.__module__.partition(".")[0]
    return (
        kind.__module__.startswith("recsim_env.agents")
        or own == kind.__module__.partition(".")[0] != "recsim_env"
    )


def save(path: Path, agent: object, progress: dict[str, Array]) -> None:
    """Write the agent's arrays and the run's progress."""
    arrays = {f"agent/{name}": getattr(*place) for name, place in arrays_of(agent).items()}
    for part, tensors in tensors_of(agent).items():
        arrays |= {f"torch/{part}/{name}": array for name, array in tensors.items()}
    path.parent.mkdir(exist_ok=True)

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, **arrays, **progress)  # type: ignore[arg-type]

    write_atomically(path, write)


def load(path: Path, agent: object) -> dict[str, Array]:
    """Put the arrays back into the agent; returns the progress.

    Raises:
        InputError: the file is not a checkpoint of this agent.
    """
    try:
        arrays = read_arrays(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is not a checkpoint ({error}): delete it to start this agent anew"
        ) from None
    places = arrays_of(agent)
    if {f"agent/{name}" for name in places} != {name for name in arrays if name.startswith("agent/")}:
        raise InputError(f"{path} belongs to another agent: delete it to start this agent anew")
    for name, part in _torch_parts(agent, "").items():
        begin = f"torch/{name}/"
        theirs = {
            name.removeprefix(begin): arrays.pop(name) for name in list(arrays) if name.startswith(begin)
        }
        try:
            _put_back(part, theirs)
        except (KeyError, RuntimeError):
            raise InputError(f"{path} belongs to another agent: delete it to start this agent anew") from None
    if any(name.startswith("torch/") for name in arrays):
        raise InputError(f"{path} belongs to another agent: delete it to start this agent anew")
    for name, (owner, attribute) in places.items():
        setattr(owner, attribute, arrays.pop(f"agent/{name}"))
    return arrays
