"""Stochastic arms: indices against formulas, choices against plain Python, regret against theory."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import betainc, betainccinv

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits import explore_first, moss, successive_elimination, ucb1
from recsim_env.agents.bandits.bayes_ucb import BayesUCB
from recsim_env.agents.bandits.beta_quantiles import tail, upper_quantiles
from recsim_env.agents.bandits.beta_ts import BetaTS
from recsim_env.agents.bandits.delayed_feedback import DelayedFeedback
from recsim_env.agents.bandits.epsilon_greedy import EpsilonGreedy, greedy_or_any
from recsim_env.agents.bandits.exp3 import Exp3
from recsim_env.agents.bandits.explore_first import ExploreFirst, tuned_pulls
from recsim_env.agents.bandits.gaussian_ts import GaussianTS
from recsim_env.agents.bandits.kl_ucb import KLUCB, kl_indices
from recsim_env.agents.bandits.moss import MOSS
from recsim_env.agents.bandits.successive_elimination import SuccessiveElimination
from recsim_env.agents.bandits.ties import UNSEEN
from recsim_env.agents.bandits.ucb1 import UCB1, highest_bound
from recsim_env.errors import InputError
from recsim_env.evaluation.regret_bounds import (
    kl_bernoulli,
    kl_gaussian,
    lai_robbins,
    lai_robbins_slope,
    minimax_lower_bound,
)
from recsim_env.experiments import checkpoint
from recsim_env.experiments.bandit_agents import BANDITS, BanditTask
from recsim_env.experiments.rounds import AGENT_LUCK, play_rounds
from recsim_env.experiments.wrong_priors import prior_costs
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.arms import ArmsWorld
from recsim_env.simulators.worlds.bernoulli_bandit import bernoulli_bandit
from recsim_env.simulators.worlds.gaussian_bandit import gaussian_bandit


def two_arms(gap, horizon, deviation=None):
    return ArmsWorld(np.array([0.5 - gap / 2, 0.5 + gap / 2]), horizon, deviation)


def one_pull(arms, rewards):
    """A transition in which replicate b pulled arms[b]."""
    B = len(arms)
    no, yes = np.zeros(B, bool), np.ones((B, 1), bool)
    slates, reward = np.array(arms)[:, None], np.array(rewards, float)
    return Transition({}, slates, reward[:, None] > 0, yes, reward, {}, no, no)


def exact_kl_bound(mean, n, budget):
    """KL-UCB's index by a root finder that knows nothing of ours."""
    if mean == 1.0 or budget == 0.0:
        return mean
    return brentq(lambda u: n * kl_bernoulli(mean, u) - budget, max(mean, 1e-13), 1 - 1e-15, xtol=1e-14)


def mean_and_error(x):
    return x.mean(), x.std(ddof=1) / np.sqrt(len(x))


# ---- the worlds: a step in NumPy ----


@pytest.mark.parametrize("deviation", [None, 0.7], ids=["coins", "normal"])
def test_rewards_are_means_and_draws(deviation):
    B = 500
    world, luck = ArmsWorld(np.linspace(0.1, 0.9, 4), 10, deviation), Luck.from_seeds(range(B))
    slates = (np.arange(B) % 4)[:, None]
    mean, state = world.mean[slates[:, 0]], world.begin(luck)
    for t in range(3):
        now = luck.at(t)
        state, outcome = world.respond(state, slates, now)
        if deviation is None:
            assert np.array_equal(outcome.reward, now.uniform("reward") < mean)
            assert np.array_equal(outcome.response.clicked[:, 0], outcome.reward == 1.0)
        else:
            assert np.array_equal(outcome.reward, mean + deviation * now.normal("reward"))
            assert outcome.response.clicked.all()
        assert outcome.response.examined.all()
        assert np.array_equal(outcome.slate_value, mean)
        assert (outcome.best_value == 0.9).all()
        assert (state.step == t + 1).all()


# ---- every algorithm against a twin in plain Python ----


class Twin:
    """One replicate, told its rewards as lists; `choose` is the algorithm."""

    def __init__(self, K, stream, seed):
        self.K, self.luck = K, Luck.from_seeds([AGENT_LUCK + seed])
        self.rewards = [[] for _ in range(K)]
        self.ties = [1e-9 * u for u in self.luck.uniform(stream, (K,))[0]]
        self.t = 0

    def index(self, formula):
        values = [
            formula(sum(r) / len(r), len(r)) + tie if r else UNSEEN * (1 + tie)
            for r, tie in zip(self.rewards, self.ties, strict=True)
        ]
        return values.index(max(values))


class ExploreFirstTwin(Twin):
    def choose(self):
        if self.t < 12 * self.K:  # the k-th of every turn is the arm with the k-th largest tie
            return sorted(range(self.K), key=lambda a: -self.ties[a])[self.t % self.K]
        means = [sum(r[:12]) / 12 + tie for r, tie in zip(self.rewards, self.ties, strict=True)]
        return means.index(max(means))


