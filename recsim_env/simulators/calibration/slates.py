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
with the true ones and have the same mean, .0195. The slates that the fitted world holds for best get .851
clicks in the true one, and .850 in its own belief; the best there are get .930, random ones .179.

A calibration is a directory (`calibration_files`); `gym.make("SlateRec-v0", calibration=DIR)` reads it.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError, unknown_name
from recsim_env.simulators.calibration.calibration_files import read_calibration, write_calibration
from recsim_env.simulators.calibration.slate_attraction import fit_slate_attraction
from recsim_env.simulators.calibration.slate_sessions import (
    LeaveFit,
    SlateSessions,
    fit_leaving,
    hold_out,
    sessions_of,
)
from recsim_env.simulators.catalogue import Catalogue
from recsim_env.simulators.log import Log
from recsim_env.simulators.worlds.slate import SlateWorld
from recsim_env.user_models.affinity import listed as first_showings
from recsim_env.user_models.clicks import CLICK_MODELS, ClickModel

WORLD = "SlateRec-v0"
SCHEMA = 1
NUMBERS = ("intercept", "sharpness", "quality_weight", "leave_after_click", "leave_without_click")
WITHOUT_ATTRACTION = ("global_click_through_rate", "rank_click_through_rate")
ARRAYS = ("interest", "features", "quality", "popularity", "user_ids", "item_ids")
HELD_OUT = 0.2  # share of the sessions


@dataclass(frozen=True)
class SlateCalibration:
    """The parameters of a `SlateWorld`, fitted to a log."""

    clicks: ClickModel
    click_name: str  # in CLICK_MODELS
    interest: Array  # (U, D) float32, root mean square length 1
    features: Array  # (N, D) float32, root mean square length 1
    quality: Floats  # (N,) q, before its weight
    popularity: Floats  # (N,) share of the clicks, sums to 1
    user_ids: Ints  # (U,) of the users in the log
    item_ids: Ints  # (N,) of the items in the log
    intercept: float
    sharpness: float
    quality_weight: float  # 0 where quality does not help to tell held-out clicks
    leave_after_click: float
    leave_without_click: float
    slate_size: int  # K of the log
    horizon: int  # H
    std_errors: dict[str, float]  # of the five numbers; nan where there is none
    problems: tuple[str, ...]  # why the fit should not be trusted; empty if nothing speaks against it
    notes: tuple[str, ...]  # what the log does not tell
    about: dict[str, Any]  # size and source of the log, and what was held out

    def world(self, *, force: bool = False, **changes: Any) -> SlateWorld:
        """The world of this calibration.

        Args:
            force: build it although there are problems.
            changes: fields of `SlateWorld` that the log does not tell, such as `interest_observed`.

        Raises:
            InputError: there are problems, and `force` is False; a field out of range.
        """
        if self.problems and not force:
            raise InputError(
                f"this calibration is not to be trusted ({'; '.join(self.problems)}): "
                "fit a longer log, or pass force=True to use it all the same"
            )
        N = len(self.item_ids)
        catalogue = Catalogue(
            features=self.features,
            category=np.zeros(N, np.int64),
            popularity=self.popularity,
            quality=self.quality_weight * self.quality,
            price=np.ones(N),
            group=np.zeros(N, np.int64),
        )
        fitted: dict[str, Any] = {
            "interest": np.float32(self.sharpness) * self.interest,
            "clicks": self.clicks,
            "slate_size": self.slate_size,
            "horizon": self.horizon,
            "intercept": self.intercept,
            "leave_after_click": self.leave_after_click,
            "leave_without_click": self.leave_without_click,
        }
        return SlateWorld(catalogue, **{**fitted, **changes})

    def save(self, directory: Path) -> None:
        """Write the two files; the directory is made if it is missing."""
        document = {
            **{name: getattr(self, name) for name in NUMBERS},
            "slate_size": self.slate_size,
            "horizon": self.horizon,
            "clicks": self.click_name,
            "std_errors": self.std_errors,
            "problems": list(self.problems),
            "notes": list(self.notes),
            "about": self.about,
        }
        arrays = {name: getattr(self, name) for name in ARRAYS}
        parameters = {f"clicks_{field}": getattr(self.clicks, field) for field in _parameters(self.clicks)}
        write_calibration(directory, WORLD, SCHEMA, document, {**arrays, **parameters})

    @classmethod
    def load(cls, directory: str | Path) -> "SlateCalibration":
        """Read what `save` wrote.

        Raises:
            InputError: a file is missing, broken, of another world or of another version.
        """

        def build(document: dict[str, Any], arrays: dict[str, Array]) -> "SlateCalibration":
            model: Any = CLICK_MODELS[document["clicks"]]
            found = {field: arrays[f"clicks_{field}"] for field in _parameters(model)}
            numbers: dict[str, Any] = {name: float(document[name]) for name in NUMBERS}
            columns: dict[str, Any] = {name: arrays[name] for name in ARRAYS}
            return cls(
                clicks=model(**{name: v if v.ndim else float(v) for name, v in found.items()}),
                click_name=document["clicks"],
                **columns,
                **numbers,
                slate_size=int(document["slate_size"]),
                horizon=int(document["horizon"]),
                std_errors=document["std_errors"],
                problems=tuple(document["problems"]),
                notes=tuple(document["notes"]),
                about=document["about"],
            )

        return read_calibration(directory, WORLD, SCHEMA, build)


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
    _check_click_model(clicks)
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
        if leaving.slates.sum() == 0:
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


def _parameters(model: Any) -> list[str]:
    """The names of the arguments of a click model."""
    return [field.name for field in fields(model) if field.init]


def _check_click_model(name: str) -> None:
    known = [known for known in CLICK_MODELS if known not in WITHOUT_ATTRACTION]
    if name in WITHOUT_ATTRACTION:
        raise InputError(
            f"clicks must be a model in which items attract, got {name!r}: choose from {', '.join(known)}"
        )
    if name not in known:
        raise unknown_name("click model", name, known)


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
