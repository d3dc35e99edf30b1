"""Every law by which interests move is what its formulas say: exact over gaps, and twin by plain twin."""

import numpy as np
import pytest

from recsim_env.errors import InputError
from recsim_env.user_models.preferences import (
    Boredom,
    GaussianProcess,
    RandomWalk,
    RegimeSwitching,
    Reinforcement,
    Satiation,
)


def mean_within(samples, exact, errors=5.0):
    """Whether the mean of the samples is the exact one, within so many standard errors."""
    return abs(samples.mean() - exact) <= errors * samples.std() / np.sqrt(len(samples)) + 1e-12


# random walk


def law_of(walk, start, gaps):
    """Mean and variance after gaps, by composing steps: each is affine in interest and noise."""
    mean, variance = start, 0.0
    for gap in gaps:
        at = np.array([gap])
        still = walk.step(np.array([[mean]]), at, np.zeros((1, 1)))[0, 0]
        pull = walk.step(np.array([[mean + 1.0]]), at, np.zeros((1, 1)))[0, 0] - still
        noise = walk.step(np.array([[mean]]), at, np.ones((1, 1)))[0, 0] - still
        mean, variance = still, pull**2 * variance + noise**2
    return mean, variance


@pytest.mark.parametrize("time_constant", [0.5, 7.0, np.inf])
def test_many_small_gaps_are_one_large_gap_in_law(time_constant):
    walk = RandomWalk(0.8, time_constant, mean=0.3)
    whole = law_of(walk, 2.0, [3.0])
    for gaps in ([1.5, 1.5], [0.1, 2.9], [0.01] * 300):
        np.testing.assert_allclose(law_of(walk, 2.0, gaps), whole, rtol=1e-11)


def test_the_walk_has_its_closed_form():
    e = np.exp(-3.0 / 7.0)
    np.testing.assert_allclose(
        law_of(RandomWalk(0.8, 7.0, mean=0.3), 2.0, [3.0]), (0.3 + e * 1.7, 0.64 * (1.0 - e * e)), rtol=1e-12
    )
    np.testing.assert_allclose(law_of(RandomWalk(0.8, mean=0.3), 2.0, [3.0]), (2.0, 0.64 * 3.0), rtol=1e-12)
    np.testing.assert_allclose(law_of(RandomWalk(0.8, 7.0), 2.0, [1e6]), (0.0, 0.64), atol=1e-12)


def test_the_walk_is_stationary_and_forgets_at_its_time_constant():
    n, rng = 200_000, np.random.default_rng(0)
    walk = RandomWalk(0.8, 7.0, mean=0.3)
    x = 0.3 + 0.8 * rng.standard_normal((n, 1))
    y = walk.step(x, rng.exponential(2.0, n), rng.standard_normal((n, 1)))  # gaps of all lengths
    assert mean_within(y[:, 0], 0.3)
    assert mean_within((y[:, 0] - 0.3) ** 2, 0.64)
    z = walk.step(x, np.full(n, 3.0), rng.standard_normal((n, 1)))
    assert mean_within((x[:, 0] - 0.3) * (z[:, 0] - 0.3), 0.64 * np.exp(-3.0 / 7.0))


def test_no_gap_or_no_deviation_moves_nobody():
    x, z = np.random.default_rng(1).standard_normal((2, 5, 3))
    for walk in (RandomWalk(0.8, 7.0), RandomWalk(0.8)):
        assert np.array_equal(walk.step(x, np.zeros(5), z), x)
    assert np.array_equal(RandomWalk(0.0).step(x, np.ones(5), z), x)


# Gaussian process


def paths_of(process, users, seed=0):
    return process.paths(np.random.default_rng(seed).standard_normal((users, process.num_normals)))


def test_the_autocorrelation_is_squared_exponential():
    users = 40_000
    process = GaussianProcess(1, 30.0)
    paths, who = paths_of(process, users), np.arange(users)
    start = np.random.default_rng(1).random(users) * 1e4
    x = process.interest(paths, who, start)[:, 0].astype(np.float64)
    assert mean_within(x, 0.0)
    assert mean_within(x * x, 1.0)
    for lag in (0.0, 3.0, 15.0, 30.0, 60.0, 100.0):
        y = process.interest(paths, who, start + lag)[:, 0]
        assert mean_within(x * y, np.exp(-(lag**2) / (2.0 * 30.0**2)))


