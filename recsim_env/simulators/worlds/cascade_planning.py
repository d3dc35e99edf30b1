"""The optimum of a cascading MDP, by backward induction; the equations are at the top of `cascade.py`."""

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.user_models.clicks import best_permutation


def optimal_plan(
    attraction: Floats, transition: Floats, reward: Floats, slate_size: int, horizon: int
) -> tuple[Floats, Ints, Floats]:
    """Values, a policy and the worth of every click.

    Args:
        attraction: (S, N) q.
        transition: (S, N+1, S) p, "no click" last.
        reward: (S, N) r.
        slate_size: K.
        horizon: H.

    Returns:
        V (H+1, S), the last row 0; a best list for every step and state (H, S, K), -1 in unused slots; and
        w (H+1, S, N+1), "no click" last, the last row 0.
    """
    S, N = attraction.shape
    values, worth = np.zeros((horizon + 1, S)), np.zeros((horizon + 1, S, N + 1))
    policy = np.empty((horizon, S, slate_size), np.int64)
    for h in range(horizon - 1, -1, -1):
        worth[h] = transition @ values[h + 1]
        worth[h, :, :N] += reward
        policy[h], values[h] = best_permutation(attraction, worth[h, :, :N], worth[h, :, N], slate_size)
    return values, policy, worth
