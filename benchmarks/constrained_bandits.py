"""Bandits on intervals, with budgets and with users who choose: rounds of a replicate per CPU-second.

60 s: python benchmarks/constrained_bandits.py

A round is acting, the world's step and the update. For 1,000 replicates at once, and for one alone, where it
is the calls that count. Limit: the world's step alone, in the same run.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from timing import header, row, seconds

from recsim_env.agents.agent import Agent, Transition
from recsim_env.agents.bandits.lagrange_bwk import LagrangeBwK
from recsim_env.agents.bandits.repeated_he import RepeatedHE
from recsim_env.agents.bandits.ucb_bwk import UcbBwK
from recsim_env.agents.bandits.uniform_grid import UniformGrid
from recsim_env.agents.bandits.zooming import Zooming
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.incentivised_users import incentivised_users
from recsim_env.simulators.worlds.knapsack_bandit import knapsack_bandit
from recsim_env.simulators.worlds.lipschitz_bandit import lipschitz_bandit
from recsim_env.simulators.worlds.world import World

T = 10_000
LIPSCHITZ = lipschitz_bandit(horizon=T)
KNAPSACK = knapsack_bandit(num_arms=10, budget=T // 4, horizon=T)
USERS = incentivised_users(horizon=T)
TABLE: tuple[tuple[str, World, Callable[[int], Agent]], ...] = (
    ("UniformGrid, 1,001 arms", LIPSCHITZ, lambda B: UniformGrid(B, 1001, LIPSCHITZ.slope, T)),
    ("Zooming, 1,001 arms", LIPSCHITZ, lambda B: Zooming(B, 1001, LIPSCHITZ.slope, T)),
    ("UcbBwK, 10 arms", KNAPSACK, lambda B: UcbBwK(B, 11, T // 4, T)),
    ("LagrangeBwK, 10 arms", KNAPSACK, lambda B: LagrangeBwK(B, 11, T // 4, T)),
    ("RepeatedHE, 2 arms", USERS, lambda B: RepeatedHE(B, 2, USERS.alpha, USERS.beta, USERS.warm_up, T)),
)


def play(world: World, agent: Agent, B: int, first: int, state: Any, count: int) -> Any:
    """Rounds first to first + count of an episode; returns the state."""
    users, mine = Luck.from_seeds(np.arange(B)), Luck.from_seeds(np.arange(B) + (1 << 40))
    observation = world.observe(state)
    for t in range(first, first + count):
        slates = agent.act(observation, mine.at(t))
        state, o = world.respond(state, slates, users.at(t))
        after = world.observe(state)
        agent.update(Transition(observation, slates, *o.response, o.reward, after, o.left, o.left))
        observation = after
    return state


def measure(world: World, agent: Agent, B: int, count: int) -> float:
    """Rounds per CPU-second: the best of three stretches, after one to compile."""
    state = play(world, agent, B, 0, world.begin(Luck.from_seeds(np.arange(B))), 50)
    best = 0.0
    for part in range(3):
        start = time.process_time()
        state = play(world, agent, B, 50 + count * part, state, count)
        best = max(best, count * B / (time.process_time() - start))
    return best


def main() -> None:
    """Print the table."""
    header()
    for name, world, make in TABLE:
        for B, count, at_least in ((1000, 700, ""), (1, 3000, "50 k")):
            luck = Luck.from_seeds(np.arange(B))
            state, slates = world.begin(luck), np.zeros((B, 1), np.int64)
            alone = B / seconds(lambda w=world, s=state, a=slates, u=luck: w.respond(s, a, u), 0.2)
            row(
                f"{name}, B = {B}: replicate-rounds/s",
                words(measure(world, make(B), B, count)),
                at_least,
                f"the world's step alone {words(alone)}",
            )


def words(rate: float) -> str:
    """A rate as in `1.23 M` or `45 k`."""
    return f"{rate / 1e6:.2f} M" if rate >= 1e6 else f"{rate / 1e3:.0f} k"


if __name__ == "__main__":
    main()
