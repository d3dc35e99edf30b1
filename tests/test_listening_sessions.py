"""Sessions of a log, their split, memory at their start, and baselines that recommend session by session."""

import math

import numpy as np
import pytest

from recsim_env.agents.baselines.base_level_sessions import BaseLevelSessions
from recsim_env.agents.baselines.own_history import OwnHistoryRecommender
from recsim_env.agents.baselines.popularity_recommender import PopularityRecommender
from recsim_env.agents.baselines.tifu_knn import TIFUKNN
from recsim_env.agents.sequential.markov import MarkovRecommender
from recsim_env.agents.sequential.session_memory import association, memory_at, shares, spreading
from recsim_env.agents.sequential.session_recommender import (
    OfHistories,
    evaluate_sessions,
    training_popularity,
)
from recsim_env.errors import InputError
from recsim_env.evaluation.ranking import top_k
from recsim_env.evaluation.session_metrics import SESSION_METRICS, session_metrics
from recsim_env.simulators.datasets import read_events
from recsim_env.simulators.log import Log
from recsim_env.simulators.natural_listening import natural_listening
from recsim_env.simulators.sessions_split import (
    TEST,
    TRAIN,
    VALIDATION,
    Sessions,
    sessions_of,
    split_sessions,
    training_windows,
    windows,
)
from recsim_env.simulators.splits import shuffle_ties
from recsim_env.simulators.worlds.repeat_listening import repeat_listening
from recsim_env.user_models.memory import actr

N = 12


def some_sessions(users=4, each=9, most=4, seed=0):
    """Sessions of one to four items of twelve, hours apart."""
    rng = np.random.default_rng(seed)
    rows = users * each
    items = np.argsort(rng.random((rows, N)), axis=1)[:, :most]
    items[np.arange(most) >= rng.integers(1, most + 1, rows)[:, None]] = -1
    start = np.cumsum(rng.integers(3600, 90_000, rows)).astype(float)
    return Sessions(np.repeat(np.arange(users), each), start, items, 10 * np.arange(users), N)


def small_split(**more):
    return split_sessions(some_sessions(**more), test=2, validation=2)


RECOMMENDERS = {
    "popularity": lambda: OfHistories(PopularityRecommender(num_items=N)),
    "p_top": lambda: OfHistories(OwnHistoryRecommender(decay=0.0, num_items=N)),
    "markov": lambda: OfHistories(MarkovRecommender(num_items=N)),
    "base_level": BaseLevelSessions,
    "tifu_knn": lambda: TIFUKNN(neighbours=2, groups=3),
}


# --- sessions


def test_sessions_by_hand():
    time = np.array([0, 60, 100, 100, 1300, 2501, 2502, 0, 1200, 5000], float)
    item = np.array([3, 1, 3, 2, 0, 4, 5, 6, 7, 6])
    user = np.array([7] * 7 + [9] * 3)
    found = sessions_of(Log.from_interactions(user, item, time), least=2, most=3, min_sessions=1)
    assert found.items.tolist() == [[3, 1, 2], [4, 5, -1], [6, 7, -1]]  # item 0 is within the gap, and fourth
    assert found.start.tolist() == [0, 2501, 0]
    assert found.user.tolist() == [0, 0, 1]
    assert found.user_ids.tolist() == [7, 9]
    assert found.num_items == 8
    assert found.first.tolist() == [0, 2, 3]
    # with a shorter gap more sessions begin; those of one item are left out, and then user 9
    short = sessions_of(Log.from_interactions(user, item, time), gap=50, least=2, most=3, min_sessions=1)
    assert short.items.tolist() == [[1, 3, 2], [4, 5, -1]]
    assert short.user_ids.tolist() == [7]


def test_only_clicks_count_and_slates_may_be_longer():
    log = Log(
        np.zeros(3, int),
        np.array([0.0, 10.0, 20.0]),
        np.array([[1, 2], [2, 3], [0, -1]]),
        np.array([[True, False], [True, True], [False, False]]),
    )
    assert sessions_of(log, least=1, most=4, min_sessions=1).items.tolist() == [[1, 2, 3, -1]]


