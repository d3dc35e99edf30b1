"""A learner on a world, timed: rounds of a replicate per CPU-second, in the loop that these scripts share.

A round is acting, the world's step, what is observed of it, and the update.
"""

import time
from collections.abc import Sequence

import numpy as np

from recsim_env.agents.agent import Agent, Transition
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import World


def rounds(world: World, agent: Agent, B: int, first: int, count: int) -> None:
    """Play rounds first to first + count."""
    users, mine = Luck.from_seeds(np.arange(B)), Luck.from_seeds(np.arange(B) + (1 << 40))
    state = world.begin(users)
    observation = world.observe(state)
    for t in range(first, first + count):
        slates = agent.act(observation, mine.at(t))
        state, o = world.respond(state, slates, users.at(t))
        after = world.observe(state)
        agent.update(Transition(observation, slates, *o.response, o.reward, after, o.left, o.left))
        observation = after


def speed(world: World, agent: Agent, B: int, count: int, stretches: int = 3) -> float:
    """Replicate-rounds per CPU-second: the best stretch of `count` rounds, compiled beforehand."""
    return speeds(world, [agent], B, count, stretches)[0]


def speeds(world: World, agents: Sequence[Agent], B: int, count: int, stretches: int) -> list[float]:
    """The same of several agents that take turns, so that all meet the quiet moments of a shared machine."""
    for agent in agents:
        rounds(world, agent, B, 0, 50)
    best = [0.0] * len(agents)
    for part in range(stretches):
        for i, agent in enumerate(agents):
            start = time.process_time()
            rounds(world, agent, B, 50 + count * part, count)
            best[i] = max(best[i], count * B / (time.process_time() - start))
    return best
