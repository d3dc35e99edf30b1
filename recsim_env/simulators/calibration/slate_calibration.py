"""A world of personal slates on disk: what `fit_slates` (`slates`) found, and the `SlateWorld` made of it.

A calibration is a directory (`calibration_files`); `gym.make("SlateRec-v0", calibration=DIR)` reads it.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, unknown_name
from recsim_env.simulators.calibration.calibration_files import (
    array,
    distribution,
    number,
    read_calibration,
    words,
    write_calibration,
)
from recsim_env.simulators.catalogue import Catalogue
from recsim_env.simulators.worlds.calibrated import refuse_untrusted
from recsim_env.simulators.worlds.slate import SlateWorld
from recsim_env.user_models.clicks import CLICK_MODELS, ClickModel

WORLD = "SlateRec-v0"
SCHEMA = 1
NUMBERS = ("intercept", "sharpness", "quality_weight", "leave_after_click", "leave_without_click")
WITHOUT_ATTRACTION = ("global_click_through_rate", "rank_click_through_rate")
ARRAYS = ("interest", "features", "quality", "popularity", "user_ids", "item_ids")


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
        refuse_untrusted(self.problems, force=force)
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
            interest = array(arrays, "interest", (None, None))
            features = array(arrays, "features", (None, interest.shape[1]))
            U, N = len(interest), len(features)
            slate_size = int(number(document, "slate_size", 1, N, whole=True))
            check_click_model(document["clicks"])
            model: Any = CLICK_MODELS[document["clicks"]]
            usual = model.default(slate_size)  # for the shapes of the parameters, all of them probabilities
            clicks = {
                field: array(arrays, f"clicks_{field}", np.shape(getattr(usual, field)), 0.0, 1.0)
                for field in _parameters(model)
            }
            after_click = number(document, "leave_after_click", 0.0, 1.0)
            return cls(
                clicks=model(**{name: v if v.ndim else float(v) for name, v in clicks.items()}),
                click_name=document["clicks"],
                interest=interest,
                features=features,
                quality=array(arrays, "quality", (N,)),
                popularity=distribution(arrays, "popularity", N),
                user_ids=array(arrays, "user_ids", (U,), whole=True),
                item_ids=array(arrays, "item_ids", (N,), 0, whole=True),
                intercept=number(document, "intercept"),
                sharpness=number(document, "sharpness", 0.0),
                quality_weight=number(document, "quality_weight", 0.0),
                leave_after_click=after_click,
                leave_without_click=number(document, "leave_without_click", after_click, 1.0),
                slate_size=slate_size,
                horizon=int(number(document, "horizon", 1, whole=True)),
                std_errors=document["std_errors"],
                problems=words(document, "problems"),
                notes=words(document, "notes"),
                about=document["about"],
            )

        return read_calibration(directory, WORLD, SCHEMA, build)


def _parameters(model: Any) -> list[str]:
    """The names of the arguments of a click model."""
    return [field.name for field in fields(model) if field.init]


def check_click_model(name: str) -> None:
    """Refuse what is no click model, or one in which items do not attract."""
    known = [known for known in CLICK_MODELS if known not in WITHOUT_ATTRACTION]
    if name in WITHOUT_ATTRACTION:
        raise InputError(
            f"clicks must be a model in which items attract, got {name!r}: choose from {', '.join(known)}"
        )
    if name not in known:
        raise unknown_name("click model", name, known)