def test_users_with_few_sessions_are_left_out():
    user = np.repeat([0, 1, 2], [3, 1, 2])
    log = Log.from_interactions(user, np.arange(6), 9999.0 * np.arange(6))
    found = sessions_of(log, least=1, most=1, min_sessions=2, num_items=50)
    assert found.user_ids.tolist() == [0, 2]
    assert found.user.tolist() == [0, 0, 0, 1, 1]
    assert found.items[:, 0].tolist() == [0, 1, 2, 4, 5]
    assert found.num_items == 50
    message = (
        "log must hold a user with 4 sessions of 1 items or more, but of 3 users the one with most has 3"
    )
    with pytest.raises(InputError, match=message):
        sessions_of(log, least=1, min_sessions=4)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"gap": -1.0}, "gap must be 0 or more and finite, got -1.0"),
        ({"least": 0}, "least must be at least 1, got 0"),
        ({"most": 0}, "most must be at least 1, got 0"),
        ({"num_items": 3}, r"slate\[3, 0\] = 3 is not an item"),
    ],
)
def test_sessions_that_cannot_be_are_refused(more, message):
    log = Log.from_interactions(np.zeros(5, int), np.arange(5), np.arange(5.0))
    with pytest.raises(InputError, match=message):
        sessions_of(log, **{"least": 1, "min_sessions": 1, **more})


def test_before_is_what_a_loop_finds():
    sessions = some_sessions()
    items, ages = sessions.before(np.arange(len(sessions)))
    for x in range(len(sessions)):
        had = [
            (item, sessions.start[x] - sessions.start[y])
            for y in range(x)
            if sessions.user[y] == sessions.user[x]
            for item in sessions.items[y]
            if item >= 0
        ]
        there = items[x] >= 0
        assert list(zip(items[x][there], ages[x][there], strict=True)) == had
        assert not there[: len(there) - len(had)].any()
        assert np.isnan(ages[x][~there]).all()
    alone, _ = sessions.before(np.array([5]))
    assert alone.tolist() == [items[5][items[5] >= 0].tolist()]


def test_a_split_and_its_windows():
    split = small_split(users=3, each=9)
    assert split.part.tolist() == 3 * (5 * [TRAIN] + 2 * [VALIDATION] + 2 * [TEST])
    assert split.rows(TEST).tolist() == [7, 8, 16, 17, 25, 26]
    found = training_windows(split, length=3, stride=1)
    assert found.tolist() == [[9 * u + e - b for b in (3, 2, 1, 0)] for u in range(3) for e in (3, 4)]
    assert training_windows(split, length=3, stride=2)[:, -1].tolist() == [4, 13, 22]
    assert training_windows(split, length=2, stride=2)[:, -1].tolist() == [2, 4, 11, 13, 20, 22]
    long = training_windows(split, length=6)
    assert long.tolist() == [[-1, -1, *range(9 * u, 9 * u + 5)] for u in range(3)]
    assert windows(split.sessions, np.array([9, 11]), 2).tolist() == [[-1, -1, 9], [9, 10, 11]]
    # nothing of validation and test is in a window
    assert not (split.part[found] != TRAIN).any()


def test_users_with_too_little_to_learn_from_are_refused():
    with pytest.raises(InputError, match="every user needs 17 sessions, 10 for the test, 5 for validation"):
        split_sessions(some_sessions())
    with pytest.raises(InputError, match="test must be at least 1, got 0"):
        split_sessions(some_sessions(), test=0)


# --- memory


def test_shares_are_the_softmax_of_base_level_activations():
    sessions = some_sessions()
    items, ages = sessions.before(np.array([8, 13]))
    found = shares(sessions, np.array([8, 13]), 0.5)
    for b in range(2):
        had = np.unique(items[b][items[b] >= 0])
        level = [actr.base_level_activation(ages[b][items[b] == i]) for i in had]
        weight = np.exp(level)
        np.testing.assert_allclose(found[b, had], weight / weight.sum(), rtol=1e-12)
        assert found[b].sum() == pytest.approx(1)
        assert np.count_nonzero(found[b]) == len(had)
    assert not shares(
        sessions, np.array([0]), 0.5
    ).any()  # nobody remembers anything before the first session


