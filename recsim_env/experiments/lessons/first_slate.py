"""Checks of notebook 1: the probability of a click at every slot, and what a list earns."""

from collections.abc import Callable
from typing import Any

import numpy as np

from recsim_env.experiments.lessons.checks import Case, check

FIRST = "The user looks at the first item for sure."
STOPS = "A user who clicked looks no further: a lower slot needs that none above it attracted."
EARNS = "Only the clicked item pays: weigh each worth by the probability of a click at its slot."


def check_click_probabilities(function: Callable[..., Any]) -> bool:
    """The cascade: P(click at k) = q_k prod_{j<k} (1 - q_j)."""
    cases = [
        Case(([0.5],), [0.5], FIRST),
        Case(([0.5, 0.5],), [0.5, 0.25], STOPS),
        Case(([0.1, 0.3, 0.6],), [0.1, 0.27, 0.378], STOPS),
        Case(([1.0, 0.7],), [1.0, 0.0], "Nobody gets past an item that always attracts."),
    ]
    return check("click_probabilities", function, cases)


def check_expected_reward(function: Callable[..., Any]) -> bool:
    """sum_k P(click at k) w_k."""
    cases = [
        Case(([0.5], [2.0]), 1.0, EARNS),
        Case(([0.5, 0.4, 0.9], [2.0, 1.5, 1.0]), 1.57, STOPS),
        Case(([0.9, 0.4, 0.5], [1.0, 1.5, 2.0]), 1.02, STOPS),
    ]
    return check("expected_reward", lambda q, w: function(np.array(q), np.array(w)), cases)
