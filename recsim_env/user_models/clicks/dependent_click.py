"""The dependent click model: the cascade that may go on after a click, with a probability of the slot.

    E_1 = 1,      C_k = E_k A_k,      A_k ~ Bernoulli(a_k)
    P(E_{k+1} = 1 | E_k = 1, C_k = 0) = 1,      P(E_{k+1} = 1 | E_k = 1, C_k = 1) = lambda_k

Source: Guo, Liu, Wang, "Efficient multiple-click models in web search", WSDM 2009.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from recsim_env.arrays import Bools, Floats
from recsim_env.user_models.clicks.chain_fit import ChainStatistics, fit_chain
from recsim_env.user_models.clicks.click_fit import PRIOR, ClickFit, next_rate
from recsim_env.user_models.clicks.examination_chain import (
    conditional_click_prob_of_chain,
    examine_prob_of_chain,
    log_prob_of_clicks,
    sample_chain,
)
from recsim_env.user_models.clicks.response import Response

if TYPE_CHECKING:
    from recsim_env.simulators.log import Log


@dataclass(frozen=True)
class DependentClick:
    """The dependent click model of slates of K slots."""

    continuation: Floats  # (K,) lambda, in [0, 1]; the last entry is never used

    draws_per_slot = 2

    @classmethod
    def default(cls, num_slots: int) -> Self:
        """lambda_k = 0.8 k^-0.3: fewer go on the further down they clicked."""
        return cls(0.8 * np.arange(1.0, num_slots + 1) ** -0.3)

    def sample(self, attraction: Floats, u: Floats) -> Response:
        """See `ClickModel`; u (B, 2, K): attraction, then going on."""
        return sample_chain(attraction, *self._passage(attraction), u)

    def click_prob(self, attraction: Floats) -> Floats:
        """(B, K) a_k prod_{j<k} (1 - a_j (1 - lambda_j))."""
        return attraction * self.examine_prob(attraction)

    def examine_prob(self, attraction: Floats) -> Floats:
        """(B, K) prod_{j<k} (1 - a_j (1 - lambda_j))."""
        return examine_prob_of_chain(attraction, *self._passage(attraction))

    def conditional_click_prob(self, attraction: Floats, clicked: Bools) -> Floats:
        """(B, K) by the forward filter of `examination_chain`."""
        return conditional_click_prob_of_chain(attraction, *self._passage(attraction), clicked)

    def log_prob(self, attraction: Floats, clicked: Bools) -> Floats:
        """(B,) exact log-probability of the clicks."""
        return log_prob_of_clicks(self.conditional_click_prob(attraction, clicked), clicked)

    def _passage(self, attraction: Floats) -> tuple[Floats, Floats]:
        return np.ones(attraction.shape), np.broadcast_to(self.continuation, attraction.shape)

    @classmethod
    def fit(
        cls, log: "Log", num_items: int, *, iterations: int = 50, prior: tuple[float, float] = PRIOR
    ) -> ClickFit:
        """Expectation-maximisation from 1/2 everywhere; see `fit_chain`.

        The paper's closed form, which takes all slots below the last click for unexamined, is a lower bound.
        """
        K = log.slate.shape[1]
        continuation = np.full(K, 0.5)

        def step(attraction: Floats, found: ChainStatistics) -> tuple[Floats, Floats, Floats]:
            continuation[:] = next_rate(found.rank_on, found.rank_clicks, prior, continuation)
            after_click = np.broadcast_to(continuation, (num_items, K))
            attraction = next_rate(found.clicked, found.examined, prior, attraction)
            return attraction, np.ones(K), after_click

        fitted = fit_chain(
            log,
            num_items,
            np.full(num_items, 0.5),
            np.ones(K),
            np.full((num_items, K), 0.5),
            step,
            iterations,
        )
        return ClickFit(cls(continuation), *fitted, coverage=1.0)