def test_a_base_level_by_hand():
    """Played 1, 2 and 5 hours ago: B = ln(1 + 2^-.5 + 5^-.5) = .76748 in hours, less ln 60 in seconds."""
    start = np.array([0.0, 3.0, 4.0, 5.0]) * 3600
    items = np.array([[0, -1], [0, 1], [0, -1], [2, -1]])
    sessions = Sessions(np.zeros(4, int), start, items, np.zeros(1, int), 3)
    share = shares(sessions, np.array([3]), 0.5)[0]
    assert math.log(share[0] / share[1]) == pytest.approx(0.76748 - math.log(2**-0.5), abs=1e-5)
    other = math.exp(0.76748) + 2**-0.5
    np.testing.assert_allclose(share, [math.exp(0.76748) / other, 2**-0.5 / other, 0.0], atol=1e-6)


def test_memories_at_the_start_of_sessions():
    sessions = some_sessions()
    rows = np.arange(len(sessions))
    share = shares(sessions, rows, 0.5)
    found = memory_at(sessions, rows, favourites=3)
    for x in rows:
        here = sessions.items[x]
        np.testing.assert_array_equal(found.own[x], [share[x, i] if i >= 0 else 0.0 for i in here])
        if x % 9:
            there = sessions.items[x - 1]
            np.testing.assert_array_equal(found.previous[x], [share[x, i] if i >= 0 else 0.0 for i in there])
        else:
            assert not found.previous[x].any()
        known = sorted(np.flatnonzero(share[x]), key=lambda i, x=x: (-share[x, i], i))[:3]
        assert found.favourites[x].tolist() == known + [-1] * (3 - len(known))
        np.testing.assert_array_equal(found.strength[x][: len(known)], share[x, known])
    assert memory_at(sessions, rows, favourites=50).favourites.shape == (len(rows), N)


def test_spreading_is_that_of_the_user_model():
    sessions = some_sessions(users=6)
    rows = np.arange(30)
    dense = actr.cooccurrence(sessions.items[rows], N)
    found = association(sessions, rows)
    np.testing.assert_allclose(found.toarray(), dense, atol=1e-12)
    spread = actr.spreading_activation(dense, sessions.items)
    expected = np.where(sessions.items >= 0, np.take_along_axis(spread, sessions.items, axis=1), 0.0)
    np.testing.assert_allclose(spreading(found, sessions.items), expected, atol=1e-12)
    assert expected.any()


# --- recommenders


@pytest.mark.parametrize("name", RECOMMENDERS)
def test_scores_depend_on_what_came_before_alone(name):
    split = small_split()
    fitted = RECOMMENDERS[name]().fit(split)
    sessions = split.sessions
    rows = np.array([3, 8, 16, 9])
    scores = fitted.scores(sessions, rows)
    assert scores.shape == (4, N)
    assert np.isfinite(scores).all()
    for b, row in enumerate(rows):
        np.testing.assert_allclose(fitted.scores(sessions, rows[b : b + 1])[0], scores[b], atol=1e-12)
        items = sessions.items.copy()
        items[row:] = np.roll(items[row:], 1, axis=0)
        items[row] = [*items[row][items[row] >= 0][:1], *[-1] * 3]
        later = Sessions(sessions.user, sessions.start, items, sessions.user_ids, N)
        np.testing.assert_allclose(fitted.scores(later, rows[b : b + 1])[0], scores[b], atol=1e-12)


