"""The laws of RecSim, SARDINE and RecLab, without their defects, against plain twins and by sampling."""

import numpy as np
import pytest

from recsim_env.errors import InputError
from recsim_env.user_models.preferences import (
    Boredom,
    RecLabBoredom,
    RecLabSatiation,
    RecSimInterest,
    SardineBoredom,
    SardineInfluence,
    Satiation,
)


def normals(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def agree(samples, value, axis=0, errors=5.0):
    """The mean of the samples is the value, within so many standard errors."""
    error = samples.std(axis=axis, ddof=1) / np.sqrt(samples.shape[axis])
    np.testing.assert_array_less(np.abs(samples.mean(axis=axis) - value), errors * error + 1e-12)


# RecSim and SARDINE: the pull of clicks


def slate_of(B=6, K=4, D=5, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.uniform(-1, 1, (B, K, D)) * (rng.random((B, K, D)) < 0.4)
    clicked = rng.random((B, K)) < 0.5
    clicked[0], clicked[1] = False, True
    return rng.uniform(-1, 1, (B, D)), features, clicked


def test_recsims_interest_by_its_formula_and_by_sampling():
    law, B = RecSimInterest(), 100_000
    interest = np.repeat([[0.6, -0.4, 0.1]], B, axis=0)
    features = np.zeros((B, 2, 3))
    features[:, 1, 0] = 1.0  # the second slot holds topic 0
    clicked = np.tile([False, True], (B, 1))
    up = law.towards_prob(interest[:1], features[:1, 1])[0]
    assert up == pytest.approx(0.8)
    after = law.step(interest, features, clicked, np.random.default_rng(0).random(B))
    move = 0.3 * (1 - 0.6) * 1.0 * (1.0 - 0.6)
    agree(after[:, 0] - 0.6, move * (2 * up - 1))
    assert set(np.round(after[:, 0] - 0.6, 12)) == {round(move, 12), round(-move, 12)}
    assert np.array_equal(after[:, 1:], interest[:, 1:])
    nothing = law.step(interest, features, np.zeros_like(clicked), np.zeros(B))
    assert np.array_equal(nothing, interest)


def test_sardines_influence_is_a_weighted_mean_of_length_one():
    interest, features, clicked = slate_of(B=40)
    interest /= np.linalg.norm(interest, axis=1, keepdims=True)
    after = SardineInfluence(0.8).step(interest, features, clicked)
    np.testing.assert_allclose(np.linalg.norm(after, axis=1), 1.0)
    assert np.array_equal(after[0], interest[0])  # no click
    for b in range(1, 40):
        if clicked[b].any():
            mixed = 0.8 * interest[b] + 0.2 * np.mean(features[b][clicked[b]], axis=0)
            np.testing.assert_allclose(after[b], mixed / np.linalg.norm(mixed))
    cancel = np.array([[[-1.0, 0.0]]])
    with pytest.raises(InputError, match=r"interest\[0\] .* cancel out"):
        SardineInfluence(0.5).step(np.array([[1.0, 0.0]]), cancel, np.array([[True]]))


def one_topic_slates(B=8, K=3, D=10, seed=0):
    """Interests, and slates of which only topics 0-3 are clicked, though others are shown."""
    rng = np.random.default_rng(seed)
    features = np.zeros((B, K, D))
    features[:, :2, :4] = rng.random((B, 2, 4))
    features[:, 2, 4:] = rng.random((B, D - 4))
    interest = rng.random((B, D))
    interest /= np.linalg.norm(interest, axis=1, keepdims=True)
    return interest, features, np.tile([True, True, False], (B, 1))


def test_clicks_move_the_topics_of_the_clicked_items_only():
    """SARDINE takes the mean of the clicked features without an axis: one number, added to every topic."""
    interest, features, clicked = one_topic_slates()
    after = RecSimInterest().step(interest, features, clicked, np.zeros(8))
    assert np.array_equal(after[:, 4:], interest[:, 4:])
    after = SardineInfluence(0.8).step(interest, features, clicked)
    gained = after / after[:, 9:] * interest[:, 9:] - interest  # undo the scaling to length 1
    np.testing.assert_allclose(gained[:, 4:], 0.0, atol=1e-15)
    np.testing.assert_allclose(gained[:, :4], 0.25 * features[:, :2, :4].mean(axis=1))


# RecLab: ratings


@pytest.mark.parametrize("noise", [0.0, 0.5, 2.0])
def test_the_mean_rating_is_the_mean_of_ratings(noise):
    law, B = RecLabSatiation(Satiation(1.0, 0.5), noise), 200_000
    preference, satiation = np.array([[0.7, 3.0, 5.4]]), np.array([[0.2, 1.5, 0.0]])
    ratings = law.rating(preference, satiation, normals(B, 3))
    agree(ratings, law.mean_rating(preference, satiation)[0])


def test_the_true_rating_is_the_mean_of_sampled_ratings_and_falls_with_satiation():
    """RecLab's dense ratings add the satiation that its sampled ratings subtract, so that its perfect
    baseline is the worst: a preference of 4.1 gave 4.60, 4.85, 4.98 against 3.60, 3.35, 3.23."""
    law = RecLabSatiation(Satiation(1.0, 0.5), 0.0)
    preference, consumed, state = np.full((1, 3), 4.1), np.array([[1.0, 0.0, 0.0]]), law.begin(1, 3)
    said = []
    for _ in range(3):
        state = law.step(state, consumed, np.zeros((1, 3)), np.ones((1, 3)))
        satiation = state.satiation
        mean = law.mean_rating(preference, satiation)
        assert np.array_equal(mean, law.rating(preference, satiation, np.zeros((1, 3))))
        said.append(mean[0, 0])
        assert mean[0, 1:].tolist() == [4.1, 4.1]
    np.testing.assert_allclose(said, [3.60, 3.35, 3.225])

    noisy, B = RecLabSatiation(Satiation(1.0, 0.5), 0.7), 100_000
    ratings = noisy.rating(preference, satiation, np.random.default_rng(0).standard_normal((B, 3)))
    error = ratings.std(axis=0) / np.sqrt(B)
    assert (np.abs(ratings.mean(axis=0) - noisy.mean_rating(preference, satiation)[0]) < 5 * error).all()


def test_satiation_decays_as_the_topic_s_own_state_says_and_its_states_switch():
    """Against a plain loop: topics that bore keep more, whichever was consumed. RecLab lets all topics decay
    as the recommended one does, and moves all topics of a state by one draw."""
    law = RecLabSatiation(Satiation(1.0, 0.5), 0.0, 0.9, (0.3, 0.2), 0.1)
    B, C, T = 4000, 3, 12
    rng = np.random.default_rng(11)
    state, plain, bored = law.begin(B, C), np.zeros((B, C)), np.zeros((B, C), bool)
    for _ in range(T):
        consumed = rng.integers(0, 2, (B, C)).astype(float)
        u, z = rng.random((B, C)), rng.standard_normal((B, C))
        kept = [column.copy() for column in state]
        after = law.step(state, consumed, u, z)
        assert all(np.array_equal(old, new) for old, new in zip(kept, state, strict=True))
        state = after
        for b, c in np.ndindex(20, C):
            switches = u[b, c] < 0.3 if not bored[b, c] else u[b, c] < 0.2
            bored[b, c] ^= switches
            plain[b, c] = (0.9 if bored[b, c] else 0.5) * (plain[b, c] + consumed[b, c]) + 0.1 * z[b, c]
        np.testing.assert_allclose(state.satiation[:20], plain[:20])
        assert np.array_equal(state.bored[:20], bored[:20])
    agree(state.bored.astype(float), np.full(C, 0.6 * (1.0 - 0.5**T)))  # 0.3 / (0.3 + 0.2), from none
    assert np.abs(np.corrcoef(state.bored.T)[np.triu_indices(C, 1)]).max() < 5.0 / np.sqrt(B)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"noise": -1.0}, "noise must be 0 or more and finite, got -1.0"),
        ({"satiation_noise": np.inf}, "satiation_noise must be 0 or more and finite, got inf"),
        ({"bored_memory": 1.0}, "bored_memory must be from 0 to below 1, got 1.0"),
        ({"switch_prob": (0.5,)}, "switch_prob must be two probabilities"),
        ({"switch_prob": (0.5, 1.5)}, r"switch_prob must be two probabilities, got \(0.5, 1.5\)"),
    ],
)
def test_reclabs_satiation_refuses(parameters, message):
    with pytest.raises(InputError, match=message):
        RecLabSatiation(Satiation(1.0, 0.5), **parameters)


