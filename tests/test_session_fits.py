"""The fits of gaps and return times find what made the log, and know how sure they are."""

import numpy as np
import pytest
from scipy import stats

from recsim_env.errors import InputError
from recsim_env.simulators.calibration.sessions import fit_gaps, fit_return_times
from recsim_env.simulators.log import Log
from recsim_env.user_models.sessions import GammaGaps, LogNormalReturns


def visits(law, users, visits_each, seed=0):
    """A log of so many visits a user."""
    gap = law.sample(np.random.default_rng(seed).random((users, visits_each)))
    time = np.cumsum(gap, axis=1).ravel()
    return Log.from_interactions(np.arange(users).repeat(visits_each), np.zeros(len(time), int), time)


def until(log, end):
    return log.rows(log.time <= end)


@pytest.mark.parametrize("shape", [0.3, 1.0, 4.0, 200.0])
def test_gaps_are_recovered(shape):
    law = GammaGaps(3.0, shape)
    fit = fit_gaps(visits(law, 300, 21))
    assert fit.num_gaps == 300 * 20
    assert fit.num_cut == 0
    assert fit.converged
    assert not fit.on_bound
    found = np.array([fit.gaps.mean, fit.gaps.shape])
    assert (np.abs(found - [3.0, shape]) < 4 * fit.std_errors).all()
    # the information of a Gamma law: n shape / mean^2 and n (trigamma(shape) - 1 / shape)
    k = fit.gaps.shape
    exact = [fit.gaps.mean / np.sqrt(6000 * k), 1 / np.sqrt(6000 * (polygamma_1(k) - 1 / k))]
    np.testing.assert_allclose(fit.std_errors, exact, rtol=1e-3)


def polygamma_1(k):
    return np.sum(1.0 / (k + np.arange(100_000)) ** 2) + 1.0 / (k + 100_000)


def test_gaps_are_those_of_scipy():
    log = visits(GammaGaps(3.0, 0.7), 50, 11, seed=1)
    fit = fit_gaps(log)
    gap = np.diff(log.time.reshape(50, 11), axis=1).ravel()
    shape, _, scale = stats.gamma.fit(gap, floc=0.0)
    assert fit.gaps.shape == pytest.approx(shape, rel=1e-5)
    assert fit.gaps.mean == pytest.approx(shape * scale, rel=1e-5)
    assert fit.gaps.mean == pytest.approx(gap.mean(), rel=1e-6)


def test_the_errors_of_gaps_cover():
    """Of 300 logs about 95 % have the truth within 1.96 errors."""
    law, within = GammaGaps(2.0, 1.5), np.zeros(2)
    for seed in range(300):
        fit = fit_gaps(visits(law, 10, 11, seed=seed))
        within += np.abs([fit.gaps.mean - 2.0, fit.gaps.shape - 1.5]) < 1.96 * fit.std_errors
    assert (np.abs(within / 300 - 0.95) < 5 * np.sqrt(0.95 * 0.05 / 300)).all()


@pytest.mark.parametrize("shape", [0.6, 3.0])
def test_a_watch_that_ends_cuts_gaps_and_the_fit_knows(shape):
    """Users watched for 8 units of time with gaps of mean 3: without the cut gaps the mean is too small."""
    log = until(visits(GammaGaps(3.0, shape), 2000, 60, seed=2), 8.0)
    fit, naive = fit_gaps(log, end=8.0), fit_gaps(log)
    assert fit.num_cut == len(np.unique(log.user))
    assert (np.abs(np.array([fit.gaps.mean, fit.gaps.shape]) - [3.0, shape]) < 4 * fit.std_errors).all()
    assert naive.gaps.mean < 3.0 - 10 * naive.std_errors[0]
    assert fit_gaps(log, end=1e9).gaps.mean > 10.0  # nobody seen again for a very long time


