"""Interests as functions of continuous time: random Fourier samples of a Gaussian process.

    u_d(t) = 1/sqrt(R) sum_r [ a_rd cos(omega_r t) + b_rd sin(omega_r t) ],
    a_rd, b_rd ~ N(0, 1),      omega_r ~ N(0, length_scale^-2)

so that u_d(t) is N(0, 1) at every t, and the correlation of u_d(t) and u_d(t + lag) is
1/R sum_r cos(omega_r lag), whose mean over users is exp(-lag^2 / 2 length_scale^2): the squared-exponential
kernel. A user who likes several things at once has M such interests, and what counts is their mixture

    u(t) = sum_m w_m(t) u^m(t),      w(t) = softmax(g_1(t) .. g_M(t)) times the sharpness in the exponent

with g_m of the same kind. An infinite length scale is a user who does not change.

The coordinates of one user share their frequencies: they are uncorrelated, but change at the same pace. That
costs R sines and cosines a user in place of R D.

Source: Rahimi, Recht, "Random features for large-scale kernel machines", NIPS 2007, for the features;
interests as functions of time after Du et al., "IDNP", WSDM 2023.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError


class Paths(NamedTuple):
    """The interests of U users for all time."""

    frequency: Floats  # (U, R) omega, radians per unit of time
    cosine: Array  # (U, R, M D + M) float32 a / sqrt(R); the last M columns are those of g
    sine: Array  # (U, R, M D + M) float32 b / sqrt(R)


@dataclass(frozen=True)
class GaussianProcess:
    """The law of the paths.

    Raises:
        InputError: a parameter out of range.
    """

    dimension: int  # D
    length_scale: float  # above 0, infinity for no drift, in the unit of time
    num_interests: int = 1  # M
    num_frequencies: int = 16  # R
    sharpness: float = 3.0  # of the mixture: 0 is an even mixture, large one interest at a time

    def __post_init__(self) -> None:
        for name in ("dimension", "num_interests", "num_frequencies"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.length_scale > 0.0:
            raise InputError(f"length_scale must be above 0, got {self.length_scale}")
        if not 0.0 <= self.sharpness < np.inf:
            raise InputError(f"sharpness must be 0 or more and finite, got {self.sharpness}")

    @property
    def num_normals(self) -> int:
        """How many standard normals a user's paths take."""
        return self.num_frequencies * (1 + 2 * self._outputs)

    @property
    def _outputs(self) -> int:
        M = self.num_interests
        return M * self.dimension + (M if M > 1 else 0)

    def paths(self, z: Floats) -> Paths:
        """The paths of U users, from standard normals z (U, num_normals)."""
        U, R, W = len(z), self.num_frequencies, self._outputs
        weights = (z[:, R:].reshape(U, 2, R, W) / np.sqrt(R)).astype(np.float32)
        cosine, sine = np.ascontiguousarray(weights[:, 0]), np.ascontiguousarray(weights[:, 1])
        return Paths(z[:, :R] / self.length_scale, cosine, sine)

    def interest(self, paths: Paths, user: Ints, time: Floats) -> Array:
        """(B, D) float32 interests of these users (B,) at these times (B,).

        Times within 10^9 length scales of 0; the angle of a far one has no digits left.
        """
        outputs = np.empty((len(user), self._outputs), np.float32)
        evaluate(*paths, user, time, outputs)
        if self.num_interests == 1:
            return outputs
        M, D = self.num_interests, self.dimension
        return np.einsum("bm,bmd->bd", self._weights(outputs), outputs[:, : M * D].reshape(-1, M, D))

    def weights(self, paths: Paths, user: Ints, time: Floats) -> Array:
        """(B, M) float32 weights of the interests in the mixture."""
        if self.num_interests == 1:
            return np.ones((len(user), 1), np.float32)
        outputs = np.empty((len(user), self._outputs), np.float32)
        evaluate(*paths, user, time, outputs)
        return self._weights(outputs)

    def _weights(self, outputs: Array) -> Array:
        g = self.sharpness * outputs[:, -self.num_interests :]
        weight = np.exp(g - g.max(axis=1, keepdims=True))
        return np.asarray(weight / weight.sum(axis=1, keepdims=True), np.float32)


@njit(cache=True, error_model="numpy")
def evaluate(frequency: Floats, cosine: Array, sine: Array, user: Ints, time: Floats, outputs: Array) -> None:
    """Write the outputs (B, W) of paths (U, R), (U, R, W) at times (B,)."""
    B, W = outputs.shape
    R = frequency.shape[1]
    half, c, s = np.empty(R), np.empty(R, np.float32), np.empty(R, np.float32)
    for b in range(B):
        who = user[b]
        for r in range(R):
            turns = frequency[who, r] * time[b] * 0.15915494309189535  # 1 / 2 pi
            nearest = (turns + 6755399441055744.0) - 6755399441055744.0  # 1.5 2^52: rounds to whole turns
            half[r] = (turns - nearest) * 3.141592653589793  # half of the angle, in [-pi/2, pi/2]
        sines_and_cosines(half, c, s)
        row = outputs[b]
        row[:] = np.float32(0)
        for r in range(R):
            across, along = cosine[who, r], sine[who, r]
            for w in range(W):
                row[w] += c[r] * across[w] + s[r] * along[w]


@njit(cache=True, error_model="numpy")
def sines_and_cosines(half: Floats, cosine: Array, sine: Array) -> None:
    """Write cos and sin of twice the angles (R,) in [-pi/2, pi/2]; errors below 1e-7.

    By Taylor's series of the half angle, without calls, so that several are computed at a time: the calls
    to the C library took half of a step.
    """
    for r in range(len(half)):
        x = half[r]
        y = x * x
        odd = 1 / 362880 - y * (1 / 39916800 - y * (1 / 6227020800 - y / 1307674368000))
        odd = x * (1.0 - y * (1 / 6 - y * (1 / 120 - y * (1 / 5040 - y * odd))))
        even = 1 / 40320 - y * (1 / 3628800 - y * (1 / 479001600 - y / 87178291200))
        even = 1.0 - y * (1 / 2 - y * (1 / 24 - y * (1 / 720 - y * even)))
        sine[r] = 2.0 * odd * even
        cosine[r] = 1.0 - 2.0 * odd * odd
