"""Best lists and optimistic planning. About 30 s: python benchmarks/planning.py

Limit of CascadingVI: its planning alone, without acting, the world's steps and counting.
"""

import time

import numpy as np
from timing import header, row, seconds

from recsim_env.agents.agent import Transition
from recsim_env.agents.tabular.cascading_vi import CascadingVI
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.cascade import CascadeWorld
from recsim_env.simulators.worlds.engagement_ladder import engagement_ladder
from recsim_env.user_models.clicks import best_permutation


def episodes(world: CascadeWorld, agent: CascadingVI, B: int, first: int, count: int) -> None:
    """Play some episodes, replanning before each."""
    users = Luck.from_seeds(np.arange(B))
    for episode in range(first, first + count):
        luck = users.of_episode(episode)
        state = world.begin(luck)
        observation = world.observe(state)
        for h in range(world.horizon):
            slates = agent.act(observation, luck)
            state, o = world.respond(state, slates, luck.at(h))
            after = world.observe(state)
            agent.update(Transition(observation, slates, *o.response, o.reward, after, o.left, o.left))
            observation = after


def main() -> None:
    """Print the table."""
    header()
    B = 128
    for N, at_least in ((10, "12,000"), (25, "6,000")):
        world = engagement_ladder(num_states=20, num_items=N, slate_size=3, horizon=3)
        agent = CascadingVI(B, 20, N, 3, 3, 100_000, 0.1)
        episodes(world, agent, B, 0, 50)
        start = time.process_time()
        episodes(world, agent, B, 50, 150)
        rate = 150 * B / (time.process_time() - start)
        alone = B / seconds(lambda agent=agent: agent.plan(np.ones(B, np.bool_)))
        row(
            f"CascadingVI, S=20 K=3 H=3 N={N}: episodes/s",
            f"{rate:,.0f}",
            at_least,
            f"planning alone {alone:,.0f}",
        )
    rng = np.random.default_rng(0)
    for N, K in ((10, 3), (25, 3), (1000, 10)):
        u, w, w_0 = rng.random((500, N)), rng.random((500, N)), np.full(500, 0.2)
        ours = seconds(lambda u=u, w=w, w_0=w_0, K=K: best_permutation(u, w, w_0, K)) / 500
        sort = seconds(lambda w=w: np.argsort(w, axis=1)) / 500
        row(
            f"best_permutation, N={N} K={K}",
            f"{ours * 1e6:.2f} us",
            "",
            f"np.argsort alone {sort * 1e6:.2f} us",
        )


if __name__ == "__main__":
    main()
