"""Which of M learners is best? Pairwise tests of their means, and the ranks that they leave open.

Two learners that played the same replicates (the same users, the same luck) are compared by their
differences, replicate by replicate; two that did not, by Welch's test:

    paired   t = mean(d) / sqrt(s_d^2 / n),              n - 1 degrees of freedom
    Welch    t = (m_i - m_j) / sqrt(u + v),  u = s_i^2 / n_i,  v = s_j^2 / n_j,
             (u + v)^2 / (u^2 / (n_i - 1) + v^2 / (n_j - 1)) degrees of freedom

The M (M - 1) / 2 p-values are corrected together by Holm's method. The rank of a learner is then between
1 + the number of those surely better and M - the number of those surely worse. All M intervals hold their
true ranks at once with at least the confidence asked for, as far as the t-tests do, whatever the means are;
percentiles of ranks over resamples do not (see `agreement.py`).

Source: Mogstad, Romano, Shaikh, Wilhelm, "Inference for ranks with applications to mobility across
neighbourhoods and academic achievement across countries", Review of Economic Studies 91, 2024, for intervals
of ranks from simultaneous pairwise tests; Holm 1979.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.errors import InputError, as_numbers, refuse
from recsim_env.evaluation.paired import holm


@dataclass(frozen=True)
class Scores:
    """What one learner got in every replicate."""

    values: Floats  # (B,) such as final regret: less is better
    replicates: Ints  # (B,) distinct numbers; the same number in two learners is the same replicate


@dataclass(frozen=True)
class Ranking:
    """M learners, in the order in which they were given."""

    mean: Floats  # (M,)
    rank: Ints  # (M,) by the mean, 1 the least; of equal means the one given first is first
    rank_low: Ints  # (M,) and
    rank_high: Ints  # (M,) between which the rank is
    difference: Floats  # (M, M) mean of row - mean of column, over shared replicates where they are paired
    p: Floats  # (M, M) corrected by Holm; nan on the diagonal, and where there is one replicate
    paired: Bools  # (M, M) whether the two are compared on shared replicates


def rank_learners(scores: Mapping[str, Scores], confidence: float = 0.95) -> Ranking:
    """Compare every two learners, and say which ranks are open.

    Two are paired on the replicates they share, if these are half of the smaller number at least; else
    replicates that both have are left out, so that Welch's test may be used.

    Args:
        scores: by learner, M of 1 or more.
        confidence: that all M intervals of ranks hold at once.

    Raises:
        InputError: nobody to compare, values and replicates that do not fit each other, a value that is not
            finite, the same replicate twice.
    """
    if not scores:
        raise InputError("scores must hold a learner, got none")
    if not 0 < confidence < 1:
        raise InputError(f"confidence must be inside (0, 1), such as 0.95, got {confidence!r}")
    all_scores = [_check(name, one) for name, one in scores.items()]
    M = len(all_scores)
    mean = np.array([one.values.mean() for one in all_scores])
    difference, p = np.zeros((M, M)), np.full((M, M), np.nan)
    paired = np.eye(M, dtype=np.bool_)
    pairs = np.triu_indices(M, 1)
    for i, j in zip(*pairs, strict=True):
        difference[i, j], p[i, j], paired[i, j] = _test(all_scores[i], all_scores[j])
        difference[j, i], paired[j, i] = -difference[i, j], paired[i, j]
    p[pairs] = holm(p[pairs])
    p.T[pairs] = p[pairs]
    with np.errstate(invalid="ignore"):
        sure = p < 1 - confidence  # nan is not sure
    better = (sure & (difference > 0)).sum(axis=1)  # columns that are surely less than the row
    worse = (sure & (difference < 0)).sum(axis=1)
    rank = np.empty(M, np.int64)
    rank[np.argsort(mean, kind="stable")] = np.arange(1, M + 1)
    # the rank by the means lies in it: pairs over shared replicates may order two the other way round
    low, high = np.minimum(1 + better, rank), np.maximum(M - worse, rank)
    return Ranking(mean, rank, low, high, difference, p, paired)


def _test(a: Scores, b: Scores) -> tuple[float, float, bool]:
    """Difference of the means, p, and whether replicates are paired."""
    shared, in_a, in_b = np.intersect1d(a.replicates, b.replicates, return_indices=True)
    if 2 * len(shared) >= min(len(a.values), len(b.values)):
        d = a.values[in_a] - b.values[in_b]
        n = len(d)
        return float(d.mean()), _p(d.mean(), d.var(ddof=1) / n, n - 1) if n > 1 else np.nan, True
    x, y = np.delete(a.values, in_a), np.delete(b.values, in_b)
    difference = float(x.mean() - y.mean())
    if min(len(x), len(y)) < 2:
        return difference, np.nan, False
    u, v = x.var(ddof=1) / len(x), y.var(ddof=1) / len(y)
    spread = u**2 / (len(x) - 1) + v**2 / (len(y) - 1)
    return difference, _p(difference, u + v, (u + v) ** 2 / spread if spread > 0 else np.inf), False


def _p(difference: float, variance: float, freedom: float) -> float:
    """Two-sided p-value of Student's t."""
    if variance == 0:  # every replicate says the same
        return 1.0 if difference == 0 else 0.0
    return float(2 * stdtr(freedom, -abs(difference) / np.sqrt(variance)))


def _check(name: str, scores: Scores) -> Scores:
    values, replicates = as_numbers(name, scores.values), np.asarray(scores.replicates)
    if values.ndim != 1 or len(values) == 0 or replicates.shape != values.shape:
        raise InputError(
            f"{name} must have values (B,) and as many replicates, B of 1 or more, got {values.shape} and "
            f"{replicates.shape}"
        )
    refuse(name, ~np.isfinite(values), values, "it is not finite, so it has no rank")
    if len(np.unique(replicates)) != len(replicates):
        raise InputError(f"{name} names a replicate twice: give every replicate a number of its own")
    return Scores(values, replicates)


def as_text(p: float) -> str:
    """`.032`, `<.001`, or `-` where there is none."""
    if np.isnan(p):
        return "-"
    return "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")
