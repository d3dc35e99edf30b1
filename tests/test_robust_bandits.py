"""Bandits made for corrupted rewards: against slow references, and what each promises against whom."""

import math

import numpy as np
import pytest
from test_stochastic_bandits import one_pull

from recsim_env.agents.bandits import corruption_robust_ucb
from recsim_env.agents.bandits.barbar import Barbar
from recsim_env.agents.bandits.corrupted_feedback import CorruptedFeedback
from recsim_env.agents.bandits.corruption_robust_ucb import CorruptionRobustUCB
from recsim_env.agents.bandits.median_of_means_ucb import MedianOfMeansUCB
from recsim_env.agents.bandits.ties import UNSEEN
from recsim_env.agents.bandits.trimmed_mean_ucb import BLOCK, TrimmedMeanUCB
from recsim_env.agents.bandits.ucb1 import UCB1
from recsim_env.errors import InputError
from recsim_env.experiments.rounds import play_rounds
from recsim_env.simulators.attackers.reward_corruption import RewardCorruption
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.arms import ArmsWorld

SIGMA = 0.5
MEANS = np.array([1.0, 0.4, 0.0, 0.7])
TARGET = 2


def normal_arms(T):
    return ArmsWorld(MEANS, T, SIGMA)


# ---- slow references: one learner, its rewards in lists ----


class Slow:
    def __init__(self, K, stream, seed):
        self.K, self.t, self.luck = K, 0, Luck.from_seeds([seed])
        self.rewards = [[] for _ in range(K)]
        self.ties = [0.0] * K if stream is None else 1e-9 * self.luck.uniform(stream, (K,))[0]

    def index(self, formula):
        told = zip(self.rewards, self.ties, strict=True)
        values = [formula(r) + tie if r else UNSEEN * (1 + tie) for r, tie in told]
        return values.index(max(values))

    def learn(self, arm, reward):
        self.rewards[arm].append(reward)
        self.t += 1


class SlowRobust(Slow):
    def choose(self):
        log = np.log(self.t + 1)
        return self.index(lambda r: np.mean(r) + np.sqrt(2 * log / len(r)) + 7.5 / len(r))


class SlowMedian(Slow):
    def choose(self):
        k = int(np.ceil(1 + 16 * np.log(6)))

        for arm in np.argsort(-self.ties):
            if len(self.rewards[arm]) < k:
                return int(arm)

        def formula(r):
            blocks = [np.mean(r[j::k]) for j in range(k)]
            return np.median(blocks) + np.sqrt(12 * 0.25 * np.log(self.t + 1) / len(r))

        return self.index(formula)


def kept_of(rewards, share):
    g = int(share * len(rewards))
    return sorted(rewards)[g : len(rewards) - g]


def trimmed(rewards, share):
    return math.fsum(kept_of(rewards, share)) / len(kept_of(rewards, share))


class SlowTrimmed(Slow):
    first = 1

    def choose(self):
        log = np.log(self.t + 1)
        for arm in np.argsort(-self.ties):
            if len(self.rewards[arm]) < self.first:
                return int(arm)
        return self.index(lambda r: trimmed(r, 0.2) + 0.5 / 0.6 * np.sqrt(4 * log / len(r)))


class SlowTrimmedLater(SlowTrimmed):
    first = 7


class SlowBarbar(Slow):
    def __init__(self, *args):
        super().__init__(*args)
        self.rate = 0.5 * np.log(8 * self.K * np.log2(600) / 0.05)
        self.gaps, self.m = np.ones(self.K), 0
        self.plan()

    def plan(self):
        self.n = self.rate / self.gaps**2
        self.end, self.m = self.t + int(np.ceil(self.n.sum())), self.m + 1
        self.rewards = [[] for _ in range(self.K)]

    def choose(self):
        u = self.luck.at(self.t).uniform("barbar")[0]
        return int(np.searchsorted(np.cumsum(self.n / self.n.sum()), u, side="right"))

    def learn(self, arm, reward):
        super().learn(arm, reward)
        if self.t == self.end:
            r = np.array([sum(some) for some in self.rewards]) / self.n
            self.gaps = np.maximum(2.0**-self.m, (r - self.gaps / 16).max() - r)
            self.plan()


PAIRS = {
    "corruption_robust_ucb": (
        lambda B: CorruptionRobustUCB(B, 4, 7.5),
        SlowRobust,
        "corruption_robust_ucb/ties",
    ),
    "median_of_means_ucb": (lambda B: MedianOfMeansUCB(B, 4, 6), SlowMedian, "median_of_means_ucb/ties"),
    "trimmed_mean_ucb": (lambda B: TrimmedMeanUCB(B, 4, 0.2), SlowTrimmed, "trimmed_mean_ucb/ties"),
    "trimmed_mean_ucb, first 7": (
        lambda B: TrimmedMeanUCB(B, 4, 0.2, first=7),
        SlowTrimmedLater,
        "trimmed_mean_ucb/ties",
    ),
    "barbar": (lambda B: Barbar(B, 4, 600, exploration=0.5), SlowBarbar, None),
}