# SARDINE: boredom


class BoredUser:
    """SARDINE's boredom of one user, with a list of all clicks."""

    def __init__(self, C, threshold, window, recent_clicks):
        self.threshold, self.window, self.recent_clicks = threshold, window, recent_clicks
        self.clicks, self.until, self.t = [], [-1] * C, -1

    def step(self, topics):
        self.t += 1
        self.clicks += [(self.t, topic) for topic in topics]
        recent = [topic for t, topic in self.clicks[-self.recent_clicks :] if t > self.t - self.window]
        for c in range(len(self.until)):
            if recent.count(c) >= self.threshold and self.until[c] <= self.t:
                self.until[c] = self.t + self.window
        return [until > self.t for until in self.until]


@pytest.mark.parametrize(
    ("threshold", "window", "recent_clicks"), [(1, 1, 1), (3, 2, 10), (3, 5, 10), (5, 12, 10), (4, 5, 100)]
)
def test_sardines_boredom_is_that_of_a_list_of_clicks(threshold, window, recent_clicks):
    B, K, C, T = 20, 4, 3, 40
    rng = np.random.default_rng(window)
    law = SardineBoredom(C, threshold, window, recent_clicks)
    state, users = law.begin(B), [BoredUser(C, threshold, window, recent_clicks) for _ in range(B)]
    interest, ever = rng.random((B, C)), False
    for _ in range(T):
        topics, clicked = rng.integers(0, C, (B, K)), rng.random((B, K)) < 0.3
        state = law.step(state, topics, clicked)
        bored = [user.step(topics[b][clicked[b]].tolist()) for b, user in enumerate(users)]
        assert np.array_equal(law.bored(state), bored)
        assert np.array_equal(law.away(state), np.any(bored, axis=1))
        assert np.array_equal(law.interest(interest, state), np.where(bored, 0.0, interest))
        ever = ever or np.any(bored)
    assert ever


