"""A world of personal slates fitted to a log of slates and clicks.

What is taken from the log, of which some sessions (a fifth) are held out of the first three steps:

    clicks       how users look down a slate, by the `fit` of a click model; where only the product of
                 examination and attraction is known, the slot most looked at is looked at always
    vectors      interests x_u and features f_i by implicit matrix factorisation of the clicks
                 (`fit_interest_vectors`); interests are taken from their mean over users, and both are scaled
                 to a root mean square length of 1. Who clicked nothing is taken for the mean user
    quality      q_i, the logit of the attraction that the click model found for the item, from the overall
                 one, with one click at the overall rate added
    attraction   a(u, i) = sigmoid(intercept + weight q_i + sharpness x_u . f_i), the three numbers by maximum
                 likelihood of the click model on the held-out sessions (`attraction_scale`), as scores that
                 were fitted to a click are too sure of it
    leaving      the probabilities of leaving after slates with and without a click (`slate_sessions`); the
                 horizon is the longest session

The factorisation is done with each of `slate_attraction.CONFIDENCES`, and the one that makes the held-out
clicks most likely stays.

Users are as active as each other in the world (an episode meets any of them), and examination is fitted
before interests are known. The fidelity report shows what else is missed.

On 200,000 random slates of SlateRec-v0 itself (1,000 people with 36 clicks each, 1,000 items, made by
`recsim-env log SlateRec-v0 --agent random --steps 100 --num-envs 2000`) the attractions found correlate .81
with the true ones and have the same mean, .0195. The slates that the fitted world holds for best get .852
clicks in the true one, and .850 in its own belief; the best there are get .930, random ones .18.

What is found is a `SlateCalibration` (`slate_calibration`), which is saved, read and made a world.
"""

from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Bools, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.calibration.slate_attraction import fit_slate_attraction
from recsim_env.simulators.calibration.slate_calibration import (
    NUMBERS,
    SlateCalibration,
    check_click_model,
)
from recsim_env.simulators.calibration.slate_sessions import (
    LeaveFit,
    SlateSessions,
    fit_leaving,
    hold_out,
    sessions_of,
)
from recsim_env.simulators.log import Log
from recsim_env.user_models.affinity import listed as first_showings

HELD_OUT = 0.2  # share of the sessions


@dataclass(frozen=True)
class SlateFit:
    """A calibration, and the sessions that it was not fitted to, on which `slate_fidelity` tries it."""

    calibration: SlateCalibration
    log: Log  # the log as the world sees it: users 0 to U-1, items 0 to N-1
    sessions: SlateSessions | None  # of the log, if it tells
    whole_sessions: bool  # sessions are held out, not single slates
    session: Ints  # (R,) number of the session, or of the slate
    held_out: Bools  # (R,)


def fit_slates(
    log: Log, clicks: str = "cascade", dimension: int = 16, *, seed: int = 0, name: str = ""
) -> SlateFit:
    """Fit the world of personal slates; the rules are at the top of this file.

    Args:
        log: slates shown to users who come back; with the column `episode`, if leaving is to be fitted. An
            item shown a second time on a slate counts as an empty slot. A `user` has one interest: for
            generated logs see `people.by_people`.
        clicks: name of a click model in which items attract.
        dimension: D of interests and features.
        seed: which sessions are held out, and of the first vectors of the factorisation.
        name: of the log, for the record.

    Raises:
        InputError: no such click model, or one that cannot make the clicks of the log; a log in which nothing
            or everything is clicked, of one user or one item, or of users with one slate each; a dimension
            above the number of users or items.
    """
    check_click_model(clicks)
    log.check_variety()
    if not log.clicked.any():
        raise InputError("log must hold a click, got none: there is nothing to learn from")
    if log.clicked[log.slate >= 0].all():
        raise InputError(
            "log must hold an item that was shown and not clicked, got none: what users pass over tells what "
            "attracts; a log of purchases or plays makes a RepeatListen-v0"
        )
    users, items = np.unique(log.user), np.unique(log.slate[log.slate >= 0])
    seen = _as_the_world_sees_it(log, users, items)
    sessions = sessions_of(seen)
    session, held = hold_out(seen, sessions, HELD_OUT, np.random.default_rng(seed))
    whole = sessions is not None and session is sessions.session
    fitted_to, rest = seen.rows(~held), seen.rows(held)
    for which, part in (("fitted", fitted_to), ("held-out", rest)):
        if not part.clicked.any():
            raise InputError(
                f"the {which} sessions, {len(part):,} of {len(log):,} slates, hold no click: fit a longer log"
            )
    U, N = len(users), len(items)
    found = fit_slate_attraction(fitted_to, rest, clicks, dimension, U, N, seed)
    scale = found.scale
    leaving = LeaveFit(0.0, 0.0, np.full(2, np.nan), np.zeros(2, np.int64), ())
    horizon = int(np.bincount(seen.user).max())
    notes = []
    if sessions is None:
        notes.append("the log has no column episode, so it does not tell when users leave: nobody does")
    else:
        leaving, horizon = fit_leaving(seen, sessions), sessions.horizon
        if leaving.after_click == leaving.without_click == 0.0:
            notes.append("no session of the log is seen to end before the longest: nobody leaves")
        if not whole:
            notes.append("no user has two sessions: single slates are held out of the fit, not sessions")
    times = np.bincount(seen.slate[seen.clicked], minlength=N)
    errors = [*scale.std_errors.tolist(), *leaving.std_errors.tolist()]
    calibration = SlateCalibration(
        clicks=found.clicks,
        click_name=clicks,
        interest=found.interest,
        features=found.features,
        quality=found.quality,
        popularity=times / times.sum(),
        user_ids=users.astype(np.int64),
        item_ids=items.astype(np.int64),
        intercept=scale.intercept,
        sharpness=scale.sharpness,
        quality_weight=scale.quality_weight,
        leave_after_click=leaving.after_click,
        leave_without_click=leaving.without_click,
        slate_size=seen.slate.shape[1],
        horizon=horizon,
        std_errors=dict(zip(NUMBERS, errors, strict=True)),
        problems=(*found.problems, *leaving.problems),
        notes=tuple(notes),
        about={
            "log": name,
            "users": U,
            "items": N,
            "slates": len(log),
            "clicks": int(log.clicked.sum()),
            "held_out_slates": len(rest),
            "log_likelihood": scale.log_likelihood,  # of a held-out slate, in nats
            "log_likelihood_without_scores": scale.without_scores,
            "dimension": dimension,
            "confidence": found.confidence,
            "regularization": found.regularization,
            "seed": seed,
        },
    )
    return SlateFit(calibration, seen, sessions, whole, session, held)


def _as_the_world_sees_it(log: Log, users: Ints, items: Ints) -> Log:
    """The log with users 0 to U-1, items 0 to N-1, and no item twice on a slate."""
    shown = first_showings(log.slate)
    again = (log.slate >= 0) & ~shown & log.clicked
    if again.any():
        row, slot = np.argwhere(again)[0]
        raise InputError(
            f"clicked[{row}, {slot}] is a click on item {log.slate[row, slot]}, which stands higher on the "
            "same slate, and the second showing counts as an empty slot here: drop the row"
        )
    slate = np.where(shown, np.searchsorted(items, log.slate), -1)
    columns = {name: getattr(log, name) for name in ("episode", "seed") if getattr(log, name) is not None}
    return Log(np.searchsorted(users, log.user), log.time, slate, log.clicked, **columns)
