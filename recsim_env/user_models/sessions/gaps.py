"""Gaps between visits: a renewal process with independent Gamma gaps.

With mean m, shape kappa and Gamma's incomplete functions,

    density     f(x) = r^kappa x^(kappa - 1) e^(-r x) / Gamma(kappa),     r = kappa / m
    survival    S(x) = P(gap > x) = Q(kappa, r x)
    hazard      f(x) / S(x): of a visit now, given none for x

The gaps' coefficient of variation is kappa^(-1/2): kappa = 1 is a Poisson process (constant hazard),
kappa < 1 comes in bursts (the hazard falls: who has just been here comes back soon), kappa > 1 is regular,
and infinite is like clockwork. With a tiny kappa gaps vanish: at 0.01, half are below 10^-28 of the mean.

Source: Cox, "Renewal theory", 1962.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincc, gammaincinv, gammaln

from recsim_env.arrays import Floats
from recsim_env.errors import InputError


@dataclass(frozen=True)
class GammaGaps:
    """Gaps between visits.

    Raises:
        InputError: a mean or shape that is not above 0.
    """

    mean: float  # above 0, any unit of time
    shape: float = 1.0  # kappa, above 0; infinity for equal gaps

    def __post_init__(self) -> None:
        if not 0.0 < self.mean < np.inf:
            raise InputError(f"mean must be above 0 and finite, got {self.mean}")
        if not self.shape > 0.0:
            raise InputError(f"shape must be above 0, got {self.shape}")

    def sample(self, u: Floats) -> Floats:
        """Gaps from uniforms in [0, 1), of the same shape: the inverse distribution function."""
        if np.isinf(self.shape):
            return np.full(u.shape, self.mean)
        if self.shape == 1.0:
            return np.asarray(-np.log1p(-u) * self.mean)
        return np.asarray(gammaincinv(self.shape, u) * (self.mean / self.shape))

    def log_density(self, gap: Floats) -> Floats:
        """Log-density of gaps above 0.

        Raises:
            InputError: the shape is infinite: equal gaps have no density.
        """
        if np.isinf(self.shape):
            raise InputError("gaps of infinite shape have no density: give a finite shape")
        rate = self.shape / self.mean
        return np.asarray(
            self.shape * np.log(rate) + (self.shape - 1.0) * np.log(gap) - rate * gap - gammaln(self.shape)
        )

    def survival(self, gap: Floats) -> Floats:
        """P(the gap is longer)."""
        if np.isinf(self.shape):
            return np.asarray(gap < self.mean, np.float64)
        return np.asarray(gammaincc(self.shape, gap * (self.shape / self.mean)))

    def hazard(self, gap: Floats) -> Floats:
        """Density of a visit now, given none for this long (above 0).

        Where the survival underflows it is the start of the continued fraction of the incomplete gamma
        function, with x = gap shape / mean: hazard = (shape / mean) (x + 1 - k + (k - 1) / (x + 3 - k)) / x.

        Raises:
            InputError: the shape is infinite: equal gaps have no density.
        """
        density, survival = np.exp(self.log_density(gap)), self.survival(gap)
        k, x = self.shape, gap * (self.shape / self.mean)
        small = survival < 1e-280
        far = (k / self.mean) * (x + 1.0 - k + (k - 1.0) / np.where(small, x + 3.0 - k, 1.0)) / x
        return np.where(small, far, density / np.where(small, 1.0, survival))