def test_sardine_counts_ten_clicks_at_most():
    """Five clicks on one topic bore, but not where ten others came after them."""
    topics, clicked = np.array([[0] * 5 + [1, 2] * 5]), np.ones((1, 15), bool)
    for recent_clicks, bored in ((10, [False, True, True]), (15, [True, True, True])):
        law = SardineBoredom(3, 5, 5, recent_clicks)
        assert law.bored(law.step(law.begin(1), topics, clicked)).tolist() == [bored]


def test_boredom_changes_nothing_that_it_was_given():
    law = SardineBoredom(3, 2, 4)
    state = law.begin(2)
    topics, clicked = np.array([[0, 0], [1, 2]]), np.ones((2, 2), bool)
    kept = [np.copy(array) for array in state]
    once, again = law.step(state, topics, clicked), law.step(state, topics, clicked)
    for before, array, one, two in zip(kept, state, once, again, strict=True):
        assert np.array_equal(before, array)
        assert np.array_equal(one, two)
    assert law.bored(once).tolist() == [[True, False, False], [False, False, False]]


@pytest.mark.parametrize("window", [1, 2, 5])
def test_the_window_is_right_before_it_is_full(window):
    """EasyRL4Rec slices from t - N, negative for t < N: 1, 2, 2, 1, 5, 5, 5 steps at t = 1 .. 7, N = 5."""
    for threshold in range(1, 8):
        law = SardineBoredom(2, threshold, window)
        state, bored = law.begin(1), []
        for _ in range(8):  # one click a step
            state = law.step(state, np.zeros((1, 1), int), np.ones((1, 1), bool))
            bored.append(bool(law.bored(state)[0, 0]))
        first = bored.index(True) + 1 if any(bored) else None
        assert first == (threshold if threshold <= window else None)


