"""Personal slates and candidate sets: the step is the plain step, the best slate the best of all slates."""

from dataclasses import replace
from itertools import permutations, product

import gymnasium as gym
import numpy as np
import pytest

from recsim_env.errors import InputError
from recsim_env.simulators.catalogue import synthetic_catalogue
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.population import synthetic_interests
from recsim_env.simulators.worlds.candidates import CandidateState, CandidateWorld
from recsim_env.simulators.worlds.slate import SlateState, SlateWorld
from recsim_env.simulators.worlds.slate_rec import slate_rec
from recsim_env.simulators.worlds.world import put_rows, repeat_rows, take_rows
from recsim_env.user_models.clicks import (
    CLICK_MODELS,
    DependentClick,
    PositionBased,
    UserBrowsing,
    click_model,
)
from recsim_env.user_models.clicks.all_lists import all_lists


def small_world(clicks="cascade", N=6, K=3, U=4, seed=0, **changes):
    catalogue = synthetic_catalogue(N, 3, 2, quality_deviation=1.0, world_seed=seed)
    parameters = {
        "catalogue": catalogue,
        "interest": np.float32(2.0) * synthetic_interests(catalogue, U, world_seed=seed),
        "clicks": click_model(clicks, K),
        "slate_size": K,
        "horizon": 5,
        "intercept": -1.0,
        "leave_after_click": 0.05,
        "leave_without_click": 0.4,
    }
    return SlateWorld(**{**parameters, **changes})


def plain_attraction(world, user, slates):
    """a(u, i) in float64, 0 in empty slots and for an item's second showing."""
    catalogue = world.catalogue
    shown = np.zeros(slates.shape)
    for b, slate in enumerate(slates.tolist()):
        for k, item in enumerate(slate):
            if item >= 0 and item not in slate[:k]:
                logit = world.intercept + catalogue.quality[item]
                logit += np.float64(catalogue.features[item]) @ np.float64(world.interest[user[b]])
                shown[b, k] = 1.0 / (1.0 + np.exp(-logit))
    return shown


def plain_worth(world, attraction):
    """Expected clicks and probability of staying, by summing over all 2^K patterns of clicks."""
    B, K = attraction.shape
    clicks, stay = np.zeros(B), np.zeros(B)
    for pattern in range(1 << K):
        clicked = np.tile([bool(pattern >> k & 1) for k in range(K)], (B, 1))
        p = np.exp(world.clicks.log_prob(attraction, clicked))
        clicks += p * clicked[0].sum()
        stay += p * (1.0 - (world.leave_after_click if pattern else world.leave_without_click))
    return clicks, stay


def best_of_all(world, user):
    """Brute force: values (H+1,) of one user and, at the first step, the value of each list and the lists.

    The lists are all ordered slates of 1 to K distinct items.
    """
    lists = all_lists(world.num_items, world.slate_size)
    clicks, stay = plain_worth(world, plain_attraction(world, np.full(len(lists), user), lists))
    value = np.zeros(world.horizon + 1)
    for h in range(world.horizon - 1, -1, -1):
        of_lists = clicks + stay * value[h + 1]
        value[h] = of_lists.max()
    return value, of_lists, lists


def random_slates(B, N, K, seed=0):
    """With empty slots and repeated items."""
    return np.random.default_rng(seed).integers(-1, N, (B, K))


