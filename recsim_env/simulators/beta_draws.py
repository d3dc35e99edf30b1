"""Beta draws, one generator for every user: Gamma draws by rejection, of normal draws by the ziggurat.

A Beta(a, b) variable is X / (X + Y) of X ~ Gamma(a) and Y ~ Gamma(b). For a >= 1 a Gamma(a) variable is

    d v,      d = a - 1/3,      v = (1 + z / sqrt(9 d))^3,      z ~ N(0, 1),

kept if log u < z^2 / 2 + d - d v + d log v, which it mostly is. The ziggurat covers the normal density by
256 layers of equal area, of which one draw of 64 bits picks a layer, a sign and a place: 99 of 100 times that
is all.

Sources: Marsaglia, Tsang, "A simple method for generating gamma variables", ACM TOMS 26, 2000, and "The
ziggurat method for generating random variables", Journal of Statistical Software 5, 2000; Steele, Lea, Flood,
"Fast splittable pseudorandom number generators", OOPSLA 2014 (SplitMix64).
"""

import math
from typing import Any

import numpy as np
from numba import int64, njit, uint64

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.simulators.philox import philox

LAYERS = 256
TAIL = 3.6541528853610088  # where the lowest layer gives way to the tail; published with 256 layers


def _layers() -> tuple[Floats, Floats]:
    """Right edges x_0 > x_1 = TAIL > ... > x_256 = 0 of the layers, and the density exp(-x^2 / 2) there."""
    density = math.exp(-0.5 * TAIL**2)
    area = TAIL * density + math.sqrt(math.pi / 2.0) * math.erfc(TAIL / math.sqrt(2.0))
    edges = [
        area / density,
        TAIL,
    ]  # the lowest layer holds the tail: its edge makes its area that of the others
    while len(edges) < LAYERS:
        density += area / edges[-1]
        edges.append(math.sqrt(-2.0 * math.log(density)))
    edges.append(0.0)
    x = np.array(edges)
    return x, np.exp(-0.5 * x**2)


EDGES, DENSITY = _layers()
OUTER = EDGES[:-1] * 2.0**-53  # times a draw of 53 bits: a place in the layer
INNER = EDGES[1:].copy()  # below it, a layer lies under the density


@njit(cache=True)
def fill_beta(
    seed: Array, episode: Ints, step: Ints, stream: int, a: Floats, b: Floats, draws: Floats
) -> bool:
    """Write Beta(a, b) draws (B, N); False, and nothing written, if an a or b is below 1."""
    B, N = a.shape
    for i in range(B):
        for n in range(N):
            if not (a[i, n] >= 1.0 and b[i, n] >= 1.0):
                return False
    for i in range(B):
        w0, w1, _, _ = philox(0, step[i], stream, episode[i], seed[i], seed[i] >> uint64(32))
        state = (uint64(w0) << uint64(32)) | uint64(w1)
        for n in range(N):
            x, state = _gamma(a[i, n], state)
            y, state = _gamma(b[i, n], state)
            draws[i, n] = x / (x + y)
    return True


@njit(inline="always")
def _bits(state: Any) -> tuple[Any, Any]:
    """SplitMix64: 64 random bits, and the next state."""
    state = uint64(state + uint64(0x9E3779B97F4A7C15))
    z = state
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    return z ^ (z >> uint64(31)), state


@njit(inline="always")
def _uniform(state: Any) -> tuple[float, Any]:
    """A uniform in (0, 1), and the next state."""
    bits, state = _bits(state)
    return (float(int64(bits >> uint64(11))) + 0.5) * 2.0**-53, state


@njit(inline="always")
def _normal(state: Any) -> tuple[float, Any]:
    """A standard normal, and the next state."""
    while True:
        bits, state = _bits(state)
        layer = bits & uint64(255)
        x = float(int64(bits >> uint64(11))) * OUTER[layer]
        inside = x < INNER[layer]
        if not inside:
            inside, x, state = _at_the_edge(int64(layer), x, state)
        if inside:
            return (-x if bits & uint64(256) else x), state


@njit(cache=True)
def _at_the_edge(layer: Any, x: float, state: Any) -> tuple[bool, float, Any]:
    """Whether a place beyond the inner edge counts, the place, and the next state: one draw of a hundred."""
    if layer == 0:  # the tail, by Marsaglia's exponentials
        while True:
            u, state = _uniform(state)
            v, state = _uniform(state)
            beyond = -math.log(u) / TAIL
            if -2.0 * math.log(v) > beyond * beyond:
                return True, TAIL + beyond, state
    u, state = _uniform(state)
    height = DENSITY[layer] + u * (DENSITY[layer + 1] - DENSITY[layer])
    return height < math.exp(-0.5 * x * x), x, state


@njit(inline="always")
def _gamma(shape: float, state: Any) -> tuple[float, Any]:
    """Gamma(shape, 1) for shape >= 1, and the next state."""
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        z, state = _normal(state)
        v = 1.0 + c * z
        if v <= 0.0:
            continue
        v = v * v * v
        u, state = _uniform(state)
        square = z * z
        if u < 1.0 - 0.0331 * square * square or math.log(u) < 0.5 * square + d * (1.0 - v + math.log(v)):
            return d * v, state
