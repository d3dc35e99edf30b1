"""The cascading MDP: the compiled step is the plain one, plans equal enumeration, means equal formulas."""

from dataclasses import replace

import numpy as np
import pytest
import twins

from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.cascade import CascadeState, CascadeWorld
from recsim_env.simulators.worlds.cascade_bandit import cascade_bandit
from recsim_env.simulators.worlds.cascade_kernels import look_down, present
from recsim_env.simulators.worlds.engagement_ladder import engagement_ladder
from recsim_env.simulators.worlds.world import put_rows, repeat_rows
from recsim_env.user_models.clicks.all_lists import all_lists


def random_world(S=4, N=5, K=3, H=4, seed=0):
    rng = np.random.default_rng(seed)
    return CascadeWorld(
        attraction=rng.random((S, N)) * (rng.random((S, N)) < 0.9),
        transition=rng.dirichlet(np.full(S, 0.3), (S, N + 1)),
        reward=rng.random((S, N)),
        slate_size=K,
        horizon=H,
        start=rng.dirichlet(np.ones(S)),
    )


def random_slates(B, N, K, seed=0):
    """With empty slots and repeated items."""
    return np.random.default_rng(seed).integers(-1, N, (B, K))


def simulate(world, policy, B, seed=0):
    """Returns (B,) and summed differences of best and shown value (B,) of a policy (H, S, K)."""
    luck = Luck.from_seeds(np.arange(B) + seed)
    state = world.begin(luck)
    start, total, regret = state.user_state, np.zeros(B), np.zeros(B)
    for h in range(world.horizon):
        state, outcome = world.respond(state, policy[h, state.user_state], luck.at(h))
        total += outcome.reward
        regret += outcome.best_value - outcome.slate_value
    return start, total, regret


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("B", [1, 7, 600])
def test_the_compiled_step_is_the_plain_step(seed, B):
    world = random_world(S=3 + seed, N=5, K=1 + seed, seed=seed)
    luck = Luck.from_seeds(np.arange(B) + 50)
    state = CascadeState(np.random.default_rng(seed).integers(0, 3, B), np.full(B, 2))
    slates = random_slates(B, 5, 1 + seed, seed)
    after, outcome = world.respond(state, slates, luck)
    u = luck.uniform("cascade", (world.slate_size + 1,))
    moved, earned, clicked, examined = twins.respond(world, state.user_state, slates, u)
    assert np.array_equal(after.user_state, moved)
    assert np.array_equal(after.step, state.step + 1)
    assert np.array_equal(outcome.reward, earned)
    assert np.array_equal(outcome.response.clicked, clicked)
    assert np.array_equal(outcome.response.examined, examined)
    next_values = world.optimal_values()[3]
    shown = [
        twins.list_value(world, s, slate, next_values)
        for s, slate in zip(state.user_state, slates, strict=True)
    ]
    np.testing.assert_allclose(outcome.slate_value, shown, atol=1e-12)
    np.testing.assert_allclose(outcome.best_value, world.optimal_values()[2, state.user_state], atol=0)
    best, value = world.values(state, slates)
    assert np.array_equal(best, outcome.best_value)
    assert np.array_equal(value, outcome.slate_value)


def test_the_parts_are_the_plain_parts():
    world = random_world(N=6, K=4)
    user_state, slates = np.random.default_rng(3).integers(0, 4, 200), random_slates(200, 6, 4)
    shown, listed = present(world.attraction, user_state, slates)
    plain_shown, plain_listed = twins.present(world.attraction, user_state, slates)
    assert np.array_equal(shown, plain_shown)
    assert np.array_equal(listed, plain_listed)
    u = np.random.default_rng(4).random((200, 4))
    clicked, examined = np.empty((200, 4), bool), np.empty((200, 4), bool)
    look_down(shown, u, clicked, examined)
    for ours, plain in zip((clicked, examined), twins.look_down(plain_shown, u), strict=True):
        assert np.array_equal(ours, plain)


