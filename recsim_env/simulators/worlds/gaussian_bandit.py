"""The page of `GaussianBandit-v0`: arms whose rewards are normal."""

import numpy as np

from recsim_env.errors import InputError
from recsim_env.simulators.worlds.arms import ArmsWorld
from recsim_env.simulators.worlds.bernoulli_bandit import arm_table


def gaussian_bandit(
    num_items: int = 10,
    low: float = 0.0,
    high: float = 1.0,
    means: str = "even",
    deviation: float = 1.0,
    horizon: int = 1000,
    world_seed: int = 0,
) -> ArmsWorld:
    """Find the item with the largest mean reward when rewards are normal and can be any number.

    Story:
        Every round one item is shown to a new visitor, who opens it and stays for a while; how much longer
        or shorter than usual is the reward.

    Slate (action):
        One item: an arm (0 to N-1).

    Observation:
        `step`, rounds played.

    What the user does:
        Opens item a and gives a reward from N(mu_a, deviation^2), independently in every round.

    Reward:
        The draw, which has no bounds: algorithms for rewards from 0 to 1 refuse this world.

    Episode end:
        Truncated after `horizon` rounds. Nothing changes there, unless the means are drawn: then every
        episode is a new user with means of their own.

    Regret is measured against:
        The arm of largest mean: max_a mu_a per round.

    Parameters (default, range, source):
        num_items: N (10, at least 2; ours).
        low: the least mean (0, any number below high; ours).
        high: the largest mean (1, any number above low; ours).
        means: even (evenly spaced from low to high), one_best (one arm at high, the others at low), or
            drawn (uniform from low to high, anew for every user) (even; ours).
        deviation: sigma of a reward (1, above 0; Lattimore and Szepesvari 2020).
        horizon: rounds of an episode (1000, at least 1; ours).
        world_seed: which arm has which mean (0).

    Known simplifications:
        All arms have one variance, all users are alike, and nothing changes over time.

    Version history:
        v0: first version.

    Source: Lattimore, Szepesvari, "Bandit algorithms", 2020, chapters 6 to 9.

    Raises:
        InputError: a parameter out of range.
    """
    if not (np.isfinite([low, high]).all() and low < high):
        raise InputError(f"low and high must be finite and low below high, got {low} and {high}")
    if not (np.isfinite(deviation) and deviation > 0.0):
        raise InputError(f"deviation must be finite and above 0, got {deviation}")
    return ArmsWorld(arm_table(num_items, low, high, means, world_seed), horizon, deviation)
