"""Advice of experts: the world with full feedback, weighted majority, Hedge and the perturbed leader."""

import math

import gymnasium as gym
import numpy as np
import pytest
from driving import play_rounds

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits import follow_the_perturbed_leader, hedge, weighted_majority
from recsim_env.agents.bandits.follow_the_perturbed_leader import FollowThePerturbedLeader
from recsim_env.agents.bandits.hedge import Hedge
from recsim_env.agents.bandits.weighted_majority import WeightedMajority
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.expert_advice import expert_advice
from recsim_env.simulators.worlds.experts import ExpertWorld

B = 100


def full(costs):
    """A transition of full feedback."""
    nothing = np.zeros(len(costs), bool)
    slates, seen, after = np.zeros((len(costs), 1), np.int64), nothing[:, None], {"costs": costs}
    return Transition({}, slates, seen, seen, np.zeros(len(costs)), after, nothing, nothing)


# The world


def test_what_is_seen_and_when():
    """Predictions before, costs after; who is wrong predicts what the others, who are right, do not."""
    world = expert_advice(num_experts=5, horizon=50, world_seed=2)
    env = gym.make_vec("ExpertAdvice-v0", num_envs=200, num_experts=5, horizon=50, world_seed=2)
    observation, _ = env.reset(seed=0)
    assert (observation["costs"] == 0).all()
    outcomes = []
    for t in range(50):
        wrong = world.costs[t] > 0
        outcome = np.where(wrong, 1 - observation["predictions"], observation["predictions"])
        assert (outcome == outcome[:, :1]).all()  # all experts together name the one outcome
        outcomes.append(outcome[:, 0])
        arms = np.random.default_rng(t).integers(5, size=(200, 1))
        observation, reward, _, _, _ = env.step(arms)
        assert (observation["costs"] == world.costs[t]).all()
        assert np.array_equal(reward, 1.0 - world.costs[t, arms[:, 0]])
    assert (observation["predictions"] == 0).all()  # of a round that is not played
    coins = np.array(outcomes)
    assert abs(coins.mean() - 0.5) < 4 * 0.5 / np.sqrt(coins.size)
    assert abs(np.corrcoef(coins[0], coins[1])[0, 1]) < 4 / np.sqrt(200)


def test_fixed_regret_is_that_of_the_best_single_expert():
    costs = (np.random.default_rng(0).random((9, 3)) < 0.6).astype(float)
    world = ExpertWorld(costs)
    for t in range(10):
        best = min(costs[:t, a].sum() for a in range(3))
        assert world.best_cost()[t] == best
        assert world.fixed_regret()[t] == best - sum(min(row) for row in costs[:t].tolist())


def test_recorded_regret_less_fixed_is_cost_less_that_of_the_best_expert():
    world = expert_advice(num_experts=4, horizon=200, world_seed=5)
    shown, curve = play_rounds(world, Hedge(6, 4), 6)
    paid = np.cumsum(world.costs[np.arange(200)[:, None], shown[:, :, 0]], axis=0)
    np.testing.assert_allclose(
        curve - world.fixed_regret()[1:, None], paid - world.best_cost()[1:, None], atol=1e-9
    )


def test_stochastic_experts_err_as_often_as_is_said():
    costs = expert_advice(num_experts=3, best_error=0.1, gap=0.3, horizon=40_000).costs
    rates = np.sort(costs.mean(axis=0))
    np.testing.assert_allclose(rates, [0.1, 0.4, 0.4], atol=4 * 0.5 / 200)
    assert np.abs(np.corrcoef(costs.T) - np.eye(3)).max() < 4 / 200


def test_camps_are_wrong_in_turns():
    costs = expert_advice(num_experts=7, kind="adversary", horizon=10).costs
    assert (costs[::2] == costs[0]).all()
    assert (costs[1::2] == 1 - costs[0]).all()
    assert costs[0].sum() in (3, 4)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"num_experts": 1}, "num_experts must be at least 2, got 1"),
        ({"kind": "adversry"}, "there is no kind 'adversry': did you mean adversary"),
        ({"gap": 0.0}, "gap must be above 0 and at most 1, got 0.0"),
        ({"best_error": 0.9}, "best_error must be from 0 to 1 - gap, 0.8, got 0.9"),
        ({"horizon": 1}, "horizon must be at least 2, got 1"),
    ],
)
def test_bad_parameters(setting, message):
    with pytest.raises(InputError, match=message):
        expert_advice(**setting)