class EpsilonGreedyTwin(Twin):
    def choose(self):
        t = max(self.t + 1, 2)
        u, v = self.luck.at(self.t).uniform("epsilon_greedy", (2,))[0]
        if u < min(1.0, (self.K * np.log(t) / t) ** (1 / 3)):
            return int(v * self.K)
        return self.index(lambda mean, n: mean)


class EliminationTwin(Twin):
    def __init__(self, *args):
        super().__init__(*args)
        self.queue = []
        self.active = list(range(self.K))

    def choose(self):
        if not self.queue:
            if self.t:
                n = len(self.rewards[self.active[0]])
                r = np.sqrt(2 * np.log(300) / n)
                means = {a: sum(self.rewards[a]) / n for a in self.active}
                top = max(means.values())
                self.active = [a for a in self.active if means[a] + r >= top - r]
            self.queue = sorted(self.active, key=lambda a: -self.ties[a])
        return self.queue.pop(0)


class KLTwin(Twin):
    def choose(self):
        budget = np.log(self.t + 1) + 3 * np.log(max(np.log(self.t + 1), 1.0))

        return self.index(lambda mean, n: exact_kl_bound(mean, n, budget))


class MOSSTwin(Twin):
    def choose(self):
        return self.index(lambda mean, n: mean + np.sqrt(max(np.log(300 / (self.K * n)), 0) / n))


class AnytimeTwin(Twin):
    def choose(self):
        return self.index(lambda mean, n: mean + np.sqrt(max(np.log((self.t + 1) / (self.K * n)), 0) / n))


class GaussianTwin(Twin):
    def choose(self):
        z = self.luck.at(self.t).normal("gaussian_ts", (self.K,))[0]
        draws = []
        for r, noise in zip(self.rewards, z, strict=True):  # prior N(0.3, 2^2), rewards of deviation 0.5
            precision = 1 / 4 + len(r) / 0.25
            draws.append((0.3 / 4 + sum(r) / 0.25) / precision + noise / np.sqrt(precision))
        return draws.index(max(draws))


class BayesTwin(Twin):
    def choose(self):
        level = 1 / (max(self.t + 1, 2) * np.log(300) ** 2)
        values = [
            betainccinv(1 + sum(r), 2 + len(r) - sum(r), level) + tie
            for r, tie in zip(self.rewards, self.ties, strict=True)
        ]
        return values.index(max(values))


TWINS = {
    "explore_first": (lambda B: ExploreFirst(B, 4, 12), ExploreFirstTwin),
    "epsilon_greedy": (lambda B: EpsilonGreedy(B, 4), EpsilonGreedyTwin),
    "successive_elimination": (lambda B: SuccessiveElimination(B, 4, 300), EliminationTwin),
    "kl_ucb": (lambda B: KLUCB(B, 4, c=3.0), KLTwin),
    "moss": (lambda B: MOSS(B, 4, 300), MOSSTwin),
    "moss_anytime": (lambda B: MOSS(B, 4), AnytimeTwin),
    "gaussian_ts": (lambda B: GaussianTS(B, 4, (0.3, 2.0), 0.5), GaussianTwin),
    "bayes_ucb": (lambda B: BayesUCB(B, 4, (1.0, 2.0), 2.0, 300), BayesTwin),
}


@pytest.mark.parametrize("name", TWINS)
def test_choices_are_those_of_plain_python(name):
    """300 rounds of 2 replicates: every single pull."""
    make, twin = TWINS[name]
    world = bernoulli_bandit(4, 0.05, 0.95, horizon=300)
    played = play_rounds(world, make(2), 2, seed=9)
    stream = {"moss_anytime": "moss/ties"}.get(name, f"{name}/ties")
    for b in range(2):
        other = twin(4, stream, 9 + b)
        for t in range(300):
            arm = other.choose()
            assert arm == played.slates[t, b, 0], (t, b)
            other.rewards[arm].append(played.reward[t, b])
            other.t += 1


# ---- indices and posteriors ----


def test_kl_ucb_index_against_brentq():
    rng = np.random.default_rng(0)
    n = rng.integers(1, 2000, (50, 6)).astype(float)
    sums = np.floor(n * rng.random((50, 6)))
    sums[:, 0], sums[:, 1] = 0.0, n[:, 1]
    sums[:, 2] = n[:, 2] * rng.random(50)  # rewards between 0 and 1
    rounds = rng.integers(1, 100_000, 50).astype(float)
    for c in (0.0, 3.0):
        bounds = 30 * rng.random((50, 6))
        index = kl_indices(n, sums, rounds, np.zeros((50, 6)), c, bounds)
        for b, a in np.ndindex(50, 6):
            log_t = np.log(rounds[b] + 1)
            budget, mean = log_t + c * np.log(max(log_t, 1.0)), sums[b, a] / n[b, a]
            exact = exact_kl_bound(mean, n[b, a], budget)
            assert abs(index[b, a] - exact) < 1e-8
            assert index[b, a] <= mean + np.sqrt(budget / (2 * n[b, a])) + 1e-9  # Pinsker


