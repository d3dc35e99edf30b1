"""What an attack is worth, against loops over users."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from recsim_env.errors import InputError
from recsim_env.evaluation.target_exposure import (
    cost_per_lift,
    detection_auc,
    false_positive_share,
    roc,
    target_exposure,
)

RNG = np.random.default_rng(3)
SCORES = RNG.normal(size=(30, 20))
HISTORY = np.where(RNG.random((30, 5)) < 0.2, -1, RNG.integers(0, 20, (30, 5)))
TARGETS = np.array([4, 11])


def test_against_a_loop():
    found = target_exposure(SCORES, HISTORY, TARGETS, k=6)
    for u in range(30):
        left = [i for i in range(20) if i not in HISTORY[u]]
        order = sorted(left, key=lambda i: -SCORES[u, i])
        for place, t in enumerate(TARGETS):
            if t in HISTORY[u]:
                assert np.isnan(found.hit_rate[u, place])
                continue
            rank = 1 + order.index(t)
            assert found.rank[u, place] == rank
            assert found.hit_rate[u, place] == (rank <= 6)
            np.testing.assert_allclose(found.ndcg[u, place], (rank <= 6) / np.log2(rank + 1))
    said = found.mean()
    assert said["hit_rate"] == np.nanmean(found.hit_rate, axis=0).mean()
    blocks = (SCORES[start : start + 7] for start in range(0, 30, 7))
    again = target_exposure(blocks, HISTORY, TARGETS, k=6)
    np.testing.assert_array_equal(again.rank, found.rank)


def test_ties_count_in_expectation():
    found = target_exposure(np.zeros((4, 20)), np.full((4, 1), -1), TARGETS, k=5)
    np.testing.assert_allclose(found.hit_rate, 5 / 20)
    np.testing.assert_allclose(found.rank, 10.5)


def test_a_target_that_everybody_has_had():
    with pytest.raises(InputError, match="every honest user has had target 11"):
        target_exposure(SCORES, np.full((30, 1), 11), TARGETS)


def test_detection():
    fake = RNG.random(200) < 0.3
    score = np.round(RNG.normal(size=200) + fake, 1)
    assert detection_auc(score, fake) == pytest.approx(roc_auc_score(fake, score))
    false, true = roc(score, fake)
    theirs = roc_curve(fake, score, drop_intermediate=False)
    np.testing.assert_allclose(false, theirs[0])
    np.testing.assert_allclose(true, theirs[1])
    assert np.isnan(detection_auc(score, np.zeros(200, bool)))
    assert false_positive_share(np.arange(4) < 2, np.array([1, 0, 0, 0], bool)) == pytest.approx(1 / 3)
    assert np.isnan(false_positive_share(np.ones(1, bool), np.ones(1, bool)))


def test_cost():
    assert cost_per_lift(80, 0.01, 0.05) == pytest.approx(20.0)
    assert cost_per_lift(80, 0.05, 0.05) == np.inf
