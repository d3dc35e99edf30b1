"""Checks of notebook 3: the divergence of two coins, and the regret that nobody avoids."""

from collections.abc import Callable
from typing import Any

import numpy as np

from recsim_env.evaluation.regret_bounds import kl_bernoulli, lai_robbins_slope
from recsim_env.experiments.lessons.checks import Case, check

BOTH_SIDES = "A toss without heads tells something too: add (1 - p) ln((1 - p) / (1 - q))."
FIRST = "The expectation is over tosses of the first coin: the weights are p and 1 - p, and p stands above q."
NATURAL = "And use the natural logarithm, np.log."
ITEM_FIRST = "KL(mu_a || mu*): the item's own click rate comes first, since its clicks are what is seen."
COSTS = "Every showing of item a costs its gap: gap_a / KL, and not 1 / KL."
ALL_WORSE = "Add up over all items that are worse than the best one, and only those."


def check_divergence(function: Callable[..., Any]) -> bool:
    """KL(p || q) of two coins."""
    cases = [
        Case((0.3, 0.3), 0.0, "Two equal coins cannot be told apart."),
        Case((0.25, 0.75), float(kl_bernoulli(0.25, 0.75)), f"{BOTH_SIDES} {NATURAL}"),
        Case((0.1, 0.2), float(kl_bernoulli(0.1, 0.2)), FIRST),
    ]
    return check("divergence", function, cases)


def check_least_growth(function: Callable[..., Any]) -> bool:
    """Sum over worse items of gap / KL(mu_a || mu*)."""
    two, three = np.array([0.2, 0.7]), np.array([0.9, 0.5, 0.1])
    tied = np.array([0.4, 0.6, 0.6])
    cases = [
        Case((two,), lai_robbins_slope(two), f"{ITEM_FIRST} {COSTS}"),
        Case((three,), lai_robbins_slope(three), ALL_WORSE),
        Case((tied,), lai_robbins_slope(tied), "Two items are best here: neither costs anything."),
    ]

    def quietly(*arguments: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return function(*arguments)

    return check("least_growth", quietly, cases)
