"""Cascades over items with known features: the world, ridge regression, CascadeLinUCB and CascadeLinTS."""

import math

import numpy as np
import pytest
from driving import drive

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits import cascade_lin_ts, cascade_lin_ucb
from recsim_env.agents.bandits.cascade_lin_ts import CascadeLinTS
from recsim_env.agents.bandits.cascade_lin_ucb import CascadeLinUCB
from recsim_env.agents.bandits.cascade_ridge import CascadeRidge
from recsim_env.agents.bandits.cascade_ts import CascadeTS
from recsim_env.agents.bandits.cascade_ucb import CascadeUCB
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.linear_cascade import linear_cascade_bandit

MAKERS = {
    "cascade_lin_ucb": lambda B, x, K: CascadeLinUCB(B, x, K, 1000, bonus_scale=0.1),
    "cascade_lin_ts": CascadeLinTS,
}


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


def error_of(values):
    return values.std(ddof=1) / np.sqrt(len(values))


class Recorded:
    """An agent, and all that it was shown to have been examined."""

    def __init__(self, agent):
        self.agent, self.seen = agent, []

    def act(self, observation, luck):
        return self.agent.act(observation, luck)

    def update(self, transition):
        self.seen.append((transition.slates, transition.clicked, transition.examined))
        self.agent.update(transition)

    def solved(self, row, features, noise):
        """M and theta of one row, by forming the equations and solving them."""
        M, right = np.eye(features.shape[1]), np.zeros(features.shape[1])
        for slates, clicked, examined in self.seen:
            x = features[slates[row][examined[row]]]
            M += x.T @ x / noise**2
            right += clicked[row][examined[row]] @ x / noise**2
        return M, np.linalg.solve(M, right)


def test_attraction_is_linear_in_the_features():
    world = linear_cascade_bandit(num_items=300, dimension=4, attraction=0.6, world_seed=3)
    x, w = world.features, world.attraction[0]
    np.testing.assert_allclose((x**2).sum(axis=1), 1.0, atol=1e-12)
    theta, residual, rank, _ = np.linalg.lstsq(x, w)
    assert rank == 4
    assert residual[0] < 1e-24
    assert np.linalg.norm(theta) == pytest.approx(0.6)
    assert w.min() >= 0.0
    assert 0.5 < w.max() <= 0.6
    state = world.begin(Luck.from_seeds([0]))
    assert sorted(world.best_slate(state)[0]) == sorted(np.argsort(-w)[:4])


@pytest.mark.parametrize("noise", [1.0, 0.3])
@pytest.mark.parametrize("name", MAKERS)
def test_estimates_are_those_of_ridge_regression(name, noise):
    """After 1,500 lists, to 1e-9 of the equations solved directly."""
    world, B = linear_cascade_bandit(num_items=40, dimension=6, horizon=1500), 3
    x = world.features
    agent = (
        CascadeLinUCB(B, x, 4, 1500, noise=noise)
        if name == "cascade_lin_ucb"
        else CascadeLinTS(B, x, 4, noise=noise)
    )
    recorded = Recorded(agent)
    drive(world, recorded, B, 1)
    for row in range(B):
        M, theta = recorded.solved(row, x, noise)
        np.testing.assert_allclose(agent.ridge.theta[row], theta, rtol=0, atol=1e-9)
        np.testing.assert_allclose(agent.ridge.inverse[row], np.linalg.inv(M), rtol=0, atol=1e-9)
        if name == "cascade_lin_ucb":
            variance = (x * np.linalg.solve(M, x.T).T).sum(axis=1)
            np.testing.assert_allclose(agent.ridge.variance[row], variance, rtol=0, atol=1e-9)
        else:
            assert agent.ridge.variance.shape == (B, 0)


