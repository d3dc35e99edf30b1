"""Single-action estimators: unbiased by enumeration, their limits, hand-made cases and bad input."""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
import pytest

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Bootstrap, EmpiricalBernstein
from recsim_env.evaluation.off_policy import (
    check_support,
    clipped_ips,
    direct_method,
    doubly_robust,
    doubly_robust_optimistic_shrinkage,
    estimate_embedding_table,
    ips,
    marginal_weights,
    marginalised_ips,
    model_values,
    replay,
    self_normalised_doubly_robust,
    snips,
    switch,
    switch_doubly_robust,
    weights_from_probabilities,
)

# Two contexts, three actions, two embeddings: small enough to go through every log of two rows.
CONTEXT = np.array([0.3, 0.7])
LOGGING = np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]])
TARGET = np.array([[0.7, 0.1, 0.2], [0.0, 0.75, 0.25]])
TABLE = np.array([[1.0, 0.0], [0.25, 0.75], [0.5, 0.5]])  # p(e | a)
MEAN = np.array([[0.9, 0.2], [0.35, 0.6]])  # E(r | x, e): the embedding carries all of the effect
Q = MEAN @ TABLE.T  # (2, 3) E(r | x, a)
TRUTH = float(CONTEXT @ (TARGET * Q).sum(axis=1))
WRONG_Q = np.array([[0.1, 0.8, 0.4], [0.0, 0.3, 0.5]])


class Rows(NamedTuple):
    context: Ints
    action: Ints
    embedding: Ints
    reward: Floats


def expectation(value: Callable[[Rows], float], rows: int = 2) -> tuple[float, float]:
    """Of a function of a log, over all logs of so many rows; and the probability that was summed."""
    cells = list(product(range(2), range(3), range(2), (0.0, 1.0)))
    prob = [
        CONTEXT[x] * LOGGING[x, a] * TABLE[a, e] * (MEAN[x, e] if r else 1 - MEAN[x, e])
        for x, a, e, r in cells
    ]
    total, mass = 0.0, 0.0
    for log in product(range(len(cells)), repeat=rows):
        p = float(np.prod([prob[i] for i in log]))
        if p > 0:
            x, a, e, r = zip(*(cells[i] for i in log), strict=True)
            total += p * value(Rows(np.array(x), np.array(a), np.array(e), np.array(r)))
            mass += p
    return total, mass


def weight_of(log: Rows) -> Floats:
    at = log.context, log.action
    return weights_from_probabilities(TARGET[at], LOGGING[at])


def test_unbiased_over_all_logs_of_a_small_world() -> None:
    def robust(q: Floats) -> Callable[[Rows], float]:
        return lambda log: (
            doubly_robust(
                log.reward, weight_of(log), *model_values(q[log.context], log.action, TARGET[log.context])
            ).value
        )

    def marginalised(log: Rows) -> float:
        return marginalised_ips(
            log.reward, log.embedding, TARGET[log.context], LOGGING[log.context], TABLE
        ).value

    for value in (
        lambda log: ips(log.reward, weight_of(log)).value,
        robust(WRONG_Q),
        robust(Q),
        marginalised,
    ):
        assert expectation(value) == pytest.approx((TRUTH, 1.0), abs=1e-12)


def test_biased_as_their_pages_say() -> None:
    clipped, _ = expectation(lambda log: clipped_ips(log.reward, weight_of(log), clip=1.5).value)
    lost = CONTEXT @ (LOGGING * np.maximum(TARGET / LOGGING - 1.5, 0) * Q).sum(axis=1)
    assert clipped == pytest.approx(TRUTH - lost, abs=1e-12)
    model, _ = expectation(
        lambda log: (
            direct_method(model_values(WRONG_Q[log.context], log.action, TARGET[log.context]).target).value
        )
    )
    assert model == pytest.approx(CONTEXT @ (TARGET * WRONG_Q).sum(axis=1), abs=1e-12)
    assert abs(model - TRUTH) > 0.1

    def normalised(log: Rows) -> float:
        weight = weight_of(log)
        return snips(log.reward, weight).value if weight.any() else 0.0

    assert abs(expectation(normalised)[0] - TRUTH) > 0.01


