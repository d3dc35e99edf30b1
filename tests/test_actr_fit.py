"""Memory fitted to logs: the likelihood, its gradient, what is recovered, and the curve of forgetting."""

import math
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
    histories_of,
    log_log_slope,
    repeat_by_gap,
    simulate_repeats,
)
from recsim_env.simulators.calibration.actr import (
    DECAYS,
    LONGEST_MEMORY,
    TEMPERATURES,
    choice_log_likelihood,
    fit_gate,
    gate_counts,
)
from recsim_env.simulators.datasets import read_interactions
from recsim_env.simulators.log import Log
from recsim_env.simulators.luck import Luck
from recsim_env.user_models.memory import TwoStageMemory, base_level_activation

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"
DAY = 86_400.0


def _log(rows: list[tuple[int, float, int]]) -> Log:
    user, time, item = zip(*rows, strict=True)
    return Log.from_interactions(np.array(user), np.array(item), np.array(time))


def _fit_of(memory: TwoStageMemory) -> ActrFit:
    return ActrFit(memory, StandardErrors(0.0, 0.0, 0.0), np.zeros(1), True, (), 0)


def _frame(users: int, baskets: int, size: int, seed: int) -> Log:
    """Users, times and basket sizes, every item new."""
    rng = np.random.default_rng(seed)
    time = np.cumsum(rng.exponential(DAY, (users, baskets)) + 60.0, axis=1)
    rows = np.arange(users * baskets * size)
    return Log.from_interactions(rows // (baskets * size), rows, time.ravel()[rows // size])


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


def _plain_log_likelihood(log: Log, decay: float, temperature: float) -> float:
    total = 0.0
    for _, ages, basket in _known(log):
        weight = {i: sum((age / DAY) ** -decay for age in a) ** (1 / temperature) for i, a in ages.items()}
        again = [i for i in basket if i in weight]
        total += sum(math.log(weight[i]) for i in again)
        for choice in range(len(again)):
            gone = choice / len(again) * sum(weight[i] for i in again)
            total -= math.log(sum(weight.values()) - gone)
    return total


@pytest.fixture(scope="module")
def baskets() -> Log:
    fit = _fit_of(TwoStageMemory(repeat=0.6, temperature=1.2, decay=0.4))
    return simulate_repeats(fit, _frame(20, 30, 3, seed=1), Luck.from_seeds(range(20)))


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


@pytest.mark.parametrize(("decay", "temperature"), [(0.0, 1.0), (0.5, 1.5), (1.7, 0.3), (3.0, 0.05)])
def test_the_likelihood_is_that_of_the_formula(baskets: Log, decay: float, temperature: float) -> None:
    few = baskets.rows(baskets.user < 4)
    value, _ = choice_log_likelihood(histories_of(few), decay, temperature)
    assert value == pytest.approx(_plain_log_likelihood(few, decay, temperature), rel=1e-10)


def test_a_choice_of_one_item_has_the_probability_of_the_two_stage_memory() -> None:
    log = _log([(0, 0.0, 5), (0, 3.0, 6), (0, 4.0, 5), (0, 9.0, 7), (0, 11.0, 6)])
    memory = TwoStageMemory(temperature=1.5, decay=0.4)
    ages = np.array(
        [[[11.0, 7.0], [8.0, np.nan], [2.0, np.nan]], [[4.0, np.nan], [1.0, np.nan], [np.nan] * 2]]
    )
    activation = np.asarray(base_level_activation(ages, memory.decay))
    p = memory.choice_prob(activation, activation > -np.inf)
    value, _ = choice_log_likelihood(histories_of(log), memory.decay, memory.temperature)
    assert value == pytest.approx(math.log(p[0, 1] * p[1, 0]), abs=1e-12)


@pytest.mark.parametrize(("decay", "temperature"), [(0.2, 1.0), (0.5, 1.5), (1.7, 0.3)])
def test_the_gradient_is_that_of_finite_differences(baskets: Log, decay: float, temperature: float) -> None:
    h, step = histories_of(baskets), 1e-5
    _, gradient = choice_log_likelihood(h, decay, temperature)
    by_decay = [choice_log_likelihood(h, decay + x, temperature)[0] for x in (step, -step)]
    by_log = [choice_log_likelihood(h, decay, temperature * math.exp(x))[0] for x in (step, -step)]
    differences = [(up - down) / (2 * step) for up, down in (by_decay, by_log)]
    assert_allclose(gradient, differences, rtol=1e-6, atol=1e-4)


def test_the_unit_of_time_does_not_matter(baskets: Log) -> None:
    hours = Log.from_interactions(baskets.user, baskets.slate[:, 0], baskets.time / 3600.0)
    one, other = fit_actr(baskets), fit_actr(hours)
    assert other.memory.decay == pytest.approx(one.memory.decay, abs=1e-4)
    assert other.memory.temperature == pytest.approx(one.memory.temperature, abs=1e-4)
    assert_allclose(other.std_errors, one.std_errors, rtol=1e-2)


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


def _deviations(fit: ActrFit, truth: TwoStageMemory) -> Floats:
    """(3,) of decay, temperature and repeat, in standard errors."""
    found = fit.memory
    errors = np.array(fit.std_errors)
    return np.array(
        [
            found.decay - truth.decay,
            found.temperature - truth.temperature,
            found.repeat - truth.repeat,
        ]
    ) / np.where(np.isnan(errors), 1e-300, errors)


def test_a_plainly_simulated_memory_is_recovered() -> None:
    truth = TwoStageMemory()
    fit = fit_actr(_plain_simulation(truth, users=30, events=80, seed=3))
    assert fit.converged
    assert fit.on_bound == ()
    assert (np.abs(_deviations(fit, truth)) < 4).all()
    assert (np.diff(fit.log_likelihood) >= -1e-6).all()


@pytest.mark.parametrize(
    "truth", [TwoStageMemory(), TwoStageMemory(0.5, 0.7, 0.9), TwoStageMemory(0.9, 1.0, 0.3)]
)
def test_memories_are_recovered_from_simulated_repeats(truth: TwoStageMemory) -> None:
    frame = _frame(200, 120, 1, seed=4)
    fit = fit_actr(simulate_repeats(_fit_of(truth), frame, Luck.from_seeds(range(200))))
    assert (np.abs(_deviations(fit, truth)) < 4).all()
    assert max(fit.std_errors[:2]) < 0.05  # and the errors are small enough to say something
    assert fit.num_repeats > 9000


def test_standard_errors_are_the_spread_of_fits() -> None:
    truth, frame = TwoStageMemory(), _frame(30, 60, 1, seed=5)
    fits = [
        fit_actr(simulate_repeats(_fit_of(truth), frame, Luck.from_seeds(range(30 * i, 30 * i + 30))))
        for i in range(60)
    ]
    z = np.array([_deviations(fit, truth) for fit in fits])
    assert (np.abs(z.mean(axis=0)) < 0.65).all()  # 5 / sqrt(60)
    assert ((z.std(axis=0) > 0.6) & (z.std(axis=0) < 1.5)).all()


def test_baskets_are_recovered_to_the_approximation_of_ties() -> None:
    truth = TwoStageMemory(0.6, 1.0, 0.4)
    simulated = simulate_repeats(_fit_of(truth), _frame(150, 40, 6, seed=6), Luck.from_seeds(range(150)))
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
        _fit_of(TwoStageMemory(repeat=0.1)), baskets, Luck.from_seeds(range(20)), keep_repeats=True
    )
    one, other = histories_of(baskets), histories_of(kept)
    new = [
        np.sort(np.unique(np.stack([h.user_of_event, h.item]), axis=1, return_index=True)[1])
        for h in (one, other)
    ]
    assert_array_equal(new[0], new[1])  # the same events are first times
    assert_array_equal(one.item_id[new[0]], other.item_id[new[1]])  # of the same items
    assert not np.array_equal(one.item_id, other.item_id)
    again = simulate_repeats(_fit_of(TwoStageMemory()), baskets, Luck.from_seeds(range(20)))
    few = baskets.rows(baskets.user < 5)
    alone = simulate_repeats(_fit_of(TwoStageMemory()), few, Luck.from_seeds(range(5)))
    assert_array_equal(alone.time, again.time[again.user < 5])
    mine = histories_of(again).item[: len(alone)]
    assert_array_equal(histories_of(alone).item, mine)  # a user does the same whoever else is in the log


