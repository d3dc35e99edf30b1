"""LipschitzBandit-v0, the uniform grid and zooming."""

import numpy as np
import pytest
from driving import play_rounds

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.uniform_grid import UniformGrid
from recsim_env.agents.bandits.zooming import Zooming
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.lipschitz_bandit import LipschitzWorld, lipschitz_bandit


@pytest.mark.parametrize("slope", [1.0, 4.0, 30.0])
@pytest.mark.parametrize("kind", ["tent", "round", "peaks"])
def test_means_are_lipschitz_and_the_best_is_the_peak(kind, slope):
    world = lipschitz_bandit(kind=kind, slope=slope, peak=0.37)
    steps = np.abs(np.diff(world.mean)) * 1000
    assert steps.max() <= slope * (1 + 1e-9)
    assert steps.max() > 0.9 * slope or kind == "round"
    assert world.position[world.mean.argmax()] == pytest.approx(0.37, abs=1e-9)
    assert world.mean.max() == pytest.approx(0.9)
    assert world.mean.min() >= 0.1
    state = world.begin(Luck.from_seeds([0, 1]))
    best, shown = world.values(state, world.best_slate(state))
    assert best.tolist() == shown.tolist() == [world.mean.max()] * 2


def test_a_round_peak_is_as_steep_as_it_may_be():
    """mu falls to the floor where its slope is L: its derivative there, and its height, by hand."""
    world = lipschitz_bandit(num_items=100_001, kind="round", slope=4.0, peak=0.5)
    steps = np.diff(world.mean) * 100_000
    assert np.abs(steps).max() == pytest.approx(4.0, rel=1e-3)
    above = world.position[world.mean > 0.1]
    assert above[-1] - 0.5 == pytest.approx(2 * 0.8 / 4.0, abs=1e-4)


def test_peaks_are_several_and_one_is_highest():
    for seed in range(20):
        mean = lipschitz_bandit(kind="peaks", num_peaks=4, slope=20.0, world_seed=seed).mean
        tops = [mean[a] for a in range(1, 1000) if mean[a] > max(mean[a - 1], mean[a + 1])]
        assert len(tops) <= 4
        assert sorted(tops)[-1] - ([0.0, *sorted(tops)][-2]) > 0.05
    assert len({lipschitz_bandit(kind="peaks", world_seed=s).mean.tobytes() for s in range(5)}) == 5


def covered(agent, row, slope, T):
    """Whether each of the N arms is in a ball of radius sqrt(2 log T / (n+1)) around an active one."""
    A, N = agent.num_active[row], agent.arm.shape[1]
    x = np.arange(N) / (N - 1)
    centre, pulls = x[agent.arm[row, :A]], agent.pulls[row, :A]
    radius = np.sqrt(2 * np.log(T) / (pulls + 1))
    return (slope * np.abs(x[:, None] - centre) <= radius + 1e-9).any(axis=1)


@pytest.mark.parametrize("slope", [0.3, 4.0, 100.0])
def test_zooming_keeps_its_invariant(slope):
    """After every activation all is covered; nothing is activated that was; the largest index is pulled."""
    T = 3000
    world = lipschitz_bandit(num_items=301, slope=slope, horizon=T)
    agent = Zooming(3, 301, slope, T)
    activated = 0

    class Watching:
        def act(self, observation, luck):
            nonlocal activated
            before, pulls = agent.num_active.copy(), agent.pulls.copy()
            holes = [~covered(agent, b, slope, T) for b in range(3)]
            slates = agent.act(observation, luck)
            for b in range(3):
                A = agent.num_active[b]
                new = agent.arm[b, before[b] : A]
                assert holes[b][new].all()
                assert covered(agent, b, slope, T).all()
                assert (len(new) > 0) == holes[b].any()
                assert len(set(agent.arm[b, :A].tolist())) == A
                n = agent.pulls[b, :A]
                index = agent.reward[b, :A] / np.maximum(n, 1) + 2 * np.sqrt(2 * np.log(T) / (n + 1))
                np.testing.assert_allclose(index, agent.index[b, :A], rtol=1e-12)
                pulled = np.flatnonzero(agent.arm[b, :A] == slates[b, 0])
                assert index[pulled[0]] >= index.max() - 1e-12
                activated += len(new)
            assert np.array_equal(pulls, agent.pulls)
            return slates

        def update(self, transition):
            agent.update(transition)

    play_rounds(world, Watching(), 3, rounds=600)
    assert agent.pulls.sum() == 1800
    assert activated == agent.num_active.sum()
    assert activated >= (3 if slope < 1 else 12)


