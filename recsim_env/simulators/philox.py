"""Philox 4x32-10, a counter-based random generator, and the loops that fill arrays from it.

Ten rounds turn a counter (c0, c1, c2, c3) and a key (k0, k1) of 32-bit words into four random words:

    (c0, c1, c2, c3) <- (hi(M1 c2) ^ c1 ^ k0,  lo(M1 c2),  hi(M0 c0) ^ c3 ^ k1,  lo(M0 c0)),
    (k0, k1) <- (k0 + W0, k1 + W1)

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. The
known-answer vectors of their Random123 library are in `tests/test_luck.py`.
"""

import math
from typing import Any

import numpy as np
from numba import njit, uint32, uint64

from recsim_env.arrays import Array, Floats, Ints

_MULTIPLIER_0, _MULTIPLIER_1 = 0xD2511F53, 0xCD9E8D57
_WEYL_0, _WEYL_1 = 0x9E3779B9, 0xBB67AE85


@njit(inline="always")
def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> tuple[Any, Any, Any, Any]:
    """Philox 4x32-10: four 32-bit counter words and two key words -> four random 32-bit words."""
    c0, c1, c2, c3, k0, k1 = uint32(c0), uint32(c1), uint32(c2), uint32(c3), uint32(k0), uint32(k1)
    for _ in range(10):
        product_0 = uint64(c0) * uint64(_MULTIPLIER_0)
        product_1 = uint64(c2) * uint64(_MULTIPLIER_1)
        c0 = uint32(product_1 >> uint64(32)) ^ c1 ^ k0
        c1 = uint32(product_1)
        c2 = uint32(product_0 >> uint64(32)) ^ c3 ^ k1
        c3 = uint32(product_0)
        k0 = uint32(k0 + uint32(_WEYL_0))
        k1 = uint32(k1 + uint32(_WEYL_1))
    return c0, c1, c2, c3


@njit(inline="always")
def to_uniform(high: Any, low: Any) -> float:
    """Two 32-bit words -> a multiple of 2^-53 in [0, 1), as NumPy's `Generator.random` does."""
    return float(((uint64(high) << uint64(32)) | uint64(low)) >> uint64(11)) * 2.0**-53


@njit(cache=True)
def fill_uniform(seed: Array, episode: Ints, step: Ints, stream: int, draws: Floats) -> None:
    """Write the first uniforms of a stream for every user into draws (n, B), n even: two a block."""
    n, B = draws.shape
    for block in range(n // 2):
        for b in range(B):
            w0, w1, w2, w3 = philox(block, step[b], stream, episode[b], seed[b], seed[b] >> uint64(32))
            draws[2 * block, b] = to_uniform(w0, w1)
            draws[2 * block + 1, b] = to_uniform(w2, w3)


@njit(cache=True)
def fill_beta(
    seed: Array, episode: Ints, step: Ints, stream: int, a: Floats, b: Floats, draws: Floats
) -> None:
    """Write Beta(a, b) draws (B, N): X / (X + Y) of Gamma(a) X and Gamma(b) Y, with a, b >= 1."""
    B, N = a.shape
    state, spare = np.empty(1, np.uint64), np.empty(1)
    for i in range(B):
        w0, w1, _, _ = philox(0, step[i], stream, episode[i], seed[i], seed[i] >> uint64(32))
        state[0] = (uint64(w0) << uint64(32)) | uint64(w1)
        spare[0] = np.nan
        for n in range(N):
            x = _gamma(a[i, n], state, spare)
            y = _gamma(b[i, n], state, spare)
            draws[i, n] = x / (x + y)


@njit(inline="always")
def _next_uniform(state: Array) -> float:
    """SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): advance the 64-bit state, a uniform in (0, 1)."""
    state[0] += uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    z = z ^ (z >> uint64(31))
    return (float(z >> uint64(11)) + 0.5) * 2.0**-53


@njit(inline="always")
def _next_normal(state: Array, spare: Floats) -> float:
    """A standard normal by Marsaglia's polar method, which makes two: `spare` keeps the other, or nan."""
    if not math.isnan(spare[0]):
        normal = spare[0]
        spare[0] = np.nan
        return normal
    while True:
        p, q = 2.0 * _next_uniform(state) - 1.0, 2.0 * _next_uniform(state) - 1.0
        r = p * p + q * q
        if 0.0 < r < 1.0:
            scale = math.sqrt(-2.0 * math.log(r) / r)
            spare[0] = q * scale
            return p * scale


@njit(inline="always")
def _gamma(shape: float, state: Array, spare: Floats) -> float:
    """Gamma(shape, 1) for shape >= 1 (Marsaglia and Tsang, ACM TOMS 26, 2000)."""
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = _next_normal(state, spare)
        v = 1.0 + c * x
        if v <= 0.0:
            continue
        v = v * v * v
        u = _next_uniform(state)
        if u < 1.0 - 0.0331 * x**4 or math.log(u) < 0.5 * x * x + d * (1.0 - v + math.log(v)):
            return d * v