def test_moss_index_in_closed_form():
    """A pulled T/K times has its mean as index, B has a radius: B is pulled if it makes up for the mean."""
    for mean, expected in ((0.4, 1), (0.1, 0)):
        agent = MOSS(1, 2, horizon=200)
        agent.act({}, Luck.from_seeds([1]))
        for i in range(100):
            agent.update(one_pull([0], [i % 2]))
        for i in range(20):
            agent.update(one_pull([1], [float(i < 20 * mean)]))
        radius = np.sqrt(np.log(200 / (2 * 20)) / 20)  # 0.2837: 0.4 + it is above 1/2, 0.1 + it below
        assert (mean + radius > 0.5) == bool(expected)
        assert agent.act({}, Luck.from_seeds([1]).at(1))[0, 0] == expected


def test_gaussian_posterior_in_closed_form():
    rng = np.random.default_rng(2)
    prior = np.array([[1.0, 0.5], [-2.0, 3.0], [0.0, 1.0]])
    agent = GaussianTS(2, 3, prior, deviation=0.7)
    arms, rewards = rng.integers(0, 3, (40, 2)), rng.normal(size=(40, 2))
    for arm, reward in zip(arms, rewards, strict=True):
        agent.update(one_pull(arm, reward))
    for b, a in np.ndindex(2, 3):
        x = rewards[arms[:, b] == a, b]
        precision = 1 / prior[a, 1] ** 2 + len(x) / 0.49
        mean = (prior[a, 0] / prior[a, 1] ** 2 + x.sum() / 0.49) / precision
        assert agent.mean[b, a] == pytest.approx(mean, abs=1e-12)
        assert agent.precision[b, a] == pytest.approx(precision, rel=1e-12)
        assert agent.scale[b, a] == pytest.approx(precision**-0.5, rel=1e-12)


def test_agrawal_and_goyals_posterior_is_the_default():
    agent = GaussianTS(1, 2)
    for x in (1.0, 0.0, 1.0):
        agent.update(one_pull([1], [x]))
    assert agent.mean[0] == pytest.approx([0.0, 2 / 4])
    assert agent.scale[0] == pytest.approx([1.0, 0.5])


@pytest.mark.parametrize("v", [0.1, 0.7, 3.0, 9.0, 18.0, 30.0])
def test_beta_quantiles_from_nothing_against_scipy(v):
    rng = np.random.default_rng(3)
    size = rng.choice([2, 10, 300, 1e5], 400)
    a, b = 1 + np.floor(size * rng.random(400)), 1 + np.floor(size * rng.random(400))
    a[:40], b[40:80] = 1.0, 1.0
    a[80:160] += rng.random(80)  # shares of wins
    b[80:160] += rng.random(80)
    assert np.abs(upper_quantiles(a, b, v) - betainccinv(a, b, np.exp(-v))).max() < 1e-9


def test_tail_of_beta_against_scipy():
    for a, b, x in ((1, 1, 0.3), (2.5, 7, 0.9), (300, 20, 0.93), (1, 900, 0.004), (40, 1, 0.99)):
        above, density = tail(float(a), float(b), x)
        assert above == pytest.approx(betainc(b, a, 1 - x), rel=1e-10)
        h = 1e-6
        assert density == pytest.approx((betainc(a, b, x + h) - betainc(a, b, x - h)) / (2 * h), rel=1e-4)


@pytest.mark.parametrize("shares", [False, True], ids=["wins", "shares-of-wins"])
def test_bayes_ucb_quantiles_along_a_run(shares):
    """All quantiles it acts by are within 1e-6 of scipy's, however they were carried from round to round."""
    world, B = bernoulli_bandit(5, 0.02, 0.98, horizon=3000), 10
    agent, worst = BayesUCB(B, 5), 0.0
    users = Luck.from_seeds(range(B))
    state = world.begin(users)
    rng = np.random.default_rng(0)
    for t in range(3000):
        slates = agent.act({}, users.at(t))
        if t < 50 or t % 29 == 0:
            v = np.log(max(t + 1, 2))
            x, dv = agent.anchors[..., 0], v - agent.anchors[..., 1]
            _, _, _, w, second, third, _ = np.moveaxis(agent.anchors, -1, 0)
            used = x + dv * (w + dv * (second + dv * third))
            worst = max(worst, np.abs(used - betainccinv(agent.alpha, agent.beta, np.exp(-v))).max())
        _, o = world.respond(state, slates, users.at(t))
        reward = o.reward * rng.random(B) if shares else o.reward
        agent.update(one_pull(slates[:, 0], reward))
    assert 1e-12 < worst < 1e-6


# ---- what the algorithms promise ----


def test_explore_first_never_changes_its_mind():
    world = bernoulli_bandit(5, horizon=600)
    shown = play_rounds(world, ExploreFirst(30, 5, 20), 30).slates[..., 0]
    for b in range(30):
        assert (np.bincount(shown[:100, b], minlength=5) == 20).all()
        assert len(set(shown[100:, b])) == 1
    assert len(set(shown[0])) > 1  # the order is a draw


