"""An agent's state on disk, so that a run that was killed goes on where it was.

All that an agent learns is held in NumPy arrays, its own or those of the parts it is made of; they are
kept in one `.npz` file, which is read without unpickling.
"""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.arrays import Array
from recsim_env.errors import InputError
from recsim_env.experiments.files import write_atomically


def arrays_of(agent: object, prefix: str = "") -> dict[str, tuple[Any, str]]:
    """Name -> (owner, attribute) of every array of an agent, parts included."""
    found: dict[str, tuple[Any, str]] = {}
    for name, value in vars(agent).items():
        if isinstance(value, np.ndarray):
            found[prefix + name] = (agent, name)
        elif hasattr(value, "__dict__") and _is_part(type(value), type(agent)):
            found |= arrays_of(value, f"{prefix}{name}/")
    return found


def _is_part(kind: type, agent: type) -> bool:
    """Whether a class is of the agents here, or of the package that the agent itself comes from."""
    own = agent.__module__.partition(".")[0]
    return (
        kind.__module__.startswith("recsim_env.agents")
        or own == kind.__module__.partition(".")[0] != "recsim_env"
    )


def save(path: Path, agent: object, progress: dict[str, Array]) -> None:
    """Write the agent's arrays and the run's progress."""
    arrays = {f"agent/{name}": getattr(*place) for name, place in arrays_of(agent).items()}
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
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is not a checkpoint ({error}): delete it to start this agent anew"
        ) from None
    places = arrays_of(agent)
    if {f"agent/{name}" for name in places} != {name for name in arrays if name.startswith("agent/")}:
        raise InputError(f"{path} belongs to another agent: delete it to start this agent anew")
    for name, (owner, attribute) in places.items():
        setattr(owner, attribute, arrays.pop(f"agent/{name}"))
    return arrays
