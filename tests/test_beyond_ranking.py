"""Playlist metrics, beyond accuracy, repeat and explore, buckets, sampled ranks: by hand and by loops."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from recsim_env.errors import InputError
from recsim_env.evaluation import ranked_lists
from recsim_env.evaluation.beyond_accuracy import (
    average_recommendation_popularity,
    catalogue_coverage,
    exposure,
    gini,
    intra_list_diversity,
    novelty,
)
from recsim_env.evaluation.buckets import bucket_means, quantile_edges, warm_cold_means
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.evaluation.playlist_metrics import r_precision, recommended_songs_clicks
from recsim_env.evaluation.ranking import ndcg, rank_of, recall
from recsim_env.evaluation.repeat_explore import mean_by_user, repeat_explore, split_relevant
from recsim_env.evaluation.sampled_ranking import sampled_rank_of

ARTIST = np.array([0, 0, 0, 1, 1, 2, 2, 3, -1, -1])  # of ten tracks; nobody knows who made 8 and 9


def test_r_precision_credits_every_artist_once() -> None:
    relevant = np.array([[0, 3, 5, -1]] * 6)  # artists 0, 1, 2; the first three places count
    ranked = np.array(
        [
            [0, 3, 5, 7],  # all right
            [1, 2, 7, 0],  # two wrong tracks of artist 0: one credit; the right one stands too low
            [1, 4, 6, 0],  # one of each artist
            [0, 1, 2, 3],  # a hit of artist 0 leaves its credit, which the first wrong track takes
            [8, 9, 7, 5],  # unknown artists, another artist
            [1, -1, 4, 3],  # an empty place is a miss
        ]
    )
    assert_allclose(r_precision(ranked, relevant), [1, 0, 0, 1 / 3, 0, 0])
    assert_allclose(r_precision(ranked, relevant, ARTIST), [1, 0.25 / 3, 0.75 / 3, 1.25 / 3, 0, 0.5 / 3])
    assert_allclose(r_precision(ranked, np.array([[8, -1, -1, -1]] * 6), ARTIST), [0, 0, 0, 0, 1, 0])
    assert np.isnan(r_precision(ranked, np.full((6, 4), -1), ARTIST)).all()
    assert_allclose(r_precision(ranked[:1, :1], relevant[:1]), [1 / 3])  # a list that is too short
    assert r_precision(np.empty((0, 5), int), np.empty((0, 2), int), ARTIST).shape == (0,)


def test_r_precision_is_the_winners_loop() -> None:
    rng = np.random.default_rng(1)
    ranked = np.argsort(rng.random((200, 60)), axis=1)[:, :30]
    relevant = np.where(rng.random((200, 25)) < 0.4, np.argsort(rng.random((200, 60)), axis=1)[:, :25], -1)
    relevant[0] = -1
    artist = rng.integers(-1, 12, 60)
    wanted = []
    for mine, his in zip(ranked, relevant, strict=True):
        truth = [i for i in his if i >= 0]
        artists = {artist[i] for i in truth} - {-1}
        earned, matched = 0.0, set()
        for track in mine[: len(truth)]:
            if track in truth:
                earned += 1
            elif artist[track] in artists and artist[track] not in matched:
                matched.add(artist[track])
                earned += 0.25
        wanted.append(earned / len(truth) if truth else math.nan)
    assert_allclose(r_precision(ranked, relevant, artist), wanted, atol=1e-12)


def test_plain_r_precision_agrees_with_ir_measures() -> None:
    ir = pytest.importorskip("ir_measures")
    rng = np.random.default_rng(2)
    ranked = np.argsort(rng.random((80, 40)), axis=1)
    relevant = np.where(rng.random((80, 15)) < 0.5, np.argsort(rng.random((80, 40)), axis=1)[:, :15], -1)
    judged = [ir.Qrel(f"{b}", f"{i}", 1) for b in range(80) for i in relevant[b] if i >= 0]
    run = [ir.ScoredDoc(f"{b}", f"{i}", 1 - j / 100) for b in range(80) for j, i in enumerate(ranked[b])]
    ours = r_precision(ranked, relevant)
    for metric in ir.iter_calc([ir.Rprec], judged, run):
        assert abs(ours[int(metric.query_id)] - metric.value) < 1e-9


def test_recommended_songs_clicks() -> None:
    ranked = np.arange(600)[None].repeat(7, axis=0)
    relevant = np.array([[0], [9], [10], [499], [500], [700], [-1]])
    assert_allclose(recommended_songs_clicks(ranked, relevant), [0, 0, 1, 49, 51, 51, np.nan])
    assert_allclose(recommended_songs_clicks(ranked[:, :5], relevant), [0, 51, 51, 51, 51, 51, np.nan])
    assert_allclose(recommended_songs_clicks(ranked[:2], np.array([[30, 25], [-1, 11]])), [2, 1])
    assert_allclose(recommended_songs_clicks(np.empty((2, 0), int), np.array([[1], [-1]])), [51, np.nan])


def test_coverage_exposure_and_gini() -> None:
    ranked = np.array([[0, 1, 5], [0, -1, 5], [2, 0, 4]])
    assert_array_equal(exposure(ranked, 6, 2), [3, 1, 1, 0, 0, 0])
    assert catalogue_coverage(ranked, 6, 2) == 3 / 6
    assert catalogue_coverage(ranked, 6, 3) == 5 / 6
    assert gini([2, 2, 2, 2]) == 0
    assert gini([0, 0, 0, 7]) == 3 / 4
    assert_allclose(gini([1, 3]), 1 / 4)
    x = np.random.default_rng(3).integers(0, 9, 40)
    assert_allclose(gini(x), np.abs(x[:, None] - x).mean() / (2 * x.mean()), rtol=1e-12)  # Gini's definition


def test_popularity_and_novelty() -> None:
    ranked = np.array([[0, 1, 2], [2, -1, 0], [-1, -1, 1]])
    assert_allclose(average_recommendation_popularity(ranked, [8, 4, 2], 2), [6, 2, np.nan])
    assert_allclose(novelty(ranked, [1, 0.5, 0.125], 3), [4 / 3, 3 / 2, 1])
    assert_allclose(novelty(ranked[:1], [1, 0.5, 0], 2), [0.5])  # an item nobody knows, but not in the list


@pytest.mark.parametrize("cells", [1, 2**20])
def test_diversity_is_the_mean_over_pairs(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranked_lists, "BLOCK_CELLS", cells)
    features = np.array([[1, 0], [2, 0], [0, 3], [-1, 0], [1e-200, 1e-200]])
    ranked = np.array([[0, 1, -1], [0, 2, 1], [0, 3, -1], [-1, 4, 0], [2, -1, -1]])
    assert_allclose(
        intra_list_diversity(ranked, features, 3), [0, 2 / 3, 2, 1 - math.sqrt(0.5), np.nan], atol=1e-12
    )
    rng = np.random.default_rng(4)
    copies = np.repeat(rng.random((50, 1, 7)), 4, axis=1).reshape(200, 7)
    same = intra_list_diversity(np.arange(200).reshape(50, 4), copies, 4)
    assert (same >= 0).all()
    assert_allclose(same, 0, atol=1e-15)
    features, ranked = rng.standard_normal((30, 6)), np.argsort(rng.random((20, 30)), axis=1)[:, :8]
    unit = features / np.linalg.norm(features, axis=1)[:, None]
    wanted = [np.mean([1 - unit[i] @ unit[j] for i in row[:5] for j in row[:5] if i != j]) for row in ranked]
    assert_allclose(intra_list_diversity(ranked, features, 5), wanted, atol=1e-12)


def test_repeat_and_explore() -> None:
    ranked = np.array([[4, 0, 7, 1], [4, 0, 7, 1], [5, 6, 7, 8]])
    relevant = np.array([[0, 7, 1], [7, -1, -1], [-1, -1, -1]])
    history = np.array([[-1, 1, 0, 1], [9, 4, 4, 4], [-1, -1, 5, 6]])
    repeated, explored = split_relevant(relevant, history)
    assert_array_equal(repeated, [[0, -1, 1], [-1, -1, -1], [-1, -1, -1]])
    assert_array_equal(explored, [[-1, 7, -1], [7, -1, -1], [-1, -1, -1]])
    rated = repeat_explore(ranked, relevant, history, 3)
    two, three = 1 / math.log2(3), 1 / math.log2(4)
    assert_allclose(rated.ndcg_repeated, [two / (1 + two), np.nan, np.nan])
    assert_allclose(rated.ndcg_explored, [three, three, np.nan])
    assert_allclose(rated.recall_repeated, [1 / 2, np.nan, np.nan])
    assert_allclose(rated.recall_explored, [1, 1, np.nan])
    assert_allclose(rated.repeat_ratio, [1 / 3, 1 / 3, 2 / 3])
    assert_allclose(rated.relevant_repeat_ratio, [2 / 3, 0, np.nan])
    # empty places are no part of the list
    assert_allclose(
        repeat_explore(np.array([[4, -1, 0]]), relevant[:1], history[:1], 3).repeat_ratio, [1 / 2]
    )
    # a recommender that only repeats explores nothing, and the whole recall is the mixture of its parts
    assert_allclose(repeat_explore(history[:1, 2:], relevant[:1], history[:1], 2).ndcg_explored, [0])
    part = rated.relevant_repeat_ratio[0]
    mixture = part * rated.recall_repeated[0] + (1 - part) * rated.recall_explored[0]
    assert_allclose(recall(ranked, relevant, 3)[0], mixture)


def test_repeat_and_explore_is_pisas_loop() -> None:
    rng = np.random.default_rng(5)
    user = rng.integers(0, 9, 50)
    had = [set(rng.choice(40, 12, replace=False)) for _ in range(9)]
    ranked = np.argsort(rng.random((50, 40)), axis=1)[:, :10]
    relevant = np.argsort(rng.random((50, 40)), axis=1)[:, :6]
    history = np.array([sorted(had[u]) for u in user])
    rated = repeat_explore(ranked, relevant, history, 5)
    for ours, keep in ((rated.ndcg_repeated, True), (rated.ndcg_explored, False)):
        wanted = []
        for u in np.unique(user):
            sessions = []
            for b in np.flatnonzero(user == u):
                truth = [i for i in relevant[b] if (i in had[u]) == keep]
                if truth:
                    dcg = sum(1 / math.log2(j + 2) for j, i in enumerate(ranked[b, :5]) if i in truth)
                    sessions.append(dcg / sum(1 / math.log2(j + 2) for j in range(min(len(truth), 5))))
            wanted.append(np.mean(sessions) if sessions else math.nan)
        assert_allclose(mean_by_user(ours, user), wanted, atol=1e-12)


def test_mean_by_user_leaves_out_rows_without_a_value() -> None:
    values = np.array([1, np.nan, 3, np.nan, 0.5])
    assert_allclose(mean_by_user(values, np.array(["b", "a", "b", "a", "c"])), [np.nan, 2, 0.5])


def test_buckets() -> None:
    values = np.array([0.1, 0.4, np.nan, 0.8, 0.6, 0.2])
    key = np.array([1, 4.9, 4, 5, 7, 100])
    found = bucket_means(values, key, [1, 5, 10, 50, np.inf])
    assert_allclose([one.value for one in found.means], [0.25, 0.7, np.nan, 0.2])
    assert_allclose([one.std_error for one in found.means], [0.15, 0.1, np.nan, np.nan])
    assert_array_equal(found.rows, [2, 2, 0, 1])
    assert_array_equal(found.without_value, [1, 0, 0, 0])
    two = mean_estimate(np.array([0.8, 0.6]))
    assert_allclose(found.means[1].interval, two.interval)
    # rows of one user: three equal rows of user 0 are one voice
    user = np.array([0, 0, 0, 1])
    by_user = bucket_means(np.array([1, 1, 1, 0.0]), np.zeros(4), [0, 1], user)
    assert_allclose(by_user.means[0].value, 3 / 4)
    assert_allclose(by_user.means[0].std_error, math.sqrt(2 * ((3 - 9 / 4) ** 2 + (3 / 4) ** 2)) / 4)
    assert_array_equal(by_user.users, [2])
    warm = warm_cold_means(np.array([0.0, 1, 1]), np.array([0, 4, 5]), 5)
    assert_allclose([one.value for one in warm.means], [0.5, 1])
    assert bucket_means(np.empty(0), np.empty(0), [0, 1]).rows[0] == 0


def test_edges_of_equal_buckets() -> None:
    assert_array_equal(quantile_edges(np.arange(1, 9), 4), [1, 3, 5, 7, np.inf])
    assert_array_equal(quantile_edges(np.array([1, 1, 1, 1, 9]), 2), [1, np.inf])
    key = np.random.default_rng(6).random(1000)
    assert abs(bucket_means(key, key, quantile_edges(key, 8)).rows - 125).max() <= 1


def test_a_sample_of_all_other_items_is_the_full_ranking() -> None:
    rng = np.random.default_rng(7)
    scores, target = rng.integers(0, 6, (40, 25)), rng.integers(0, 25, 40)
    history = (target[:, None] + np.arange(1, 4)) % 25
    full = rank_of(scores, target, history)
    sampled = sampled_rank_of(scores, target, history, num_negatives=21, seed=0)
    for k in (1, 5, 22):
        assert_allclose(sampled.sampled_hit_rate(k), full.hit_rate(k))
        assert_allclose(sampled.sampled_ndcg(k), full.ndcg(k))
        assert_allclose(sampled.sampled_mrr(k), full.mrr(k))


def test_the_law_of_the_negatives(monkeypatch: pytest.MonkeyPatch) -> None:
    draws, weight = 40_000, np.array([4.0, 0, 3, 2, 1, 5])
    target, history = np.zeros(draws, int), np.full((draws, 1), 5)
    item_above = {}
    for item in (2, 3, 4):  # only `item` beats the target, so better = was it drawn
        scores = np.zeros((draws, 6))
        scores[:, item], scores[:, 0] = 2, 1
        sampled = sampled_rank_of(scores, target, history, num_negatives=2, seed=1, popularity=weight)
        item_above[item] = sampled.rank.better.mean()
    for item, (a, b) in {2: (3, 4), 3: (2, 4), 4: (2, 3)}.items():
        w, wa, wb = weight[item] / 6, weight[a] / 6, weight[b] / 6
        drawn = w + wa * w / (1 - wa) + wb * w / (1 - wb)
        assert abs(item_above[item] - drawn) < 5 * math.sqrt(drawn * (1 - drawn) / draws)
    # the same for any size of block, and another for another seed
    scores = np.random.default_rng(8).random((50, 30))
    target, history = np.arange(50) % 30, np.full((50, 1), -1)
    one, again, other = (
        sampled_rank_of(scores, target, history, num_negatives=5, seed=seed).rank.better for seed in (3, 3, 4)
    )
    monkeypatch.setattr(ranked_lists, "BLOCK_CELLS", 70)
    assert_array_equal(one, again)
    assert_array_equal(one, sampled_rank_of(scores, target, history, num_negatives=5, seed=3).rank.better)
    assert (one != other).any()


def test_sampled_metrics_flatter() -> None:
    rng = np.random.default_rng(9)
    scores, target, history = rng.random((300, 2000)), rng.integers(0, 2000, 300), np.full((300, 1), -1)
    sampled = sampled_rank_of(scores, target, history, num_negatives=100, seed=0).sampled_hit_rate(10)
    assert rank_of(scores, target).hit_rate(10).mean() < 0.02 < 0.07 < sampled.mean()  # 10/2000, 10/101


ONE, TWO = np.array([[0, 1, 2]]), np.zeros((1, 3))


def _sampled(**changed: object) -> object:
    given = {
        "scores": TWO,
        "target": np.array([0]),
        "exclude": np.array([[1]]),
        "num_negatives": 1,
        "seed": 0,
    }
    return sampled_rank_of(**{**given, **changed})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: r_precision(ONE, np.array([[0], [1]])), "relevant must have one row per row of ranked"),
        (lambda: r_precision(ONE, ONE, ARTIST.astype(float)), "artist must hold integers"),
        (lambda: r_precision(ONE, ONE, ARTIST[:2]), r"ranked\[0, 2\] = 2 is not an item: .* 2 items"),
        (lambda: r_precision(ONE, ONE, ARTIST - 1), r"artist\[8\] = -2 is no artist"),
        (lambda: recommended_songs_clicks(np.array([[1, 1]]), ONE), r"ranked\[0\] holds item 1 twice"),
        (lambda: exposure(ONE, 2, 3), r"ranked\[0, 2\] = 2 is not an item"),
        (lambda: catalogue_coverage(ONE * 0 - 1, 2, 3), "ranked must list an item, got none"),
        (lambda: gini([0, 0]), "got none above 0"),
        (lambda: gini([3, -1]), r"got amount\[1\] = -1"),
        (lambda: gini([3, np.nan]), r"amount\[1\] must be finite, got nan"),
        (lambda: average_recommendation_popularity(ONE, [1, 2], 3), r"ranked\[0, 2\] = 2 is not an item"),
        (
            lambda: average_recommendation_popularity(ONE, [1, np.inf, 2], 3),
            r"popularity\[1\] must be finite",
        ),
        (lambda: novelty(ONE, [1, 0, 1], 3), r"ranked\[0, 1\] = 1 has probability 0"),
        (lambda: novelty(ONE, [1, 3, 1], 3), r"probability\[1\] must be in \[0, 1\], got 3"),
        (
            lambda: intra_list_diversity(ONE, np.zeros((3, 2)), 3),
            r"ranked\[0, 0\] = 0 has features that are all 0",
        ),
        (lambda: intra_list_diversity(ONE, np.array([[1, np.nan]]), 3), r"features\[0, 1\] must be finite"),
        (lambda: intra_list_diversity(ONE, np.zeros(3), 3), "features must be numbers"),
        (
            lambda: repeat_explore(ONE, ONE, np.array([[1], [2]]), 2),
            "history must have one row per row of relevant",
        ),
        (lambda: mean_by_user(np.zeros(3), np.zeros(2)), "user must have shape"),
        (lambda: bucket_means(np.zeros(2), np.array([0, 7]), [0, 7]), r"key\[1\] = 7.0 is in no bucket"),
        (lambda: bucket_means(np.zeros(2), np.array([0, np.nan]), [0, 7]), r"key\[1\] = nan"),
        (lambda: bucket_means(np.array([np.inf]), np.zeros(1), [0, 7]), r"values\[0\] must be finite"),
        (lambda: bucket_means(np.zeros(2), np.zeros(3), [0, 7]), "key must have shape"),
        (lambda: bucket_means(np.zeros(2), np.zeros(2), [7, 7]), "edges must increase"),
        (lambda: warm_cold_means(np.zeros(2), np.zeros(2), 0), "warm_from must be 1"),
        (lambda: quantile_edges([], 2), "key must hold"),
        (lambda: quantile_edges([1], 0), "buckets must be"),
        (lambda: _sampled(num_negatives=2), "num_negatives must be at most 1, .* user 0, got 2"),
        (lambda: _sampled(num_negatives=0), "num_negatives must be an integer of 1"),
        (lambda: _sampled(target=np.array([3])), r"target\[0\] = 3 is not an item"),
        (lambda: _sampled(scores=np.array([[0, np.nan, 0]])), r"scores\[0, 1\] must be finite"),
        (lambda: _sampled(popularity=np.array([1, -1, 1])), r"popularity\[1\] must be finite and 0 or more"),
        (lambda: _sampled(popularity=np.ones(2)), "popularity must have shape"),
    ],
)
def test_bad_input(call: Callable, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_ndcg_at_500_is_the_challenges() -> None:
    ranked, relevant = np.arange(500)[None], np.array([[3, 499, 700]])
    dcg = 1 / math.log2(3 + 2) + 1 / math.log2(499 + 2)
    assert_allclose(ndcg(ranked, relevant, 500), [dcg / (1 + 1 / math.log2(3) + 1 / math.log2(4))])
