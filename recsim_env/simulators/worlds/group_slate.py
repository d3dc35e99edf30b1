"""The page of `GroupSlate-v0`: groups of items, and strangers who look for one of them."""

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.errors import InputError
from recsim_env.simulators.catalogue import Catalogue
from recsim_env.simulators.luck import world_generator
from recsim_env.simulators.worlds.grouped import GatedUser, GroupWorld, LinearUser
from recsim_env.user_models.choices import MultinomialLogit


def group_slate(
    num_items: int = 1000,
    slate_size: int = 10,
    num_groups: int = 20,
    dimension: int = 10,
    radius: float = 6.0,
    user: str = "linear",
    keep: float = 0.5,
    no_click_logit: float = 1.0,
    horizon: int = 20,
    preference_observed: bool = False,
    world_seed: int = 0,
) -> GroupWorld:
    """Find the group of items a stranger is looking for, and follow them as clicks draw them on.

    Story:
        A visitor of a marketplace comes looking for something: cars, or sofas. They compare the items of
        a slate and click the one nearest to what they have in mind, or none. A click draws them towards
        what they clicked. Nobody says who they are or what they want: only slates find out.

    Slate (action):
        One number per slot: an item (0 to N-1), or N to leave a slot empty, which the first slot cannot
        be. An item shown a second time counts as an empty slot.

    Observation:
        `step`, slates shown so far; `slate` and `clicked`, the last slate (N = empty) and which of its
        slots was clicked; `preference`, the user's vector, if `preference_observed`. The items' groups are
        `env.unwrapped.world.catalogue.category`.

    What the user does:
        Clicks item i of the slate with probability exp(-|z - v_i|) over the sum of exp(-|z - v_j|) of the
        slate and exp(no_click_logit). After a click on v the preference moves: h' = keep h + (1 - keep) v
        (linear), or through a gated recurrent unit with random weights near that map (gated).

    Reward:
        1 for a click, 0 without.

    Episode end:
        Truncated after `horizon` slates; no user leaves. Every episode is a new user.

    Regret is measured against:
        The K items nearest to the preference, which have the highest probability of a click now. It looks
        one slate ahead: a planner might prefer to draw users where items are dense.

    Parameters (default, range, source):
        num_items: N (1000, at least num_groups; ours).
        slate_size: K (10, 1 to N; the paper's slates have up to 25).
        num_groups: G (20, at least 1; FINN.no has 290).
        dimension: D (10, at least 1; the paper's fits have 25).
        radius: m, unit of length: groups lie 0.1 m to 0.8 m from the origin, items 0.1 m from their group
            (6, 0.001 to 500; ours).
        user: linear or gated (linear; the paper's simulator).
        keep: gamma of linear users (0.5, 0 to 1; the mean of the paper's prior).
        no_click_logit: b (1; ours).
        horizon: H, slates of an episode (20, at least 1; the paper plays from 5 to 20).
        preference_observed: True shows the user's preference to the agent (False).
        world_seed: of items, groups and the weights of gated users (0).

    Known simplifications:
        Users come without a past, groups are of equal size, no click logit depends on the slate's length,
        and the weights of gated users are ours: the paper's are not published.

    Version history:
        v0: first version.

    Source: Eide, Leslie, Frigessi, "Dynamic slate recommendation with gated recurrent units and Thompson
    sampling", 2022, section on simulations.

    Raises:
        InputError: a parameter out of range.
    """
    if num_items < 1:
        raise InputError(f"num_items must be at least 1, got {num_items}")
    if not 1 <= num_groups <= num_items:
        raise InputError(f"num_groups must be from 1 to the number of items ({num_items}), got {num_groups}")
    if dimension < 1:
        raise InputError(f"dimension must be at least 1, got {dimension}")
    if not 1e-3 <= radius <= 500.0:
        raise InputError(f"radius must be from 0.001 to 500, got {radius}: beyond, numbers lose their digits")
    if not 0.0 <= keep <= 1.0:
        raise InputError(f"keep must be from 0 to 1, got {keep}")
    if user not in ("linear", "gated"):
        raise InputError(f"user must be linear or gated, got {user!r}")
    if not np.isfinite(no_click_logit):
        raise InputError(f"no_click_logit must be finite, got {no_click_logit}")
    rng = world_generator(world_seed)
    length = (0.1 + 0.7 * rng.random((num_groups, 1))) * radius
    centres = (length * _directions(rng, num_groups, dimension)).astype(np.float32)
    group = np.arange(num_items) * num_groups // num_items
    features = centres[group] + np.float32(0.1 * radius) * _directions(rng, num_items, dimension)
    identity = np.eye(dimension)
    weights = 0.3 / np.sqrt(dimension) * rng.standard_normal((6, dimension, dimension))
    weights[4] += 1.2 * identity  # W_in: a click pulls the state to the item; 1.2 makes up for tanh
    catalogue = Catalogue(
        features=features.astype(np.float32),
        category=group,
        popularity=np.full(num_items, 1.0 / num_items),
        quality=np.zeros(num_items),
        price=np.ones(num_items),
        group=np.zeros(num_items, np.int64),
    )
    return GroupWorld(
        catalogue=catalogue,
        centres=centres,
        user=LinearUser(keep) if user == "linear" else GatedUser(weights.astype(np.float32), radius),
        choice=MultinomialLogit(no_click_logit),
        slate_size=slate_size,
        horizon=horizon,
        preference_observed=preference_observed,
    )


def _directions(rng: np.random.Generator, count: int, dimension: int) -> Floats:
    """(count, dimension) uniform on the unit sphere."""
    vectors = rng.standard_normal((count, dimension))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
