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


def test_an_interval_holds_the_orders_that_the_users_leave_open() -> None:
    """0 beats 1 for every user; 1 and 2 are a coin toss; the second side knows 2 over 1 over 0."""
    coin = np.arange(40) % 2
    first = np.stack([np.full(40, 2.0), np.full(40, 0.5), coin], axis=1)
    second = np.stack([np.full(40, k) for k in (1.0, 2.0, 3.0)], axis=1)
    found = agreement(first, second, families={"own": np.array([False, True, False])})
    # (0,1) and (0,2) are turned; (1,2), equal in the means, may be either
    assert found.tau.value == pytest.approx(-2 / np.sqrt(2 * 3))
    assert found.tau.interval == pytest.approx((-3 / 3, (-2 + 1) / 3))
    # (1,0): - -> +; (1,2): + or - -> -
    assert found.favour["own"].interval == (0.0, 0.5)
    # one user of 40 is in no resample of three: nothing is known
    lone = np.zeros((40, 2))
    lone[0, 0] = 1
    assert agreement(lone, lone).tau.interval == (-1.0, 1.0)
    # two that are one are a tie, not an open question
    same = first[:, [0, 0, 2]]
    assert agreement(same, same).tau.interval == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize("step", [0.0002, 0.002, 0.01])
def test_intervals_of_tau_cover_however_close_the_recommenders_are(step: float) -> None:
    """Percentiles of tau over resamples hold the true 1 in 0, 0 and 14 of the 100 samples."""
    rng = np.random.default_rng(7)
    level = 0.2 + step * np.arange(9)
    family = {"odd": np.arange(9) % 2 == 1}
    covered = {"tau": 0, "favour": 0}
    lengths = []
    for seed in range(100):
        first, second = (level + 0.1 * rng.standard_normal((200, 9)) for _ in range(2))
        found = agreement(first, second, families=family, resamples=200, seed=seed)
        low, high = found.tau.interval
        covered["tau"] += low <= 1.0 <= high
        assert low <= found.tau.value <= high
        lengths.append(high - low)
        low, high = found.favour["odd"].interval
        covered["favour"] += low <= 0.0 <= high
    # of tau 93 to 100: the true 1 is the end of the range, so that one pair in 36 taken wrongly is a miss
    assert covered["tau"] >= 90
    assert covered["favour"] >= 95
    assert np.mean(lengths) < {0.0002: 2.0, 0.002: 1.96, 0.01: 0.9}[step]


def test_the_users_of_the_two_sides_are_drawn_apart() -> None:
    """With one stream for both, two equal collections would be resampled alike and always agree."""
    scores = np.random.default_rng(4).random((300, 6))
    assert agreement(scores, scores).tau.std_error > 0.1


@pytest.mark.parametrize("resamples", [1, 0, 2.5, True])
def test_two_resamples_at_least(resamples: object) -> None:
    with pytest.raises(InputError, match="resamples must be an integer of 2 or more, got"):
        agreement(np.ones((1, 2)), np.ones((1, 2)), resamples=resamples)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95])
def test_a_confidence_is_inside_0_and_1(confidence: float) -> None:
    with pytest.raises(InputError, match=r"confidence must be inside \(0, 1\)"):
        agreement(np.ones((1, 2)), np.ones((1, 2)), confidence=confidence)


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