def test_rows_of_one_time_are_one_visit():
    log = visits(GammaGaps(3.0, 2.0), 30, 6)
    doubled = Log.sorted(**{name: np.concatenate([c, c]) for name, c in log.columns().items()})
    one, two = fit_gaps(log), fit_gaps(doubled)
    assert (one.gaps, one.num_gaps) == (two.gaps, two.num_gaps)


def test_a_visit_gap_joins_rows_that_are_close():
    user = np.array([0, 0, 0, 0, 1, 1, 1])
    time = np.array([0.0, 0.2, 0.4, 5.0, 0.0, 7.0, 7.5])
    log = Log.from_interactions(user, np.zeros(7, int), time)
    assert fit_gaps(log).num_gaps == 5
    joined = fit_gaps(log, visit_gap=0.5)  # 0.4 joins 0.2, which joins 0; gaps from beginning to beginning
    assert joined.num_gaps == 2
    assert joined.gaps.mean == pytest.approx(6.0)


def test_a_clock_is_on_the_bound():
    time = np.tile(np.arange(10.0), 4)
    fit = fit_gaps(Log.from_interactions(np.arange(4).repeat(10), np.zeros(40, int), time))
    assert fit.on_bound
    assert fit.gaps.mean == pytest.approx(1.0)
    assert np.isfinite(fit.std_errors[0])
    assert np.isnan(fit.std_errors[1])


def needs(law, users, days, seed=0, items_of=2):
    """Users who buy an item of every category whenever its need is back, watched for so many days."""
    rng, rows = np.random.default_rng(seed), []
    for c in range(len(law.median)):
        time = rng.random(users) * law.median[c]
        while (time < days).any():
            here = np.flatnonzero(time < days)
            rows += [(u, items_of * c + rng.integers(items_of), time[u]) for u in here]
            time = time + law.sample(np.full(users, c), rng.random(users))
    user, item, time = np.array(rows).T
    order = np.arange(len(law.median)).repeat(items_of)
    return Log.from_interactions(user.astype(int), item.astype(int), time), order


LAW = LogNormalReturns(np.array([2.0, 8.0, 25.0]), np.array([0.3, 1.0, 0.6]))


def test_return_times_are_recovered_and_censoring_matters():
    log, category = needs(LAW, 400, 60.0)
    fit = fit_return_times(log, category)
    assert fit.converged.all()
    assert not fit.pooled.any()
    assert not fit.on_bound.any()
    assert (fit.censored <= 400).all()
    assert (fit.observed > 400).all()
    assert (np.abs(fit.returns.median - LAW.median) < 4 * fit.std_errors[:, 0]).all()
    assert (np.abs(fit.returns.deviation - LAW.deviation) < 4 * fit.std_errors[:, 1]).all()
    slow = log.rows(category[log.slate[:, 0]] == 2)
    gap = np.diff(slow.time)[np.diff(slow.user) == 0]
    assert np.exp(np.log(gap).mean()) < 25.0 - 10 * fit.std_errors[2, 0]  # without those that were cut


def test_return_times_are_those_of_scipy_with_and_without_censoring():
    log, category = needs(LAW, 60, 60.0, seed=3)
    fit = fit_return_times(log, category)
    for c in range(3):
        mine = log.rows(category[log.slate[:, 0]] == c)
        same = np.diff(mine.user) == 0
        seen, cut = np.diff(mine.time)[same], log.time.max() - mine.time[np.append(~same, True)]
        assert (fit.observed[c], fit.censored[c]) == (len(seen), len(cut[cut > 0]))
        data = stats.CensoredData(uncensored=np.log(seen), right=np.log(cut[cut > 0]))
        mu, sigma = stats.norm.fit(data)
        assert fit.returns.median[c] == pytest.approx(np.exp(mu), rel=1e-3)
        assert fit.returns.deviation[c] == pytest.approx(sigma, rel=1e-3)


