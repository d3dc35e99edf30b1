"""Checks of notebook 10: base-level activation, and an average that forgets."""

from collections.abc import Callable
from typing import Any

import numpy as np

from recsim_env.experiments.lessons.checks import Case, check
from recsim_env.user_models.memory.actr import base_level_activation

SUM = "Add the traces up first, and take the logarithm of the sum."
WEIGHTS = "Divide by the sum of the weights, not by the number of clicks."


def check_activation(function: Callable[..., Any]) -> bool:
    """B = ln sum_j t_j^-d."""
    cases = [
        Case((np.array([1.0]), 0.5), 0.0, "A trace of age 1 has strength 1, and ln 1 = 0."),
        Case((np.array([4.0]), 0.5), np.log(0.5), "A trace fades: t to the power of minus d."),
        Case((np.array([1.0, 4.0, 9.0]), 0.5), base_level_activation(np.array([1.0, 4.0, 9.0])), SUM),
        Case((np.array([2.0, 4.0]), 1.0), np.log(0.75), "Use the decay that is given."),
    ]
    return check("activation", function, cases)


def check_click_rate_now(function: Callable[..., Any]) -> bool:
    """The weighted average of clicks, with weights 0.5^(t / half-life)."""
    clicked, fresh = np.array([1, 0, 1]), np.zeros(3)
    cases = [
        Case((clicked, fresh, 10.0), 2 / 3, "Of clicks of one age it is the plain average."),
        Case((np.array([1, 0]), np.array([0.0, 10.0]), 10.0), 2 / 3, WEIGHTS),
        Case(
            (np.array([1, 0]), np.array([6.0, 0.0]), 3.0), 0.2, "An age of two half-lives counts a quarter."
        ),
    ]
    return check("click_rate_now", function, cases)
