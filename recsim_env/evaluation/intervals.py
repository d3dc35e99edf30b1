"""A number and how sure it is: mean, standard error and 95 % interval over independent replicates."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError


@dataclass(frozen=True)
class Estimate:
    """A value, or an array of them, with its standard error; both of one shape."""

    value: float | Floats
    std_error: float | Floats  # nan where there was one sample only
    count: float = math.inf  # independent samples behind it; inf = many, and the interval is the normal one

    @property
    def interval(self) -> tuple[float | Floats, float | Floats]:
        """Low and high end of the 95 % interval, `value -+ t * std_error`, each of the value's shape.

        t is the 97.5 % point of Student's t with count - 1 degrees of freedom: 1.96 for many samples,
        2.09 for 20, 12.7 for two; nan for one.
        """
        reach = float(stdtrit(self.count - 1, 0.975)) * self.std_error
        return self.value - reach, self.value + reach


def mean_estimate(samples: Array) -> Estimate:
    """Mean and standard error `s / sqrt(B)` over the last axis, which counts independent replicates.

    Args:
        samples: (..., B) such as regret (T, B); s is the sample standard deviation (divisor B - 1). A nan
            makes its mean nan: what is undefined must be left out by the caller, in the open.

    Returns:
        Value and standard error of shape (...); with one replicate the standard error is nan.

    Raises:
        InputError: no replicate at all.
    """
    samples = np.asarray(samples, np.float64)
    if samples.ndim == 0 or samples.shape[-1] == 0:
        raise InputError(f"samples must have shape (..., B) with B of 1 or more, got {samples.shape}")
    count = samples.shape[-1]
    value = samples.mean(axis=-1)
    if count == 1:  # NumPy would divide 0 by 0 and warn
        return Estimate(value, np.full_like(value, np.nan), count)
    return Estimate(value, samples.std(axis=-1, ddof=1) / np.sqrt(count), count)