@pytest.mark.parametrize("name", RECOMMENDERS)
def test_what_is_not_for_training_is_not_learned_from(name):
    split = small_split()
    items = split.sessions.items.copy()
    held = split.part != TRAIN
    items[held] = np.where(items[held] >= 0, (items[held] + 1) % N, -1)
    other = Sessions(split.sessions.user, split.sessions.start, items, split.sessions.user_ids, N)
    rows = split.sessions.first[:-1] + 3
    found = [RECOMMENDERS[name]().fit(one).scores(split.sessions, rows) for one in (split, split_of(other))]
    np.testing.assert_array_equal(*found)


def split_of(sessions):
    return split_sessions(sessions, test=2, validation=2)


def test_base_level_by_brute_force():
    split = small_split()
    sessions = split.sessions
    fitted = BaseLevelSessions(decay=0.7).fit(split)
    users = training_popularity(split)
    for row in (4, 17):
        strength = np.zeros(N)
        for earlier in range(9 * (row // 9), row):
            for item in sessions.items[earlier]:
                if item >= 0:
                    strength[item] += (sessions.start[row] - sessions.start[earlier]) ** -0.7
        expected = np.where(strength > 0, strength / strength.sum(), users / users.max() - 1)
        np.testing.assert_allclose(fitted.scores(sessions, np.array([row]))[0], expected, atol=1e-11)


def test_popularity_counts_users_once():
    split = small_split()
    sessions = split.sessions
    expected = [
        sum((sessions.items[(sessions.user == u) & (split.part == TRAIN)] == i).any() for u in range(4))
        for i in range(N)
    ]
    assert training_popularity(split).tolist() == expected


def plain_vector(baskets, r_b, r_g, m):
    """V of TIFU-kNN, as its paper says it, with lists."""
    if not baskets:
        return np.zeros(N)
    m = min(m, len(baskets))
    short = len(baskets) // m
    sizes = [short + (g >= m - len(baskets) % m) for g in range(m)]
    whole, at = np.zeros(N), 0
    for g, size in enumerate(sizes):
        group = np.zeros(N)
        for j, basket in enumerate(baskets[at : at + size]):
            group[basket] += r_b ** (size - 1 - j)
        whole += r_g ** (m - 1 - g) * group / size
        at += size
    return whole / m


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 7, 20])
def test_tifu_knn_by_brute_force(groups):
    split = small_split(users=7)
    sessions = split.sessions
    baskets = [[i for i in row if i >= 0] for row in sessions.items.tolist()]
    fitted = TIFUKNN(neighbours=3, groups=groups, alpha=0.6).fit(split)
    trained = [plain_vector(baskets[9 * u : 9 * u + 5], 0.9, 0.7, groups) for u in range(7)]
    np.testing.assert_allclose(fitted.user_vectors_.toarray(), trained, atol=1e-12)
    for row in (5, 8, 9, 33):
        user = row // 9
        own = plain_vector(baskets[9 * user : row], 0.9, 0.7, groups)
        others = [u for u in range(7) if u != user]
        near = sorted(others, key=lambda u: np.linalg.norm(own - trained[u]))[:3]
        expected = 0.6 * own + 0.4 * np.mean([trained[u] for u in near], axis=0)
        np.testing.assert_allclose(fitted.scores(sessions, np.array([row]))[0], expected, atol=1e-12)


def test_tifu_knn_of_one_user_or_a_new_one():
    split = small_split(users=1)
    fitted = TIFUKNN(alpha=0.5).fit(split)
    row = np.array([6])
    alone = fitted.scores(split.sessions, row)
    np.testing.assert_allclose(alone[0], 0.5 * TIFUKNN(alpha=1.0).fit(split).scores(split.sessions, row)[0])
    # a stranger has all users of training for neighbours
    stranger = Sessions(split.sessions.user, split.sessions.start, split.sessions.items, np.array([99]), N)
    expected = alone[0] + 0.5 * fitted.user_vectors_.toarray()[0]
    np.testing.assert_allclose(fitted.scores(stranger, row)[0], expected)


