"""Returns by need: the need for a category comes back after a log-normal time.

With z = (ln t - mu_c) / sigma_c for category c, median exp(mu_c), and Phi, phi of the standard normal,

    density f_c(t) = phi(z) / (sigma_c t),   survival S_c(t) = Phi(-z),   hazard lambda_c(t) = f_c(t) / S_c(t)

The hazard is 0 just after a purchase, rises to a peak and falls again: the same item at the wrong time is not
wanted. All is computed from logarithms, so nothing under- or overflows at long times.

Source: Aalen, Borgan, Gjessing, "Survival and event history analysis", 2008, for the law; that what is wanted
next depends on the time since: IntervalLLM (RecSys 2025).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, ndtri

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError

SMALLEST = 2.0**-54  # stands for a uniform of 0, whose normal is infinite


@dataclass(frozen=True)
class LogNormalReturns:
    """Times after which the need for each of C categories comes back.

    Raises:
        InputError: medians or deviations that are not above 0, or not as many of the one as of the other.
    """

    median: Floats  # (C,) exp(mu), above 0, any unit of time
    deviation: Floats  # (C,) sigma of the logarithm, above 0

    def __post_init__(self) -> None:
        if np.shape(self.median) != np.shape(self.deviation) or np.ndim(self.median) != 1:
            raise InputError(
                f"median and deviation must have shape (C,), got {np.shape(self.median)} and "
                f"{np.shape(self.deviation)}"
            )
        for name in ("median", "deviation"):
            bad = ~((getattr(self, name) > 0.0) & (getattr(self, name) < np.inf))
            if bad.any():
                c = int(np.argmax(bad))
                raise InputError(f"{name}[{c}] must be above 0 and finite, got {getattr(self, name)[c]}")

    def sample(self, category: Ints, u: Floats) -> Floats:
        """Return times of needs for these categories, from uniforms of the same shape."""
        z = ndtri(np.maximum(u, SMALLEST))
        return np.asarray(self.median[category] * np.exp(self.deviation[category] * z))

    def log_density(self, category: Ints, time: Floats) -> Floats:
        """Log-density of return times above 0."""
        sigma = self.deviation[category]
        z = self._standardised(category, time)
        return np.asarray(-0.5 * (z * z + np.log(2.0 * np.pi)) - np.log(sigma) - np.log(time))

    def log_survival(self, category: Ints, time: Floats) -> Floats:
        """Log of P(the need is not back yet)."""
        return np.asarray(log_ndtr(-self._standardised(category, time)))

    def _standardised(self, category: Ints, time: Floats) -> Floats:
        """(log t - mu) / sigma; the quotient t / median could overflow."""
        return np.asarray((np.log(time) - np.log(self.median[category])) / self.deviation[category])

    def hazard(self, category: Ints, time: Floats) -> Floats:
        """lambda_c(t)."""
        return np.exp(self.log_density(category, time) - self.log_survival(category, time))

    def return_prob(self, category: Ints, since: Floats, gap: Floats) -> Floats:
        """P(the need is back within the gap | not yet at `since`, above 0), 1 - S(since + gap) / S(since)."""
        later = self.log_survival(category, np.asarray(since + gap))
        return np.asarray(-np.expm1(later - self.log_survival(category, since)))
