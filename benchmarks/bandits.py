"""Cascading bandits in lock-step: rounds of a replicate per CPU-second. 30 s: python benchmarks/bandits.py

A round is acting, the world's step and the update, for 1,000 replicates at once, L = 16 items, lists of 4.
Limit: the world's step alone.
"""

import numpy as np
from playing import speed
from timing import header, row, seconds

from recsim_env.agents.bandits.cascade_kl_ucb import CascadeKLUCB
from recsim_env.agents.bandits.cascade_ts import CascadeTS
from recsim_env.agents.bandits.cascade_ucb import CascadeUCB
from recsim_env.agents.bandits.ts_cascade import TSCascade
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.cascade_bandit import cascade_bandit

B = 1000


def main() -> None:
    """Print the table."""
    world, luck = cascade_bandit(horizon=5000), Luck.from_seeds(np.arange(B))
    state, slates = (
        world.begin(luck),
        np.random.default_rng(0).permuted(np.tile(np.arange(16), (B, 1)), axis=1),
    )
    slates = np.ascontiguousarray(slates[:, :4])
    step = B / seconds(lambda: world.respond(state, slates, luck)) / 1e6
    header()
    for make, at_least in (
        (CascadeUCB, "3 M"),
        (CascadeTS, "0.7 M"),
        (CascadeKLUCB, "0.3 M"),
        (TSCascade, ""),
    ):
        agent = make(B, 1, 16, 4)
        best = speed(world, agent, B, 1000) / 1e6
        row(
            f"{make.__name__}: replicate-rounds/s",
            f"{best:.2f} M",
            at_least,
            f"the world's step alone {step:.1f} M",
        )


if __name__ == "__main__":
    main()
