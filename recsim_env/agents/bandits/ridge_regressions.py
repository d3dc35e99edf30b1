"""Ridge regressions of rewards on features, brought up to date one observation at a time.

After observations (x_s, r_s) a regression with penalty lambda has

    V = lambda I + sum_s x_s x_s',      theta_hat = V^-1 sum_s r_s x_s,

and one more moves both in D^2 steps (Sherman and Morrison), with g = V^-1 x and s = x . g:

    V^-1 -= g g' / (1 + s),      theta_hat += g (r - x . theta_hat) / (1 + s),      log det V += log(1 + s)

Features come in two ways. Where the items have features (an observation `features`, (B, N, D)), one
regression serves all items. Where only users have (an observation `context`, (B, D)), every item has a
regression of its own on (x, 1): the "disjoint" models of Li et al. 2010.
"""

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError


class RidgeRegressions:
    """M regressions of D features in each of B rows.

    Args:
        num_replicates: B.
        num_models: M: 1 for all items, or N.
        num_features: D, of which the 1 of a `context` is one.
        penalty: lambda, above 0.

    Attributes:
        inverse: (B, M, D, D), V^-1.
        estimate: (B, M, D), theta_hat.
        log_growth: (B, M), log(det V / det(lambda I)).

    Raises:
        InputError: a size below 1, a penalty that is not above 0.
    """

    def __init__(self, num_replicates: int, num_models: int, num_features: int, penalty: float) -> None:
        check_ridge(num_replicates, num_models, num_features, penalty)
        shape = num_replicates, num_models, num_features
        self.inverse = np.tile(np.eye(num_features) / penalty, (*shape[:2], 1, 1))
        self.estimate = np.zeros(shape)
        self.log_growth = np.zeros(shape[:2])

    def add(self, features: Array, slates: Ints, reward: Floats) -> None:
        """Learn from one reward of each row.

        Args:
            features: (B, N, D) of all items, or (B, 1, D) of the user, as `seen_features` returns them.
            slates: (B, 1) the item pulled.
            reward: (B,), finite.

        Raises:
            InputError: a reward that is not finite.
        """
        known = self.inverse, self.estimate, self.log_growth
        row = add_rewards(features, slates, reward, *known)
        if row >= 0:
            raise InputError(f"reward[{row}] = {reward[row]}: a regression needs finite rewards")


def check_ridge(num_replicates: int, num_items: int, num_features: int, penalty: float) -> None:
    """Refuse sizes below 1 and a penalty that is not above 0."""
    sizes = (
        ("num_replicates", num_replicates),
        ("num_items", num_items),
        ("num_features", num_features),
    )
    for name, size in sizes:
        if size < 1:
            raise InputError(f"{name} must be at least 1, got {size}")
    if not 0.0 < penalty < np.inf:
        raise InputError(f"penalty must be above 0 and finite, got {penalty}")


def seen_features(observation: dict[str, Array], shape: tuple[int, int, int], shared: bool) -> Array:
    """The features of a round: (B, N, D) of the items, or (B, 1, D + 1) the user's context and a 1.

    Args:
        observation: with `features` or `context`.
        shape: (B, N, D) that are expected.
        shared: whether the items have features.

    Raises:
        InputError: the world shows none, or others than the learner was made for.
    """
    B, _, D = shape
    if shared:
        return _seen(observation, "features", shape)
    context = seen_context(observation, shape)
    extended = np.empty((B, 1, D + 1), context.dtype)
    put_with_one(context, extended)
    return extended


def seen_context(observation: dict[str, Array], shape: tuple[int, int, int]) -> Array:
    """The user's context (B, D) of a round, for a learner of B rows, N items and D numbers.

    Raises:
        InputError: the world shows none, or another size than the learner was made for.
    """
    B, _, D = shape
    return _seen(observation, "context", (B, D))


def _seen(observation: dict[str, Array], name: str, expected: tuple[int, ...]) -> Array:
    value = observation.get(name)
    if value is None:
        raise InputError(
            f"the observation has no {name!r}, only {', '.join(sorted(observation))}: this learner needs a "
            "world that shows features of items (shared=True) or a context of users (shared=False)"
        )
    if value.shape != expected:
        raise InputError(
            f"{name} must have shape {expected}, got {value.shape}: make the learner for the world's sizes"
        )
    return value


@njit(cache=True)
def put_with_one(context: Array, extended: Array) -> None:
    """Write contexts (B, D) and a 1 into extended (B, 1, D + 1)."""
    B, D = context.shape
    for b in range(B):
        for d in range(D):
            extended[b, 0, d] = context[b, d]
        extended[b, 0, D] = 1.0


@njit(cache=True)
def add_rewards(
    features: Array, slates: Ints, reward: Floats, inverse: Floats, estimate: Floats, log_growth: Floats
) -> int:
    """Bring the regressions up to date; returns the first row whose reward is not finite, or -1."""
    B, M, D = estimate.shape
    for b in range(B):
        if not np.isfinite(reward[b]):
            return b
    x, g = np.empty(D), np.empty(D)
    for b in range(B):
        item = slates[b, 0]
        m = item if M > 1 else 0
        seen = features[b, item if features.shape[1] > 1 else 0]
        V, theta = inverse[b, m], estimate[b, m]
        for d in range(D):
            x[d] = np.float64(seen[d])
            g[d] = 0.0
        for d in range(D):
            for e in range(D):  # V^-1 is symmetric: column d is row d
                g[e] += V[d, e] * x[d]
        s, predicted = 0.0, 0.0
        for d in range(D):
            s += x[d] * g[d]
            predicted += x[d] * theta[d]
        share = 1.0 / (1.0 + s)
        surprise = (reward[b] - predicted) * share
        for d in range(D):
            theta[d] += g[d] * surprise
            for e in range(D):
                V[d, e] -= g[d] * g[e] * share
        log_growth[b, m] += np.log1p(s)
    return -1
