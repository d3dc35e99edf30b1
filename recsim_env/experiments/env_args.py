"""The option `--env-arg KEY=VALUE`: a world made from its own parameters, as the command line gives them.

`gym.make` has arguments beside those of the world (max_episode_steps, render_mode, ...); here the parameters
reach the world and nothing else, so what a log records of them is what made it.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

from recsim_env.envs.describe import world_source
from recsim_env.envs.spaces import make_world
from recsim_env.errors import InputError
from recsim_env.simulators.worlds.world import World

CONSTANTS = {"True": True, "False": False, "None": None}  # as `recsim-env describe` prints them
INFINITE = ("inf", "infinity")  # as Python prints it, and as pages call it; JSON has Infinity alone


def add_env_arg(verb: argparse.ArgumentParser) -> None:
    """Add the option to the parser of a command."""
    verb.add_argument(
        "--env-arg",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a parameter of the environment, such as slate_size=5, interest_observed=False or "
        "length_scale=inf; may be repeated; `recsim-env describe ENV` lists them",
    )


def parameters(texts: Sequence[str], option: str = "--env-arg") -> dict[str, Any]:
    """`["slate_size=5", "clicks=cascade"]` -> the parameters by name.

    Args:
        texts: KEY=VALUE each.
        option: of the command line that gave them, for the error.

    Raises:
        InputError: no name or no value; a name that comes twice.
    """
    found: dict[str, Any] = {}
    example = "slate_size=5" if option == "--env-arg" else "learning_rate=0.001"
    for text in texts:
        name, _, value = text.partition("=")
        if not (name and value):
            raise InputError(f"{option} must be KEY=VALUE, such as {example}, got {text!r}")
        if name in found:
            raise InputError(f"{option} gives {name} twice: leave one out")
        found[name] = value_of(value)
    return found


def value_of(text: str) -> Any:
    """What a value stands for: numbers, true, false and null as in JSON, True, False, None, else the text.

    Infinity is inf or infinity, in any case, and may have a minus.
    """
    if text in CONSTANTS:
        return CONSTANTS[text]
    if text.lower().removeprefix("-") in INFINITE:
        return float(text)
    try:
        return json.loads(text)
    except ValueError:
        return text


def world_of(env_id: str, given: Mapping[str, Any]) -> World:
    """The world of an id with these parameters.

    Raises:
        InputError: there is no such id, or a parameter does not fit it.
    """
    source, registered = world_source(env_id)
    try:
        return make_world(source, {**registered, **given})
    except InputError:
        raise
    except (TypeError, ValueError, ArithmeticError) as error:
        shown = " ".join(f"{name}={value}" for name, value in given.items())
        raise InputError(
            f"{shown} does not fit {env_id} ({error}): `recsim-env describe {env_id}` says what does"
        ) from None
