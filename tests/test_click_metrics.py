"""Log-likelihood and perplexities of clicks, by hand."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from recsim_env.errors import InputError
from recsim_env.evaluation.click_metrics import (
    conditional_perplexity,
    log_likelihood,
    perplexity,
    perplexity_by_rank,
)

CLICKED = np.array([[True, False], [False, False]])
PROB = np.array([[0.5, 0.2], [0.75, 0.5]])  # of what happened: 1/2, 4/5; 1/4, 1/2
LIKELIHOOD = (math.log(1 / 2) + math.log(4 / 5) + math.log(1 / 4) + math.log(1 / 2)) / 4
BY_RANK = [8**0.5, 2.5**0.5]  # 1 / sqrt(1/2 x 1/4) and 1 / sqrt(4/5 x 1/2)


def test_by_hand() -> None:
    assert log_likelihood(CLICKED, PROB) == (pytest.approx(LIKELIHOOD, rel=1e-14), 1.0)
    assert_allclose(perplexity_by_rank(CLICKED, PROB), BY_RANK, rtol=1e-14)
    for score in (perplexity, conditional_perplexity):
        assert score(CLICKED, PROB) == (pytest.approx(sum(BY_RANK) / 2, rel=1e-14), 1.0)


def test_a_fair_coin_has_perplexity_two_and_the_truth_one() -> None:
    clicked = np.random.default_rng(0).random((50, 4)) < 0.3
    assert perplexity(clicked, np.full(clicked.shape, 0.5)).value == pytest.approx(2.0, rel=1e-14)
    assert log_likelihood(clicked, np.full(clicked.shape, 0.5)).value == pytest.approx(-math.log(2))
    assert perplexity(clicked, clicked.astype(float)).value == pytest.approx(1.0, abs=2e-6)
    assert log_likelihood(clicked, clicked.astype(float), clip=1e-12).value == pytest.approx(0, abs=1e-11)


def test_slots_without_an_item_are_left_out() -> None:
    listed = np.array([[True, True], [True, False]])
    expected = (math.log(1 / 2) + math.log(4 / 5) + math.log(1 / 4)) / 3  # a mean over slots, not slates
    assert log_likelihood(CLICKED, PROB, listed=listed).value == pytest.approx(expected, rel=1e-14)
    assert_allclose(perplexity_by_rank(CLICKED, PROB, listed=listed), [BY_RANK[0], 5 / 4], rtol=1e-14)
    # a rank that never holds an item has no perplexity, and the mean is over those that have one
    listed[:, 1] = False
    assert_allclose(perplexity_by_rank(CLICKED, PROB, listed=listed), [BY_RANK[0]], rtol=1e-14)
    assert perplexity(CLICKED, PROB, listed=listed).value == pytest.approx(BY_RANK[0], rel=1e-14)


def test_what_cannot_happen_is_clipped_and_said() -> None:
    prob = np.array([[0.0, 0.2], [1.0, 0.5], [0.5, 0.5], [1.0, 0.0]])
    clicked = np.array([[True, False], [False, False], [True, False], [True, False]])
    score = log_likelihood(clicked, prob, clip=1e-3)
    assert score.coverage == 1 / 2  # rows 0 and 1 hold a click of probability 0 and a skip of probability 0
    expected = [math.log(1e-3), math.log(0.8), math.log(1e-3)] + 3 * [math.log(0.5)] + 2 * [math.log(0.999)]
    assert score.value == pytest.approx(sum(expected) / 8, rel=1e-12)
    assert perplexity_by_rank(clicked, prob, clip=1e-3)[0] == pytest.approx(
        (1e-3 * 1e-3 * 0.5 * 0.999) ** (-1 / 4), rel=1e-12
    )
    for function in (perplexity, conditional_perplexity):
        assert function(clicked, prob).coverage == 1 / 2
    # what is impossible in an empty slot does not count
    listed = np.array([[False, True], [True, True], [True, True], [True, True]])
    assert log_likelihood(clicked, prob, listed=listed).coverage == 3 / 4


def test_the_clip_is_one_in_a_million_unless_said_otherwise() -> None:
    clicked, never = np.ones((1, 1), np.bool_), np.zeros((1, 1))
    assert log_likelihood(clicked, never) == (pytest.approx(math.log(1e-6), rel=1e-14), 0.0)
    assert conditional_perplexity(clicked, never).value == pytest.approx(1e6, rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prob": PROB + 0.9}, r"probability\[\d, \d\] = 1\.\d+ is not in \[0, 1\]"),
        ({"prob": np.full(PROB.shape, np.nan)}, r"probability\[0, 0\] = nan is not in \[0, 1\]"),
        ({"prob": PROB[0]}, r"must have one shape \(R, K\), got"),
        ({"clip": 0.6}, "clip must be above 0 and below 1/2, got 0.6"),
        ({"clip": -1.0}, "clip must be above 0 and below 1/2, got -1.0"),
        ({"listed": np.zeros(PROB.shape, np.bool_)}, "listed must hold a slot, got none"),
    ],
)
@pytest.mark.parametrize("function", [log_likelihood, conditional_perplexity, perplexity, perplexity_by_rank])
def test_what_cannot_be_scored_is_refused(function, changes, message) -> None:
    settings = dict(changes)
    with pytest.raises(InputError, match=message):
        function(CLICKED, settings.pop("prob", PROB), **settings)
