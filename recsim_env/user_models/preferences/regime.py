"""Interests that switch: a Markov chain over a few regimes, exact over any gap of continuous time.

    P(regime changes within a gap) = 1 - exp(-gap / mean_stay)      to another regime, uniformly,

in the sense of a chain that is drawn anew at rate lambda = (M / (M - 1)) / mean_stay, uniformly over all M
regimes: P(j | i, gap) = e [i = j] + (1 - e) / M with e = exp(-lambda gap), so gaps compose exactly.
"""

from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError


@dataclass(frozen=True)
class RegimeSwitching:
    """The chain.

    Raises:
        InputError: no regime, or a stay that is not above 0.
    """

    num_regimes: int  # M
    mean_stay: float  # above 0, infinity for no switching, in the unit of the gaps

    def __post_init__(self) -> None:
        if self.num_regimes < 1:
            raise InputError(f"num_regimes must be at least 1, got {self.num_regimes}")
        if not self.mean_stay > 0.0:
            raise InputError(f"mean_stay must be above 0, got {self.mean_stay}")

    def transition(self, gap: float) -> Floats:
        """(M, M) P(j | i) over a gap."""
        M = self.num_regimes
        keep = self._keep(np.array([gap]))[0]
        return keep * np.eye(M) + (1.0 - keep) / M

    def step(self, regime: Ints, gap: Floats, u: Floats) -> Ints:
        """The regimes (B,) after gaps (B,), from uniforms u (B, 2)."""
        drawn = (u[:, 1] * self.num_regimes).astype(np.int64)
        return np.where(u[:, 0] < self._keep(gap), regime, drawn)

    def _keep(self, gap: Floats) -> Floats:
        M = self.num_regimes
        if M == 1:
            return np.ones(len(gap))
        return np.exp(-gap * M / ((M - 1) * self.mean_stay))
