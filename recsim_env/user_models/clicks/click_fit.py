"""A click model fitted to a log, and what all fits begin with."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.user_models.clicks.click_model import ClickModel

PRIOR = (1.0, 1.0)  # pseudo clicks and pseudo misses of every item, position and transition
CONVERGED = 1e-4  # an iteration that gains less log-likelihood per slot, in nats, is the last that matters


@dataclass(frozen=True)
class ClickFit:
    """A click model and the attraction of N items, fitted to a log."""

    model: ClickModel  # with its fitted parameters, but for the satisfaction of items
    attraction: Floats  # (N,), NaN where an item was never examined
    examinations: Floats  # (N,) how often each item was examined; expected, where that is not observed
    learning_curve: (
        Floats  # (iterations,) log-likelihood per slot, nats, before each step; one if closed form
    )
    coverage: float  # share of the slates whose clicks the model can make
    satisfaction: Floats | None = None  # (N,) P(satisfied | clicked) where the model has it per item

    @property
    def std_error(self) -> Floats:
        """(N,) sqrt(a (1-a) / examinations): a lower bound where examinations are not observed."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.sqrt(self.attraction * (1.0 - self.attraction) / self.examinations)

    @property
    def converged(self) -> bool:
        """Whether the last step gained less than 1e-4 nats per slot (always, for closed forms)."""
        return len(self.learning_curve) == 1 or bool(np.diff(self.learning_curve)[-1] < CONVERGED)

    def at(self, slates: Ints) -> tuple[ClickModel, Floats]:
        """The model for slates (B, K), and their attraction (B, K): 0 in empty slots (-1).

        Raises:
            InputError: an item that the log never showed, or that is not in the catalogue.
        """
        N = len(self.attraction)
        if (slates >= N).any():
            row, slot = np.argwhere(slates >= N)[0]
            raise InputError(
                f"slates[{row}, {slot}] = {slates[row, slot]} is not an item: "
                f"the fit is of {N} items (0-{N - 1}); fit with a larger num_items"
            )
        attraction = np.where(slates < 0, 0.0, self.attraction[slates])
        if np.isnan(attraction).any():
            row, slot = np.argwhere(np.isnan(attraction))[0]
            raise InputError(
                f"slates[{row}, {slot}] = {slates[row, slot]} has no attraction: the log never showed it"
            )
        if self.satisfaction is None:
            return self.model, attraction
        model: Any = self.model
        return replace(model, satisfaction=np.where(slates < 0, 0.0, self.satisfaction[slates])), attraction


def smoothed_rate(clicks: Array, trials: Array, prior: tuple[float, float]) -> Floats:
    """(pseudo clicks + clicks) / (pseudo clicks + pseudo misses + trials); NaN where nothing was tried."""
    with np.errstate(invalid="ignore"):
        rate = (prior[0] + clicks) / (prior[0] + prior[1] + trials)
    return np.where(trials > 0, rate, np.nan)


def next_rate(
    successes: Array | float, trials: Array | float, prior: tuple[float, float], before: Array | float
) -> Floats:
    """`smoothed_rate` in a step of a fit: what it was `before` where nothing was tried and no prior helps."""
    total = np.asarray(prior[0] + prior[1] + trials)
    return np.where(total > 0.0, (prior[0] + successes) / np.where(total > 0.0, total, 1.0), before)


def check_iterations(iterations: int) -> None:
    """Refuse a fit of no step."""
    if iterations < 1:
        raise InputError(f"iterations must be 1 or more, got {iterations}")