@pytest.mark.parametrize("B", [1, 7, 300])
@pytest.mark.parametrize("name", sorted(CLICK_MODELS))
def test_the_step_is_the_plain_step(name, B):
    world, luck = small_world(name), Luck.from_seeds(np.arange(B) + 9)
    user = np.random.default_rng(B).integers(0, 4, B)
    slates = random_slates(B, 6, 3, B)
    state = SlateState(user, np.full(B, 1), *np.zeros((2, B, 3), int))
    after, outcome = world.respond(state, slates, luck)
    attraction = plain_attraction(world, user, slates)
    np.testing.assert_allclose(world.slate_attraction(state, slates), attraction, atol=1e-6)
    exact = world.slate_attraction(state, slates)
    response = world.clicks.sample(exact, luck.uniform("click", (world.clicks.draws_per_slot, 3)))
    left = [
        leave < (world.leave_after_click if clicked.any() else world.leave_without_click)
        for leave, clicked in zip(luck.uniform("leave"), response.clicked, strict=True)
    ]
    assert np.array_equal(outcome.reward, response.clicked.sum(axis=1))
    assert np.array_equal(outcome.left, left)
    assert np.array_equal(outcome.response.clicked, response.clicked)
    assert np.array_equal(outcome.response.examined, response.examined & (attraction > 0.0))
    assert np.array_equal(after.step, state.step + 1)
    assert np.array_equal(after.slate, slates)
    assert np.array_equal(after.clicked, response.clicked)
    assert np.array_equal(after.user, user)
    clicks, stay = plain_worth(world, attraction)
    np.testing.assert_allclose(world.expected_reward(state, slates), clicks, atol=1e-6)
    later = np.array([best_of_all(world, u)[0] for u in range(4)])
    if name not in NOT_BEST:
        np.testing.assert_allclose(outcome.best_value, later[user, 1], atol=1e-5)
        np.testing.assert_allclose(outcome.slate_value, clicks + stay * later[user, 2], atol=1e-5)
    best, value = world.values(state, slates)
    assert np.array_equal(best, outcome.best_value)
    assert np.array_equal(value, outcome.slate_value)


NOT_BEST = {"click_chain": 0.015}  # of the best value, at most


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("N", "K"), [(5, 2), (6, 3)])
@pytest.mark.parametrize("name", sorted(CLICK_MODELS))
def test_no_slate_has_a_higher_value_than_the_best_slate(name, N, K, seed):
    world = small_world(name, N, K, seed=seed, horizon=1 + 2 * seed)
    state = world.begin(Luck.from_seeds(np.arange(50)))
    for u in range(4):
        row = take_rows(state, np.flatnonzero(state.user == u)[:1])
        value, of_lists, _ = best_of_all(world, u)
        best, attained = world.values(row, world.best_slate(row))
        assert best[0] == attained[0]
        assert of_lists.max() == value[0]
        allowed = NOT_BEST.get(name, 0.0) * value[0] + 1e-5
        assert -1e-5 < value[0] - best[0] < allowed


@pytest.mark.parametrize("name", sorted(CLICK_MODELS))
def test_the_order_by_attraction_is_the_best_order_of_random_attractions(name):
    """Straight on the click models, with attractions and chances to leave that worlds seldom have."""
    rng = np.random.default_rng(0)
    largest = 0.0
    for _ in range(60):
        K = int(rng.integers(2, 5))
        attraction = np.sort(
            np.clip(rng.beta(*rng.choice([[1, 1], [0.3, 0.3], [1, 8]]), K + 1), 0.001, 0.999)
        )
        slates = attraction[::-1][np.array(list(permutations(range(K + 1), K)))]
        l_1, l_0 = np.sort(rng.choice([0.0, 0.02, 0.2, 0.5, 1.0], 2))
        world = small_world(name, 6, K, leave_after_click=l_1, leave_without_click=l_0)
        clicks, stay = world._worth(slates)
        value = stated = 0.0
        for _ in range(rng.choice([1, 2, 5, 20])):
            value, stated = (clicks + stay * value).max(), clicks[0] + stay[0] * stated  # the first is sorted
        largest = max(largest, value / stated - 1.0)
    assert largest < NOT_BEST.get(name, 1e-12)
    assert largest > 0.001 or name not in NOT_BEST  # so that an exception no longer needed is found


