"""The cascade click model: the user looks down the slate and clicks the first attractive item.

With attraction a_k = P(the item in slot k attracts), independent over slots,

    E_1 = 1,    E_{k+1} = E_k (1 - A_k),    C_k = E_k A_k,    A_k ~ Bernoulli(a_k)

where E_k says that slot k is examined and C_k that it is clicked: at most one click, and nothing below
it is seen. So P(click at k) = a_k prod_{j<k} (1 - a_j).

Source: Craswell, Zoeter, Taylor, Ramsey, "An experimental comparison of click position-bias models",
WSDM 2008, section 3.4.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numba import njit

from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.user_models.clicks.checks import check_draws
from recsim_env.user_models.clicks.click_fit import PRIOR, ClickFit, check_fit, smoothed_rate
from recsim_env.user_models.clicks.examination_chain import log_prob_of_clicks
from recsim_env.user_models.clicks.response import Response

if TYPE_CHECKING:
    from recsim_env.simulators.log import Log


@dataclass(frozen=True)
class Cascade:
    """The cascade over slates of any length; it has no parameters beside the attraction it is given."""

    draws_per_slot = 1

    @classmethod
    def default(cls, num_slots: int) -> Self:
        """There are no parameters."""
        return cls()

    def sample(self, attraction: Floats, u: Floats) -> Response:
        """What users do who find these items attractive with these probabilities.

        Args:
            attraction: (B, K) in [0, 1]; 0 in empty slots, which are passed over.
            u: (B, 1, K) uniforms; slot k attracts if u < attraction.
        """
        check_draws(attraction, u, self.draws_per_slot)
        B, K = attraction.shape
        response = Response(np.empty((K, B), np.bool_).T, np.empty((K, B), np.bool_).T)
        look_down(attraction, u[:, 0], *response)
        return response

    def click_prob(self, attraction: Floats) -> Floats:
        """(B, K) P(click at k) = a_k prod_{j<k} (1 - a_j)."""
        return attraction * self.examine_prob(attraction)

    def examine_prob(self, attraction: Floats) -> Floats:
        """(B, K) P(slot k is examined) = prod_{j<k} (1 - a_j)."""
        passed = np.cumprod(1.0 - attraction, axis=1)
        return np.concatenate([np.ones_like(passed[:, :1]), passed[:, :-1]], axis=1)

    def conditional_click_prob(self, attraction: Floats, clicked: Bools) -> Floats:
        """(B, K) a_k down to the first click, 0 below it."""
        above: Ints = np.cumsum(clicked, axis=1) - clicked
        return np.where(above > 0, 0.0, attraction)

    def log_prob(self, attraction: Floats, clicked: Bools) -> Floats:
        """(B,) exact log-probability of the clicks; minus infinity for two clicks on one slate."""
        return log_prob_of_clicks(self.conditional_click_prob(attraction, clicked), clicked)

    @classmethod
    def fit(cls, log: "Log", num_items: int, *, prior: tuple[float, float] = PRIOR) -> ClickFit:
        """Attraction of every item: clicks / examinations, smoothed; of maximum likelihood with prior=(0, 0).

        The slots down to the first click are examined, all of them if there is none; later clicks of
        the same slate, which the cascade cannot make, are not used, and `coverage` says how rare the
        slates without such clicks are. The log-likelihood of the fit is that of the clicks used.

        Args:
            log: slates of any length, -1 in empty slots.
            num_items: size of the catalogue.
            prior: pseudo clicks and pseudo misses of every item.

        Raises:
            InputError: a slate holds an item outside the catalogue.
        """
        check_fit(log, num_items, prior)
        clicks_above: Ints = np.cumsum(log.clicked, axis=1) - log.clicked
        examined = (clicks_above == 0) & (log.slate >= 0)
        examinations = np.bincount(log.slate[examined], minlength=num_items).astype(np.float64)
        clicks = np.bincount(log.slate[examined & log.clicked], minlength=num_items)
        attraction = smoothed_rate(clicks, examinations, prior)
        used = log.clicked & examined
        on_slate = np.where(log.slate < 0, 0.0, np.nan_to_num(attraction)[log.slate])
        curve = cls().log_prob(on_slate, used).sum(keepdims=True) / max((log.slate >= 0).sum(), 1)
        coverage = float(np.mean(log.clicked.sum(axis=1) <= 1)) if len(log) else 1.0
        return ClickFit(cls(), attraction, examinations, curve, True, coverage)


@njit(cache=True)
def look_down(attraction: Floats, u: Floats, clicked: Bools, examined: Bools) -> None:
    """The compiled loop of `Cascade.sample`: writes clicked and examined (B, K), with u (B, K).

    Slot by slot, so that the inner loop runs along the users, without branches: a quarter of the time.
    """
    B, K = attraction.shape
    looks = np.ones(B, np.bool_)
    for k in range(K):
        for b in range(B):
            clicks = looks[b] & (u[b, k] < attraction[b, k])
            examined[b, k] = looks[b]
            clicked[b, k] = clicks
            looks[b] &= not clicks