def test_marginal_weights_by_hand_and_less_variable() -> None:
    x, e = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    weight = marginal_weights(e, TARGET[x], LOGGING[x], TABLE)
    above = [0.7 + 0.1 / 4 + 0.2 / 2, 0.75 * 0.1 + 0.1, 0.75 / 4 + 0.125, 0.75 * 0.75 + 0.125]
    below = [0.2 + 0.5 / 4 + 0.15, 0.75 * 0.5 + 0.15, 0.6 + 0.1 / 4 + 0.15, 0.75 * 0.1 + 0.15]
    np.testing.assert_allclose(weight, np.divide(above, below), rtol=1e-14)
    alike = marginal_weights(e, TARGET[0], LOGGING[0], TABLE)  # one policy for all rows
    np.testing.assert_allclose(alike, weight[[0, 1, 0, 1]], rtol=1e-14)

    def second_moment(of: Callable[[Rows], Floats]) -> float:
        return expectation(lambda log: float((of(log) ** 2).mean()), rows=1)[0]

    marginal = second_moment(
        lambda log: marginal_weights(log.embedding, TARGET[log.context], LOGGING[log.context], TABLE)
    )
    assert marginal < 0.7 * second_moment(weight_of)


def test_embedding_table_by_counts() -> None:
    action, embedding = np.array([0, 0, 0, 0, 2]), np.array([1, 1, 1, 0, 0])
    table = estimate_embedding_table(action, embedding, 3, 2)
    np.testing.assert_array_equal(table, [[0.25, 0.75], [0.5, 0.5], [1, 0]])


