"""The attacker as the agent: exposures and plans against slow references, and any recommender as victim."""

from itertools import combinations, product

import numpy as np
import pytest

from recsim_env.agents.baselines.popularity_recommender import PopularityRecommender
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.attack import (
    AttackWorld,
    CooccurrenceVictim,
    RecommenderVictim,
    attack,
    first_time,
    items_of,
    members,
)
from recsim_env.testing import FACE_CONTRACTS, VALUE_CONTRACTS, WORLD_CONTRACTS, WorldCase


def play(world, profiles):
    """Rewards of one attack."""
    state, rewards = world.begin(Luck.from_seeds([0])), []
    for profile in profiles:
        slate = np.array([[*profile, *[-1] * (world.slate_size - len(profile))]])
        state, outcome = world.respond(state, slate, Luck.from_seeds([0]))
        rewards.append(outcome.reward[0])
    return rewards


def test_exposure_is_that_of_a_slow_recommender():
    rng = np.random.default_rng(0)
    had, fakes = rng.random((12, 6)) < 0.4, rng.random((3, 6)) < 0.5
    users = [*map(set, map(np.flatnonzero, had)), *map(set, map(np.flatnonzero, fakes))]
    hits = []
    for u in range(12):
        if had[u, 2]:
            continue
        score = {
            j: sum(sum({i, j} <= one for one in users) for i in users[u]) for j in range(6) if not had[u, j]
        }
        better = sum(s > score[2] for s in score.values())
        tied = sum(s == score[2] for s in score.values())
        hits.append(np.mean([better + place < 2 for place in range(tied)]))
    assert CooccurrenceVictim(had, 2, 2).exposure(fakes) == pytest.approx(np.mean(hits))
    assert 0 < np.mean(hits) < 1


@pytest.mark.parametrize("every", [1, 2])
def test_the_plan_is_the_best_of_all_attacks(every):
    world = attack(num_items=4, num_users=15, fakes=3, every=every, k=1, cost=0.03, world_seed=2)
    kinds = [some for size in (1, 2) for some in combinations(range(4), size)]
    best = max(sum(play(world, some)) for some in product(kinds, repeat=3))
    state = world.begin(Luck.from_seeds([0]))
    assert world.values(state, np.array([[0, 1]]))[0][0] == pytest.approx(best)
    earned = 0.0
    for _ in range(3):
        state, outcome = world.respond(state, world.best_slate(state), Luck.from_seeds([0]))
        earned += outcome.reward[0]
        assert outcome.best_value[0] == pytest.approx(outcome.slate_value[0])
    assert earned == pytest.approx(best)
    assert best > max(0.0, 3 * (world.begin(Luck.from_seeds([0])).exposure[0] - 0.03))  # it pays


def test_training_is_on_schedule():
    world = attack(every=3, cost=0.0)
    rewards = play(world, [(0, world.target)] * 3)
    assert rewards[0] == rewards[1] == world.begin(Luck.from_seeds([0])).exposure[0]
    assert rewards[2] > rewards[1]


def test_no_fakes_is_the_honest_recommender_and_cost_is_by_action():
    world = attack(num_items=4, cost=0.1)
    clean = CooccurrenceVictim(world.victim.had, world.target, 2).exposure(np.zeros((0, 4), bool))
    assert world.begin(Luck.from_seeds([3])).exposure[0] == clean
    free = attack(num_items=4, cost=0.0)
    for profile in ((0,), (0, 1), (1, 1)):
        paid, whole = play(world, [profile])[0], play(free, [profile])[0]
        assert whole - paid == pytest.approx(0.1 * len(set(profile)))


def test_helpers():
    assert first_time(np.array([[3, 3, -1], [1, 2, 1]])).astype(int).tolist() == [[1, 0, 0], [1, 1, 0]]
    assert items_of(0b10110) == [1, 2, 4]
    assert members((0b101, 0b10), 3).astype(int).tolist() == [[1, 0, 1], [0, 1, 0]]


def popularity_attack(fakes=4, cost=0.0):
    """Six honest users; item 3 has one of eight clicks."""
    taken = [[0], [0], [0, 1], [0], [1, 2], [3]]
    user = np.repeat(np.arange(6), [len(one) for one in taken])
    log = Log(
        user=user,
        time=np.arange(8.0),
        slate=np.concatenate(taken)[:, None],
        clicked=np.ones((8, 1), bool),
    )
    history = np.array([[-1, *one][-2:] for one in taken])
    victim = RecommenderVictim(lambda seed: PopularityRecommender(num_items=4), log, history, 4, 3, 1)
    return AttackWorld(victim, 4, 3, 1, fakes, cost=cost)


def test_any_recommender_can_be_the_victim_and_popularity_is_worked_out_by_hand():
    """Counts 4, 2, 1, 1. Who had 0 sees 1 first (tied with 3 after one fake), who had 0 and 1 sees 2 or 3."""
    world = popularity_attack()
    # users 0, 1, 3 had 0: best of 1 (2), 2, 3; user 2 had 0, 1: of 2, 3; user 4 had 1, 2: of 0 (4), 3
    wanted = [(0, 0, 0, 0.5, 0), (0.5, 0.5, 0.5, 1, 0), (1, 1, 1, 1, 0), (1, 1, 1, 1, 0.5), (1, 1, 1, 1, 1)]
    assert world.begin(Luck.from_seeds([0])).exposure[0] == pytest.approx(np.mean(wanted[0]))
    assert play(world, [(3,)] * 4) == pytest.approx([np.mean(one) for one in wanted[1:]])
    state = world.begin(Luck.from_seeds([0]))
    assert world.best_slate(state).tolist() == [[3]]
    assert world.values(state, np.array([[3]]))[0][0] == pytest.approx(
        sum(np.mean(one) for one in wanted[1:])
    )


def test_large_attacks_have_no_plan():
    world = attack(num_items=20, actions=6, fakes=9)
    state = world.begin(Luck.from_seeds([0, 1]))
    assert not world.exact
    assert world.best_slate(state)[0, 0] == world.target
    assert np.isnan(world.values(state, np.zeros((2, 6), np.int64))).all()
    state, outcome = world.respond(state, np.tile(np.arange(6), (2, 1)), Luck.from_seeds([0, 1]))
    assert np.isfinite(outcome.reward).all()


CONTRACTS = {c.__name__: c for c in (*WORLD_CONTRACTS, *VALUE_CONTRACTS, *FACE_CONTRACTS)}


@pytest.mark.parametrize("contract", CONTRACTS)
def test_contract_with_training_every_second_time(contract):
    CONTRACTS[contract](WorldCase(lambda: attack(num_items=4, num_users=12, fakes=3, every=2)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_items": 61}, "num_items must be from 2 to 60, got 61"),
        ({"num_users": 1}, "num_users must be at least 2, got 1"),
        ({"history": 5}, "history must be from 1 to num_items - 1, 4, got 5"),
        ({"k": 0}, "k must be from 1 to num_items, 5, got 0"),
        ({"actions": 6}, r"actions must be from 1 to num_items \(5\), got 6"),
        ({"fakes": 0}, "fakes must be at least 1, got 0"),
        ({"every": 0}, "every must be at least 1, got 0"),
        ({"cost": -1.0}, "cost must be 0 or more and finite, got -1"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(InputError, match=message):
        attack(**arguments)


def test_a_target_that_is_no_item():
    with pytest.raises(InputError, match="target must be an item, 0 to 3, got 4"):
        AttackWorld(CooccurrenceVictim(np.ones((2, 4), bool), 4, 1), 4, 4, 1, 1)
