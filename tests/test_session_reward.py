"""Rewards of sessions: one slate long they are clicks; longer ones add what the policy earns then."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

from recsim_env.agents.generative.recipes.recipe import Known, read_recipe, recommender_of
from recsim_env.errors import InputError
from recsim_env.experiments.organic_users import organic_users
from recsim_env.experiments.policy_measures import lists_of
from recsim_env.experiments.simulated_rewards import SessionReward, SimulatedReward
from recsim_env.simulators.worlds.world import take_rows

pytestmark = pytest.mark.extra


@pytest.fixture(scope="module")
def trained():
    of = organic_users(60, 50, 9, 3, 8, seed=0)
    log = of.log(np.arange(50))
    features = of.world.catalogue.features.astype(float)
    known = Known(log, 60, features, features, 0)
    fitted = recommender_of(read_recipe("sasrec"), known, epochs=2, mask_history=False, device="cpu").fit(log)
    return of, np.ascontiguousarray(of.taken[:, :-1]), fitted.policy_


def test_a_session_of_one_slate_is_a_click(trained):
    of, history, policy = trained
    session = SessionReward(of.world, of.state, history, policy, seed=3, horizon=1)
    clicks = SimulatedReward(of.world, of.state, seed=3)
    users, items = np.arange(50), np.random.default_rng(0).integers(60, size=(50, 4))
    for _ in range(2):
        np.testing.assert_array_equal(session(users, items), clicks(users, items))
    assert session.queries == clicks.queries == 400
    same = SessionReward(of.world, of.state, history, policy, seed=3, horizon=3, discount=0.0)
    np.testing.assert_array_equal(
        same(users, items), SimulatedReward(of.world, of.state, seed=3)(users, items)
    )
    assert same.queries == 200 * (1 + 3 + 3)


def test_longer_sessions_earn_what_the_policy_earns_then(trained):
    of, history, policy = trained
    rng = np.random.default_rng(1)
    users = rng.integers(50, size=4000)
    items = rng.integers(60, size=(4000, 1))
    session = SessionReward(of.world, of.state, history, policy, seed=5, horizon=2, discount=0.5)
    found = session(users, items)[:, 0]
    state = take_rows(of.state, users)
    first = np.full((4000, 3), -1)
    first[:, 0] = items[:, 0]
    click = of.world.expected_reward(state, first)
    lists = lists_of(policy)
    without = of.world.expected_reward(state, lists(history[users], users)[:, :3])
    longer = np.concatenate([history[users, 1:], items], axis=1)
    with_it = of.world.expected_reward(state, lists(longer, users)[:, :3])
    expected = click + 0.5 * (click * with_it + (1 - click) * without)
    assert abs(found.mean() - expected.mean()) < 4 * found.std() / np.sqrt(4000)
    assert expected.mean() > 1.5 * click.mean()


def test_a_row_has_one_luck_and_is_alone_in_it(trained):
    of, history, policy = trained
    session = SessionReward(of.world, of.state, history, policy, seed=5, horizon=3)
    same = session(np.arange(50), np.full((50, 5), 7))
    assert (same == same[:, :1]).all()
    alone = SessionReward(of.world, of.state, history, policy, seed=5, horizon=3)
    items = np.random.default_rng(0).integers(60, size=(50, 5))
    once = alone(np.arange(50), items)
    again = SessionReward(of.world, of.state, history, policy, seed=5, horizon=3)
    np.testing.assert_array_equal(once[:, 3:], again(np.arange(50), items[:, 3:]))


def test_who_left_earns_nothing_more(trained):
    of, history, policy = trained
    leaving = replace(of.world, leave_after_click=1.0, leave_without_click=1.0)
    one = SessionReward(leaving, of.state, history, policy, seed=3, horizon=1)
    users, items = np.arange(50), np.random.default_rng(0).integers(60, size=(50, 4))
    four = SessionReward(leaving, of.state, history, policy, seed=3, horizon=4)
    np.testing.assert_array_equal(one(users, items), four(users, items))
    assert one.queries == four.queries


def test_bad_input(trained):
    of, history, policy = trained
    with pytest.raises(InputError, match="horizon must be at least 1"):
        SessionReward(of.world, of.state, history, policy, 0, horizon=0)
    with pytest.raises(InputError, match="discount must be from 0 to 1"):
        SessionReward(of.world, of.state, history, policy, 0, discount=1.5)
