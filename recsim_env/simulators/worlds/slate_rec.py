"""The page of `SlateRec-v0`: users with lasting interests before a synthetic or a calibrated catalogue."""

from pathlib import Path

import numpy as np

from recsim_env.errors import InputError
from recsim_env.simulators.catalogue import synthetic_catalogue
from recsim_env.simulators.population import synthetic_interests
from recsim_env.simulators.worlds.calibrated import refuse_beside_calibration
from recsim_env.simulators.worlds.candidates import with_candidates
from recsim_env.simulators.worlds.slate import SlateWorld
from recsim_env.simulators.worlds.world import World
from recsim_env.user_models.clicks import click_model

FITTED = (  # what a calibration takes the place of
    "num_items",
    "slate_size",
    "clicks",
    "num_users",
    "dimension",
    "num_categories",
    "sharpness",
    "intercept",
    "leave_after_click",
    "leave_without_click",
    "horizon",
    "world_seed",
)


def slate_rec(
    num_items: int = 1000,
    slate_size: int = 10,
    clicks: str = "cascade",
    num_users: int = 1000,
    dimension: int = 16,
    num_categories: int = 20,
    sharpness: float = 5.0,
    intercept: float = -5.5,
    leave_after_click: float = 0.02,
    leave_without_click: float = 0.2,
    horizon: int = 20,
    interest_observed: bool = True,
    candidates: int | None = None,
    candidates_from: str = "catalogue",
    calibration: str | Path | None = None,
    force: bool = False,
    world_seed: int = 0,
) -> World:
    """Show a user what they like out of a thousand items, before they lose patience and leave.

    Story:
        A visitor out of a population comes to a catalogue of items in categories. They like two or
        three of the categories, look through the slates they are shown, click what appeals to them, and
        leave sooner when a slate had nothing for them.

    Slate (action):
        One number per slot: an item (0 to N-1), or N to leave a slot empty, which the first slot cannot
        be. An item shown a second time counts as an empty slot. With `candidates` the numbers are places
        in the candidate set of the observation instead (0 to C-1; C leaves a slot empty).

    Observation:
        `user`, a number in the population; `interest`, their interest vector (unless
        `interest_observed` is False); `step`, slates shown so far; `slate` and `clicked`, the last slate
        (N = empty) and which of its slots were clicked. With `candidates`: `candidates`, the C items
        that can be shown now. The items' features are `env.unwrapped.world.catalogue.features`.

    What the user does:
        Finds item i attractive with probability sigmoid(intercept + quality_i + sharpness x . f_i) for
        unit interests x and features f, independently, and looks and clicks by the click model named.
        Leaves with probability `leave_after_click` after a slate with a click, else
        `leave_without_click`. Interests do not change.

    Reward:
        The number of clicks.

    Episode end:
        Terminated when the user leaves, truncated after `horizon` slates.

    Regret is measured against:
        The K most attractive items, most attractive first, at every step, with the exact value of the
        rest of the episode. This is the optimum for every click model named but one; the tests compare it
        with all slates of small catalogues. Under click_chain a click on an attractive item ends the
        search more often than one on a doubtful item: the slate is then one that no exchange of two slots
        or items improves, as it is for click models fitted to a log. With `candidates` against the most
        attractive candidates of the moment, most attractive first, for this step's clicks alone: later
        candidates are chance, staying longer is worth more than that oracle says, and under click_chain
        another order may be worth some 2 % more.

    Parameters (default, range, source):
        num_items: N (1000, at least num_categories; ours).
        slate_size: K (10, 1 to N; as SARDINE's slates).
        clicks: name of a click model in `user_models.clicks.CLICK_MODELS` (cascade), with its defaults.
        num_users: U, size of the population (1000, at least 1; ours).
        dimension: D of interests and features (16, at least 1; ours).
        num_categories: C (20, 1 to N; ours).
        sharpness: how much more the nearest item attracts, in logits (5, at least 0; ours).
        intercept: logit of an item at a right angle to the interest (-5.5; ours, see below).
        leave_after_click: probability (0.02, 0 to leave_without_click; ours).
        leave_without_click: probability (0.2, up to 1; ours).
        horizon: H, slates of an episode (20, at least 1; ours).
        interest_observed: False leaves the agent to learn interests from clicks (True).
        candidates: C, size of the candidate set (None: every item can be shown; K to N, or to N / 10 from
            interest).
        candidates_from: catalogue, spread evenly over all items, or interest, spread over the 10 C items
            nearest to the user, as a retrieval stage would (catalogue; interest needs candidates).
        calibration: directory that `recsim-env calibrate LOG --world SlateRec-v0` wrote (None). What was
            fitted to the log takes the place of all parameters but interest_observed, candidates and
            candidates_from, and another value of one of them is refused.
        force: True uses a calibration that says it is not to be trusted (False).
        world_seed: of catalogue and population (0).

    Known simplifications:
        Interests last for ever, items attract independently of each other, nothing bores, and the
        numbers are chosen so that random slates are clicked one time in six and the best nine in ten;
        without a calibration they are not fitted to data.

    Version history:
        v0: first version.

    Source: the composition is ours; for the click models see their own pages.

    Raises:
        InputError: a parameter out of range, or beside one that takes its place; an unknown click model.
    """
    if calibration is not None:
        refuse_beside_calibration(slate_rec, locals(), FITTED)
        from recsim_env.simulators.calibration.slate_calibration import SlateCalibration

        fitted = SlateCalibration.load(calibration).world(force=force, interest_observed=interest_observed)
        return with_candidates(fitted, candidates, candidates_from)
    if not 0.0 <= sharpness < np.inf:
        raise InputError(f"sharpness must be 0 or more and finite, got {sharpness}")
    catalogue = synthetic_catalogue(num_items, dimension, num_categories, world_seed=world_seed)
    interest = synthetic_interests(catalogue, num_users, world_seed=world_seed)
    world = SlateWorld(
        catalogue=catalogue,
        interest=np.float32(sharpness) * interest,
        clicks=click_model(clicks, max(1, slate_size)),  # a slate of 0 the world itself refuses
        slate_size=slate_size,
        horizon=horizon,
        intercept=intercept,
        leave_after_click=leave_after_click,
        leave_without_click=leave_without_click,
        interest_observed=interest_observed,
    )
    return with_candidates(world, candidates, candidates_from)