@pytest.mark.parametrize(
    ("recommender", "message"),
    [
        (BaseLevelSessions(decay=-1.0), "decay must be 0 or more, got -1.0"),
        (TIFUKNN(neighbours=0), "neighbours must be at least 1, got 0"),
        (TIFUKNN(groups=0), "groups must be at least 1, got 0"),
        (TIFUKNN(within_decay=1.5), "within_decay must be from 0 to 1, got 1.5"),
        (TIFUKNN(alpha=-0.1), "alpha must be from 0 to 1, got -0.1"),
    ],
)
def test_recommenders_out_of_range_are_refused(recommender, message):
    with pytest.raises(InputError, match=message):
        recommender.fit(small_split())


def test_sessions_of_another_catalogue_are_refused():
    with pytest.raises(InputError, match=r"TIFUKNN has learned nothing yet: call fit\(split\) first"):
        TIFUKNN().scores(some_sessions(), np.array([1]))
    fitted = BaseLevelSessions().fit(small_split())
    other = Sessions(np.zeros(1, int), np.zeros(1), np.array([[13]]), np.zeros(1, int), 14)
    with pytest.raises(InputError, match="sessions must be of the 12 items that were learned from, got 14"):
        fitted.scores(other, np.array([0]))


# --- evaluation


class Fixed:
    """Scores every item by its id, whoever asks."""

    num_items_ = N

    def scores(self, sessions, rows):
        return np.tile(np.arange(N, dtype=float), (len(rows), 1))


def test_metrics_are_those_of_a_loop():
    split = small_split(users=5)
    sessions, k = split.sessions, 3
    listed = [11, 10, 9]
    for known in ("before", "train"):
        found = evaluate_sessions(Fixed(), split, TEST, k, known=known)
        assert set(found) == set(SESSION_METRICS)
        for u in range(5):
            ndcg, explored, repeats, shares_ = [], [], [], []
            for row in (9 * u + 7, 9 * u + 8):
                end = row if known == "before" else 9 * u + 5
                had = set(sessions.items[9 * u : end].ravel()) - {-1}
                played = [i for i in sessions.items[row] if i >= 0]
                new = [i for i in played if i not in had]
                repeats.append(sum(i in had for i in listed) / k)
                shares_.append(sum(i in had for i in played) / len(played))
                for relevant, kept in ((played, ndcg), (new, explored)):
                    if relevant:
                        gain = sum(1 / math.log2(r + 2) for r, i in enumerate(listed) if i in relevant)
                        ideal = sum(1 / math.log2(r + 2) for r in range(min(k, len(relevant))))
                        kept.append(gain / ideal)
            assert found["ndcg"][u] == pytest.approx(np.mean(ndcg))
            assert found["repeat_ratio"][u] == pytest.approx(np.mean(repeats))
            assert found["played_repeat_ratio"][u] == pytest.approx(np.mean(shares_))
            if explored:
                assert found["ndcg_explored"][u] == pytest.approx(np.mean(explored))
            else:
                assert np.isnan(found["ndcg_explored"][u])
    popular = training_popularity(split)[listed].mean() / 5
    np.testing.assert_allclose(found["popularity"], popular)
    with pytest.raises(InputError, match="known must be before or train, got 'all'"):
        evaluate_sessions(Fixed(), split, TEST, k, known="all")


def test_blocks_change_nothing(monkeypatch):
    split = small_split(users=5)
    fitted = BaseLevelSessions().fit(split)
    whole = evaluate_sessions(fitted, split, TEST, 3)
    done = []
    monkeypatch.setattr("recsim_env.agents.sequential.session_recommender.BLOCK_CELLS", 3 * N)
    blocks = evaluate_sessions(fitted, split, TEST, 3, progress=done.append)
    assert done == [3, 3, 3, 1]
    for name in SESSION_METRICS:
        np.testing.assert_array_equal(blocks[name], whole[name])


