"""KnapsackBandit-v0: the exact optimum, the linear programme, and the two learners with a budget."""

import itertools

import numpy as np
import pytest
from driving import play_rounds
from scipy.optimize import linprog

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.lagrange_bwk import LagrangeBwK
from recsim_env.agents.bandits.ucb_bwk import UcbBwK, best_mix
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.knapsack import KnapsackState, KnapsackWorld
from recsim_env.simulators.worlds.knapsack_bandit import knapsack_bandit


def random_world(seed, num_arms=3, budget=4, horizon=9, coupled=False):
    rng = np.random.default_rng(seed)
    reward, size, cost = rng.uniform(0.05, 1.0, (3, num_arms))
    return KnapsackWorld(reward, size, reward if coupled else cost, budget, horizon, coupled)


def outcomes(world, a):
    """Every (probability, reward, cost) of pulling arm a, from the definition of the two draws."""
    if a == world.wait:
        return [(1.0, 0.0, 0)]
    p, r, c = world.reward_prob[a], world.reward_size[a], world.cost_prob[a]
    if world.coupled:  # here p = c
        return [(p, r, 1), (1.0 - p, 0.0, 0)]
    return [
        ((p if won else 1.0 - p) * (c if paid else 1.0 - c), r * won, paid)
        for won, paid in itertools.product((0, 1), (0, 1))
    ]


@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_optimum_is_the_best_of_all_policies(seed, coupled):
    """Each of the 3^5 deterministic policies of 2 arms, 3 rounds and 2 units, by all that can happen."""
    world = random_world(seed, num_arms=2, budget=2, horizon=3, coupled=coupled)
    places = [(0, 2), (1, 1), (1, 2), (2, 1), (2, 2)]

    def value(policy, h, b):
        if h == 3 or b == 0:
            return 0.0
        return sum(
            prob * (reward + value(policy, h + 1, b - cost))
            for prob, reward, cost in outcomes(world, policy[h, b])
        )

    worths = [
        value(dict(zip(places, arms, strict=True)), 0, 2) for arms in itertools.product(range(3), repeat=5)
    ]
    assert world.optimal_value == pytest.approx(max(worths), abs=1e-12)
    assert max(worths) - min(worths) > 0.1


@pytest.mark.parametrize("coupled", [False, True])
def test_the_plan_is_value_iteration(coupled):
    world = random_world(7, num_arms=4, budget=5, horizon=12, coupled=coupled)
    V = {(12, b): 0.0 for b in range(6)} | {(h, 0): 0.0 for h in range(13)}
    for h in reversed(range(12)):
        for b in range(1, 6):
            Q = [
                sum(prob * (reward + V[h + 1, b - cost]) for prob, reward, cost in outcomes(world, a))
                for a in range(5)
            ]
            V[h, b] = max(Q)
            state = KnapsackState(np.full(5, b), np.zeros(5, int), np.full(5, h))
            best, shown = world.values(state, np.arange(5)[:, None])
            np.testing.assert_allclose(shown, Q, atol=1e-12)
            np.testing.assert_allclose(best, max(Q), atol=1e-12)
            assert Q[world.best_slate(state)[0, 0]] == pytest.approx(max(Q), abs=1e-12)
            # the optimum never needs to wait: some arm that can be pulled is as good
            assert max(Q[:-1]) >= Q[-1] - 1e-12
    table = world.optimal_values()
    assert table.shape == (13, 6)
    np.testing.assert_allclose(table, [[V[h, b] for b in range(6)] for h in range(13)], atol=1e-12)


def test_the_linear_programme_is_above_the_optimum_and_close_in_long_episodes():
    for seed in range(30):
        world = random_world(seed)
        assert world.optimal_value <= world.lp_value + 1e-9
    long = random_world(3, budget=1000, horizon=2500)
    assert long.lp_value * 0.99 < long.optimal_value <= long.lp_value + 1e-6
    # two arms that always pay and cost: by hand, x solves x0 + x1 = 1, 0.8 x0 + 0.2 x1 = 1/2
    assert KnapsackWorld([0.8, 0.4], [1, 1], [0.8, 0.2], 50, 100).lp_value == pytest.approx(100 * 0.6)


@pytest.mark.parametrize("per_round", [0.05, 0.3, 0.7, 1.0])
def test_the_mix_solves_the_programme(per_round):
    """The closed form against scipy's solver, also with free arms, equal arms and arms that never pay."""
    rng = np.random.default_rng(0)
    for case in range(150):
        N = rng.integers(2, 9)
        upper, lower = rng.uniform(0, 1, (2, N))
        if case % 3 == 1:  # many equal and free ones
            upper, lower = rng.integers(0, 3, (2, N)) / 2.0
        upper[-1] = lower[-1] = 0.0
        one, other, weight = best_mix(upper, lower, per_round)
        assert 0.0 <= weight <= 1.0
        x = np.zeros(N)
        x[one] += 1.0 - weight
        x[other] += weight
        assert x @ lower <= per_round + 1e-12
        exact = -linprog(-upper, A_ub=[np.ones(N), lower], b_ub=[1.0, per_round]).fun
        assert x @ upper == pytest.approx(exact, abs=1e-9)


