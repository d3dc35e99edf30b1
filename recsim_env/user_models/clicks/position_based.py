"""The position-based model: each slot is examined with a probability of its own, whatever was clicked.

    C_k = E_k A_k,      E_k ~ Bernoulli(theta_k),      A_k ~ Bernoulli(a_k),      P(C_k = 1) = theta_k a_k

independent over slots.

Source: Richardson, Dominowska, Ragno, "Predicting clicks", WWW 2007; Craswell et al., WSDM 2008.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numba import njit

from recsim_env.arrays import Bools, Floats
from recsim_env.user_models.clicks.checks import check_draws, check_probability, check_slots
from recsim_env.user_models.clicks.click_fit import PRIOR, ClickFit, check_fit
from recsim_env.user_models.clicks.examination_chain import log_prob_of_clicks
from recsim_env.user_models.clicks.product_fit import fit_product
from recsim_env.user_models.clicks.response import Response

if TYPE_CHECKING:
    from recsim_env.simulators.log import Log


@dataclass(frozen=True)
class PositionBased:
    """The position-based model of slates of K slots."""

    examination: Floats  # (K,) theta, in [0, 1]

    draws_per_slot = 2

    def __post_init__(self) -> None:
        check_probability("examination", self.examination, ndim=1)

    @classmethod
    def default(cls, num_slots: int) -> Self:
        """theta_k = k^-0.7, a usual fall of attention."""
        return cls(np.arange(1.0, num_slots + 1) ** -0.7)

    def sample(self, attraction: Floats, u: Floats) -> Response:
        """See `ClickModel`; u (B, 2, K): the first row decides what is examined, the second what attracts."""
        check_draws(attraction, u, self.draws_per_slot)
        B, K = attraction.shape
        check_slots("examination", len(self.examination), K)
        response = Response(np.empty((K, B), np.bool_).T, np.empty((K, B), np.bool_).T)
        look_and_click(attraction, self.examination, u[:, 0], u[:, 1], *response)
        return response

    def click_prob(self, attraction: Floats) -> Floats:
        """(B, K) theta_k a_k."""
        return attraction * self.examine_prob(attraction)

    def examine_prob(self, attraction: Floats) -> Floats:
        """(B, K) theta_k."""
        K = attraction.shape[1]
        check_slots("examination", len(self.examination), K)
        return np.broadcast_to(self.examination[:K], attraction.shape)

    def conditional_click_prob(self, attraction: Floats, clicked: Bools) -> Floats:
        """(B, K) theta_k a_k: clicks above tell nothing."""
        return self.click_prob(attraction)

    def log_prob(self, attraction: Floats, clicked: Bools) -> Floats:
        """(B,) sum_k log of theta_k a_k, or of 1 - theta_k a_k."""
        return log_prob_of_clicks(self.click_prob(attraction), clicked)

    @classmethod
    def fit(
        cls, log: "Log", num_items: int, *, iterations: int | None = None, prior: tuple[float, float] = PRIOR
    ) -> ClickFit:
        """Expectation-maximisation from 1/2 everywhere: see `fit_product`; a slot's context is its rank."""
        check_fit(log, num_items, prior, iterations)
        K = log.slate.shape[1]
        rank = np.broadcast_to(np.arange(K), log.slate.shape)
        examination, fitted = fit_product(log, num_items, rank, K, iterations, prior)
        return ClickFit(cls(examination), *fitted)


@njit(cache=True)
def look_and_click(
    attraction: Floats, examination: Floats, u: Floats, v: Floats, clicked: Bools, examined: Bools
) -> None:
    """The compiled loop of `PositionBased.sample`: writes clicked and examined (B, K)."""
    B, K = attraction.shape
    for k in range(K):
        for b in range(B):
            examined[b, k] = u[b, k] < examination[k]
            clicked[b, k] = examined[b, k] & (v[b, k] < attraction[b, k])
