"""Ridge regression of clicks on the features of the items examined, one regression per replicate.

With x of every item examined, w = 1 for the click and 0 without, and sigma the noise that is assumed,

    M = I + sum x x' / sigma^2,      theta = M^-1 sum x w / sigma^2.

Neither is ever solved for. An examination changes them by the formula of Sherman and Morrison: with
v = M^-1 x and s = sigma^2 + x' v,

    theta += v (w - x' theta) / s,      M^-1 -= v v' / s,      y' M^-1 y -= (y' v)^2 / s for every item y,

which costs D^2 + N D where solving would cost D^3 + N D^2.
"""

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.item_counts import check_slate_sizes
from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError, as_numbers, refuse


class CascadeRidge:
    """The estimates of B learners.

    Args:
        num_replicates: B.
        features: (N, D) of the items.
        slate_size: K, to check.
        noise: sigma, more than 0.
        with_variance: keep `variance`.

    Attributes:
        features: (N, D).
        theta: (B, D).
        inverse: (B, D, D) M^-1.
        variance: (B, N) y' M^-1 y of every item, or (B, 0).

    Raises:
        InputError: no replicates, more slots than items, features that are not a table of finite numbers, or
            a noise that is not positive.
    """

    def __init__(
        self, num_replicates: int, features: Array, slate_size: int, noise: float, *, with_variance: bool
    ) -> None:
        x = as_numbers("features", features)
        if x.ndim != 2 or x.shape[1] < 1:
            raise InputError(f"features must have shape (items, dimensions), got {x.shape}")
        refuse("features", ~np.isfinite(x), x, "features must be finite")
        check_slate_sizes(num_replicates, len(x), slate_size)
        if not 0.0 < noise < np.inf:
            raise InputError(f"noise must be more than 0 and finite, got {noise}")
        N, D = x.shape
        self.noise = noise
        self.features = np.ascontiguousarray(x)
        self.theta = np.zeros((num_replicates, D))
        self.inverse = np.repeat(np.eye(D)[None], num_replicates, axis=0)
        self.variance = np.zeros((num_replicates, N if with_variance else 0))
        if with_variance:
            self.variance[:] = (x**2).sum(axis=1)

    def update(self, transition: Transition) -> None:
        """Learn from the examined slots of one step."""
        _regress(
            self.features,
            self.noise**2,
            self.theta,
            self.inverse,
            self.variance,
            transition.slates,
            transition.clicked,
            transition.examined,
        )


@njit(cache=True)
def _regress(
    features: Floats,
    noise: float,
    theta: Floats,
    inverse: Floats,
    variance: Floats,
    slates: Ints,
    clicked: Bools,
    examined: Bools,
) -> None:
    B, K = slates.shape
    D, N = features.shape[1], variance.shape[1]
    v = np.empty(D)
    for b in range(B):
        M, t = inverse[b], theta[b]
        for k in range(K):
            if not examined[b, k]:
                continue
            x = features[slates[b, k]]
            s, error = noise, 1.0 if clicked[b, k] else 0.0
            for i in range(D):
                v[i] = 0.0
                for j in range(D):
                    v[i] += M[i, j] * x[j]
                s += x[i] * v[i]
                error -= x[i] * t[i]
            for i in range(D):
                t[i] += v[i] * error / s
                for j in range(D):
                    M[i, j] -= v[i] * v[j] / s
            for e in range(N):
                along = 0.0
                for i in range(D):
                    along += features[e, i] * v[i]
                variance[b, e] -= along * along / s
