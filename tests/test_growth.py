"""The exponent of growth: exact on powers, and an interval that holds the truth as often as it says."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import stdtrit

from recsim_env.errors import InputError
from recsim_env.evaluation.growth import growth_exponent
from recsim_env.evaluation.resampling import resampled_sums
from recsim_env.experiments.results import log_steps

STEPS = log_steps(10_000)
LAST = 1_000, 10_000


@pytest.mark.parametrize("exponent", [0.0, 0.5, 2 / 3, 1.0, 1.5])
def test_powers_are_exact(exponent):
    size = np.array([0.5, 1.0, 3.0, 7.0])  # of every replicate: the mean is a power with the same exponent
    estimate = growth_exponent(STEPS, STEPS[:, None] ** exponent * size, LAST)
    assert estimate.value == pytest.approx(exponent, abs=1e-12)
    assert_allclose(estimate.interval, exponent, atol=1e-9)  # each resample of them has it too
    assert not estimate.warnings


def test_a_logarithm_has_the_exponent_of_its_middle():
    """d log(log t) / d log t = 1 / log t, which falls along the window."""
    estimate = growth_exponent(STEPS, np.log(STEPS + 1.0)[:, None], LAST)
    assert 1 / np.log(10_000) < estimate.value < 1 / np.log(1_000)
    assert np.isnan(estimate.std_error)  # one curve


def test_it_is_least_squares_on_the_window():
    """Against NumPy's polynomial fit, with noise in the mean."""
    curves = STEPS[:, None] ** 0.7 * np.random.default_rng(0).uniform(0.5, 1.5, (len(STEPS), 6))
    for low, high in (LAST, (1, 10_000), (37, 412)):
        inside = (low <= STEPS) & (high >= STEPS)
        slope = np.polyfit(np.log(STEPS[inside]), np.log(curves[inside].mean(axis=1)), 1)[0]
        assert growth_exponent(STEPS, curves, (low, high)).value == pytest.approx(slope, abs=1e-10)


def walks(B, datasets, seed):
    """|W_t| of random walks of normal steps at the last decade before 1,000: E |W_t| = sqrt(2 t / pi)."""
    steps = log_steps(1000)
    steps = steps[steps >= 100]
    rng = np.random.default_rng(seed)
    increments = rng.standard_normal((datasets, len(steps), B)) * np.sqrt(np.diff(steps, prepend=0))[:, None]
    return steps, np.abs(increments.cumsum(axis=1))


@pytest.mark.parametrize("B", [5, 20, 100])
def test_the_interval_holds_the_exponent_of_random_walks(B):
    """In 93 to 95 cases of 100: within three standard errors of that share, of 600 cases."""
    steps, curves = walks(B, 600, seed=B)
    found = [growth_exponent(steps, one, (100, 1000), resamples=300, seed=i) for i, one in enumerate(curves)]
    held = np.mean([low <= 0.5 <= high for low, high in (estimate.interval for estimate in found)])
    assert 0.94 - 3 * np.sqrt(0.94 * 0.06 / 600) < held < 0.975
    values = np.array([estimate.value for estimate in found])
    errors = np.array([estimate.std_error for estimate in found])
    assert abs(values.mean() - 0.5) < 0.03
    assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(), rel=0.15)


def test_the_percentile_interval_is_too_short_for_few_curves():
    """Why it is not used: with 5 curves it holds the truth in fewer than 88 cases of 100."""
    steps, curves = walks(5, 600, seed=5)
    x = np.log(steps)
    weight = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    held = 0
    for i, one in enumerate(curves):
        drawn = np.log(resampled_sums(one.T, 300, i) / 5) @ weight
        low, high = np.quantile(drawn, [0.025, 0.975])
        held += low <= 0.5 <= high
    assert held / 600 < 0.88


def test_the_standard_error_is_that_of_the_delta_method():
    """(B-1)/B of it, from the spread of the linear terms sum_p w_p R_pb / R_p."""
    _, curves = walks(200, 1, seed=3)
    steps, one = walks(200, 1, seed=3)[0], curves[0]
    x = np.log(steps)
    weight = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    terms = (weight[:, None] * one / one.mean(axis=1, keepdims=True)).sum(axis=0)
    estimate = growth_exponent(steps, one, (100, 1000), resamples=4000)
    assert estimate.std_error == pytest.approx(terms.std(ddof=1) / np.sqrt(200), rel=0.06)
    low, high = estimate.interval
    assert high - low == pytest.approx(2 * stdtrit(199, 0.975) * estimate.std_error)


def test_the_seed_decides():
    steps, (one,) = walks(10, 1, seed=0)
    first, again, other = (growth_exponent(steps, one, (100, 1000), seed=s) for s in (1, 1, 2))
    assert first.std_error == again.std_error != other.std_error
    assert first.value == other.value


def test_what_has_no_logarithm_is_said():
    curves = np.tile(STEPS[:, None] ** 0.5, 3)
    curves[STEPS == 1000] = 0.0
    estimate = growth_exponent(STEPS, curves, LAST)
    assert np.isnan(estimate.value)
    assert estimate.warnings == ("the mean is 0 at step 1000, which has no logarithm",)
    # a mean above 0 of which some resamples are not
    curves = np.stack([np.full(len(STEPS), -1.0), STEPS**0.5], axis=1)
    estimate = growth_exponent(STEPS, curves, LAST)
    assert np.isfinite(estimate.value)
    (warning,) = estimate.warnings
    share = float(warning.split()[-4].rstrip("%")) / 100
    assert share == pytest.approx(0.25, abs=0.05)  # both draws are of the first curve


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window": (20_000, 30_000)}, "the window 20000 to 30000 must hold two of the"),
        ({"window": (1000, 1000)}, "must hold two of the"),
        ({"curves": np.ones((3, 2))}, "steps .P,. and curves .P, B. must fit each other"),
        ({"curves": np.ones((len(STEPS), 0))}, "B of 1 or more"),
        ({"curves": np.full((len(STEPS), 2), np.nan)}, r"curves\[0, 0\] = nan: it is not finite"),
        ({"steps": STEPS[::-1]}, "steps must be above 0 and increase"),
        ({"steps": STEPS - 1}, "steps must be above 0 and increase"),
        ({"resamples": 1}, "resamples must be an integer of 2 or more, got 1"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_fitted_is_refused(changes, message):
    given = {"steps": STEPS, "curves": STEPS[:, None] * np.array([1.0, 2.0]), "window": LAST, **changes}
    with pytest.raises(InputError, match=message):
        growth_exponent(**given)