def test_tuned_pulls():
    assert tuned_pulls(1000, 2) == int(np.ceil(500 ** (2 / 3) * np.log(1000) ** (1 / 3)))
    assert tuned_pulls(10, 10) == 1
    assert all(tuned_pulls(T, 7) * 7 <= T for T in range(7, 200))
    with pytest.raises(InputError, match="rounds must be at least the number of arms, 7, got 6"):
        tuned_pulls(6, 7)


def test_fixed_epsilon_explores_its_share():
    """Of 10 arms, the nine worse ones get 0.9 epsilon of the pulls once the best is known."""
    world = bernoulli_bandit(10, 0.1, 0.9, "one_best", horizon=2000)
    played = play_rounds(world, EpsilonGreedy(100, 10, 0.3), 100)
    wrong = (played.slates[1000:, :, 0] != world.mean.argmax()).mean(axis=0)
    mean, error = mean_and_error(wrong)
    assert abs(mean - 0.27) < 4 * error
    assert error < 0.01


def test_elimination_keeps_the_best_arm_and_drops_others_in_time():
    """Of 2,000 replicates none may lose the best (the probability is below 2 / T^2 each)."""
    T = 1500
    world = bernoulli_bandit(5, 0.1, 0.9, horizon=T)
    agent = SuccessiveElimination(2000, 5, T)
    play_rounds(world, agent, 2000)
    best, gaps = world.mean.argmax(), world.gaps
    assert agent.active[:, best].all()
    worse = gaps > 0
    assert (agent.counts.pulls[:, worse] <= 32 * np.log(T) / gaps[worse] ** 2 + 1).all()
    assert agent.active.sum(axis=1).mean() < 3  # it does drop arms
    assert (agent.counts.pulls[:, worse] <= agent.counts.pulls[:, [best]] + 1).all()


def test_gaussian_thompson_learns_normal_arms():
    world = gaussian_bandit(5, horizon=1000)
    regret = play_rounds(world, GaussianTS(100, 5), 100).regret[-1]
    mean, error = mean_and_error(regret)
    assert mean + 4 * error < 0.25 * 1000 * world.gaps.mean()


# ---- how regret grows ----


def slope(horizons, regrets):
    """Of log mean regret against log horizon, with its standard error; regrets (horizons, B), independent."""
    mean = regrets.mean(axis=1)
    error = regrets.std(axis=1, ddof=1) / np.sqrt(regrets.shape[1]) / mean
    x = np.log(horizons) - np.log(horizons).mean()
    return x @ np.log(mean) / (x @ x), np.sqrt((x**2 * error**2).sum()) / (x @ x)


def at_horizons(horizons, make, gap, B):
    return np.array(
        [
            play_rounds(two_arms(gap(T), T), make(T, B), B, seed=1000 * i).regret[-1]
            for i, T in enumerate(horizons)
        ]
    )


WORST = {
    # agent, gap that is worst for it, power of log T that its regret has besides, exponent of T
    "ucb1": (lambda T, B: UCB1(B, 2), lambda T: 2 * np.sqrt(2 * np.log(T) / T), 0.5),
    "moss": (lambda T, B: MOSS(B, 2, T), lambda T: 2 * np.sqrt(2 / T), 0.0),
}


