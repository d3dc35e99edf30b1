"""An attacker between the world and a bandit: his rule, his bounds, and who is captured at what cost."""

import numpy as np
import pytest
from test_stochastic_bandits import one_pull

from recsim_env.agents.bandits.corrupted_feedback import CorruptedFeedback
from recsim_env.agents.bandits.epsilon_greedy import EpsilonGreedy
from recsim_env.agents.bandits.ucb1 import UCB1
from recsim_env.agents.baselines.random_slates import RandomSlates
from recsim_env.errors import InputError
from recsim_env.experiments.rounds import play_rounds
from recsim_env.simulators.attackers.reward_corruption import RewardCorruption, cost_bound, pulls_bound
from recsim_env.simulators.worlds.arms import ArmsWorld
from recsim_env.simulators.worlds.bernoulli_bandit import bernoulli_bandit
from recsim_env.testing import AGENT_CONTRACTS, AgentCase
from recsim_env.testing.agent_contracts import it_learns

MEANS = np.array([1.0, 0.4, 0.0, 0.7])
TARGET = 2
SIGMA = 0.5


def normal_arms(T):
    return ArmsWorld(MEANS, T, SIGMA)


def corrupted(agent, B, attack):
    return CorruptedFeedback(agent, attack, B, len(MEANS))


class Alice:
    """The attack on one learner, told in lists."""

    def __init__(self, attack, N):
        self.attack, self.paid, self.told = attack, [[] for _ in range(N)], [[] for _ in range(N)]

    def __call__(self, i, r):
        a, goal = self.attack, self.told[self.attack.target]
        self.paid[i].append(r)
        alpha = 0.0
        if i != a.target and goal:
            n, N = len(goal), len(self.paid)
            beta = np.sqrt(2 * a.deviation**2 / n * np.log(np.pi**2 * N * n**2 / (3 * a.confidence)))
            # what makes the mean told, this round included, just the target's less the margin
            alpha = sum(self.told[i]) + r - (len(self.told[i]) + 1) * (np.mean(goal) - 2 * beta - a.margin)
            spent = sum(sum(p) - sum(t) for p, t in zip(self.paid, self.told, strict=True))
            spent -= r if len(self.paid[i]) > len(self.told[i]) else 0.0
            alpha = max(0.0, min(alpha, a.budget - spent, r - a.least))
        self.told[i].append(r - alpha)
        return r - alpha


@pytest.mark.parametrize("limits", [{}, {"budget": 4.0}, {"least": 0.0}, {"margin": 0.0}])
def test_told_is_what_a_slow_attacker_tells(limits):
    rng = np.random.default_rng(3)
    attack = RewardCorruption(TARGET, SIGMA, **limits)
    B, N = 3, 4
    slow = [Alice(attack, N) for _ in range(B)]
    agent = corrupted(RandomSlates(N, 1), B, attack)
    counts = np.zeros((3, B, N))
    for _ in range(60):
        arms = rng.integers(0, N, B)
        reward = np.maximum(rng.normal(MEANS[arms], SIGMA), 0.0 if "least" in limits else -np.inf)
        told = attack.told(arms[:, None], reward, *counts)
        np.testing.assert_allclose(told, [slow[b](arms[b], reward[b]) for b in range(B)], atol=1e-9)
        assert (told <= reward).all()
        assert (told[arms == TARGET] == reward[arms == TARGET]).all()
        agent.update(one_pull(arms, reward))
    np.testing.assert_array_equal(agent.taken, counts[2])
    np.testing.assert_array_equal(agent.pulls, counts[0])
    assert counts[2].sum() > 1
    assert (agent.spent <= attack.budget + 1e-9).all()


def test_a_budget_of_zero_changes_nothing_to_the_bit():
    B, T = 6, 400
    plain = play_rounds(normal_arms(T), UCB1(B, 4, deviation=SIGMA), B)
    agent = corrupted(UCB1(B, 4, deviation=SIGMA), B, RewardCorruption(TARGET, SIGMA, budget=0.0))
    behind = play_rounds(normal_arms(T), agent, B)
    np.testing.assert_array_equal(plain.slates, behind.slates)
    assert not agent.taken.any()


