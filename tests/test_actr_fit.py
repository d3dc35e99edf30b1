"""Memory fitted to logs: the likelihood, its gradient, what is recovered, and the curve of forgetting."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import binom

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.calibration import (
    ActrFit,
    RepeatCurve,
    StandardErrors,
    fit_actr,
    fit_discovery,
    histories_of,
    in_visits,
    log_log_slope,
    repeat_by_gap,
    simulate_repeats,
)
from recsim_env.simulators.calibration.actr import DECAYS, TEMPERATURES
from recsim_env.simulators.calibration.actr_likelihood import (
    LONGEST_MEMORY,
    choice_log_likelihood,
    gate_counts,
    gate_log_likelihood,
)
from recsim_env.simulators.calibration.listening import simulate_like
from recsim_env.simulators.datasets import read_interactions
from recsim_env.simulators.log import Log
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.repeat_listening import repeat_listening
from recsim_env.user_models.memory import TwoStageMemory, base_level_activation

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"
DAY = 86_400.0


def _log(rows: list[tuple[int, float, int]]) -> Log:
    user, time, item = zip(*rows, strict=True)
    return Log.from_interactions(np.array(user), np.array(item), np.array(time))


def _fit_of(memory: TwoStageMemory, log: Log, popularity: float = 0.0) -> ActrFit:
    """A memory made up, with discoveries as in the log."""
    discovery = fit_discovery(histories_of(log))
    return ActrFit(memory, popularity, StandardErrors(*[0.0] * 5), np.zeros(1), True, (), 0, discovery)


def _frame(users: int, baskets: int, size: int, seed: int) -> Log:
    """Users, times and basket sizes, every item new, those met early known to more users than others."""
    rng = np.random.default_rng(seed)
    time = np.cumsum(rng.exponential(DAY, (users, baskets)) + 60.0, axis=1)
    rows = np.arange(users * baskets * size)
    user, place = rows // (baskets * size), rows % (baskets * size)
    item = np.where(rng.random(len(rows)) < 0.5, place, rows + baskets * size)
    return Log.from_interactions(user, item, time.ravel()[rows // size])


def _known(log: Log) -> list[tuple[int, dict[int, list[float]], list[int]]]:
    """Of every basket: its user, the ages of the plays of each item known before it, and its items."""
    found = []
    for user in np.unique(log.user).tolist():
        mine = log.user == user
        plays: dict[int, list[float]] = {}
        for now in np.unique(log.time[mine]).tolist():
            basket = np.unique(log.slate[mine & (log.time == now), 0]).tolist()
            ages = {item: [now - time for time in times] for item, times in plays.items()}
            found.append((user, ages, basket))
            for item in basket:
                plays.setdefault(item, []).append(now)
    return found


def _plain_log_likelihood(log: Log, decay: float, temperature: float, popularity: float) -> float:
    total = 0.0
    items = np.unique(log.slate)
    relative = fit_discovery(histories_of(log)).relative(items)
    p = dict(zip(items.tolist(), relative.tolist(), strict=True))
    for _, ages, basket in _known(log):
        weight = {
            i: sum((age / DAY) ** -decay for age in a) ** (1 / temperature) * p[i] ** popularity
            for i, a in ages.items()
        }
        again = [i for i in basket if i in weight]
        total += sum(math.log(weight[i]) for i in again)
        for choice in range(len(again)):
            gone = choice / len(again) * sum(weight[i] for i in again)
            total -= math.log(sum(weight.values()) - gone)
    return total


@pytest.fixture(scope="module")
def baskets() -> Log:
    frame = _frame(20, 30, 3, seed=1)
    fit = _fit_of(TwoStageMemory(repeat=0.6, temperature=1.2, decay=0.4), frame, popularity=0.3)
    return simulate_repeats(fit, frame, Luck.from_seeds(range(20)))


def _choices(log: Log, decay: float, temperature: float, popularity: float) -> Floats:
    """(4,) the value, and its derivatives by decay, the logarithm of the temperature, and popularity."""
    h = histories_of(log)
    by_user = choice_log_likelihood(
        h, np.log(fit_discovery(h).relative(h.item_id)), decay, temperature, popularity
    )
    return np.asarray(by_user.sum(axis=0))


def test_histories_by_hand() -> None:
    log = _log([(7, 0.0, 50), (7, 0.0, 40), (7, 0.0, 50), (7, 2.0, 40), (7, 2.0, 9), (3, 5.0, 9)])
    h = histories_of(log)
    assert_array_equal(h.user, [3, 7])
    assert_array_equal(h.first_basket, [0, 1, 3])
    assert_array_equal(h.time, [5.0, 0.0, 2.0])
    assert_array_equal(h.first_event, [0, 1, 3, 5])
    assert_array_equal(h.item_id, [9, 50, 40, 40, 9])
    assert_array_equal(h.item, [0, 0, 1, 1, 2])
    assert_array_equal(h.user_of_event, [0, 1, 1, 1, 1])


@pytest.mark.parametrize(
    ("decay", "temperature", "popularity"),
    [(0.0, 1.0, 0.0), (0.5, 1.5, 0.4), (1.7, 0.3, -1.0), (3.0, 0.05, 2.0)],
)
def test_the_likelihood_is_that_of_the_formula(
    baskets: Log, decay: float, temperature: float, popularity: float
) -> None:
    few = baskets.rows(baskets.user < 4)
    value = _choices(few, decay, temperature, popularity)[0]
    assert value == pytest.approx(_plain_log_likelihood(few, decay, temperature, popularity), rel=1e-10)


def test_a_choice_of_one_item_has_the_probability_of_the_two_stage_memory() -> None:
    log = _log([(0, 0.0, 5), (0, 3.0, 6), (0, 4.0, 5), (0, 9.0, 7), (0, 11.0, 6)])
    memory = TwoStageMemory(temperature=1.5, decay=0.4)
    ages = np.array(
        [[[11.0, 7.0], [8.0, np.nan], [2.0, np.nan]], [[4.0, np.nan], [1.0, np.nan], [np.nan] * 2]]
    )
    activation = np.asarray(base_level_activation(ages, memory.decay))
    p = memory.choice_prob(activation, activation > -np.inf)
    value = _choices(log, memory.decay, memory.temperature, 0.0)[0]
    assert value == pytest.approx(math.log(p[0, 1] * p[1, 0]), abs=1e-12)


@pytest.mark.parametrize("point", [(0.2, 1.0, 0.3), (0.5, 1.5, 0.0), (1.7, 0.3, -0.5)])
def test_the_gradient_is_that_of_finite_differences(baskets: Log, point: tuple[float, float, float]) -> None:
    x, step = np.array([point[0], math.log(point[1]), point[2]]), 1e-5

    def value(x: Floats) -> float:
        return float(_choices(baskets, x[0], math.exp(x[1]), x[2])[0])

    differences = [(value(x + e) - value(x - e)) / (2 * step) for e in step * np.eye(3)]
    assert_allclose(_choices(baskets, *point)[1:], differences, rtol=1e-6, atol=1e-4)


def test_the_unit_of_time_does_not_matter(baskets: Log) -> None:
    hours = Log.from_interactions(baskets.user, baskets.slate[:, 0], baskets.time / 3600.0)
    one, other = fit_actr(baskets), fit_actr(hours)
    assert other.memory.decay == pytest.approx(one.memory.decay, abs=1e-4)
    assert other.memory.temperature == pytest.approx(one.memory.temperature, abs=1e-4)
    assert_allclose(other.std_errors, one.std_errors, rtol=2e-2)


def _plain_simulation(memory: TwoStageMemory, users: int, events: int, seed: int) -> Log:
    """Baskets of one item, by `TwoStageMemory.sample` over what is known and one new item."""
    rng = np.random.default_rng(seed)
    time = np.cumsum(rng.exponential(DAY, (users, events)) + 60.0, axis=1)
    item = np.zeros((users, events), np.int64)
    for u in range(users):
        count = 1
        for e in range(1, events):
            played = item[u, :e] == np.arange(count + 1)[:, None]
            ages = np.where(played, time[u, e] - time[u, :e], np.nan)
            activation = np.asarray(base_level_activation(ages, memory.decay))[None]
            known = np.arange(count + 1)[None] < count
            item[u, e] = memory.sample(activation, known, np.ones((1, count + 1)), rng.random(1))[0]
            count = max(count, int(item[u, e]) + 1)
    return Log.from_interactions(np.repeat(np.arange(users), events), item.ravel(), time.ravel())


def _deviations(fit: ActrFit, truth: TwoStageMemory, popularity: float = 0.0) -> Floats:
    """(5,) of repeat, its growth, temperature, decay and popularity, in standard errors."""
    found, errors = fit.memory, np.array(fit.std_errors)
    rho = float(truth.repeat_prob(np.array(found.repeat_reference)))  # the truth, where the fit states it
    return np.array(
        [
            found.repeat - rho,
            found.repeat_growth - truth.repeat_growth,
            found.temperature - truth.temperature,
            found.decay - truth.decay,
            fit.popularity_exponent - popularity,
        ]
    ) / np.where(np.isnan(errors), 1e-300, errors)


def test_a_plainly_simulated_memory_is_recovered() -> None:
    truth = TwoStageMemory(repeat_growth=0.5, repeat_reference=20.0)
    fit = fit_actr(_plain_simulation(truth, users=30, events=80, seed=3))
    assert fit.converged
    assert fit.on_bound == ()
    assert (np.abs(_deviations(fit, truth)[:4]) < 4).all()
    assert (np.diff(fit.log_likelihood) >= -1e-6).all()


@pytest.mark.parametrize(
    ("truth", "popularity"),
    [
        (TwoStageMemory(), 0.0),
        (TwoStageMemory(0.5, 0.7, 0.9), 0.5),
        (TwoStageMemory(0.9, 1.0, 0.3), -0.3),
        (TwoStageMemory(0.6, 1.2, 0.3, 0.8, 10.0), 0.3),
    ],
)
def test_memories_are_recovered_from_simulated_repeats(truth: TwoStageMemory, popularity: float) -> None:
    frame, luck = _frame(200, 120, 1, seed=4), Luck.from_seeds(range(200))
    simulated = simulate_repeats(_fit_of(truth, frame, popularity), frame, luck)
    # how popular items are is a property of the frame, and nearly that of what was made of it
    fit = fit_actr(simulated)
    assert (np.abs(_deviations(fit, truth, popularity)[:4]) < 4).all()
    assert fit.popularity_exponent == pytest.approx(
        popularity, abs=4 * fit.std_errors.popularity_exponent + 0.05
    )
    assert max(fit.std_errors) < 0.08  # and the errors are small enough to say something
    assert fit.num_repeats > 9000


def test_standard_errors_are_the_spread_of_fits() -> None:
    truth, frame = TwoStageMemory(0.6, 1.0, 0.5, 0.4, 10.0), _frame(30, 60, 1, seed=5)
    fits = [
        fit_actr(simulate_repeats(_fit_of(truth, frame), frame, Luck.from_seeds(range(30 * i, 30 * i + 30))))
        for i in range(60)
    ]
    z = np.array([_deviations(fit, truth) for fit in fits])
    assert (np.abs(z.mean(axis=0)) < 0.65).all()  # 5 / sqrt(60)
    assert ((z.std(axis=0) > 0.6) & (z.std(axis=0) < 1.5)).all()


def test_baskets_are_recovered_to_the_approximation_of_ties() -> None:
    truth, frame = TwoStageMemory(0.6, 1.0, 0.4), _frame(150, 40, 6, seed=6)
    simulated = simulate_repeats(_fit_of(truth, frame), frame, Luck.from_seeds(range(150)))
    fit = fit_actr(simulated)
    assert abs(fit.memory.repeat - 0.6) < 4 * fit.std_errors.repeat
    assert abs(fit.memory.decay - 0.4) < 4 * fit.std_errors.decay + 0.01
    assert abs(fit.memory.temperature - 1.0) < 4 * fit.std_errors.temperature + 0.03


def test_simulated_repeats_keep_users_times_and_sizes(baskets: Log) -> None:
    frame = _frame(20, 30, 3, seed=1)
    assert_array_equal(baskets.user, frame.user)
    assert_array_equal(baskets.time, frame.time)
    baskets.check_no_duplicates()
    kept = simulate_repeats(
        _fit_of(TwoStageMemory(repeat=0.1), baskets), baskets, Luck.from_seeds(range(20)), keep_repeats=True
    )
    one, other = histories_of(baskets), histories_of(kept)
    new = [
        np.sort(np.unique(np.stack([h.user_of_event, h.item]), axis=1, return_index=True)[1])
        for h in (one, other)
    ]
    assert_array_equal(new[0], new[1])  # the same events are first times
    assert_array_equal(one.item_id[new[0]], other.item_id[new[1]])  # of the same items
    assert not np.array_equal(one.item_id, other.item_id)
    again = simulate_repeats(_fit_of(TwoStageMemory(), baskets), baskets, Luck.from_seeds(range(20)))
    few = baskets.rows(baskets.user < 5)
    alone = simulate_repeats(_fit_of(TwoStageMemory(), few), few, Luck.from_seeds(range(5)))
    assert_array_equal(alone.time, again.time[again.user < 5])
    mine = histories_of(again).item[: len(alone)]
    assert_array_equal(histories_of(alone).item, mine)  # a user does the same whoever else is in the log


def test_a_simulated_choice_has_its_probability() -> None:
    # item 0 at 0 and 1 days, item 1 at 2; then one choice each of 20,000 users, who all repeat
    U = 20_000
    rows = [(u, time * DAY, item) for u in range(U) for time, item in ((0, 0), (1, 0), (2, 1), (5, 2))]
    memory = TwoStageMemory(repeat=1.0, temperature=1.5, decay=0.5)
    log = _log(rows)
    simulated = simulate_repeats(_fit_of(memory, log), log, Luck.from_seeds(range(U)))
    # with a gate of 1 only the first event is new: all four are item 0
    assert_array_equal(simulated.slate, 0)
    share = np.mean(
        simulate_repeats(_fit_of(memory, log), log, Luck.from_seeds(range(U)), keep_repeats=True).slate[
            3::4, 0
        ]
        == 2
    )
    assert share == 1.0  # the last one is new in the log
    known = _log([(u, t, i) for u in range(U) for t, i in ((0.0, 0), (1.0, 0), (2.0, 1), (5.0, 0))])
    taken = simulate_repeats(
        _fit_of(memory, known), known, Luck.from_seeds(range(U)), keep_repeats=True
    ).slate[3::4, 0]
    activation = np.asarray(base_level_activation(np.array([[5.0, 4.0], [3.0, np.nan]])))[None]
    p = memory.choice_prob(activation, np.ones((1, 2), np.bool_))[0, 0]
    assert abs(np.mean(taken == 0) - p) < 5 * math.sqrt(p * (1 - p) / U)


def test_parameters_on_their_bound_are_named() -> None:
    def four(items: list[int]) -> Log:  # to whom the items are new in different orders: all are as popular
        return _log([(u, float(t), (item + u) % 4) for u in range(4) for t, item in enumerate(items)])

    fit = fit_actr(four([0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3]))  # always the latest
    assert "decay" in fit.on_bound
    assert fit.memory.decay == pytest.approx(DECAYS[1])
    assert np.isnan(fit.std_errors.decay)
    # always the one played longest ago, and least often; nothing is ever new after the first three
    fit = fit_actr(
        _log([(u, 0.0, i) for u in range(3) for i in range(3)]
             + [(u, float(t), (t + u) % 3) for u in range(3) for t in range(1, 60)])
    )  # fmt: skip
    assert set(fit.on_bound) >= {"repeat", "decay", "temperature"}
    assert fit.memory.decay == DECAYS[0]
    assert fit.memory.temperature == pytest.approx(TEMPERATURES[1])
    assert fit.memory.repeat > 0.9999
    assert np.isnan(fit.std_errors[0])
    assert (
        fit.std_errors.popularity_exponent != fit.std_errors.popularity_exponent
    )  # all users know all: it tells nothing


def test_what_is_long_ago_is_forgotten() -> None:
    rows = [(0, 0.0, 9)] + [(0, float(t), t % 2) for t in range(1, LONGEST_MEMORY + 5)]
    _, _, taken, known = gate_counts(histories_of(_log(rows)))
    assert known[LONGEST_MEMORY - 1] == 3
    assert known[LONGEST_MEMORY] == 2
    assert taken[2:].all()


def test_the_gate_counts_by_brute_force(baskets: Log) -> None:
    counts = np.stack(gate_counts(histories_of(baskets)), axis=1)
    users = np.unique(baskets.user).tolist()
    plain = [
        (users.index(user), len(basket), sum(i in ages for i in basket), len(ages))
        for user, ages, basket in _known(baskets)
    ]
    assert_array_equal(counts, [row for row in plain if row[3] > 0])


def test_the_gate_allows_for_those_who_know_little() -> None:
    rng = np.random.default_rng(7)
    size, known = rng.integers(1, 9, 4000), rng.integers(1, 6, 4000)
    taken: Ints = np.minimum(rng.binomial(size, 0.7), known)
    assert taken.sum() / size.sum() < 0.6  # the plain share is far too small
    counts = (np.arange(4000) % 3, size, taken, known)
    for logit, growth in ((0.8, 0.0), (0.5, 0.7), (-1.0, -0.4)):
        rho = TwoStageMemory(1 / (1 + math.exp(-logit)), 1.0, 0.5, growth, 2.5).repeat_prob(known)
        chance = np.where(
            taken < known,
            binom.logpmf(taken, size, rho),
            binom.logsf(known - 1, size, rho),
        )
        plain = [chance[counts[0] == u].sum() for u in range(3)]
        found = gate_log_likelihood(counts, logit, growth, 2.5)
        assert_allclose(found[:, 0], plain, rtol=1e-10)
        step = 1e-5
        for p, (b, g) in enumerate(((step, 0.0), (0.0, step))):
            up = gate_log_likelihood(counts, logit + b, growth + g, 2.5)[:, 0]
            down = gate_log_likelihood(counts, logit - b, growth - g, 2.5)[:, 0]
            assert_allclose(found[:, 1 + p], (up - down) / (2 * step), rtol=1e-5, atol=1e-4)
    grid = np.linspace(0.3, 1.4, 1101)  # of the logit: 0.7 has 0.847
    total = [gate_log_likelihood(counts, b, 0.0, 1.0)[:, 0].sum() for b in grid]
    best = 1 / (1 + math.exp(-grid[int(np.argmax(total))]))
    assert best == pytest.approx(0.7, abs=0.02)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(4, 0.0, 1), (4, 1.0, 2), (4, 2.0, 1)], "log must have two users or more, got user 4 alone"),
        ([(4, 0.0, 1), (5, 1.0, 1)], "log must hold repeats, got none by 2 users: give a longer log"),
        (
            [(u, t, 1) for u in range(2) for t in (0.0, 1.0, 2.0)],
            "users who know two items or more, got none",
        ),
    ],
)
def test_logs_that_say_nothing_of_memory_are_refused(
    rows: list[tuple[int, float, int]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fit_actr(_log(rows))


def test_a_log_without_clicks_and_the_wrong_luck_are_refused(baskets: Log) -> None:
    shown = Log(np.array([0]), np.array([0.0]), np.array([[1]]), np.array([[False]]))
    with pytest.raises(InputError, match="log must hold clicks, got none"):
        fit_actr(shown)
    with pytest.raises(InputError, match="luck must have one row for each of the 20 users, got 3"):
        simulate_repeats(_fit_of(TwoStageMemory(), baskets), baskets, Luck.from_seeds(range(3)))


def test_single_plays_tell_only_the_ratio_of_decay_and_temperature() -> None:
    # nothing is played a third time, so that s^(1/T) = age^(-d/T), but for the few known from two plays
    rows = [(u, t, i) for u in range(30) for t, i in ((0.0, 0), (1.0 + u % 3, 1), (7.0, u % 2))]
    fit = fit_actr(_log(rows))
    assert np.isnan(fit.std_errors.decay) or fit.std_errors.decay > 1.0 or fit.on_bound


def test_the_curve_by_brute_force(baskets: Log) -> None:
    edges = np.geomspace(0.5 * DAY, 20 * DAY, 8)
    curve = repeat_by_gap(baskets, edges)
    gaps = [(min(a), item in basket) for _, ages, basket in _known(baskets) for item, a in ages.items()]
    for g, (low, high) in enumerate(pairwise(edges.tolist())):
        mine = [(gap, again) for gap, again in gaps if low <= gap < high]
        assert curve.at_risk[g] == len(mine)
        assert curve.consumed[g] == sum(again for _, again in mine)
        assert curve.gap[g] == pytest.approx(math.exp(np.mean([math.log(gap) for gap, _ in mine])))
    assert_allclose(curve.rate, curve.consumed / curve.at_risk)
    assert_allclose(curve.odds, curve.rate / (1 - curve.rate))


def test_the_slope_of_a_power_law_and_its_error() -> None:
    rng = np.random.default_rng(9)
    edges = np.geomspace(1.0, 400.0, 16)
    gap = np.sqrt(edges[1:] * edges[:-1])
    odds = 0.3 * gap**-0.6
    at_risk = np.full(15, 3000)
    z = []
    for _ in range(300):
        curve = RepeatCurve(edges, at_risk, rng.binomial(at_risk, odds / (1 + odds)), gap)
        slope = log_log_slope(curve)
        z.append((slope.value + 0.6) / slope.std_error)
    assert abs(np.mean(z)) < 5 / math.sqrt(300)
    assert 0.75 < np.std(z) < 1.1  # never below the error of the weights, so a little too careful
    exact = RepeatCurve(
        edges, at_risk, np.append(at_risk[1:] * (odds / (1 + odds))[1:], 0), np.append(gap[1:], np.nan)
    )
    assert log_log_slope(exact).value == pytest.approx(-0.6, abs=1e-9)  # the empty bin is left out


def test_edges_and_curves_that_cannot_be_used(baskets: Log) -> None:
    for edges in ([1.0], [0.0, 1.0], [2.0, 1.0], [1.0, np.nan]):
        with pytest.raises(InputError, match="edges must be two or more positive increasing gaps"):
            repeat_by_gap(baskets, np.array(edges))
    with pytest.raises(
        InputError, match="curve must have three bins with some consumed and some not, got 0 of 2"
    ):
        log_log_slope(repeat_by_gap(baskets, np.array([1.0, 2.0, 3.0])))


def test_a_clock_of_visits_counts_the_times_of_each_user() -> None:
    log = _log([(7, 10.0, 1), (7, 10.0, 2), (7, 50.0, 1), (9, 5.0, 1), (9, 6.0, 2), (9, 6.0, 3)])
    assert_array_equal(in_visits(log).time, [0.0, 0.0, 1.0, 0.0, 1.0, 1.0])
    assert_array_equal(in_visits(log).slate, log.slate)


def _slopes(log: Log, edges: Floats) -> tuple[ActrFit, float, float]:
    """The fit, and the slope of the log and of a simulated one."""
    fit, luck = fit_actr(log), Luck.from_seeds(range(len(np.unique(log.user))))
    logs = (log, simulate_repeats(fit, log, luck))
    real, simulated = (float(log_log_slope(repeat_by_gap(one, edges)).value) for one in logs)
    print(fit.memory, fit.popularity_exponent, fit.std_errors, real, simulated)  # the figures of the docs
    return fit, real, simulated


def _real(name: str) -> Path:
    if not (REAL / name).is_dir():
        pytest.skip(f"the data set {name} is not on this machine")
    return REAL / name


def _visit_edges(log: Log) -> Floats:
    return np.geomspace(1.0, log.time.max() + 1.0, 13)


@pytest.mark.parametrize(
    ("name", "decay", "temperature", "popularity", "slope"),
    [
        ("mathoverflow-tags", 0.628, 0.918, 0.186, -0.987),
        ("online-retail", 0.577, 1.158, 0.417, -0.725),
        pytest.param("complete-journey", 0.242, 0.969, 0.204, -0.578, marks=pytest.mark.slow),
    ],
)
def test_real_users_come_back_as_the_fitted_memory_does(
    name: str, decay: float, temperature: float, popularity: float, slope: float
) -> None:
    source = name if name == "complete-journey" else _real(name)
    log = in_visits(read_interactions(source).log)
    fit, real, simulated = _slopes(log, _visit_edges(log))
    assert fit.converged
    assert fit.on_bound == ()
    assert fit.memory.decay == pytest.approx(decay, abs=0.01)
    assert fit.memory.temperature == pytest.approx(temperature, abs=0.01)
    assert fit.popularity_exponent == pytest.approx(popularity, abs=0.01)
    assert fit.memory.repeat_growth > 0.5  # who knows more repeats more
    assert real == pytest.approx(slope, abs=0.01)
    assert simulated == pytest.approx(real, rel=0.1)


@pytest.mark.slow
def test_groceries_come_back_in_seconds_too() -> None:
    log = read_interactions("complete-journey").log
    edges = np.geomspace(DAY, 365 * DAY, 20)
    _, real, simulated = _slopes(log, edges)
    assert real == pytest.approx(-0.450, abs=0.01)
    assert abs(simulated - real) < float(log_log_slope(repeat_by_gap(log, edges)).std_error)


def test_no_memory_makes_the_curve_of_online_retail_in_seconds() -> None:
    """It rises for a week before it falls."""
    log = read_interactions(_real("online-retail")).log
    curve = repeat_by_gap(log, DAY * np.array([1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0]))
    assert int(np.argmax(curve.rate)) > 0
    _, real, simulated = _slopes(log, np.geomspace(DAY, 365 * DAY, 20))
    assert abs(simulated / real - 1) > 0.3


@pytest.mark.slow
def test_weights_of_discovery_are_taken_as_known() -> None:
    """So the error of the popularity exponent is too small, as its page says, and the others are not."""
    world = replace(
        repeat_listening(
            num_items=300, num_users=1, num_categories=1, temperature=1.0, session_length=1, mean_gap=DAY,
            remembered=200, horizon=1,
        ),
        popularity_exponent=1.0,
    )  # fmt: skip
    events = np.arange(100 * 150)
    pattern = Log.from_interactions(events // 150, np.zeros(len(events), np.int64), events)
    fits = [fit_actr(simulate_like(world, pattern, seed=1000 * i)) for i in range(24)]
    truth = np.array([1.0, 1.0, 0.5])
    found = np.array([[f.popularity_exponent, f.memory.temperature, f.memory.decay] for f in fits])
    errors = np.array(
        [[f.std_errors.popularity_exponent, f.std_errors.temperature, f.std_errors.decay] for f in fits]
    )
    z = (found - truth) / errors
    print(z.mean(axis=0), z.std(axis=0))
    assert 1.2 < z[:, 0].std() < 2.6
    assert (np.abs(z[:, 0]) < 7).all()
    assert (np.abs(z[:, 1:].mean(axis=0)) < 1.0).all()
    assert (z[:, 1:].std(axis=0) < 1.4).all()
