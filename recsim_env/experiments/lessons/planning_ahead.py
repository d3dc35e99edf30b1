"""Checks of notebook 8: the value of a list, and one step of Bellman's equation."""

from collections.abc import Callable
from typing import Any

import numpy as np

from recsim_env.experiments.lessons.checks import Case, check

NONE = "A user whom no item attracts is worth something too: add the probability of no click times its worth."
ORDER = "A lower item is clicked only if none above it attracted."
STAYS = "Without a click, of probability 1 - q, the user stays, and their value is V of the same state."
LEADS = "After a click the user is worth r + sum over s' of p(s'|s) V(s'): a row of p for every state s."


def check_value_of_list(function: Callable[..., Any]) -> bool:
    """f(A; q, w) with the worth of no click."""
    cases = [
        Case((np.array([0.5]), np.array([2.0]), 0.0), 1.0, "A click has probability q and worth w."),
        Case((np.array([0.5]), np.array([2.0]), 1.0), 1.5, NONE),
        Case((np.array([0.5, 0.9]), np.array([2.0, 1.0]), 0.2), 1.46, ORDER),
    ]
    return check("value_of_list", function, cases)


def check_backup(function: Callable[..., Any]) -> bool:
    """One step back: q (r + p V) + (1 - q) V."""
    q, r, none = np.array([0.5, 0.2]), np.array([1.0, 1.0]), np.zeros(2)
    there, p = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[0.25, 0.75], [0.5, 0.5]])
    value = np.array([2.0, 4.0])
    cases = [
        Case((q, r, there, none), q * r, "With nothing to come, an item is worth q r."),
        Case((np.ones(2), r, p, value), np.array([4.5, 4.0]), LEADS),
        Case((q, r, p, value), np.array([3.25, 4.0]), STAYS),
    ]
    return check("backup", function, cases)
