"""Agents that make logs, by name: those of the experiments, and those that state their propensities.

Which of them work in a world depends on what the world can tell: `IN_ANY` ask for its best slate at most,
`WHERE_ITEMS_ATTRACT` for the attraction of every item, `IN_CASCADES` for the tables of a cascading world.
"""

from typing import Any

import numpy as np

from recsim_env.agents.baselines.logging_policies import EpsilonGreedySlates, PlackettLuceSlates
from recsim_env.agents.baselines.popularity import Popularity
from recsim_env.agents.baselines.random_slates import RandomSlates
from recsim_env.errors import InputError
from recsim_env.experiments.agents import AGENTS, Task
from recsim_env.simulators.worlds.cascade import CascadeWorld
from recsim_env.simulators.worlds.world import num_rows, repeat_rows

EPSILON = 0.2  # of epsilon_best and epsilon_myopic: share of slots that are random
BONUS_SCALE = 0.1  # of the agents that plan, as in the experiments
SHARPNESS = 2.0  # of plackett_luce: odds of an item go with attraction^2
FAINTEST = 1e-3  # attraction of plackett_luce's items, at least, so that every item can be shown
AT_ONCE = 10  # items of which plackett_luce asks the attraction in one slate

IN_ANY = ("random", "popularity", "epsilon_best")
WHERE_ITEMS_ATTRACT = ("plackett_luce",)
IN_CASCADES = (*(name for name in AGENTS if name not in IN_ANY), "epsilon_myopic")
LOG_AGENTS = (*IN_ANY, *WHERE_ITEMS_ATTRACT, *IN_CASCADES)


def log_agent(name: str, env_id: str, world: Any, num_users: int, steps: int) -> Any:
    """An agent for B users.

    Args:
        name: one of `LOG_AGENTS`.
        env_id: of the world, for messages.
        world: that it acts in.
        num_users: B.
        steps: slates shown to each.

    Raises:
        InputError: the agent does not work in this world.
    """
    N, K = world.num_items, world.slate_size
    if name in IN_CASCADES and not isinstance(world, CascadeWorld):
        raise InputError(
            f"{name} needs a cascading world, which {env_id} is not: {', '.join(IN_ANY)} work in any"
        )
    if name in WHERE_ITEMS_ATTRACT and not hasattr(world, "slate_attraction"):
        raise InputError(
            f"{name} needs a world whose items attract one by one, which {env_id} is not: "
            f"{', '.join(IN_ANY)} work in any"
        )
    if name == "random":
        return RandomSlates(N, K)
    if name == "popularity":
        return Popularity(num_users, N, K)
    if name == "epsilon_best":
        return EpsilonGreedySlates(world.best_slate, N, EPSILON)
    if name == "epsilon_myopic":
        return EpsilonGreedySlates(world.myopic_policy(), N, EPSILON)
    if name == "plackett_luce":
        return _plackett_luce(world)
    return AGENTS[name](Task(world, num_users, -(-steps // world.horizon), BONUS_SCALE))


def _plackett_luce(world: Any) -> PlackettLuceSlates:
    """Lists by the true attraction of every item, of which the world is asked in slates."""
    N = world.num_items
    every = np.resize(np.arange(N), (-(-N // AT_ONCE), AT_ONCE))

    def scores(state: Any) -> Any:  # (B, N)
        B, G = num_rows(state), len(every)
        attraction = world.slate_attraction(repeat_rows(state, G), np.tile(every, (B, 1)))
        return SHARPNESS * np.log(np.maximum(attraction.reshape(B, -1)[:, :N], FAINTEST))

    return PlackettLuceSlates(scores, world.slate_size)