def test_coordinates_of_a_user_are_uncorrelated():
    process = GaussianProcess(3, 10.0)
    x = process.interest(paths_of(process, 40_000), np.arange(40_000), np.full(40_000, 123.0))
    for d in range(3):
        assert mean_within(x[:, d] * x[:, (d + 1) % 3], 0.0)


@pytest.mark.parametrize("num_interests", [1, 3])
def test_an_infinite_length_scale_is_a_user_who_does_not_change(num_interests):
    process = GaussianProcess(4, np.inf, num_interests)
    paths, who = paths_of(process, 50), np.arange(50)
    x = process.interest(paths, who, np.zeros(50))
    assert np.isfinite(x).all()
    assert x.std() > 0.3
    assert np.array_equal(process.interest(paths, who, np.full(50, 1e9)), x)


def by_cosines(process, paths, user, time):
    """The outputs (B, W) in NumPy's own sines and cosines, double precision."""
    angle = paths.frequency[user] * time[:, None]  # (B, R)
    return np.einsum("br,brw->bw", np.cos(angle), paths.cosine[user].astype(float)) + np.einsum(
        "br,brw->bw", np.sin(angle), paths.sine[user].astype(float)
    )


@pytest.mark.parametrize("longest", [0.0, 1.0, 1e4, 1e6])
def test_the_compiled_series_are_sines_and_cosines(longest):
    process = GaussianProcess(5, 3.0)
    paths, rng = paths_of(process, 40), np.random.default_rng(2)
    user, time = rng.integers(0, 40, 500), rng.uniform(-longest, longest, 500)
    np.testing.assert_allclose(
        process.interest(paths, user, time), by_cosines(process, paths, user, time), atol=1e-5
    )


