"""Shoppers fitted to a real purchase log: `CascadeRec-Grocery-v0`."""

from functools import cache

import numpy as np

from recsim_env.simulators.calibration import FittedCascadeMDP, fit_cascade_mdp
from recsim_env.simulators.datasets import Interactions, read_interactions
from recsim_env.simulators.luck import check_world_seed
from recsim_env.simulators.worlds.cascade import CascadeWorld


def grocery(
    num_items: int = 25,
    num_states: int = 20,
    slate_size: int = 3,
    horizon: int = 10,
    world_seed: int = 0,
) -> CascadeWorld:
    """The grocery world: what a household buys next depends on the basket it bought last.

    Story:
        A household of a grocery chain comes back about every eight days. Its last basket says what kind of
        visit the next one is likely to be; the shop shows a short list of product types, and what is taken
        from it goes with the next basket.

    Slate (action):
        `MultiDiscrete([N] + [N+1] * (K-1))`: the first slot always holds a product type, index N leaves a
        later slot empty, and a type shown a second time counts as an empty slot. Every such list is valid.

    Observation:
        `state`, the cluster of the last basket, and `step`, the slates shown so far.

    What the user does:
        Looks down the list and takes the first product type that attracts: a with probability q(s,a), the
        share of visits in state s whose basket holds a. The next state follows p(.|s,a), where the
        households that had a in such a basket went; without a click, where those went that bought none of
        the N. How q, p and the states are estimated, with all smoothing constants, and what this reading
        of a basket log leaves out: `recsim_env.simulators.calibration.cascade_mdp`.

        The states tell something: on households left out of the fit they are worth +0.068 +- 0.004 nats per
        visit (`recsim_env.simulators.calibration.held_out`).

    Reward:
        1 for a click, 0 for none.

    Episode end:
        After `horizon` slates (truncated). The first state is drawn from the share of visits in each state:
        an episode may begin anywhere in the year.

    Regret is measured against:
        The exact optimum over all lists (backward induction with `best_permutation`).

        Expected clicks in an episode with the default parameters (mean over the first state; "same" shows
        the three most bought types in every state):

            horizon   optimal    myopic     same       random list
            1          0.40607    0.40607    0.37293    0.18388
            10         3.89982    3.87599    3.72357    1.69250
            50        19.42035   19.28186   18.62130    8.39108

        printed by `python -m recsim_env.simulators.worlds.reference_values grocery`. So the state is worth
        5 % over one list for all, and planning ahead another 0.6 %: this log shows little that a patient
        recommender could gain, and regret here is mostly about learning q. Use `CascadeRec-v0` where a
        planner should show what it is worth.

    Parameters (default, range, source):
        num_items: N (25, 1 to 1,317), the product types in most visits.
        num_states: S (20, from 1), clusters of baskets.
        slate_size: K (3, 1 to N), as in the paper on cascading RL.
        horizon: H (10, from 1), visits: about three months of the median household (43 visits in the year).
        world_seed: of the k-means that makes the states (0).

    Known simplifications:
        Rates of purchase stand in for responses to a recommendation; one click where a basket holds
        several items; association stands in for effect; time between visits is left out. Some product
        types are odd for a list of recommendations (gasoline, cigarettes). The tables are fitted when the
        world is made, so another version of SciPy or NumPy could place a basket that lies between two
        clusters differently; nothing else in them can change.

    Version history:
        v0: first version.

    Raises:
        InputError: a parameter out of range.

    Source: 84.51°, "The Complete Journey", 2,467 households in 2017; terms, and what is known of its
    origin: `recsim_env.simulators.datasets.make_complete_journey`.
    """
    check_world_seed(world_seed)
    fit = _fit(num_items, num_states, world_seed)
    names = _log().item_names
    assert names is not None
    return CascadeWorld(
        attraction=fit.attraction,
        transition=fit.transition,
        reward=np.ones_like(fit.attraction),
        slate_size=slate_size,
        horizon=horizon,
        start=fit.start,
        item_names=tuple(names[item] for item in fit.item_ids),
    )


@cache
def _log() -> Interactions:
    return read_interactions("complete-journey")


@cache
def _fit(num_items: int, num_states: int, seed: int) -> FittedCascadeMDP:
    return fit_cascade_mdp(_log().log, num_items=num_items, num_states=num_states, seed=seed)
