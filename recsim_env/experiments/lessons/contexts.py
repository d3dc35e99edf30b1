"""Checks of notebook 6: what knowing the user is worth, and the upper confidence bound of a linear model."""

from collections.abc import Callable
from typing import Any

import numpy as np

from recsim_env.experiments.lessons.checks import Case, check

BOTH = "Knowing the user: the largest of each row, averaged. Not knowing: the largest of the column averages."
ONE = "If one item is best for all, knowing is worth nothing."
ESTIMATE = "With radius 0 it is the estimate, x . theta_hat."
WIDTH = "The width is the radius times the square root of x' V^-1 x."


def check_worth_of_knowing(function: Callable[..., Any]) -> bool:
    """mean_u max_a mu(u, a) - max_a mean_u mu(u, a)."""
    cases = [
        Case(
            (np.array([[0.9, 0.1], [0.8, 0.2]]),),
            0.0,
            "If one item is best for all, knowing is worth nothing.",
        ),
        Case((np.array([[0.9, 0.1], [0.1, 0.9]]),), 0.4, BOTH),
        Case((np.array([[0.9, 0.3], [0.2, 0.6], [0.1, 0.6]]),), 0.2, BOTH),
    ]
    return check("worth_of_knowing", function, cases)


def check_upper_bound(function: Callable[..., Any]) -> bool:
    """X . theta_hat + radius sqrt(x' V^-1 x)."""
    plain, theta = np.eye(2), np.array([0.5, -1.0])
    cases = [
        Case(
            (np.array([2.0, 0.0]), theta, plain, 0.0), 1.0, "With radius 0 it is the estimate, x . theta_hat."
        ),
        Case((np.array([1.0, 0.0]), theta, plain, 2.0), 2.5, "The bound is above the estimate."),
        Case((np.array([0.0, 2.0]), theta, plain, 1.0), 0.0, WIDTH),
        Case((np.array([1.0, 1.0]), theta, np.array([[2.0, 1.0], [1.0, 5.0]]), 1.0), 2.5, WIDTH),
    ]
    return check("upper_bound", function, cases)