@pytest.mark.parametrize("seed", range(5))
def test_optimal_values_are_value_iteration_over_all_lists(seed):
    world = random_world(S=3, N=4, K=3, H=5, seed=seed)
    lists = all_lists(4, 3)
    V = np.zeros((6, 3))
    for h in range(4, -1, -1):
        for s in range(3):
            V[h, s] = max(twins.list_value(world, s, slate, V[h + 1]) for slate in lists)
    np.testing.assert_allclose(world.optimal_values(), V, atol=1e-12)
    np.testing.assert_allclose(world.policy_values(world.optimal_policy), V, atol=1e-12)
    state = CascadeState(np.arange(3), np.full(3, 1))
    _, attained = world.values(state, world.best_slate(state))
    np.testing.assert_allclose(attained, V[1], atol=1e-12)


def test_policy_values_are_mean_returns():
    world = random_world(H=5)
    rng = np.random.default_rng(0)
    for trial in range(3):
        policy = rng.integers(-1, 5, (5, 4, 3))
        start, total, regret = simulate(world, policy, 40_000, seed=trial)
        values = world.policy_values(policy)
        for s in range(4):
            mine = total[start == s]
            assert abs(mine.mean() - values[0, s]) < 5 * mine.std() / np.sqrt(len(mine))
        gap = world.mean_start_value(world.optimal_values() - values)
        assert abs(regret.mean() - gap) < 5 * np.hypot(regret.std(), values[0].std() + 1) / np.sqrt(40_000)
    stationary = policy[0]
    np.testing.assert_array_equal(
        world.policy_values(stationary), world.policy_values(np.tile(stationary, (5, 1, 1)))
    )


def test_expected_reward_by_the_formula():
    world = random_world()
    state = CascadeState(np.array([0, 1, 2]), np.zeros(3, int))
    slates = np.array([[0, 1, 2], [3, -1, 3], [4, 4, 0]])
    q, r = world.attraction, world.reward
    by_hand = [
        q[0, 0] * r[0, 0] + (1 - q[0, 0]) * (q[0, 1] * r[0, 1] + (1 - q[0, 1]) * q[0, 2] * r[0, 2]),
        q[1, 3] * r[1, 3],
        q[2, 4] * r[2, 4] + (1 - q[2, 4]) * q[2, 0] * r[2, 0],
    ]
    np.testing.assert_allclose(world.expected_reward(state, slates), by_hand, atol=1e-12)


def test_nothing_given_is_changed_and_the_same_call_gives_the_same():
    world, luck = random_world(), Luck.from_seeds(np.arange(50))
    state, slates = world.begin(luck), random_slates(50, 5, 3)
    before = [a.copy() for a in (*state, slates, luck.seed, luck.episode, luck.step, world.attraction)]
    one, other = world.respond(state, slates, luck), world.respond(state, slates, luck)
    for a, b in zip(
        before, (*state, slates, luck.seed, luck.episode, luck.step, world.attraction), strict=True
    ):
        assert np.array_equal(a, b)
    assert np.array_equal(one[0].user_state, other[0].user_state)
    assert np.array_equal(one[1].reward, other[1].reward)
    assert one[1].reward is not other[1].reward


def test_many_slates_for_the_same_user_under_the_same_luck():
    world, luck = random_world(), Luck.from_seeds([3, 4])
    state, slates = world.begin(luck), np.array([[0, 1, 2], [2, 1, 0]])
    after, outcome = world.respond(repeat_rows(state, 3), slates.repeat(3, axis=0), luck.repeat(3))
    alone_after, alone = world.respond(state, slates, luck)
    assert np.array_equal(after.user_state, alone_after.user_state.repeat(3))
    assert np.array_equal(outcome.reward, alone.reward.repeat(3))


