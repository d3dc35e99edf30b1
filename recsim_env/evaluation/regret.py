"""Exact regret: what was lost against the best, without the noise of the rewards that were drawn."""

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError

ROUNDING = 1e-9
"""How far, relative to 1 or to the best value if larger, an expected reward may exceed the best."""


def cumulative_regret(best: Array, expected: Array) -> Floats:
    """Cumulative pseudo-regret, `regret[t] = sum_{s<=t} (best[s] - expected[s])`, (T, B) in units of reward.

    Args:
        best: (T, B) expected reward of the best action of each step (or the optimal value of each
            episode), computed from the world and not estimated from draws.
        expected: (T, B) expected reward (value) of what the agent did, computed in the same way.

    Returns:
        (T, B), never falling but for rounding; the last row is the total.

    Raises:
        InputError: shapes that differ or are not (T, B), values that are not finite, or an expected
            reward above the best: then the best is not an optimum, and the regret would be too small.
    """
    best, expected = np.asarray(best, np.float64), np.asarray(expected, np.float64)
    if best.ndim != 2 or best.shape != expected.shape:
        raise InputError(
            f"best and expected must have one shape (T, B), got {best.shape} and {expected.shape}"
        )
    for name, value in (("best", best), ("expected", expected)):
        if not np.isfinite(value).all():
            step, row = np.argwhere(~np.isfinite(value))[0]
            raise InputError(f"{name}[{step}, {row}] must be finite, got {value[step, row]}")
    above = expected - best > ROUNDING * np.maximum(1, np.abs(best))
    if above.any():
        step, row = np.argwhere(above)[0]
        raise InputError(
            f"expected[{step}, {row}] = {expected[step, row]} must not exceed best = {best[step, row]}: "
            "this best is not an optimum"
        )
    return np.cumsum(best - expected, axis=0)
