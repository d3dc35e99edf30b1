"""What no bandit algorithm can beat: divergences and lower bounds on regret, to draw beside curves.

    Lai, Robbins:   liminf R(T) / log T >= sum over arms with gap > 0 of gap_a / KL(mu_a || mu*)
    minimax:        for every algorithm some problem has R(T) >= 1/20 min(sqrt(K T), T)

The first is of every algorithm that is good on all problems (R(T) = o(T^p) for every p > 0), as T grows, and
may lie above a curve for small T. The second is of rewards 0 and 1 and of all algorithms, for the worst of
all problems with K arms: a curve on one problem may lie below it.

Source: Lai, Robbins, Advances in applied mathematics 6, 1985; Auer, Cesa-Bianchi, Freund, Schapire, "The
nonstochastic multiarmed bandit problem", SIAM Journal on Computing 32, 2002, theorem 5.1 (its 1/20 from
memory).
"""

import numpy as np
from scipy.special import rel_entr

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError, as_numbers


def kl_bernoulli(p: Array | float, q: Array | float) -> Floats:
    """KL(p || q) of rewards of 0 and 1 with means p and q, in nats; infinite where q excludes what p has.

    Args:
        p: of any shape, from 0 to 1.
        q: of a shape that fits.

    Raises:
        InputError: a number that is no probability.
    """
    pair = as_numbers("p", p), as_numbers("q", q)
    for name, values in zip("pq", pair, strict=True):
        if not ((values >= 0.0) & (values <= 1.0)).all():
            raise InputError(f"{name} must hold probabilities, from 0 to 1, got {values}")
    return np.asarray(rel_entr(pair[0], pair[1]) + rel_entr(1.0 - pair[0], 1.0 - pair[1]))


def kl_gaussian(p: Array | float, q: Array | float, deviation: float = 1.0) -> Floats:
    """KL between normal rewards of means p and q and one deviation, (p - q)^2 / (2 deviation^2).

    Raises:
        InputError: a deviation that is not above 0.
    """
    if not 0.0 < deviation < np.inf:
        raise InputError(f"deviation must be above 0 and finite, got {deviation}")
    return np.asarray((as_numbers("p", p) - as_numbers("q", q)) ** 2 / (2.0 * deviation**2))


def lai_robbins_slope(means: Floats, deviation: float | None = None) -> float:
    """What regret gains with log T in the long run, sum of gap / KL(mu_a || mu*), at least.

    Args:
        means: (K,) of all arms.
        deviation: None for rewards of 0 and 1; else that of normal rewards.

    Raises:
        InputError: fewer than two arms, arms that are all alike, means that are no probabilities.
    """
    means = as_numbers("means", means)
    if means.ndim != 1 or len(means) < 2 or means.min() == means.max():
        raise InputError(f"means must be of two or more arms that differ, got {means}")
    best = means.max()
    worse = means[means < best]
    kl = kl_bernoulli(worse, best) if deviation is None else kl_gaussian(worse, best, deviation)
    return float(((best - worse) / kl).sum())


def lai_robbins(rounds: Array, means: Floats, deviation: float | None = None) -> Floats:
    """(P,) the slope times log of `rounds` (P,), for a figure; see `lai_robbins_slope`."""
    return np.asarray(
        lai_robbins_slope(means, deviation) * np.log(np.maximum(as_numbers("rounds", rounds), 1.0))
    )


def minimax_lower_bound(rounds: Array, num_items: int) -> Floats:
    """(P,) 1/20 min(sqrt(K T), T) for T = `rounds` (P,) and K = num_items arms.

    Raises:
        InputError: fewer than two arms.
    """
    if num_items < 2:
        raise InputError(f"num_items must be at least 2, got {num_items}")
    T = as_numbers("rounds", rounds)
    return np.asarray(np.minimum(np.sqrt(num_items * T), T) / 20.0)
