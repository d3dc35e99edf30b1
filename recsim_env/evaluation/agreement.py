"""Do two collections order recommenders alike? A log and a simulator, or two halves of a log.

M recommenders are scored on both collections, by a metric per user. With s_ij = sign(m_i - m_j) for the means
m on one side, and t_ij on the other, over the pairs i < j,

    tau = sum s_ij t_ij / sqrt( sum |s_ij| sum |t_ij| )           (Kendall's tau-b; 1 = the same order)

and, for a family F of recommenders (those that think like the simulator), over pairs of i in F and j outside,

    favour(F) = mean of (t_ij - s_ij) / 2,

the share of pairs that the second side turns in favour of the family less the share it turns against it:
1 = all of them, 0 = it takes no side, -1 = all against.

Intervals are percentiles over resamples of the users of both sides. Resampling adds noise to orders that are
close, so an interval of tau lies rather low: it may end below 1 for two collections of one law. The order of
two halves of one log is the yardstick.

Source: as the TREC Deep Learning Track 2023 compares systems by human and by synthetic queries, tau = .8487
there, and asks whether these favour systems of the model that wrote them.
"""

from collections.abc import Mapping
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
    """How alike two collections order M recommenders; intervals by the bootstrap over users."""

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
        resamples: of the bootstrap.
        confidence: of the intervals.
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
    members = {name: _check_family(name, mask, M) for name, mask in (families or {}).items()}
    signs = [_signs(side.mean(axis=0)[None]) for side in sides]
    # two different streams of resamples: the users of the sides have nothing to do with each other
    drawn = [_signs(resampled_sums(side, resamples, 2 * seed + i)) for i, side in enumerate(sides)]

    def estimate(values: Floats, resampled: Floats) -> Estimate:
        tail = (1 - confidence) / 2
        low, high = (float(end) for end in np.quantile(resampled, [tail, 1 - tail]))
        return Estimate(float(values[0]), float(resampled.std(ddof=1)), bounds=(low, high))

    return Agreement(
        estimate(_tau(signs[0], signs[1]), _tau(drawn[0], drawn[1])),
        {
            name: estimate(_favour(signs[0], signs[1], mask), _favour(drawn[0], drawn[1], mask))
            for name, mask in members.items()
        },
    )


def _signs(means: Floats) -> Floats:
    """(P, M, M) sign of m_i - m_j for P vectors of means."""
    return np.sign(means[:, :, None] - means[:, None, :])


def _tau(first: Floats, second: Floats) -> Floats:
    """(P,) nan where a side ties all of them."""
    upper = np.triu_indices(first.shape[1], 1)
    s, t = first[:, *upper], second[:, *upper]
    scale = np.sqrt(np.abs(s).sum(axis=1) * np.abs(t).sum(axis=1))
    tau = np.full(len(s), np.nan)
    np.divide((s * t).sum(axis=1), scale, out=tau, where=scale > 0)
    return tau


def _favour(first: Floats, second: Floats, members: Bools) -> Floats:
    """(P,)."""
    pairs = np.ix_(np.arange(len(first)), np.flatnonzero(members), np.flatnonzero(~members))
    return np.asarray((second[pairs] - first[pairs]).mean(axis=(1, 2)) / 2)


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
