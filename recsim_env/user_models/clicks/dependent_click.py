"""The dependent click model: the cascade that may go on after a click, with a probability of the slot.

    E_1 = 1,      C_k = E_k A_k,      A_k ~ Bernoulli(a_k)
    P(E_{k+1} = 1 | E_k = 1, C_k = 0) = 1,      P(E_{k+1} = 1 | E_k = 1, C_k = 1) = lambda_k

Source: Guo, Liu, Wang, "Efficient multiple-click models in web search", WSDM 2009.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.user_models.clicks.chain_fit import ChainStatistics, fit_chain
from recsim_env.user_models.clicks.checks import check_probability, check_slots
from recsim_env.user_models.clicks.click_fit import PRIOR, ClickFit, check_fit, log_prior, next_rate
from recsim_env.user_models.clicks.examination_chain import ExaminationChain

if TYPE_CHECKING:
    from recsim_env.simulators.log import Log


@dataclass(frozen=True)
class DependentClick(ExaminationChain):
    """The dependent click model of slates of K slots."""

    continuation: Floats  # (K,) lambda, in [0, 1]; the last entry is never used

    def __post_init__(self) -> None:
        check_probability("continuation", self.continuation, ndim=1)

    @classmethod
    def default(cls, num_slots: int) -> Self:
        """lambda_k = 0.8 k^-0.3: fewer go on the further down they clicked."""
        return cls(0.8 * np.arange(1.0, num_slots + 1) ** -0.3)

    def passage(self, attraction: Floats) -> tuple[Floats, Floats]:
        """See `ExaminationChain`."""
        K = attraction.shape[1]
        check_slots("continuation", len(self.continuation), K)
        return np.ones(attraction.shape), np.broadcast_to(self.continuation[:K], attraction.shape)

    @classmethod
    def fit(
        cls, log: "Log", num_items: int, *, iterations: int | None = None, prior: tuple[float, float] = PRIOR
    ) -> ClickFit:
        """Expectation-maximisation from 1/2 everywhere; see `fit_chain`.

        The paper's closed form, which takes all slots below the last click for unexamined, is a lower bound.
        """
        check_fit(log, num_items, prior, iterations)
        K = log.slate.shape[1]
        continuation = np.full(K, 0.5)

        def step(attraction: Floats, found: ChainStatistics) -> tuple[Floats, Floats, Floats, float]:
            continuation[:] = next_rate(found.rank_on, found.rank_clicks, prior, continuation)
            after_click = np.broadcast_to(continuation, (num_items, K))
            attraction = next_rate(found.clicked, found.examined, prior, attraction)
            return attraction, np.ones(K), after_click, log_prior(prior, attraction, continuation)

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