class Anything:
    """Draws every arm alike."""

    def __init__(self, num_items):
        self.num_items = num_items

    def act(self, observation, luck):
        return (luck.uniform("anything", (1,)) * self.num_items).astype(np.int64)

    def update(self, transition):
        pass


@pytest.mark.parametrize("kind", ["bernoulli", "pricing"])
def test_not_more_than_the_budget_is_spent(kind):
    world = knapsack_bandit(kind=kind, num_arms=4, budget=20, horizon=100)
    luck = Luck.from_seeds(np.arange(50))
    state = world.begin(luck)
    spent, gone = np.zeros(50, int), 0
    for h in range(100):
        slates = Anything(5).act(None, luck.at(h))
        before = state
        state, o = world.respond(state, slates, luck.at(h))
        spent += state.cost
        assert (state.budget == 20 - spent).all()
        assert (state.budget >= 0).all()
        empty = before.budget == 0
        gone += empty.sum()
        assert (o.reward[empty] == 0).all()
        assert (o.best_value[empty] == 0).all()
        assert (o.slate_value[empty] == 0).all()
        assert (state.cost[empty] == 0).all()
        assert not o.left.any()
        if kind == "pricing":
            assert ((o.reward > 0) == (state.cost == 1)).all()  # a sale earns and costs
            price = (slates[:, 0] + 1) / 5
            assert (np.isclose(o.reward, price) | (o.reward == 0)).all()
    assert gone > 100


def test_rewards_and_regret_tell_the_same():
    """The optimum less the regret is what is earned, in expectation: the performance-difference lemma."""
    world = knapsack_bandit(num_arms=4, budget=30, horizon=100)
    n = 4000
    luck = Luck.from_seeds(np.arange(n))
    state, earned, regret = world.begin(luck), np.zeros(n), np.zeros(n)
    for h in range(100):
        state, o = world.respond(state, Anything(5).act(None, luck.at(h)), luck.at(h))
        earned += o.reward
        regret += o.best_value - o.slate_value
        assert (o.slate_value <= o.best_value).all()
    gap = earned - (world.optimal_value - regret)
    assert abs(gap.mean()) < 5 * gap.std() / np.sqrt(n)
    assert regret.mean() > 1.0


AGENTS = [UcbBwK, LagrangeBwK]


