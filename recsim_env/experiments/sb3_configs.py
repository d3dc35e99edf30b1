"""Settings under which algorithms of Stable-Baselines3 are to learn in our worlds, found by hand.

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

from recsim_env.envs.wrappers import Change, DiscreteSlates, Flatten, ProtoItem, ScoresToSlate
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


# CascadeRec-v0: an episode is 20 slates, its end is observed and final: nothing needs a discount. DQN chooses
# among all slates: it gets a ladder of fewer items, with 36 slates, since 1,464 are too many for minutes.
FEW_ITEMS = "num_items=6 slate_size=2"
# SlateRec-v0, InterestDrift-v0: the network is shown the interest and answers with a point among the items.
# The deviation of a new policy, 1, is longer than any feature of an item: a third of it is enough to explore.
POINT = {"policy_kwargs": {"log_std_init": -1.0}}
SEEN = "interest_observed=True"
# all slates of 2 out of 20 items are 400 actions, which DQN can tell apart
SMALL = "num_items=20 slate_size=2 num_categories=5 num_users=200 dimension=8"
DQN = {
    "learning_rate": 1e-3,
    "buffer_size": 100_000,
    "learning_starts": 2_000,
    "batch_size": 256,
    "train_freq": 1,
    "gradient_steps": 4,
    "target_update_interval": 2_000,
    "exploration_fraction": 0.5,
}
SAC = {
    "learning_rate": 1e-3,
    "buffer_size": 100_000,
    "learning_starts": 2_000,
    "train_freq": 1,
    "gradient_steps": 2,
    "policy_kwargs": {"net_arch": [64, 64]},
}
PPO = {"n_steps": 20, "batch_size": 1024, "n_epochs": 4, "learning_rate": 1e-3}
CASCADE_PPO = {"batch_size": 320, "gamma": 1.0, "gae_lambda": 0.95, "ent_coef": 0.003}
CASCADE_A2C = {
    "n_steps": 20,
    "learning_rate": 2e-3,
    "gamma": 1.0,
    "gae_lambda": 0.95,
    "ent_coef": 0.01,
    "normalize_advantage": True,
    "use_rms_prop": False,  # with it, two seeds of three ended below random
}
CASCADE_DQN = {
    "learning_rate": 3e-4,
    "exploration_fraction": 0.4,
    # the target follows the network slowly: copied every so often, the policy swung by a click an episode
    "tau": 0.005,
    "target_update_interval": 64,
    "gamma": 1.0,
}
SLATE_A2C = {"n_steps": 10, "learning_rate": 1e-3, "gae_lambda": 0.9, **POINT}

# Attack-v0: fakes of one item cost least, and a policy that explores too little comes to rest there: short
# rollouts and an entropy bonus lead past it. An episode has 3 steps, its end is observed and final.
ATTACK_PPO = {"n_steps": 12, "batch_size": 256, "gamma": 1.0, "ent_coef": 0.02}

CONFIGS = {
    ("ppo", "CascadeRec-v0"): Config("slate", 64, 160_000, keywords={**PPO, **CASCADE_PPO}),
    ("a2c", "CascadeRec-v0"): Config("slate", 64, 300_000, keywords=CASCADE_A2C),
    ("dqn", "CascadeRec-v0"): Config("number", 64, 300_000, FEW_ITEMS, {**DQN, **CASCADE_DQN}),
    ("sac", "CascadeRec-v0"): Config("scores", 64, 120_000, keywords={**SAC, "gamma": 0.99}),
    ("ppo", "SlateRec-v0"): Config("point", 256, 100_000, keywords={**PPO, **POINT, "gamma": 0.9}),
    ("a2c", "SlateRec-v0"): Config("point", 64, 100_000, keywords={**SLATE_A2C, "gamma": 0.9}),
    ("dqn", "SlateRec-v0"): Config("number", 64, 60_000, SMALL, {**DQN, "gamma": 0.5}),
    ("sac", "SlateRec-v0"): Config("point", 64, 80_000, keywords={**SAC, "gamma": 0.9}),
    ("ppo", "Attack-v0"): Config("slate", 64, 30_000, keywords={**PPO, **ATTACK_PPO}),
    # slates change nothing that lasts: only the clicks of the moment count
    ("ppo", "InterestDrift-v0"): Config("point", 256, 100_000, SEEN, {**PPO, **POINT, "gamma": 0.0}),
    ("a2c", "InterestDrift-v0"): Config("point", 64, 100_000, SEEN, {**SLATE_A2C, "gamma": 0.0}),
    ("dqn", "InterestDrift-v0"): Config("number", 64, 60_000, f"{SMALL} {SEEN}", {**DQN, "gamma": 0.0}),
    ("sac", "InterestDrift-v0"): Config("point", 64, 30_000, SEEN, {**SAC, "gamma": 0.0}),
}


def config_of(algorithm: str, env: str) -> Config:
    """The entry of the table; where there is none, plain settings that nothing is claimed of.

    Raises:
        InputError: an unknown algorithm.
    """
    if algorithm not in ALGORITHMS:
        raise unknown_name("algorithm", algorithm, ALGORITHMS)
    return CONFIGS.get((algorithm, env), Config(ALGORITHMS[algorithm], 64, 200_000))
