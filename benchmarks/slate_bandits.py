"""Bandits of slates: rounds of a replicate per CPU-second. 60 s: python benchmarks/slate_bandits.py

A round is acting, the world's step and the update, at 1,000 replicates in lock-step and at one alone; slates
of 4 out of 16 items with feedback in every slot, lists of 4 out of 256 items of 5 features in the cascade.
Limit: the world's step alone.
"""

import time

import numpy as np
from timing import header, row, seconds

from recsim_env.agents.agent import Agent, Transition
from recsim_env.agents.bandits.cascade_lin_ts import CascadeLinTS
from recsim_env.agents.bandits.cascade_lin_ucb import CascadeLinUCB
from recsim_env.agents.bandits.comb_ucb1 import CombUCB1
from recsim_env.agents.bandits.in_slate_thompson import InSlateThompson
from recsim_env.agents.bandits.semi_bandit_hedge import SemiBanditHedge
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.linear_cascade import linear_cascade_bandit
from recsim_env.simulators.worlds.semi_bandit import semi_bandit
from recsim_env.simulators.worlds.world import World

HORIZON = 100_000


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


def speed(world: World, agent: Agent, B: int) -> float:
    """Rounds of a replicate per CPU-second: the best of three stretches, after some to compile."""
    rounds(world, agent, B, 0, 50)
    count, best = min(20_000, 200_000 // B), 0.0
    for part in range(3):
        start = time.process_time()
        rounds(world, agent, B, 50 + count * part, count)
        best = max(best, count * B / (time.process_time() - start))
    return best


def step_alone(world: World, B: int) -> float:
    """Steps of a user per CPU-second, with the best slate."""
    luck = Luck.from_seeds(np.arange(B))
    state = world.begin(luck)
    slates = world.best_slate(state)
    return B / seconds(lambda: world.respond(state, slates, luck))


def main() -> None:
    """Print the table."""
    semi, linear = semi_bandit(horizon=HORIZON), linear_cascade_bandit(horizon=HORIZON)
    x = linear.features
    header()
    for name, world, make in (
        ("CombUCB1", semi, lambda B: CombUCB1(B, 16, 4)),
        ("SemiBanditHedge", semi, lambda B: SemiBanditHedge(B, 16, 4, HORIZON)),
        ("InSlateThompson", semi, lambda B: InSlateThompson(B, 16, 4)),
        ("CascadeLinUCB", linear, lambda B: CascadeLinUCB(B, x, 4, HORIZON, bonus_scale=0.1)),
        ("CascadeLinTS", linear, lambda B: CascadeLinTS(B, x, 4)),
    ):
        for B in (1000, 1):
            measured, limit = speed(world, make(B), B), step_alone(world, B)
            row(
                f"{name}, {B} at once: replicate-rounds/s",
                f"{measured / 1e6:.3f} M",
                "0.05 M" if B == 1 else "",
                f"the world's step alone {limit / 1e6:.2f} M",
            )


if __name__ == "__main__":
    main()
