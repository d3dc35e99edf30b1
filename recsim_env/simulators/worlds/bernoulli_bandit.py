"""The page of `BernoulliBandit-v0`: arms that pay 1 or 0."""

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.errors import InputError
from recsim_env.simulators.luck import world_generator
from recsim_env.simulators.worlds.arms import ArmsWorld


def bernoulli_bandit(
    num_items: int = 10,
    low: float = 0.1,
    high: float = 0.9,
    means: str = "even",
    horizon: int = 1000,
    world_seed: int = 0,
) -> ArmsWorld:
    """Find the arm that pays most often among N arms that pay 1 or nothing.

    Story:
        Every round one item is shown to a new visitor, who clicks it or not. Some items are clicked more
        often than others, and only showing them tells which. All of exploration against exploitation is
        here, and nothing else.

    Slate (action):
        One item: an arm (0 to N-1).

    Observation:
        `step`, rounds played.

    What the user does:
        Clicks item a with probability mu_a, independently in every round.

    Reward:
        1 for a click, 0 without.

    Episode end:
        Truncated after `horizon` rounds. Nothing changes there, unless the means are drawn: then every
        episode is a new user with means of their own.

    Regret is measured against:
        The arm of largest mean: max_a mu_a per round.

    Parameters (default, range, source):
        num_items: N (10, at least 2; ours).
        low: the least mean (0.1, 0 to high; ours).
        high: the largest mean (0.9, low to 1, above low; ours).
        means: even (evenly spaced from low to high), one_best (one arm at high, the others at low, the
            problem of lower bounds), or drawn (uniform from low to high, anew for every user, for Bayes
            regret) (even; ours).
        horizon: rounds of an episode (1000, at least 1; ours).
        world_seed: which arm has which mean (0).

    Known simplifications:
        All users are alike, nothing changes over time, and a click tells of one item alone.

    Version history:
        v0: first version.

    Source: Slivkins, "Introduction to multi-armed bandits", 2019, chapters 1 to 3.

    Raises:
        InputError: a parameter out of range.
    """
    if not 0.0 <= low < high <= 1.0:
        raise InputError(f"low and high must be from 0 to 1 and low below high, got {low} and {high}")
    return ArmsWorld(arm_table(num_items, low, high, means, world_seed), horizon)


def arm_table(num_items: int, low: float, high: float, means: str, world_seed: int) -> Floats:
    """(N,) means from low to high in random order, or the bounds (2, N) of means that are drawn.

    Raises:
        InputError: fewer than two arms, an unknown kind of means.
    """
    if num_items < 2:
        raise InputError(f"num_items must be at least 2, got {num_items}")
    order = world_generator(world_seed).permutation(num_items)
    if means == "even":
        return np.linspace(low, high, num_items)[order]
    if means == "one_best":
        return np.where(order == 0, high, low)
    if means == "drawn":
        return np.repeat([[low], [high]], num_items, axis=1)
    raise InputError(f"means must be even, one_best or drawn, got {means!r}")
