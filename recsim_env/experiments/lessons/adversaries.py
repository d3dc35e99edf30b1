"""Checks of notebook 5: the probabilities of Hedge, and the costs that Exp3 believes in."""

from collections.abc import Callable
from typing import Any

import numpy as np

from recsim_env.experiments.lessons.checks import Case, check

LESS = "Less cost, more weight: the exponent is minus the rate times the cost."
SUM = "Divide the weights by their sum: probabilities add up to 1."
LEAST = "e to the power of -1000 is 0 in a computer: take the least cost away from all of them first."
UNBIASED = "Divide by the probability of the arm pulled, so that the average over draws is the true cost."


def check_hedge(function: Callable[..., Any]) -> bool:
    """p(a) = exp(-eta L(a)) / sum_b exp(-eta L(b))."""
    cases = [
        Case((np.array([3.0, 3.0]), 1.0), [0.5, 0.5], SUM),
        Case((np.array([0.0, 1.0]), np.log(2.0)), [2 / 3, 1 / 3], LESS),
        Case((np.array([0.0, 1.0]), np.log(4.0)), [0.8, 0.2], "Use the rate that is given."),
        Case((np.array([1000.0, 1001.0]), np.log(3.0)), [0.75, 0.25], LEAST),
    ]

    def quietly(costs: Any, rate: float) -> Any:
        with np.errstate(all="ignore"):  # 0 / 0 is the answer of who has not read the last hint yet
            return function(costs, rate)

    return check("hedge", quietly, cases)


def check_estimated_costs(function: Callable[..., Any]) -> bool:
    """1{a = A} (1 - X) / p(a) of every arm a."""
    cases = [
        Case((0, 0.0, np.array([1.0, 0.0])), [1.0, 0.0], "A cost is 1 less the reward."),
        Case((1, 0.0, np.array([0.5, 0.5])), [0.0, 2.0], UNBIASED),
        Case((1, 1.0, np.array([0.5, 0.5])), [0.0, 0.0], "A cost is 1 less the reward."),
        Case((2, 0.5, np.array([0.5, 0.4, 0.1])), [0.0, 0.0, 5.0], UNBIASED),
    ]
    return check("estimated_costs", function, cases)
