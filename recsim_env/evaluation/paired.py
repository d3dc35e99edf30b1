"""Is one recommender better than another? Differences on the same users, with an interval and two tests.

Both rank the same users, some of whom are easy for everybody; the difference d_u = a_u - b_u of one user
takes that out, and its standard error is usually a fraction of those of the two means. Users are
independent; the users stand for a population, and the trained models, the split and the data set are given:
another training seed may change more than the interval says.

- Paired t-test: t = mean(d) / (s / sqrt(U)), U - 1 degrees of freedom.
- Sign-flip test (Fisher's randomisation test): if the two were exchangeable, the sign of every d_u would be
  a coin. p is the share of sign assignments whose mean is at least as far from 0; all 2^m of them (m
  differences that are not 0) where there are no more than `resamples`, else (1 + hits) / (1 + resamples).
- Bootstrap: users are drawn with replacement, percentile interval of the mean difference.

Smucker, Allan and Carterette, "A comparison of statistical significance tests for information retrieval
evaluation", CIKM 2007, find t and randomisation in agreement and recommend them over sign and Wilcoxon tests.
Letters: U users, m, J comparisons.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Bootstrap

BLOCK_DRAWS = 2**20
"""Draws that are held at a time: about 16 MB."""


@dataclass(frozen=True)
class PairedComparison:
    """The mean difference over the users that have a value."""

    difference: float  # mean of a - b
    std_error: float  # s / sqrt(users); nan for one user
    interval: tuple[float, float]  # 95 %, percentile bootstrap over users
    p_t_test: float  # two-sided; nan for one user
    p_sign_flip: float  # two-sided
    users: int  # with a value
    without_value: int  # users left out, because both values are nan (no relevant items)


@dataclass(frozen=True)
class BaselineComparison:
    """Several recommenders against one; p-values by Holm's correction for all J of them."""

    comparisons: dict[str, PairedComparison]  # recommender - baseline, J; their p-values are not corrected
    holm_t_test: dict[str, float]
    holm_sign_flip: dict[str, float]


def paired_comparison(a: Array, b: Array, *, seed: int = 0, resamples: int = 10_000) -> PairedComparison:
    """Compare two recommenders user by user.

    Args:
        a: (U,) a metric of every user, such as `ndcg(...)`; nan = no value.
        b: (U,) the same metric of the same users under the other recommender.
        seed: of the bootstrap and of the sign flips.
        resamples: of each, 1 or more. The p-value is then no smaller than 1 / (resamples + 1).

    Raises:
        InputError: other shapes, an infinite value, a user with a value in one only (the metrics are then
            not of the same relevant items), or no user with a value.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise InputError(f"a and b must have one shape (U,), got {a.shape} and {b.shape}")
    if isinstance(resamples, bool) or not isinstance(resamples, int) or resamples < 1:
        raise InputError(f"resamples must be an integer of 1 or more, got {resamples!r}")
    for name, values in (("a", a), ("b", b)):
        if np.isinf(values).any():
            user = int(np.argmax(np.isinf(values)))
            raise InputError(f"{name}[{user}] must be finite, or nan where there is none, got {values[user]}")
    one_only = np.isnan(a) != np.isnan(b)
    if one_only.any():
        user = int(np.argmax(one_only))
        raise InputError(
            f"a[{user}] = {a[user]} but b[{user}] = {b[user]}: a user has a value in both or in none"
        )
    d = (a - b)[~np.isnan(a)]
    if len(d) == 0:
        raise InputError("a and b must have a user with a value, got none")
    mean, error = float(d.mean()), float("nan")
    if len(d) > 1:
        error = float(d.std(ddof=1) / np.sqrt(len(d)))
    return PairedComparison(
        difference=mean,
        std_error=error,
        interval=Bootstrap(resamples=resamples, seed=seed).of_ratio(d, None),
        p_t_test=_t_test(mean, error, len(d)),
        p_sign_flip=_sign_flip_test(d, np.random.default_rng(seed), resamples),
        users=len(d),
        without_value=len(a) - len(d),
    )


def against_baseline(
    values: Mapping[str, Array], baseline: str, *, seed: int = 0, resamples: int = 10_000
) -> BaselineComparison:
    """Compare every recommender with one of them.

    Args:
        values: (U,) a metric of every user, by recommender, J + 1 of them.
        baseline: the one that the others are compared with; chosen beforehand, not by its result here.
        seed: as in `paired_comparison`.
        resamples: as in `paired_comparison`.

    Raises:
        InputError: as `paired_comparison`, naming the recommender; no such baseline, or nothing beside it.
    """
    others = [name for name in values if name != baseline]
    if baseline not in values or not others:
        raise InputError(
            f"values must hold the baseline {baseline!r} and one more, got {', '.join(values) or 'none'}"
        )
    comparisons = {}
    for name in others:
        try:
            comparisons[name] = paired_comparison(
                values[name], values[baseline], seed=seed, resamples=resamples
            )
        except InputError as error:
            raise InputError(f"{name} (a) against {baseline} (b): {error}") from None
    t, flip = (
        holm(np.array([getattr(one, p) for one in comparisons.values()])) for p in ("p_t_test", "p_sign_flip")
    )
    return BaselineComparison(
        comparisons,
        dict(zip(others, map(float, t), strict=True)),
        dict(zip(others, map(float, flip), strict=True)),
    )


def holm(p: Array) -> Floats:
    """(J,) Holm's corrected p-values: those below alpha are false with a chance of at most alpha in all.

    The i-th smallest of J becomes the largest of (J - j + 1) p_(j) for j <= i, at most 1 (Holm 1979).

    Args:
        p: (J,) in [0, 1], or nan, which stays nan and counts among the J.

    Raises:
        InputError: a value outside [0, 1].
    """
    p = np.asarray(p, np.float64)
    if p.ndim != 1 or ((p < 0) | (p > 1)).any():
        raise InputError(f"p must hold numbers in [0, 1], shape (J,), got {p}")
    order = np.argsort(p)  # nan last
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order]), 1)
    return corrected


def _t_test(mean: float, error: float, users: int) -> float:
    if users == 1:
        return float("nan")
    if error == 0:  # all differences are equal
        return 1.0 if mean == 0 else 0.0
    return float(2 * stdtr(users - 1, -abs(mean / error)))


def _sign_flip_test(d: Floats, rng: np.random.Generator, resamples: int) -> float:
    size = np.abs(d[d != 0])  # a sign changes nothing about 0
    total, m = size.sum(), len(size)
    # sums that are equal but for rounding are equal: metrics take few values, so there are many of these
    least = abs(d.sum()) - 1e-12 * total
    if m < 63 and 2**m <= resamples:
        signs = (np.arange(2**m)[:, None] >> np.arange(m)) & 1
        return float(np.mean(np.abs(2 * (signs @ size) - total) >= least))
    hits, step = 0, max(1, BLOCK_DRAWS // m)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        coins = np.frombuffer(rng.bytes(rows * ((m + 7) // 8)), np.uint8).reshape(rows, -1)
        flipped = np.unpackbits(coins, axis=1, count=m).astype(np.float64)
        hits += int(np.count_nonzero(np.abs(2 * (flipped @ size) - total) >= least))
    return (1 + hits) / (1 + resamples)