# RecLab: boredom


@pytest.mark.parametrize(("memory", "threshold"), [(1, 0), (4, 1), (6, 2), (3, 3)])
def test_reclabs_boredom_is_that_of_a_list_of_items(memory, threshold):
    B, K, C = 5, 3, 3
    law, rng = RecLabBoredom(C, memory, threshold, 1.5), np.random.default_rng(9)
    state, items = law.begin(B), [[] for _ in range(B)]
    seen = set()
    for _ in range(40):
        topics, consumed = rng.integers(0, C, (B, K)), rng.random((B, K)) < 0.6
        before = [column.copy() for column in state]
        after = law.step(state, np.where(consumed, topics, -7), consumed)
        assert all(np.array_equal(old, new) for old, new in zip(before, state, strict=True))
        state = after
        for b in range(B):
            items[b] += topics[b][consumed[b]].tolist()
        bored = [[items[b][-memory:].count(c) > threshold for c in range(C)] for b in range(B)]
        assert np.array_equal(law.bored(state), bored)
        assert np.array_equal(law.loss(state), np.where(bored, 1.5, 0.0))
        seen |= set(np.ravel(bored).tolist())
    assert seen == ({False} if threshold >= memory else {False, True})


def test_reclabs_bored_users_rate_lower_by_the_penalty_and_their_mean_is_exact():
    boredom, ratings = RecLabBoredom(2, 5, 1, 1.0), RecLabSatiation(Satiation(0.0, 0.0), noise=0.8)
    state = boredom.step(boredom.begin(1), np.array([[0, 0]]), np.array([[True, True]]))
    preference = np.array([[3.0, 3.0]]) - boredom.loss(state)
    assert preference.tolist() == [[2.0, 3.0]]
    sampled = ratings.rating(preference, np.zeros((1, 2)), normals(200_000, 2))
    agree(sampled, ratings.mean_rating(preference, np.zeros((1, 2)))[0])


@pytest.mark.parametrize("law", [Boredom(3, 1, 4, 5), SardineBoredom(3, 1, 4), RecLabBoredom(3, 4, 0, 1.0)])
@pytest.mark.parametrize("topic", [-1, 3, 10**9])
def test_a_click_on_a_topic_that_does_not_exist_is_refused(law, topic):
    """It would be written outside an array."""
    nothing, one = np.array([[False, False]]), np.array([[False, True]])
    state = law.step(law.begin(1), np.array([[0, topic]]), nothing)  # anything where nothing is clicked
    with pytest.raises(
        InputError, match=rf"topics\[0, 1\] = {topic} was clicked and is not a topic: there are 3"
    ):
        law.step(state, np.array([[0, topic]]), one)
    with pytest.raises(InputError, match=r"topics and clicked must have one shape \(B, K\)"):
        law.step(state, np.array([[0]]), one)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ((0, 1, 1, 1.0), "num_topics must be at least 1, got 0"),
        ((2, 0, 1, 1.0), "memory must be at least 1, got 0"),
        ((2, 1, -1, 1.0), "threshold must be at least 0, got -1"),
        ((2, 1, 1, -1.0), "penalty must be 0 or more and finite, got -1.0"),
        ((2, 1, 1, np.nan), "penalty must be 0 or more and finite, got nan"),
    ],
)
def test_reclabs_boredom_refuses(parameters, message):
    with pytest.raises(InputError, match=message):
        RecLabBoredom(*parameters)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ((0, 1, 1, 1), "num_topics must be at least 1, got 0"),
        ((2, 1, 0, 1), "window must be at least 1, got 0"),
        ((2, 1, 1, 0), "recent_clicks must be at least 1, got 0"),
        ((2, 11, 5), r"threshold must be from 1 to recent_clicks \(10\), got 11"),
    ],
)
def test_sardines_boredom_refuses(parameters, message):
    with pytest.raises(InputError, match=message):
        SardineBoredom(*parameters)
