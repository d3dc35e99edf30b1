"""The user browsing model: whether a slot is examined depends on its rank and on the last click above it.

    C_k = E_k A_k,      P(E_k = 1 | the clicks above) = theta_{k,l},      A_k ~ Bernoulli(a_k)

where l = 0 .. k-1 is the slot of the last click above k, 0 if there is none. (The paper writes the distance
k - l in place of l, which is the same table.)

Source: Dupret, Piwowarski, "A user browsing model to predict search engine click data from past
observations", SIGIR 2008.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numba import njit

from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.user_models.clicks.checks import check_draws, check_probability, check_slots
from recsim_env.user_models.clicks.click_fit import PRIOR, ClickFit, check_fit
from recsim_env.user_models.clicks.examination_chain import log_prob_of_clicks
from recsim_env.user_models.clicks.product_fit import fit_product
from recsim_env.user_models.clicks.response import Response

if TYPE_CHECKING:
    from recsim_env.simulators.log import Log


@dataclass(frozen=True)
class UserBrowsing:
    """The user browsing model of slates of K slots."""

    examination: Floats  # (K, K) theta[k-1, l], in [0, 1]; entries with l >= k are never used

    draws_per_slot = 2

    def __post_init__(self) -> None:
        check_probability("examination", self.examination, ndim=2)
        if len(set(self.examination.shape)) != 1:
            raise InputError(f"examination must have shape (K, K), got {self.examination.shape}")

    @classmethod
    def default(cls, num_slots: int) -> Self:
        """theta_{k,l} = (k - l)^-0.7: attention falls with the distance from the last click."""
        k, last = np.indices((num_slots, num_slots))
        return cls(np.maximum(k + 1 - last, 1) ** -0.7)

    def sample(self, attraction: Floats, u: Floats) -> Response:
        """See `ClickModel`; u (B, 2, K): the first row decides what is examined, the second what attracts."""
        check_draws(attraction, u, self.draws_per_slot)
        B, K = attraction.shape
        check_slots("examination", len(self.examination), K)
        response = Response(np.empty((K, B), np.bool_).T, np.empty((K, B), np.bool_).T)
        browse(attraction, self.examination, u[:, 0], u[:, 1], *response)
        return response

    def click_prob(self, attraction: Floats) -> Floats:
        """(B, K) a_k sum_l P(the last click above k is l) theta_{k,l}, by a forward pass over l."""
        return attraction * self.examine_prob(attraction)

    def examine_prob(self, attraction: Floats) -> Floats:
        """(B, K) sum_l P(the last click above k is l) theta_{k,l}."""
        B, K = attraction.shape
        check_slots("examination", len(self.examination), K)
        prob = np.empty((K, B)).T
        sum_over_last_clicks(attraction, self.examination, prob)
        return prob

    def conditional_click_prob(self, attraction: Floats, clicked: Bools) -> Floats:
        """(B, K) a_k theta_{k,l} with the l that was seen."""
        check_slots("examination", len(self.examination), attraction.shape[1])
        return attraction * self.examination[np.arange(attraction.shape[1]), last_click_above(clicked)]

    def log_prob(self, attraction: Floats, clicked: Bools) -> Floats:
        """(B,) sum_k log of a_k theta_{k,l}, or of 1 - a_k theta_{k,l}."""
        return log_prob_of_clicks(self.conditional_click_prob(attraction, clicked), clicked)

    @classmethod
    def fit(
        cls, log: "Log", num_items: int, *, iterations: int | None = None, prior: tuple[float, float] = PRIOR
    ) -> ClickFit:
        """Expectation-maximisation from 1/2 everywhere: see `fit_product`; a slot's context is (k, l)."""
        check_fit(log, num_items, prior, iterations)
        K = log.slate.shape[1]
        context = np.arange(K) * K + last_click_above(log.clicked)
        examination, fitted = fit_product(log, num_items, context, K * K, iterations, prior)
        return ClickFit(cls(examination.reshape(K, K)), *fitted)


def last_click_above(clicked: Bools) -> Ints:
    """(B, K) the slot, from 1, of the last click above each slot; 0 if there is none."""
    K = clicked.shape[1]
    last = np.maximum.accumulate(np.where(clicked, np.arange(1, K + 1), 0), axis=1)
    return np.concatenate([np.zeros_like(last[:, :1]), last[:, :-1]], axis=1)


@njit(cache=True)
def browse(
    attraction: Floats, examination: Floats, u: Floats, v: Floats, clicked: Bools, examined: Bools
) -> None:
    """The compiled loop of `UserBrowsing.sample`: writes clicked and examined (B, K)."""
    B, K = attraction.shape
    last = np.zeros(B, np.int64)
    for k in range(K):
        for b in range(B):
            examined[b, k] = u[b, k] < examination[k, last[b]]
            clicked[b, k] = examined[b, k] & (v[b, k] < attraction[b, k])
            last[b] = k + 1 if clicked[b, k] else last[b]


@njit(cache=True)
def sum_over_last_clicks(attraction: Floats, examination: Floats, prob: Floats) -> None:
    """Write P(E_k = 1) (B, K); `reach[l]` is P(the last click above k is l)."""
    B, K = attraction.shape
    reach = np.empty(K + 1)
    for b in range(B):
        reach[:] = 0.0
        reach[0] = 1.0
        for k in range(K):
            seen = 0.0
            clicks = 0.0
            for last in range(k + 1):
                looks = reach[last] * examination[k, last]
                seen += looks
                clicks += looks * attraction[b, k]
                reach[last] -= looks * attraction[b, k]
            prob[b, k] = seen
            reach[k + 1] = clicks
