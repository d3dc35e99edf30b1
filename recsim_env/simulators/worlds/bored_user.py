"""The page of `BoredUser-v0`: users of a synthetic population who tire of topics."""

import numpy as np

from recsim_env.errors import InputError
from recsim_env.simulators.catalogue import synthetic_catalogue
from recsim_env.simulators.population import synthetic_interests
from recsim_env.simulators.worlds.bored import BoredWorld
from recsim_env.user_models.clicks import click_model
from recsim_env.user_models.preferences import Boredom, Satiation
from recsim_env.user_models.sessions import PatienceBudget


def bored_user(
    num_items: int = 200,
    slate_size: int = 10,
    clicks: str = "position_based",
    num_users: int = 1000,
    dimension: int = 16,
    num_categories: int = 10,
    sharpness: float = 4.0,
    intercept: float = -3.5,
    satiation_factor: float = 0.5,
    satiation_memory: float = 0.9,
    threshold: int = 5,
    window: int = 10,
    duration: int = 5,
    patience: float = 10.0,
    refund: float = 1.0,
    horizon: int = 100,
    boredom_observed: bool = True,
    world_seed: int = 0,
) -> BoredWorld:
    """Keep users who tire of what they like: every click on a topic makes the next one less likely.

    Story:
        A user loves two topics. Show nothing else, and they are sated; insist, and the topic bores them
        outright for a while, their patience runs out, and they leave. Who varies the slate keeps them.

    Slate (action):
        One number per slot: an item (0 to N-1), or N to leave a slot empty, which the first slot cannot
        be. An item shown a second time counts as an empty slot.

    Observation:
        `user`, a number in the population; `interest`, their interest vector; `step`, slates shown so
        far; `slate` and `clicked`, the last slate (N = empty) and which of its slots were clicked; and if
        `boredom_observed`, `satiation` of each category and `bored`, which categories bore them now.

    What the user does:
        Finds item i of category c attractive with probability sigmoid(intercept + quality_i +
        sharpness x . f_i - satiation_factor s_c), and not at all while c bores them; looks and clicks by
        the click model named. Then s_c becomes satiation_memory (s_c + clicks on c), and a category with
        `threshold` of the last `window` clicks bores for `duration` slates. A slate costs 1 of `patience`
        and a click restores `refund`, up to the full budget.

    Reward:
        The number of clicks.

    Episode end:
        Terminated when the patience is used up, truncated after `horizon` slates.

    Regret is measured against:
        The K most attractive items of the moment, most attractive first, which is a greedy oracle and not
        the optimum: a planner who varies topics can earn more than it, over an episode. It has the most
        expected clicks now (under click_chain another order may have some 2 % more). `best_value` and
        `slate_value` are the expected clicks of this step alone.

    Parameters (default, range, source):
        num_items: N (200, at least num_categories; ours).
        slate_size: K (10, 1 to N; SARDINE's).
        clicks: name of a click model in `user_models.clicks.CLICK_MODELS` in which items attract
            (position_based; SARDINE's kind).
        num_users: U, size of the population (1000, at least 1; ours).
        dimension: D of interests and features (16, at least 1; ours).
        num_categories: C topics (10, 1 to N; SARDINE's).
        sharpness: how much more the nearest item attracts, in logits (4, at least 0; ours).
        intercept: logit of an item at a right angle to the interest (-3.5; ours).
        satiation_factor: logits lost for a click on the topic (0.5, at least 0; 0 is no satiation; ours).
        satiation_memory: share of satiation kept a step (0.9, 0 to below 1; ours).
        threshold: clicks on a topic that bore (5, 1 to window; as many as in SARDINE).
        window: clicks looked back on (10; SARDINE's, which also forgets those older than 5 slates).
        duration: slates for which a topic bores (5, at least 1; as in SARDINE).
        patience: slates without a click that a user stands (10, above 0; ours).
        refund: patience that a click restores (1, at least 0; ours).
        horizon: H, slates of an episode (100, at least 1; SARDINE's).
        boredom_observed: False hides satiation and boredom (True).
        world_seed: of catalogue and population (0).

    Known simplifications:
        Time passes by slates, not hours; interests themselves do not move; within one slate nothing
        satiates. satiation_factor=0 is boredom alone, threshold=window=1000 satiation alone. The laws of
        SARDINE and RecLab themselves, which differ in detail, are in `user_models.preferences`.

    Version history:
        v0: first version.

    Source: Deffayet et al., "SARDINE", 2024; Krauth et al., "RecLab", 2020; the composition is ours.

    Raises:
        InputError: a parameter out of range, or an unknown click model.
    """
    if not 0.0 <= sharpness < np.inf:
        raise InputError(f"sharpness must be 0 or more and finite, got {sharpness}")
    if not np.isfinite(intercept):
        raise InputError(f"intercept must be finite, got {intercept}")
    if not 0.0 <= satiation_factor < np.inf:
        raise InputError(f"satiation_factor must be 0 or more and finite, got {satiation_factor}")
    if not 0.0 <= satiation_memory < 1.0:
        raise InputError(f"satiation_memory must be from 0 to below 1, got {satiation_memory}")
    if not 0.0 < patience < np.inf:
        raise InputError(f"patience must be above 0 and finite, got {patience}")
    catalogue = synthetic_catalogue(num_items, dimension, num_categories, world_seed=world_seed)
    return BoredWorld(
        catalogue=catalogue,
        interest=np.float32(sharpness) * synthetic_interests(catalogue, num_users, world_seed=world_seed),
        clicks=click_model(clicks, max(1, slate_size)),  # a slate of 0 the world itself refuses
        satiation=Satiation(satiation_factor, satiation_memory),
        boredom=Boredom(num_categories, threshold, window, duration),
        patience=PatienceBudget(patience, 1.0, refund),
        slate_size=slate_size,
        horizon=horizon,
        intercept=intercept,
        boredom_observed=boredom_observed,
    )
