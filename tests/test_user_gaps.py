"""Gaps fitted user by user: recovery, calibration of errors and of the test for bursts, and bad logs."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, stats

from recsim_env.errors import InputError
from recsim_env.simulators.calibration import fit_user_gaps
from recsim_env.simulators.calibration.sessions import fit_gaps
from recsim_env.simulators.datasets import read_interactions
from recsim_env.simulators.log import Log
from recsim_env.user_models.sessions import GammaGaps

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"


def log_of(user, time, item=None):
    item = np.zeros(len(user), int) if item is None else item
    return Log.from_interactions(np.array(user), item, np.array(time))


def renewals(users, gaps_each, shape, seed=0, spread=1.0):
    """A log of users with so many gaps each, of means that differ by a factor exp(spread z)."""
    rng = np.random.default_rng(seed)
    mean = np.exp(spread * rng.standard_normal((users, 1)))
    gap = mean * GammaGaps(1.0, shape).sample(rng.random((users, gaps_each)))
    time = np.concatenate([np.zeros((users, 1)), np.cumsum(gap, axis=1)], axis=1) + rng.random((users, 1))
    return log_of(np.repeat(np.arange(users), gaps_each + 1), time.ravel()), mean[:, 0]


@pytest.mark.parametrize("shape", [0.3, 1.0, 6.0])
@pytest.mark.parametrize("gaps_each", [2, 20])
def test_the_common_shape_is_recovered_even_from_two_gaps_a_user(shape, gaps_each):
    log, mean = renewals(2000, gaps_each, shape)
    fit = fit_user_gaps(log)
    assert abs(fit.common_shape - shape) < 4 * fit.common_shape_std_error
    assert fit.common_shape_std_error < 0.1 * shape
    z = (fit.mean - mean) / (mean / np.sqrt(gaps_each * shape))
    assert abs(z.std() - 1.0) < 0.1
    assert (fit.num_gaps == gaps_each).mean() > 0.99  # a very short gap may be lost to rounding
    assert_allclose(fit.mean_std_error, fit.mean / np.sqrt(fit.num_gaps * fit.common_shape))


def test_the_error_of_the_common_shape_is_its_spread():
    fits = [fit_user_gaps(renewals(40, 6, 1.5, seed=seed)[0]) for seed in range(300)]
    z = [(fit.common_shape - 1.5) / fit.common_shape_std_error for fit in fits]
    assert abs(np.mean(z)) < 0.25  # a small bias is left: 40 users are few
    assert 0.85 < np.std(z) < 1.15


def test_a_shape_is_the_maximum_of_the_conditional_likelihood():
    log, _ = renewals(1, 9, 2.0, seed=3)
    gap = np.diff(log.time)

    def negative(log_k):
        # given their sum, the gaps' shares are Dirichlet(k, .., k)
        return -stats.dirichlet(np.full(9, np.exp(log_k))).logpdf(gap / gap.sum())

    best = optimize.minimize_scalar(negative, bounds=(-3, 4), method="bounded", options={"xatol": 1e-10})
    fit = fit_user_gaps(log)
    assert fit.shape[0] == pytest.approx(np.exp(best.x), rel=1e-5)
    assert fit.common_shape == pytest.approx(fit.shape[0], rel=1e-12)
    h = 1e-3
    k = fit.shape[0]
    curve = sum(s * negative(np.log(k + d)) for s, d in ((1, h), (-2, 0), (1, -h))) / h**2
    assert fit.shape_std_error[0] == pytest.approx(curve**-0.5, rel=1e-4)


@pytest.mark.parametrize("gaps_each", [2, 5, 40])
def test_of_poisson_users_one_in_forty_is_called_bursty_and_one_regular(gaps_each):
    fit = fit_user_gaps(renewals(8000, gaps_each, 1.0)[0])
    for share in (fit.bursty.mean(), fit.regular.mean()):
        assert abs(share - 0.025) < 5 * np.sqrt(0.025 * 0.975 / 8000)


def test_bursty_and_regular_users_are_told_apart():
    assert fit_user_gaps(renewals(200, 40, 0.3)[0]).bursty.mean() > 0.95
    assert fit_user_gaps(renewals(200, 40, 4.0)[0]).regular.mean() > 0.95
    text = str(fit_user_gaps(renewals(200, 40, 4.0)[0]))
    assert text.startswith("200 users, 8000 gaps: median user's mean ")


def test_ties_are_one_visit_and_so_are_rows_within_visit_gap():
    fit = fit_user_gaps(log_of([0] * 7, [0.0, 0.0, 1.0, 10.0, 10.0, 14.0, 16.0]))
    assert fit.num_gaps.tolist() == [4]
    assert fit.mean[0] == 4.0
    fit = fit_user_gaps(log_of([0] * 7, [0.0, 0.0, 1.0, 10.0, 10.0, 14.0, 16.0]), visit_gap=2.0)
    assert fit.num_gaps.tolist() == [2]  # visits at 0, 10 and 14
    assert fit.mean[0] == 7.0


def test_users_with_one_gap_have_a_mean_and_equal_gaps_an_infinite_shape():
    fit = fit_user_gaps(log_of([0, 0, 1, 1, 1, 1, 3], [0.0, 5.0, 1.0, 3.0, 5.0, 7.0, 0.0]))
    assert fit.user.tolist() == [0, 1]
    assert fit.mean.tolist() == [5.0, 2.0]
    assert np.isnan(fit.shape[0])
    assert fit.shape[1] == fit.common_shape == np.inf
    assert np.isnan(fit.shape_std_error).all()
    assert np.isnan(fit.common_shape_std_error)
    assert fit.regular.tolist() == [False, True]


def test_no_gap_reaches_into_the_next_episode():
    log = log_of([0] * 6, [0.0, 1.0, 3.0, 4.0, 5.0, 9.0])
    episodes = Log(log.user, log.time, log.slate, log.clicked, episode=np.array([0, 0, 0, 1, 1, 1]))
    assert fit_user_gaps(episodes).num_gaps.tolist() == [4]
    assert fit_user_gaps(log).num_gaps.tolist() == [5]


def test_a_short_log_makes_poisson_users_look_too_quick_by_the_open_gap():
    rng = np.random.default_rng(0)
    rows = [(user, t) for user in range(4000) for t in np.append(0.0, rng.random(rng.poisson(8.0)) * 8.0)]
    fit = fit_user_gaps(log_of(*zip(*rows, strict=True)))
    pooled = (fit.mean * fit.num_gaps).sum() / fit.num_gaps.sum()
    assert pooled == pytest.approx(1.0 - 1.0 / 8.0, abs=0.01)


def test_logs_without_gaps_are_refused():
    with pytest.raises(InputError, match=r"needs a user with three visits or more, .* have one at most"):
        fit_user_gaps(log_of([0, 1, 2], [0.0, 1.0, 2.0]))
    with pytest.raises(InputError, match="have two at most: give a longer log, or a smaller visit_gap"):
        fit_user_gaps(log_of([0, 0, 0, 1, 1], [0.0, 5.0, 5.5, 1.0, 2.0]), visit_gap=0.9)
    with pytest.raises(InputError, match="visit_gap must be 0 or more, got nan"):
        fit_user_gaps(log_of([0, 0], [0.0, 1.0]), visit_gap=np.nan)


def test_users_of_different_paces_are_not_taken_for_bursts():
    log, _ = renewals(2000, 20, 1.0)
    assert fit_gaps(log).gaps.shape == pytest.approx(0.58, abs=0.03)  # one law for all
    assert fit_user_gaps(log).common_shape == pytest.approx(1.0, abs=0.03)


def test_tills_a_few_minutes_apart_are_not_visits_of_a_bursty_shopper():
    log = read_interactions("complete-journey").log
    rows, visits = fit_user_gaps(log), fit_user_gaps(log, visit_gap=1800.0)
    assert abs(rows.common_shape - 0.622) < 0.01
    assert abs(visits.common_shape - 1.122) < 0.02
    assert rows.bursty.mean() > 0.4 > 0.1 > visits.bursty.mean()
    assert visits.regular.mean() > 0.2  # who shops every week


@pytest.mark.skipif(not (REAL / "ml-100k").is_dir(), reason="needs ../shared/data/ml-100k")
def test_raters_of_films_come_in_bursts():
    fit = fit_user_gaps(read_interactions(REAL / "ml-100k").log)
    assert abs(fit.common_shape - 0.198) < 0.01
    assert fit.bursty.mean() > 0.4 > 0.2 > fit.regular.mean()


def test_an_empty_log_is_refused():
    with pytest.raises(InputError, match="a fit needs a user with three visits or more"):
        fit_user_gaps(Log.from_interactions(*np.zeros((2, 0), int), np.zeros(0)))
