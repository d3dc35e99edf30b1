"""LinTS: pull the item that is best under a vector drawn from the posterior of a linear model.

With theta_hat and V of ridge regression (`ridge_regressions.py`),

    theta ~ N(theta_hat, v^2 V^-1),      A_t = argmax_a x_a . theta

drawn as theta_hat + v C z with V^-1 = C C' (Cholesky) and z standard normal. With v = R, the deviation of
normal noise, this is the posterior of the prior N(0, R^2 / lambda I); the frequentist bound needs it wider,

    v = R sqrt(9 d ln(T / delta))

(`theory_inflation`), which explores far more than it takes. The default 1/2 suits rewards from 0 to 1.

With `shared=False` every item has a model of its own on the user's (context, 1), and draws its own vector.

Feedback: the reward of the item pulled.
Bound: O(d^{3/2} sqrt(T) (ln T + sqrt(ln T ln(1 / delta)))) with probability 1 - delta, for the v of the
    theory.
Source: Agrawal, Goyal, "Thompson sampling for contextual bandits with linear payoffs", ICML 2013, algorithm
    1 and theorem 1 (v from memory, of the version with 9; the first one has 24 / epsilon). No constants are
    stated.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.ridge_regressions import RidgeRegressions, check_ridge, seen_features
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.luck import stream_number
from recsim_env.simulators.normal_draws import fill_normal

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck

STREAM = stream_number("lin_ts")


class LinTS:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        num_features: D of the observation: of `features` (B, N, D), or of `context` (B, D) if not shared.
        shared: True: items have features, and one model serves all. False: one model for each item, on the
            context.
        penalty: lambda, above 0.
        inflation: v, above 0.

    Raises:
        InputError: a size below 1, a setting out of range.
    """

    def __init__(
        self,
        num_replicates: int,
        num_items: int,
        num_features: int,
        *,
        shared: bool = True,
        penalty: float = 1.0,
        inflation: float = 0.5,
    ) -> None:
        check_ridge(num_replicates, num_items, num_features, penalty)
        check_inflation(inflation)
        self.shape = num_replicates, num_items, num_features
        self.shared = shared
        self.inflation = inflation
        models, D = (1, num_features) if shared else (num_items, num_features + 1)
        self.regressions = RidgeRegressions(num_replicates, models, D, penalty)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The item of largest drawn reward, (B, 1).

        Raises:
            InputError: the observation has no features, or of another shape.
        """
        features = seen_features(observation, self.shape, self.shared)
        known = self.regressions.estimate, self.regressions.inverse, self.inflation
        slates: Ints = draw_best_of(luck.seed, luck.episode, luck.step, STREAM, features, *known)
        return slates

    def update(self, transition: Transition) -> None:
        """Learn from the reward.

        Raises:
            InputError: a reward that is not finite.
        """
        features = seen_features(transition.observation, self.shape, self.shared)
        self.regressions.add(features, transition.slates, transition.reward)


def check_inflation(inflation: float) -> None:
    """Refuse a v that is not above 0."""
    if not 0.0 < inflation < np.inf:
        raise InputError(f"inflation must be above 0 and finite, got {inflation}")


def theory_inflation(rounds: int, num_features: int, deviation: float, delta: float) -> float:
    """The v of the theorem: T rounds, D features, R-sub-Gaussian noise, a bound that holds at 1 - delta.

    Raises:
        InputError: a delta that is not in (0, 1).
    """
    if not 0.0 < delta < 1.0:
        raise InputError(f"delta must be in (0, 1), got {delta}")
    return float(deviation * np.sqrt(9.0 * num_features * np.log(rounds / delta)))


@njit(cache=True)
def draw_best_of(
    seed: Array,
    episode: Ints,
    step: Ints,
    stream: int,
    features: Array,
    estimate: Floats,
    inverse: Floats,
    inflation: float,
) -> Ints:
    """`draw_best` of the normals of a stream, in one call."""
    B, M, D = estimate.shape
    z = np.empty((M * D + M * D % 2, B))
    fill_normal(seed, episode, step, stream, z)
    by_user = np.ascontiguousarray(z[: M * D].T).reshape(B, M, D)
    return draw_best(features, estimate, inverse, inflation, by_user)


@njit(cache=True)
def draw_best(features: Array, estimate: Floats, inverse: Floats, inflation: float, z: Floats) -> Ints:
    """The item of largest drawn reward of every row, (B, 1): `best_of_draws` of `posterior_draws`."""
    return best_of_draws(features, posterior_draws(estimate, inverse, inflation, z))


@njit(cache=True)
def posterior_draws(estimate: Floats, inverse: Floats, inflation: float, z: Floats) -> Floats:
    """Theta_hat + v C z, (B, M, D), of z (B, M, D)."""
    B, M, D = estimate.shape
    theta = np.empty((B, M, D))
    C = np.zeros((D, D))
    for b in range(B):
        for m in range(M):
            V = inverse[b, m]
            for d in range(D):
                for e in range(d + 1):
                    rest = V[d, e]
                    for f in range(e):
                        rest -= C[d, f] * C[e, f]
                    # rounding can take a variance that has all but vanished below 0
                    C[d, e] = rest / C[e, e] if e < d else np.sqrt(max(rest, 1e-300))
                total = 0.0
                for e in range(d + 1):
                    total += C[d, e] * z[b, m, e]
                theta[b, m, d] = estimate[b, m, d] + inflation * total
    return theta


@njit(cache=True)
def best_of_draws(features: Array, theta: Floats) -> Ints:
    """The item of largest x . theta of every row, (B, 1).

    Args:
        features: (B, N, D) of the items, with theta (B, 1, D); or (B, 1, D) of the user, with theta (B, N,
            D).
        theta: see above.
    """
    B, N, D = features.shape[0], max(features.shape[1], theta.shape[1]), theta.shape[2]
    slates = np.empty((B, 1), np.int64)
    for b in range(B):
        best, highest = 0, -np.inf
        for a in range(N):
            x = features[b, a if features.shape[1] > 1 else 0]
            drawn = theta[b, a if theta.shape[1] > 1 else 0]
            total = 0.0
            for d in range(D):
                total += np.float64(x[d]) * drawn[d]
            if total > highest:
                best, highest = a, total
        slates[b, 0] = best
    return slates
