"""When users come and leave: against scipy's distributions, closed forms and simulation."""

import numpy as np
import pytest
from scipy import stats

from recsim_env.errors import InputError
from recsim_env.user_models.sessions import (
    GammaGaps,
    GeometricLeaving,
    LeavingAfterBadSlates,
    LogNormalReturns,
    PatienceBudget,
)

U = np.random.default_rng(0).random(50_000)
SHAPES = [0.2, 0.5, 1.0, 2.5, 40.0]


def gamma(gaps):
    return stats.gamma(gaps.shape, scale=gaps.mean / gaps.shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_gaps_are_gamma(shape):
    gaps = GammaGaps(3.0, shape)
    sample = gaps.sample(U)
    assert stats.kstest(sample, gamma(gaps).cdf).pvalue > 1e-3
    assert abs(sample.mean() - 3.0) < 5 * sample.std() / np.sqrt(len(U))
    np.testing.assert_allclose(gaps.sample(U.reshape(100, -1)), sample.reshape(100, -1), rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_density_survival_and_hazard_of_gaps(shape):
    gaps = GammaGaps(3.0, shape)
    at = np.array([0.01, 0.3, 1.0, 3.0, 8.0, 20.0])
    np.testing.assert_allclose(gaps.log_density(at), gamma(gaps).logpdf(at), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(gaps.survival(at), gamma(gaps).sf(at), rtol=1e-10)
    h = 1e-5 * at  # the hazard is minus the derivative of the log-survival
    log_survival = gamma(gaps).logsf
    slope = (log_survival(at - h) - log_survival(at + h)) / (2 * h)
    np.testing.assert_allclose(gaps.hazard(at), slope, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_hazard_goes_on_where_the_survival_underflows(shape):
    """It runs into shape / mean, without a jump where the formula changes."""
    gaps = GammaGaps(3.0, shape)
    at = np.linspace(500.0, 3000.0, 2001) * (3.0 / max(shape, 1.0)) * (1.0 if shape > 1.0 else 1.0 / shape)
    hazard = gaps.hazard(at)
    assert gaps.survival(at[-1:])[0] == 0.0
    assert np.isfinite(hazard).all()
    if shape == 1.0:
        np.testing.assert_allclose(hazard, 1 / 3.0, rtol=1e-12)
    else:
        steps = np.diff(hazard) * (1.0 if shape > 1.0 else -1.0)
        assert (steps > -1e-9 * hazard[1:]).all()
        assert hazard[-1] == pytest.approx(shape / 3.0, rel=0.02)


def test_a_shape_of_one_has_no_memory_and_an_infinite_one_is_clockwork():
    np.testing.assert_allclose(GammaGaps(3.0).hazard(np.array([0.1, 5.0])), 1 / 3.0, rtol=1e-12)
    clock = GammaGaps(3.0, np.inf)
    assert (clock.sample(U[:7]) == 3.0).all()
    assert clock.survival(np.array([2.9, 3.0, 3.1])).tolist() == [1.0, 0.0, 0.0]
    for ask in (clock.log_density, clock.hazard):
        with pytest.raises(InputError, match="gaps of infinite shape have no density"):
            ask(np.array([3.0]))


RETURNS = LogNormalReturns(np.array([2.0, 30.0, 7.0]), np.array([0.3, 1.0, 2.0]))


@pytest.mark.parametrize("c", [0, 1, 2])
def test_returns_are_log_normal(c):
    exact = stats.lognorm(RETURNS.deviation[c], scale=RETURNS.median[c])
    which = np.full(len(U), c)
    assert stats.kstest(RETURNS.sample(which, U), exact.cdf).pvalue > 1e-3
    at = np.array([0.05, 1.0, 5.0, 40.0])
    which = which[:4]
    np.testing.assert_allclose(RETURNS.log_density(which, at), exact.logpdf(at), rtol=1e-10)
    np.testing.assert_allclose(RETURNS.log_survival(which, at), exact.logsf(at), rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(
        RETURNS.hazard(which, at), np.exp(exact.logpdf(at) - exact.logsf(at)), rtol=1e-8
    )


def test_the_smallest_and_the_largest_uniform_give_finite_times():
    edges = np.array([0.0, 2.0**-53, 1.0 - 2.0**-53])
    times = RETURNS.sample(np.zeros(3, int), edges)
    assert (np.isfinite(times) & (times > 0)).all()
    assert np.isfinite(GammaGaps(3.0, 2.5).sample(edges)).all()
    assert np.isfinite(GammaGaps(3.0).sample(edges)).all()


def test_categories_are_mixed_freely():
    which = np.array([[2, 0], [1, 1]])
    u = U[:4].reshape(2, 2)
    one_by_one = [
        [RETURNS.sample(which[i, j : j + 1], u[i, j : j + 1])[0] for j in range(2)] for i in range(2)
    ]
    np.testing.assert_allclose(RETURNS.sample(which, u), one_by_one, rtol=1e-14)


def test_geometric_leaving_has_its_mean_and_its_law():
    n, law = 40_000, GeometricLeaving(0.2)
    u = np.random.default_rng(1).random((100, n))
    slates = np.argmax([law.leaves(row) for row in u], axis=0) + 1
    assert abs(slates.mean() - law.mean_slates()) < 5 * slates.std() / np.sqrt(n)
    for k in (1, 2, 5):
        exact = 0.2 * 0.8 ** (k - 1)
        assert abs((slates == k).mean() - exact) < 5 * np.sqrt(exact / n)
    assert GeometricLeaving(0.0).mean_slates() == np.inf
    assert not GeometricLeaving(0.0).leaves(np.zeros(3)).any()
    assert GeometricLeaving(1.0).leaves(U).all()


def test_patience_without_clicks_lasts_budget_over_cost():
    for budget, cost, slates in ((10.0, 1.0, 10), (1.0, 0.1, 10), (2.5, 1.0, 3), (0.7, 0.1, 7)):
        law = PatienceBudget(budget, cost)
        patience, shown = law.begin(1), 0
        while not law.leaves(patience)[0]:
            patience = law.step(patience, np.zeros(1))
            shown += 1
        assert shown == slates


def test_clicks_restore_patience_up_to_the_budget():
    law = PatienceBudget(3.0, 1.0, 0.75)
    patience = law.begin(3)
    assert patience.tolist() == [3.0, 3.0, 3.0]
    patience = law.step(patience, np.array([0.0, 1.0, 4.0]))
    assert patience.tolist() == [2.0, 2.75, 3.0]
    assert not law.leaves(law.step(patience, np.ones(3))).any()
    for_ever = PatienceBudget(1.0, 0.0)
    assert not for_ever.leaves(for_ever.step(for_ever.begin(2), np.zeros(2))).any()


def test_patience_with_refunds_is_a_random_walk():
    """With a refund of two costs and clicks of chance p, P(gone after 2 slates, budget 2) = (1 - p)^2."""
    n, p = 100_000, 0.3
    law, rng = PatienceBudget(2.0, 1.0, 2.0), np.random.default_rng(2)
    patience = law.begin(n)
    for _ in range(2):
        patience = law.step(patience, (rng.random(n) < p).astype(float))
    exact = (1 - p) ** 2
    assert abs(law.leaves(patience).mean() - exact) < 5 * np.sqrt(exact * (1 - exact) / n)


def test_bad_slates_make_leaving_likelier():
    law = LeavingAfterBadSlates(0.1, 2.0)
    np.testing.assert_allclose(law.chance(np.arange(7)), [0.0, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0], rtol=1e-12)
    assert law.step(np.array([0, 3, 3]), np.array([0.0, 0.0, 2.0])).tolist() == [1, 4, 0]
    n, rng = 50_000, np.random.default_rng(3)
    run, gone_after = np.zeros(n, int), np.zeros(n, int)
    for t in range(1, 8):
        run = law.step(run, np.zeros(n))
        leaves = law.leaves(run, rng.random(n)) & (gone_after == 0)
        gone_after[leaves] = t
    stays = np.cumprod(np.concatenate([[1.0], 1.0 - law.chance(np.arange(1, 8))]))
    for t in range(1, 8):
        exact = stays[t - 1] - stays[t]
        assert abs((gone_after == t).mean() - exact) <= 5 * np.sqrt(exact * (1 - exact) / n) + 1e-15


@pytest.mark.parametrize(
    ("first", "growth", "run", "chance"),
    [
        (0.0, 3.0, 2000, 0.0),
        (1e-300, 10.0, 2000, 1.0),
        (0.3, 1.0, 10**9, 0.3),
        (1.0, 2.0, 1, 1.0),
        (1.0, 2.0, 5000, 1.0),
        (0.1, 1e200, 3, 1.0),
    ],
)
def test_the_longest_runs_do_not_overflow(first, growth, run, chance):
    found = LeavingAfterBadSlates(first, growth).chance(np.array([run, 0]))
    np.testing.assert_allclose(found, [chance, 0.0], rtol=1e-12)


ONE = np.ones(1)
BAD = [
    (lambda: GammaGaps(0.0), "mean must be above 0 and finite, got 0.0"),
    (lambda: GammaGaps(np.inf), "mean must be above 0 and finite, got inf"),
    (lambda: GammaGaps(1.0, 0.0), "shape must be above 0, got 0.0"),
    (lambda: GammaGaps(1.0, np.nan), "shape must be above 0, got nan"),
    (lambda: LogNormalReturns(ONE, np.ones(2)), r"must have shape \(C,\), got \(1,\) and \(2,\)"),
    (lambda: LogNormalReturns(np.ones((1, 1)), np.ones((1, 1))), r"must have shape \(C,\)"),
    (lambda: LogNormalReturns(np.array([1.0, 0.0]), np.ones(2)), r"median\[1\] must be above 0 and finite"),
    (
        lambda: LogNormalReturns(ONE, np.array([np.nan])),
        r"deviation\[0\] must be above 0 and finite, got nan",
    ),
    (
        lambda: LogNormalReturns(ONE, np.array([np.inf])),
        r"deviation\[0\] must be above 0 and finite, got inf",
    ),
    (lambda: GeometricLeaving(1.5), "chance must be from 0 to 1, got 1.5"),
    (lambda: PatienceBudget(0.0), "budget must be above 0, got 0.0"),
    (lambda: PatienceBudget(1.0, -1.0), "cost must be 0 or more and finite, got -1.0"),
    (lambda: PatienceBudget(1.0, 1.0, np.inf), "refund must be 0 or more and finite, got inf"),
    (lambda: LeavingAfterBadSlates(-0.1), "first must be from 0 to 1, got -0.1"),
    (lambda: LeavingAfterBadSlates(0.1, 0.5), "growth must be at least 1 and finite, got 0.5"),
    (lambda: LeavingAfterBadSlates(0.1, np.inf), "growth must be at least 1 and finite, got inf"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_bad_parameters(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_hazards_of_extreme_times_are_numbers():
    returns = LogNormalReturns(np.array([1e-10]), np.array([1.0]))
    with np.errstate(all="raise"):
        hazard = returns.hazard(np.zeros(1, np.int64), np.array([1e300]))
    # far out the hazard is ln(t / median) / (sigma^2 t)
    np.testing.assert_allclose(hazard * 1e300, np.log(1e300) - np.log(1e-10), rtol=1e-2)