@pytest.mark.parametrize("size", ["quick", pytest.param("long", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", WORST)
def test_regret_at_the_worst_gap_grows_as_the_root_of_the_horizon(name, size):
    """Slope 1/2 once the stated power of log T is divided out, and surely not 2/3."""
    make, gap, power = WORST[name]
    horizons, B = (np.array([500, 2000, 8000]), 300) if size == "quick" else (4 ** np.arange(4, 9), 1000)
    regrets = at_horizons(horizons, make, gap, B) / np.log(horizons)[:, None] ** power
    found, error = slope(horizons, regrets)
    assert abs(found - 1 / 2) < 4 * error + 0.02  # 0.02 for terms of lower order
    assert found + 4 * error < 2 / 3


@pytest.mark.parametrize("size", ["quick", pytest.param("long", marks=pytest.mark.slow)])
def test_explore_first_with_the_tuned_pulls_grows_with_exponent_two_thirds(size):
    """At the worst of five gaps for each horizon, with its (log T)^{1/3} divided out; not 1/2."""
    horizons, B = (np.array([500, 2000, 8000]), 100) if size == "quick" else (4 ** np.arange(4, 9), 400)
    by_gap = [
        at_horizons(horizons, lambda T, B: ExploreFirst(B, 2, tuned_pulls(T, 2)), lambda T, g=g: g, B)
        for g in (0.05, 0.1, 0.2, 0.4, 0.8)
    ]
    worst = np.array([max((r[i] for r in by_gap), key=np.mean) for i in range(len(horizons))])
    found, error = slope(horizons, worst / np.log(horizons)[:, None] ** (1 / 3))
    assert abs(found - 2 / 3) < 4 * error + 0.01  # 0.01 for rounding N up
    assert found - 4 * error > 0.6


def test_falling_epsilon_grows_with_exponent_two_thirds_and_a_fixed_one_linearly():
    T, B = 8000, 200
    at = np.array([1000, 2000, 4000, 8000])
    falling = play_rounds(two_arms(0.6, T), EpsilonGreedy(B, 2), B).regret[at - 1]
    fixed = play_rounds(two_arms(0.6, T), EpsilonGreedy(B, 2, 0.2), B).regret[at - 1]
    found, error = slope(at, falling / np.log(at)[:, None] ** (1 / 3))
    assert abs(found - 2 / 3) < 4 * error + 0.02
    found, error = slope(at, fixed)
    assert abs(found - 1) < 4 * error + 0.02


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("ucb1", 4.0, 8.0), ("kl_ucb", 1.0, 1.8), ("bayes_ucb", 1.0, 1.6), ("beta_ts", 0.5, 1.3)],
)
def test_regret_at_a_fixed_gap_grows_with_the_logarithm(name, least, most):
    """What a doubling of T adds does not grow with T, and is so many times what Lai and Robbins say at least.

    UCB1's budget of 2 log T a squared radius, against 1/(2 gap^2): four times Pinsker's bound on the optimum.
    Index policies approach the slope from above, Thompson sampling from below.
    """
    T, B = 16_000, 200
    make = {"ucb1": UCB1, "kl_ucb": KLUCB, "bayes_ucb": BayesUCB, "beta_ts": BetaTS}[name]
    world = two_arms(0.2, T)
    regret = play_rounds(world, make(B, 2), B).regret
    early, late = regret[3999] - regret[999], regret[15_999] - regret[3999]
    change, error = mean_and_error(late - early)
    assert abs(change) < 4 * error + 0.15 * early.mean()  # the root of T would add a full early
    gained, error = mean_and_error(late / np.log(4))
    optimum = lai_robbins_slope(world.mean)
    assert least * optimum - 4 * error < gained < most * optimum + 4 * error


# ---- wrong priors and late feedback ----


def test_what_wrong_priors_cost():
    """Bayes regret over means that are drawn: too much hope costs, too little costs more, the truth least."""
    world, B = bernoulli_bandit(10, 0.0, 1.0, "drawn", horizon=600), 200
    priors = {"right": (1.0, 1.0), "hopeful": (30.0, 1.0), "gloomy": (1.0, 30.0)}
    found = prior_costs(world, lambda prior: BetaTS(B, 10, prior), priors, B)
    assert found["right"].cost == found["right"].cost_error == 0.0
    for name in ("hopeful", "gloomy"):
        assert found[name].cost > 4 * found[name].cost_error > 0
        assert found[name].cost == pytest.approx(found[name].regret - found["right"].regret)
    gap = found["gloomy"].cost - found["hopeful"].cost
    assert gap > 4 * np.hypot(found["gloomy"].cost_error, found["hopeful"].cost_error)


def test_what_wrong_normal_priors_cost():
    world, B = gaussian_bandit(5, -1.0, 1.0, "drawn", horizon=500), 200
    priors = {"right": (0.0, 0.58), "hopeful": (3.0, 0.58), "gloomy": (-3.0, 0.58)}
    found = prior_costs(world, lambda prior: GaussianTS(B, 5, prior), priors, B)
    for name in ("hopeful", "gloomy"):
        assert found[name].cost > 4 * found[name].cost_error > 0
    with pytest.raises(InputError, match="num_replicates must be at least 2"):
        prior_costs(world, lambda prior: GaussianTS(1, 5, prior), priors, 1)
    with pytest.raises(InputError, match="priors must name at least one"):
        prior_costs(world, lambda prior: GaussianTS(B, 5, prior), {}, B)


class Recorder:
    """Pulls arm 0 and notes what it is told."""

    def __init__(self):
        self.told, self.now = [], 0

    def act(self, observation, luck):
        self.now = int(observation["step"][0])
        return np.zeros((2, 1), np.int64)

    def update(self, t):
        self.told.append((self.now, t))


@pytest.mark.parametrize("batches", [False, True], ids=["late", "batches"])
@pytest.mark.parametrize("delay", [1, 4])
def test_everything_is_told_unchanged_and_in_time(batches, delay):
    world, direct, late = bernoulli_bandit(3, horizon=13), Recorder(), Recorder()
    play_rounds(world, direct, 2)
    play_rounds(world, DelayedFeedback(late, delay, batches), 2)
    due = [t + delay for t in range(13)] if not batches else [(t // delay + 1) * delay - 1 for t in range(13)]
    due = [t for t in due if t < 13]
    assert [now for now, _ in late.told] == due
    for (_, mine), (_, theirs) in zip(late.told, direct.told, strict=False):
        are_the_same(mine, theirs)


def are_the_same(mine, theirs):
    for a, b in zip(mine, theirs, strict=True):
        pairs = [(a[k], b[k]) for k in b] if isinstance(b, dict) else [(a, b)]
        for x, y in pairs:
            assert x.dtype == y.dtype
            assert np.array_equal(x, y)
        assert not isinstance(b, dict) or list(a) == list(b)


@pytest.mark.parametrize("batches", [False, True], ids=["late", "batches"])
def test_what_waits_is_told_after_a_checkpoint(batches, tmp_path):
    """Whatever an agent sees: arrays of many types, an empty one, and one that is not in memory order."""
    rng = np.random.default_rng(0)

    def seen():
        flags = rng.integers(0, 2, (3, 2), np.int8).T
        return {"step": rng.integers(0, 9, 2), "none": np.zeros((2, 0, 3), np.float32), "flags": flags}

    def happened():
        slates, reward, left = rng.integers(0, 9, (2, 3)), rng.standard_normal(2), rng.random(2) < 0.5
        return Transition(seen(), slates, slates > 3, slates > 1, reward, seen(), left, ~left)

    whole, after = Recorder(), Recorder()
    going, resumed = DelayedFeedback(whole, 4, batches), DelayedFeedback(after, 4, batches)
    rounds = [happened() for _ in range(15)]
    for t in rounds[:6]:
        going.update(t)
    heard = len(whole.told)
    checkpoint.save(tmp_path / "a" / "agent.npz", going, {})
    checkpoint.load(tmp_path / "a" / "agent.npz", resumed)
    for t in rounds[6:]:
        going.update(t)
        resumed.update(t)
    assert len(after.told) == len(whole.told) - heard == (8 if batches else 9)
    for (_, mine), (_, theirs) in zip(after.told, whole.told[heard:], strict=True):
        are_the_same(mine, theirs)
    for (_, mine), theirs in zip(whole.told, rounds, strict=False):
        are_the_same(mine, theirs)


def test_no_delay_is_batches_of_one():
    world = bernoulli_bandit(4, horizon=300)
    direct = play_rounds(world, BetaTS(5, 4), 5).slates
    assert np.array_equal(direct, play_rounds(world, DelayedFeedback(BetaTS(5, 4), 1, True), 5).slates)
    assert not np.array_equal(direct, play_rounds(world, DelayedFeedback(BetaTS(5, 4), 1), 5).slates)


@pytest.mark.parametrize("make", [UCB1, MOSS, KLUCB, BayesUCB])
def test_an_index_that_hears_nothing_repeats_itself(make):
    """From the first round on: what orders equal indices is drawn once, not until something is heard."""
    slates = play_rounds(bernoulli_bandit(6, horizon=40), DelayedFeedback(make(8, 6), 10), 8).slates
    assert (slates[:11] == slates[0]).all()
    assert len(np.unique(slates[0])) > 1


def test_thompson_sampling_bears_delay_and_ucb1_does_not():
    """From batches of 1 to batches of 100, UCB1's regret grows by a far larger factor (Chapelle, Li)."""
    T, B, growth = 4000, 60, {}
    world = bernoulli_bandit(10, 0.1, 0.9, "one_best", horizon=T)
    for make in (UCB1, BetaTS):
        now, late = (
            mean_and_error(play_rounds(world, DelayedFeedback(make(B, 10), d, True), B, seed=d).regret[-1])
            for d in (1, 100)
        )
        factor = late[0] / now[0]
        growth[make] = factor, factor * np.hypot(late[1] / late[0], now[1] / now[0])
    (ucb, ucb_error), (ts, ts_error) = growth[UCB1], growth[BetaTS]
    assert ucb - 1.4 * ts > 4 * np.hypot(ucb_error, 1.4 * ts_error)


@pytest.mark.parametrize("played", [1, 9, 99, 9999])
def test_falling_epsilon_is_that_of_the_course(played):
    """Just below eps_t any arm, here the last; just above it the best, here the first."""
    t, K = played + 1, 3
    share = min(1.0, (K * np.log(t) / t) ** (1 / 3))
    for u, arm in ((share - 1e-9, 2), (share + 1e-9, 0 if share < 1.0 else None)):
        chosen = greedy_or_any(
            np.array([[3.0, 2.0, 1.0]]), np.array([float(played)]), -1.0, np.array([[u, 0.9]])
        )
        assert arm is None or chosen[0, 0] == arm


# ---- bounds ----


def test_divergences():
    assert kl_bernoulli(0.5, 0.5) == 0.0
    assert kl_bernoulli(0.2, 0.7) == pytest.approx(0.2 * np.log(0.2 / 0.7) + 0.8 * np.log(0.8 / 0.3))
    assert kl_bernoulli(0.0, 0.3) == pytest.approx(-np.log(0.7))
    assert kl_bernoulli(1.0, 0.3) == pytest.approx(-np.log(0.3))
    assert np.isinf(kl_bernoulli(0.5, [0.0, 1.0])).all()
    x = np.linspace(-9, 12, 200_001)
    density = np.exp(-((x - 1) ** 2) / (2 * 0.64))
    integral = (density * ((x - 2.5) ** 2 - (x - 1) ** 2) / (2 * 0.64)).sum() / density.sum()
    assert kl_gaussian(1.0, 2.5, 0.8) == pytest.approx(integral, rel=1e-9)


def test_lower_bounds():
    means = np.array([0.5, 0.7, 0.6, 0.7])
    slope = 0.2 / kl_bernoulli(0.5, 0.7) + 0.1 / kl_bernoulli(0.6, 0.7)
    assert lai_robbins_slope(means) == pytest.approx(slope)
    assert lai_robbins([1, 100], means) == pytest.approx([0.0, slope * np.log(100)])
    assert lai_robbins_slope(means, 0.5) == pytest.approx(2 * 0.25 / 0.2 + 2 * 0.25 / 0.1)
    assert minimax_lower_bound([4, 400], 9) == pytest.approx([4 / 20, 60 / 20])


def test_no_algorithm_beats_the_minimax_bound_at_its_worst_gap():
    """And MOSS is within its 49 sqrt(K T) there, with room."""
    T, K, B = 2000, 10, 100
    worst = 0.0
    for gap in (0.05, 0.1, 0.2):
        world = bernoulli_bandit(K, 0.5, 0.5 + gap, "one_best", horizon=T)
        worst = max(worst, play_rounds(world, MOSS(B, K, T), B).regret[-1].mean())
    assert minimax_lower_bound([T], K)[0] < worst < moss.regret_bound([T], num_items=K, horizon=T)[0]


def test_bounds_in_closed_form():
    means = np.array([0.3, 0.8])
    bound = explore_first.regret_bound([10, 40, 100], means=means, pulls=20)
    wrong = 0.5 * np.exp(-20 * 0.25)
    assert bound == pytest.approx([5.0, 10.0, 10.0 + 60 * wrong])
    bound = successive_elimination.regret_bound([10, 10_000], means=means, horizon=10_000)
    assert bound == pytest.approx([5.0, 32 * np.log(10_000) / 0.5 + 0.5 + 1e-4])
    wide = successive_elimination.regret_bound([10_000], means=means, horizon=10_000, deviation=1.0)
    assert wide == pytest.approx([4 * 32 * np.log(10_000) / 0.5 + 0.5 + 1e-4])
    wide = explore_first.regret_bound([100], means=means, pulls=20, deviation=1.0)
    assert wide == pytest.approx([10 + 60 * 0.5 * np.exp(-20 * 0.25 / 4)])
    assert moss.regret_bound([10, 10**6], num_items=4, horizon=10**6) == pytest.approx([10, 49 * 2000])
    rest = (1 + np.pi**2 / 3) * 0.5
    assert ucb1.regret_bound([1, 100], means=means) == pytest.approx([rest, 16 * np.log(100) + rest])
    wide = ucb1.regret_bound([100], means=means, deviation=1.5)
    assert wide == pytest.approx([9 * 16 * np.log(100) + rest])


def test_explore_firsts_chance_of_the_wrong_arm_is_below_the_bound():
    B, T = 4000, 31
    world = two_arms(0.2, T)
    agent = ExploreFirst(B, 2, 15)
    play_rounds(world, agent, B)
    share, error = mean_and_error((agent.chosen == 0).astype(float))
    assert 0.02 < share < np.exp(-15 * 0.04) + 4 * error


@pytest.mark.parametrize("name", ["ucb1", "explore_first", "successive_elimination"])
def test_bounds_for_normal_rewards_hold(name):
    """On 200 replicates of GaussianBandit-v0, at every round from the tenth on."""
    world, B, T = gaussian_bandit(3, horizon=2000), 200, 2000
    task = BanditTask(world, B, T)
    regret = play_rounds(world, BANDITS[name].make(task), B).regret.mean(axis=1)
    bound = BANDITS[name].bound(task, np.arange(10, T + 1))
    assert (regret[9:] <= bound).all()
    drawn = BanditTask(gaussian_bandit(3, means="drawn"), B, T)
    with pytest.raises(InputError, match="every user has means of their own"):
        BANDITS[name].bound(drawn, np.array([1]))
    assert BANDITS["moss"].bound(task, np.array([1, T])) is None


@pytest.mark.parametrize("played", [20, 300])
def test_ucb1s_index_is_the_papers(played):
    """Arm 1, of fewer pulls, is chosen from exactly where m + sqrt(2 log t / n) are equal; t is the round."""
    n, radius = np.array([played - 5.0, 5.0]), np.sqrt(2 * np.log(played + 1))
    even = 0.9 + radius / np.sqrt(n[0]) - radius / np.sqrt(n[1])
    for mean, arm in ((even - 1e-6, 0), (even + 1e-6, 1)):
        centres, rounds = np.array([[0.9, mean]]), np.array([float(played)])
        assert highest_bound(centres, 1 / np.sqrt(n)[None], rounds, UCB1(1, 2).width)[0, 0] == arm


def test_ucb1s_radius_for_normal_rewards_is_passed_as_seldom():
    """The radius sigma sqrt(2 log t / n), sigma = 2 s, is a t^-4 event, on which the bound rests."""
    s, n, t = 1.5, 7, 3.0
    agent = UCB1(1, 2, deviation=s)
    radius = np.sqrt(agent.width * np.log(t) / n)
    assert np.exp(-n * radius**2 / (2 * s**2)) == pytest.approx(t**-4)


# ---- what is refused ----

REFUSED = {
    "no-pulls": (lambda: ExploreFirst(1, 2, 0), "pulls must be at least 1, got 0"),
    "epsilon": (lambda: EpsilonGreedy(1, 2, 1.5), "epsilon must be from 0 to 1, got 1.5"),
    "range": (
        lambda: EpsilonGreedy(1, 2, reward_range=(1.0, 0.0)),
        r"reward_range must be \(low, high\) with low below high, got \(1.0, 0.0\)",
    ),
    "point": (lambda: ExploreFirst(1, 2, 3, (0.5, 0.5)), "reward_range must be"),
    "nowhere": (lambda: ExploreFirst(1, 2, 3, (0.0, float("nan"))), "reward_range must be"),
    "epsilon-nan": (lambda: EpsilonGreedy(1, 2, float("nan")), "epsilon must be from 0 to 1, got nan"),
    "elimination-horizon": (lambda: SuccessiveElimination(1, 2, 1), "horizon must be at least 2, got 1"),
    "elimination-deviation": (
        lambda: SuccessiveElimination(1, 2, 10, 0.0),
        "deviation must be above 0 and finite, got 0.0",
    ),
    "kl-c": (lambda: KLUCB(1, 2, -1.0), "c must be 0 or more and finite, got -1.0"),
    "moss-horizon": (lambda: MOSS(1, 2, 0), "horizon must be at least 1, got 0"),
    "moss-deviation": (lambda: MOSS(1, 2, 9, -1.0), "deviation must be above 0 and finite, got -1.0"),
    "prior-shape": (lambda: GaussianTS(1, 2, (1.0, 2.0, 3.0)), r"prior must have shape \(2,\) or \(2, 2\)"),
    "prior-width": (lambda: GaussianTS(1, 2, (0.0, 0.0)), "deviations of prior must be above 0, got 0.0"),
    "prior-nan": (lambda: GaussianTS(1, 2, (np.nan, 1.0)), "prior must hold finite numbers"),
    "noise": (lambda: GaussianTS(1, 2, deviation=np.inf), "deviation must be above 0 and finite, got inf"),
    "bayes-prior": (
        lambda: BayesUCB(1, 2, (0.5, 1.0)),
        "prior must hold finite numbers of 1 or more, got 0.5",
    ),
    "bayes-prior-shape": (lambda: BayesUCB(1, 3, np.ones((2, 2))), r"shape \(2,\) or \(3, 2\), got \(2, 2\)"),
    "bayes-c": (lambda: BayesUCB(1, 2, c=-1.0), "c must be 0 or more and finite, got -1.0"),
    "bayes-no-horizon": (lambda: BayesUCB(1, 2, c=5.0), "horizon must be given with c = 5"),
    "bayes-horizon": (lambda: BayesUCB(1, 2, c=5.0, horizon=2), "horizon must be at least 3, got 2"),
    "delay": (lambda: DelayedFeedback(BetaTS(1, 2), 0), "delay must be at least 1, got 0"),
    "needs-now": (lambda: DelayedFeedback(Exp3(1, 2), 3), "Exp3 cannot be told later"),
    "one-arm": (lambda: KLUCB(1, 1), "num_items must be at least 2, got 1"),
    "probability": (lambda: kl_bernoulli(0.5, 1.2), "q must hold probabilities, from 0 to 1, got 1.2"),
    "alike": (lambda: lai_robbins_slope([0.5, 0.5]), "means must be of two or more arms that differ"),
    "bound-of-one-arm": (lambda: minimax_lower_bound([1], 1), "num_items must be at least 2, got 1"),
    "kl-deviation": (lambda: kl_gaussian(0.0, 1.0, 0.0), "deviation must be above 0 and finite, got 0.0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_settings_are_refused(case):
    make, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        make()


UNIT = {
    "explore_first": lambda: ExploreFirst(2, 2, 3),
    "epsilon_greedy": lambda: EpsilonGreedy(2, 2),
    "successive_elimination": lambda: SuccessiveElimination(2, 2, 9),
    "kl_ucb": lambda: KLUCB(2, 2),
    "moss": lambda: MOSS(2, 2, 9),
    "bayes_ucb": lambda: BayesUCB(2, 2),
}


@pytest.mark.parametrize("name", UNIT)
@pytest.mark.parametrize("reward", [1.5, -0.1, float("nan")])
def test_rewards_out_of_range_are_refused_and_nothing_changes(name, reward):
    agent = UNIT[name]()
    agent.act({}, Luck.from_seeds([0, 1]))
    with pytest.raises(InputError, match=r"^reward\[1\] = .* is outside the range 0 to 1"):
        agent.update(one_pull([0, 0], [1.0, reward]))
    counts = getattr(agent, "counts", agent)
    assert (counts.rounds == 0).all()


def test_gaussian_thompson_refuses_what_is_no_number():
    agent = GaussianTS(2, 2)
    with pytest.raises(InputError, match=r"^reward\[1\] = inf must be a finite number"):
        agent.update(one_pull([0, 0], [1.0, np.inf]))
    assert (agent.mean == 0).all()