def test_which_uncovered_arm_is_activated_is_drawn():
    """The first one evenly, over replicates."""
    agent = Zooming(4000, 51, 1.0, 1000)
    first = agent.act({}, Luck.from_seeds(np.arange(4000)))[:, 0]
    counts = np.bincount(first, minlength=51)
    expected = 4000 / 51
    assert ((counts - expected) ** 2 / expected).sum() < 100  # chi-square of 50 degrees: 99.99 % below 93


PEAKED = {"slope": 4.0, "horizon": 40_000}


def test_zooming_piles_up_at_the_peak_and_beats_the_grid():
    world, B = lipschitz_bandit(**PEAKED), 32
    zooming, grid = Zooming(B, 1001, 4.0, 40_000), UniformGrid(B, 1001, 4.0, 40_000)
    _, curve = play_rounds(world, zooming, B)
    _, plain = play_rounds(world, grid, B)
    gap = plain[-1] - curve[-1]
    assert gap.mean() > 4 * gap.std(ddof=1) / np.sqrt(B)
    near, played, active = [], [], []
    for b in range(B):
        A = zooming.num_active[b]
        close = np.abs(world.position[zooming.arm[b, :A]] - 0.37) < 0.1  # a fifth of the interval
        near.append(close.mean())
        played.append(zooming.pulls[b, :A][close].sum() / 40_000)
        active.append(A)
    assert np.mean(near) > 0.35  # the grid has 0.2 of its arms there
    assert np.mean(played) > 0.8
    assert max(active) < len(grid.grid)


def test_regret_over_the_step_of_the_grid_is_u_shaped():
    """Too coarse a grid misses the peak, too fine a one explores for ever; the theorem's step is between."""
    T = 4000
    world = lipschitz_bandit(horizon=T)
    steps = [0.5, 0.2, None, 0.01, 0.003]
    ends = [play_rounds(world, UniformGrid(20, 1001, 4.0, T, step=step), 20)[1][-1] for step in steps]
    mean = np.array([end.mean() for end in ends])
    error = np.array([end.std(ddof=1) for end in ends]) / np.sqrt(20)
    change, noise = np.diff(mean), 4 * np.hypot(error[1:], error[:-1])
    assert (change[:2] < -noise[:2]).all()
    assert (change[2:] > noise[2:]).all()


def test_regret_of_the_grid_grows_with_two_thirds():
    """The slope of log regret over log T, whose theory is 2/3 and a logarithm."""
    ends = []
    for T in (500, 8000):
        world = lipschitz_bandit(kind="round", slope=4.0, horizon=T)
        ends.append(play_rounds(world, UniformGrid(30, 1001, 4.0, T), 30)[1][-1].mean())
    assert 0.5 < np.log(ends[1] / ends[0]) / np.log(16.0) < 0.8


@pytest.mark.parametrize("N", [2, 3, 4, 5, 11, 12, 100])
def test_cells_have_arms_of_their_own_nearest_to_their_middles(N):
    """An arm of two cells would count for one of them, and the other be unseen for ever."""
    for cells in range(2, N + 1):
        grid = UniformGrid(1, N, 1.0, 100, step=1.0 / cells).grid
        assert len(np.unique(grid)) == cells
        assert abs(grid / (N - 1) - (np.arange(cells) + 0.5) / cells).max() <= 0.5 / (N - 1) + 1e-12


