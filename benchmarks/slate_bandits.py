"""Bandits of slates: rounds of a replicate per CPU-second. 60 s: python benchmarks/slate_bandits.py

A round is acting, the world's step and the update, at 1,000 replicates in lock-step and at one alone; slates
of 4 out of 16 items with feedback in every slot, lists of 4 out of 256 items of 5 features in the cascade.
Limit: the world's step alone.
"""

import numpy as np
from playing import speed
from timing import header, row, seconds

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
            count = min(20_000, 200_000 // B)
            measured, limit = speed(world, make(B), B, count), step_alone(world, B)
            row(
                f"{name}, {B} at once: replicate-rounds/s",
                f"{measured / 1e6:.3f} M",
                "0.05 M" if B == 1 else "",
                f"the world's step alone {limit / 1e6:.2f} M",
            )


if __name__ == "__main__":
    main()
