"""Learners of rankings: rounds of a replicate per CPU-second. 2 minutes: python benchmarks/ranking_bandits.py

For 1,000 replicates in lock-step and for one alone, N = 10 items, lists of 5, in the cascade and in the
position-based model. "learner" is `act` and `update` on slates that it showed, without the world; "with the
world" is the whole round. Limit: the world's step alone.
"""

import time
from collections.abc import Callable

import numpy as np
from timing import header, row, seconds

from recsim_env.agents.agent import Agent, Transition
from recsim_env.agents.bandits.batch_rank import BatchRank
from recsim_env.agents.bandits.bubble_rank import BubbleRank
from recsim_env.agents.bandits.pbm_ucb import PBMUCB
from recsim_env.agents.bandits.ranked_bandits import RankedBandits
from recsim_env.agents.bandits.top_rank import TopRank
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.cascade_bandit import cascade_bandit
from recsim_env.simulators.worlds.position_bandit import position_bandit
from recsim_env.simulators.worlds.world import World

N, K, ROUNDS = 10, 5, 10**6
THETA = np.arange(1.0, K + 1) ** -1.0
LEARNERS: dict[str, Callable[[int], Agent]] = {
    "RankedBandits": lambda B: RankedBandits(B, N, K),
    "BatchRank": lambda B: BatchRank(B, N, K, ROUNDS),
    "TopRank": lambda B: TopRank(B, N, K, ROUNDS),
    "BubbleRank": lambda B: BubbleRank(B, N, K, ROUNDS),
    "PBMUCB": lambda B: PBMUCB(B, N, K, THETA),
}


def play(world: World, agent: Agent, B: int, first: int, count: int) -> tuple[float, float]:
    """CPU seconds of `count` rounds from round `first`, and those of them that the learner took."""
    users, mine = Luck.from_seeds(np.arange(B)), Luck.from_seeds(np.arange(B) + (1 << 40))
    state = world.begin(users)
    observation = world.observe(state)
    spent, start = 0.0, time.process_time()
    for t in range(first, first + count):
        luck, user_luck = mine.at(t), users.at(t)
        before = time.process_time()
        slates = agent.act(observation, luck)
        between = time.process_time()
        state, o = world.respond(state, slates, user_luck)
        after = world.observe(state)
        transition = Transition(observation, slates, *o.response, o.reward, after, o.left, o.left)
        again = time.process_time()
        agent.update(transition)
        spent += between - before + time.process_time() - again
        observation = after
    return time.process_time() - start, spent


def main() -> None:
    """Print the table."""
    worlds: dict[str, World] = {
        "cascade": cascade_bandit(num_items=N, slate_size=K, horizon=10_000),
        "position": position_bandit(num_items=N, slate_size=K, horizon=10_000),
    }
    header()
    for B, at_least, count in ((1000, "", 400), (1, "50 k", 4000)):
        for kind, world in worlds.items():
            luck = Luck.from_seeds(np.arange(B))
            state = world.begin(luck)
            slates = np.random.default_rng(0).permuted(np.tile(np.arange(N), (B, 1)), axis=1)[:, :K].copy()
            step = B / seconds(lambda w=world, s=state, a=slates, u=luck: w.respond(s, a, u))  # type: ignore[misc]
            for name, make in LEARNERS.items():
                agent = make(B)
                play(world, agent, B, 0, 50)
                runs = [play(world, agent, B, 50 + count * part, count) for part in range(5)]
                whole, alone = (B * count / min(column) for column in zip(*runs, strict=True))
                row(
                    f"{name}, {kind}, B = {B}: learner",
                    f"{alone / 1e3:,.0f} k",
                    at_least,
                    f"with the world {whole / 1e3:,.0f} k; its step alone {step / 1e3:,.0f} k",
                )


if __name__ == "__main__":
    main()
