"""Fitting models of the examination chain: expectation-maximisation with exact posteriors.

Each step runs the chain of `examination_chain` backward over every slate: which slots below the last click
were examined, and where the user went on, given all clicks. The posteriors are summed into a few tables:

    examined (N,)              expected examinations of every item
    skips_on, skips (K,)       expected passages on after a skip, and skips, at each slot but the last item's
    clicks_on, clicks (N,)     the same after a click on each item, at each slot but the last
    rank_on, rank_clicks (K,)  the same by slot

from which a model takes its next parameters. Nothing is observed of the passage beyond the last item of a
slate, so slates end there; empty slots above it are passed over as items that cannot attract.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.user_models.clicks.click_fit import CONVERGED, MOST_STEPS, remaining_gain
from recsim_env.user_models.clicks.examination_chain import smooth_chain

if TYPE_CHECKING:
    from recsim_env.simulators.log import Log


class ChainStatistics(NamedTuple):
    """Sums over a log of what one expectation step finds; the names are explained above."""

    clicked: Floats  # (N,) clicks on each item
    examined: Floats  # (N,)
    skips_on: Floats  # (K,)
    skips: Floats  # (K,)
    clicks_on: Floats  # (N,)
    clicks: Floats  # (N,)
    rank_on: Floats  # (K,)
    rank_clicks: Floats  # (K,)


Tables = tuple[Floats, Floats]  # attraction (N,) and the passage after a click, (N, K)
Step = Callable[[Floats, ChainStatistics], tuple[Floats, Floats, Floats, float]]


def fit_chain(
    log: "Log",
    num_items: int,
    attraction: Floats,
    after_skip: Floats,
    after_click: Floats,
    step: Step,
    iterations: int | None,
) -> tuple[Floats, Floats, Floats, bool]:
    """Returns the attraction (N,), expected examinations (N,), learning curve (steps,), and if it converged.

    Args:
        log: slates, -1 in empty slots.
        num_items: N.
        attraction: (N,) to begin with.
        after_skip: (K,) probability to go on after a skip, to begin with.
        after_click: (N, K) the same after a click on each item, to begin with.
        step: (attraction, statistics) -> the next attraction, after_skip and after_click, and the prior of
            the parameters (`log_prior`).
        iterations: steps; None for as many as it takes, up to `MOST_STEPS`.
    """
    curve = np.empty(MOST_STEPS if iterations is None else iterations)
    slots, prior = max(int((log.slate >= 0).sum()), 1), -np.inf  # of what the fit begins with: not asked
    nats = np.empty(len(curve))
    for i in range(MOST_STEPS if iterations is None else iterations):
        statistics, log_likelihood = expect(
            log.slate, log.clicked, attraction, after_skip, np.ascontiguousarray(after_click)
        )
        curve[i], nats[i] = log_likelihood / slots, log_likelihood + prior
        attraction, after_skip, after_click, prior = step(attraction, statistics)
        converged = i > 2 and remaining_gain(nats[: i + 1]) < CONVERGED
        if converged and iterations is None:
            break
    shown = np.bincount(log.slate[log.slate >= 0], minlength=num_items)
    return np.where(shown > 0, attraction, np.nan), statistics.examined, curve[: i + 1], converged


@njit(cache=True, error_model="numpy")
def expect(
    slate: Ints, clicked: Bools, attraction: Floats, after_skip: Floats, after_click: Floats
) -> tuple[ChainStatistics, float]:
    """One expectation step over slates (R, K); returns the sums and the log-likelihood."""
    R, K = slate.shape
    N = len(attraction)
    s = ChainStatistics(
        np.zeros(N),
        np.zeros(N),
        np.zeros(K),
        np.zeros(K),
        np.zeros(N),
        np.zeros(N),
        np.zeros(K),
        np.zeros(K),
    )
    a, skip, click = np.empty(K), np.empty(K), np.empty(K)
    examined, went_on = np.empty(K), np.empty(K)
    log_likelihood = 0.0
    for r in range(R):
        end = K
        while end > 0 and slate[r, end - 1] < 0:
            end -= 1
        for k in range(end):
            item = slate[r, k]
            a[k] = attraction[item] if item >= 0 else 0.0
            click[k] = after_click[item, k] if item >= 0 else 0.0
            skip[k] = after_skip[k]
        log_likelihood += smooth_chain(a[:end], skip, click, clicked[r], examined, went_on)
        for k in range(end):
            item = slate[r, k]
            if item >= 0:
                s.examined[item] += examined[k]
                s.clicked[item] += clicked[r, k]
            if k == end - 1:
                break
            if clicked[r, k]:
                s.clicks_on[item] += went_on[k]
                s.clicks[item] += 1.0
                s.rank_on[k] += went_on[k]
                s.rank_clicks[k] += 1.0
            else:
                s.skips_on[k] += went_on[k]
                s.skips[k] += examined[k]
    return s, log_likelihood
