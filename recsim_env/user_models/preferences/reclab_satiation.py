"""Ratings of satiated users, as in RecLab's topics environment: a sampled rating and its exact mean.

A user is sensitised to a topic or bored by it, which switches, and which says how fast satiation decays:

    b'_c = 1 - b_c with probability switch_prob[b_c]                            0 sensitised, 1 bored
    s'_c = decay_c (s_c + consumed_c) + satiation_noise z_c,        decay_c = memory or, if b'_c, bored_memory

With a user who likes topic c by p_c,

    m = p_c - factor s_c,      rating = clip(m + noise z, 1, 5),      z ~ N(0, 1)
    E rating = Phi(l) + 5 Phi(-h) + m (Phi(h) - Phi(l)) + noise (phi(l) - phi(h)),
               l = (1 - m) / noise,   h = (5 - m) / noise

since the mass beyond an end of the scale lies on it.

Where RecLab is wrong: its sampled rating subtracts the satiation, the "dense ratings" of its perfect baseline
add it and leave the ends of the scale out; one draw moves all topics of a state, and all decay as the
recommended one does; noise and switches come from NumPy's global generator. Its boredom as a penalty, while a
topic had more than n of the user's last items, is `RecLabBoredom`.

Source: Krauth and others, "Do offline metrics predict online performance in recommender systems?", arXiv
2011.07931, 2020; the user model: Leqi and others, "Rebounding bandits for modeling satiation effects",
NeurIPS 2021.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from recsim_env.arrays import Bools, Floats
from recsim_env.errors import InputError
from recsim_env.user_models.preferences.satiation import Satiation

LOWEST, HIGHEST = 1.0, 5.0
"""The ends of the scale of ratings."""


class RecLabSatiationState(NamedTuple):
    """How satiated B users are."""

    satiation: Floats  # (B, C)
    bored: Bools  # (B, C) whether the topic bores the user, else they are sensitised to it


@dataclass(frozen=True)
class RecLabSatiation:
    """Satiation with ratings.

    Raises:
        InputError: a parameter out of range.
    """

    satiation: Satiation  # factor, and decay per step (its memory) of topics the user is sensitised to
    noise: float = 0.0  # standard deviation of a rating before it is cut to the scale, 0 or more
    bored_memory: float | None = None  # decay per step of topics that bore, 0 to below 1; None for the same
    switch_prob: tuple[float, float] = (0.0, 0.0)  # to be bored when sensitised, and the reverse, per step
    satiation_noise: float = 0.0  # standard deviation of what a step adds to satiation, 0 or more

    def __post_init__(self) -> None:
        for name in ("noise", "satiation_noise"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} must be 0 or more and finite, got {getattr(self, name)}")
        if self.bored_memory is not None and not 0.0 <= self.bored_memory < 1.0:
            raise InputError(f"bored_memory must be from 0 to below 1, got {self.bored_memory}")
        if len(self.switch_prob) != 2 or not all(0.0 <= p <= 1.0 for p in self.switch_prob):
            raise InputError(f"switch_prob must be two probabilities, got {self.switch_prob}")

    def begin(self, B: int, C: int) -> RecLabSatiationState:
        """Users satiated with nothing and sensitised to all C topics."""
        return RecLabSatiationState(np.zeros((B, C)), np.zeros((B, C), np.bool_))

    def step(
        self, state: RecLabSatiationState, consumed: Floats, u: Floats, z: Floats
    ) -> RecLabSatiationState:
        """The state after a step.

        Args:
            state: before it.
            consumed: (B, C) items of each topic that were taken.
            u: (B, C) uniforms, of the switches.
            z: (B, C) normals, of the noise.
        """
        bored = np.where(state.bored, u >= self.switch_prob[1], u < self.switch_prob[0])
        memory = self.satiation.memory
        decay = np.where(bored, memory if self.bored_memory is None else self.bored_memory, memory)
        satiation = decay * (state.satiation + consumed) + self.satiation_noise * z
        return RecLabSatiationState(satiation, bored)

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