def test_the_step_is_the_theorems():
    agent = UniformGrid(1, 1001, 2.0, 1000)
    step = (1000 * 4.0 / np.log(1000)) ** (-1 / 3)
    assert len(agent.grid) == int(np.ceil(1 / step))
    gaps = np.diff(agent.grid) / 1000
    assert abs(gaps - 1 / len(agent.grid)).max() <= 1e-3  # even, but for the fine grid
    assert UniformGrid(1, 11, 2.0, 1000, step=0.25).grid.tolist() == [1, 4, 6, 9]  # middles 1/8 ... 7/8
    assert UniformGrid(1, 7, 2.0, 1000, step=1e-9).grid.tolist() == list(range(7))


def test_the_grid_plays_ucb1_of_the_horizon():
    world = lipschitz_bandit(horizon=500)
    agent = UniformGrid(4, 1001, 4.0, 500, step=0.1)
    pulls, total = np.zeros((4, 10)), np.zeros((4, 10))

    class Watching:
        def act(self, observation, luck):
            slates = agent.act(observation, luck)
            with np.errstate(divide="ignore", invalid="ignore"):
                index = np.where(pulls > 0, total / pulls + np.sqrt(2 * np.log(500) / pulls), np.inf)
            self.cell = np.searchsorted(agent.grid, slates[:, 0])
            assert np.isin(slates, agent.grid).all()
            assert (index[range(4), self.cell] >= index.max(axis=1) - 1e-8).all()
            return slates

        def update(self, t):
            pulls[range(4), self.cell] += 1
            total[range(4), self.cell] += t.reward
            agent.update(t)

    play_rounds(world, Watching(), 4)
    assert (pulls > 0).all()


@pytest.mark.parametrize("kind", [UniformGrid, Zooming])
def test_rewards_out_of_range_are_refused(kind):
    agent = kind(2, 11, 1.0, 100)
    slates = agent.act({}, Luck.from_seeds([0, 1]))
    flags = np.ones((2, 1), bool)
    with pytest.raises(InputError, match=r"reward\[1\] = -1.0 is outside the range 0 to 1"):
        agent.update(
            Transition({}, slates, flags, flags, np.array([1.0, -1.0]), {}, flags[:, 0], flags[:, 0])
        )


@pytest.mark.parametrize("kind", [UniformGrid, Zooming])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 11, 1.0, 100), "num_replicates must be at least 1, got 0"),
        ((1, 1, 1.0, 100), "num_items must be at least 2, got 1"),
        ((1, 11, 0.0, 100), "slope must be above 0 and finite, got 0.0"),
        ((1, 11, 1.0, 1), "horizon must be at least 2, got 1"),
    ],
)
def test_bad_sizes_of_learners(kind, arguments, message):
    with pytest.raises(InputError, match=message):
        kind(*arguments)


@pytest.mark.parametrize("step", [0.0, 1.5, -1.0])
def test_bad_steps(step):
    with pytest.raises(InputError, match="step must be above 0 and 1 at most"):
        UniformGrid(1, 11, 1.0, 100, step=step)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"num_items": 1}, "num_items must be at least 2, got 1"),
        ({"kind": "hat"}, "kind must be one of tent, round, peaks, got 'hat'"),
        ({"peak": 1.2}, "peak must be from 0 to 1, got 1.2"),
        ({"floor": 0.9}, "floor and top must be 0 <= floor < top <= 1"),
        ({"top": 1.1}, "floor and top must be 0 <= floor < top <= 1"),
        ({"slope": 0.0}, "slope must be above 0 and finite, got 0.0"),
        ({"num_peaks": 1}, "num_peaks must be at least 2, got 1"),
        ({"horizon": 0}, "horizon must be at least 1, got 0"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(InputError, match=message):
        lipschitz_bandit(**parameters)


def test_a_peak_may_be_as_steep_as_numbers_go():
    world = lipschitz_bandit(num_items=101, kind="round", slope=1e300)
    assert world.mean[37] == 0.9
    assert (np.delete(world.mean, 37) == 0.1).all()


def test_means_steeper_than_the_slope_are_refused():
    with pytest.raises(InputError, match=r"slope must be at least that of the means, 1\.6, got 1\.0"):
        LipschitzWorld([0.1, 0.9, 0.1], 10, slope=1.0)
