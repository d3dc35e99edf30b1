"""What a trained policy is held against: policies that learn nothing, some of which are told the truth.

    random    a uniformly random full slate
    popular   the K items that attract the average user most, to everyone at every step; told the truth of the
              items, not of the user. Where the world says how items attract, and shows the whole catalogue
    myopic    the slate that earns most now; told the truth. Of cascading worlds, where it is not the best one
    optimal   what regret is measured against; told the truth, and where the world plans ahead, of the future

In `SlateRec-v0` and `InterestDrift-v0` the myopic slate is the optimal one: slates change nothing that lasts,
or the slate with most clicks also keeps most users. Nothing can be better there than myopic.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.envs.batched import BatchedEnv
from recsim_env.experiments.policy_metrics import measure
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.cascade import CascadeWorld
from recsim_env.simulators.worlds.world import ShowsCandidates, World

AVERAGED = 1000  # users over whom `popular` takes the mean
BLOCK = 64  # items whose attraction is asked for at once


def measure_baselines(world: World, *, episodes: int, seed: int) -> dict[str, dict[str, Floats]]:
    """What `measure` finds of every baseline that this world has, by name: on the users of this seed."""
    return {name: played(episodes=episodes, seed=seed) for name, played in _baselines(world).items()}


def _baselines(world: World) -> dict[str, Callable[..., dict[str, Floats]]]:
    found: dict[str, Callable[..., dict[str, Floats]]] = {"random": partial(_measure_random, world)}
    if hasattr(world, "slate_attraction") and not isinstance(world, ShowsCandidates):
        found["popular"] = partial(_measure_popular, world)
    if isinstance(world, CascadeWorld):
        found["myopic"] = partial(_measure_myopic, world)
    return {**found, "optimal": partial(_measure_optimal, world)}


def _measure_random(world: World, *, episodes: int, seed: int) -> dict[str, Floats]:
    rng = np.random.default_rng(seed)
    N, K = world.num_items, world.slate_size
    return measure(
        lambda _: np.argsort(rng.random((episodes, N)), axis=1)[:, :K], world, episodes=episodes, seed=seed
    )


def _measure_popular(world: World, *, episodes: int, seed: int) -> dict[str, Floats]:
    slates = np.tile(popular_slate(world), (episodes, 1))
    return measure(lambda _: slates, world, episodes=episodes, seed=seed)


def _measure_myopic(world: CascadeWorld, *, episodes: int, seed: int) -> dict[str, Floats]:
    policy = world.myopic_policy()
    return measure(lambda observation: policy[observation["state"]], world, episodes=episodes, seed=seed)


def _measure_optimal(world: World, *, episodes: int, seed: int) -> dict[str, Floats]:
    inside: list[BatchedEnv] = []

    def look_inside(env: BatchedEnv) -> BatchedEnv:
        inside.append(env)
        return env

    return measure(lambda _: inside[0].best_slates(), world, episodes=episodes, seed=seed, wrap=look_inside)


def popular_slate(world: Any) -> Ints:
    """(K,) the items that attract most in the mean over fresh users, most attractive first."""
    users = world.begin(Luck.from_seeds(range(AVERAGED)))
    every = np.arange(world.num_items)
    blocks = [every[start : start + BLOCK] for start in range(0, len(every), BLOCK)]
    mean: Array = np.concatenate(
        [world.slate_attraction(users, np.tile(block, (AVERAGED, 1))).mean(axis=0) for block in blocks]
    )
    return np.asarray(np.argsort(-mean, kind="stable")[: world.slate_size])
