"""A hash of rows of whole numbers that is the same on every machine: SplitMix64's mixing, number by number.

    h_0 = mix(seed + G),     h_j = mix((h_{j-1} xor x_j) + G),     hash of (x_1 .. x_n) = h_n mod R

    mix(z):  z = (z xor z >> 30) 0xBF58476D1CE4E5B9,  z = (z xor z >> 27) 0x94D049BB133111EB,  z xor z >> 31

with G = 0x9E3779B97F4A7C15, all of it modulo 2^64. Of N different rows, an expected N - R (1 - (1 - 1/R)^N)
find their place taken by an earlier one, as if places were drawn.

Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (mix).
"""

import numpy as np

from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError, check_ranges

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def hashed(numbers: Ints, rows: int, seed: int = 0) -> Ints:
    """Places from 0 to R - 1.

    Args:
        numbers: (..., n) whole numbers.
        rows: R.
        seed: which hash, from 0 to 2^64 - 1.

    Returns:
        (...,)

    Raises:
        InputError: a number out of range.
    """
    check_ranges({"rows": rows}, {}, {})
    if not 0 <= seed < 1 << 64:
        raise InputError(f"seed must be from 0 to 2^64 - 1, got {seed}")
    x = np.asarray(numbers, np.int64).astype(np.uint64)
    with np.errstate(over="ignore"):  # of a single row numbers are scalars, which warn where arrays wrap
        h = _mixed(np.full(x.shape[:-1], seed, np.uint64) + GOLDEN)
        for j in range(x.shape[-1]):
            h = _mixed((h ^ x[..., j]) + GOLDEN)
    return (h % np.uint64(rows)).astype(np.int64)


def _mixed(z: Array) -> Array:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))
