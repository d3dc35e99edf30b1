"""Checks of notebook 7: which slots a click tells of, and a click rate that knows who looked."""

from collections.abc import Callable
from typing import Any

import numpy as np

from recsim_env.experiments.lessons.checks import Case, check

CLICKED = "The user looked at the clicked slot too, and that one counts most of all."
BELOW = "Nothing is known of the slots below the click."
NOBODY = "Without a click the user looked at all slots, and liked none."
LOOKED = "Divide by the number of users who looked: showings in a slot, times its examination, added up."


def check_observed(function: Callable[..., Any]) -> bool:
    """True down to the click, everywhere without one."""
    cases = [
        Case((0, 1), [True], CLICKED),
        Case((1, 4), [True, True, False, False], BELOW),
        Case((None, 3), [True, True, True], NOBODY),
        Case((0, 3), [True, False, False], CLICKED),
    ]
    return check("observed", function, cases)


def check_attraction(function: Callable[..., Any]) -> bool:
    """Clicks / sum_k showings_k theta_k."""
    theta = np.array([1.0, 0.5])
    cases = [
        Case((30, np.array([100, 0]), theta), 0.3, "In a slot that all look at it is the plain click rate."),
        Case((30, np.array([0, 100]), theta), 0.6, LOOKED),
        Case((30, np.array([50, 50]), theta), 0.4, LOOKED),
        Case((6, np.array([10, 10, 40]), np.array([0.9, 0.6, 0.1])), 6 / 19, LOOKED),
    ]
    return check("attraction", function, cases)
