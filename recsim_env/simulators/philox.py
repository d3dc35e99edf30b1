"""Philox 4x32-10, a counter-based random generator, and the loops that fill arrays from it.

Ten rounds turn a counter (c0, c1, c2, c3) and a key (k0, k1) of 32-bit words into four random words:

    (c0, c1, c2, c3) <- (hi(M1 c2) ^ c1 ^ k0,  lo(M1 c2),  hi(M0 c0) ^ c3 ^ k1,  lo(M0 c0)),
    (k0, k1) <- (k0 + W0, k1 + W1)

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. The
known-answer vectors of their Random123 library are in `tests/test_luck.py`.
"""

from typing import Any

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
