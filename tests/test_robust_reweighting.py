"""LoRec's weights of users, step by step by hand; hard filters."""

import numpy as np
import pytest

from recsim_env.agents.robust.defence import hard_filter
from recsim_env.agents.robust.reweighting import UserReweighting
from recsim_env.errors import InputError

SUSPECT = np.array([0.9, 0.1, 0.1, 0.1, 0.1])  # one of five is above the mean, .26


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def epochs(reweighting, score, count):
    return [reweighting.end_epoch(score) for _ in range(count)]


def test_every_fifth_epoch_flags_lose_one_that_the_others_share():
    users = UserReweighting(5)
    assert epochs(users, SUSPECT, 4) == [False] * 4
    assert users.counter.tolist() == [3.0] * 5
    assert users.end_epoch(SUSPECT)  # epoch 5
    assert users.counter.tolist() == [2.0, 3.25, 3.25, 3.25, 3.25]
    assert epochs(users, np.array([0.0, 0, 0, 0, 1]), 5) == [False] * 4 + [True]  # epoch 10: the last one
    assert users.counter.tolist() == [2.25, 3.5, 3.5, 3.5, 2.25]
    assert users.counter.sum() == pytest.approx(15.0)


def test_two_flags_share_what_both_lose():
    users = UserReweighting(8, every=1)
    assert users.end_epoch(np.array([1.0, 1, 0, 0, 0, 0, 0, 0]))
    np.testing.assert_allclose(users.counter, [2, 2] + [3 + 2 / 6] * 6)


def test_rarer_after_epoch_30():
    users = UserReweighting(5)
    changed = np.flatnonzero(epochs(users, SUSPECT, 62)) + 1
    assert changed.tolist() == [5, 10, 15, 20, 25, 30, 40, 50, 60]


def test_a_third_flagged_is_too_many_and_is_tried_again_at_the_next_epoch():
    users = UserReweighting(6, every=5)
    many = np.array([1.0, 1, 0, 0, 0, 0])  # 2 of 6: a third
    assert epochs(users, many, 6) == [False] * 6
    assert users.counter.tolist() == [3.0] * 6
    assert users.end_epoch(np.array([1.0, 0, 0, 0, 0, 0]))  # epoch 7
    np.testing.assert_allclose(users.counter, [2.0] + [3.2] * 5)
    assert epochs(users, np.array([1.0, 0, 0, 0, 0, 0]), 3) == [False, False, True]  # 10 has its own again


def test_a_threshold_in_place_of_the_mean():
    users = UserReweighting(5, every=1)
    assert users.end_epoch(SUSPECT, 0.95)
    assert users.counter.tolist() == [3.0] * 5
    assert users.end_epoch(np.array([0.9, 0.8, 0.8, 0.8, 0.8]), 0.85)
    assert users.counter.tolist() == [2.0, 3.25, 3.25, 3.25, 3.25]


def test_nobody_is_above_the_mean_of_equals():
    users = UserReweighting(4, every=1)
    assert users.end_epoch(np.full(4, 0.7))
    assert users.counter.tolist() == [3.0] * 4


def test_weights_by_hand():
    users = UserReweighting(5, every=1, warm_up=1)
    expected = {2.0: 1.0, 1.0: 1.0, 0.0: 1.0, -1.0: sigmoid(-1) / sigmoid(3), -2.0: sigmoid(-2) / sigmoid(3)}
    assert sigmoid(0) / sigmoid(3) == pytest.approx(0.525, abs=1e-3)  # between .5 and 1
    for counter, weight in expected.items():
        users.end_epoch(SUSPECT)
        assert users.counter[0] == counter
        assert users.weights[0] == pytest.approx(weight)
    assert users.weights[1] == pytest.approx(sigmoid(3 + 5 / 4) / sigmoid(3))  # above 1: it stays
    assert users.weights[0] == pytest.approx(0.1251, abs=1e-4)


def test_weights_wait_for_the_warm_up():
    users = UserReweighting(5, every=1, warm_up=8)
    epochs(users, SUSPECT, 6)
    assert users.counter[0] == -3.0
    assert users.weights.tolist() == [1.0] * 5  # of epoch 7
    users.end_epoch(SUSPECT)
    assert users.weights[0] == pytest.approx(sigmoid(-4) / sigmoid(3))  # of epoch 8


def test_hard_filters():
    assert hard_filter(np.array([0.2, 0.5, 0.51])).tolist() == [1.0, 1.0, 0.0]
    assert hard_filter(np.array([-3.0, -1.0]), -2).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: UserReweighting(0), "users must be at least 1"),
        (lambda: UserReweighting(3, every=0), "every must be at least 1"),
        (lambda: UserReweighting(3).end_epoch(np.zeros(2)), r"shape \(3,\), got \(2,\)"),
        (lambda: UserReweighting(2).end_epoch(np.array([0.0, np.nan])), "finite"),
        (lambda: hard_filter(np.array([0.7, 0.8])), "all 2 users are more suspicious than 0.5"),
        (lambda: hard_filter(np.zeros((2, 1))), r"suspicion must be \(U,\)"),
        (lambda: hard_filter(np.array([0.0, np.inf])), r"suspicion\[1\] = inf"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()
