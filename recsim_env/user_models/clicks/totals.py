"""What worlds ask of any click model: show a slate, and the exact expectation of its clicks."""

import numpy as np
from numba import njit

from recsim_env.arrays import Bools, Floats
from recsim_env.user_models.clicks.cascade import Cascade
from recsim_env.user_models.clicks.click_model import ClickModel
from recsim_env.user_models.clicks.response import Response
from recsim_env.user_models.slots import sum_over_slots


def show(clicks: ClickModel, attraction: Floats, u: Floats) -> Response:
    """`clicks.sample`, where empty slots (attraction 0) count as not examined."""
    response = clicks.sample(attraction, u)
    pass_over_empty(attraction, response.examined)
    return response


def click_totals(clicks: ClickModel, attraction: Floats) -> tuple[Floats, Floats]:
    """(B,) the expected number of clicks and (B,) the probability of no click, exact.

    The cascade clicks once at most, so both are prod_k (1 - a_k); that short cut is worth half of a step.
    """
    if isinstance(clicks, Cascade):
        none = np.ones(len(attraction))
        multiply_misses(attraction, none)
        return 1.0 - none, none
    nothing = np.zeros(attraction.shape, np.bool_)
    none = np.ones(len(attraction))
    multiply_misses(clicks.conditional_click_prob(attraction, nothing), none)
    return sum_over_slots(clicks.click_prob(attraction)), none


def expected_clicks(clicks: ClickModel, attraction: Floats) -> Floats:
    """(B,) the expected number of clicks, exact."""
    if isinstance(clicks, Cascade):
        return click_totals(clicks, attraction)[0]
    return sum_over_slots(clicks.click_prob(attraction))


@njit(cache=True)
def pass_over_empty(attraction: Floats, examined: Bools) -> None:
    """Unmark the examined slots (B, K) whose attraction is 0."""
    B, K = attraction.shape
    for k in range(K):
        for b in range(B):
            examined[b, k] &= attraction[b, k] > 0.0


@njit(cache=True)
def multiply_misses(attraction: Floats, none: Floats) -> None:
    """Multiply none (B,) by prod_k (1 - a_k) of attraction (B, K)."""
    B, K = attraction.shape
    for k in range(K):
        for b in range(B):
            none[b] *= 1.0 - attraction[b, k]