@pytest.mark.parametrize("name", PAIRS)
def test_same_arms_as_a_slow_reference(name):
    make, slow, stream = PAIRS[name]
    B, T, rng = 2, 400 if name == "barbar" else 160, np.random.default_rng(5)
    agent, others = make(B), [slow(4, stream, 9 + b) for b in range(B)]
    luck = Luck.from_seeds(range(9, 9 + B))
    for t in range(T):
        arms = agent.act({}, luck.at(t))[:, 0]
        assert arms.tolist() == [other.choose() for other in others], t
        reward = (rng.random(B) < np.array([0.2, 0.5, 0.8, 0.4])[arms]).astype(float)
        agent.update(one_pull(arms, reward))
        for other, arm, r in zip(others, arms, reward, strict=True):
            other.learn(arm, r)
    if name == "barbar":
        assert agent.epoch.min() > 3


# ---- medians ----


def test_medians_are_those_of_numpy_at_every_pull_and_few_rewards_cannot_move_them():
    """Fewer than half of the blocks are spoilt: the median stays between means of blocks that are not."""
    rng = np.random.default_rng(0)
    agent = MedianOfMeansUCB(1, 2, 10)
    agent.act({}, Luck.from_seeds([1]))
    k = agent.means.shape[2]
    assert k == np.ceil(1 + 16 * np.log(10))
    spoilt = set(rng.choice(600, k // 2 - 1, replace=False).tolist())
    told = []
    for s in range(600):
        told.append(rng.choice([-1e9, 1e9]) if s in spoilt else rng.normal())
        agent.update(one_pull([0], told[-1:]))
        if s + 1 < k:
            assert agent.counts.centres[0, 0] >= UNSEEN
            continue
        median = np.median([np.mean(told[j::k]) for j in range(k)])
        assert agent.counts.centres[0, 0] == pytest.approx(median, rel=1e-6, abs=1e-6)
    clean = [
        m for j, m in enumerate(np.mean(told[j::k]) for j in range(k)) if not spoilt & {*range(j, 600, k)}
    ]
    assert min(clean) <= agent.counts.centres[0, 0] <= max(clean)
    assert abs(np.mean(told)) > 1e5  # a mean is lost


class Strikes:
    """Tells an agent a huge loss at the first pulls of the best arm."""

    def __init__(self, agent, arm, pulls):
        self.agent, self.arm, self.left = agent, arm, pulls

    def act(self, observation, luck):
        return self.agent.act(observation, luck)

    def update(self, transition):
        hit = (transition.slates[:, 0] == self.arm) & (self.left > 0)
        self.left = self.left - hit
        self.agent.update(transition._replace(reward=np.where(hit, -1e6, transition.reward)))


def test_a_few_huge_losses_end_ucb1_and_not_the_median():
    T, B = 4000, 40
    median = Strikes(MedianOfMeansUCB(B, 4, T, SIGMA**2), 0, np.full(B, 20))
    shown = play_rounds(normal_arms(T), median, B).slates[T // 2 :, :, 0]
    assert (shown == 0).mean() > 0.8
    mean = Strikes(UCB1(B, 4, deviation=SIGMA), 0, np.full(B, 1))
    assert (play_rounds(normal_arms(T), mean, B).slates[10:] != 0).all()


def test_heavy_tails_are_learned():
    """Student's t with 2.1 degrees: variance 21, and no third moment."""
    rng, T, B = np.random.default_rng(1), 8000, 40
    agent, luck, best = MedianOfMeansUCB(B, 2, T, 2.1 / 0.1), Luck.from_seeds(range(B)), np.zeros(B)
    for t in range(T):
        arms = agent.act({}, luck.at(t))[:, 0]
        agent.update(one_pull(arms, rng.standard_t(2.1, B) + 3.0 * arms))
        best += arms
    assert (best / T).mean() > 0.8


# ---- trimmed means ----


@pytest.mark.parametrize("grid", [None, 1, 7])
def test_trimmed_means_are_exact_at_every_pull_through_all_halvings_of_blocks(grid):
    """Any numbers, two of them, and a few that come again and again."""
    rng, B, share = np.random.default_rng(3), 2, 0.15
    agent = TrimmedMeanUCB(B, 2, share, deviation=1.0)
    agent.act({}, Luck.from_seeds(range(B)))
    told = [[[], []] for _ in range(B)]
    for s in range(9 * BLOCK):
        arms = (rng.random(B) < 0.2).astype(int)
        r = rng.normal(size=B) if grid is None else rng.integers(0, grid + 1, B) / grid
        r = np.where(rng.random(B) < 0.1, rng.choice([-1e12, 1e12], B), r)
        agent.update(one_pull(arms, r))
        for b in range(B):
            told[b][arms[b]].append(r[b])
            if s % 7 == 0:
                exact = trimmed(told[b][arms[b]], share)
                rounding = 2e-9 + 1e-14 * max(map(abs, kept_of(told[b][arms[b]], share)))
                assert abs(agent.counts.centres[b, arms[b]] - exact) <= rounding
    for b in range(B):
        for a in range(2):
            mine = agent.order[b, a, : agent.blocks[b, a]]
            kept = np.concatenate(
                [agent.rewards[b, i, :n] for i, n in zip(mine, agent.held[b, a], strict=False)]
            )
            np.testing.assert_array_equal(kept, np.sort(told[b][a]))
    assert agent.blocks.sum(axis=1).min() > 8  # more than there was room for at first


def test_nothing_trimmed_is_ucb1():
    T, B = 500, 5
    one = play_rounds(normal_arms(T), UCB1(B, 4, deviation=SIGMA), B).regret.mean()
    plain = TrimmedMeanUCB(B, 4, 0.0, 8.0, deviation=SIGMA)
    assert plain.width == UCB1(B, 4, deviation=SIGMA).width
    other = play_rounds(normal_arms(T), plain, B).regret.mean()
    assert abs(one - other) < 0.1 * one  # ties are drawn from another stream


def test_rows_do_not_depend_on_their_neighbours():
    rng, arms = np.random.default_rng(4), np.array([[0, 1, 1], [2, 2, 0], [1, 0, 2]])
    told = rng.normal(size=(400, 3))
    three, one = TrimmedMeanUCB(3, 3, deviation=1.0), TrimmedMeanUCB(1, 3, deviation=1.0)
    three.act({}, Luck.from_seeds([5, 6, 7]))
    one.act({}, Luck.from_seeds([6]))
    for t in range(400):
        three.update(one_pull(arms[t % 3], told[t]))
        one.update(one_pull(arms[t % 3, 1:2], told[t, 1:2]))
        np.testing.assert_array_equal(three.counts.centres[1], one.counts.centres[0])


class Contaminates:
    """Tells an agent that every tenth reward of its best arm was a huge loss, from the twentieth on."""

    def __init__(self, agent):
        self.agent, self.pulled = agent, 0

    def act(self, observation, luck):
        return self.agent.act(observation, luck)

    def update(self, transition):
        best = transition.slates[:, 0] == 0
        self.pulled = self.pulled + best
        hit = best & (self.pulled >= 20) & (self.pulled % 10 == 0)
        self.agent.update(transition._replace(reward=np.where(hit, -1e6, transition.reward)))


def test_a_tenth_of_huge_losses_without_end_ends_ucb1_and_not_the_trimmed_mean():
    T, B = 4000, 40
    shown = {}
    for name, agent in {
        "trimmed": TrimmedMeanUCB(B, 4, 0.1, deviation=SIGMA),
        "mean": UCB1(B, 4, deviation=SIGMA),
    }.items():
        slates = play_rounds(normal_arms(T), Contaminates(agent), B).slates[T // 2 :, :, 0]
        shown[name] = (slates == 0).mean()
    assert shown["trimmed"] > 0.9
    assert shown["mean"] < 0.05


def test_first_pulls_close_the_gap_that_an_attack_on_first_rewards_uses():
    T, B, C = 20_000, 50, 150.0
    shown = {}
    for first in (1, 50):
        agent = TrimmedMeanUCB(B, 4, 0.1, deviation=SIGMA, first=first)
        attacked = behind(agent, B, budget=C)
        play_rounds(normal_arms(T), attacked, B)
        shown[first] = attacked.pulls[:, TARGET].mean() / T
    assert shown[1] > 0.8
    assert shown[50] < 0.2


def test_a_reward_that_is_no_finite_number_changes_nothing():
    agent = TrimmedMeanUCB(2, 3, deviation=1.0)
    agent.act({}, Luck.from_seeds([1, 2]))
    for wrong in (np.nan, np.inf):
        with pytest.raises(InputError, match=r"reward\[1\] = \w+ is no finite number"):
            agent.update(one_pull([0, 1], [0.5, wrong]))
    with pytest.raises(InputError, match="outside the range 0 to 1"):
        TrimmedMeanUCB(1, 3).update(one_pull([0], [1.5]))
    assert agent.counts.pulls.sum() == 0
    assert agent.held.sum() == 0


# ---- a known budget ----


def behind(agent, B, **more):
    return CorruptedFeedback(agent, RewardCorruption(TARGET, SIGMA, **more), B, 4)


def test_a_budget_that_captures_ucb1_is_held_within_the_bound():
    T, B, C = 20_000, 100, 250.0
    weak = behind(UCB1(B, 4, deviation=SIGMA), B, budget=C)
    lost = play_rounds(normal_arms(T), weak, B).regret
    assert weak.pulls[:, TARGET].mean() > 0.9 * T
    strong = behind(CorruptionRobustUCB(B, 4, C, deviation=SIGMA), B, budget=C)
    held = play_rounds(normal_arms(T), strong, B).regret
    rounds = np.arange(1, T + 1)
    bound = corruption_robust_ucb.regret_bound(rounds, means=MEANS, corruption=C, deviation=SIGMA)
    assert (held.mean(axis=1) <= bound).all()
    assert strong.pulls[:, TARGET].mean() < 0.1 * T
    assert held[-1].mean() < 0.15 * lost[-1].mean()
    assert (strong.spent > 0.99 * C).all()


def test_without_corruption_it_is_ucb1():
    T, B = 500, 5
    one = play_rounds(normal_arms(T), UCB1(B, 4, deviation=SIGMA), B).regret.mean()
    other = play_rounds(normal_arms(T), CorruptionRobustUCB(B, 4, 0.0, deviation=SIGMA), B).regret.mean()
    assert abs(one - other) < 0.1 * one  # ties are drawn from another stream


def test_an_attacker_without_a_limit_captures_all_of_them_and_the_robust_one_dearly():
    """Nobody can hold against corruption without end: what robustness buys is its price."""
    T, B, C = 20_000, 50, 150.0
    spent = {}
    for name, agent in {
        "ucb1": UCB1(B, 4, deviation=SIGMA),
        "robust": CorruptionRobustUCB(B, 4, C, deviation=SIGMA),
        "median": MedianOfMeansUCB(B, 4, T, SIGMA**2),
    }.items():
        attacked = behind(agent, B)
        play_rounds(normal_arms(T), attacked, B)
        spent[name] = attacked.spent.mean()
        assert attacked.pulls[:, TARGET].mean() > 0.7 * T, name
    assert spent["robust"] > 4 * spent["ucb1"]
    assert spent["robust"] > 3 * C


# ---- epochs that forget ----


def test_barbar_recovers_when_the_budget_is_spent():
    T, B, C = 20_000, 50, 150.0
    attacked = behind(Barbar(B, 4, T, exploration=8.0), B, budget=C)
    shown = play_rounds(normal_arms(T), attacked, B).slates[T // 2 :, :, 0]
    assert (attacked.spent > 0.99 * C).all()
    assert (shown == 0).mean() > 0.7
    assert (shown == TARGET).mean() < 0.1


def test_epochs_of_barbar_in_the_paper_are_long():
    agent = Barbar(1, 5, 100_000)
    assert agent.rate == pytest.approx(1024 * np.log(40 * np.log2(100_000) / 0.05))
    assert agent.left[0] > 48_000


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CorruptionRobustUCB(1, 2, -1.0), "corruption must be 0 or more and finite, got -1"),
        (lambda: CorruptionRobustUCB(1, 2, 1.0, 0.0), "exploration must be above 0"),
        (lambda: CorruptionRobustUCB(1, 2, 1.0, deviation=0.0), "deviation must be above 0"),
        (lambda: MedianOfMeansUCB(1, 2, 0), "horizon must be at least 1, got 0"),
        (lambda: MedianOfMeansUCB(1, 2, 9, 0.0), "variance must be above 0"),
        (lambda: TrimmedMeanUCB(1, 2, 0.5), "trimmed must be 0 or more and below 1/2, got 0.5"),
        (lambda: TrimmedMeanUCB(1, 2, float("nan")), "trimmed must be 0 or more"),
        (lambda: TrimmedMeanUCB(1, 2, 0.1, 0.0), "exploration must be above 0"),
        (lambda: TrimmedMeanUCB(1, 2, deviation=-1.0), "deviation must be above 0"),
        (lambda: TrimmedMeanUCB(1, 2, first=0), "first must be at least 1, got 0"),
        (lambda: TrimmedMeanUCB(0, 2), "num_replicates must be at least 1, got 0"),
        (lambda: Barbar(1, 1, 9), "num_items must be at least 2, got 1"),
        (lambda: Barbar(1, 2, 1), "horizon must be at least 2, got 1"),
        (lambda: Barbar(1, 2, 9, 0.0), "exploration must be above 0"),
        (lambda: Barbar(1, 2, 9, confidence=1.0), "confidence must be above 0 and below 1, got 1"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(InputError, match=message):
        make()
