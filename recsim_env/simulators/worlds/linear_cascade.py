"""The cascading bandit whose items have known features: `LinearCascadeBandit-v0`."""

from dataclasses import dataclass, field

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.errors import InputError
from recsim_env.simulators.luck import world_generator
from recsim_env.simulators.worlds.cascade import CascadeWorld


@dataclass(frozen=True)
class LinearCascadeWorld(CascadeWorld):
    """A cascade world that also says what is known of each item; what attracts is in `attraction` as ever."""

    features: Floats = field(kw_only=True)  # (N, D) x of every item, of length 1


def linear_cascade_bandit(
    num_items: int = 256,
    slate_size: int = 4,
    dimension: int = 5,
    attraction: float = 0.4,
    horizon: int = 1000,
    world_seed: int = 0,
) -> LinearCascadeWorld:
    """Find the attractive items among very many, which differ in a few known features.

    Story:
        Every step a new user comes, looks down the list and clicks the first item that attracts. There are
        far more items than can be tried one by one. But items with like features attract alike, so each
        click tells something about all of them.

    Slate (action):
        One number per slot: an item (0 to N-1), or N to leave a slot empty, which the first slot
        cannot be. An item shown a second time counts as an empty slot.

    Observation:
        `state`, always 0, and `step`. The features of the items do not change; they are the attribute
        `features` of the world, (N, D), and an agent is given them when it is made.

    What the user does:
        The cascade: examines the slots from the top, clicks the first item that attracts, and stops.

    Reward:
        1 for a click, 0 without; so the expected reward of a list A is 1 - prod_{a in A} (1 - w(a)).

    Episode end:
        Truncated after `horizon` users. No user leaves, and nothing changes at the end: an episode is
        only a stretch of users.

    Regret is measured against:
        The K items of largest attraction, in any order.

    Parameters (default, range, source):
        num_items: N (256, at least 2; Zong et al. 2016 use 16, 256 and 3000).
        slate_size: K (4, 1 to N; the same).
        dimension: D (5, at least 2; ours).
        attraction: p (0.4, in (0, 1]; ours), of an item whose direction is the users' taste.
        horizon: users of an episode (1000, at least 1; ours).
        world_seed: of the directions (0).

    Known simplifications:
        Attraction is exactly linear in the features: with unit vectors z_e and v of D - 1 dimensions, drawn
        uniformly, x_e = (1, z_e) / sqrt 2, theta = p (1, v) / sqrt 2, and
        w(e) = x_e . theta = p (1 + z_e . v) / 2. Items attract independently and all users are alike.

    Version history:
        v0: first version.

    Source: the setting of Zong, Ni, Sung, Ke, Wen, Kveton, "Cascading bandits for large-scale
    recommendation problems", UAI 2016; the family of instances is ours.

    Raises:
        InputError: a parameter out of range.
    """
    if num_items < 2:
        raise InputError(f"num_items must be at least 2, got {num_items}")
    if not 1 <= slate_size <= num_items:
        raise InputError(f"slate_size must be from 1 to num_items, {num_items}, got {slate_size}")
    if dimension < 2:
        raise InputError(f"dimension must be at least 2, got {dimension}")
    if not 0.0 < attraction <= 1.0:
        raise InputError(f"attraction must be in (0, 1], got {attraction}")
    directions = world_generator(world_seed).normal(size=(num_items + 1, dimension - 1))
    directions /= np.sqrt((directions**2).sum(axis=1, keepdims=True))
    x = np.column_stack([np.ones(num_items + 1), directions]) / np.sqrt(2.0)
    w = attraction * (x[:-1] * x[-1]).sum(axis=1)
    return LinearCascadeWorld(
        attraction=np.clip(w, 0.0, 1.0)[None, :],  # rounding
        transition=np.ones((1, num_items + 1, 1)),
        reward=np.ones((1, num_items)),
        slate_size=slate_size,
        horizon=horizon,
        features=x[:-1],
    )
