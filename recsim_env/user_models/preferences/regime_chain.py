"""Interests that switch: each user is in one of S regimes (moods, life phases), each with its own interest.

    RegimeSteps    P(regime after n steps = j | i) = (P^n)_ij     P (S, S), rows sum to 1
    RegimeRates    P(regime after a gap = j | i) = (e^(Q gap))_ij  Q (S, S), rates; rows sum to 0

The law over a gap is exact, however long: a row of it, and never a path, is computed, by repeated squaring
of P, and of e^(Q h) with h so short that at most one switch is expected in it; what is left of the gap is
done by uniformisation, e^(Q r) = sum_n e^(-qr) (qr)^n / n! (I + Q/q)^n with q the largest rate out of a
regime. Only non-negative numbers are added and multiplied, so the error stays near rounding. The number of
switches between two visits is not drawn: a user may have gone and come back.

Source: uniformisation, Jensen, "Markoff chains as an aid in the study of Markoff processes", 1953; switching
dynamics as a user model: RecSim NG (2021).
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.errors import InputError

MOST_STEPS = 2**62
"""Longest gap, in steps, or in expected switches, that is accepted."""


@dataclass(frozen=True)
class RegimeSteps:
    """Regimes that switch once per step.

    Raises:
        InputError: a shape that does not fit, or a row of `transition` that is no distribution.
    """

    preferences: Floats  # (S, D) interest in each regime
    transition: Floats  # (S, S) P(next regime | regime)

    def __post_init__(self) -> None:
        _check_shape("transition", self.transition, self.preferences)
        bad = (self.transition < 0).any(axis=1) | ~(np.abs(self.transition.sum(axis=1) - 1.0) < 1e-9)
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(f"transition[{row}] = {self.transition[row]} must be 0 or more and sum to 1")

    def transition_prob(self, regime: Ints, steps: Ints) -> Floats:
        """(B, S) law of the regime after so many steps (B,), 0 or more.

        Raises:
            InputError: a negative number of steps.
        """
        if (steps < 0).any():
            row = int(np.argmax(steps < 0))
            raise InputError(f"steps[{row}] = {steps[row]} is negative: times must not run backwards")
        return _times_powers(np.eye(len(self.transition))[regime], self.transition, steps)

    def move(self, regime: Ints, steps: Ints, u: Floats) -> Ints:
        """(B,) regime after so many steps (B,), by one uniform (B,) per user."""
        return _draw(self.transition_prob(regime, steps), u)

    def stationary(self) -> Floats:
        """(S,) share of time in each regime in the long run.

        Raises:
            InputError: it depends on where the user starts.
        """
        return _stationary(self.transition - np.eye(len(self.transition)))

    def begin(self, u: Floats) -> Ints:
        """(B,) regimes of the stationary law, from uniforms (B,)."""
        return _draw(np.broadcast_to(self.stationary(), (len(u), len(self.preferences))), u)

    def interest(self, regime: Ints) -> Floats:
        """(B, D)."""
        return np.asarray(self.preferences[regime])


@dataclass(frozen=True)
class RegimeRates:
    """Regimes that switch at any time.

    Raises:
        InputError: a shape that does not fit, a negative or infinite rate, or a row that does not sum to 0.
    """

    preferences: Floats  # (S, D) interest in each regime
    rate: Floats  # (S, S) switches per unit of time; the diagonal is minus the sum of the rest of its row

    def __post_init__(self) -> None:
        _check_shape("rate", self.rate, self.preferences)
        finite = np.asarray(np.isfinite(self.rate).all(axis=1))
        off = np.where(np.eye(len(self.rate), dtype=np.bool_), 0.0, self.rate)
        rest = np.abs(np.where(finite[:, None], self.rate, 0.0).sum(axis=1))
        bad: Bools = ~finite | (off < 0).any(axis=1) | (rest > 1e-9 * off.max())
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(
                f"rate[{row}] = {self.rate[row]} must be 0 or more off the diagonal and sum to 0: "
                "put minus the sum of the others on the diagonal"
            )

    def transition_prob(self, regime: Ints, gap: Floats) -> Floats:
        """(B, S) law of the regime after a gap (B,), 0 or more, in the unit of the rates.

        Raises:
            InputError: a gap that is negative or not finite.
        """
        fastest = -np.diag(self.rate).min()
        row = np.eye(len(self.rate))[regime]
        if not ((gap >= 0) & (fastest * gap < MOST_STEPS)).all():
            worst = int(np.argmin((gap >= 0) & (fastest * gap < MOST_STEPS)))
            raise InputError(f"gap[{worst}] = {gap[worst]} must be 0 or more and finite")
        if fastest == 0:  # nobody ever switches
            return row
        jump = np.eye(len(self.rate)) + self.rate / fastest  # I + Q/q
        whole = np.floor(fastest * gap)
        row = _uniformised(row, jump, fastest * gap - whole)
        unit = _uniformised(np.eye(len(jump)), jump, np.ones(len(jump)))  # e^(Q/q)
        return _times_powers(row, unit, whole.astype(np.int64))

    def move(self, regime: Ints, gap: Floats, u: Floats) -> Ints:
        """(B,) regime after a gap (B,), by one uniform (B,) per user."""
        return _draw(self.transition_prob(regime, gap), u)

    def stationary(self) -> Floats:
        """(S,) share of time in each regime in the long run.

        Raises:
            InputError: it depends on where the user starts.
        """
        return _stationary(self.rate)

    def begin(self, u: Floats) -> Ints:
        """(B,) regimes of the stationary law, from uniforms (B,)."""
        return _draw(np.broadcast_to(self.stationary(), (len(u), len(self.preferences))), u)

    def interest(self, regime: Ints) -> Floats:
        """(B, D)."""
        return np.asarray(self.preferences[regime])


def _times_powers(row: Floats, matrix: Floats, power: Ints) -> Floats:
    """Each row (B, S) times the matrix (S, S) to its own power (B,), bit by bit of the power."""
    left = power.copy()
    while left.any():
        row = np.where((left & 1).astype(np.bool_)[:, None], times(row, matrix), row)
        matrix = matrix @ matrix
        matrix = matrix / matrix.sum(axis=1, keepdims=True)  # rounding must not be squared again and again
        left >>= 1
    return row


@njit(cache=True)
def times(rows: Floats, matrix: Floats) -> Floats:
    """(B, S) rows times the matrix (S, S); `@` adds in an order that depends on how many rows there are."""
    B, S = rows.shape
    product = np.zeros((B, S))
    for b in range(B):
        for s in range(S):
            for t in range(S):
                product[b, t] += rows[b, s] * matrix[s, t]
    return product


def _uniformised(row: Floats, jump: Floats, expected: Floats) -> Floats:
    """Each row (B, S) times sum_n Poisson(n; expected) jump^n, for at most one expected switch (B,)."""
    weight = np.exp(-expected)[:, None]
    total = weight * row
    for n in range(1, 20):  # 1/20! < 2^-53
        row = times(row, jump)
        weight = weight * expected[:, None] / n
        total = total + weight * row
    return total


def _draw(prob: Floats, u: Floats) -> Ints:
    """(B,) one state per row of prob (B, S), by inversion of the distribution function."""
    below = np.cumsum(prob, axis=1) <= u[:, None]
    return np.asarray(below[:, :-1].sum(axis=1), np.int64)


def _stationary(rate: Floats) -> Floats:
    """(S,) the distribution pi with pi @ rate = 0."""
    S = len(rate)
    equations = np.vstack([rate.T / max(np.abs(rate).max(), 1e-300), np.ones((1, S))])
    pi, _, rank, _ = np.linalg.lstsq(equations, np.append(np.zeros(S), 1.0), rcond=None)
    if rank < S:
        raise InputError("there is no one stationary law: some regimes are never left for the others")
    return np.maximum(pi, 0.0) / np.maximum(pi, 0.0).sum()


def _check_shape(name: str, matrix: Floats, preferences: Floats) -> None:
    S = len(preferences)
    if preferences.ndim != 2 or S == 0 or matrix.shape != (S, S):
        raise InputError(
            f"preferences must have shape (S, D), S of 1 or more, and {name} (S, S), "
            f"got {preferences.shape} and {matrix.shape}"
        )
