"""Three baselines without examination: every click is a coin of its own.

    GlobalClickThroughRate:      P(C_k = 1) = rho
    RankClickThroughRate:        P(C_k = 1) = rho_k
    DocumentClickThroughRate:    P(C_k = 1) = a_k

Every slot counts as examined. The attraction matters to the first two only in that 0 marks an empty slot,
which is not clicked.

Source: Chuklin, Markov, de Rijke, "Click Models for Web Search", 2015, section 3.2.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from recsim_env.arrays import Bools, Floats
from recsim_env.user_models.clicks.checks import check_draws, check_probability, check_slots
from recsim_env.user_models.clicks.click_fit import PRIOR, ClickFit, check_fit, smoothed_rate
from recsim_env.user_models.clicks.click_model import ClickModel
from recsim_env.user_models.clicks.examination_chain import log_prob_of_clicks
from recsim_env.user_models.clicks.response import Response

if TYPE_CHECKING:
    from recsim_env.simulators.log import Log


class Coins(ABC):
    """What the three share: all follows from `click_prob`."""

    draws_per_slot = 1

    @abstractmethod
    def click_prob(self, attraction: Floats) -> Floats:
        """(B, K) P(click at k)."""

    def sample(self, attraction: Floats, u: Floats) -> Response:
        """See `ClickModel`; u (B, 1, K)."""
        check_draws(attraction, u, self.draws_per_slot)
        return Response(u[:, 0] < self.click_prob(attraction), np.ones(attraction.shape, np.bool_))

    def examine_prob(self, attraction: Floats) -> Floats:
        """(B, K) ones."""
        return np.ones(attraction.shape)

    def conditional_click_prob(self, attraction: Floats, clicked: Bools) -> Floats:
        """(B, K) the same as `click_prob`: clicks above tell nothing."""
        return self.click_prob(attraction)

    def log_prob(self, attraction: Floats, clicked: Bools) -> Floats:
        """(B,) sum over slots."""
        return log_prob_of_clicks(self.click_prob(attraction), clicked)


@dataclass(frozen=True)
class GlobalClickThroughRate(Coins):
    """One rate for all."""

    rate: float  # rho, in [0, 1]

    def __post_init__(self) -> None:
        check_probability("rate", self.rate, ndim=0)

    @classmethod
    def default(cls, num_slots: int) -> Self:
        """One click in ten."""
        return cls(0.1)

    def click_prob(self, attraction: Floats) -> Floats:
        """(B, K) rho where there is an item."""
        return np.where(attraction > 0.0, self.rate, 0.0)

    @classmethod
    def fit(cls, log: "Log", num_items: int, *, prior: tuple[float, float] = PRIOR) -> ClickFit:
        """Clicks / slots, smoothed; also the attraction of every item, as if examined as often as all are."""
        check_fit(log, num_items, prior)
        listed = log.slate >= 0
        rate = smoothed_rate(log.clicked.sum(keepdims=True), listed.sum(keepdims=True), prior)[0, 0]
        return _fitted(cls(float(rate)), log, np.full(num_items, rate), float(listed.sum()))


@dataclass(frozen=True)
class RankClickThroughRate(Coins):
    """One rate for each slot."""

    rate: Floats  # (K,) rho, in [0, 1]

    def __post_init__(self) -> None:
        check_probability("rate", self.rate, ndim=1)

    @classmethod
    def default(cls, num_slots: int) -> Self:
        """0.3 k^-0.7."""
        return cls(0.3 * np.arange(1.0, num_slots + 1) ** -0.7)

    def click_prob(self, attraction: Floats) -> Floats:
        """(B, K) rho_k where there is an item."""
        K = attraction.shape[1]
        check_slots("rate", len(self.rate), K)
        return np.where(attraction > 0.0, self.rate[:K], 0.0)

    @classmethod
    def fit(cls, log: "Log", num_items: int, *, prior: tuple[float, float] = PRIOR) -> ClickFit:
        """Clicks / slates of each slot, smoothed; every item has attraction 1, which is not fitted."""
        check_fit(log, num_items, prior)
        rate = smoothed_rate(log.clicked.sum(axis=0), (log.slate >= 0).sum(axis=0), prior)
        return _fitted(cls(np.nan_to_num(rate)), log, np.ones(num_items), np.nan)


@dataclass(frozen=True)
class DocumentClickThroughRate(Coins):
    """One rate for each item: its attraction."""

    @classmethod
    def default(cls, num_slots: int) -> Self:
        """There are no parameters beside the attraction."""
        return cls()

    def click_prob(self, attraction: Floats) -> Floats:
        """(B, K) a_k."""
        return attraction

    @classmethod
    def fit(cls, log: "Log", num_items: int, *, prior: tuple[float, float] = PRIOR) -> ClickFit:
        """Clicks / slots of each item, smoothed."""
        check_fit(log, num_items, prior)
        shown = np.bincount(log.slate[log.slate >= 0], minlength=num_items)
        clicks = np.bincount(log.slate[log.clicked], minlength=num_items)
        return _fitted(cls(), log, smoothed_rate(clicks, shown, prior), shown.astype(np.float64))


def _fitted(model: ClickModel, log: "Log", attraction: Floats, examinations: Floats | float) -> ClickFit:
    """With the log-likelihood of the one step that a closed form takes; examinations (N,) or of all alike."""
    listed = log.slate >= 0
    shown = np.bincount(log.slate[listed], minlength=len(attraction)) > 0
    on_slate = np.where(listed, np.nan_to_num(attraction)[log.slate], 0.0)
    curve = model.log_prob(on_slate, log.clicked).sum(keepdims=True) / max(listed.sum(), 1)
    examinations = np.where(shown, examinations, 0.0)
    return ClickFit(model, np.where(shown, attraction, np.nan), examinations, curve, True, coverage=1.0)
