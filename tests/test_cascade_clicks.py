"""The cascade is what its formulas say, by enumeration and by sampling."""

from itertools import product

import numpy as np
import pytest

from recsim_env.errors import InputError
from recsim_env.simulators.log import Log
from recsim_env.simulators.luck import Luck
from recsim_env.user_models.clicks import Cascade

CLICKS = Cascade()


def attractions(K, B=40):
    a = np.random.default_rng(K).random((B, K))
    a[0], a[1] = 0.0, 1.0
    return a


@pytest.mark.parametrize("K", [1, 2, 3, 4, 5])
def test_all_click_patterns(K):
    a = attractions(K)
    total, expected = np.zeros(len(a)), np.zeros_like(a)
    for pattern in product([False, True], repeat=K):
        clicked = np.broadcast_to(pattern, a.shape)
        probability = np.exp(CLICKS.log_prob(a, clicked))
        total += probability
        expected += probability[:, None] * clicked
        if sum(pattern) > 1:
            assert (probability == 0).all()
    np.testing.assert_allclose(total, 1.0, atol=1e-12)
    np.testing.assert_allclose(CLICKS.click_prob(a), expected, atol=1e-12)


def test_samples_follow_the_formula():
    n = 200_000
    a = np.array([[0.3, 0.0, 0.5, 1.0, 0.2]]).repeat(n, axis=0)
    u = Luck.from_seeds(np.arange(n)).uniform("test", (CLICKS.draws_per_slot, 5))
    response = CLICKS.sample(a, u)
    for shares, exact in (
        (response.clicked.mean(axis=0), CLICKS.click_prob(a[:1])[0]),
        (response.examined.mean(axis=0), CLICKS.examine_prob(a[:1])[0]),
    ):
        assert (np.abs(shares - exact) <= 5 * np.sqrt(exact * (1 - exact) / n) + 1e-15).all()
    assert not (response.clicked & ~response.examined).any()
    assert (response.clicked.sum(axis=1) == 1).all()  # slot 4 attracts for sure
    assert not response.examined[:, 4].any()


def test_one_user_is_a_batch_of_one():
    a, u = attractions(4), np.random.default_rng(1).random((40, 1, 4))
    together = CLICKS.sample(a, u)
    for b in range(40):
        alone = CLICKS.sample(a[b : b + 1], u[b : b + 1])
        assert np.array_equal(alone.clicked[0], together.clicked[b])
        assert np.array_equal(alone.examined[0], together.examined[b])


def shown(R, N, K, seed=0):
    rng = np.random.default_rng(seed)
    slates = rng.permuted(np.tile(np.arange(N), (R, 1)), axis=1)[:, :K]
    slates[rng.random((R, K)) < 0.1] = -1
    return slates


def test_fit_recovers_the_attraction():
    R, N, K = 60_000, 6, 3
    truth = np.array([0.05, 0.2, 0.35, 0.5, 0.7, 0.9])
    slates = shown(R, N, K)
    a = np.where(slates >= 0, truth[slates], 0.0)
    response = CLICKS.sample(a, np.random.default_rng(2).random((R, 1, K)))
    log = Log(np.arange(R), np.zeros(R), slates, response.clicked)
    fit = CLICKS.fit(log, N + 1)
    assert fit.coverage == 1.0
    assert (np.abs(fit.attraction[:N] - truth) < 5 * fit.std_error[:N]).all()
    assert np.isnan(fit.attraction[N])  # never shown
    assert fit.examinations[N] == 0


def test_fit_counts_by_hand_and_says_what_it_cannot_explain():
    slates = np.array([[0, 1, 2], [2, 1, -1], [1, 0, 2]])
    clicked = np.array([[0, 1, 0], [0, 0, 0], [1, 0, 1]], bool)
    log = Log(np.arange(3), np.zeros(3), slates, clicked)
    fit = CLICKS.fit(log, 3, prior=(0.0, 0.0))
    assert fit.examinations.tolist() == [1, 3, 1]  # below the first click nothing counts
    np.testing.assert_allclose(fit.attraction, [0, 2 / 3, 0])
    np.testing.assert_allclose(
        CLICKS.fit(log, 3).attraction, [1 / 3, 3 / 5, 1 / 3]
    )  # one click, one miss more
    assert fit.coverage == pytest.approx(2 / 3)


def test_fit_refuses_unknown_items():
    log = Log(np.zeros(1, int), np.zeros(1), np.array([[0, 7]]), np.zeros((1, 2), bool))
    with pytest.raises(InputError, match=r"slate\[0, 1\] = 7 is not an item: the catalogue has 5 items"):
        CLICKS.fit(log, 5)
