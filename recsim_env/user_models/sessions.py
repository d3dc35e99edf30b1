"""When users come, and when they leave.

Gaps between visits (`GammaGaps`): a renewal process with independent Gamma gaps of a mean and a shape kappa;
kappa = 1 is a Poisson process, kappa < 1 bursty, kappa > 1 regular, infinite like clockwork.

Returns by need (`LogNormalReturns`): the need for category c comes back after a log-normal time, with hazard

    lambda_c(t) = phi(z) / (sigma_c t (1 - Phi(z))),      z = (ln t - mu_c) / sigma_c

Abandonment: `GeometricLeaving` (a constant chance after every slate), `PatienceBudget` (slates cost patience,
clicks restore it, and who has none left leaves), `LeavingAfterBadSlates` (the chance grows with the run of
slates without a click).

Source: Cox, "Renewal theory", 1962; for log-normal returns, the interval features of IntervalLLM (RecSys
2025); budgets after RecSim (Ie et al., 2019).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincc, gammaincinv, gammaln, log_ndtr, ndtri

from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.errors import InputError

SMALLEST = 2.0**-54  # stands for a uniform of 0, whose normal is infinite


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
        z = np.log(time / self.median[category]) / sigma
        return np.asarray(-0.5 * (z * z + np.log(2.0 * np.pi)) - np.log(sigma * time))

    def log_survival(self, category: Ints, time: Floats) -> Floats:
        """Log of P(the need is not back yet)."""
        return np.asarray(log_ndtr(-np.log(time / self.median[category]) / self.deviation[category]))

    def hazard(self, category: Ints, time: Floats) -> Floats:
        """lambda_c(t)."""
        return np.exp(self.log_density(category, time) - self.log_survival(category, time))


@dataclass(frozen=True)
class GeometricLeaving:
    """The same chance to leave after every slate."""

    chance: float  # 0 to 1

    def __post_init__(self) -> None:
        _check_chance("chance", self.chance)

    def leaves(self, u: Floats) -> Bools:
        """(B,) from uniforms (B,)."""
        return u < self.chance

    def mean_slates(self) -> float:
        """1 / chance: expected slates until the user leaves."""
        return np.inf if self.chance == 0.0 else 1.0 / self.chance


@dataclass(frozen=True)
class PatienceBudget:
    """Slates cost patience, clicks restore some, never above the budget; none left is goodbye."""

    budget: float  # to begin with, above 0
    cost: float = 1.0  # of a slate, 0 or more
    refund: float = 0.0  # of a click, 0 or more

    def __post_init__(self) -> None:
        if not self.budget > 0.0:
            raise InputError(f"budget must be above 0, got {self.budget}")
        for name in ("cost", "refund"):
            if not 0.0 <= getattr(self, name) < np.inf:
                raise InputError(f"{name} must be 0 or more and finite, got {getattr(self, name)}")

    def begin(self, B: int) -> Floats:
        """(B,) full budgets."""
        return np.full(B, self.budget)

    def step(self, patience: Floats, clicks: Floats) -> Floats:
        """(B,) patience after a slate with so many clicks (B,)."""
        return np.minimum(patience - self.cost + self.refund * clicks, self.budget)

    def leaves(self, patience: Floats) -> Bools:
        """(B,) whether none is left, up to rounding."""
        return patience <= 1e-9


@dataclass(frozen=True)
class LeavingAfterBadSlates:
    """The chance to leave after n bad slates in a row: min(1, first growth^(n-1)), 0 for n = 0."""

    first: float  # after the first bad slate, 0 to 1
    growth: float = 2.0  # 1 or more

    def __post_init__(self) -> None:
        _check_chance("first", self.first)
        if not 1.0 <= self.growth < np.inf:
            raise InputError(f"growth must be at least 1 and finite, got {self.growth}")

    def step(self, run: Ints, clicks: Floats) -> Ints:
        """(B,) length of the run of bad slates after one with so many clicks (B,)."""
        return np.where(clicks > 0, 0, run + 1)

    def chance(self, run: Ints) -> Floats:
        """(B,) chance to leave with runs of this length."""
        if self.first == 0.0:
            return np.zeros(len(run))
        # runs beyond the one that makes it certain are cut, or the power would overflow
        certain = np.inf if self.growth == 1.0 else 1.0 - np.log(self.first) / np.log(self.growth)
        grown = self.first * self.growth ** (np.clip(run, 1, np.ceil(certain)) - 1.0)
        return np.where(run > 0, np.minimum(grown, 1.0), 0.0)

    def leaves(self, run: Ints, u: Floats) -> Bools:
        """(B,) from uniforms (B,)."""
        return u < self.chance(run)


def _check_chance(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise InputError(f"{name} must be from 0 to 1, got {value}")
