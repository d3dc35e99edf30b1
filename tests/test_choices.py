"""Choices are what their formulas say, by enumeration, by sampling and against plain twins."""

from itertools import combinations, permutations
from math import lgamma, log

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import log_softmax

from recsim_env.user_models.choices import MultinomialLogit, PlackettLuce, ProbabilityRanking

N = 200_000


def within_five_standard_errors(share, exact, n):
    exact = np.asarray(exact)
    return (np.abs(share - exact) <= 5 * np.sqrt(exact * (1 - exact) / n) + 1e-12).all()


def some_slates(K, B=50):
    rng = np.random.default_rng(K)
    utility, listed = rng.normal(0, 2, (B, K)), rng.random((B, K)) < 0.8
    listed[0] = False
    return utility, listed


def test_the_logit_by_hand():
    model = MultinomialLogit(np.log(2.0))
    utility, listed = np.log([[1.0, 9.0, 3.0, 4.0]]), np.array([[True, False, True, True]])
    assert_allclose(model.click_prob(utility, listed), [[0.1, 0, 0.3, 0.4]], rtol=1e-14)
    assert_allclose(model.no_click_prob(utility, listed), [0.2], rtol=1e-14)
    # the slots take [0, 0.1), [0.1, 0.4), [0.4, 0.8) of the uniform, and no click the rest
    u = np.array([0.0, 0.0999, 0.1001, 0.3999, 0.4001, 0.7999, 0.8001, 1 - 2**-53])
    clicked, examined = model.sample(utility.repeat(8, axis=0), listed.repeat(8, axis=0), u)
    assert [np.flatnonzero(row).tolist() for row in clicked] == [[0], [0], [2], [2], [3], [3], [], []]
    assert_array_equal(examined, listed.repeat(8, axis=0))


@pytest.mark.parametrize("K", [1, 2, 3, 5])
def test_the_logit_sums_to_one_over_all_patterns_and_is_a_softmax(K):
    utility, listed = some_slates(K)
    model = MultinomialLogit(0.7)
    total, expected = np.zeros(len(utility)), np.zeros_like(utility)
    for size in range(K + 1):
        for slots in combinations(range(K), size):
            clicked = np.zeros(utility.shape, bool)
            clicked[:, list(slots)] = True
            probability = np.exp(model.log_prob(utility, listed, clicked))
            if size > 1 or size == 0:
                assert_allclose(probability, model.no_click_prob(utility, listed) * (size == 0), atol=1e-15)
            total += probability
            expected += probability[:, None] * clicked
    assert_allclose(total, 1.0, atol=1e-12)
    assert_allclose(model.click_prob(utility, listed), expected, atol=1e-12)
    assert (model.click_prob(utility, listed)[~listed] == 0).all()
    assert_allclose(model.no_click_prob(utility, listed)[0], 1.0)  # an empty slate
    for b in range(len(utility)):
        logits = np.append(utility[b, listed[b]], 0.7)
        assert_allclose(np.log(model.no_click_prob(utility, listed)[b]), log_softmax(logits)[-1], rtol=1e-12)


def test_logits_of_a_thousand_neither_overflow_nor_vanish():
    utility = np.array([[1000.0, 999.0], [-1000.0, -1000.0], [1000.0, -1000.0], [0.0, 1000.0]])
    listed = np.array([[True, True], [True, True], [True, True], [True, False]])
    one, other = np.array([[True, False]] * 4), np.array([[False, True]] * 4)
    for no_click in (-1000.0, 0.0, 1000.0):
        model = MultinomialLogit(no_click)
        p = model.click_prob(utility, listed)
        assert_allclose(p.sum(axis=1) + model.no_click_prob(utility, listed), 1.0, rtol=1e-14)
        model.sample(utility, listed, np.full(4, 0.5))
    model = MultinomialLogit(0.0)
    assert_allclose(model.log_prob(utility, listed, one)[:3], [-np.log1p(np.exp(-1)), -1000, 0], rtol=1e-14)
    assert_allclose(model.log_prob(utility, listed, other)[2:], [-2000, -np.inf], rtol=1e-14)
    clicked, _ = model.sample(utility, listed, np.full(4, 0.99))
    assert_array_equal(clicked, [[False, True], [False, False], [True, False], [False, False]])


def test_clicks_follow_the_logit():
    utility, listed = np.array([[0.5, -1.0, 2.0, 0.1]]), np.array([[True, True, False, True]])
    model, u = MultinomialLogit(0.3), np.random.default_rng(1).random(N)
    clicked, _ = model.sample(utility.repeat(N, axis=0), listed.repeat(N, axis=0), u)
    assert within_five_standard_errors(clicked.mean(axis=0), model.click_prob(utility, listed)[0], N)
    assert (clicked.sum(axis=1) <= 1).all()


@pytest.mark.parametrize("K", [1, 4, 11])
def test_the_compiled_choice_is_the_plain_one(K):
    utility, listed = some_slates(K, B=500)
    u, model = np.random.default_rng(2).random(500), MultinomialLogit(0.3)
    clicked, examined = model.sample(utility, listed, u)
    # where u falls among the cumulative weights
    held = np.column_stack([np.where(listed, utility, -np.inf), np.full(500, 0.3)])
    weight = np.exp(held - held.max(axis=1, keepdims=True))
    reached = np.cumsum(weight, axis=1)
    slot = (u[:, None] * reached[:, -1:] >= reached).sum(axis=1)
    assert_array_equal(clicked, np.arange(K) == slot[:, None])
    assert_array_equal(examined, listed)
    for b in range(20):  # one user is a batch of one, however the arrays lie in memory
        alone = model.sample(utility[b : b + 1], listed[b : b + 1], u[b : b + 1])
        assert_array_equal(alone.clicked[0], clicked[b])
    along_users = model.sample(np.asfortranarray(utility), np.asfortranarray(listed), u)
    assert_array_equal(along_users.clicked, clicked)