def test_rows_are_put_into_a_copy():
    state = CascadeState(np.array([5, 6]), np.array([7, 8]))
    put = put_rows(state, np.array([0]), CascadeState(np.array([1]), np.array([3])))
    assert put.user_state.tolist() == [1, 6]
    assert put.step.tolist() == [3, 8]
    assert state.user_state.tolist() == [5, 6]


def test_starts_follow_their_distribution():
    world = random_world()
    counts = np.bincount(world.begin(Luck.from_seeds(np.arange(100_000))).user_state, minlength=4)
    p = world.start_distribution
    assert (np.abs(counts / 100_000 - p) < 5 * np.sqrt(p * (1 - p) / 100_000)).all()


@pytest.mark.parametrize(
    ("size", "myopic"),
    [((5, 8, 3, 5), 2.356), ((5, 8, 3, 10), 4.035), ((10, 12, 3, 20), 9.009), ((5, 6, 2, 5), 1.882)],
)
def test_the_ladder_punishes_the_myopic(size, myopic):
    world = engagement_ladder(*size)
    value = world.mean_start_value(world.policy_values(world.myopic_policy()))
    assert abs(value - myopic) < 5e-4
    assert world.mean_start_value(world.optimal_values()) > 1.04 * value


def test_the_bandit_is_worth_what_its_formula_says():
    world = cascade_bandit(8, 3, 0.2, 0.15, horizon=10)
    np.testing.assert_allclose(world.optimal_values()[:, 0], (1 - 0.8**3) * np.arange(10, -1, -1), atol=1e-12)
    assert (world.attraction == 0.2).sum() == 3


def test_an_item_outside_the_catalogue_does_not_reach_memory():
    world, luck = random_world(), Luck.from_seeds([0])
    state = world.begin(luck)
    for call in (
        lambda s: world.respond(state, s, luck),
        lambda s: world.values(state, s),
        lambda s: world.expected_reward(state, s),
    ):
        with pytest.raises(IndexError, match="outside the catalogue"):
            call(np.array([[0, 99_999_999, 1]]))


def spoil(world, table, where, value):
    changed = getattr(world, table).copy()
    changed[where] = value
    return {table: changed}


GOOD = random_world()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            spoil(GOOD, "attraction", (1, 2), np.nan),
            r"attraction must be in \[0, 1\], got attraction\[1, 2\] = nan",
        ),
        (spoil(GOOD, "attraction", (1, 2), 1.2), r"got attraction\[1, 2\] = 1.2"),
        (
            spoil(GOOD, "transition", (0, 5, 1), -0.1),
            r"transition must be in \[0, 1\], got transition\[0, 5, 1\]",
        ),
        (
            spoil(GOOD, "transition", (2, 3), 0.1),
            r"transition rows must sum to 1, got transition\[2, 3\] with sum 0.4",
        ),
        (spoil(GOOD, "reward", (0, 0), np.inf), "reward must be finite"),
        (spoil(GOOD, "start", 0, 0.0), "start rows must sum to 1"),
        ({"attraction": GOOD.attraction[0]}, r"attraction must have shape \(S, N\)"),
        ({"transition": GOOD.transition[:, :-1]}, r"transition must have shape \(4, 6, 4\), got \(4, 5, 4\)"),
        ({"reward": GOOD.reward.T}, r"reward must have shape \(4, 5\)"),
        ({"slate_size": 6}, "slate_size must be from 1 to the number of items, 5, got 6"),
        ({"slate_size": 0}, "slate_size must be from 1"),
        ({"horizon": 0}, "horizon must be at least 1, got 0"),
        ({"item_names": ("a",)}, "item_names must hold 5 names, got 1"),
    ],
)
def test_bad_tables(change, message):
    with pytest.raises(InputError, match=message):
        replace(GOOD, **change)


def test_bad_policies():
    with pytest.raises(InputError, match="policy must have shape"):
        GOOD.policy_values(np.zeros((2, 2), int))
    with pytest.raises(InputError, match="policy must hold items 0-4 or -1"):
        GOOD.policy_values(np.full((4, 3), 5))