def sample(rows: int, seed: int = 0) -> tuple[Floats, Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    x = (rng.random(rows) > CONTEXT[0]).astype(np.int64)
    a = (rng.random(rows)[:, None] > LOGGING[x].cumsum(axis=1)).sum(axis=1)
    reward = (rng.random(rows) < Q[x, a]).astype(np.float64)
    return (
        reward,
        weights_from_probabilities(TARGET[x, a], LOGGING[x, a]),
        *model_values(WRONG_Q[x], a, TARGET[x]),
    )


def test_limits() -> None:
    reward, weight, logged, target = sample(500)
    zero, none = np.zeros(500), np.zeros(500)
    model, robust = direct_method(target), doubly_robust(reward, weight, logged, target)
    assert doubly_robust(reward, none, logged, target).value == model.value
    assert doubly_robust(reward, weight, zero, zero) == ips(reward, weight)
    assert self_normalised_doubly_robust(reward, weight, zero, zero).value == pytest.approx(
        snips(reward, weight).value, rel=1e-14
    )
    assert self_normalised_doubly_robust(reward, weight, zero, zero).std_error == pytest.approx(
        snips(reward, weight).std_error, rel=1e-12
    )
    assert clipped_ips(reward, weight, clip=np.inf) == ips(reward, weight)

    def shrunk(shrinkage: float) -> float:
        return doubly_robust_optimistic_shrinkage(reward, weight, logged, target, shrinkage=shrinkage).value

    def switched(threshold: float) -> float:
        return switch_doubly_robust(reward, weight, logged, target, threshold=threshold).value

    assert shrunk(0) == model.value
    assert shrunk(1e-13) == pytest.approx(model.value, abs=1e-12)
    assert shrunk(np.inf) == robust.value
    assert shrunk(1e16) == pytest.approx(robust.value, abs=1e-12)
    assert shrunk(9.0) == pytest.approx(np.mean(target + 9 * weight / (weight**2 + 9) * (reward - logged)))
    assert switched(0) == model.value
    assert switched(float(weight.max())) == switched(np.inf) == robust.value
    assert switched(2.0) == pytest.approx(np.mean(target + weight * (weight <= 2) * (reward - logged)))
    assert switch(reward, weight, logged, zero, threshold=np.inf).value == ips(reward, weight).value
    assert switch(reward, weight, logged, target, threshold=0).value == model.value


def test_switch_by_hand() -> None:
    reward, weight = np.array([1.0, 0, 2]), np.array([0.5, 1, 6])
    logged, above = np.array([0.5, 0.5, 1.5]), np.array([0.25, 0, 1])
    estimate = switch(reward, weight, logged, above, threshold=5)
    assert estimate.value == pytest.approx((0.5 + 0 + 0 + 1.25) / 3)
    reward[1] = 3.0
    at_the_weight = switch(reward, weight, logged, above, threshold=1)  # w <= t counts, w > t does not
    assert at_the_weight.value == pytest.approx((0.5 + 3 + 0 + 1.25) / 3)
    assert switch_doubly_robust(reward, weight, logged, above, threshold=1).value == pytest.approx(
        (0.25 + 0.5 * 0.5 + 0 + 2.5 + 1) / 3
    )


def test_switch_counts_every_action_once() -> None:
    """Of each action either the logged rewards or the model, also where rounding puts a weight at t."""
    rng = np.random.default_rng(0)
    logging, target = rng.dirichlet(np.ones(5), 400), rng.dirichlet(np.ones(5), 400)
    rows, action = np.arange(400), rng.integers(0, 5, 400)
    every = weights_from_probabilities(target, logging)  # (R, A)
    q = rng.random((400, 5))
    for threshold in every[rows, action][:50]:
        above = (np.where(target / logging > threshold, target, 0) * q).sum(axis=1)
        logged = np.where(every <= threshold, every * logging * q, 0).sum(axis=1)  # E of w r below t
        np.testing.assert_allclose(logged + above, (target * q).sum(axis=1), rtol=1e-12)


def test_exact_model_and_certain_rewards_leave_no_variance() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        x = rng.integers(0, 2, 50)
        a = rng.integers(0, 3, 50)
        weight = weights_from_probabilities(TARGET[x, a], LOGGING[x, a])
        columns = Q[x, a], weight, *model_values(Q[x], a, TARGET[x])
        for estimator in (doubly_robust, self_normalised_doubly_robust):
            assert estimator(*columns).value == pytest.approx(direct_method(columns[3]).value, abs=1e-12)
        one = x == 0
        estimate = doubly_robust(*(column[one] for column in columns))
        assert estimate.std_error == pytest.approx(0, abs=1e-15)


def test_intervals_cover_and_standard_errors_are_those_of_repetitions() -> None:
    found: dict[str, list[tuple[float, float, bool]]] = {}
    for seed in range(300):
        reward, weight, logged, target = sample(400, seed)
        for name, estimate in (
            ("ips", ips(reward, weight)),
            ("snips", snips(reward, weight)),
            ("dr", doubly_robust(reward, weight, logged, target)),
            ("sndr", self_normalised_doubly_robust(reward, weight, logged, target)),
        ):
            low, high = estimate.interval
            found.setdefault(name, []).append((estimate.value, estimate.std_error, low <= TRUTH <= high))
    for name, runs in found.items():
        values, errors, covered = (np.array(column) for column in zip(*runs, strict=True))
        assert np.mean(errors) == pytest.approx(values.std(), rel=0.12), name
        assert 0.91 <= covered.mean() <= 0.985, name
        assert abs(values.mean() - TRUTH) < 4 * values.std() / np.sqrt(300), name


def test_bootstrap_of_self_normalised_doubly_robust() -> None:
    reward, weight, logged, target = sample(400)
    draws = np.random.default_rng(0).integers(0, 400, (20_000, 400))
    residual = weight * (reward - logged)
    whole = target[draws].mean(axis=1) + residual[draws].sum(axis=1) / weight[draws].sum(axis=1)
    columns, interval = (reward, weight, logged, target), Bootstrap(resamples=20_000)
    mine = self_normalised_doubly_robust(*columns, interval=interval).interval
    assert mine == pytest.approx(np.quantile(whole, [0.025, 0.975]), abs=0.004)
    twice = [np.repeat(column, 2) for column in columns]
    grouped = self_normalised_doubly_robust(*twice, interval=interval, groups=np.repeat(np.arange(400), 2))
    assert grouped.interval == pytest.approx(mine, rel=1e-12)


def test_replay_by_hand() -> None:
    reward, action = np.array([1.0, 0, 1, 1, 0, 1]), np.array([0, 1, 2, 0, 1, 2])
    target = np.array([0, 1, 1, 1, 1, 2])
    estimate = replay(reward, action, target)
    assert estimate.value == pytest.approx(2 / 4)
    assert estimate.effective_sample_size == pytest.approx(4)
    assert estimate.value == snips(reward, 3.0 * (action == target)).value
    even = replay(reward, action, target, propensity=np.full(6, 1 / 3))
    assert even == estimate
    elsewhere = replay(reward, action, target, propensity=np.array([0.2, 0.2, 0.9, 0.5, 0.2, 0.2]))
    assert elsewhere == even  # what rows that do not match were logged with does not matter
    uneven = replay(reward, action, target, propensity=np.array([0.5, 0.2, 0.2, 0.2, 0.2, 0.5]))
    assert "propensities from 0.2 to 0.5: replay needs a uniformly random log" in uneven.warnings[-1]


def test_replay_sees_uneven_counts() -> None:
    rng = np.random.default_rng(1)
    even = rng.integers(0, 4, 4000)
    uneven = np.minimum(even, 2)
    reward = rng.random(4000)
    assert replay(reward, even, np.zeros(4000, np.int64)).believable
    warnings = replay(reward, uneven, np.zeros(4000, np.int64)).warnings
    assert "was not uniformly random" in warnings[0]


def test_users_count_once() -> None:
    reward, weight, logged, target = sample(300)
    twice = [np.repeat(column, 2) for column in (reward, weight, logged, target)]
    user = np.repeat(np.arange(300), 2)
    for estimator, columns in ((ips, 2), (snips, 2), (doubly_robust, 4), (self_normalised_doubly_robust, 4)):
        once = estimator(*(reward, weight, logged, target)[:columns])
        again = estimator(*twice[:columns], groups=user)
        assert again.value == pytest.approx(once.value, rel=1e-12)
        assert again.std_error == pytest.approx(once.std_error, rel=1e-12)


def test_what_should_not_be_believed_says_so() -> None:
    reward, weight, logged, target = sample(2000)
    assert ips(reward, weight).believable
    assert not ips(reward, 0.5 * weight).believable  # weights of a log that lacks half of what is evaluated
    heavy = np.concatenate([weight, [3000.0]])
    assert "row 2000 alone carries" in " ".join(ips(np.append(reward, 1), heavy).warnings)
    clipped = clipped_ips(reward, weight, clip=0.5)
    assert "the weights that were cut move the value by -" in clipped.warnings[-1]
    assert (
        "the errors of the model move the value by"
        in (direct_method(target, residual=weight * (reward - logged)).warnings[0])
    )
    unsure = direct_method(target, residual=weight * (reward - logged) - np.mean(weight * (reward - logged)))
    assert "does not hold: the interval is too short" in unsure.warnings[0]
    assert direct_method(target).believable  # nothing was given that could speak against it
    assert doubly_robust(reward, weight, logged, target).believable
    assert "all weights are 0" in doubly_robust(reward, 0 * weight, logged, target).warnings[0]


def test_bernstein_holds_the_truth_through_ips() -> None:
    reward, weight, *_ = sample(500)
    largest = float((TARGET / LOGGING).max())
    low, high = ips(reward, weight, interval=EmpiricalBernstein(0.0, largest)).interval
    assert low < TRUTH < high


def test_support() -> None:
    check_support(np.array([0.5, 0.5, 0]), action=np.array([0, 1, 1]))
    check_support(TARGET, logging_probability=LOGGING)
    check_support(np.array([0.5, 0.5]), logging_probability=np.array([[0.1, 0.9], [0.9, 0.1]]))
    short = np.zeros(5, np.int64)
    check_support(np.array([0.5, 0.5]), action=short, logging_probability=np.array([0.9, 0.1]))
    with pytest.raises(InputError, match=r"never shows actions 3, 1: 75.00% of what the evaluated policy"):
        check_support(np.array([0.25, 0.25, 0, 0.5]), action=short)
    with pytest.raises(InputError, match=r"never shows action 1: 25.00%"):
        check_support(
            np.array([0.5, 0.5]), logging_probability=np.array([[0.5, 0.5], [1, 0]]), action=short[:2]
        )
    with pytest.raises(InputError, match=r"actions 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 9 more: 95.00%"):
        check_support(np.full(20, 0.05), action=short)


ONE, TWO = np.ones(1), np.ones(2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: weights_from_probabilities(TWO, np.array([0.5, 1.2])), r"propensity\[1\] = 1.2: .*0, 1\]"),
        (lambda: weights_from_probabilities(TWO, np.array([0.5, 0.0])), r"propensity\[1\] = 0.0: .*prob"),
        (lambda: weights_from_probabilities(TWO, np.array([0.5, -0.1])), r"propensity\[1\] = -0.1: it must"),
        (lambda: weights_from_probabilities(TWO, np.array([np.nan, 1])), r"propensity\[0\] = nan"),
        (lambda: weights_from_probabilities(2 * TWO, TWO), r"target_probability\[0\] = 2.0"),
        (lambda: weights_from_probabilities(np.full((2, 2), 0.5), TWO), r"shape of propensity, \(2,\), got"),
        (lambda: weights_from_probabilities(ONE, np.full(1, 1e-320)), "too small for a number"),
        (lambda: ips(np.array([0, np.nan]), TWO), r"reward\[1\] = nan: it is not finite"),
        (lambda: ips(np.ones((2, 1)), TWO), r"reward must have shape \(R,\), one number per row"),
        (lambda: ips(np.array(["a", "b"]), TWO), "reward must hold numbers"),
        (lambda: ips(TWO, ONE), r"weight must have one number per row of the log, 2 as reward has, got 1"),
        (lambda: ips(TWO, np.array([1, -1.0])), r"weight\[1\] = -1.0"),
        (lambda: ips(TWO, np.array([1, np.inf])), r"weight\[1\] = inf: it is not finite"),
        (lambda: snips(TWO, 0 * TWO), "all rows have weight 0"),
        (lambda: snips(TWO, TWO, interval=EmpiricalBernstein(0.0, 1.0)), "not for ratios"),
        (lambda: clipped_ips(TWO, TWO, clip=0), "clip must be above 0, got 0"),
        (lambda: doubly_robust(TWO, TWO, np.array([0, np.inf]), TWO), r"q_logged\[1\] = inf"),
        (lambda: doubly_robust(TWO, TWO, TWO, np.ones((2, 2))), "q_target must have shape"),
        (lambda: self_normalised_doubly_robust(TWO, 0 * TWO, TWO, TWO), "weight is 0 in all rows"),
        (
            lambda: self_normalised_doubly_robust(TWO, TWO, TWO, TWO, interval=EmpiricalBernstein(0.0, 1.0)),
            "self-normalised estimates: use Normal or Bootstrap",
        ),
        (lambda: switch_doubly_robust(TWO, TWO, TWO, TWO, threshold=np.nan), "threshold must be 0 or more"),
        (lambda: switch(TWO, TWO, TWO, TWO, threshold=-1), "threshold must be 0 or more, got -1"),
        (
            lambda: doubly_robust_optimistic_shrinkage(TWO, TWO, TWO, TWO, shrinkage=-1),
            "shrinkage must be 0 or more",
        ),
        (lambda: direct_method(TWO, residual=ONE), "residual must have one number per row"),
        (lambda: replay(TWO, np.array([0, 1]), np.full((2, 2), 0.5)), "use ips or snips with its prob"),
        (lambda: replay(TWO, np.array([0, 1]), TWO), "integers of shape"),
        (lambda: replay(TWO, np.array([0, 1]), np.array([1, 0])), "never equals action"),
        (lambda: replay(TWO, np.array([0, -1]), np.array([0, 1])), r"action\[1\] = -1: it must"),
        (
            lambda: replay(TWO, np.array([0, 1]), np.array([0, 1]), propensity=np.array([0.5, 0])),
            r"propensity\[1\] = 0.0",
        ),
        (lambda: check_support(TWO / 2), "give action"),
        (lambda: check_support(TWO, action=np.array([0])), "target_probability sums to 2.0, not to 1"),
        (lambda: check_support(TARGET, logging_probability=TWO / 2), "must have 3 actions as target_prob"),
        (lambda: check_support(TARGET, action=np.array([0])), r"must have 1 rows as the log"),
        (lambda: check_support(TWO / 2, action=np.array([0, 2])), r"action\[1\] = 2: there are 2 .0-1."),
        (
            lambda: check_support(np.array([[0.5, 0.5], [np.nan, 1]]), action=np.array([0, 1])),
            r"target_probability\[1, 0\] = nan",
        ),
        (
            lambda: check_support(np.array([[0.5, 0.5], [0.5, 0.4]]), action=np.array([0, 1])),
            r"target_probability\[1\] sums to 0.9",
        ),
        (lambda: model_values(np.ones(2), np.array([0, 1]), TWO), r"q must have shape \(R, A\), got \(2,\)"),
        (lambda: model_values(Q, np.array([0, 3]), TARGET), r"action\[1\] = 3: there are 3 .0-2."),
        (lambda: model_values(Q, np.array([0, 1]), TWO / 2), "must have 3 actions as q, got 2"),
        (
            lambda: marginalised_ips(TWO, np.array([0]), TARGET, LOGGING, TABLE),
            "embedding must have the shape of reward",
        ),
        (
            lambda: marginal_weights(np.array([0, 2]), TARGET, LOGGING, TABLE),
            r"embedding\[1\] = 2: there are 2 .0-1.",
        ),
        (lambda: marginal_weights(np.array([0, 1]), TARGET, LOGGING, TABLE[:2]), r"table must have shape"),
        (
            lambda: marginal_weights(np.array([0]), TWO / 2, np.array([1, 0.0]), np.eye(2)),
            "never shows embedding 1; evaluate",
        ),
        (
            lambda: marginal_weights(np.array([0, 0]), TWO / 2, np.array([[0.5, 0.5], [1, 0]]), np.eye(2)),
            "never shows embedding 1; evaluate",  # in one row is enough
        ),
        (
            lambda: marginal_weights(np.array([0, 1]), np.array([1, 0.0]), np.array([1, 0.0]), np.eye(2)),
            r"embedding\[1\] = 1: by table and logging_probability the log cannot show it",
        ),
    ],
)  # fmt: skip
def test_bad_input(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
