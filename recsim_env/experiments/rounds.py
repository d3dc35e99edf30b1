"""An agent on a world, in memory and without Gymnasium: the shortest loops, for notebooks and tests.

`run.py` does the same with checkpoints, for runs that take longer than a coffee.
"""

from typing import Any, NamedTuple

import numpy as np

from recsim_env.agents.agent import Agent, Transition
from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck

AGENT_LUCK = 1 << 63  # added to the seed of a replicate: the agent's luck is not that of its user


class Rounds(NamedTuple):
    """What happened in T rounds of B replicates."""

    slates: Ints  # (T, B, K) what was shown
    reward: Floats  # (T, B) of every round
    regret: Floats  # (T, B) cumulative pseudo-regret


def play_rounds(
    world: Any, agent: Agent, num_replicates: int, rounds: int | None = None, seed: int = 0
) -> Rounds:
    """Let an agent play the first rounds of one episode.

    Args:
        world: a `World`.
        agent: with as many rows as there are replicates.
        num_replicates: B, at least 1.
        rounds: T, 1 to the world's horizon, which is the default.
        seed: of replicate 0; replicate i has seed + i.

    Raises:
        InputError: a number out of range.
    """
    T = world.horizon if rounds is None else rounds
    if not 1 <= T <= world.horizon:
        raise InputError(f"rounds must be from 1 to the world's horizon, {world.horizon}, got {T}")
    user, mine = _lucks(num_replicates, seed)
    return _play(world, agent, user, mine, T)


def play_episodes(world: Any, agent: Agent, num_replicates: int, episodes: int, seed: int = 0) -> Floats:
    """Let an agent play whole episodes; (E, B) its cumulative pseudo-regret after each of them.

    Args:
        world: a `World`.
        agent: with as many rows as there are replicates.
        num_replicates: B, at least 1.
        episodes: E, at least 1.
        seed: of replicate 0; replicate i has seed + i.

    Raises:
        InputError: a number out of range.
    """
    if episodes < 1:
        raise InputError(f"episodes must be at least 1, got {episodes}")
    user, mine = _lucks(num_replicates, seed)
    lost = [
        _play(world, agent, user.of_episode(e), mine.of_episode(e), world.horizon).regret[-1]
        for e in range(episodes)
    ]
    return np.cumsum(lost, axis=0)


def _lucks(num_replicates: int, seed: int) -> tuple[Luck, Luck]:
    """Of the users, and of the agents that face them."""
    if num_replicates < 1:
        raise InputError(f"num_replicates must be at least 1, got {num_replicates}")
    seeds = range(seed, seed + num_replicates)
    return Luck.from_seeds(seeds), Luck.from_seeds([AGENT_LUCK + s for s in seeds])


def _play(world: Any, agent: Agent, user: Luck, mine: Luck, T: int) -> Rounds:
    B = len(user)
    state = world.begin(user)
    observation = world.observe(state)
    slates = np.empty((T, B, world.slate_size), np.int64)
    reward, lost = np.empty((T, B)), np.empty((T, B))
    uncut = np.zeros(B, np.bool_)  # no round is a time limit
    for t in range(T):
        slates[t] = agent.act(observation, mine.at(t))
        state, o = world.respond(state, slates[t], user.at(t))
        after = world.observe(state)
        clicked, examined = o.response
        agent.update(Transition(observation, slates[t], clicked, examined, o.reward, after, o.left, uncut))
        observation = after
        reward[t], lost[t] = o.reward, o.best_value - o.slate_value
    return Rounds(slates, reward, np.cumsum(lost, axis=0))
