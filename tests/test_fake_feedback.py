"""Fakes who give feedback: what they say, that honest users say what they would without them, bad input."""

import numpy as np
import pytest

from recsim_env.errors import InputError
from recsim_env.experiments.organic_users import organic_users
from recsim_env.experiments.simulated_rewards import SimulatedReward
from recsim_env.simulators.attackers.attack import known
from recsim_env.simulators.attackers.fake_feedback import (
    FakeRaters,
    PoisonedFeedback,
    fake_raters,
    fakes_of_share,
)
from recsim_env.simulators.worlds.world import take_rows

P, N, H = 30, 48, 6
OF = organic_users(N, P, H, 3, 2, seed=1)
TARGETS = np.array([5, 40])
KNOWN = known("grey", OF.log(np.arange(P)), N, features=OF.world.catalogue.features)


def raters(attack, count=7, seed=0):
    return fake_raters(attack, TARGETS, count, OF.taken, KNOWN, seed)


def honest():
    return SimulatedReward(OF.world, take_rows(OF.state, np.arange(P)), 3)


@pytest.mark.parametrize("attack", ["click", "flip"])
def test_nobody_changes_nothing(attack):
    plain, poisoned = honest(), PoisonedFeedback(honest(), P, raters(attack, 0))
    rng = np.random.default_rng(0)
    for _ in range(3):
        users, items = rng.integers(P, size=9), rng.integers(N, size=(9, 4))
        assert np.array_equal(plain(users, items), poisoned(users, items))


@pytest.mark.parametrize("attack", ["click", "flip"])
def test_fakes_do_not_depend_on_how_many_there_are(attack):
    few, many = raters(attack, 3), raters(attack, 9)
    assert np.array_equal(few.taken, many.taken[:3])
    assert np.array_equal(few.like, many.like[:3])
    assert few.taken.shape == (3, H)
    assert not np.array_equal(raters(attack, 9, seed=1).taken, many.taken)


def test_who_clicks_does_so_on_targets_alone_and_asks_nobody():
    def never(users, items):
        asked.append(users)
        return np.full(items.shape, 0.25)

    asked = []
    reward = PoisonedFeedback(never, P, raters("click"))
    items = np.array([[5, 1, 40], [0, 5, 2], [40, 5, 5]])
    said = reward(np.array([P, 4, P + 6]), items)
    assert said.tolist() == [[1.0, 0.0, 1.0], [0.25] * 3, [1.0] * 3]
    assert [users.tolist() for users in asked] == [[4]]
    assert reward(np.array([P]), items[:1]).tolist() == [[1.0, 0.0, 1.0]]
    assert len(asked) == 1


def test_who_clicks_has_a_past_of_what_is_nearest_to_a_target():
    taken, features = raters("click").taken, OF.world.catalogue.features.astype(np.float64)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for m, row in enumerate(taken):
        target = TARGETS[m % 2]
        nearest = np.argsort(-(unit @ unit[target]), kind="stable")[:H]
        assert sorted(row.tolist()) == sorted(nearest.tolist())


def test_who_flips_says_the_opposite_of_the_one_whose_past_it_has():
    fakes = raters("flip")
    assert np.array_equal(fakes.taken, OF.taken[fakes.like])
    users, items = np.array([3, P + 2, P]), np.random.default_rng(1).integers(N, size=(3, 20))
    said = PoisonedFeedback(honest(), P, fakes)(users, items)
    true = honest()(np.array([3, fakes.like[2], fakes.like[0]]), items)
    assert np.array_equal(said[0], true[0])
    assert np.array_equal(said[1:], 1.0 - true[1:])
    assert 0.0 < true[1:].mean() < 1.0


def test_shares():
    for share in (0.0, 0.05, 0.1, 0.2, 0.4):
        count = fakes_of_share(share, 1000)
        assert count / (1000 + count) == pytest.approx(share, abs=5e-4)
    assert fakes_of_share(0.0, 1000) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: raters("shout"), "there is no attack 'shout'"),
        (lambda: raters("click", -1), "0 or more, got -1"),
        (lambda: fakes_of_share(0.5, 10), "below 0.5, got 0.5"),
        (lambda: fakes_of_share(-0.1, 10), "from 0"),
        (lambda: fake_raters("flip", np.array([3, 3]), 2, OF.taken, KNOWN, 0), "each once"),
        (lambda: fake_raters("click", np.array([N]), 2, OF.taken, KNOWN, 0), f"target {N} is not an item"),
        (
            lambda: fake_raters("click", TARGETS, 2, OF.taken, known("black", OF.log(np.arange(P)), N), 0),
            "SegmentAttacker needs log",
        ),
        (lambda: FakeRaters("flip", TARGETS, OF.taken[:2], np.array([-1, 0])), "whose past"),
        (lambda: FakeRaters("click", TARGETS, OF.taken[:2], np.array([-1])), "whose past"),
        (
            lambda: PoisonedFeedback(honest(), P, raters("click"))(np.array([P + 7]), np.array([[1]])),
            f"users must be from 0 to {P + 6}",
        ),
    ],
)
def test_bad_fakes(call, message):
    with pytest.raises(InputError, match=message):
        call()
