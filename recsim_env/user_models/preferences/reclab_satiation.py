"""Ratings of satiated users, as in RecLab's topics environment: a sampled rating and its exact mean.

With satiation s' = decay (s + consumed) (`Satiation`) and a user who likes topic c by p_c,

    m = p_c - factor s_c,      rating = clip(m + noise z, 1, 5),      z ~ N(0, 1)
    E rating = Phi(l) + 5 Phi(-h) + m (Phi(h) - Phi(l)) + noise (phi(l) - phi(h)),
               l = (1 - m) / noise,   h = (5 - m) / noise

since the mass beyond an end of the scale lies on it. (RecLab subtracts the satiation in its sampled rating,
adds it in the "dense ratings" that its perfect baseline uses, and leaves the ends of the scale out there.)
Its boredom, a penalty while a topic had more than n of the user's last m items, is `RecLabBoredom`.

Source: Krauth and others, "Do offline metrics predict online performance in recommender systems?", arXiv
2011.07931, 2020; the user model: Leqi and others, "Rebounding bandits for modeling satiation effects",
NeurIPS 2021.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from recsim_env.arrays import Floats
from recsim_env.errors import InputError
from recsim_env.user_models.preferences.satiation import Satiation

LOWEST, HIGHEST = 1.0, 5.0
"""The ends of the scale of ratings."""


@dataclass(frozen=True)
class RecLabSatiation:
    """Satiation with ratings.

    Raises:
        InputError: a parameter out of range.
    """

    satiation: Satiation  # factor and decay (its memory) per step
    noise: float = 0.0  # standard deviation of a rating before it is cut to the scale, 0 or more

    def __post_init__(self) -> None:
        if not 0.0 <= self.noise < math.inf:
            raise InputError(f"noise must be 0 or more and finite, got {self.noise}")

    def step(self, satiation: Floats, consumed: Floats) -> Floats:
        """Satiation (B, C) after a step in which consumed (B, C) items of each topic were taken."""
        return self.satiation.step(satiation, consumed)

    def rating(self, preference: Floats, satiation: Floats, z: Floats) -> Floats:
        """(B, C) sampled ratings of an item of each topic, from preferences (B, C) and normals z (B, C)."""
        return np.clip(preference - self.satiation.loss(satiation) + self.noise * z, LOWEST, HIGHEST)

    def mean_rating(self, preference: Floats, satiation: Floats) -> Floats:
        """(B, C) the mean of `rating` over z."""
        m = preference - self.satiation.loss(satiation)
        if self.noise == 0.0:
            return np.clip(m, LOWEST, HIGHEST)
        low, high = (LOWEST - m) / self.noise, (HIGHEST - m) / self.noise
        bells = (np.exp(-0.5 * low**2) - np.exp(-0.5 * high**2)) / math.sqrt(2.0 * math.pi)
        ends = LOWEST * ndtr(low) + HIGHEST * ndtr(-high)
        return np.asarray(ends + m * (ndtr(high) - ndtr(low)) + self.noise * bells)