def test_a_simulated_choice_has_its_probability() -> None:
    # item 0 at 0 and 1 days, item 1 at 2; then one choice each of 20,000 users, who all repeat
    U = 20_000
    rows = [(u, time * DAY, item) for u in range(U) for time, item in ((0, 0), (1, 0), (2, 1), (5, 2))]
    memory = TwoStageMemory(repeat=1.0, temperature=1.5, decay=0.5)
    log = _log(rows)
    simulated = simulate_repeats(_fit_of(memory), log, Luck.from_seeds(range(U)))
    # with a gate of 1 only the first event is new: all four are item 0
    assert_array_equal(simulated.slate, 0)
    share = np.mean(
        simulate_repeats(_fit_of(memory), log, Luck.from_seeds(range(U)), keep_repeats=True).slate[3::4, 0]
        == 2
    )
    assert share == 1.0  # the last one is new in the log
    known = _log([(u, t, i) for u in range(U) for t, i in ((0.0, 0), (1.0, 0), (2.0, 1), (5.0, 0))])
    taken = simulate_repeats(_fit_of(memory), known, Luck.from_seeds(range(U)), keep_repeats=True).slate[
        3::4, 0
    ]
    activation = np.asarray(base_level_activation(np.array([[5.0, 4.0], [3.0, np.nan]])))[None]
    p = memory.choice_prob(activation, np.ones((1, 2), np.bool_))[0, 0]
    assert abs(np.mean(taken == 0) - p) < 5 * math.sqrt(p * (1 - p) / U)


