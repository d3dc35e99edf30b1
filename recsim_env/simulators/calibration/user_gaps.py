"""Who comes in bursts and who regularly: Gamma gaps of each user, out of a log.

`fit_gaps` fits one law to all gaps of a log. Where users come at different paces, that is the law of a
mixture, and its shape is below everybody's: users who are all Poisson (shape 1), with means that differ by a
factor of e (one standard deviation of the logarithm), look like one of shape 0.58. Here each has their own.

A visit is all rows of a user within `visit_gap` of the row before (ties in time, by default), at the time
of its first row; a gap is the time between two visits in a row. User u with n_u gaps x_ui, sum X_u, has a
mean m_u and, first, their own shape. Given X_u the gaps do not depend on m_u, so the shape k is fitted by
the conditional likelihood (the plain one with a mean per user is biased upwards, the more the fewer gaps):

    mean           m_u = X_u / n_u,                    std_error = m_u / sqrt(n_u k)
    score          n psi(n k) - n psi(k) + sum_i log x_i - n log X = 0,     of one user, or summed over all
    std_error      [ n psi'(k) - n^2 psi'(n k) ]^(-1/2),                    likewise

Whether a user's visits come in bursts or regularly is told by Moran's test of the Poisson process,

    M = 2 n (log m - mean log x) / (1 + (n + 1) / (6 n))  ~  chi^2 with n - 1 degrees of freedom if k = 1.

The open gap after a user's last visit is left out. In a log that is short against the mean gap, long gaps
are therefore missing: the mean over Poisson users comes out too small by one part in the number of mean gaps
that the log is long (a log of 8 mean gaps: by an eighth).

On the shipped log of purchases, complete-journey, with receipts within half an hour as one visit, `fit_gaps`
finds bursts, shape 0.705 +- 0.002, where the users are a little more regular than chance, 1.122 +- 0.004;
with every receipt a visit they come in bursts themselves, 0.622 +- 0.002. The command:

    from recsim_env.simulators.calibration import fit_user_gaps
    from recsim_env.simulators.datasets import read_interactions
    print(fit_user_gaps(read_interactions("complete-journey").log, visit_gap=1800.0))

Source: Moran, "The random division of an interval, part II", JRSS B 13, 1951; Cox and Lewis, "The statistical
analysis of series of events", 1966.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtr, digamma, polygamma

from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log

LARGEST_SHAPE = 1e9
"""A fitted shape above this is infinite: the gaps are equal to rounding."""


@dataclass(frozen=True)
class UserGapFit:
    """Gamma gaps fitted to a log, user by user and with one shape for all."""

    user: Ints  # (U,) id in the log, increasing; users with one visit have no gap and are left out
    num_gaps: Ints  # (U,)
    mean: Floats  # (U,) in the log's unit of time
    mean_std_error: Floats  # (U,) with the common shape
    shape: Floats  # (U,) kappa of each user; nan with one gap, inf if all gaps are equal
    shape_std_error: Floats  # (U,) nan where the shape is nan or inf
    common_shape: float  # kappa if all users share one
    common_shape_std_error: float
    bursty: Bools  # (U,) visits in bursts, beyond chance (5 % of Poisson users are bursty or regular)
    regular: Bools  # (U,) visits more even than chance

    def __str__(self) -> str:
        return (
            f"{len(self.user)} users, {self.num_gaps.sum()} gaps: median user's mean "
            f"{np.median(self.mean):.4g}, shape {self.common_shape:.3f} "
            f"+- {self.common_shape_std_error:.3f}; "
            f"{self.bursty.mean():.0%} of users come in bursts, {self.regular.mean():.0%} regularly"
        )


def fit_user_gaps(log: Log, *, visit_gap: float = 0.0) -> UserGapFit:
    """Fit Gamma gaps user by user; the formulas are at the top of this file.

    Args:
        log: every row is seen as activity of the user, clicked or not. Episodes, where the log has them, are
            separate: no gap reaches from one into the next.
        visit_gap: rows at most this long after the row before, 0 or more, belong to its visit. With 0 only
            ties do; a log of single events within visits needs more, such as 30 minutes.

    Raises:
        InputError: `visit_gap` is negative, or no user has two gaps.
    """
    if not visit_gap >= 0.0:
        raise InputError(f"visit_gap must be 0 or more, got {visit_gap}")
    start, follows = visit_starts(log, visit_gap)
    gap = np.diff(log.time[start])[follows[1:]]
    user, place, num_gaps = np.unique(log.user[start][follows], return_inverse=True, return_counts=True)
    if len(user) == 0 or num_gaps.max() < 2:
        most = "one" if len(user) == 0 else "two"
        smaller = ", or a smaller visit_gap" if visit_gap > 0.0 else ""
        raise InputError(
            f"a fit needs a user with three visits or more, but the user of row 0 and all others have {most} "
            f"at most: give a longer log{smaller}"
        )
    n = num_gaps.astype(np.float64)
    mean = np.bincount(place, gap) / n
    spread = np.maximum(-np.bincount(place, np.log(gap / mean[place])) / n, 0.0)  # (U,) log m - mean log x
    shape = _shapes(n, spread, np.arange(len(n)))
    common = _shapes(n, spread, np.zeros(len(n), np.int64))
    moran = 2.0 * n * spread / (1.0 + (n + 1.0) / (6.0 * n))
    below = chdtr(np.maximum(n - 1.0, 1.0), moran)
    return UserGapFit(
        user=user,
        num_gaps=num_gaps,
        mean=mean,
        mean_std_error=mean / np.sqrt(n * common[0]),
        shape=shape,
        shape_std_error=_shape_errors(n, shape, np.arange(len(n))),
        common_shape=float(common[0]),
        common_shape_std_error=float(_shape_errors(n, common, np.zeros(len(n), np.int64))[0]),
        bursty=(below > 0.975) & (num_gaps > 1),
        regular=(below < 0.025) & (num_gaps > 1),
    )


def same_life(log: Log) -> Bools:
    """(R,) whether the row before is of the same user, and episode where there are any."""
    same = np.append(False, log.user[1:] == log.user[:-1])[: len(log)]
    if log.episode is not None:
        same[1:] &= log.episode[1:] == log.episode[:-1]
    return same


def visit_starts(log: Log, visit_gap: float) -> tuple[Ints, Bools]:
    """(V,) first row of each visit, and (V,) whether the same life has a visit before it."""
    same = same_life(log)
    starts = ~same
    starts[1:] |= np.diff(log.time) > visit_gap
    start = np.flatnonzero(starts)
    return start, same[start]


def _shapes(n: Floats, spread: Floats, group: Ints) -> Floats:
    """(G,) the root k of the conditional score of each group of users, by halving intervals of log k."""
    many = n > 1
    low = np.full(group.max() + 1, np.log(1.0 / LARGEST_SHAPE))
    high = -low
    for _ in range(64):
        middle = 0.5 * (low + high)
        k = np.exp(middle)[group]
        above = np.bincount(group, n * (digamma(n * k) - digamma(k) - np.log(n) - spread)) > 0.0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    k = np.exp(0.5 * (low + high))
    k[k > 0.999 * LARGEST_SHAPE] = np.inf
    k[np.bincount(group, many) == 0] = np.nan
    return np.asarray(k)


def _shape_errors(n: Floats, shape: Floats, group: Ints) -> Floats:
    """(G,) standard errors of shapes (G,), nan where these are not finite."""
    finite = np.isfinite(shape)
    k = np.where(finite, shape, 1.0)[group]
    information = np.bincount(group, n * polygamma(1, k) - n**2 * polygamma(1, n * k))
    return np.where(finite, 1.0 / np.sqrt(np.where(finite, information, 1.0)), np.nan)
