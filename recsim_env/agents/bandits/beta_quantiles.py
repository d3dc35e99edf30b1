"""Upper quantiles of many Beta distributions that change by one observation, or by a rising level, at a time.

Wanted is x with tail S(x) = P(Beta(a, b) > x) = exp(-v). Three ways, from the dearest to the cheapest:

1. From nothing (`solve`): Newton's method on v(x) = -log S(x), which is convex because the density is
   log-concave (a, b >= 1); S is a continued fraction.
2. From the quantile of a neighbour (`shift`). At one x the tail changes in closed form with an observation,
       S_{a+1,b} = S + f x (1-x) / a,      S_{a,b+1} = S - f x (1-x) / b,      f the density,
       f_{a+1,b} = f x (a+b) / a,          f_{a,b+1} = f (1-x) (a+b) / b,
   and around x the density is a power series f(x+d) = f sum_k c_k d^k, whose coefficients follow from
   x (1-x) f' = (a-1 - (a+b-2) x) f. The new quantile is where the integral of the series is S - exp(-v).
3. For a level that rose by less than `NEAR` (`SERIES` of x in v): with the inverse hazard w = S / f and
   g = f' / f,   x' = w,   x'' = -w (1 + g w),   x''' = w (1 + g w) (1 + 2 g w) - g' w^3.

Source: continued fraction and recurrences: Abramowitz, Stegun, "Handbook of mathematical functions", 1964,
26.5.8, 26.5.15 and 26.5.16; the rest follows by differentiation.
"""

import math

import numpy as np
from numba import njit

from recsim_env.arrays import Floats

NEAR = 0.1  # how far in v the third-order series is trusted: it is off by about w NEAR^4 / 24 there
TERMS = 6
SMALL = 1e-9  # largest last term of its integral, as a share of the tail wanted; beyond, solve from nothing
INVERSES = tuple(1.0 / k for k in range(1, TERMS + 2))
TINY = 1e-300


@njit(cache=True)
def tail(a: float, b: float, x: float) -> tuple[float, float]:
    """P(Beta(a, b) > x) and the density there, for 0 < x < 1."""
    scale = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    density = scale / (x * (1.0 - x))
    if x < (a + 1.0) / (a + b + 2.0):
        return 1.0 - scale * _fraction(a, b, x) / a, density
    return scale * _fraction(b, a, 1.0 - x) / b, density


@njit(inline="always")
def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method."""
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > TINY else TINY)
    value = d
    for m in range(1, 20_000):
        for odd in range(2):
            if odd == 0:
                term = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
            else:
                term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
            d = 1.0 + term * d
            d = 1.0 / (d if abs(d) > TINY else TINY)
            c = 1.0 + term / c
            c = c if abs(c) > TINY else TINY
            value *= c * d
        if abs(c * d - 1.0) < 1e-14:
            break
    return value


@njit(cache=True)
def solve(a: float, b: float, v: float, x: float) -> tuple[float, float]:
    """The quantile with tail exp(-v) and the density there, by Newton's method from x."""
    x = min(max(x, 1e-12), 1.0 - 1e-12)
    low, high, density = 0.0, 1.0, 1.0  # the quantile is between
    for _ in range(200):
        S, density = tail(a, b, x)
        if S > 0.0 and density > 0.0:
            lacking = v + math.log(S)
            new = x + lacking * S / density
            if abs(new - x) < 1e-14 * (1.0 + new):
                break
        else:  # x is so far out that its tail or its density is 0 to the computer
            lacking, new = 1.0 if S > 0.5 else -1.0, x
        if lacking > 0.0:
            low = x
        else:
            high = x
        x = new if low < new < high else 0.5 * (low + high)
    return x, density


@njit(inline="always")
def shift(
    a: float, b: float, S: float, f: float, x: float, v: float, wanted: float
) -> tuple[bool, float, float]:
    """Whether (x, S, f) can tell what the quantile of tail wanted = exp(-v) is, it, its density."""
    dv = v + math.log(S)
    inverse = 1.0 / (x * (1.0 - x))
    slope, per, turn = a - 1.0 - (a + b - 2.0) * x, a + b - 2.0, 1.0 - 2.0 * x
    w, gw = S / f, slope * inverse * S / f
    d = w * dv * (1.0 - 0.5 * dv * (1.0 + gw))
    for _ in range(3):
        before, now, power = 0.0, 1.0, d
        size, area = 1.0, d  # the density at x + d, and its integral from x, as a share of f
        for k in range(TERMS):
            after = ((slope - k * turn) * now + (k - 1.0 - per) * before) * inverse * INVERSES[k]
            before, now = now, after
            size += now * power
            power *= d
            area += now * power * INVERSES[k + 1]
        y = x + d
        if not (abs(now * power) * f < SMALL * wanted and size > 0.1 and 0.0 < y < 1.0):
            return False, x, f
        g = (a - 1.0) / y - (b - 1.0) / (1.0 - y)
        step = ((S - wanted) / f - area) / size
        step -= 0.5 * g * step * step
        d += step
        if abs(step) * f * size < 1e-3 * wanted:  # what is left is of third order
            gs = g * step
            return 0.0 < x + d < 1.0, x + d, f * size * (1.0 + gs + 0.5 * gs * gs)
    return False, x, f


@njit(inline="always")
def series(a: float, b: float, S: float, x: float, f: float) -> tuple[float, float, float]:
    """Coefficients of x(v + dv) - x where tail and density are S and f: first, second and third."""
    w = S / f
    g = (a - 1.0) / x - (b - 1.0) / (1.0 - x)
    bend = -(a - 1.0) / x**2 - (b - 1.0) / (1.0 - x) ** 2  # g'
    gw = g * w
    return w, -0.5 * w * (1.0 + gw), (w * (1.0 + gw) * (1.0 + 2.0 * gw) - bend * w**3) / 6.0


@njit(cache=True)
def upper_quantiles(a: Floats, b: Floats, v: float) -> Floats:
    """The quantiles of tail exp(-v) of every pair, in the shape of a, found from nothing."""
    x = np.empty(a.size)
    for i in range(a.size):
        x[i] = solve(a.flat[i], b.flat[i], v, a.flat[i] / (a.flat[i] + b.flat[i]))[0]
    return x.reshape(a.shape)
