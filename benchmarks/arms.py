"""Bandits with arms in lock-step: rounds of a replicate per CPU-second. 60 s: python benchmarks/arms.py

A round is acting, the world's step and the update, on 10 arms with means 0.1 to 0.9, for 1,000 replicates at
once and for one alone. Limit: the world's step alone.
"""

import time
from collections.abc import Callable

import numpy as np
from timing import header, row, seconds

from recsim_env.agents.agent import Agent, Transition
from recsim_env.agents.bandits.beta_ts import BetaTS
from recsim_env.agents.bandits.ucb1 import UCB1
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.bernoulli_bandit import bernoulli_bandit
from recsim_env.simulators.worlds.world import World

AGENTS: tuple[tuple[Callable[[int, int], Agent], str], ...] = ((UCB1, "20 M"), (BetaTS, "2 M"))


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


def speed(world: World, agent: Agent, B: int, count: int) -> float:
    """Replicate-rounds per CPU-second, the best of three parts."""
    rounds(world, agent, B, 0, 50)
    best = 0.0
    for part in range(3):
        start = time.process_time()
        rounds(world, agent, B, 50 + count * part, count)
        best = max(best, count * B / (time.process_time() - start))
    return best


def main() -> None:
    """Print the table."""
    header()
    for B, count in ((1000, 2000), (1, 20_000)):
        world, luck = bernoulli_bandit(horizon=10**6), Luck.from_seeds(np.arange(B))
        state, slates = world.begin(luck), np.zeros((B, 1), np.int64)
        step = B / seconds(lambda: world.respond(state, slates, luck))  # noqa: B023
        for make, at_least in AGENTS:
            found = speed(world, make(B, 10), B, count)
            row(
                f"{make.__name__}, {B} at once: replicate-rounds/s",
                f"{found / 1e6:.3g} M",
                at_least if B > 1 else "0.05 M",
                f"the world's step alone {step / 1e6:.3g} M",
            )


if __name__ == "__main__":
    main()