def test_bad_tables():
    with pytest.raises(InputError, match=r"costs\[1, 0\] = 0.5: an expert is right, 0, or wrong, 1"):
        ExpertWorld([[0.0, 1.0], [0.5, 1.0]])
    with pytest.raises(InputError, match="costs must differ between experts in some round"):
        ExpertWorld([[1.0, 1.0], [0.0, 0.0]])
    with pytest.raises(InputError, match=r"costs must have shape \(H, N\) with a round and two experts"):
        ExpertWorld([[1.0], [0.0]])


# Hedge


@pytest.mark.parametrize("setting", [{}, {"horizon": 60}, {"learning_rate": 0.7}], ids=str)
def test_hedge_is_the_plain_one(setting):
    rng, n = np.random.default_rng(0), 4
    agent, sums = Hedge(2, n, **setting), [[0.0] * n, [0.0] * n]
    for t in range(60):
        if "learning_rate" in setting:
            eta = 0.7
        else:
            eta = math.sqrt(8.0 * math.log(n) / setting.get("horizon", t + 1))
        for p, costs in zip(agent.probabilities().tolist(), sums, strict=True):
            weights = [math.exp(-eta * c) for c in costs]
            assert p == pytest.approx([w / sum(weights) for w in weights], rel=1e-11)
        seen = rng.random((2, n)).astype(np.float32)
        agent.update(full(seen))
        for costs, new in zip(sums, seen.tolist(), strict=True):
            for a in range(n):
                costs[a] += new[a]


