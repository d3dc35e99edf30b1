"""The cascading bandit: `CascadeBandit-v0`, one user state, the B_LB family of problems."""

import numpy as np

from recsim_env.errors import InputError
from recsim_env.simulators.luck import world_generator
from recsim_env.simulators.worlds.cascade import CascadeWorld


def cascade_bandit(
    num_items: int = 16,
    slate_size: int = 4,
    attraction: float = 0.2,
    gap: float = 0.15,
    horizon: int = 1000,
    world_seed: int = 0,
) -> CascadeWorld:
    """Find the K attractive items among L by showing lists to users who click once at most.

    Story:
        Every step a new user comes, looks down the list and clicks the first item that attracts.
        K items attract with probability p, the other L - K with p - gap. There is nothing to plan:
        the world has one state, so the whole difficulty is to learn which items are the K.

    Slate (action):
        One number per slot: an item (0 to L-1), or L to leave a slot empty, which the first slot
        cannot be. An item shown a second time counts as an empty slot.

    Observation:
        `state`, always 0, and `step`.

    What the user does:
        The cascade: examines the slots from the top, clicks the first item that attracts, and stops.

    Reward:
        1 for a click, 0 without; so the expected reward of a list A is 1 - prod_{a in A} (1 - w(a)).

    Episode end:
        Truncated after `horizon` users. No user leaves, and nothing changes at the end: an episode is
        only a stretch of users.

    Regret is measured against:
        The K items of attraction p, in any order: 1 - (1 - p)^K per step.

    Parameters (default, range, source):
        num_items: L (16, at least 2; Kveton et al. 2015, table 1).
        slate_size: K (4, 1 to L; the same).
        attraction: p (0.2, in (0, 1]; the same).
        gap: Delta (0.15, in (0, p]; the same).
        horizon: users of an episode (1000, at least 1; ours).
        world_seed: which of the items are the attractive ones (0).

    Known simplifications:
        Items attract independently, all users are alike, and the order within the list does not
        change its value, only what is observed.

    Version history:
        v0: first version.

    Source: Kveton, Szepesvari, Wen, Ashkan, "Cascading bandits: learning to rank in the cascade
    model", ICML 2015, section 5.1.

    Raises:
        InputError: a parameter out of range.
    """
    if num_items < 2:
        raise InputError(f"num_items must be at least 2, got {num_items}")
    if not 1 <= slate_size <= num_items:
        raise InputError(f"slate_size must be from 1 to num_items, {num_items}, got {slate_size}")
    if not 0.0 < attraction <= 1.0:
        raise InputError(f"attraction must be in (0, 1], got {attraction}")
    if not 0.0 < gap <= attraction:
        raise InputError(f"gap must be in (0, attraction], got {gap} with attraction {attraction}")
    w = np.full(num_items, attraction - gap)
    w[world_generator(world_seed).permutation(num_items)[:slate_size]] = attraction
    return CascadeWorld(
        attraction=w[None, :],
        transition=np.ones((1, num_items + 1, 1)),
        reward=np.ones((1, num_items)),
        slate_size=slate_size,
        horizon=horizon,
    )