@pytest.mark.parametrize(
    ("clicks", "short"),
    [
        (PositionBased(np.array([0.4, 1.0, 0.6])), 1e-12),
        (PositionBased(np.array([0.0, 0.5, 0.1])), 1e-12),
        (UserBrowsing(np.array([[0.2, 0, 0], [0.9, 0.1, 0], [0.3, 0.8, 0.5]])), 2e-3),
        (DependentClick(np.array([0.1, 0.9, 0.5])), 2e-3),  # a click on the first slot ends nearly all
    ],
)
def test_click_models_that_were_fitted_have_best_slates_of_their_own(clicks, short):
    """Sorted by attraction, they fall short by some per cent; found by exchanges, hardly at all."""
    sorted_short = found_short = 0.0
    for seed in range(4):
        world = replace(small_world("position_based", 6, 3, seed=seed, horizon=4), clicks=clicks)
        state = world.begin(Luck.from_seeds(np.arange(50)))
        for u in range(4):
            value = best_of_all(world, u)[0][0]
            row = take_rows(state, np.flatnonzero(state.user == u)[:1])
            best, attained = world.values(row, world.best_slate(row))
            assert best[0] == attained[0]
            found_short = max(found_short, value / best[0] - 1.0)
            ascending = world.slate_attraction(row, np.arange(6)[None] % 6)[0].argsort()
            plain = world._always(world.slate_attraction(row, ascending[::-1][None, :3]))[0, 0]
            sorted_short = max(sorted_short, value / plain - 1.0)
    assert -1e-5 < found_short < short + 1e-5
    assert sorted_short > 0.005


def test_the_best_slate_of_the_default_world_is_the_best_order_under_the_click_chain_too():
    """Greedy exchanges of two slots find nothing better."""
    world = slate_rec(clicks="click_chain", num_users=5)
    state = SlateState(np.arange(5), np.full(5, 19), *np.zeros((2, 5, 10), int))
    best = world.best_slate(state)
    value = world.values(state, best)[0]
    for i, j in product(range(10), repeat=2):
        other = best.copy()
        other[:, [i, j]] = best[:, [j, i]]
        assert (world.values(state, other)[1] <= value + 1e-12).all()


@pytest.mark.parametrize("name", ["cascade", "user_browsing"])
def test_attractions_looked_up_or_computed_make_the_same_step_to_the_last_bit(name, monkeypatch):
    looked_up, luck, slates = small_world(name), Luck.from_seeds(np.arange(300)), random_slates(300, 6, 3)
    one, outcome = looked_up.respond(looked_up.begin(luck), slates, luck)
    monkeypatch.setattr("recsim_env.simulators.worlds.slate.MOST_KEPT", 4 * 6 - 1)
    computed = small_world(name)
    other, alone = computed.respond(computed.begin(luck), slates, luck)
    assert looked_up._attraction.shape == (4, 6)
    assert computed._attraction is None
    for ours, theirs in zip((*flat(one), *flat(outcome)), (*flat(other), *flat(alone)), strict=True):
        assert np.array_equal(ours, theirs)
    with pytest.raises(IndexError, match="outside the catalogue"):
        looked_up.respond(one, slates + 6, luck)


def test_users_leave_with_their_probabilities():
    world, B = small_world("position_based", leave_after_click=0.1, leave_without_click=0.3), 100_000
    state = world.begin(Luck.from_seeds(np.arange(B)))
    _, outcome = world.respond(state, np.tile([0, 3, 5], (B, 1)), Luck.from_seeds(np.arange(B)))
    for clicked, p in ((True, 0.1), (False, 0.3)):
        left = outcome.left[(outcome.reward > 0) == clicked]
        assert len(left) > 10_000
        assert abs(left.mean() - p) < 5 * np.sqrt(p * (1 - p) / len(left))


@pytest.mark.parametrize("name", ["cascade", "user_browsing", "dynamic_bayesian"])
def test_values_and_regret_are_those_of_simulated_episodes(name):
    """Random slates, the same for all: exact expected return by the formula, and regret by the lemma."""
    world, B = small_world(name), 40_000
    slates = random_slates(world.horizon, 6, 3, 1)
    luck = Luck.from_seeds(np.arange(B))
    state = first = world.begin(luck)
    total, regret, here = np.zeros(B), np.zeros(B), np.ones(B, bool)
    for h, slate in enumerate(slates):
        state, outcome = world.respond(state, np.tile(slate, (B, 1)), luck.at(h))
        total += here * outcome.reward
        regret += here * (outcome.best_value - outcome.slate_value)
        here &= ~outcome.left
    expected = np.zeros(4)
    for slate in slates[::-1]:
        clicks, stay = plain_worth(world, plain_attraction(world, np.arange(4), np.tile(slate, (4, 1))))
        expected = clicks + stay * expected
    for u in range(4):
        mine = total[first.user == u]
        assert abs(mine.mean() - expected[u]) < 5 * mine.std() / np.sqrt(len(mine))
    gap = world._best[1][first.user, 0] - expected[first.user]
    assert abs((regret - gap).mean()) < 5 * (regret - gap).std() / np.sqrt(B)


