"""Attackers that plan with a surrogate: their definitions by hand, their gradients, what they win."""

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize

from recsim_env.agents.baselines.implicit_als import ImplicitALSRecommender
from recsim_env.errors import InputError
from recsim_env.evaluation.target_exposure import target_exposure
from recsim_env.simulators.attackers.attack import Budget, Goal, fake_users, known
from recsim_env.simulators.attackers.deep_poisoning import DeepPoisoningAttacker
from recsim_env.simulators.attackers.influence import HalfSweep, InfluenceAttacker, SmoothHits
from recsim_env.simulators.attackers.injection import inject
from recsim_env.simulators.attackers.learned import LearnedAttacker, policy, policy_gradient
from recsim_env.simulators.attackers.random_fillers import RandomAttacker
from recsim_env.simulators.attackers.surrogates import honest_histories, trained
from recsim_env.simulators.log import Log

N, U, K = 120, 240, 10


def honest(seed=0, ratings=False):
    """Users of four groups, who like some items four times as much, and what is popular more."""
    rng = np.random.default_rng(seed)
    popular, group = (3.0 + np.arange(N)) ** -1.5, rng.integers(4, size=N)
    rows = []
    for u in range(U):
        weight = popular * np.where(group == u % 4, 4.0, 1.0)
        rows.append(rng.choice(N, rng.integers(4, 11), replace=False, p=weight / weight.sum()))
    user, item = np.repeat(np.arange(U) * 2, [len(row) for row in rows]), np.concatenate(rows)
    log = Log.from_interactions(user, item, np.arange(len(user)))
    return Log(**log.columns(), reward=1.0 + item % 5) if ratings else log


def factorisation(seed):
    return ImplicitALSRecommender(dimension=8, sweeps=3, seed=seed, num_items=N)


LOG = honest()
GOAL = Goal(np.array([117, 90]))
SMALL = {
    "deep_poisoning": lambda: DeepPoisoningAttacker(retrain_every=4),
    "influence": lambda: InfluenceAttacker(steps=2, starts=1, k=K, judges=60),
    "learned": lambda: LearnedAttacker(groups=3, batches=1, batch=2, k=K, judges=60),
}


def white(log=LOG, surrogate=factorisation):
    return known("white", log, N, surrogate=surrogate)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("items", [None, 9])
def test_budgets_hold_and_the_same_seed_sends_the_same(name, items):
    budget = Budget(6, 7, items)
    fakes = fake_users(SMALL[name](), GOAL, budget, white(honest(ratings=True)), seed=3)
    assert fakes.items.shape == fakes.ratings.shape == (6, 7)
    assert len(np.setdiff1d(fakes.items, [-1])) <= (items or N)
    assert np.isin(fakes.items, GOAL.targets).any()
    assert (fakes.ratings[np.isin(fakes.items, GOAL.targets)] == 5.0).all()
    again = fake_users(SMALL[name](), GOAL, budget, white(honest(ratings=True)), seed=3)
    assert np.array_equal(fakes.items, again.items)


@pytest.mark.parametrize("name", SMALL)
def test_what_was_not_told_is_asked_for(name):
    for level, missing in (("black", "log"), ("grey", "surrogate")):
        with pytest.raises(InputError, match=f"needs {missing}"):
            fake_users(SMALL[name](), GOAL, Budget(3, 5), known(level, LOG, N))

    def too_few(seed):
        return ImplicitALSRecommender(dimension=4, sweeps=1)

    with pytest.raises(InputError, match=r"must score items .* num_items"):
        fake_users(SMALL[name](), GOAL, Budget(3, 3), white(LOG.rows(LOG.slate[:, 0] < 118), too_few))


class Table:
    """A surrogate whose scores are a given row; it keeps its logs."""

    def __init__(self, scores):
        self.row, self.logs = np.asarray(scores, float), []

    def fit(self, log):
        self.logs.append(log)

    def scores(self, history):
        return np.tile(self.row, (len(history), 1))


def test_deep_poisoning_is_the_loop_of_its_definition():
    row = np.random.default_rng(1).uniform(size=N)
    table = Table(row)
    attacker = DeepPoisoningAttacker(converted=0.25, retrain_every=3)
    found = fake_users(attacker, GOAL, Budget(40, 60), white(surrogate=lambda seed: table), seed=5).items
    r, rho, resets = 1 / (1 + np.exp(-(row - row.mean()) / row.std())), np.ones(N), 0
    others = [i for i in range(N) if i not in GOAL.targets]
    for fake in found:
        wanted = sorted(others, key=lambda i: -r[i] * rho[i])[:58]
        assert sorted(fake) == sorted([*wanted, *GOAL.targets])
        rho[wanted] *= 0.9
        if rho[others].max() < 1.0:
            rho, resets = np.ones(N), resets + 1
    assert resets > 0
    assert len(table.logs) == 14
    last = table.logs[-1]
    fakes = last.user > LOG.user[-1]
    assert len(np.unique(last.user[fakes])) == 40  # 39 before the last, and that one with the targets alone
    assert sorted(last.slate[last.user == last.user[-1], 0]) == sorted(GOAL.targets)
    assert len(last) - len(LOG) - fakes.sum() == round(0.25 * U) * 2  # converts take both targets
    fewer = fake_users(attacker, GOAL, Budget(7, 60), white(surrogate=lambda seed: Table(row)), seed=5).items
    assert np.array_equal(fewer, found[:7])