def sequences(horizon):
    """Costs (T, N) that are hard in different ways."""
    rng = np.random.default_rng(1)
    for n in (2, 10):
        coins = (rng.random((horizon, n)) < 0.5).astype(float)  # no expert is good: the lower bound's own
        yield f"coins {n}", coins
        yield f"camps {n}", expert_advice(num_experts=n, kind="adversary", horizon=horizon).costs
        yield f"shares {n}", rng.random((horizon, n))
        late = np.ones((horizon, n))
        late[horizon // 2 :, 0] = 0.0
        late[: horizon // 2, 1] = 0.0
        yield f"late {n}", late


@pytest.mark.parametrize(
    ("name", "costs"), [pytest.param(name, costs, id=name) for name, costs in sequences(500)]
)
@pytest.mark.parametrize("known", [False, True], ids=["anytime", "horizon_known"])
def test_hedge_is_within_its_bound(name, costs, known):
    """Of the expected regret, which is exact: p is not random."""
    T, n = costs.shape
    agent, paid = Hedge(1, n, horizon=T if known else None), []
    for row in costs:
        paid.append(agent.probabilities()[0] @ row)
        agent.learn(row[None, :])
    regret = np.cumsum(paid) - np.cumsum(costs, axis=0).min(axis=1)
    bound = hedge.regret_bound(np.arange(1, T + 1), num_items=n, horizon_known=known)
    if known:
        assert regret[-1] <= bound[-1]
    else:
        assert (regret <= bound).all()
    assert bound[-1] <= 2 * np.sqrt(T * np.log(n))  # the course's


def test_hedge_needs_its_bound():
    """On coins it pays about the half of it, so that no bound of a smaller order would hold."""
    lost = []
    for seed in range(20):
        costs = (np.random.default_rng(seed).random((500, 10)) < 0.5).astype(float)
        agent, paid = Hedge(1, 10, horizon=500), 0.0
        for row in costs:
            paid += agent.probabilities()[0] @ row
            agent.learn(row[None, :])
        lost.append(paid - costs.sum(axis=0).min())
    assert np.mean(lost) > 0.5 * hedge.regret_bound(500, num_items=10, horizon_known=True)


def test_probabilities_stay_finite_after_a_million_rounds_of_costs():
    agent = Hedge(1, 3, learning_rate=5.0)
    agent.costs[0] = [1e6, 1e6 + 1.0, 2e6]
    np.testing.assert_allclose(agent.probabilities(), [[1 / (1 + math.exp(-5)), 1 / (1 + math.exp(5)), 0.0]])
    assert (agent.act({}, Luck.from_seeds([3])) < 2).all()


# Weighted majority


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["stochastic", "adversary"])
def test_weighted_majority_is_the_plain_vote_and_within_its_bound(epsilon, kind):
    """In every run and after every round, not in the mean."""
    world = expert_advice(num_experts=7, kind=kind, horizon=300, world_seed=1)
    agent, users, mine = (
        WeightedMajority(20, 7, epsilon=epsilon),
        *map(Luck.from_seeds, (range(20), range(20))),
    )
    state, mistakes, curve = world.begin(users), [0] * 7, []
    seen = world.observe(state)
    for t in range(300):
        slates = agent.act(seen, mine.at(t))
        for row in range(20):
            weight = [(1 - epsilon) ** (m - min(mistakes)) for m in mistakes]
            side = seen["predictions"][row]
            balance = sum(w if s else -w for w, s in zip(weight, side, strict=True))
            if abs(balance) > 1e-9:
                assert side[slates[row, 0]] == (balance > 0)
        state, outcome = world.respond(state, slates, users.at(t))
        seen = world.observe(state)
        agent.update(
            Transition({}, slates, *outcome.response, outcome.reward, seen, outcome.left, outcome.left)
        )
        mistakes = [m + int(c) for m, c in zip(mistakes, world.costs[t], strict=True)]
        curve.append(1.0 - outcome.reward)
    erred, best = np.cumsum(curve, axis=0), world.best_cost()[1:]
    bound = weighted_majority.regret_bound(np.arange(1, 301), num_items=7, best_cost=best, epsilon=epsilon)
    assert (erred - best[:, None] <= bound[:, None]).all()
    assert (erred[-1] <= 2 / (1 - epsilon) * best[-1] + 2 / epsilon * np.log(7)).all()


def test_an_even_vote_is_decided_by_a_coin():
    agent, seen = WeightedMajority(400, 2), {"predictions": np.tile(np.int8([1, 0]), (400, 1))}
    assert abs(agent.act(seen, Luck.from_seeds(np.arange(400))).mean() - 0.5) < 4 * 0.5 / 20


@pytest.mark.parametrize("num_experts", [4, 100])
def test_a_perfect_expert_is_found_after_log2_mistakes(num_experts):
    for seed in range(20):
        world = expert_advice(num_experts, best_error=0.0, gap=0.5, horizon=200, world_seed=seed)
        _, curve = play_rounds(world, WeightedMajority(5, num_experts, epsilon=1.0), 5)
        assert (curve[-1] <= np.log2(num_experts)).all()
        bound = weighted_majority.regret_bound(
            np.array([200]), num_items=num_experts, best_cost=np.zeros(1), epsilon=1.0
        )
        assert bound == np.log2(num_experts)


def test_coins_beat_votes_against_an_adversary():
    """The best expert errs in half of the rounds, a vote in three of four, Hedge in little more than half."""
    world = expert_advice(kind="adversary", horizon=1000)
    fixed = world.fixed_regret()[-1]
    _, vote = play_rounds(world, WeightedMajority(B, 10), B)
    _, leader = play_rounds(world, FollowThePerturbedLeader(B, 10, learning_rate=np.inf), B)
    _, coins = play_rounds(world, Hedge(B, 10, horizon=1000), B)
    _, perturbed = play_rounds(world, FollowThePerturbedLeader(B, 10, horizon=1000), B)
    for deterministic in (vote, leader):
        assert abs((deterministic[-1] - fixed).mean() - 250) < 4 * np.sqrt(1000 / 8) / np.sqrt(B) + 1
    for random, name in ((coins, hedge), (perturbed, follow_the_perturbed_leader)):
        lost = random[-1] - fixed
        bound = name.regret_bound(1000, num_items=10, horizon_known=True)
        assert lost.mean() + 4 * lost.std(ddof=1) / np.sqrt(B) < min(bound, 100)


# Follow the perturbed leader


def test_the_perturbed_leader_is_drawn_as_computed():
    """Of two experts, the one that is behind by d leads with probability exp(-eta d) / 2."""
    n, eta, d = 40_000, 0.6, 1.5
    agent = FollowThePerturbedLeader(n, 2, learning_rate=eta)
    agent.costs[:, 1] = d
    share = agent.act({}, Luck.from_seeds(np.arange(n))).mean()
    exact = 0.5 * math.exp(-eta * d)
    assert abs(share - exact) < 4 * math.sqrt(exact * (1 - exact) / n)


@pytest.mark.parametrize("horizon", [None, 50])
def test_the_perturbed_leader_is_the_plain_one(horizon):
    """With four experts: of two the difference of draws is symmetric, and would hide their sign."""
    rng, luck, n = np.random.default_rng(2), Luck.from_seeds([5, 6]), 4
    agent, sums = FollowThePerturbedLeader(2, n, horizon=horizon), np.zeros((2, n))
    for t in range(50):
        eta = math.sqrt((1 + math.log(n)) / (2 * (t + 1) if horizon is None else horizon))
        u = luck.at(t).uniform("fpl", (n,))
        expected = [min(range(n), key=lambda a: sums[b, a] + math.log(1 - u[b, a]) / eta) for b in range(2)]
        assert agent.act({}, luck.at(t))[:, 0].tolist() == expected
        costs = rng.random((2, n))
        agent.update(full(costs))
        sums += costs


def test_without_perturbation_it_follows_the_leader():
    agent = FollowThePerturbedLeader(400, 3, learning_rate=np.inf)
    agent.costs[:] = [2.0, 1.0, 1.0]
    chosen = agent.act({}, Luck.from_seeds(np.arange(400)))
    assert set(chosen[:, 0]) == {1, 2}
    assert abs(chosen.mean() - 1.5) < 4 * 0.5 / 20


@pytest.mark.parametrize("known", [False, True], ids=["anytime", "horizon_known"])
@pytest.mark.parametrize(
    "costs",
    [pytest.param(costs, id=name) for name, costs in sequences(500) if set(np.unique(costs)) <= {0.0, 1.0}],
)
def test_the_perturbed_leader_is_within_its_bound(costs, known):
    world, (T, n) = ExpertWorld(costs), costs.shape
    _, curve = play_rounds(world, FollowThePerturbedLeader(B, n, horizon=T if known else None), B)
    lost = curve - world.fixed_regret()[1:, None]
    bound = follow_the_perturbed_leader.regret_bound(np.arange(1, T + 1), num_items=n, horizon_known=known)
    high = lost.mean(axis=1) + 4 * lost.std(axis=1, ddof=1) / np.sqrt(B)
    assert high[-1] <= bound[-1]
    if not known:
        assert (high[20:] <= bound[20:]).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Hedge(0, 2), "num_replicates must be at least 1, got 0"),
        (lambda: Hedge(1, 1), "num_items must be at least 2, got 1"),
        (lambda: Hedge(1, 2, horizon=0), "horizon must be at least 1, got 0"),
        (lambda: Hedge(1, 2, learning_rate=0.0), "learning_rate must be above 0 and finite, got 0.0"),
        (lambda: FollowThePerturbedLeader(1, 2, horizon=0), "horizon must be at least 1, got 0"),
        (
            lambda: FollowThePerturbedLeader(1, 2, learning_rate=-1.0),
            "learning_rate must be above 0, got -1.0",
        ),
        (lambda: FollowThePerturbedLeader(0, 2), "num_replicates must be at least 1, got 0"),
        (lambda: WeightedMajority(1, 2, epsilon=0.0), "epsilon must be above 0 and at most 1, got 0.0"),
        (lambda: WeightedMajority(1, 2, epsilon=1.1), "epsilon must be above 0 and at most 1, got 1.1"),
        (lambda: WeightedMajority(0, 2), "num_replicates must be at least 1, got 0"),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    "agent",
    [Hedge(2, 3), FollowThePerturbedLeader(2, 3), WeightedMajority(2, 3)],
    ids=lambda agent: type(agent).__name__,
)
@pytest.mark.parametrize("cost", [1.5, -0.1, np.nan])
def test_costs_out_of_range_are_refused(agent, cost):
    costs = np.full((2, 3), 0.5, np.float32)
    costs[1, 2] = cost
    with pytest.raises(InputError, match=r"costs\[1\] must be from 0 to 1"):
        agent.update(full(costs))
    assert (agent.costs == 0).all()