@pytest.mark.parametrize("sharpness", [0.0, 3.0, 1000.0])
def test_several_interests_are_mixed_by_a_softmax(sharpness):
    M, D = 3, 4
    process = GaussianProcess(D, 20.0, M, sharpness=sharpness)
    paths, rng = paths_of(process, 30), np.random.default_rng(3)
    user, time = rng.integers(0, 30, 200), rng.uniform(0, 1e3, 200)
    outputs = by_cosines(process, paths, user, time)
    assert outputs.shape == (200, M * D + M)
    weight = process.weights(paths, user, time)
    g = sharpness * outputs[:, M * D :]
    expected = np.exp(g - g.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    if sharpness <= 3.0:  # beyond, the softmax magnifies single precision
        np.testing.assert_allclose(weight, expected, atol=1e-5)
    np.testing.assert_allclose(weight.sum(axis=1), 1.0, atol=1e-5)
    if sharpness == 0.0:
        np.testing.assert_allclose(weight, 1.0 / M, atol=1e-6)
    if sharpness == 1000.0:
        assert np.median(weight.max(axis=1)) > 0.999  # one interest at a time
    mixture = np.einsum("bm,bmd->bd", weight, outputs[:, : M * D].reshape(-1, M, D))
    np.testing.assert_allclose(process.interest(paths, user, time), mixture, atol=1e-5)


def test_one_interest_has_all_the_weight():
    process = GaussianProcess(2, 20.0)
    assert np.array_equal(
        process.weights(paths_of(process, 3), np.arange(3), np.zeros(3)), np.ones((3, 1), np.float32)
    )


@pytest.mark.parametrize("num_interests", [1, 2, 5])
def test_an_interest_does_not_depend_on_the_batch(num_interests):
    process = GaussianProcess(7, 20.0, num_interests)
    paths, rng = paths_of(process, 60), np.random.default_rng(4)
    user, time = rng.integers(0, 60, 129), rng.uniform(0, 1e4, 129)
    together, weights = process.interest(paths, user, time), process.weights(paths, user, time)
    for rows in (slice(0, 1), slice(5, 6), slice(3, 20), slice(128, 129)):
        assert np.array_equal(process.interest(paths, user[rows], time[rows]), together[rows])
        assert np.array_equal(process.weights(paths, user[rows], time[rows]), weights[rows])
    alone = GaussianProcess.paths(
        process, np.random.default_rng(0).standard_normal((60, process.num_normals))
    )
    assert all(np.array_equal(a, b) for a, b in zip(alone, paths, strict=True))


# reinforcement


def slates_of_features(B=50, K=4, D=6, seed=0):
    """Interests, sparse features and clicks; topic D-1 belongs to no item."""
    rng = np.random.default_rng(seed)
    interest = rng.uniform(-1, 1, (B, D))
    features = rng.uniform(-1, 1, (B, K, D)) * (rng.random((B, K, D)) < 0.4)
    features[:, :, -1] = 0.0
    clicked = rng.random((B, K)) < 0.5
    clicked[0] = False
    return interest, features.astype(np.float32), clicked


@pytest.mark.parametrize("form", ["towards", "signed"])
def test_only_the_topics_of_clicked_items_move(form):
    interest, features, clicked = slates_of_features()
    after = Reinforcement(0.3, form).step(interest, features, clicked, np.full(50, 0.2))
    touched = ((features != 0.0) & clicked[:, :, None]).any(axis=1)
    assert np.array_equal(after[~touched], interest[~touched])
    assert not np.isclose(after[touched], interest[touched], rtol=0, atol=1e-12).any()


def test_a_click_pulls_towards_the_mean_of_what_was_clicked():
    interest, features, clicked = slates_of_features()
    after = Reinforcement(0.3).step(interest, features, clicked, np.zeros(50))
    for b, d in np.ndindex(interest.shape):
        pulls = [f for f, c in zip(features[b, :, d], clicked[b], strict=True) if c and f != 0.0]
        pull = 0.3 * (np.mean(pulls, dtype=float) - interest[b, d]) if pulls else 0.0
        assert after[b, d] == pytest.approx(interest[b, d] + pull, abs=1e-6)
    all_the_way = Reinforcement(1.0).step(interest[:1], features[:1, :1], np.ones((1, 1), bool), np.zeros(1))
    has = features[0, 0] != 0.0
    np.testing.assert_allclose(all_the_way[0, has], features[0, 0, has], rtol=1e-12)


@pytest.mark.parametrize("form", ["towards", "signed"])
@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_interests_stay_within_their_bounds(form, rate):
    interest, features, clicked = slates_of_features(seed=1)
    law, rng = Reinforcement(rate, form), np.random.default_rng(2)
    for _ in range(200):
        interest = law.step(interest, features, rng.permuted(clicked, axis=1), rng.random(50))
        assert (np.abs(interest) <= 1.0 + 1e-12).all()


def test_the_signed_form_has_its_expectation():
    """E[u' - u] = rate (1 - |u|) f (u . f), since s is +1 with probability (u . f + 1) / 2."""
    n, u, f = 200_000, np.array([0.5, -0.2, 0.1]), np.array([0.3, 0.4, 0.0])
    draws = np.random.default_rng(3).random(n)
    after = Reinforcement(0.25, "signed").step(
        np.tile(u, (n, 1)), np.tile(f, (n, 1, 1)), np.ones((n, 1), bool), draws
    )
    moved = after - u
    for d, exact in enumerate(0.25 * (1.0 - np.abs(u)) * f * (u @ f)):
        assert mean_within(moved[:, d], exact)
    size = 0.25 * (1.0 - np.abs(u)) * np.abs(f)
    np.testing.assert_allclose(np.abs(moved), np.tile(size, (n, 1)), atol=1e-12)


@pytest.mark.parametrize("form", ["towards", "signed"])
def test_reinforcement_does_not_depend_on_the_batch_nor_the_memory_layout(form):
    interest, features, clicked = slates_of_features(seed=4)
    u = np.random.default_rng(5).random(50)
    law = Reinforcement(0.3, form)
    together = law.step(interest, features, np.asfortranarray(clicked), u)
    for b in range(50):
        rows = slice(b, b + 1)
        assert np.array_equal(
            law.step(interest[rows], features[rows], clicked[rows], u[rows])[0], together[b]
        )


# regimes


@pytest.mark.parametrize("M", [1, 2, 5])
def test_regimes_compose_over_gaps_and_are_uniform_in_the_long_run(M):
    chain = RegimeSwitching(M, 4.0)
    half = chain.transition(1.5)
    np.testing.assert_allclose(half @ half, chain.transition(3.0), atol=1e-14)
    np.testing.assert_allclose(half.sum(axis=1), 1.0, atol=1e-14)
    np.testing.assert_allclose(np.full(M, 1 / M) @ half, 1 / M, atol=1e-14)
    np.testing.assert_allclose(chain.transition(0.0), np.eye(M), atol=1e-14)
    if M > 1:
        np.testing.assert_allclose(chain.transition(1e6), 1 / M, atol=1e-14)


def test_a_regime_stays_its_mean_stay():
    """The rate of leaving, the derivative of P(i | i) at gap 0, is 1 / mean_stay."""
    chain = RegimeSwitching(3, 4.0)
    assert (1.0 - chain.transition(1e-6)[0, 0]) / 1e-6 == pytest.approx(0.25, rel=1e-5)
    assert np.array_equal(RegimeSwitching(3, np.inf).transition(1e9), np.eye(3))


def test_sampled_regimes_follow_the_chain():
    n = 100_000
    chain = RegimeSwitching(3, 4.0)
    to = chain.step(np.full(n, 1), np.full(n, 2.5), np.random.default_rng(6).random((n, 2)))
    exact = chain.transition(2.5)[1]
    share = np.bincount(to, minlength=3) / n
    assert (np.abs(share - exact) < 5 * np.sqrt(exact * (1 - exact) / n)).all()
    assert np.array_equal(
        RegimeSwitching(1, 4.0).step(np.zeros(5, int), np.ones(5), np.ones((5, 2)) / 2), [0] * 5
    )


# satiation


def test_satiation_is_a_geometric_sum_of_what_was_consumed():
    law, rng = Satiation(0.5, 0.8), np.random.default_rng(7)
    consumed = rng.integers(0, 4, (12, 3, 5)).astype(float)  # step, user, topic
    s = np.zeros((3, 5))
    for t in range(12):
        s = law.step(s, consumed[t])
    by_hand = sum(0.8 ** (12 - t) * consumed[t] for t in range(12))
    np.testing.assert_allclose(s, by_hand, rtol=1e-12)
    np.testing.assert_allclose(law.loss(s), 0.5 * by_hand, rtol=1e-12)


def test_satiation_over_a_gap_is_that_of_so_many_steps():
    law, nothing = Satiation(0.5, 0.8), np.zeros((2, 1))
    s = np.array([[1.0], [2.0]])
    apart = law.step(s, nothing, np.array([3.0, 0.5]))
    np.testing.assert_allclose(apart[:, 0], [0.8**3, 2 * 0.8**0.5], rtol=1e-12)
    twice = law.step(law.step(s, nothing, np.full(2, 1.5)), nothing, np.array([1.5, -1.0]))
    np.testing.assert_allclose(twice, apart, rtol=1e-12)
    assert (Satiation(0.5, 0.0).step(s, nothing) == 0.0).all()


# boredom


def boredom_twin(history, topics, clicked, left, law):
    """One user, one step: appends to the history of clicks and returns what bores for how long."""
    left = [max(n - 1, 0) for n in left]
    for topic, click in zip(topics, clicked, strict=True):
        if click:
            history.append(topic)
            if history[-law.window :].count(topic) >= law.threshold:
                left[topic] = law.duration
    return left


@pytest.mark.parametrize(("threshold", "window", "duration"), [(5, 10, 5), (1, 1, 1), (3, 3, 2), (2, 40, 7)])
def test_boredom_is_its_plain_twin(threshold, window, duration):
    """Over 300 random steps, which begin with fewer clicks than the window holds."""
    B, K, C = 6, 4, 3
    law, rng = Boredom(C, threshold, window, duration), np.random.default_rng(8)
    state, history, left = law.begin(B), [[] for _ in range(B)], [[0] * C] * B
    seen = set()
    for _ in range(300):
        topics, clicked = rng.integers(0, C, (B, K)), rng.random((B, K)) < rng.choice([0.05, 0.6])
        before = [column.copy() for column in state]
        after = law.step(state, topics, clicked)
        assert all(np.array_equal(a, b) for a, b in zip(state, before, strict=True))  # pure
        left = [boredom_twin(history[b], topics[b].tolist(), clicked[b], left[b], law) for b in range(B)]
        state = after
        assert np.array_equal(state.left, left)
        assert np.array_equal(law.bored(state), np.array(left) > 0)
        seen |= {bool(flag) for flag in law.bored(state).ravel()}
    assert seen == {False, True}


def test_before_the_window_is_full_all_clicks_count():
    law = Boredom(2, threshold=3, window=10, duration=5)
    state, one = law.begin(1), np.ones((1, 1), bool)
    bored = []
    for _ in range(3):
        state = law.step(state, np.zeros((1, 1), int), one)
        bored.append(law.bored(state)[0].tolist())
    assert bored == [[False, False], [False, False], [True, False]]
    for t in range(5):  # for `duration` slates, then no more, however old the clicks are
        assert law.bored(state)[0, 0], t
        state = law.step(state, np.zeros((1, 1), int), ~one)
    assert not law.bored(state).any()


BAD = [
    (lambda: RandomWalk(-1.0), "deviation must be 0 or more and finite, got -1.0"),
    (lambda: RandomWalk(np.nan), "deviation must be 0 or more and finite, got nan"),
    (lambda: RandomWalk(np.inf), "deviation must be 0 or more and finite, got inf"),
    (lambda: RandomWalk(1.0, 0.0), "time_constant must be above 0, got 0.0"),
    (lambda: RandomWalk(1.0, 1.0, np.nan), "mean must be finite, got nan"),
    (lambda: GaussianProcess(0, 1.0), "dimension must be at least 1, got 0"),
    (lambda: GaussianProcess(1, 0.0), "length_scale must be above 0, got 0.0"),
    (lambda: GaussianProcess(1, np.nan), "length_scale must be above 0, got nan"),
    (lambda: GaussianProcess(1, 1.0, 0), "num_interests must be at least 1, got 0"),
    (lambda: GaussianProcess(1, 1.0, 1, 0), "num_frequencies must be at least 1, got 0"),
    (lambda: GaussianProcess(1, 1.0, 2, sharpness=-1.0), "sharpness must be 0 or more and finite, got -1.0"),
    (lambda: GaussianProcess(1, 1.0, 2, sharpness=np.inf), "sharpness must be 0 or more and finite, got inf"),
    (lambda: Reinforcement(1.1), "rate must be from 0 to 1, got 1.1"),
    (lambda: Reinforcement(np.nan), "rate must be from 0 to 1, got nan"),
    (lambda: Reinforcement(0.1, "away"), "form must be towards or signed, got 'away'"),
    (lambda: RegimeSwitching(0, 1.0), "num_regimes must be at least 1, got 0"),
    (lambda: RegimeSwitching(2, 0.0), "mean_stay must be above 0, got 0.0"),
    (lambda: Satiation(-0.1), "factor must be 0 or more and finite, got -0.1"),
    (lambda: Satiation(np.inf), "factor must be 0 or more and finite, got inf"),
    (lambda: Satiation(1.0, 1.0), "memory must be from 0 to below 1, got 1.0"),
    (lambda: Boredom(0), "num_topics must be at least 1, got 0"),
    (lambda: Boredom(2, 0), r"threshold must be from 1 to the window \(10\), got 0"),
    (lambda: Boredom(2, 11), r"threshold must be from 1 to the window \(10\), got 11"),
    (lambda: Boredom(2, duration=0), "duration must be at least 1, got 0"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_bad_parameters(make, message):
    with pytest.raises(InputError, match=message):
        make()