def test_with_one_feature_for_each_item_an_estimate_is_a_shrunken_rate():
    """W / (T + sigma^2): the slots below the click are not seen."""
    ridge = CascadeRidge(1, np.eye(3), 3, 2.0, with_variance=True)
    step, over = {"step": np.zeros(1, np.int64)}, np.zeros(1, np.bool_)
    slates = np.array([[2, 0, 1]])
    for clicked, examined in (([0, 1, 0], [1, 1, 0]), ([1, 0, 0], [1, 0, 0]), ([0, 0, 0], [1, 1, 1])):
        ridge.update(
            Transition(
                step,
                slates,
                np.array([clicked], np.bool_),
                np.array([examined], np.bool_),
                np.ones(1),
                step,
                over,
                over,
            )
        )
    np.testing.assert_allclose(ridge.theta[0], [1 / (2 + 4), 0 / (1 + 4), 1 / (3 + 4)], atol=1e-15)
    np.testing.assert_allclose(ridge.variance[0], [4 / (2 + 4), 4 / (1 + 4), 4 / (3 + 4)], atol=1e-15)


def test_cascade_lin_ucb_shows_the_largest_bounds():
    """In every round those of the equations solved directly, with c written out."""
    K, H, noise, scale, D = 3, 60, 0.5, 0.2, 4
    world = linear_cascade_bandit(num_items=25, slate_size=K, dimension=D, horizon=H)
    x, B = world.features, 2
    recorded = Recorded(CascadeLinUCB(B, x, K, H, noise=noise, bonus_scale=scale))
    c = math.sqrt(D * math.log(1 + H * K / (D * noise**2)) + 2 * math.log(H * K)) / noise + 1

    class Watching:
        def act(self, observation, luck):
            slates = recorded.act(observation, luck)
            for b in range(B):
                M, theta = recorded.solved(b, x, noise)
                bound = x @ theta + scale * c * np.sqrt((x * np.linalg.solve(M, x.T).T).sum(axis=1))
                order = bound[slates[b]]
                assert (np.diff(order) <= 1e-8).all()
                assert order[-1] >= np.delete(bound, slates[b]).max() - 1e-8
            return slates

        def update(self, transition):
            recorded.update(transition)

    drive(world, Watching(), B, 1)


def test_cascade_lin_ts_draws_from_the_posterior():
    """x' (theta + C z), with the C of LAPACK."""
    rng, B, N, D = np.random.default_rng(0), 50, 12, 5
    A = rng.normal(size=(B, D, D + 3))
    inverse = A @ A.transpose(0, 2, 1) / 10.0
    x, theta, z = rng.normal(size=(N, D)), rng.normal(size=(B, D)), rng.normal(size=(B, D))
    drawn = theta + (np.linalg.cholesky(inverse) @ z[:, :, None])[:, :, 0]
    np.testing.assert_allclose(cascade_lin_ts._drawn(x, theta, inverse, z), drawn @ x.T, atol=1e-12)


def test_the_posterior_of_cascade_lin_ts_has_the_right_spread():
    """Two items, the first known to be at 0.5 and the second at 0 with variance 1: how often each leads."""
    B = 20_000
    agent = CascadeLinTS(B, np.eye(2), 1)
    agent.ridge.theta[:, 0] = 0.5
    agent.ridge.inverse[:, 0, 0] = 1e-12
    second = (agent.act({}, Luck.from_seeds(np.arange(B))) == 1).mean()
    expected = 0.5 * math.erfc(0.5 / math.sqrt(2))  # P(N(0, 1) > 0.5)
    assert abs(second - expected) < 5 * math.sqrt(expected * (1 - expected) / B)


def test_features_pay_where_items_are_many():
    """256 items of 5 features, 3,000 users: a fraction of the regret of learners that know no features."""
    world, B = linear_cascade_bandit(horizon=3000), 20
    x = world.features
    regret = {}
    for name, agent in {
        "ucb": CascadeUCB(B, 1, 256, 4),
        "ts": CascadeTS(B, 1, 256, 4),
        "lin_ucb": CascadeLinUCB(B, x, 4, 3000, bonus_scale=0.1),
        "lin_ucb of the theory": CascadeLinUCB(B, x, 4, 3000),
        "lin_ts": CascadeLinTS(B, x, 4),
    }.items():
        _, curve = drive(world, agent, B, 1)
        regret[name] = curve[-1]
    for linear, blind, part in (
        ("lin_ucb", "ucb", 0.2),
        ("lin_ts", "ucb", 0.25),
        ("lin_ucb of the theory", "ucb", 0.5),
        ("lin_ts", "ts", 0.4),
    ):
        difference = part * regret[blind] - regret[linear]
        assert difference.mean() > 4 * error_of(difference), (linear, blind)


