"""When users come, out of a log: gaps between visits, and the times after which a need comes back.

Gaps are a Gamma renewal process (`GammaGaps`), return times log-normal for each category
(`LogNormalReturns`), both by maximum likelihood with right censoring: a gap that the end of the log cut
after c units of time is known to be longer, and counts

    log L(theta) = sum over gaps seen log f(gap; theta) + sum over gaps cut log S(c; theta)

Standard errors are from the observed information, the second derivatives of -log L at the maximum, in the
logarithms of the parameters, se(theta) = theta se(log theta). They hold gaps for independent and all users
for alike; where users differ, the errors are too small, and the shape of gaps is that of the mixture,
burstier than the users are (`user_gaps.fit_user_gaps` gives each their own).

Source: Cox, Oakes, "Analysis of Survival Data", 1984, chapter 3.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.calibration.user_gaps import visit_starts
from recsim_env.simulators.log import Log
from recsim_env.user_models.sessions import GammaGaps, LogNormalReturns

SHAPES = (1e-3, 1e4)  # of gaps: beyond, a law of bursts or a clock
DEVIATIONS = (1e-3, 1e2)  # of the logarithm of return times
FEWEST_RETURNS = 20  # a category with fewer gets the fit of all categories together


@dataclass(frozen=True)
class GapFit:
    """The law of gaps between visits."""

    gaps: GammaGaps  # in the unit of the log's times
    std_errors: Floats  # (2,) of the mean and the shape; nan for a shape on its bound
    converged: bool
    on_bound: bool  # the likelihood rises up to the bound of the shape (0.001 or 10,000)
    num_gaps: int  # seen whole
    num_cut: int  # by the end


@dataclass(frozen=True)
class ReturnFit:
    """The laws of return times of C categories."""

    returns: LogNormalReturns  # in the unit of the log's times
    std_errors: Floats  # (C, 2) of median and deviation; nan for a deviation on its bound
    observed: Ints  # (C,) returns seen
    censored: Ints  # (C,) returns that the end of the log cut
    pooled: Bools  # (C,) fewer than 20 returns seen: it has the fit of all categories together
    converged: Bools  # (C,)
    on_bound: Bools  # (C,) the likelihood rises up to the bound of the deviation (0.001 or 100)


def fit_gaps(log: Log, visit_gap: float = 0.0, *, end: float | None = None) -> GapFit:
    """Gamma gaps between the visits of a log.

    A row no later than `visit_gap` after the one before it belongs to the same visit, as do, by default,
    rows of the same time: gaps of 0 are no gaps. Gaps are from the beginning of a visit to that of the next.
    With a `visit_gap` above 0 there are none below it, which the Gamma law does not know of: let it be small
    beside the mean.

    Args:
        log: rows of any number of users; clicks do not matter. Episodes, where the log has them, are separate
            lives: no gap reaches from one into the next.
        visit_gap: 0 or more, in the unit of the log's times.
        end: when the watching ended, for all users; the last gap of each is cut there, and without this the
            gaps that are seen are too short on average. None where users were watched for a number of visits,
            as in generated logs: then the last visit begins no gap.

    Raises:
        InputError: a visit_gap below 0, an end before a row, fewer than two gaps.
    """
    if not 0.0 <= visit_gap < np.inf:
        raise InputError(f"visit_gap must be 0 or more and finite, got {visit_gap}")
    if end is not None:
        log.check_not_after(end)
    start, follows = visit_starts(log, visit_gap)
    time, again = log.time[start], follows[1:]
    gap = np.diff(time)[again]
    if len(gap) < 2:
        raise InputError(
            f"a law of gaps needs at least two gaps between visits, but the log ({len(log)} rows, "
            f"{len(np.unique(log.user))} users, {len(time)} visits) has {len(gap)}: give a longer log"
            + (" or a smaller visit_gap" if visit_gap > 0.0 else "")
        )
    cut = np.zeros(0)
    if end is not None:
        cut = end - time[np.append(~again, True)]
        cut = cut[cut > 0.0]
    n, mean, mean_log = len(gap), gap.mean(), np.log(gap).mean()

    def log_likelihood(theta: Floats) -> float:
        law = GammaGaps(float(np.exp(theta[0])), float(np.exp(theta[1])))
        # the log-density is linear in the gap and its logarithm
        middle = float(law.log_density(np.exp(mean_log)))
        whole = n * (middle - law.shape / law.mean * (mean - np.exp(mean_log)))
        with np.errstate(divide="ignore"):  # a survival that underflows is minus infinity: not the maximum
            return whole + float(np.log(law.survival(cut)).sum()) if len(cut) else whole

    spread = max(np.log(mean) - mean_log, 1e-6)  # 1 / (2 shape), nearly
    first = np.array([np.log(mean + cut.sum() / n), np.log(np.clip(0.5 / spread, *SHAPES))])
    theta, error, converged, on_bound = _maximise(log_likelihood, first, SHAPES, n + len(cut))
    law = GammaGaps(float(np.exp(theta[0])), float(np.exp(theta[1])))
    return GapFit(law, np.exp(theta) * error, converged, on_bound, n, len(cut))


def fit_return_times(log: Log, category_of_item: Ints) -> ReturnFit:
    """Log-normal return times for each category, from the clicks of a log.

    A user's clicks on a category at different times are its needs; from the last of them to the end of the
    log, its latest time, nothing came back, which is a return cut there. Categories with fewer than 20
    returns seen get the fit of all categories together and are marked in `pooled`.

    Args:
        log: several visits of several users.
        category_of_item: (N,) categories, 0 to C - 1, of the items of the log.

    Raises:
        InputError: a category below 0, an item outside the catalogue, fewer than two returns in the log.
    """
    if len(category_of_item) == 0 or category_of_item.min() < 0:
        raise InputError("category_of_item must hold a category of 0 or more for each item")
    log.check_items(len(category_of_item))
    C = int(category_of_item.max()) + 1
    time, cut, of_time, of_cut = _returns(log, category_of_item)
    if len(time) < 2:
        raise InputError(
            f"a law of return times needs at least two returns of a user to a category, but the log "
            f"({len(log)} rows, {len(np.unique(log.user))} users) has {len(time)}: give a longer log or "
            f"coarser categories"
        )
    observed, censored = np.bincount(of_time, minlength=C), np.bincount(of_cut, minlength=C)
    pooled = observed < FEWEST_RETURNS
    of_all = _fit_log_normal(time, cut) if pooled.any() else None
    theta, error = np.empty((C, 2)), np.empty((C, 2))
    converged, on_bound = np.empty(C, np.bool_), np.empty(C, np.bool_)
    for c in range(C):
        found = of_all if pooled[c] else None
        found = found or _fit_log_normal(time[of_time == c], cut[of_cut == c])
        theta[c], error[c], converged[c], on_bound[c] = found
    returns = LogNormalReturns(np.exp(theta[:, 0]), np.exp(theta[:, 1]))
    return ReturnFit(returns, np.exp(theta) * error, observed, censored, pooled, converged, on_bound)


def _returns(log: Log, category_of_item: Ints) -> tuple[Floats, Floats, Ints, Ints]:
    """Times of returns seen and of returns cut, and the categories of both."""
    rows, slots = np.nonzero(log.clicked)
    needs = np.stack([log.user[rows], category_of_item[log.slate[rows, slots]]])  # (2, clicks)
    at = log.time[rows].astype(np.float64)
    order = np.lexsort((at, needs[1], needs[0]))
    needs, at = needs[:, order], at[order]
    same = (np.diff(needs, axis=1) == 0).all(axis=0)
    later = np.diff(at) > 0.0  # clicks of one time are one need
    last = np.append(~same, True)[: len(at)]
    cut = float(log.time.max()) - at[last] if len(log) else np.zeros(0)
    seen = same & later
    return np.diff(at)[seen], cut[cut > 0.0], needs[1, 1:][seen], needs[1, last][cut > 0.0]


_Fit = tuple[Floats, Floats, bool, bool]


def _fit_log_normal(time: Floats, cut: Floats) -> _Fit:
    """See `_maximise`; theta is (mu, log sigma), and mu is the logarithm of the median."""

    def log_likelihood(theta: Floats) -> float:
        law = LogNormalReturns(np.exp(theta[:1]), np.exp(theta[1:]))
        whole = law.log_density(np.zeros(len(time), np.int64), time).sum()
        return float(whole + law.log_survival(np.zeros(len(cut), np.int64), cut).sum())

    logs = np.log(time)
    start = np.array([logs.mean(), np.log(np.clip(logs.std(), *DEVIATIONS))])
    return _maximise(log_likelihood, start, DEVIATIONS, len(time) + len(cut))


def _maximise(
    log_likelihood: Callable[[Floats], float], start: Floats, bounds: tuple[float, float], n: int
) -> _Fit:
    """The maximum in two logarithms, of which the second has bounds.

    Returns:
        theta (2,), its standard errors (2,), whether the search converged, whether the bound is reached.
    """
    low, high = np.log(bounds)
    best = minimize(
        lambda theta: -log_likelihood(theta) / n,
        start,
        method="Nelder-Mead",
        bounds=[(start[0] - 20.0, start[0] + 20.0), (low, high)],
        options={"xatol": 1e-8, "fatol": 1e-13, "maxiter": 2000},
    )
    theta = np.asarray(best.x)
    on_bound = bool(theta[1] < low + 1e-6 or theta[1] > high - 1e-6)
    h, step = 1e-3, np.eye(2) * 1e-3
    information = np.empty((2, 2))  # by central differences
    for i in range(2):
        for j in range(2):
            corners = [
                a * b * log_likelihood(theta + a * step[i] + b * step[j]) for a in (1, -1) for b in (1, -1)
            ]
            information[i, j] = -sum(corners) / (4.0 * h * h)
    error = np.full(2, np.nan)
    free = 1 if on_bound else 2
    error[:free] = np.sqrt(np.diag(np.linalg.inv(information[:free, :free])))
    return theta, error, bool(best.success), on_bound
