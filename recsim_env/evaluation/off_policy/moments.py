"""Estimates from sums over blocks of rows: what is left of a block is a few numbers, whatever its length.

Of samples x_i in R^m (a row, or the sums over the rows of one user) a block keeps

    n,   mu = 1/n sum_i x_i,   M = sum_i (x_i - mu)(x_i - mu)'

and two blocks are joined by (Chan, Golub and LeVeque 1983), with d = mu_2 - mu_1 and n = n_1 + n_2,

    mu = mu_1 + d n_2 / n,     M = M_1 + M_2 + d d' n_1 n_2 / n .

Every estimator that is a sum of ratios of sums, v = sum_h A_h / B_h, follows with the standard error of its
linearisation: with c the vector that has 1/B_h at a_h and -(A_h / B_h) / B_h at b_h,

    s.e. = sqrt( n/(n-1) c' (M + n mu mu') c ),        c'mu = 0 up to rounding.

These are `ips`, `snips`, `doubly_robust`, `self_normalised_doubly_robust`, and of slates `sips`, `snsips`,
`rips`, `snrips`, `iips`, `sniips`. Not among them: what looks at all weights before it weighs one (clips and
thresholds chosen by `slope`, bootstraps), and models that are fitted to the log itself.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate


@dataclass(frozen=True)
class Moments:
    """What is kept of n samples."""

    count: int  # n
    mean: Floats  # (m,) mu
    spread: Floats  # (m, m) M

    @classmethod
    def of(cls, samples: Floats) -> "Moments":
        """Of (n, m) samples, n of 1 or more."""
        mean = samples.mean(axis=0)
        away = samples - mean
        return cls(len(samples), mean, away.T @ away)

    def join(self, other: "Moments") -> "Moments":
        """Of both."""
        n, d = self.count + other.count, other.mean - self.mean
        mean = self.mean + d * (other.count / n)
        spread = self.spread + other.spread + np.outer(d, d) * (self.count * other.count / n)
        return Moments(n, mean, spread)

    @property
    def total(self) -> Floats:
        """(m,) sums."""
        return self.count * self.mean

    def sum_of_ratios(self, parts: Sequence[int], wholes: Sequence[int], name: str) -> Estimate:
        """sum_h A_h / B_h, with a_h and b_h in these columns.

        Args:
            parts: columns of a_1, ..., a_H.
            wholes: columns of b_1, ..., b_H.
            name: of the estimator, for the error.

        Raises:
            InputError: a whole that sums to 0.
        """
        part, whole = self.total[list(parts)], self.total[list(wholes)]
        if (whole == 0).any():
            raise InputError(
                f"{name}: all weights are 0, so it has no value: "
                "the evaluated policy never does what the log shows"
            )
        ratio = part / whole
        if self.count == 1:
            return Estimate(float(ratio.sum()), math.nan, 1)
        c = np.zeros(len(self.mean))
        np.add.at(c, list(parts), 1 / whole)
        np.add.at(c, list(wholes), -ratio / whole)
        square = float(c @ self.spread @ c) + self.count * float(c @ self.mean) ** 2
        error = math.sqrt(max(square, 0.0) * self.count / (self.count - 1))
        return Estimate(float(ratio.sum()), error, self.count)