def test_users_are_drawn_evenly_from_the_population():
    world = small_world()
    counts = np.bincount(world.begin(Luck.from_seeds(np.arange(40_000))).user, minlength=4)
    assert (np.abs(counts / 40_000 - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 40_000)).all()


def test_hidden_interests_are_not_observed():
    seen = small_world()
    hidden = replace(seen, interest_observed=False)
    state = seen.begin(Luck.from_seeds([1, 2]))
    assert set(seen.observe(state)) == set(seen.observation_entries())
    assert set(seen.observe(state)) - set(hidden.observe(state)) == {"interest"}
    assert set(hidden.observe(state)) == set(hidden.observation_entries())
    assert np.array_equal(seen.observe(state)["interest"], seen.interest[state.user])
    env = gym.make("SlateRec-v0", num_items=50, num_users=5, interest_observed=False)
    assert "interest" not in env.observation_space.spaces
    assert env.observation_space.contains(env.reset(seed=0)[0])


def test_the_observation_holds_the_last_slate():
    world, luck = small_world(), Luck.from_seeds(np.arange(30))
    state = world.begin(luck)
    seen = world.observe(state)
    assert (seen["slate"] == 6).all()
    assert not seen["clicked"].any()
    slates = random_slates(30, 6, 3)
    state, outcome = world.respond(state, slates, luck)
    seen = world.observe(state)
    assert np.array_equal(seen["slate"], np.where(slates < 0, 6, slates))
    assert np.array_equal(seen["clicked"], outcome.response.clicked)
    assert seen["clicked"].dtype == np.int8
    assert (seen["step"] == 1).all()


def flat(state):
    """The arrays of a state, one that it holds included."""
    return [a for column in state for a in (flat(column) if isinstance(column, tuple) else [column])]


def some_candidates(C=4, source="catalogue", **options):
    return CandidateWorld(small_world(**{"N": 60, "K": 3, **options}), C, source)


@pytest.mark.parametrize("world", [small_world(), some_candidates()], ids=["all", "candidates"])
def test_nothing_given_is_changed_and_the_same_call_gives_the_same(world):
    luck = Luck.from_seeds(np.arange(50))
    state, slates = world.begin(luck), random_slates(50, 4, 3)
    before = [a.copy() for a in (*flat(state), slates)]
    one, other = world.respond(state, slates, luck), world.respond(state, slates, luck)
    slates_before = before[-1].copy()
    for a, b in zip(before, (*flat(state), slates), strict=True):
        assert np.array_equal(a, b)
    for a, b in zip(flat(one[0]), flat(other[0]), strict=True):
        assert np.array_equal(a, b)
    slates[:] = 0  # the state keeps a copy
    last = one[0].inner.slate if isinstance(one[0], CandidateState) else one[0].slate
    shown = world.items(state, slates_before) if isinstance(one[0], CandidateState) else slates_before
    assert np.array_equal(last, shown)


@pytest.mark.parametrize("world", [small_world(), some_candidates()], ids=["all", "candidates"])
def test_rows_of_a_state_are_taken_repeated_and_put(world):
    luck = Luck.from_seeds(np.arange(6))
    state, _ = world.respond(world.begin(luck), random_slates(6, 4, 3), luck)
    for one, whole in zip(flat(take_rows(state, np.array([4, 1]))), flat(state), strict=True):
        assert np.array_equal(one, whole[[4, 1]])
    for one, whole in zip(flat(repeat_rows(state, 3)), flat(state), strict=True):
        assert np.array_equal(one, whole.repeat(3, axis=0))
    before = [a.copy() for a in flat(state)]
    put = put_rows(state, np.array([0, 5]), take_rows(state, np.array([2, 3])))
    for one, whole, old in zip(flat(put), flat(state), before, strict=True):
        assert np.array_equal(one, whole[[2, 1, 2, 3, 4, 3]])
        assert np.array_equal(whole, old)
    assert type(put) is type(state)


