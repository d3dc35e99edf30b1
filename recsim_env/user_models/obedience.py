"""Whether users follow a recommendation that may be an experiment, by Bayes' rule and exactly.

Arm a pays 1 with probability theta_a ~ Beta(alpha_a, beta_a), independently. A platform holds n samples of
every arm, which its users do not see. With probability 1 - epsilon it recommends the arm of largest posterior
mean m_a(S), where S are the samples, and with probability epsilon an arm to explore. The outcomes of n
samples are enumerated, (n+1)^N of them: theta_a won S_a times with the probability of a Beta-binomial
variable, and m_a(S) = (alpha_a + S_a) / (alpha_a + beta_a + n).

The posterior gap of an arm is G_a(S) = m_a(S) - max_{b != a} m_b(S), what it promises beyond the others.
Exploring is safe, whatever arm is explored, at a rate of at most

    epsilon <= 1/3 min_a E[ G_a 1{G_a > 0} ].

A user who is told a has reason to think of it as the best one, or as the one to be explored, which says
nothing about S. The least that a recommendation can say is when a would have been explored for certain, so
the user compares, for every arm b,

    E[theta_b; a is recommended] = (1 - epsilon) E[ m_b(S) 1{a = argmax m(S)} ] + epsilon E[theta_b]

and takes the largest. Following a is a best response under every belief in which exploration does not
look at S, if it is under this one.

Source: Mansour, Slivkins, Syrgkanis, "Bayesian incentive-compatible bandit exploration", EC 2015; Slivkins,
"Introduction to multi-armed bandits", 2019, chapter 11 (the 1/3 from memory; it is implied by the comparison,
which allows E[G_a+] / (E[G_a+] + 1) at least, and the tests check it).
"""

import numpy as np
from scipy.special import betaln, gammaln

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError, as_numbers, refuse

MOST_OUTCOMES = 1_000_000


def check_prior(alpha: Floats, beta: Floats) -> tuple[Floats, Floats]:
    """Both as (N,) float64.

    Raises:
        InputError: fewer than two arms, unequal shapes, a parameter below 1, which the draws need.
    """
    alpha, beta = as_numbers("alpha", alpha), as_numbers("beta", beta)
    if alpha.ndim != 1 or len(alpha) < 2 or alpha.shape != beta.shape:
        raise InputError(
            "alpha and beta must have one shape (N,) with two arms or more, "
            f"got {alpha.shape} and {beta.shape}"
        )
    for name, table in (("alpha", alpha), ("beta", beta)):
        refuse(name, ~((table >= 1.0) & (table < np.inf)), table, "must be 1 or more and finite")
    return alpha, beta


def check_samples(name: str, samples: int, num_arms: int) -> None:
    """Refuse a number of samples of every arm that is below 0, or whose outcomes are too many."""
    # as floats, which end at infinity: so large a power of whole numbers takes long
    if samples < 0 or num_arms * np.log1p(samples) > np.log(MOST_OUTCOMES) + 1e-9:
        raise InputError(
            f"{name} must be 0 or more, and ({name} + 1)^{num_arms} {MOST_OUTCOMES:,} at most, to enumerate "
            f"what users reason about, got {samples}"
        )


def sample_outcomes(alpha: Floats, beta: Floats, samples: int) -> tuple[Floats, Floats]:
    """Every outcome of n samples of each arm: its probability (M,) and the posterior means (M, N).

    Args:
        alpha: (N,) of the prior, 1 or more.
        beta: (N,) the same.
        samples: n, 0 or more.

    Raises:
        InputError: a prior that is not one, more than a million outcomes.
    """
    alpha, beta = check_prior(alpha, beta)
    N = len(alpha)
    check_samples("samples", samples, N)
    won = np.arange(samples + 1.0)[:, None]  # (n+1, 1)
    choose = gammaln(samples + 1.0) - gammaln(won + 1.0) - gammaln(samples - won + 1.0)
    prob = np.exp(choose + betaln(alpha + won, beta + samples - won) - betaln(alpha, beta))  # (n+1, N)
    mean = (alpha + won) / (alpha + beta + samples)  # (n+1, N)
    outcome = np.indices((samples + 1,) * N).reshape(N, -1).T  # (M, N)
    arms = np.arange(N)
    return prob[outcome, arms].prod(axis=1), mean[outcome, arms]


def expected_gap(alpha: Floats, beta: Floats, samples: int) -> Floats:
    """(N,) E[G_a 1{G_a > 0}] of every arm; arguments as in `sample_outcomes`."""
    prob, mean = sample_outcomes(alpha, beta, samples)
    ordered = np.sort(mean, axis=1)
    gap = ordered[:, -1] - ordered[:, -2]  # of the best arm; of the others it is not positive
    best = mean.argmax(axis=1)
    return np.asarray(np.bincount(best, prob * gap, minlength=mean.shape[1]))


def safe_exploration(alpha: Floats, beta: Floats, samples: int) -> float:
    """1/3 min_a E[G_a 1{G_a > 0}], the rate at which exploring is safe."""
    return float(expected_gap(alpha, beta, samples).min()) / 3.0


def best_responses(alpha: Floats, beta: Floats, samples: int, exploration: float) -> Ints:
    """(N,) the arm that a user takes who is told a; a itself if none is better.

    Ties between posterior means are recommended as the lowest arm.

    Args:
        alpha: (N,) of the prior, as `sample_outcomes` takes it.
        beta: (N,) the same.
        samples: n, the same.
        exploration: epsilon, 0 to 1.
    """
    if not 0.0 <= exploration <= 1.0:
        raise InputError(f"exploration must be a probability, 0 to 1, got {exploration}")
    prob, mean = sample_outcomes(alpha, beta, samples)
    N = mean.shape[1]
    prior, best = alpha / (alpha + beta), mean.argmax(axis=1)
    choice = np.arange(N)
    for a in range(N):
        worth = (1.0 - exploration) * (prob * (best == a)) @ mean + exploration * prior  # (N,)
        if worth[a] < worth.max() - 1e-12:
            choice[a] = worth.argmax()
    return choice
