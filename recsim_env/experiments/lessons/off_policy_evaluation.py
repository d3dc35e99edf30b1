"""Checks of notebook 9: inverse propensity scoring, and the effective sample size."""

from collections.abc import Callable
from typing import Any

import numpy as np

from recsim_env.experiments.lessons.checks import Case, check

TURNED = "The weight is what the new policy would do, over what the old one did: not the other way round."
MEAN = "Divide by the number of rows, and not by the sum of the weights: that is the self-normalised form."


def check_inverse_propensity(function: Callable[..., Any]) -> bool:
    """1/n sum_i w_i r_i."""
    reward, half = np.array([1.0, 0.0, 1.0]), np.full(3, 0.5)
    new = np.array([0.2, 0.8, 0.6])
    cases = [
        Case((reward, half, half), 2 / 3, "Of the policy that made the log it is the plain mean."),
        Case((np.array([1.0]), np.array([0.2]), np.array([0.5])), 0.4, TURNED),
        Case((reward, new, half), (0.4 + 1.2) / 3, MEAN),
    ]
    return check("inverse_propensity", function, cases)


def check_effective_sample_size(function: Callable[..., Any]) -> bool:
    """(sum w)^2 / sum w^2."""
    cases = [
        Case((np.ones(5),), 5.0, "Equal weights: every row counts."),
        Case((np.full(4, 0.5),), 4.0, "Twice the weights, the same rows: the size must not change."),
        Case((np.array([3.0, 0.0, 0.0]),), 1.0, "A row of weight 0 says nothing."),
        Case((np.array([3.0, 1.0]),), 1.6, "(sum w)^2 / sum w^2, with the squares in the right places."),
    ]
    return check("effective_sample_size", function, cases)