def test_features_make_regret_independent_of_the_number_of_items():
    """From 100 items to 1,000: that of CascadeLinTS grows by less than 40 %, that of CascadeUCB by half."""
    regret = {}
    for N in (100, 1000):
        world = linear_cascade_bandit(num_items=N, dimension=3, horizon=2000, attraction=0.5)
        for name, agent in (
            ("lin_ts", CascadeLinTS(40, world.features, 4)),
            ("ucb", CascadeUCB(40, 1, N, 4)),
        ):
            _, curve = drive(world, agent, 40, 1)
            regret[name, N] = curve[-1]
    spared = 1.4 * regret["lin_ts", 100] - regret["lin_ts", 1000]
    grown = regret["ucb", 1000] - 1.5 * regret["ucb", 100]
    assert spared.mean() > 4 * error_of(spared)
    assert grown.mean() > 4 * error_of(grown)


def test_cascade_lin_ucb_within_its_bound():
    H = 2000
    world = linear_cascade_bandit(num_items=60, horizon=H)
    _, curve = drive(world, CascadeLinUCB(100, world.features, 4, H), 100, 1)
    bound = cascade_lin_ucb.regret_bound([H], dimension=5, slate_size=4, num_rounds=H)[0]
    c = math.sqrt(5 * math.log(1 + H * 4 / 5) + 2 * math.log(H * 4)) + 1
    assert bound == pytest.approx(2 * c * 4 * math.sqrt(5 * H * math.log(1 + H * 4 / 5) / math.log(2)) + 1)
    assert (curve[-1] < bound).all()


def test_a_row_does_not_depend_on_the_others(make):
    world = linear_cascade_bandit(num_items=30, slate_size=3, horizon=120)
    together, curve = drive(world, make(7, world.features, 3), 7, 1, seed=20)
    assert together.dtype == np.int64
    assert (np.diff(np.sort(together, axis=2), axis=2) > 0).all()  # distinct
    for row in range(7):
        alone, alone_curve = drive(world, make(1, world.features, 3), 1, 1, seed=20 + row)
        assert np.array_equal(alone[:, 0], together[:, row])
        assert np.array_equal(alone_curve[:, 0], curve[:, row])


def test_the_features_given_are_left_alone(make):
    world = linear_cascade_bandit(num_items=30, slate_size=3, horizon=40)
    x = world.features.copy()
    drive(world, make(3, x, 3), 3, 1)
    assert np.array_equal(x, world.features)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0, np.eye(4), 2), "num_replicates must be at least 1, got 0"),
        ((2, np.eye(4), 5), "slate_size must be from 1 to num_items, 4, got 5"),
        ((2, np.eye(4)[0], 1), r"features must have shape \(items, dimensions\), got \(4,\)"),
        ((2, np.zeros((4, 0)), 1), r"features must have shape \(items, dimensions\), got \(4, 0\)"),
        ((2, np.array([[1.0, np.nan]]), 1), r"features\[0, 1\] = nan: features must be finite"),
        ((2, [["a"]], 1), "features must hold numbers"),
    ],
)
def test_bad_sizes(make, sizes, message):
    with pytest.raises(InputError, match=message):
        make(*sizes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_rounds": 0}, "num_rounds must be at least 1, got 0"),
        ({"noise": 0.0}, "noise must be more than 0 and finite, got 0.0"),
        ({"bonus_scale": -1.0}, "bonus_scale must be more than 0 and finite, got -1.0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        CascadeLinUCB(2, np.eye(4), 2, **{"num_rounds": 10, **options})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"num_items": 1}, "num_items must be at least 2, got 1"),
        ({"slate_size": 257}, "slate_size must be from 1 to num_items, 256, got 257"),
        ({"dimension": 1}, "dimension must be at least 2, got 1"),
        ({"attraction": 0.0}, r"attraction must be in \(0, 1\], got 0.0"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(InputError, match=message):
        linear_cascade_bandit(**parameters)