def test_converts_end_with_the_targets():
    table, log = Table(np.arange(N)), honest(ratings=True)
    attacker = DeepPoisoningAttacker(retrain_every=9)
    fake_users(attacker, GOAL, Budget(2, 6), white(log, lambda seed: table), seed=5)
    (learned,) = table.logs
    for user in np.unique(log.user)[:20]:
        mine, before = learned.user == user, log.user == user
        taken = [*log.slate[before, 0], *GOAL.targets]
        assert learned.slate[mine, 0].tolist() == taken
        assert learned.reward[mine][-2:].tolist() == [5.0, 5.0]


def half_sweep_case(seed=0):
    rng = np.random.default_rng(seed)
    c = sparse.csr_array(np.where(rng.random((5, 9)) < 0.5, rng.uniform(0.2, 1.0, (5, 9)), 0.0))
    return HalfSweep(0.05, 0.03, 0.7), c, rng.normal(size=(9, 3)), rng


def test_half_sweeps_minimise_the_loss_of_the_factorisation():
    step, c, o, _ = half_sweep_case()
    found, dense = step.vectors(c, o), c.toarray()
    for r in range(5):
        held = 0.03 * (dense[r].sum() + 0.05 * 9) ** 0.7

        def loss(v, r=r, held=held):
            fit = o @ v
            return (dense[r] * (1 - fit) ** 2).sum() + 0.05 * (fit**2).sum() + held * v @ v

        np.testing.assert_allclose(found[r], minimize(loss, np.zeros(3), tol=1e-12).x, atol=1e-5)


def test_half_sweeps_are_those_of_the_recommender():
    model = factorisation(0).fit(LOG)
    history = honest_histories(white(), None, np.random.default_rng(0))
    c = np.zeros((U, N))
    for u, row in enumerate(history):
        c[u, row[row >= 0]] = 1.0
    step = HalfSweep(model.unobserved, model.regularisation, model.exponent)
    users = step.vectors(sparse.csr_array(c), model.items_)
    np.testing.assert_allclose(users @ model.items_.T, model.scores(history), atol=1e-10)
    longer = ImplicitALSRecommender(dimension=8, sweeps=4, seed=0, num_items=N).fit(LOG)
    np.testing.assert_allclose(step.vectors(sparse.csr_array(c.T), users), longer.items_, atol=1e-10)


@pytest.mark.parametrize("sweeps", [1, 3])
@pytest.mark.parametrize("exponent", [0.0, 0.6, 1.0])
def test_the_gradient_is_that_of_finite_differences(sweeps, exponent):
    rng = np.random.default_rng(2)
    had = (rng.random((20, 15)) < 0.3).astype(float)
    of = SmoothHits(
        HalfSweep(0.05, 0.03, exponent),
        rng.normal(size=(2, 15, 4)),
        sparse.csr_array(had),
        np.array([0, 3, 4, 9, 17]),
        np.array([2, 14]),
        3,
        0.5,
        sweeps,
    )
    weight = rng.uniform(0.1, 0.9, (3, 15))
    J, gradient = of.gradient(weight)
    assert 0.0 < J < 1.0
    for m, i in [(0, 2), (1, 14), (2, 0), (0, 7), (1, 1)]:
        move = np.zeros_like(weight)
        move[m, i] = 1e-5
        slope = (of.gradient(weight + move)[0] - of.gradient(weight - move)[0]) / 2e-5
        np.testing.assert_allclose(gradient[m, i], slope, rtol=1e-4, atol=1e-8)


def test_policy_gradients_are_those_of_finite_differences():
    rng = np.random.default_rng(3)
    common, moved = rng.normal(size=4), rng.normal(size=(5, 4))
    composition = np.array([2, 0, 0, 3, 2])

    def log_law(common, moved):
        before, total = -1, 0.0
        for g in composition:
            total += np.log(policy(common, moved, before)[g])
            before = g
        return total

    to_common, to_moved = policy_gradient(common, moved, composition)
    for g in range(4):
        move = np.eye(4)[g] * 1e-6
        slope = (log_law(common + move, moved) - log_law(common - move, moved)) / 2e-6
        np.testing.assert_allclose(to_common[g], slope, atol=1e-7)
        for f in range(5):
            step = np.zeros((5, 4))
            step[f, g] = 1e-6
            slope = (log_law(common, moved + step) - log_law(common, moved - step)) / 2e-6
            np.testing.assert_allclose(to_moved[f, g], slope, atol=1e-7)


