"""Orders of recommenders on two collections: against SciPy, by hand, and on one law."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from recsim_env.errors import InputError
from recsim_env.evaluation.agreement import agreement


def test_tau_is_scipys_also_with_ties() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        first, second = rng.integers(0, 5, (2, 1, 7)).astype(float)
        expected = kendalltau(first[0], second[0]).statistic
        with np.errstate(all="ignore"):
            found = agreement(first, second, resamples=2).tau.value
        assert found == pytest.approx(expected, nan_ok=True)


def test_favour_by_hand() -> None:
    """Recommenders 0 and 1 are the family; the second side lifts 1 over 2, and drops 0 below 3."""
    first, second = np.array([[4.0, 2, 3, 1]]), np.array([[1.0, 4, 3, 2]])
    masks = {"own": np.array([True, True, False, False]), "last": np.array([False, False, False, True])}
    found = agreement(first, second, families=masks, resamples=2).favour
    # pairs (0,2): + -> -, (0,3): + -> -, (1,2): - -> +, (1,3): + -> +
    assert found["own"].value == (-1 - 1 + 1 + 0) / 4
    assert found["last"].value == 1 / 3


def test_two_samples_of_one_law_agree_and_takes_no_side() -> None:
    rng = np.random.default_rng(1)
    level = np.linspace(0.1, 0.5, 9)
    first, second = ((rng.random((3000, 9)) < level).astype(float) for _ in range(2))
    family = {"odd": np.arange(9) % 2 == 1}
    found = agreement(first, second, families=family, seed=3)
    assert found.tau.value == 1.0
    low, high = found.tau.interval
    assert 0.9 < low <= high == 1.0
    low, high = found.favour["odd"].interval
    assert -0.1 <= low <= 0 <= high <= 0.1
    again = agreement(first, second, families=family, seed=3)
    assert again == found


def test_a_side_that_takes_sides_is_found() -> None:
    rng = np.random.default_rng(2)
    level = np.full(8, 0.3) + 0.005 * np.arange(8)
    lifted = level + 0.1 * (np.arange(8) < 4)
    first, second = ((rng.random((4000, 8)) < p).astype(float) for p in (level, lifted))
    found = agreement(first, second, families={"own": np.arange(8) < 4})
    assert found.favour["own"].value > 0.7
    assert found.favour["own"].interval[0] > 0.5
    assert found.tau.value < 0.2


@pytest.mark.parametrize(
    ("first", "second", "families", "message"),
    [
        (np.ones((2, 3)), np.ones((2, 2)), {}, "the same two or more recommenders, got 3 and 2"),
        (np.ones((2, 1)), np.ones((2, 1)), {}, "two or more recommenders"),
        (np.array([[1, np.nan]]), np.ones((1, 2)), {}, r"first\[0, 1\] = nan is not finite"),
        (np.ones((1, 2)), np.ones((0, 2)), {}, r"second must have shape \(users, M\)"),
        (np.ones((1, 2)), np.ones((1, 2)), {"all": np.ones(2, bool)}, "some recommenders and not all"),
    ],
)
def test_bad_input(first, second, families, message: str) -> None:
    with pytest.raises(InputError, match=message):
        agreement(first, second, families=families)
