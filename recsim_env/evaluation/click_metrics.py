"""How well a click model predicts clicks: log-likelihood and perplexities.

Each function says what it averages over, because papers differ. A model that gives probability 0 to what
happened (the cascade, to a second click) would make all of them infinite: probabilities are clipped to
[clip, 1 - clip], and `coverage` says how much of the log needed no clip. Never report the one without the
other. All raise an InputError for arrays of different shapes, with nothing listed, for numbers that are no
probabilities, and for a clip outside (0, 1/2).
"""

from typing import NamedTuple

import numpy as np

from recsim_env.arrays import Bools, Floats
from recsim_env.errors import InputError

CLIP = 1e-6
ROUNDING = 1e-9  # how far outside [0, 1] a probability may come out of a computation


class ClickScore(NamedTuple):
    """A score, and how much of the log the model can make."""

    value: float
    coverage: float  # share of the slates none of whose clicks has probability 0 (of skips: 1)


def log_likelihood(
    clicked: Bools, conditional_prob: Floats, *, listed: Bools | None = None, clip: float = CLIP
) -> ClickScore:
    """Mean over all slots of all slates of ln P(C_k | C_1 .. C_{k-1}), in nats; 0 is perfect.

    Args:
        clicked: (R, K) what happened.
        conditional_prob: (R, K) P(C_k = 1 | the clicks above), from `conditional_click_prob`.
        listed: (R, K) slots that hold an item; the others are left out. All by default.
        clip: probabilities are kept at least this far from 0 and 1.
    """
    happened, coverage, listed = _happened(clicked, conditional_prob, listed, clip)
    return ClickScore(float(np.log(happened[listed]).mean()), coverage)


def conditional_perplexity(
    clicked: Bools, conditional_prob: Floats, *, listed: Bools | None = None, clip: float = CLIP
) -> ClickScore:
    """Mean over ranks of 2^(-mean over slates of log2 P(C_k | C_1 .. C_{k-1})); 1 is perfect.

    Args: as of `log_likelihood`.
    """
    happened, coverage, listed = _happened(clicked, conditional_prob, listed, clip)
    return ClickScore(float(_by_rank(happened, listed).mean()), coverage)


def perplexity(
    clicked: Bools, click_prob: Floats, *, listed: Bools | None = None, clip: float = CLIP
) -> ClickScore:
    """Mean over ranks of 2^(-mean over slates of log2 P(C_k)), which knows no other clicks; 1 is perfect.

    Args: as of `log_likelihood`, but click_prob (R, K) is P(C_k = 1), from `click_prob`.
    """
    happened, coverage, listed = _happened(clicked, click_prob, listed, clip)
    return ClickScore(float(_by_rank(happened, listed).mean()), coverage)


def perplexity_by_rank(
    clicked: Bools, prob: Floats, *, listed: Bools | None = None, clip: float = CLIP
) -> Floats:
    """(K,) of either perplexity, before the mean over ranks."""
    happened, _, listed = _happened(clicked, prob, listed, clip)
    return _by_rank(happened, listed)


def _happened(clicked: Bools, prob: Floats, listed: Bools | None, clip: float) -> tuple[Floats, float, Bools]:
    """(R, K) the clipped probability of what happened, the coverage, and the slots that count."""
    if listed is None:
        listed = np.ones(clicked.shape, np.bool_)
    if clicked.ndim != 2 or not clicked.shape == prob.shape == listed.shape:
        shapes = f"{clicked.shape}, {prob.shape} and {listed.shape}"
        raise InputError(f"clicked, probabilities and listed must have one shape (R, K), got {shapes}")
    if not listed.any():
        raise InputError("listed must hold a slot, got none: there is nothing to score")
    if not 0.0 < clip < 0.5:
        raise InputError(f"clip must be above 0 and below 1/2, got {clip}")
    outside = listed & ~((prob >= -ROUNDING) & (prob <= 1.0 + ROUNDING))
    if outside.any():
        row, slot = np.argwhere(outside)[0]
        raise InputError(f"probability[{row}, {slot}] = {prob[row, slot]} is not in [0, 1]")
    happened = np.where(clicked, prob, 1.0 - prob)
    coverage = float(np.mean(~((happened <= 0.0) & listed).any(axis=1)))
    return np.clip(happened, clip, 1.0 - clip), coverage, listed


def _by_rank(happened: Floats, listed: Bools) -> Floats:
    shown = listed.sum(axis=0)
    bits = np.where(listed, -np.log2(happened), 0.0).sum(axis=0)
    return np.asarray(2.0 ** (bits[shown > 0] / shown[shown > 0]))
