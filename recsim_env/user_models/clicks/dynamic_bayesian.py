"""The dynamic Bayesian model: the user goes on until a clicked item satisfies, or patience ends.

    E_1 = 1,      C_k = E_k A_k,      A_k ~ Bernoulli(a_k),      S_k ~ Bernoulli(sigma_k) if clicked, else 0
    P(E_{k+1} = 1 | E_k = 1, S_k) = gamma (1 - S_k)

Satisfaction sigma may be one number, or one for each slot shown, (B, K), since it belongs to the item. With
gamma = 1 it is the simplified dynamic Bayesian model.

Source: Chapelle, Zhang, "A dynamic Bayesian network click model for web search ranking", WWW 2009.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.user_models.clicks.chain_fit import ChainStatistics, fit_chain
from recsim_env.user_models.clicks.checks import check_probability
from recsim_env.user_models.clicks.click_fit import PRIOR, ClickFit, check_fit, log_prior, next_rate
from recsim_env.user_models.clicks.examination_chain import ExaminationChain

if TYPE_CHECKING:
    from recsim_env.simulators.log import Log


@dataclass(frozen=True)
class DynamicBayesian(ExaminationChain):
    """The dynamic Bayesian model of slates of any length."""

    satisfaction: Floats | float  # sigma, in [0, 1]: for all items alike, or (B, K) or (K,) for those shown
    continuation: float  # gamma, in [0, 1]

    def __post_init__(self) -> None:
        check_probability("satisfaction", self.satisfaction)
        check_probability("continuation", self.continuation, ndim=0)

    @classmethod
    def default(cls, num_slots: int) -> Self:
        """Gamma = 0.9, as the paper's best, and sigma = 0.4."""
        return cls(satisfaction=0.4, continuation=0.9)

    def passage(self, attraction: Floats) -> tuple[Floats, Floats]:
        """See `ExaminationChain`."""
        after_click = np.broadcast_to(
            self.continuation * (1.0 - np.asarray(self.satisfaction)), attraction.shape
        )
        return np.full(attraction.shape, self.continuation), after_click

    @classmethod
    def fit(
        cls, log: "Log", num_items: int, *, iterations: int | None = None, prior: tuple[float, float] = PRIOR
    ) -> ClickFit:
        """Expectation-maximisation from 1/2 everywhere, one sigma for each item; see `fit_chain`."""
        gamma, satisfaction, fitted = fit_satisfaction(log, num_items, 0.5, iterations, prior)
        return ClickFit(cls(of_the_mean_click(satisfaction, log), gamma), *fitted, 1.0, satisfaction)


def fit_satisfaction(
    log: "Log", num_items: int, gamma: float, iterations: int | None, prior: tuple[float, float]
) -> tuple[float, Floats, tuple[Floats, Floats, Floats, bool]]:
    """gamma, sigma (N,) and what `fit_chain` returns; gamma = 1 stays 1.

    A user who went on after a click was not satisfied; one who stopped was with probability
    sigma / (1 - gamma (1 - sigma)), and otherwise lost patience, as one who stopped after a skip did.
    """
    check_fit(log, num_items, prior, iterations)
    K = log.slate.shape[1]
    sigma = np.full(num_items, 0.5)
    patience = np.array([gamma])

    def passage() -> tuple[Floats, Floats]:
        return np.full(K, patience[0]), np.repeat((patience[0] * (1.0 - sigma))[:, None], K, axis=1)

    def step(attraction: Floats, found: ChainStatistics) -> tuple[Floats, Floats, Floats, float]:
        stopped = found.clicks - found.clicks_on
        satisfied = stopped * sigma / np.maximum(1.0 - patience[0] * (1.0 - sigma), 1e-300)
        if gamma < 1.0:
            on = found.skips_on.sum() + found.clicks_on.sum()
            tried = found.skips.sum() + (found.clicks - satisfied).sum()
            patience[0] = next_rate(on, tried, prior, patience[0])
        sigma[:] = next_rate(satisfied, found.clicks, prior, sigma)
        attraction = next_rate(found.clicked, found.examined, prior, attraction)
        nats = log_prior(prior, attraction, sigma, *(patience if gamma < 1.0 else ()))
        return attraction, *passage(), nats

    fitted = fit_chain(log, num_items, np.full(num_items, 0.5), *passage(), step, iterations)
    return float(patience[0]), sigma, fitted


def of_the_mean_click(satisfaction: Floats, log: "Log") -> float:
    """The mean satisfaction (N,) of what was clicked, over the clicks of a log; over items without any."""
    clicks = np.bincount(log.slate[log.clicked], minlength=len(satisfaction))
    return float(np.average(satisfaction, weights=clicks if clicks.any() else None))