def test_parameters_on_their_bound_are_named() -> None:
    latest = _log([(0, float(t), item) for t, item in enumerate([0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3])])
    fit = fit_actr(latest)
    assert "decay" in fit.on_bound
    assert fit.memory.decay == pytest.approx(DECAYS[1])
    assert np.isnan(fit.std_errors.decay)
    assert fit.std_errors.repeat > 0
    turns = _log([(0, 0.0, 0), (0, 0.0, 1), (0, 0.0, 2)] + [(0, float(t), t % 3) for t in range(1, 60)])
    fit = fit_actr(turns)  # always the one played longest ago, and least often
    assert fit.on_bound == ("decay", "temperature", "repeat")
    assert fit.memory.decay == DECAYS[0]
    assert fit.memory.temperature == pytest.approx(TEMPERATURES[1])
    assert np.isnan(fit.std_errors).all()
    # an old favourite, whatever came in between; and nothing is ever new after the first basket
    favourite = _log([(0, 0.0, 0), (0, 0.0, 1), (0, 0.0, 2)] + [(0, t, i) for t, i in zip(
        np.arange(1.0, 41.0), [0, 0, 1, 0, 0, 2, 0, 0, 1, 0] * 4, strict=True)])  # fmt: skip
    fit = fit_actr(favourite)
    assert fit.on_bound == ("decay", "repeat")
    assert fit.memory.repeat == 1.0
    assert np.isnan(fit.std_errors.repeat)


def test_what_is_long_ago_is_forgotten() -> None:
    rows = [(0, 0.0, 9)] + [(0, float(t), t % 2) for t in range(1, LONGEST_MEMORY + 5)]
    _, taken, known = gate_counts(histories_of(_log(rows)))
    assert known[LONGEST_MEMORY - 1] == 3
    assert known[LONGEST_MEMORY] == 2
    assert taken[2:].all()


def test_the_gate_counts_by_brute_force(baskets: Log) -> None:
    size, taken, known = gate_counts(histories_of(baskets))
    plain = [(len(basket), sum(i in ages for i in basket), len(ages)) for _, ages, basket in _known(baskets)]
    assert_array_equal(np.stack([size, taken, known], axis=1), [row for row in plain if row[2] > 0])


