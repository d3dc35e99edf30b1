"""Adversarial and windowed bandits: rounds of a replicate per CPU-second.

60 s: python benchmarks/adversarial_bandits.py

A round is acting, the world's step and the update, N = 10, for 1,000 replicates in lock-step and for one.
Limit: the world's step alone, beside each line.
"""

import time
from collections.abc import Callable

import numpy as np
from timing import header, row, seconds

from recsim_env.agents.agent import Agent, Transition
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
            rounds(world, agent, B, 0, 50)
            best = 0.0
            for part in range(3):
                start = time.process_time()
                rounds(world, agent, B, 50 + count * part, count)
                best = max(best, count * B / (time.process_time() - start))
            least = at_least if B > 1 else "50 k"
            limit = f"the world's step alone {step / 1e6:.2f} M"
            row(f"{name}, B = {B}: replicate-rounds/s", f"{best / 1e6:.3f} M", least, limit)


if __name__ == "__main__":
    main()
