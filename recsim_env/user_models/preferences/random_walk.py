"""Interests that wander: Brownian motion, pulled back to a mean or not, exact over any gap of time.

    du = -(1/tau) (u - mean) dt + sigma sqrt(2/tau) dW        (Ornstein-Uhlenbeck, tau finite)
    u(t + gap) = mean + e (u(t) - mean) + sigma sqrt(1 - e^2) z,      e = exp(-gap / tau),      z ~ N(0, 1)

which has the stationary law N(mean, sigma^2) and the autocorrelation exp(-lag / tau). With tau infinite it is
the plain walk u(t + gap) = u(t) + sigma sqrt(gap) z, where sigma is per square root of the unit of time.

Source: Uhlenbeck, Ornstein, "On the theory of the Brownian motion", Physical Review 36, 1930; the walk is
that of RecoGym (Rohde et al., 2018).
"""

from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.errors import InputError


@dataclass(frozen=True)
class RandomWalk:
    """The walk of each coordinate of an interest, all alike and independent.

    Raises:
        InputError: a deviation or mean out of range, a time constant that is not above 0.
    """

    deviation: float  # sigma, 0 or more: stationary if tau is finite, else per square root of time
    time_constant: float = np.inf  # tau, above 0, in the unit of the gaps
    mean: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.deviation < np.inf:
            raise InputError(f"deviation must be 0 or more and finite, got {self.deviation}")
        if not self.time_constant > 0.0:
            raise InputError(f"time_constant must be above 0, got {self.time_constant}")
        if not np.isfinite(self.mean):
            raise InputError(f"mean must be finite, got {self.mean}")

    def step(self, interest: Floats, gap: Floats, z: Floats) -> Floats:
        """The interest (B, D) after gaps (B,), from standard normals z (B, D)."""
        if np.isinf(self.time_constant):
            return np.asarray(interest + self.deviation * np.sqrt(gap)[:, None] * z)
        keep = np.exp(-gap / self.time_constant)[:, None]
        noise = self.deviation * np.sqrt(-np.expm1(-2.0 * gap / self.time_constant))[:, None]
        return np.asarray(self.mean + keep * (interest - self.mean) + noise * z)
