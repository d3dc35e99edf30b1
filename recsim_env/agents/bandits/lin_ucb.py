"""LinUCB, or OFUL: pull the item of largest upper confidence bound under a linear model of rewards.

With theta_hat and V of ridge regression (`ridge_regressions.py`), in round t

    U_t(a) = x_a . theta_hat + radius |x_a|_{V^-1},      |x|_{V^-1} = sqrt(x' V^-1 x),
    radius = R sqrt(2 log(1 / delta) + log(det V / det(lambda I))) + sqrt(lambda) S

where the noise is R-sub-Gaussian (1/2 for rewards from 0 to 1, sigma for normal ones) and |theta| <= S. The
ellipsoid |theta - theta_hat|_V <= radius holds theta in all rounds at once with probability 1 - delta;
U_t(a) is the largest reward that any vector in it gives item a. `alpha` puts a constant in the place of the
radius, as the LinUCB of Li et al. does: narrower, without the guarantee, often better.

With `shared=False` every item has a model of its own on the user's (context, 1), and delta is shared among
items.

Feedback: the reward of the item pulled.
Bound: with probability 1 - delta, R(T) <= 2 radius_T sqrt(2 T d log(1 + T L^2 / (lambda d))), radius_T with
    log det at most d log(1 + T L^2 / (lambda d)), for |x| <= L, lambda >= L^2, gaps at most 2: O(d sqrt(T)
    log T).
Source: Abbasi-Yadkori, Pal, Szepesvari, "Improved algorithms for linear stochastic bandits", NeurIPS 2011,
    figure 1, theorems 2 and 3; Li, Chu, Langford, Schapire, WWW 2010, algorithm 1 (alpha, disjoint models).
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.ridge_regressions import RidgeRegressions, check_ridge, seen_features
from recsim_env.agents.bandits.ties import tie_breakers
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class LinUCB:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        num_features: D of the observation: of `features` (B, N, D), or of `context` (B, D) if not shared.
        shared: True: items have features, and one model serves all. False: one model for each item, on the
            context.
        penalty: lambda, above 0.
        deviation: R, 0 or more.
        norm: S, above 0.
        delta: in (0, 1).
        alpha: a radius that stays the same; None = the radius of the confidence set.

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
        deviation: float = 0.5,
        norm: float = 1.0,
        delta: float = 0.05,
        alpha: float | None = None,
    ) -> None:
        check_ridge(num_replicates, num_items, num_features, penalty)
        check_radius(deviation, norm, delta)
        if alpha is not None and not 0.0 <= alpha < np.inf:
            raise InputError(f"alpha must be 0 or more and finite, got {alpha}")
        self.shape = num_replicates, num_items, num_features
        self.shared = shared
        log_inverse_delta = -float(np.log(delta if shared else delta / num_items))
        # the three numbers of `confidence_radius`
        self.terms = deviation, 2.0 * log_inverse_delta, float(np.sqrt(penalty)) * norm
        if alpha is not None:
            self.terms = 0.0, 0.0, float(alpha)
        models, D = (1, num_features) if shared else (num_items, num_features + 1)
        self.regressions = RidgeRegressions(num_replicates, models, D, penalty)
        # Equal indices are ordered by a draw of each replicate's own, so that no item is favoured by its id.
        self.ties = np.zeros((num_replicates, num_items))

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The item of largest index, (B, 1).

        Raises:
            InputError: the observation has no features, or of another shape.
        """
        self.ties = tie_breakers(self.ties, luck, "lin_ucb/ties")
        features = seen_features(observation, self.shape, self.shared)
        highest, known = highest_shared if self.shared else highest_disjoint, self.regressions
        slates: Ints = highest(
            features, known.estimate, known.inverse, known.log_growth, *self.terms, self.ties
        )
        return slates

    def radius(self) -> Floats:
        """(B, M) of the confidence sets."""
        radius: Floats = confidence_radius(self.regressions.log_growth, *self.terms)
        return radius

    def update(self, transition: Transition) -> None:
        """Learn from the reward.

        Raises:
            InputError: a reward that is not finite.
        """
        features = seen_features(transition.observation, self.shape, self.shared)
        self.regressions.add(features, transition.slates, transition.reward)


def check_radius(deviation: float, norm: float, delta: float) -> None:
    """Refuse what no confidence set can be made of."""
    if not 0.0 <= deviation < np.inf:
        raise InputError(f"deviation must be 0 or more and finite, got {deviation}")
    if not 0.0 < norm < np.inf:
        raise InputError(f"norm must be above 0 and finite, got {norm}")
    if not 0.0 < delta < 1.0:
        raise InputError(f"delta must be in (0, 1), got {delta}")