@pytest.mark.parametrize("world", [small_world(), some_candidates()], ids=["all", "candidates"])
def test_many_slates_for_the_same_user_under_the_same_luck(world):
    luck = Luck.from_seeds([3, 4])
    state, slates = world.begin(luck), np.array([[0, 1, 2], [2, 1, 0]])
    after, outcome = world.respond(repeat_rows(state, 3), slates.repeat(3, axis=0), luck.repeat(3))
    alone_after, alone = world.respond(state, slates, luck)
    for one, other in zip(flat(after), flat(alone_after), strict=True):
        assert np.array_equal(one, other.repeat(3, axis=0))
    assert np.array_equal(outcome.reward, alone.reward.repeat(3))


@pytest.mark.parametrize("source", ["catalogue", "interest"])
def test_candidates_are_distinct_and_each_is_drawn_as_often_as_the_others(source):
    world = some_candidates(6, source, U=3)
    B = 60_000
    state = world.begin(Luck.from_seeds(np.arange(B)))
    nearest = {
        u: np.argsort(-(world.catalogue.features @ world.inner.interest[u]), kind="stable")[:60]
        for u in range(3)
    }
    for step, luck in ((0, None), (1, Luck.from_seeds(np.arange(B)).at(1))):
        if luck is not None:
            state, _ = world.respond(state, np.tile([0, 1, 2], (B, 1)), luck)
        candidates = state.candidates
        assert candidates.shape == (B, 6)
        assert candidates.min() >= 0
        assert candidates.max() < 60
        assert (np.diff(np.sort(candidates, axis=1), axis=1) > 0).all()
        for u in range(3):
            mine = candidates[state.inner.user == u]
            counts = np.bincount(mine.ravel(), minlength=60)[nearest[u]] / len(mine)
            p = 6 / 60
            assert (np.abs(counts - p) < 5 * np.sqrt(p * (1 - p) / len(mine))).all(), step


def test_candidates_from_interest_are_among_the_nearest_items_of_the_user():
    world = CandidateWorld(small_world(N=400, U=5), 4, "interest")
    state = world.begin(Luck.from_seeds(np.arange(2000)))
    features, interest = np.float64(world.catalogue.features), np.float64(world.inner.interest)
    for u in range(5):
        nearest = np.argsort(-(features @ interest[u]))[:40]
        assert set(state.candidates[state.inner.user == u].ravel()) == set(nearest)


def test_places_stand_for_items():
    world = some_candidates(5)
    state = world.begin(Luck.from_seeds(np.arange(40)))
    places = random_slates(40, 5, 3)
    items = world.items(state, places)
    for b in range(40):
        expected = [state.candidates[b, p] if p >= 0 else -1 for p in places[b]]
        assert items[b].tolist() == expected
    luck = Luck.from_seeds(np.arange(40)).at(3)
    after, outcome = world.respond(state, places, luck)
    inner_after, inner_outcome = world.inner.respond(state.inner, items, luck)
    assert np.array_equal(outcome.reward, inner_outcome.reward)
    assert np.array_equal(outcome.left, inner_outcome.left)
    for one, other in zip(flat(after.inner), flat(inner_after), strict=True):
        assert np.array_equal(one, other)
    expected = world.inner.expected_reward(state.inner, items)
    assert np.array_equal(world.expected_reward(state, places), expected)
    assert np.array_equal(outcome.slate_value, expected)


@pytest.mark.parametrize("source", ["catalogue", "interest"])
@pytest.mark.parametrize("name", sorted(CLICK_MODELS))
def test_no_slate_of_candidates_is_clicked_more_than_the_best_one(name, source):
    world = some_candidates(5, source, clicks=name)
    state = world.begin(Luck.from_seeds(np.arange(8)))
    lists = all_lists(5, 3)
    clicks = world.expected_reward(repeat_rows(state, len(lists)), np.tile(lists, (8, 1))).reshape(8, -1)
    best, attained = world.values(state, world.best_slate(state))
    assert np.array_equal(best, attained)
    assert (best <= clicks.max(axis=1) + 1e-12).all()
    assert (best >= clicks.max(axis=1) * (1.0 - NOT_BEST.get(name, 1e-12))).all()


