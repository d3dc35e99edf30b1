"""The engagement ladder: `CascadeRec-v0`, where the item that is clicked most is the wrong one to show."""

import numpy as np

from recsim_env.errors import InputError
from recsim_env.simulators.luck import world_generator
from recsim_env.simulators.worlds.cascade import CascadeWorld


def engagement_ladder(
    num_states: int = 10,
    num_items: int = 12,
    slate_size: int = 3,
    horizon: int = 20,
    world_seed: int = 0,
) -> CascadeWorld:
    """Keep users engaged: the items that are clicked most are the wrong ones to show.

    Story:
        A user stands on a ladder of engagement, and the higher, the more inclined to click anything.
        Half the items are bait: they attract most, and a click on one usually leads a rung down. The
        other half are quality: they attract less, and a click on one usually leads a rung up. Who shows
        what is clicked most now (a myopic policy) wears the user out; who plans climbs first.

    Slate (action):
        One number per slot: an item (0 to N-1), or N to leave a slot empty, which the first slot
        cannot be. An item shown a second time counts as an empty slot. So every list of 1 to K distinct
        items can be shown, and the optimum is over exactly these.

    Observation:
        `state`, the rung s (0 is the lowest), and `step`, slates shown so far in this episode.

    What the user does:
        The cascade: examines the slots from the top, clicks the first item that attracts, and stops.
        Item a attracts on rung s with probability q(s,a) = g(s) base(a), g(s) = 0.3 + 0.7 s / (S-1).
        A click on bait leads a rung down with probability 0.8, one on quality a rung up with
        probability 0.8; no click leads down with probability 0.3. Otherwise, and at the ends of the
        ladder, the rung stays. The first rung is uniform.

    Reward:
        1 for a click, 0 without.

    Episode end:
        Truncated after `horizon` slates; no user leaves. The horizon is part of the problem (`step` is
        observed and the optimum plans for it), so a learner should treat the end as final.

    Regret is measured against:
        The optimal policy, by exact planning: V* = 11.0391 an episode with the default parameters, where
        the myopic policy earns 9.0094 and a uniformly random full list 8.2934 (means over the first
        rung; `python -m recsim_env.simulators.worlds.reference_values ladder` prints them).

    Parameters (default, range, source):
        num_states: rungs S (10, at least 2; ours).
        num_items: N, the first half bait, the rest quality (12, at least 2; ours).
        slate_size: K (3, 1 to N; the paper's experiments).
        horizon: H, slates of an episode (20, at least 1; ours).
        world_seed: of the base attractions, bait uniform on [0.35, 0.5], quality on [0.15, 0.3] (0).

    Known simplifications:
        Users differ in their rung only, items within a half in their attraction only, and the numbers
        are chosen to make planning matter, not fitted to data: CascadeRec-Grocery-v0 is.

    Version history:
        v0: first version.

    Source: the dynamics are ours; the model is that of Du, Srikant, Chen, "Cascading Reinforcement
    Learning", ICLR 2024.

    Raises:
        InputError: a parameter out of range.
    """
    if num_states < 2:
        raise InputError(f"num_states must be at least 2, got {num_states}: the ladder needs a rung to climb")
    if num_items < 2:
        raise InputError(f"num_items must be at least 2, got {num_items}: one bait and one quality item")
    rng = world_generator(world_seed)
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
