"""The click chain model: whether the user goes on after a click depends on how relevant the item is.

    E_1 = 1,      C_k = E_k A_k,      A_k, R_k ~ Bernoulli(a_k) independent
    P(E_{k+1} = 1 | E_k = 1, C_k = 0) = alpha_1
    P(E_{k+1} = 1 | E_k = 1, C_k = 1) = alpha_2 (1 - R_k) + alpha_3 R_k

so that with R_k summed out, a user goes on after a click with probability alpha_2 (1 - a_k) + alpha_3 a_k.

Source: Guo, Liu, Kannan, Minka, Taylor, Wang, Faloutsos, "Click chain model in web search", WWW 2009.
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
class ClickChain(ExaminationChain):
    """The click chain model of slates of any length."""

    after_skip: float  # alpha_1, in [0, 1]
    after_irrelevant: float  # alpha_2, in [0, 1]
    after_relevant: float  # alpha_3, in [0, 1]

    def __post_init__(self) -> None:
        for name in ("after_skip", "after_irrelevant", "after_relevant"):
            check_probability(name, getattr(self, name), ndim=0)

    @classmethod
    def default(cls, num_slots: int) -> Self:
        """Most go on after a skip, half of them after a click, fewer if it was relevant; ours."""
        return cls(0.9, 0.6, 0.4)

    def passage(self, attraction: Floats) -> tuple[Floats, Floats]:
        """See `ExaminationChain`."""
        after_click = self.after_irrelevant * (1.0 - attraction) + self.after_relevant * attraction
        return np.full(attraction.shape, self.after_skip), after_click

    @classmethod
    def fit(
        cls, log: "Log", num_items: int, *, iterations: int | None = None, prior: tuple[float, float] = PRIOR
    ) -> ClickFit:
        """Expectation-maximisation from a = 1/2 and alpha = (1/2, 1/2, 1/4); see `fit_chain`.

        A click is one more trial of the item's relevance, whose outcome is known through the passage only:
        P(R | went on) = a alpha_3 / (a alpha_3 + (1 - a) alpha_2), and with 1 - alpha if the user stopped.
        """
        check_fit(log, num_items, prior, iterations)
        K = log.slate.shape[1]
        alpha = np.array([0.5, 0.5, 0.25])  # alpha_2 = alpha_3 would be a saddle point

        def passage(attraction: Floats) -> Floats:
            after_click = alpha[1] * (1.0 - attraction) + alpha[2] * attraction
            return np.repeat(after_click[:, None], K, axis=1)  # (N, K)

        def step(attraction: Floats, found: ChainStatistics) -> tuple[Floats, Floats, Floats, float]:
            went_on, stopped = found.clicks_on, found.clicks - found.clicks_on  # (N,)
            if_on = _share(attraction * alpha[2], (1.0 - attraction) * alpha[1])
            if_stopped = _share(attraction * (1.0 - alpha[2]), (1.0 - attraction) * (1.0 - alpha[1]))
            relevant = went_on * if_on + stopped * if_stopped
            irrelevant = found.clicks - relevant
            alpha[0] = next_rate(found.skips_on.sum(), found.skips.sum(), prior, alpha[0])
            alpha[1] = next_rate((went_on * (1.0 - if_on)).sum(), irrelevant.sum(), prior, alpha[1])
            alpha[2] = next_rate((went_on * if_on).sum(), relevant.sum(), prior, alpha[2])
            trials = found.examined + found.clicks
            attraction = next_rate(found.clicked + relevant, trials, prior, attraction)
            nats = log_prior(prior, attraction, alpha)
            return attraction, np.full(K, alpha[0]), passage(attraction), nats

        half = np.full(num_items, 0.5)
        fitted = fit_chain(log, num_items, half, np.full(K, alpha[0]), passage(half), step, iterations)
        return ClickFit(cls(*alpha.tolist()), *fitted, coverage=1.0)


def _share(one: Floats, other: Floats) -> Floats:
    total = one + other
    return np.asarray(one / np.where(total > 0.0, total, 1.0))