@pytest.mark.parametrize("source", ["catalogue", "interest"])
def test_a_million_items_with_candidates(source):
    env = gym.make("SlateRec-v0", num_items=1_000_000, candidates=100, candidates_from=source, num_users=50)
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    env.action_space.seed(0)
    for _ in range(20):
        observation, _, terminated, truncated, info = env.step(env.action_space.sample())
        assert env.observation_space.contains(observation)
        assert info["best_value"] >= info["slate_value"]
        if terminated or truncated:
            observation, _ = env.reset()
    world = env.unwrapped.world
    best = world.best_slate(env.unwrapped._state)
    assert len(set(best[0].tolist())) == 10


def test_an_item_outside_the_catalogue_does_not_reach_memory():
    world, luck = small_world(), Luck.from_seeds([0])
    state = world.begin(luck)
    for call in (
        lambda s: world.respond(state, s, luck),
        lambda s: world.values(state, s),
        lambda s: world.expected_reward(state, s),
    ):
        with pytest.raises(IndexError, match="outside the catalogue"):
            call(np.array([[0, 99_999_999, 1]]))
    some = some_candidates()
    with pytest.raises(IndexError):
        some.respond(some.begin(luck), np.array([[0, 99_999_999, 1]]), luck)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interest": np.zeros((4, 2), np.float32)}, r"interest must have shape \(U, 3\), got \(4, 2\)"),
        ({"interest": np.zeros(3, np.float32)}, r"interest must have shape \(U, 3\), got \(3,\)"),
        ({"interest": np.full((2, 3), np.nan, np.float32)}, r"interest\[0, 0\] = nan is not finite"),
        ({"interest": np.zeros((0, 3), np.float32)}, "interest must have at least one row"),
        ({"slate_size": 0}, r"slate_size must be from 1 to the number of items \(6\), got 0"),
        ({"slate_size": 7}, "slate_size must be from 1 .* got 7"),
        ({"horizon": 0}, "horizon must be at least 1, got 0"),
        ({"intercept": np.nan}, "intercept must be finite, got nan"),
        ({"leave_after_click": -0.1}, "leave_after_click must be from 0 to 1, got -0.1"),
        ({"leave_without_click": 1.1}, "leave_without_click must be from 0 to 1, got 1.1"),
        ({"leave_without_click": np.nan}, "leave_without_click must be from 0 to 1, got nan"),
        (
            {"leave_after_click": 0.5},
            r"leave_without_click must be at least leave_after_click \(0.5\), got 0.4",
        ),
    ],
)
def test_bad_parameters(change, message):
    with pytest.raises(InputError, match=message):
        replace(small_world(), **change)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"sharpness": -1.0}, "sharpness must be 0 or more and finite, got -1.0"),
        ({"clicks": "cascad"}, "there is no click model 'cascad': did you mean cascade"),
        ({"slate_size": 0}, r"slate_size must be from 1 to the number of items \(100\), got 0"),
        ({"num_users": 0}, "num_users must be at least 1, got 0"),
        ({"num_items": 10}, "num_categories must be from 1"),
        ({"candidates": 9}, r"candidates must be from the slate size \(10\) to 100 with 100 items"),
        ({"candidates": 101}, "candidates must be from the slate size .* got 101"),
        (
            {"candidates": 11, "candidates_from": "interest"},
            r"\(10\) to 10 with 100 items and .*'interest', got 11",
        ),
        (
            {"candidates": 20, "candidates_from": "nearest"},
            "candidates_from must be catalogue or interest, got 'nearest'",
        ),
    ],
)
def test_bad_arguments_of_the_environment(parameters, message):
    with pytest.raises(InputError, match=message):
        slate_rec(**{"num_items": 100, "num_users": 5, **parameters})