@pytest.mark.parametrize("K", [1, 2, 3, 4])
def test_plackett_luce_over_all_rankings(K):
    model, v = PlackettLuce(), np.random.default_rng(K).normal(0, 1, K)
    orders = np.array(list(permutations(range(K))))
    probability = np.exp(model.log_prob(np.tile(v, (len(orders), 1)), orders))
    by_hand = [
        np.prod([np.exp(v[o[j]]) / np.exp(v[o[j:]]).sum() for j in range(K)])
        for o in orders  # each place a logit over the items left
    ]
    assert_allclose(probability, by_hand, rtol=1e-12)
    assert_allclose(probability.sum(), 1.0, atol=1e-12)
    for k in range(K + 1):  # the beginning of a ranking has the probability of all that begin so
        for first in permutations(range(K), k):
            prefix = np.array([first], np.int64).reshape(1, k)
            these = (orders[:, :k] == prefix).all(axis=1)
            assert_allclose(np.exp(model.log_prob(v[None], prefix)), probability[these].sum(), atol=1e-12)
    u = np.random.default_rng(3).random((N, K))
    ranked = model.rank(np.tile(v, (N, 1)), u)
    share = [(ranked == order).all(axis=1).mean() for order in orders]
    assert within_five_standard_errors(share, probability, N)


def test_the_first_place_of_plackett_luce_is_a_logit_without_a_no_click():
    v = np.random.default_rng(5).normal(0, 2, (30, 6))
    for item in range(6):
        first = PlackettLuce().log_prob(v, np.full((30, 1), item))
        assert_allclose(first, log_softmax(v, axis=1)[:, item], rtol=1e-12)


def test_plackett_luce_at_extremes():
    v = np.array([[1000.0, -1000.0, 0.0]])
    model = PlackettLuce()
    assert_array_equal(model.rank(v, np.array([[0.0, 0.999, 0.5]])), [[0, 2, 1]])
    assert_array_equal(model.rank(np.zeros((1, 3)), np.array([[0.0, 1 - 2**-53, 0.5]])), [[1, 2, 0]])
    assert_allclose(model.log_prob(v, np.array([[1, 2, 0]])), [-3000.0], rtol=1e-14)
    assert model.log_prob(v, np.array([[0, 0]])) == -np.inf
    assert v.tolist() == [[1000.0, -1000.0, 0.0]]  # left as it was


def test_the_probability_ranking_sorts_and_breaks_ties_evenly():
    p = np.array([[0.2, 0.7, 0.2, 0.9, 0.2, 0.7]])
    model = ProbabilityRanking()
    u = np.random.default_rng(6).random((N, 6))
    ranked = model.rank(p.repeat(N, axis=0), u)
    assert_array_equal(np.sort(ranked[:, :1]), 3)
    assert_array_equal(np.sort(ranked[:, 1:3]), [[1, 5]] * N)
    orders, counts = np.unique(ranked, axis=0, return_counts=True)
    assert len(orders) == 2 * 6
    assert within_five_standard_errors(counts / N, np.full(12, 1 / 12), N)
    assert_allclose(model.log_prob(p.repeat(12, axis=0), orders), -log(2) - lgamma(4), rtol=1e-14)
    assert_array_equal(model.rank(p, np.array([[0.3, 0.9, 0.1, 0.5, 0.2, 0.8]])), [[3, 5, 1, 2, 4, 0]])


@pytest.mark.parametrize("K", [1, 2, 3, 4])
def test_probability_rankings_sum_to_one(K):
    rng = np.random.default_rng(K)
    for p in (rng.random(K), np.full(K, 0.5), rng.integers(2, size=K) / 2):
        orders = np.array(list(permutations(range(K))))
        probability = np.exp(ProbabilityRanking().log_prob(np.tile(p, (len(orders), 1)), orders))
        assert_allclose(probability.sum(), 1.0, atol=1e-12)
        assert ((np.diff(p[orders], axis=1) <= 0).all(axis=1) == (probability > 0)).all()
        for k in range(1, K):
            for first in permutations(range(K), k):
                these = (orders[:, :k] == first).all(axis=1)
                prefix = ProbabilityRanking().log_prob(p[None], np.array([first]))
                assert_allclose(np.exp(prefix), probability[these].sum(), atol=1e-12)


def test_plackett_luce_with_utilities_far_apart_is_the_probability_ranking():
    p = np.array([[0.1, 0.6, 0.3, 0.9], [0.4, 0.4, 0.1, 0.2]])
    orders = np.array([[3, 1, 2, 0], [1, 0, 3, 2]])
    limit = ProbabilityRanking().log_prob(p, orders)
    assert_allclose(limit, [0.0, -log(2)], atol=1e-15)
    assert_allclose(PlackettLuce().log_prob(1e4 * p, orders), limit, atol=1e-12)