@njit(cache=True)
def confidence_radius(log_growth: Any, deviation: float, twice_log: float, start: float) -> Any:
    """R sqrt(2 log(1 / delta) + log_growth) + sqrt(lambda) S, of a number or an array."""
    return deviation * np.sqrt(twice_log + log_growth) + start


@njit(cache=True)
def highest_shared(
    features: Array,
    estimate: Floats,
    inverse: Floats,
    log_growth: Floats,
    deviation: float,
    twice_log: float,
    start: float,
    ties: Floats,
) -> Ints:
    """The item of largest bound of every row, (B, 1), under one model for all.

    The loops run along the items, so that the processor takes several at a time; half of the symmetric V^-1
    is read.
    """
    B, N, D = features.shape
    slates = np.empty((B, 1), np.int64)
    x, mean, square, half = np.empty((D, N)), np.empty(N), np.empty(N), np.empty(N)
    for b in range(B):
        V, theta = inverse[b, 0], estimate[b, 0]
        radius = confidence_radius(log_growth[b, 0], deviation, twice_log, start)
        for a in range(N):
            for d in range(D):
                x[d, a] = np.float64(features[b, a, d])
            mean[a], square[a] = 0.0, 0.0
        for d in range(D):
            weight, diagonal = theta[d], V[d, d]
            for a in range(N):
                mean[a] += weight * x[d, a]
                half[a] = diagonal * x[d, a]
            for e in range(d):
                twice = 2.0 * V[d, e]
                for a in range(N):
                    half[a] += twice * x[e, a]
            for a in range(N):
                square[a] += half[a] * x[d, a]
        best, highest = 0, -np.inf
        for a in range(N):
            bound = mean[a] + radius * np.sqrt(max(square[a], 0.0)) + ties[b, a]
            if bound > highest:
                best, highest = a, bound
        slates[b, 0] = best
    return slates


@njit(cache=True)
def highest_disjoint(
    features: Array,
    estimate: Floats,
    inverse: Floats,
    log_growth: Floats,
    deviation: float,
    twice_log: float,
    start: float,
    ties: Floats,
) -> Ints:
    """The item of largest bound of every row, (B, 1), under a model for each item; features (B, 1, D)."""
    B, N, D = estimate.shape
    slates = np.empty((B, 1), np.int64)
    for b in range(B):
        best, highest = 0, -np.inf
        for a in range(N):
            mean, square = 0.0, 0.0
            for d in range(D):
                x = np.float64(features[b, 0, d])
                mean += x * estimate[b, a, d]
                for e in range(D):
                    square += x * inverse[b, a, d, e] * np.float64(features[b, 0, e])
            radius = confidence_radius(log_growth[b, a], deviation, twice_log, start)
            bound = mean + radius * np.sqrt(max(square, 0.0)) + ties[b, a]
            if bound > highest:
                best, highest = a, bound
        slates[b, 0] = best
    return slates


def regret_bound(
    rounds: Ints | Floats,
    *,
    num_features: int,
    deviation: float,
    penalty: float = 1.0,
    norm: float = 1.0,
    longest: float = 1.0,
    delta: float = 0.05,
) -> Floats:
    """(P,) bound after `rounds` (P,), which holds with probability 1 - delta in all rounds at once.

    It holds for the radius of the confidence set, one model for all items, |x| <= L = `longest`, lambda >=
    L^2 and gaps of at most 2. The steps, each checked by hand: an optimistic round loses 2 radius |x|_{V^-1}
    at most; Cauchy and Schwarz; sum of |x|^2_{V^-1} <= 2 log(det V / det(lambda I)) <= 2 d log(1 + T L^2 /
    (lambda d)). The factor is 2 sqrt(2), as in Lattimore and Szepesvari, "Bandit algorithms", 2020, theorem
    19.2; theorem 3 of the paper has 4 in its place (from memory).
    """
    growth = num_features * np.log1p(np.asarray(rounds, np.float64) * longest**2 / (penalty * num_features))
    radius = deviation * np.sqrt(2.0 * np.log(1.0 / delta) + growth) + np.sqrt(penalty) * norm
    return np.asarray(2.0 * radius * np.sqrt(2.0 * np.asarray(rounds, np.float64) * growth))