def test_ucb1_is_captured_at_logarithmic_cost_within_the_bounds():
    """200 replicates: the bounds, of 95% of runs, hold; cost against log T is a line."""
    B, T = 200, 20_000
    agent = corrupted(UCB1(B, 4, deviation=SIGMA), B, RewardCorruption(TARGET, SIGMA))
    world, at, cost, others = normal_arms(T), np.array([1250, 2500, 5000, 10_000, 20_000]), [], []
    width = agent.agent.width

    class Watched:
        rounds = 0

        def act(self, observation, luck):
            return agent.act(observation, luck)

        def update(self, transition):
            agent.update(transition)
            self.rounds += 1
            if self.rounds in at:
                cost.append(agent.spent.copy())
                others.append(np.delete(agent.pulls, TARGET, axis=1).max(axis=1))

    play_rounds(world, Watched(), B)
    cost, others = np.array(cost), np.array(others)
    within = others <= pulls_bound(at, width=width, margin=0.5)[:, None]
    within &= cost <= cost_bound(at, agent.attack, width=width, means=MEANS)[:, None]
    assert within.all(axis=0).mean() >= 0.95
    assert (agent.pulls[:, TARGET] > 0.95 * T).all()
    mean = cost.mean(axis=1)
    slope, intercept = np.polyfit(np.log(at), mean, 1)
    left = mean - intercept - slope * np.log(at)
    assert slope > 0
    assert np.abs(left).max() < 0.05 * mean[-1]  # doubling T adds the same each time
    bound = cost_bound(at, agent.attack, width=width, means=MEANS)
    assert (np.diff(mean) <= np.diff(bound)).all()  # and no more than the bound, which is O(log T), adds
    # and UCB1 left alone hardly ever pulls it
    alone = play_rounds(world, UCB1(B, 4, deviation=SIGMA), B)
    assert (alone.slates[:, :, 0] == TARGET).sum(axis=0).mean() < 0.02 * T


def test_epsilon_greedy_is_captured_and_a_falling_epsilon_makes_it_cheap():
    B, T = 100, 10_000
    cost = {}
    for name, options in {"falling": {"decay": 2.0}, "fixed": {"epsilon": 0.1}}.items():
        inner = EpsilonGreedy(B, 4, reward_range=(-np.inf, np.inf), **options)
        attack = RewardCorruption(TARGET, SIGMA, margin=0.0)
        agent, spent = corrupted(inner, B, attack), []
        play_rounds(normal_arms(T), agent, B, rounds=T // 2)
        spent.append(agent.spent.mean())
        agent = corrupted(EpsilonGreedy(B, 4, reward_range=(-np.inf, np.inf), **options), B, attack)
        play_rounds(normal_arms(T), agent, B)
        spent.append(agent.spent.mean())
        cost[name] = spent
        explored = {"falling": 2.0 * 3 * np.log(T) + 60, "fixed": 0.1 * 0.75 * T * 1.1}[name]
        assert (T - agent.pulls[:, TARGET]).mean() < explored
    # twice the rounds: log 2 more exploration, or twice as much
    assert cost["falling"][1] - cost["falling"][0] < 1.5 * 2.0 * np.log(2.0) * MEANS.sum()
    assert cost["fixed"][1] > 1.8 * cost["fixed"][0]


def test_clicks_can_only_be_taken_away():
    """With `least` the attack keeps rewards 0 or 1, which UCB1 accepts; its mean is the margin."""
    B, T = 50, 20_000
    world = bernoulli_bandit(3, 0.5, 0.9, horizon=T)
    target = int(world.mean.argmin())
    attack = RewardCorruption(target, margin=0.2, least=0.0)
    agent = CorruptedFeedback(UCB1(B, 3), attack, B, 3)
    play_rounds(world, agent, B)
    assert agent.pulls[:, target].mean() > 0.9 * T
    assert agent.spent.mean() < 0.06 * T


CONTRACTS = {c.__name__: c for c in AGENT_CONTRACTS if c is not it_learns}


@pytest.mark.parametrize("contract", CONTRACTS)
def test_contract(contract):
    """An agent behind an attacker is an agent: rows, luck, checkpoints."""
    attack = RewardCorruption(0, least=0.0, budget=9.0)
    case = AgentCase(
        lambda world, B: CorruptedFeedback(UCB1(B, 3), attack, B, 3),
        bernoulli_bandit(3, horizon=500),
    )
    CONTRACTS[contract](case)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RewardCorruption(-1), "target must be an arm, got -1"),
        (lambda: RewardCorruption(0, margin=-0.1), "margin must be 0 or more and finite, got -0.1"),
        (lambda: RewardCorruption(0, confidence=0.6), "confidence must be at most 0.5, got 0.6"),
        (lambda: RewardCorruption(0, deviation=0.0), "deviation must be above 0"),
        (lambda: RewardCorruption(0, budget=-1.0), "budget must be 0 or more, got -1"),
        (lambda: corrupted(UCB1(2, 4), 2, RewardCorruption(4)), "target 4 is not an arm: there are 4"),
        (lambda: EpsilonGreedy(1, 2, 0.1, decay=1.0), "decay must be above 0, finite and without eps"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(InputError, match=message):
        make()
