"""The largest mean that is plausible by the Kullback-Leibler divergence of Bernoulli variables.

    u = max { u in [m, 1] :  KL(m || u) <= budget },      KL(m || u) = m log(m/u) + (1-m) log((1-m)/(1-u))

It is found by Newton's method in x = -log(1 - u), in which the divergence is convex, and close to a line
where u is near 1:

    g(x) = KL(m || u) - budget,      g'(x) = (u - m) / u.

It starts from the x of the round before, which the root has left by little; from the right of the root every
step stays on the right of it, and from the left the first step crosses over. Two or three are usual.

Source: the index of Garivier and Cappe, COLT 2011, and of Kveton et al., ICML 2015; the method is ours.
"""

import numpy as np
from numba import njit

TOLERANCE = 1e-10  # of u: Newton's method stops at a step shorter than this
FARTHEST = 30.0  # the largest x that is tried, u = 1 - 1e-13: the divergence is infinite at u = 1


@njit(inline="always")
def kl_root(m: float, budget: float, x: float) -> float:
    """Newton's method from x: -log(1 - u) of the largest u >= m with KL(m || u) <= budget, for m < 1."""
    if m == 0.0:
        return min(budget, FARTHEST)
    entropy = m * np.log(m) + (1.0 - m) * np.log(1.0 - m)
    if 1.0 - np.exp(-x) <= m:  # the mean has risen above the last bound: start on the right instead
        x = FARTHEST
    for _ in range(60):
        u = 1.0 - np.exp(-x)
        step = (entropy - m * np.log(u) + (1.0 - m) * x - budget) * u / (u - m)
        new = min(x - step, FARTHEST)
        if 1.0 - np.exp(-new) <= m:  # rounding, close to the minimum
            return x
        if (
            abs(new - x) * max(1.0 - u, np.exp(-new)) < TOLERANCE
        ):  # in u, of which x is minus the log of what lacks to 1
            return new
        x = new
    return x
