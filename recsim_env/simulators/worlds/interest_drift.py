"""The page of `InterestDrift-v0`: interests that move between irregular visits."""

import numpy as np

from recsim_env.errors import InputError
from recsim_env.simulators.catalogue import synthetic_catalogue
from recsim_env.simulators.luck import Luck, check_world_seed
from recsim_env.simulators.worlds.candidates import with_candidates
from recsim_env.simulators.worlds.drifting import DriftWorld
from recsim_env.simulators.worlds.world import World
from recsim_env.user_models.clicks import click_model
from recsim_env.user_models.preferences import GaussianProcess
from recsim_env.user_models.sessions import GammaGaps


def interest_drift(
    length_scale: float = 30.0,
    num_interests: int = 1,
    num_items: int = 200,
    slate_size: int = 10,
    clicks: str = "cascade",
    num_users: int = 1000,
    dimension: int = 16,
    num_categories: int = 20,
    sharpness: float = 2.0,
    intercept: float = -5.5,
    mean_gap: float = 3.0,
    gap_shape: float = 1.0,
    horizon: int = 50,
    interest_observed: bool = False,
    candidates: int | None = None,
    candidates_from: str = "catalogue",
    world_seed: int = 0,
) -> World:
    """Follow users whose interests move between visits, at a pace that you set.

    Story:
        People come by every few days, now sooner, now later. What they like is a smooth function of time:
        after a day nearly the same, after a few months another matter. Who remembers clicks for too long
        shows what was liked last season; who forgets too soon never learns.

    Slate (action):
        One number per slot: an item (0 to N-1), or N to leave a slot empty, which the first slot cannot
        be. An item shown a second time counts as an empty slot. With `candidates` the numbers are places
        in the candidate set of the observation instead (0 to C-1; C leaves a slot empty).

    Observation:
        `user`, a number in the population; `days_away`, days since the last visit (0 at the first, 3650 for
        longer ones); `step`, visits so far;
        `slate` and `clicked`, what was shown at the last visit (N = empty) and clicked; `interest`, the
        interest vector of this moment, if `interest_observed`; `candidates`, if there are any.

    What the user does:
        Finds item i attractive with probability sigmoid(intercept + quality_i + sharpness x(t) . f_i),
        independently, looks and clicks by the click model named, and comes back after a Gamma gap. Each
        coordinate of x(t) is a Gaussian process with variance 1 and correlation
        exp(-lag^2 / 2 length_scale^2); with several interests x(t) is their mixture, and the mixture moves
        at the same pace.

    Reward:
        The number of clicks.

    Episode end:
        Truncated after `horizon` visits; no user leaves.

    Regret is measured against:
        The K most attractive items at every visit, most attractive first: the exact optimum for every click
        model named but click_chain, since slates change neither interests nor visits. Under click_chain
        another order may be worth some 2 % more. With `candidates` the most attractive ones of these.

    Parameters (default, range, source):
        length_scale: days in which interests change (30, above 0; infinity is a static user; ours).
        num_interests: M parallel interests (1, at least 1; IDNP's users have several).
        num_items: N (200, at least num_categories; ours).
        slate_size: K (10, 1 to N; ours).
        clicks: name of a click model in `user_models.clicks.CLICK_MODELS` (cascade), with its defaults.
        num_users: U, size of the population (1000, at least 1; ours).
        dimension: D of interests and features (16, at least 1; ours).
        num_categories: C (20, 1 to N; ours).
        sharpness: logits for a standard deviation of interest (2, at least 0; ours).
        intercept: logit of an item at a right angle to the interest (-5.5; ours).
        mean_gap: days between visits (3, above 0; ours).
        gap_shape: kappa, 1 is Poisson, less is bursty, infinity is regular (1, above 0; ours).
        horizon: H, visits of an episode (50, at least 1; ours).
        interest_observed: True shows the interest of the moment to the agent (False).
        candidates: C, size of the candidate set (None: every item can be shown; K to N, or to N / 10 from
            interest).
        candidates_from: catalogue, spread evenly over all items, or interest, spread over the 10 C items
            nearest to what the user liked at day 0, as a retrieval stage knows them (catalogue).
        world_seed: of catalogue and population (0).

    Known simplifications:
        Interests do not depend on what is shown; nobody leaves; the coordinates of one user share the
        frequencies of their random Fourier features; quality and catalogue are constant.

    Version history:
        v0: first version.

    Source: the idea of interests as functions of irregular time is that of Du et al., "IDNP", WSDM 2023;
    the composition is ours.

    Raises:
        InputError: a parameter out of range, or an unknown click model.
    """
    check_world_seed(world_seed)
    if num_users < 1:
        raise InputError(f"num_users must be at least 1, got {num_users}")
    if not 0.0 <= sharpness < np.inf:
        raise InputError(f"sharpness must be 0 or more and finite, got {sharpness}")
    if not np.isfinite(intercept):
        raise InputError(f"intercept must be finite, got {intercept}")
    if not 0.0 < mean_gap < np.inf:
        raise InputError(f"mean_gap must be above 0 and finite, got {mean_gap}")
    if not gap_shape > 0.0:
        raise InputError(f"gap_shape must be above 0, got {gap_shape}")
    process = GaussianProcess(dimension, length_scale, num_interests)
    luck = Luck.from_seeds(np.arange(num_users) + (world_seed << 20))
    world = DriftWorld(
        catalogue=synthetic_catalogue(num_items, dimension, num_categories, world_seed=world_seed),
        process=process,
        paths=process.paths(luck.normal("paths", (process.num_normals,))),
        gaps=GammaGaps(mean_gap, gap_shape),
        clicks=click_model(clicks, max(1, slate_size)),  # a slate of 0 the world itself refuses
        slate_size=slate_size,
        horizon=horizon,
        intercept=intercept,
        sharpness=sharpness,
        interest_observed=interest_observed,
    )
    return with_candidates(world, candidates, candidates_from)
