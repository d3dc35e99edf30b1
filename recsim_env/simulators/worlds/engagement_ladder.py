"""The engagement ladder: `CascadeRec-v0`, where the item that is clicked most is the wrong one to show."""

import numpy as np

from recsim_env.errors import InputError
from recsim_env.simulators.worlds.cascade import CascadeWorld


def engagement_ladder(
    num_states: int = 10,
    num_items: int = 12,
    slate_size: int = 3,
    horizon: int = 20,
    world_seed: int = 0,
) -> CascadeWorld:
    """TODO."""
    if num_states < 2:
        raise InputError(f"num_states must be at least 2, got {num_states}: the ladder needs a rung to climb")
    if num_items < 2:
        raise InputError(f"num_items must be at least 2, got {num_items}: one bait and one quality item")
    rng = np.random.default_rng(world_seed)
    S, N, bait = num_states, num_items, num_items // 2
    base = np.concatenate([rng.uniform(0.35, 0.5, bait), rng.uniform(0.15, 0.3, N - bait)])  # (N,)
    engagement = 0.3 + 0.7 * np.arange(S) / (S - 1)  # (S,) g(s)
    transition = np.zeros((S, N + 1, S))
    down, up = np.maximum(np.arange(S) - 1, 0), np.minimum(np.arange(S) + 1, S - 1)
    for s in range(S):
        for a in range(N + 1):
            target, chance = (down[s], 0.8) if a < bait else (up[s], 0.8) if a < N else (down[s], 0.3)
            transition[s, a, target] += chance
            transition[s, a, s] += 1.0 - chance
    return CascadeWorld(
        attraction=engagement[:, None] * base,
        transition=transition,
        reward=np.ones((S, N)),
        slate_size=slate_size,
        horizon=horizon,
    )
