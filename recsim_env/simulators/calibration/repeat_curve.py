"""How often users come back to an item, by how long it has been: the curve of forgetting in a log.

At every basket of a user but the first, each item that the user consumed before is at risk once, with the gap
since they last did. Over the items at risk with a gap in the same bin,

    rate = consumed / at risk,     need odds = consumed / (at risk - consumed)

The need odds of memory fall with the gap as a power law: ln odds = b + slope ln gap. The bins are those of
the gap alone; frequent items have short gaps, so the slope is not the decay of memory: it is what a fitted
memory must give back.

Source: Anderson, Schooler, "Reflections of the environment in memory", Psychological Science 2, 1991, who
take the odds that an item is needed on a day by the days since it last was.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate
from recsim_env.simulators.calibration.histories import histories_of
from recsim_env.simulators.log import Log


@dataclass(frozen=True)
class RepeatCurve:
    """Counts by gap, in G bins."""

    edges: (
        Floats  # (G+1,) increasing, in the unit of the log's times; bin g holds edges[g] <= gap < edges[g+1]
    )
    at_risk: Ints  # (G,) an item that a user knew, at a later basket
    consumed: Ints  # (G,) that basket held it
    gap: Floats  # (G,) geometric mean of the gaps at risk; nan where there are none

    @property
    def rate(self) -> Floats:
        """(G,) consumed / at risk; nan where nothing is at risk."""
        with np.errstate(invalid="ignore"):
            return self.consumed / self.at_risk

    @property
    def odds(self) -> Floats:
        """(G,) consumed / (at risk - consumed); nan where nothing is at risk, inf where all is consumed."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.consumed / (self.at_risk - self.consumed)


def repeat_by_gap(log: Log, edges: Array) -> RepeatCurve:
    """Count what users consumed again, by the gap; the definition is at the top of this file.

    Args:
        log: interactions; what is clicked was consumed, all of one user and time is a basket.
        edges: (G+1,) of the bins, such as `np.geomspace(1.0, 365.0, 25)` days in the unit of the log's times.
            Gaps outside them are left out.

    Raises:
        InputError: edges that are not positive and increasing; nothing is clicked.
    """
    edges = np.asarray(edges, np.float64)
    if edges.ndim != 1 or len(edges) < 2 or not (edges[0] > 0.0 and (np.diff(edges) > 0.0).all()):
        raise InputError(f"edges must be two or more positive increasing gaps, got {edges.tolist()}")
    h = histories_of(log)
    G = len(edges) - 1
    at_risk, consumed, log_gaps = np.zeros(G, np.int64), np.zeros(G, np.int64), np.zeros(G)
    count_gaps(h.first_basket, h.time, h.first_event, h.item, edges, at_risk, consumed, log_gaps)
    gap = np.exp(np.where(at_risk > 0, log_gaps / np.maximum(at_risk, 1), np.nan))
    return RepeatCurve(edges, at_risk, consumed, gap)


def log_log_slope(curve: RepeatCurve) -> Estimate:
    """The slope of ln odds by ln gap: least squares, weighted by the inverse variance of each bin's log odds.

        var ln odds = 1 / consumed + 1 / (at risk - consumed)

    Bins where either is 0 have no log odds and are left out. The standard error is that of the weights,
    times the root of the mean weighted square deviation from the line where that is above 1: a curve that is
    not quite a line, or baskets that are not independent, are not hidden by large counts.

    Raises:
        InputError: fewer than three bins to lay a line through.
    """
    used = (curve.consumed > 0) & (curve.consumed < curve.at_risk)
    if used.sum() < 3:
        raise InputError(
            f"curve must have three bins with some consumed and some not, got {used.sum()} of {len(used)}: "
            "choose edges between the shortest and the longest gap of the log"
        )
    x, y = np.log(curve.gap[used]), np.log(curve.odds[used])
    weight = 1.0 / (1.0 / curve.consumed[used] + 1.0 / (curve.at_risk[used] - curve.consumed[used]))
    middle = np.average(x, weights=weight)
    spread = (weight * (x - middle) ** 2).sum()
    slope = (weight * (x - middle) * y).sum() / spread
    deviation = y - np.average(y, weights=weight) - slope * (x - middle)
    scatter = (weight * deviation**2).sum() / (len(x) - 2)
    return Estimate(float(slope), float(np.sqrt(max(scatter, 1.0) / spread)), len(x) - 1)


@njit(cache=True)
def count_gaps(
    first_basket: Ints,
    time: Floats,
    first_event: Ints,
    item: Ints,
    edges: Floats,
    at_risk: Ints,
    consumed: Ints,
    log_gaps: Floats,
) -> None:
    """Add to at_risk, consumed and the sum of ln gap (G,) of each bin."""
    G = len(edges) - 1
    for u in range(len(first_basket) - 1):
        begin, end = first_basket[u], first_basket[u + 1]
        events = first_event[end] - first_event[begin]
        last = np.empty(events, np.int64)  # basket that last held each item
        log_gap, bin_of = np.empty(end - begin), np.empty(end - begin, np.int64)  # of each earlier basket
        met = 0
        for v in range(begin, end):
            for p in range(begin, v):
                gap = time[v] - time[p]
                log_gap[p - begin] = np.log(gap)
                bin_of[p - begin] = np.searchsorted(edges, gap, side="right") - 1
            for i in range(met):
                g = bin_of[last[i] - begin]
                if 0 <= g < G:
                    at_risk[g] += 1
                    log_gaps[g] += log_gap[last[i] - begin]
            before = met
            for e in range(first_event[v], first_event[v + 1]):
                if item[e] < before:
                    g = bin_of[last[item[e]] - begin]
                    if 0 <= g < G:
                        consumed[g] += 1
                met = max(met, item[e] + 1)
                last[item[e]] = v
