"""Do two collections order recommenders alike? A log and a simulator, or two halves of a log.

M recommenders are scored on both collections, by a metric per user. With s_ij = sign(m_i - m_j) for the means
m on one side, and t_ij on the other, over the pairs i < j,

    tau = sum s_ij t_ij / sqrt( sum |s_ij| sum |t_ij| )           (Kendall's tau-b; 1 = the same order)

and, for a family F of recommenders (those that think like the simulator), over pairs of i in F and j outside,

    favour(F) = mean of (t_ij - s_ij) / 2,

the share of pairs that the second side turns in favour of the family less the share it turns against it:
1 = all of them, 0 = it takes no side, -1 = all against.

An interval holds every order that the users leave open. Users are drawn with replacement; where the
interval of m_i - m_j over the resamples holds 0, s_ij may be either sign, else it is known; likewise t_ij.
The ends are the least and the largest tau, and favour, of such signs. Percentiles of tau itself will not
do: a resample shuffles what is close and never sorts it, so they lie too low. Of two samples of one law of
nine recommenders 1.4 standard errors apart, 14 in 100 such intervals held the true tau of 1; of these, all,
and 93 or more however close the recommenders are (`tests/test_agreement.py`).

The order of two halves of one log is the yardstick, a cautious one: a half has half the users.

Source: as the TREC Deep Learning Track 2023 compares systems by human and by synthetic queries, tau = .8487
there, and asks whether these favour systems of the model that wrote them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Array, Bools, Floats
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate
from recsim_env.evaluation.resampling import resampled_sums

TREC_2023 = 0.8487
"""Kendall's tau of systems by human and by synthetic queries, overview of the Deep Learning Track 2023."""


@dataclass(frozen=True)
class Agreement:
    """How alike two collections order M recommenders; standard errors are the spread over resamples."""

    tau: Estimate
    favour: dict[str, Estimate]  # by family


def agreement(
    first: Array,
    second: Array,
    *,
    families: Mapping[str, Array] | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Agreement:
    """Compare the orders of M recommenders on two collections.

    Args:
        first: (U, M) a metric of every recommender for every user of one collection, such as the log.
        second: (V, M) of the other, such as the simulator.
        families: by name, (M,) which recommenders belong to it: some, not all.
        resamples: of the bootstrap, 2 or more.
        confidence: with which the sign of a pair is taken as known.
        seed: of the resamples.

    Raises:
        InputError: fewer than two recommenders, different numbers of them, a value that is not finite
            (leave out users without a value), or a family that is empty or everybody.
    """
    sides = [_check(name, scores) for name, scores in (("first", first), ("second", second))]
    M = sides[0].shape[1]
    if M < 2 or sides[1].shape[1] != M:
        raise InputError(
            f"first and second must score the same two or more recommenders, got {M} and {sides[1].shape[1]}"
        )
    if not 0 < confidence < 1:
        raise InputError(f"confidence must be inside (0, 1), such as 0.95, got {confidence!r}")
    if isinstance(resamples, bool) or not isinstance(resamples, int) or resamples < 2:
        raise InputError(f"resamples must be an integer of 2 or more, got {resamples!r}")
    members = {name: _check_family(name, mask, M) for name, mask in (families or {}).items()}
    signs, drawn, open_signs = [], [], []
    for i, side in enumerate(sides):
        signs.append(_signs(side.mean(axis=0)[None]))
        # a stream of resamples for each: the users of the sides have nothing to do with each other
        means = resampled_sums(side, resamples, 2 * seed + i) / len(side)
        drawn.append(_signs(means))
        open_signs.append(_open_signs(means, confidence))

    def estimate(statistic: Callable[..., Floats], bounds: tuple[float, float], *extra: Bools) -> Estimate:
        value, resampled = (statistic(first, second, *extra) for first, second in (signs, drawn))
        return Estimate(float(value[0]), float(resampled.std(ddof=1)), bounds=bounds)

    return Agreement(
        estimate(_tau, _tau_bounds(open_signs[0], open_signs[1])),
        {
            name: estimate(_favour, _favour_bounds(open_signs[0], open_signs[1], mask), mask)
            for name, mask in members.items()
        },
    )


def _differences(means: Floats) -> Floats:
    """(P, M, M) m_i - m_j for P vectors of means."""
    return np.asarray(means[:, :, None] - means[:, None, :])


def _signs(means: Floats) -> Floats:
    return np.sign(_differences(means))


def _open_signs(means: Floats, confidence: float) -> Floats:
    """(2, M, M) the least and the largest sign of each difference; 0 where two are the same throughout."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(_differences(means), [tail, 1 - tail], axis=0)
    either = (low <= 0) & (high >= 0) & (low < high)
    return np.stack([np.where(either, -1, np.sign(low)), np.where(either, 1, np.sign(high))])


def _tau(first: Floats, second: Floats) -> Floats:
    """(P,) nan where a side ties all of them."""
    upper = np.triu_indices(first.shape[1], 1)
    s, t = first[:, *upper], second[:, *upper]
    scale = np.sqrt(np.abs(s).sum(axis=1) * np.abs(t).sum(axis=1))
    tau = np.full(len(s), np.nan)
    np.divide((s * t).sum(axis=1), scale, out=tau, where=scale > 0)
    return tau


def _tau_bounds(first: Floats, second: Floats) -> tuple[float, float]:
    """The least and largest tau of signs from first[0] to first[1] and from second[0] to second[1]."""
    upper = np.triu_indices(first.shape[1], 1)
    s, t = first[:, *upper], second[:, *upper]
    products = s[:, None] * t  # (2, 2, pairs)
    scale = np.sqrt(np.prod([np.count_nonzero(side.any(axis=0)) for side in (s, t)]))
    if scale == 0:
        return np.nan, np.nan
    return float(products.min(axis=(0, 1)).sum() / scale), float(products.max(axis=(0, 1)).sum() / scale)


def _favour(first: Floats, second: Floats, members: Bools) -> Floats:
    """(P,)."""
    pairs = np.ix_(np.arange(len(first)), np.flatnonzero(members), np.flatnonzero(~members))
    return np.asarray((second[pairs] - first[pairs]).mean(axis=(1, 2)) / 2)


def _favour_bounds(first: Floats, second: Floats, members: Bools) -> tuple[float, float]:
    low, high = _favour(first[::-1], second, members)
    return float(low), float(high)


def _check(name: str, scores: Array) -> Floats:
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or len(scores) == 0:
        raise InputError(f"{name} must have shape (users, M) with a user, got {scores.shape}")
    if not np.isfinite(scores).all():
        user, m = np.argwhere(~np.isfinite(scores))[0]
        raise InputError(
            f"{name}[{user}, {m}] = {scores[user, m]} is not finite: leave out users without a value"
        )
    return scores


def _check_family(name: str, mask: Array, size: int) -> Bools:
    mask = np.asarray(mask)
    if mask.shape != (size,) or mask.dtype != np.bool_ or mask.all() or not mask.any():
        raise InputError(
            f"families[{name!r}] must be a mask of shape ({size},) that holds some recommenders and not all"
        )
    return mask
