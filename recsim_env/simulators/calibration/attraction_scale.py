"""From scores to attraction: intercept, sharpness and the weight of quality, by maximum likelihood.

A score says who likes what more; a click model needs to know how likely. With scores s_ui and qualities q_i,

    a(u, i) = sigmoid( c + w q_i + b s_ui ),       b, w >= 0,

and the exact probability P(clicks | a) that the click model gives to the clicks of a slate, find c, b (and w)
that maximise sum over slates of log P. The slates must be ones whose clicks the scores were not fitted to: a
score that has seen its click is right about it, and b would come out as if all scores were so good.

w is 0 unless it adds more than 1.92 nats to the log-likelihood (a likelihood ratio test at 5 %). Standard
errors are from the observed information, the second derivatives at the maximum; they take slates for
independent and scores, qualities and examination for known.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from recsim_env.arrays import Bools, Floats
from recsim_env.user_models.clicks import ClickModel

SUPPORTED = 1.92  # nats: half the 95 % point of chi-squared with one degree of freedom
LARGEST = 20.0  # of intercept, sharpness times standard deviation of the scores, and weight


@dataclass(frozen=True)
class AttractionScale:
    """What makes attraction of scores."""

    intercept: float  # c, in logits
    sharpness: float  # b, in logits for a score of 1
    quality_weight: float  # w; 0 if the likelihood does not support it
    std_errors: Floats  # (3,) of the three; nan on a bound, and for a weight that was not fitted
    log_likelihood: float  # mean of a slate, in nats
    without_scores: float  # the same with b = w = 0 and the best intercept
    converged: bool
    on_bound: tuple[str, ...]  # names of what the search could not raise or lower any further


def fit_attraction_scale(
    clicks: ClickModel, score: Floats, quality: Floats, listed: Bools, clicked: Bools
) -> AttractionScale:
    """Maximise the likelihood of clicks on slates.

    Args:
        clicks: the click model, with its parameters.
        score: (R, K) s of what is shown, anything in empty slots.
        quality: (R, K) q.
        listed: (R, K) False in empty slots.
        clicked: (R, K) clicks that the model can make, one of them at least.
    """
    mean, deviation = float(score[listed].mean()), float(score[listed].std())
    told = deviation > 1e-12  # scores that are all alike tell nothing
    z = (score - mean) / deviation if told else np.zeros(score.shape)

    def log_likelihood(theta: Floats) -> float:
        """Of theta = intercept at the mean score, sharpness for one standard deviation, and weight."""
        attraction = expit(theta[0] + theta[1] * z + theta[2] * quality)
        return float(clicks.log_prob(np.where(listed, attraction, 0.0), clicked).mean())

    def best(start: Floats, free: list[int]) -> tuple[Floats, float, bool]:
        def loss(part: Floats) -> float:
            theta = np.zeros(3)
            theta[free] = part
            return -log_likelihood(theta)

        bounds = [(-LARGEST if i == 0 else 0.0, LARGEST) for i in free]
        options = {"xatol": 1e-5, "fatol": 1e-11, "maxiter": 2000}
        found = minimize(loss, start[free], method="Nelder-Mead", bounds=bounds, options=options)
        theta = np.zeros(3)
        theta[free] = found.x
        return theta, -float(found.fun), bool(found.success)

    rate = clicked[listed].mean()
    theta, without, converged = best(np.array([np.log(rate / (2.0 - rate)), 0.0, 0.0]), [0])
    free, value = [0], without
    if told:
        free = [0, 1]
        theta, value, converged = best(np.array([theta[0], 0.5, 0.0]), free)
    weighted, higher, also = best(np.array([theta[0], theta[1], 0.5]), [*free, 2])
    if (higher - value) * len(clicked) > SUPPORTED:
        free = [*free, 2]
        theta, value, converged = weighted, higher, also
    low = np.array([-LARGEST, 0.0, 0.0]) + 1e-5
    stuck = [i for i in range(3) if (i in free or i == 1) and not low[i] < theta[i] < LARGEST - 1e-5]
    inner = [i for i in free if i not in stuck]
    information = _information(log_likelihood, theta, inner, len(clicked))
    covariance = np.full((3, 3), np.nan)
    if inner and np.linalg.eigvalsh(information)[0] > 0.0:  # else there is no maximum to speak of here
        covariance[np.ix_(inner, inner)] = np.linalg.inv(information)
    scale = deviation if told else 1.0
    # intercept = theta_0 - mean / scale theta_1,   sharpness = theta_1 / scale
    variance = np.diag(covariance).copy()
    variance[1] /= scale**2
    if 1 in inner and 0 in inner:
        slope = -mean / scale
        variance[0] += 2.0 * slope * covariance[0, 1] + slope**2 * covariance[1, 1]
    return AttractionScale(
        intercept=float(theta[0] - theta[1] * mean / scale),
        sharpness=float(theta[1] / scale),
        quality_weight=float(theta[2]),
        std_errors=np.sqrt(variance),
        log_likelihood=value,
        without_scores=without,
        converged=converged,
        on_bound=tuple(("intercept", "sharpness", "quality_weight")[i] for i in stuck),
    )


def _information(
    log_likelihood: Callable[[Floats], float], theta: Floats, free: list[int], slates: int
) -> Floats:
    """(F, F) minus the second derivatives of the log-likelihood of all slates, by central differences."""
    h = 1e-3
    step, signs = np.eye(3) * h, list(product((1, -1), repeat=2))
    information = np.empty((len(free), len(free)))
    for (row, i), (column, j) in product(enumerate(free), repeat=2):
        corners = [a * b * log_likelihood(theta + a * step[i] + b * step[j]) for a, b in signs]
        information[row, column] = -slates * sum(corners) / (4.0 * h * h)
    return information