def test_the_gate_allows_for_those_who_know_little() -> None:
    rng = np.random.default_rng(7)
    size, known = rng.integers(1, 9, 4000), rng.integers(1, 6, 4000)
    taken: Ints = np.minimum(rng.binomial(size, 0.7), known)
    rho, error = fit_gate(size, taken, known)
    assert abs(rho - 0.7) < 4 * error
    assert taken.sum() / size.sum() < 0.6  # the plain share is far too small
    grid = np.linspace(0.6, 0.8, 2001)
    chance = np.where(
        (taken < known)[:, None],
        binom.logpmf(taken[:, None], size[:, None], grid),
        binom.logsf(known[:, None] - 1, size[:, None], grid),
    ).sum(axis=0)  # fmt: skip
    assert rho == pytest.approx(grid[np.argmax(chance)], abs=2e-4)
    curvature = np.polyfit(grid - rho, chance, 4)[2] * 2
    assert error == pytest.approx((-curvature) ** -0.5, rel=0.02)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [(4, 0.0, 1), (4, 1.0, 2), (4, 2.0, 3)],
            "log must hold repeats, got none by 1 user: give a longer log",
        ),
        ([(4, 0.0, 1), (5, 1.0, 1)], "got none by 2 users"),
        ([(4, 0.0, 1), (4, 1.0, 1), (4, 2.0, 1)], "users who know two items or more, got none"),
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
        simulate_repeats(_fit_of(TwoStageMemory()), baskets, Luck.from_seeds(range(3)))


def test_one_user_with_repeats_can_be_fitted() -> None:
    log = _plain_simulation(TwoStageMemory(0.8, 1.0, 0.5), users=1, events=300, seed=8)
    assert (np.abs(_deviations(fit_actr(log), TwoStageMemory(0.8, 1.0, 0.5))) < 4).all()


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


def _slopes(source: str | Path, edges: Floats) -> tuple[ActrFit, float, float, float]:
    """The fit, and the slope of the log, of a simulated one, and of one with the log's own repeats."""
    data = read_interactions(source)
    fit, luck = fit_actr(data.log), Luck.from_seeds(range(data.num_users))
    logs = [data.log, *(simulate_repeats(fit, data.log, luck, keep_repeats=keep) for keep in (False, True))]
    real, simulated, kept = (float(log_log_slope(repeat_by_gap(log, edges)).value) for log in logs)
    return fit, real, simulated, kept


def _real(name: str) -> Path:
    if not (REAL / name).is_dir():
        pytest.skip(f"the data set {name} is not on this machine")
    return REAL / name


def test_tags_are_forgotten_as_the_fitted_memory_forgets() -> None:
    fit, real, simulated, kept = _slopes(_real("mathoverflow-tags"), np.geomspace(1.0, 1000.0, 22))
    assert fit.memory.decay == pytest.approx(0.563, abs=0.01)  # close to the 1/2 of ACT-R
    assert fit.memory.temperature == pytest.approx(0.819, abs=0.01)
    assert real == pytest.approx(-0.988, abs=0.01)
    assert simulated == pytest.approx(real, rel=0.1)
    assert kept == pytest.approx(real, rel=0.1)


def test_one_gate_for_all_customers_does_not_make_the_curve_of_online_retail() -> None:
    fit, real, simulated, kept = _slopes(_real("online-retail"), np.geomspace(DAY, 365 * DAY, 20))
    assert fit.memory.decay == pytest.approx(0.239, abs=0.01)
    assert real == pytest.approx(-0.289, abs=0.01)
    assert abs(simulated / real - 1) > 0.5  # far off: customers differ in how much they repeat, and change
    assert kept == pytest.approx(real, rel=0.25)  # with their own repeats it is near, but not within 10 %


@pytest.mark.slow
def test_groceries_are_forgotten_as_the_fitted_memory_forgets() -> None:
    fit, real, simulated, kept = _slopes("complete-journey", np.geomspace(DAY, 365 * DAY, 20))
    assert fit.memory.decay == pytest.approx(0.163, abs=0.01)
    assert real == pytest.approx(-0.450, abs=0.01)
    assert simulated == pytest.approx(real, rel=0.12)  # 10.4 % measured
    assert kept == pytest.approx(real, rel=0.1)
