"""What off-policy estimators are measured on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.evaluation.intervals import Estimate


@dataclass(frozen=True)
class Problem:
    """A log of one policy, and the exact value of another."""

    name: str  # such as `slates/cascade/3`
    truth: float  # exact value of the evaluated policy
    logged: float  # mean value of the log, what the log's own policy is worth
    size: int  # rows (or episodes) of the log; any of them are a smaller log
    estimate: Callable[
        [Ints], dict[str, Estimate]
    ]  # rows -> every estimator's answer, of those that have one


class TabularMeans:
    """Regression on a table by the last features of a row, shrunk to the overall mean.

    With n rows of a cell, mean m of them and M of all, the prediction is (n m + M) / (n + 1); M where there
    is none. In the manner of scikit-learn's regressors. Few cells: a model of the rows that it predicts is
    biased towards their luck, the more the fewer rows a cell has.

    Args:
        last: how many of the features tell cells apart, from the end; integers of 0 to 2^15 - 1.
    """

    mean_: float
    cells_: Array  # (C,) keys
    values_: Floats  # (C,)

    def __init__(self, last: int) -> None:
        self.last = last

    def fit(self, features: Array, target: Array) -> "TabularMeans":
        """Learn from (R, D) and (R,)."""
        self.mean_ = float(np.mean(target))
        self.cells_, place, count = np.unique(self._keys(features), return_inverse=True, return_counts=True)
        self.values_ = (np.bincount(place, target) + self.mean_) / (count + 1)
        return self

    def predict(self, features: Array) -> Floats:
        """(R,) of (R, D)."""
        keys = self._keys(features)
        at = np.minimum(np.searchsorted(self.cells_, keys), len(self.cells_) - 1)
        return np.where(self.cells_[at] == keys, self.values_[at], self.mean_)

    def _keys(self, features: Array) -> Ints:
        """(R,) one integer for every row."""
        keys = np.zeros(len(features), np.int64)
        for column in np.asarray(features, np.int64).T[-self.last :]:
            keys = (keys << 15) | column
        return keys