def test_categories_with_few_returns_get_the_fit_of_all_and_are_named():
    log, category = needs(LAW, 30, 60.0, seed=4)
    rare = Log.from_interactions(
        np.append(log.user, [0, 0]), np.append(log.slate[:, 0], [6, 6]), np.append(log.time, [1.0, 9.0])
    )
    fit = fit_return_times(rare, np.append(category, [3, 4]))  # nobody ever buys of category 4
    assert fit.pooled.tolist() == [False, False, False, True, True]
    assert fit.observed[3:].tolist() == [1, 0]
    assert fit.returns.median[3] == fit.returns.median[4]
    assert (fit.std_errors[3] == fit.std_errors[4]).all()
    assert 2.0 < fit.returns.median[3] < 25.0
    np.testing.assert_array_equal(fit.returns.median[:3], fit_return_times(log, category).returns.median)


def test_clicks_of_one_time_are_one_need():
    log, category = needs(LAW, 30, 60.0, seed=5)
    doubled = Log.sorted(**{name: np.concatenate([c, c]) for name, c in log.columns().items()})
    one, two = fit_return_times(log, category), fit_return_times(doubled, category)
    np.testing.assert_array_equal(one.returns.median, two.returns.median)
    np.testing.assert_array_equal(one.observed, two.observed)
    np.testing.assert_array_equal(one.censored, two.censored)


ONE_EVENT = Log.from_interactions([3], [0], [5.0])
TWO_USERS = Log.from_interactions([3, 4], [0, 0], [5.0, 6.0])
NO_ROWS = Log(np.zeros(0, int), np.zeros(0), np.zeros((0, 1), int), np.zeros((0, 1), bool))
NOTHING_CLICKED = Log(np.array([0, 0]), np.array([0.0, 1.0]), np.zeros((2, 1), int), np.zeros((2, 1), bool))
LONG = visits(GammaGaps(3.0), 3, 5)
BAD = [
    (lambda: fit_gaps(ONE_EVENT), r"\(1 rows, 1 users, 1 visits\) has 0: give a longer log$"),
    (lambda: fit_gaps(TWO_USERS), r"\(2 rows, 2 users, 2 visits\) has 0"),
    (lambda: fit_gaps(NO_ROWS), r"\(0 rows, 0 users, 0 visits\) has 0"),
    (lambda: fit_gaps(LONG, 1e9), "3 visits\\) has 0: give a longer log or a smaller visit_gap"),
    (lambda: fit_gaps(LONG, -1.0), "visit_gap must be 0 or more and finite, got -1.0"),
    (lambda: fit_gaps(LONG, end=0.0), "is in the future, after 0.0"),
    (lambda: fit_return_times(ONE_EVENT, np.zeros(1, int)), r"\(1 rows, 1 users\) has 0: give a longer log"),
    (lambda: fit_return_times(NOTHING_CLICKED, np.zeros(1, int)), r"\(2 rows, 1 users\) has 0"),
    (lambda: fit_return_times(NO_ROWS, np.zeros(1, int)), r"\(0 rows, 0 users\) has 0"),
    (
        lambda: fit_return_times(ONE_EVENT, np.array([-1])),
        "category_of_item must hold a category of 0 or more",
    ),
    (lambda: fit_return_times(ONE_EVENT, np.zeros(0, int)), "category_of_item must hold"),
    (
        lambda: fit_return_times(Log.from_interactions([0], [4], [0.0]), np.zeros(2, int)),
        r"slate\[0, 0\] = 4 is not an item: the catalogue has 2 items",
    ),
]


@pytest.mark.parametrize(("fit", "message"), BAD)
def test_bad_logs_and_arguments(fit, message):
    with pytest.raises(InputError, match=message):
        fit()


def test_no_gap_reaches_from_one_episode_into_the_next():
    rows = {"user": np.zeros(6, int), "time": np.array([0.0, 1.0, 3.0, 100.0, 101.0, 104.0])}
    slate, episode = np.zeros((6, 1), int), np.array([0, 0, 0, 1, 1, 1])
    one_life, two = (Log(**rows, slate=slate, clicked=slate == 0, episode=e) for e in (None, episode))
    assert (fit_gaps(one_life).num_gaps, fit_gaps(two).num_gaps) == (5, 4)
