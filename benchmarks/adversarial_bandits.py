"""Adversarial and windowed bandits: rounds of a replicate per CPU-second.

60 s: python benchmarks/adversarial_bandits.py

A round is acting, the world's step and the update, N = 10, for 1,000 replicates in lock-step and for one.
Limit: the world's step alone, beside each line.
"""

from collections.abc import Callable

import numpy as np
from playing import speed
from timing import header, row, seconds

from recsim_env.agents.agent import Agent
from recsim_env.agents.bandits.discounted_ts import DiscountedTS
from recsim_env.agents.bandits.discounted_ucb import DiscountedUCB
from recsim_env.agents.bandits.exp3 import Exp3
from recsim_env.agents.bandits.follow_the_perturbed_leader import FollowThePerturbedLeader
from recsim_env.agents.bandits.hedge import Hedge
from recsim_env.agents.bandits.sliding_window_ts import SlidingWindowTS
from recsim_env.agents.bandits.sliding_window_ucb import SlidingWindowUCB
from recsim_env.agents.bandits.weighted_majority import WeightedMajority
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.expert_advice import expert_advice
from recsim_env.simulators.worlds.switching_bandit import switching_bandit
from recsim_env.simulators.worlds.world import World

N = 10
EXPERTS = ("Hedge", "WeightedMajority", "FollowThePerturbedLeader")
AGENTS: dict[str, tuple[Callable[[int], Agent], str]] = {
    "Exp3": (lambda B: Exp3(B, N), "3 M"),
    "SlidingWindowUCB": (lambda B: SlidingWindowUCB(B, N, window=1000), ""),
    "DiscountedUCB": (lambda B: DiscountedUCB(B, N, discount=0.995), ""),
    "SlidingWindowTS": (lambda B: SlidingWindowTS(B, N, window=1000), ""),
    "DiscountedTS": (lambda B: DiscountedTS(B, N, discount=0.995), ""),
    "Hedge": (lambda B: Hedge(B, N), ""),
    "WeightedMajority": (lambda B: WeightedMajority(B, N), ""),
    "FollowThePerturbedLeader": (lambda B: FollowThePerturbedLeader(B, N), ""),
}


def main() -> None:
    """Print the table."""
    worlds = {
        False: switching_bandit(N, horizon=50_000),
        True: expert_advice(N, horizon=50_000),
    }
    header()
    for B, count in ((1000, 500), (1, 10_000)):
        luck = Luck.from_seeds(np.arange(B))
        for name, (make, at_least) in AGENTS.items():
            world: World = worlds[name in EXPERTS]
            state, slates = world.begin(luck), np.zeros((B, 1), np.int64)
            step = B / seconds(lambda: world.observe(world.respond(state, slates, luck)[0]), 0.1, 3)  # noqa: B023
            agent = make(B)
            best = speed(world, agent, B, count)
            least = at_least if B > 1 else "50 k"
            limit = f"the world's step alone {step / 1e6:.2f} M"
            row(f"{name}, B = {B}: replicate-rounds/s", f"{best / 1e6:.3f} M", least, limit)


if __name__ == "__main__":
    main()
