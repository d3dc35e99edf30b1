"""Fitting models in which P(click) = examination of the slot's context x attraction of its item.

Expectation-maximisation over sufficient statistics: the slots of the log fall into cells of equal item i and
context c (a rank; a rank and the last click above), with n_ic slots, of which m_ic are clicked. From
a_i = theta_c = 1/2, repeat

    E:  of a slot without a click,   P(attracted) = a (1 - theta) / (1 - a theta),
                                     P(examined) = theta (1 - a) / (1 - a theta);       both 1 with a click
    M:  a_i = (p + sum_c m + (n - m) P(attracted)) / (p + q + sum_c n),       theta_c likewise over items

with the pseudo counts p of successes and q of failures: the mode under Beta(1 + p, 1 + q) priors.

Source: Chuklin, Markov, de Rijke, "Click Models for Web Search", 2015, section 4.2.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.arrays import Floats, Ints
from recsim_env.user_models.clicks.click_fit import CONVERGED, MOST_STEPS, log_prior, remaining_gain

if TYPE_CHECKING:
    from recsim_env.simulators.log import Log


def fit_product(
    log: "Log",
    num_items: int,
    context: Ints,
    num_contexts: int,
    iterations: int | None,
    prior: tuple[float, float],
) -> tuple[Floats, tuple[Floats, Floats, Floats, bool, float]]:
    """The examination of every context, and the fields of a `ClickFit` after the model.

    Args:
        log: slates, -1 in empty slots, which are left out.
        num_items: N.
        context: (R, K), 0 to num_contexts - 1.
        num_contexts: how many there can be; one that never occurs keeps the mean of its prior,
            1/2 if it has none.
        iterations: steps; None for as many as it takes, up to `MOST_STEPS`.
        prior: pseudo successes and failures of every attraction and examination.
    """
    listed = log.slate >= 0
    key = log.slate[listed] * num_contexts + context[listed]
    clicks = log.clicked[listed]
    if num_items * num_contexts <= 8 * len(key) + 1_000_000:  # a table of all cells is faster than sorting
        counts = np.bincount(key, minlength=num_items * num_contexts)
        cells = np.flatnonzero(counts)
        counts = counts[cells]
        clicked = np.bincount(key[clicks], minlength=num_items * num_contexts)[cells]
    else:
        cells, place, counts = np.unique(key, return_inverse=True, return_counts=True)
        clicked = np.bincount(place[clicks], minlength=len(cells))
    shown, clicks_in = counts.astype(np.float64), clicked.astype(np.float64)
    item, where = np.divmod(cells, num_contexts)
    attraction, examination = np.full(num_items, 0.5), np.full(num_contexts, 0.5)
    curve = np.empty(MOST_STEPS if iterations is None else iterations)
    slots, nats = max(len(key), 1), np.empty(len(curve))
    for step in range(MOST_STEPS if iterations is None else iterations):
        nats[step] = log_prior(prior, attraction, examination)
        likelihood = one_step(item, where, shown, clicks_in, *prior, attraction, examination)
        curve[step], nats[step] = likelihood / slots, nats[step] + likelihood
        converged = remaining_gain(nats[: step + 1]) < CONVERGED
        if converged and iterations is None:
            break
    attraction[np.bincount(item, minlength=num_items) == 0] = np.nan
    examinations = np.bincount(item, shown * examination[where], num_items).astype(np.float64)
    return examination, (attraction, examinations, curve[: step + 1], converged, 1.0)


@njit(cache=True, error_model="numpy")
def one_step(
    item: Ints,
    context: Ints,
    shown: Floats,
    clicked: Floats,
    successes: float,
    failures: float,
    attraction: Floats,
    examination: Floats,
) -> float:
    """One step of both, in place, over cells (M,); returns the log-likelihood before it."""
    attracted, seen = np.full(len(attraction), successes), np.full(len(examination), successes)
    tried, met = (
        np.full(len(attraction), successes + failures),
        np.full(len(examination), successes + failures),
    )
    log_likelihood = 0.0
    for cell in range(len(item)):
        i, c = item[cell], context[cell]
        a, theta = attraction[i], examination[c]
        p = a * theta
        n, m = shown[cell], clicked[cell]
        if m > 0.0:
            log_likelihood += m * np.log(p)
        if n > m:
            log_likelihood += (n - m) * np.log1p(-p)
        missed = (n - m) / (1.0 - p) if n > m else 0.0
        attracted[i] += m + missed * (a - p)
        seen[c] += m + missed * (theta - p)
        tried[i] += n
        met[c] += n
    for i in range(len(attraction)):
        if tried[i] > 0.0:
            attraction[i] = attracted[i] / tried[i]
    for c in range(len(examination)):
        if met[c] > 0.0:
            examination[c] = seen[c] / met[c]
    return log_likelihood
