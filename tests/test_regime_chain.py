"""Regimes of any Markov chain: the law over a gap against SciPy's, and samples against the law."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from recsim_env.errors import InputError
from recsim_env.user_models.preferences import RegimeRates, RegimeSteps, RegimeSwitching


def agree(samples, value, axis=0, errors=5.0):
    """The mean of the samples is the value, within so many standard errors."""
    error = samples.std(axis=axis, ddof=1) / np.sqrt(samples.shape[axis])
    np.testing.assert_array_less(np.abs(samples.mean(axis=axis) - value), errors * error + 1e-12)


RATE = np.array([[-0.5, 0.3, 0.2], [0.0, -1.0, 1.0], [2.0, 0.1, -2.1]])
STEPS = np.array([[0.9, 0.1, 0.0], [0.0, 0.5, 0.5], [0.3, 0.3, 0.4]])
LIKES = np.eye(3)


def test_a_gap_has_the_transition_law_of_the_matrix_exponential():
    chain = RegimeRates(LIKES, RATE)
    for gap in (0.0, 1e-9, 0.3, 7.7, 400.0, 1e9):
        exact = expm(RATE * min(gap, 400.0))
        np.testing.assert_allclose(chain.transition_prob(np.arange(3), np.full(3, gap)), exact, atol=1e-13)
    defective = np.array([[-1.0, 1.0, 0.0], [0.0, -1.0, 1.0], [0.0, 0.0, 0.0]])  # has no eigenbasis
    law = RegimeRates(LIKES, defective).transition_prob(np.zeros(1, int), np.array([2.5]))
    np.testing.assert_allclose(law[0], expm(2.5 * defective)[0], atol=1e-14)


def test_regimes_forget_as_the_master_equation_says():
    chain = RegimeRates(LIKES, RATE)
    solved = solve_ivp(lambda t, p: p @ RATE, (0.0, 3.0), [0.0, 1.0, 0.0], rtol=1e-10, atol=1e-12)
    law = chain.transition_prob(np.array([1]), np.array([3.0]))[0]
    np.testing.assert_allclose(law, solved.y[:, -1], atol=1e-8)


def test_steps_have_the_law_of_matrix_powers():
    chain = RegimeSteps(LIKES, STEPS)
    for n in (0, 1, 2, 5, 1023, 10**12):
        exact = np.linalg.matrix_power(STEPS, min(n, 1023))
        np.testing.assert_allclose(chain.transition_prob(np.arange(3), np.full(3, n)), exact, atol=1e-12)


@pytest.mark.parametrize("chain", [RegimeRates(LIKES, RATE), RegimeSteps(LIKES, STEPS)])
def test_regimes_are_stationary_and_sampled_by_their_law(chain):
    rng, B = np.random.default_rng(0), 200_000
    pi = chain.stationary()
    begin = chain.begin(rng.random(B))
    agree(LIKES[begin], pi)
    gap = np.full(B, 2) if isinstance(chain, RegimeSteps) else np.full(B, 0.7)
    after = chain.move(begin, gap, rng.random(B))
    agree(chain.interest(after), pi)
    for s in range(3):
        law = chain.transition_prob(np.array([s]), gap[:1])[0]
        agree(chain.interest(after[begin == s]), law)


def test_the_uniform_chain_is_a_case_of_the_general_one():
    simple = RegimeSwitching(3, 4.0)
    rate = (np.ones((3, 3)) - 3 * np.eye(3)) / (2 * 4.0)
    np.testing.assert_allclose(
        simple.transition(2.2), RegimeRates(LIKES, rate).transition_prob(np.arange(3), np.full(3, 2.2))
    )
    B = 200_000
    after = simple.step(np.zeros(B, int), np.full(B, 2.2), np.random.default_rng(1).random((B, 2)))
    agree(LIKES[after], simple.transition(2.2)[0])


def test_a_chain_that_is_none_is_refused():
    with pytest.raises(InputError, match=r"transition\[1\] .* sum to 1"):
        RegimeSteps(np.eye(2), np.array([[1.0, 0.0], [0.5, 0.6]]))
    with pytest.raises(InputError, match=r"rate\[0\] .* minus the sum"):
        RegimeRates(np.eye(2), np.array([[1.0, 1.0], [1.0, -1.0]]))
    with pytest.raises(InputError, match=r"rate\[1\]"):
        RegimeRates(np.eye(2), np.array([[-1.0, 1.0], [np.inf, -np.inf]]))
    with pytest.raises(InputError, match="no one stationary law"):
        RegimeSteps(np.eye(2), np.eye(2)).stationary()
    with pytest.raises(InputError, match=r"gap\[0\] = inf"):
        RegimeRates(LIKES, RATE).move(np.zeros(1, int), np.array([np.inf]), np.zeros(1))


@pytest.mark.parametrize("S", [4, 20])
def test_a_law_does_not_depend_on_the_batch(S):
    rng = np.random.default_rng(S)
    rate = rng.random((S, S))
    np.fill_diagonal(rate, 0.0)
    np.fill_diagonal(rate, -rate.sum(axis=1))
    steps = rng.dirichlet(np.ones(S), S)
    regime, gap = rng.integers(0, S, 60), rng.exponential(3.0, 60)
    for chain, gaps in (
        (RegimeRates(np.eye(S), rate), gap),
        (RegimeSteps(np.eye(S), steps), np.ceil(gap).astype(np.int64)),
    ):
        together = chain.transition_prob(regime, gaps)
        for b in range(60):
            alone = chain.transition_prob(regime[b : b + 1], gaps[b : b + 1])
            np.testing.assert_array_equal(alone[0], together[b])


def test_a_chain_without_regimes_is_refused():
    with pytest.raises(InputError, match=r"preferences must have shape \(S, D\), S of 1 or more"):
        RegimeRates(np.empty((0, 2)), np.empty((0, 0)))
