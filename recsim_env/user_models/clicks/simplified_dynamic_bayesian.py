"""The simplified dynamic Bayesian model: the dynamic Bayesian model of users whose patience never ends.

    E_1 = 1,      C_k = E_k A_k,      A_k ~ Bernoulli(a_k),      S_k ~ Bernoulli(sigma_k) if clicked, else 0
    E_{k+1} = E_k (1 - S_k)

Source: Chapelle, Zhang, "A dynamic Bayesian network click model for web search ranking", WWW 2009, section 5.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from recsim_env.user_models.clicks.click_fit import PRIOR, ClickFit
from recsim_env.user_models.clicks.dynamic_bayesian import (
    DynamicBayesian,
    fit_satisfaction,
    of_the_mean_click,
)

if TYPE_CHECKING:
    from recsim_env.simulators.log import Log


@dataclass(frozen=True)
class SimplifiedDynamicBayesian(DynamicBayesian):
    """`DynamicBayesian` with gamma = 1."""

    continuation: float = field(default=1.0, init=False)

    @classmethod
    def default(cls, num_slots: int) -> Self:
        """Sigma = 0.4."""
        return cls(0.4)

    @classmethod
    def fit(
        cls, log: "Log", num_items: int, *, iterations: int | None = None, prior: tuple[float, float] = PRIOR
    ) -> ClickFit:
        """Expectation-maximisation from 1/2 everywhere, one sigma for each item; see `fit_satisfaction`.

        The paper's closed form takes a user who clicks no more for satisfied; here they may also have looked
        through the rest and liked nothing, which is what the model says.
        """
        _, satisfaction, fitted = fit_satisfaction(log, num_items, 1.0, iterations, prior)
        return ClickFit(cls(of_the_mean_click(satisfaction, log)), *fitted, 1.0, satisfaction)
