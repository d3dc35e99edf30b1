"""A click model fitted to a log, and what all fits begin with."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.user_models.clicks.click_model import ClickModel

if TYPE_CHECKING:
    from recsim_env.simulators.log import Log

PRIOR = (1.0, 1.0)  # pseudo clicks and pseudo misses of every item, position and transition
MOST_STEPS = 20_000
CONVERGED = 0.03  # nats of the whole log: an estimate as small leaves less than a tenth of a nat to gain
SETTLING = 8  # steps over which the rate of gains has to be the same
SETTLED = 0.02  # share of what it lacks of 1 by which it may have risen meanwhile


@dataclass(frozen=True)
class ClickFit:
    """A click model and the attraction of N items, fitted to a log."""

    model: ClickModel  # with its fitted parameters, but for the satisfaction of items
    attraction: Floats  # (N,), NaN where an item was never examined
    examinations: Floats  # (N,) how often each item was examined; expected, where that is not observed
    learning_curve: Floats  # (steps,) log-likelihood per slot, nats, before each step; one if closed form
    converged: bool  # within a tenth of a nat of the maximum, see `remaining_gain`; always, if closed form
    coverage: float  # share of the slates whose clicks the model can make
    satisfaction: Floats | None = None  # (N,) P(satisfied | clicked) where the model has it per item;
    #     of an item that was never clicked what it began with, or the mean of its prior

    @property
    def std_error(self) -> Floats:
        """(N,) sqrt(a (1-a) / examinations): a lower bound where examinations are not observed.

        NaN where no attraction was fitted.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.sqrt(self.attraction * (1.0 - self.attraction) / self.examinations)

    def at(self, slates: Ints) -> tuple[ClickModel, Floats]:
        """The model for slates (B, K), and their attraction (B, K): 0 in empty slots (-1).

        Raises:
            InputError: an item that nobody in the log examined, or that is not in the catalogue.
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
                f"slates[{row}, {slot}] = {slates[row, slot]} has no attraction: "
                "nobody in the log examined it"
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


def log_prior(prior: tuple[float, float], *rates: Array | float) -> float:
    """Nats that the pseudo counts p, q add to the likelihood: the sum over rates of p ln r + q ln(1 - r)."""
    total = 0.0
    for rate in rates:
        for count, share in zip(prior, (np.asarray(rate), 1.0 - np.asarray(rate)), strict=True):
            if count > 0.0:
                total += count * float(np.log(np.maximum(share, 1e-300)).sum())
    return total


def remaining_gain(curve: Floats) -> float:
    """Nats that more steps would gain, if gains go on falling as the last two did.

    With a last gain d, r times the one before, d (r + r^2 + ...) = d r / (1 - r). A small gain alone says
    nothing: where r = 0.99, a hundred times as much is still to come. Nor does an r that still rises: what
    is learned fast hides what is learned slowly, such as how much of a click is examination.

    Args:
        curve: (steps,) log-likelihood and prior of the whole log, which no step lowers.

    Returns:
        Infinity while there are fewer than `SETTLING` + 3 steps or r is rising.
    """
    gains = np.diff(curve[-SETTLING - 3 :])
    if len(gains) and gains[-1] <= 1e-12 * abs(curve[-1]):  # rounding
        return 0.0
    if len(gains) < SETTLING + 2 or gains.min() <= 0.0:
        return np.inf
    before, rate = gains[1] / gains[0], gains[-1] / gains[-2]
    if not rate < 1.0 or rate - before > SETTLED * (1.0 - rate):
        return np.inf
    return float(gains[-1] * rate / (1.0 - rate))


def check_fit(log: "Log", num_items: int, prior: tuple[float, float], iterations: int | None = 1) -> None:
    """Refuse a log without items or with other items, a fit of no step, and pseudo counts that are none."""
    if not isinstance(num_items, int | np.integer) or num_items < 1:
        raise InputError(f"num_items must be a whole number from 1, got {num_items!r}")
    if not (log.slate >= 0).any():
        raise InputError("log must hold a slate with an item, got none: there is nothing to fit")
    log.check_items(int(num_items))
    if iterations is not None and iterations < 1:
        raise InputError(f"iterations must be 1 or more, or None for as many as it takes, got {iterations}")
    counts = [count for count in prior if isinstance(count, int | float) and 0.0 <= count < np.inf]
    if not len(prior) == len(counts) == 2:
        raise InputError(f"prior must be pseudo clicks and pseudo misses, two numbers from 0, got {prior!r}")
