"""Normal draws: the inverse of the standard normal distribution function, of one uniform each.

With R(t) = P(t) / Q(t), a ratio of polynomials, the z whose area to the left is y is

    z = sqrt(2 pi) (w + w^3 R(w^2)),   w = y - 1/2,                        exp(-2) < y <= 1 - exp(-2)
    z = -(s - log(s) / s - R(1 / s) / s),   s = sqrt(-2 log y),            y <= exp(-2)

with another R for s above 8, and minus the z of 1 - y for a larger y. It is what `scipy.special.ndtri`
computes, to the digit where no operations are fused; here in a kernel, because a batch of one pays more for a
call from Python than for the draw.

Source: Moshier, the Cephes library, `ndtri`, whose coefficients these are; relative error 7e-16.
"""

import math
from typing import Any

from numba import njit

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.simulators.philox import fill_uniform

TAIL = 0.13533528323661269189  # exp(-2)
ROOT_2_PI = 2.50662827463100050242

# fmt: off
# Coefficients from the highest power: of the middle, of s below 8, and of s from 8.
MIDDLE_P = (
    -59.9633501014107895267, 98.0010754185999661536, -56.6762857469070293439, 13.9312609387279679503,
    -1.23916583867381258016,
)
MIDDLE_Q = (
    1.0, 1.95448858338141759834, 4.67627912898881538453, 86.3602421390890590575, -225.462687854119370527,
    200.260212380060660359, -82.0372256168333339912, 15.9056225126211695515, -1.18331621121330003142,
)
NEAR_P = (
    4.05544892305962419923, 31.5251094599893866154, 57.1628192246421288162, 44.0805073893200834700,
    14.6849561928858024014, 2.18663306850790267539, -0.140256079171354495875, -0.0350424626827848203418,
    -8.57456785154685413611e-4,
)
NEAR_Q = (
    1.0, 15.7799883256466749731, 45.3907635128879210584, 41.3172038254672030440, 15.0425385692907503408,
    2.50464946208309415979, -0.142182922854787788574, -0.0380806407691578277194, -9.33259480895457427372e-4,
)
FAR_P = (
    3.23774891776946035970, 6.91522889068984211695, 3.93881025292474443415, 1.33303460815807542389,
    0.201485389549179081538, 0.0123716634817820021358, 3.01581553508235416007e-4, 2.65806974686737550832e-6,
    6.23974539184983293730e-9,
)
FAR_Q = (
    1.0, 6.02427039364742014255, 3.67983563856160859403, 1.37702099489081330271, 0.216236993594496635890,
    0.0134204006088543189037, 3.28014464682127739104e-4, 2.89247864745380683936e-6, 6.79019408009981274425e-9,
)
# fmt: on


@njit(cache=True)
def fill_normal(seed: Array, episode: Ints, step: Ints, stream: int, draws: Floats) -> None:
    """Write the first normals of a stream for every user into draws (n, B), n even: see `Luck.normal`."""
    fill_uniform(seed, episode, step, stream, draws)
    n, B = draws.shape
    for i in range(n):
        for b in range(B):
            draws[i, b] = inverse_normal(min(draws[i, b] + 2.0**-54, 1.0 - 2.0**-53))


@njit(inline="always")
def inverse_normal(y: float) -> float:
    """The z with P(Z <= z) = y, for y in (0, 1)."""
    if TAIL < y <= 1.0 - TAIL:
        w = y - 0.5
        square = w * w
        return ROOT_2_PI * (w + w * (square * _polynomial(square, MIDDLE_P) / _polynomial(square, MIDDLE_Q)))
    s = math.sqrt(-2.0 * math.log(min(y, 1.0 - y)))
    t = 1.0 / s
    if s < 8.0:
        ratio = t * _polynomial(t, NEAR_P) / _polynomial(t, NEAR_Q)
    else:
        ratio = t * _polynomial(t, FAR_P) / _polynomial(t, FAR_Q)
    z = s - math.log(s) / s - ratio
    return z if y > 0.5 else -z


@njit(inline="always")
def _polynomial(x: float, coefficients: Any) -> float:
    value = 0.0
    for c in coefficients:
        value = value * x + c
    return value