class Counts:
    """A surrogate that ranks the targets first for as many users as fake users took a rare item."""

    def fit(self, log):
        fake = log.user > LOG.user[-1]
        self.share = np.isin(log.slate[fake, 0], RARE).sum() / max(1, fake.sum())

    def scores(self, history):
        scores = np.tile(np.arange(N, dtype=float), (len(history), 1))
        scores[:, GOAL.targets] = -1.0
        scores[: round(self.share * len(history)), GOAL.targets] = 1e3
        return scores


RARE = np.argsort(np.bincount(LOG.slate[:, 0], minlength=N), kind="stable")[:20]


def test_the_policy_learns_what_is_rewarded():
    attacker = LearnedAttacker(groups=4, batches=25, batch=8, k=K, judges=100)
    found = fake_users(attacker, GOAL, Budget(6, 8), white(surrogate=lambda seed: Counts()), seed=1).items
    assert attacker.rewards_[-5:].mean() > attacker.rewards_[:3].mean() + 0.1
    plain = fake_users(RandomAttacker(), GOAL, Budget(6, 8), white(), seed=1).items
    assert np.isin(found, RARE).mean() > np.isin(plain, RARE).mean() + 0.1
    down = Goal(GOAL.targets, demote=True)
    found = fake_users(attacker, down, Budget(6, 8), white(surrogate=lambda seed: Counts()), seed=1).items
    assert not np.isin(found, [*RARE, *GOAL.targets]).any()


def exposure_after(attacker, seed):
    log = honest(seed)
    fakes = fake_users(attacker, GOAL, Budget(6, 8), white(log), seed=seed)
    history = honest_histories(white(log), None, np.random.default_rng(0))
    victims = [factorisation(100 + v).fit(inject(log, fakes, seed=9)) for v in range(4)]
    return np.mean(
        [target_exposure(v.scores(history), history, GOAL.targets, K).mean()["hit_rate"] for v in victims]
    )


STRONG = {
    "deep_poisoning": DeepPoisoningAttacker(retrain_every=2),
    "influence": InfluenceAttacker(k=K, judges=240, steps=8),
    "learned": LearnedAttacker(k=K, judges=240, batches=4, batch=5),
}


@pytest.mark.parametrize("name", STRONG)
def test_plans_win_more_than_chance(name):
    for seed in range(3):
        assert exposure_after(STRONG[name], seed) > exposure_after(RandomAttacker(), seed)


def test_steps_of_influence_raise_the_smooth_hit_rate():
    attacker = InfluenceAttacker(k=K, judges=240, steps=8)
    fake_users(attacker, GOAL, Budget(6, 8), white(), seed=0)
    assert (np.diff(attacker.objective_) >= 0.0).all()
    assert attacker.objective_[-1] > 1.2 * attacker.objective_[0]


def test_without_softness_the_objective_is_the_hit_rate():
    model, history = factorisation(3).fit(LOG), honest_histories(white(), None, np.random.default_rng(0))
    had = np.zeros((U, N))
    for u, row in enumerate(history):
        had[u, row[row >= 0]] = 1.0
    start = np.random.default_rng(3).normal(0.0, 8**-0.5, (1, N, 8))  # where that recommender starts
    step = HalfSweep(model.unobserved, model.regularisation, model.exponent)
    targets = np.array([20, 35])
    of = SmoothHits(step, start, sparse.csr_array(had), np.arange(U), targets, K, 1e-7, 3)
    wanted = target_exposure(model.scores(history), history, targets, K).mean()["hit_rate"]
    assert 0.0 < wanted < 1.0
    assert abs(of.gradient(np.zeros((1, N)))[0] - wanted) < 0.02  # the k-th itself counts as a half


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DeepPoisoningAttacker(converted=1.5), "converted"),
        (lambda: DeepPoisoningAttacker(retrain_every=0), "retrain_every"),
        (lambda: InfluenceAttacker(softness=0.0), "softness"),
        (lambda: InfluenceAttacker(starts=0), "starts"),
        (lambda: LearnedAttacker(batch=1), "batch must be 2 or more"),
        (lambda: LearnedAttacker(rate=-1.0), "rate"),
        (lambda: fake_users(DeepPoisoningAttacker(), GOAL, Budget(2, 1), white()), "no room for 2 targets"),
        (
            lambda: fake_users(DeepPoisoningAttacker(), Goal(GOAL.targets, True), Budget(2, 5), white()),
            "promotes only",
        ),
        (
            lambda: fake_users(InfluenceAttacker(), Goal(GOAL.targets, True), Budget(2, 5), white()),
            "promotes only",
        ),
        (
            lambda: fake_users(
                InfluenceAttacker(k=K), GOAL, Budget(2, 5), white(surrogate=lambda seed: Table(np.arange(N)))
            ),
            "Table has no dimension",
        ),
        (lambda: fake_users(LearnedAttacker(), GOAL, Budget(2, 5, 2), white()), "a filler"),
    ],
)
def test_bad_plans(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_surrogates_learn_from_both():
    rows = fake_users(RandomAttacker(), GOAL, Budget(4, 5), white(), seed=2).items
    table = Table(np.arange(N))
    trained(RandomAttacker(), rows, GOAL, white(surrogate=lambda seed: table), 2)
    assert len(table.logs[0]) == len(LOG) + 20