def test_session_metrics_by_hand():
    found = session_metrics([[0, 1]], [[1, 2, -1]], [[2, 0, 0]], np.array([0.5, 1.0, 0.0]), 2)
    second = 1 / math.log2(3)
    assert found["ndcg"][0] == pytest.approx(second / (1 + second))
    assert found["ndcg_explored"][0] == pytest.approx(second)
    assert found["ndcg_repeated"][0] == 0
    assert found["recall"][0] == 0.5
    assert (found["recall_repeated"][0], found["recall_explored"][0]) == (0, 1)
    assert (found["repeat_ratio"][0], found["played_repeat_ratio"][0]) == (0.5, 0.5)
    assert found["popularity"][0] == 0.75


# --- listeners


def test_natural_listening_is_what_the_world_plays():
    world = repeat_listening(num_items=300, num_users=6, num_categories=10, remembered=100, session_length=5)
    log = natural_listening(world, 40, seed=3)
    assert len(log) == 240
    assert log.clicked.all()
    sessions = sessions_of(log, least=5, most=5, min_sessions=8, num_items=300)
    assert np.bincount(sessions.user).tolist() == [8] * 6  # the gaps are what parts the sessions
    assert (sessions.items >= 0).all()
    same = natural_listening(world, 40, seed=3)
    np.testing.assert_array_equal(same.slate, log.slate)
    np.testing.assert_array_equal(same.time, log.time)
    shorter = natural_listening(world, 10, seed=3)
    for user in range(6):
        mine = log.user == user
        np.testing.assert_array_equal(shorter.slate[shorter.user == user], log.slate[mine][:10])
    assert (natural_listening(world, 40, seed=4).slate != log.slate).any()
    with pytest.raises(InputError, match="plays must be at least 1, got 0"):
        natural_listening(world, 0)


def test_base_levels_beat_counts_and_counts_what_all_like():
    """RepeatListen-v0 remembers by base levels: BLL, P-Top and the global top stand in this order."""
    split = split_sessions(sessions_of(natural_listening(repeat_listening(), 500), num_items=5000))
    found = {}
    for name, one in (
        ("top", OfHistories(PopularityRecommender(num_items=5000))),
        ("p_top", OfHistories(OwnHistoryRecommender(decay=0.0, num_items=5000))),
        ("bll", BaseLevelSessions()),
    ):
        found[name] = evaluate_sessions(one.fit(split), split, TEST, 10)
    ndcg = {name: one["ndcg"] for name, one in found.items()}
    for better, worse in (("bll", "p_top"), ("p_top", "top")):
        apart = ndcg[better] - ndcg[worse]
        assert apart.mean() > 4 * apart.std(ddof=1) / math.sqrt(len(apart))
    assert np.nanmean(found["bll"]["ndcg_explored"]) == 0  # who goes by memory alone names nothing new
    assert found["bll"]["repeat_ratio"].mean() == 1
    lists = top_k(
        OfHistories(PopularityRecommender(num_items=5000)).fit(split).scores(split.sessions, [20]), 10
    )
    assert lists.tolist() == top_k(training_popularity_of_plays(split)[None], 10).tolist()


def training_popularity_of_plays(split):
    items = split.sessions.items[split.rows(TRAIN)]
    return np.bincount(items[items >= 0], minlength=5000).astype(float)


@pytest.mark.slow
def test_baselines_on_the_shipped_log_are_those_of_the_docs():
    """NDCG@10 of 468 households, as docs/repeat_sessions has them."""
    log = shuffle_ties(read_events("complete-journey", prefer="timestamp").log, 0)
    split = split_sessions(sessions_of(log, least=5))
    N = split.sessions.num_items
    for one, ndcg in (
        (OfHistories(PopularityRecommender(num_items=N)), 0.1431),
        (OfHistories(OwnHistoryRecommender(decay=0.0, num_items=N)), 0.2221),
        (OfHistories(OwnHistoryRecommender(num_items=N)), 0.2110),
        (BaseLevelSessions(), 0.2199),
        (TIFUKNN(), 0.2280),
    ):
        found = evaluate_sessions(one.fit(split), split, TEST, 10)["ndcg"]
        assert len(found) == 468
        assert found.mean() == pytest.approx(ndcg, abs=1e-4)