@pytest.mark.parametrize("kind", AGENTS)
def test_they_come_near_the_linear_programme(kind):
    """What is lost is a smaller share the longer it goes on, and mixes two arms as the programme does."""
    shares = []
    for T in (500, 2000, 8000):
        world = KnapsackWorld([0.8, 0.4], [1, 1], [0.8, 0.2], T // 2, T)
        shown, curve = play_rounds(world, kind(50, 3, T // 2, T), 50)
        earned = world.optimal_value - curve[-1]
        shares.append(1.0 - earned / world.lp_value)
    means = np.mean(shares, axis=1)
    errors = np.std(shares, axis=1, ddof=1) / np.sqrt(50)
    assert (np.diff(means) < -4 * np.hypot(errors[1:], errors[:-1])).all()
    assert means[-1] + 4 * errors[-1] < 0.08
    assert (means > 0).all()  # nobody earns more than the programme
    played = [(shown == a).mean() for a in range(3)]
    assert min(played[:2]) > 0.3  # the programme plays both arms half of the time
    assert played[2] < 0.12


@pytest.mark.parametrize(("kind", "share"), [(UcbBwK, 0.7), (LagrangeBwK, 0.95)])
def test_pricing_beats_chance(kind, share):
    """LagrangeBwK learns slowly: its bound, (T/B) sqrt(T N log T), is far above what can be earned here."""
    T = 4000
    world = knapsack_bandit(kind="pricing", num_arms=7, budget=T // 5, horizon=T)
    shown, curve = play_rounds(world, kind(20, 8, T // 5, T), 20)
    _, chance = play_rounds(world, Anything(8), 20)
    error = np.hypot(curve[-1].std(ddof=1), chance[-1].std(ddof=1)) / np.sqrt(20)
    assert curve[-1].mean() < share * chance[-1].mean() - 4 * error
    if (
        kind is UcbBwK
    ):  # the stock allows to sell in one round of five: prices 3/4 and 7/8, where 1/2 earns most
        assert np.isin(shown[T // 2 : T * 3 // 4], (5, 6)).mean() > 0.5


def test_lagrange_plays_what_its_equations_say():
    """The probability of every arm played, against the sums of the module written in NumPy."""
    world = knapsack_bandit(num_arms=3, budget=100, horizon=400)
    agent, N, T, ratio = LagrangeBwK(1, 4, 100, 400), 4, 400, 4.0
    eta, losses, price = np.sqrt(2 * np.log(N) / (N * T)), np.zeros(N), np.zeros(2)
    luck, mine = Luck.from_seeds([3]), Luck.from_seeds([4])
    state = world.begin(luck)
    resources = []
    for t in range(400):
        observation = world.observe(state)
        slates = agent.act(observation, mine.at(t))
        a, i, open_ = slates[0, 0], agent.resource[0], state.budget[0] > 0
        p = np.exp(-eta * losses) / np.exp(-eta * losses).sum()
        assert agent.chance[0] == pytest.approx(p[a], rel=1e-9)
        q = np.exp(-np.sqrt(8 * np.log(2) / T) * price)
        u = mine.at(t).uniform("lagrange_bwk", (2,))[0, 1]
        assert (i == 0) == (u < q[0] / q.sum())
        resources.append(i)
        state, o = world.respond(state, slates, luck.at(t))
        after = world.observe(state)
        agent.update(Transition(observation, slates, *o.response, o.reward, after, o.left, o.left))
        if open_:
            L = o.reward[0] + np.array([1.0 - ratio * state.cost[0], 0.0])
            losses[a] += (2.0 - L[i]) / (1.0 + ratio) / (p[a] + eta / 2)
            price += L / (1.0 + ratio)
    assert 0 < np.mean(resources) < 1


def test_ucb_bwk_bounds_hold_the_truth():
    """In nearly all rows the optimistic rewards and costs of all arms are on their side of the means."""
    world = knapsack_bandit(num_arms=4, budget=500, horizon=1000)
    agent = UcbBwK(100, 5, 500, 1000)
    play_rounds(world, agent, 100)
    assert (agent.upper[:, :-1] >= world.mean_reward[:-1]).mean() > 0.99
    assert (agent.lower[:, :-1] <= world.mean_cost[:-1]).mean() > 0.99
    assert (agent.upper[:, :-1] < 0.999).any()
    narrow = UcbBwK(100, 5, 500, 1000, gamma=0.5)
    _, curve = play_rounds(world, narrow, 100)
    _, wide = play_rounds(world, UcbBwK(100, 5, 500, 1000), 100)
    assert curve[-1].mean() < wide[-1].mean()  # which is why gamma can be given


@pytest.mark.parametrize("kind", AGENTS)
def test_what_follows_the_last_unit_is_not_learned_from(kind):
    agent = kind(2, 3, 1, 10)
    luck = Luck.from_seeds([0, 1])
    slates = agent.act({"budget": np.array([0, 1])}, luck)
    kept = {name: value.copy() for name, value in vars(agent).items() if isinstance(value, np.ndarray)}
    slates[:] = 0
    before, after = {"budget": np.array([0, 1])}, {"budget": np.array([0, 0]), "cost": np.array([0, 1])}
    flags = np.ones((2, 1), bool), np.ones((2, 1), bool)
    agent.update(Transition(before, slates, *flags, np.zeros(2), after, flags[0][:, 0], flags[0][:, 0]))
    changed = [name for name in kept if not np.array_equal(kept[name][1], getattr(agent, name)[1])]
    assert changed
    assert all(np.array_equal(kept[name][0], getattr(agent, name)[0]) for name in kept)
    with pytest.raises(InputError, match=r"reward\[1\] = 2.0 is outside the range 0 to 1"):
        agent.update(Transition(before, slates, *flags, np.array([0.0, 2.0]), after, *[flags[0][:, 0]] * 2))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"budget": 0}, "budget must be from 1 to the horizon, 2000, got 0"),
        ({"budget": 2001}, "budget must be from 1 to the horizon, 2000, got 2001"),
        ({"horizon": 0}, "horizon must be at least 1, got 0"),
        ({"num_arms": 0}, "num_arms must be at least 1, got 0"),
        ({"kind": "free"}, "kind must be bernoulli or pricing, got 'free'"),
        ({"budget": 30_000, "horizon": 30_000}, "horizon x budget must be at most 50,000,000"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(InputError, match=message):
        knapsack_bandit(**parameters)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (([0.5], [1.0], [0.5, 0.5]), "must have one shape"),
        (([1.5], [1.0], [0.5]), r"reward_prob\[0\] = 1.5"),
        (([0.5], [0.0], [0.5]), r"reward_size\[0\] = 0.0"),
        (([0.5], [1.0], [np.nan]), r"cost_prob\[0\] = nan"),
    ],
)
def test_bad_tables(tables, message):
    with pytest.raises(InputError, match=message):
        KnapsackWorld(*tables, 1, 2)


@pytest.mark.parametrize("kind", AGENTS)
def test_bad_sizes_of_learners(kind):
    for arguments, message in (
        ((0, 3, 1, 2), "num_replicates must be at least 1, got 0"),
        ((1, 1, 1, 2), "num_items must be at least 2, got 1"),
        ((1, 3, 0, 2), "budget must be from 1 to the horizon, 2, got 0"),
    ):
        with pytest.raises(InputError, match=message):
            kind(*arguments)
    with pytest.raises(InputError, match="gamma must be above 0"):
        UcbBwK(1, 3, 1, 2, gamma=0.0)
