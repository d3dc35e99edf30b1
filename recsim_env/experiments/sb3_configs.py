"""Settings under which algorithms of Stable-Baselines3 learn in our worlds, found by hand on two cores.

One entry = one algorithm in one environment: the world's parameters, how the network acts, and the keyword
arguments of the algorithm. `recsim-env train --library sb3 --env ENV --algorithm NAME` takes them; what each
reaches beside random, myopic and optimal slates is in `docs/rl.md`.

How a network acts:

    slate   MultiDiscrete: one number a slot                            PPO, A2C
    number  Discrete: the number of a slate among all (DiscreteSlates)  DQN
    scores  Box: a number for each item (ScoresToSlate)                 SAC, PPO, A2C
    point   Box: a point among the items (ProtoItem)                    SAC, PPO, A2C
"""

from dataclasses import dataclass, field
from typing import Any

from recsim_env.envs.wrappers.change import Change
from recsim_env.envs.wrappers.discrete_slates import DiscreteSlates
from recsim_env.envs.wrappers.flatten import Flatten
from recsim_env.envs.wrappers.proto_item import ProtoItem
from recsim_env.envs.wrappers.scores_to_slate import ScoresToSlate
from recsim_env.errors import unknown_name

ACTIONS = {"slate": (), "number": (DiscreteSlates,), "scores": (ScoresToSlate,), "point": (ProtoItem,)}
ALGORITHMS = {
    "ppo": "slate",
    "a2c": "slate",
    "dqn": "number",
    "sac": "scores",
}  # and how each acts by default


@dataclass(frozen=True)
class Config:
    """How one algorithm is trained in one environment."""

    actions: str  # a key of ACTIONS
    num_envs: int
    steps: int  # environment steps, of all rows together
    world: str = ""  # parameters of the world, as --env-arg gives them
    keywords: dict[str, Any] = field(default_factory=dict)  # of the algorithm's class


def changes(actions: str) -> list[Change]:
    """The wrappers of a way to act, and a flat observation outermost; new ones at every call.

    Raises:
        InputError: an unknown way to act.
    """
    if actions not in ACTIONS:
        raise unknown_name("way to act", actions, ACTIONS)
    return [*(wrapper() for wrapper in ACTIONS[actions]), Flatten()]


PPO = {"n_steps": 20, "batch_size": 1024, "n_epochs": 4, "learning_rate": 1e-3}
CONFIGS = {
    # an episode is 20 slates, its end is observed and final: nothing is discounted
    ("ppo", "CascadeRec-v0"): Config(
        "slate", 256, 1_000_000, keywords={**PPO, "gamma": 1.0, "gae_lambda": 0.95, "ent_coef": 0.01}
    ),
}


def config_of(algorithm: str, env: str) -> Config:
    """The entry of the table; where there is none, plain settings that nothing is claimed of.

    Raises:
        InputError: an unknown algorithm.
    """
    if algorithm not in ALGORITHMS:
        raise unknown_name("algorithm", algorithm, ALGORITHMS)
    return CONFIGS.get((algorithm, env), Config(ALGORITHMS[algorithm], 64, 200_000))
