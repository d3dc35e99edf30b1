"""Which bandit algorithm can act in which world, and the bound that holds of it there."""

from contextlib import suppress
from inspect import signature
from typing import Any

from recsim_env.arrays import Floats, Ints
from recsim_env.envs.describe import builder, registered_ids
from recsim_env.errors import InputError
from recsim_env.experiments.bandit_agents import BANDITS, BanditTask
from recsim_env.experiments.env_args import world_of


def bandits_of(world: Any) -> list[str]:
    """The algorithms that can act in a world."""
    return [name for name in BANDITS if _obstacle(name, world) is None]


def algorithms_by_world() -> dict[str, list[str]]:
    """What can act in each environment with its default parameters; those without a bandit are left out.

    A world that needs a file which is not there is judged by its type alone.
    """
    found = {}
    for env_id in registered_ids():
        kind = signature(builder(env_id)).return_annotation
        fitting = [name for name, agent in BANDITS.items() if issubclass(kind, agent.worlds)]
        if fitting:
            with suppress(InputError):
                fitting = bandits_of(world_of(env_id, {}))
            found[env_id] = fitting
    return found


def bound_of(name: str, task: BanditTask, rounds: Ints) -> Floats | None:
    """(P,) the bound of an algorithm in this world, None where there is none or it does not hold there."""
    bound = BANDITS[name].bound
    if bound is None:
        return None
    try:
        return bound(task, rounds)
    except InputError:
        return None


def check_bandit(name: str, env_id: str, world: Any) -> None:
    """Refuse an algorithm that cannot act in a world, before anything runs.

    Raises:
        InputError: with the reason, and what can act there.
    """
    obstacle = _obstacle(name, world)
    if obstacle is not None:
        raise InputError(f"{name} {obstacle} {env_id}: {', '.join(bandits_of(world))} can act there")


def _obstacle(name: str, world: Any) -> str | None:
    agent = BANDITS[name]
    if not isinstance(world, agent.worlds):
        return "is not made for the feedback of"
    low, high = getattr(world, "reward_range", (0.0, 1.0))
    if agent.unit_rewards and not 0.0 <= low <= high <= 1.0:
        return f"needs rewards from 0 to 1, and they are from {low:g} to {high:g} in"
    return None
