"""The documentation page of an environment: its spaces as they are, and the text that its builder carries.

A world's page is the docstring of the function that makes it. What can be read from the live environment
(shapes, bounds, defaults) is never typed into that text, but printed above it here.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from inspect import getdoc, signature
from itertools import groupby
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space

from recsim_env.envs.single_user import SingleUserEnv
from recsim_env.errors import InputError, unknown_name
from recsim_env.simulators.worlds.world import World


def registered_ids() -> list[str]:
    """The environments of this package, in the order in which `recsim_env/__init__.py` lists them."""
    return [
        id for id, spec in gym.registry.items() if str(spec.kwargs.get("world")).startswith("recsim_env.")
    ]


def world_source(source: str) -> tuple[str, dict[str, Any]]:
    """What makes a world, `module:function`, and the parameters that its id was registered with.

    Args:
        source: an id of this package, with or without `recsim_env:`; an id of another package that is
            registered with `SingleUserEnv`, as `gym.make` takes it, such as `their_package:TheirWorld-v0`; or
            `module:function` itself.

    Raises:
        InputError: there is nothing of that name; of ids of this package, the nearest one is named.
    """
    module, _, name = source.rpartition(":")
    if module not in ("", "recsim_env"):
        try:
            found = import_module(module)  # registers its environments
        except ImportError as error:
            raise InputError(
                f"{source}: {module} cannot be imported ({error}): install it, or run where it lies"
            ) from None
        if callable(getattr(found, name, None)):
            return source, {}
    spec = gym.registry.get(name)
    if spec is None:
        if module not in ("", "recsim_env"):
            raise InputError(
                f"{source}: {module} has no function {name} and registers no environment of that id"
            )
        raise unknown_name("environment", name, registered_ids())
    given = dict(spec.kwargs)
    world = given.pop("world", None)
    if not isinstance(world, str):
        raise InputError(
            f"{source} is not an environment of a world: register it with "
            "entry_point='recsim_env.envs.single_user:SingleUserEnv' and kwargs={'world': 'module:function'}"
        )
    return world, given


def builder(env_id: str) -> Callable[..., World]:
    """The function that makes the world of an id; see `world_source`.

    Raises:
        InputError: there is no such id; the nearest one is named.
    """
    module, function = world_source(env_id)[0].split(":")
    build: Callable[..., World] = getattr(import_module(module), function)
    return build


def summary(env_id: str) -> str:
    """The first line of the page: what this environment is about."""
    return (getdoc(builder(env_id)) or "").partition("\n")[0]


def describe(env_id: str) -> str:
    """The page of an id.

    Raises:
        InputError: there is no such id; the nearest one is named.
    """
    build = builder(env_id)
    env_id = env_id.removeprefix("recsim_env:")
    ours = env_id in registered_ids()
    if not ours and env_id.partition(":")[2] not in gym.registry:
        raise InputError(f"{env_id} is not registered with Gymnasium: describe takes an id")
    blocks = [
        f"{env_id}\n{'=' * len(env_id)}",
        "    import gymnasium as gym\n"
        + ("    import recsim_env\n\n" if ours else "\n")
        + f'    env = gym.make("{env_id}")\n'
        f'    envs = gym.make_vec("{env_id}", num_envs=4096)',
        _live(env_id),
        "Parameters of gym.make, with their defaults\n" + _table(_parameters(build)),
        getdoc(build) or "",
    ]
    return "\n\n".join(blocks) + "\n"


def _live(env_id: str) -> str:
    """The table of what the environment with default parameters is, or why there is none."""
    try:
        env = gym.make(env_id).unwrapped
    except InputError as error:
        return f"The spaces are known once the parameters are given:\n    {error}"
    assert isinstance(env, SingleUserEnv)
    spaces: dict[str, Space[Any]] = {"action": env.action_space}
    spaces |= {f"observation {name!r}": space for name, space in env.observation_space.items()}
    rows = [("", "space", "shape", "values")]
    rows += [(name, type(space).__name__, str(space.shape), bounds(space)) for name, space in spaces.items()]
    world = env.world
    sizes = f"{world.num_items} items, slates of {world.slate_size}, episodes of {world.horizon} steps"
    return f"With default parameters: {sizes}\n{_table(rows)}"


def bounds(space: Space[Any]) -> str:
    """The values a space allows, in words.

    >>> bounds(MultiDiscrete([12, 13, 13]))
    '0 to 11, then twice 0 to 12'
    """
    if isinstance(space, Discrete):
        return _range(int(space.start), int(space.n))
    if isinstance(space, MultiDiscrete):
        pairs = zip(np.ravel(space.start).tolist(), np.ravel(space.nvec).tolist(), strict=True)
        return _runs([_range(start, n) for start, n in pairs])
    if isinstance(space, MultiBinary):
        return "0 or 1"
    if isinstance(space, Box):
        return f"{_number(space.low.min())} to {_number(space.high.max())}"
    return str(space)


def _number(value: float) -> str:
    return "infinity" if value == np.inf else f"{value:.4g}"


def _range(start: int, n: int) -> str:
    return f"{start} to {start + n - 1}" if n > 1 else f"always {start}"


def _runs(words: list[str]) -> str:
    """Equal neighbours said once."""
    runs = [(word, len(list(run))) for word, run in groupby(words)]
    times = {1: "", 2: "twice "}
    return ", then ".join(times.get(n, f"{n} times ") + word for word, n in runs)


def _parameters(build: Callable[..., World]) -> list[tuple[str, str]]:
    return [(name, repr(parameter.default)) for name, parameter in signature(build).parameters.items()]


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"    {line}".rstrip() for line in lines)
