"""Checks of notebook 4: the posterior of a click rate, and the choice of Thompson sampling."""

from collections.abc import Callable
from typing import Any

import numpy as np

from recsim_env.experiments.lessons.checks import Case, Stopped, attempt, check, say

PRIOR = "Start from the prior, (1, 1) or what is given, and not from (0, 0)."
LOSSES = "Beta counts those who did not click, and not all visitors."
TOGETHER = "What is learned adds up: begin with the alpha and beta that are given."

DRAWS = 3000
SPREAD = 0.04  # more than four standard errors of a share of 3,000


def check_posterior(function: Callable[..., Any]) -> bool:
    """(alpha + clicks, beta + visitors - clicks)."""
    cases = [
        Case((1.0, 1.0, np.array([0])), [1.0, 2.0], PRIOR),
        Case((1.0, 1.0, np.array([1, 0, 0, 1, 0])), [3.0, 4.0], LOSSES),
        Case((3.0, 7.0, np.array([0, 1])), [4.0, 8.0], TOGETHER),
        Case((2.0, 2.0, np.array([], dtype=int)), [2.0, 2.0], "Without visitors nothing is learned."),
    ]
    return check("posterior", function, cases)


def check_choose(function: Callable[..., Any]) -> bool:
    """Item a is chosen with the probability that it is the best one."""
    cases = [  # alpha, beta, the probability that item 1 is best, and what is wrong if it is not
        (
            [90.0, 10.0],
            [10.0, 90.0],
            0.0,
            "the item that is surely better must be chosen: item 0",
        ),
        ([1.0, 1.0], [1.0, 1.0], 0.5, "nothing is known, so each item should be chosen half of the time"),
        (
            [2.0, 1.0],
            [1.0, 1.0],
            1 / 3,
            "draw one click rate for every item, and choose the largest draw, and not the largest mean",
        ),
        (
            [50.0, 2.0],
            [50.0, 3.0],
            0.3162,
            "an item of which little is known is drawn far from its mean: draw from Beta(alpha, beta)",
        ),
    ]
    for alpha, beta, wanted, words in cases:
        rng = np.random.default_rng(4)
        found = [attempt(function, (np.array(alpha), np.array(beta), rng)) for _ in range(DRAWS)]
        stopped = next((f for f in found if isinstance(f, Stopped)), None)
        if stopped is not None:
            return say("choose", stopped.words)
        if not all(np.ndim(f) == 0 and f in (0, 1) for f in found):
            return say("choose", "it must return the number of one item, 0 or 1 for two items")
        share = float(np.mean(found))
        if abs(share - wanted) > SPREAD:
            shown = f"alpha = {alpha}, beta = {beta}"
            return say("choose", f"for {shown} item 1 is chosen in {share:.0%}, not {wanted:.0%}: {words}")
    return say("choose", None)
