"""Identifiers: made, resolved and rated, against definitions in plain Python and another k-means."""

import itertools

import numpy as np
import pytest
from scipy import sparse
from scipy.cluster.vq import kmeans2

from recsim_env.agents.generative.tokenisers.hierarchical import (
    collaborative,
    hierarchical,
    spectral_embedding,
)
from recsim_env.agents.generative.tokenisers.identifiers import Identifiers, joined, quality, resolve
from recsim_env.agents.generative.tokenisers.k_means import k_means, matched
from recsim_env.agents.generative.tokenisers.numbered import atomic, random, sequential
from recsim_env.agents.generative.tokenisers.product import product
from recsim_env.agents.generative.tokenisers.residual_k_means import residual_k_means
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log


def clustered(num_items, seed, groups=8, dimension=6, noise=0.1):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((groups, dimension))
    which = rng.integers(groups, size=num_items)
    return centres[which] + noise * rng.standard_normal((num_items, dimension)), which


def test_one_code_an_item():
    found = atomic(4)
    assert found.codes.tolist() == [[0], [1], [2], [3]]
    assert found.level_sizes == (4,)


@pytest.mark.parametrize(("levels", "size"), [(1, 40), (2, 7), (3, 4), (4, 256)])
def test_random_digits_all_differ(levels, size):
    found = random(40, levels, size, seed=3)
    assert found.codes.shape == (40, levels)
    assert len({tuple(row) for row in found.codes.tolist()}) == 40
    np.testing.assert_array_equal(found.codes, random(40, levels, size, seed=3).codes)
    assert (found.codes != random(40, levels, size, seed=4).codes).any()
    first = np.concatenate([random(40, levels, size, seed=seed).codes[:, 0] for seed in range(50)])
    assert abs(first.mean() - (size - 1) / 2) < 5 * size / np.sqrt(12 * 2000)


def test_sequential_digits_are_places_in_the_log():
    log = Log.from_interactions(
        np.array([0, 0, 0, 1, 1]), np.array([5, 2, 5, 0, 2]), np.array([0.0, 1.0, 2.0, 0.0, 1.0])
    )
    found = sequential(log, 2, 3, num_items=7)  # 5, 2, 0, then 1, 3, 4, 6 that it lacks
    assert found.codes[[5, 2, 0, 1, 3, 4, 6]].tolist() == [[i // 3, i % 3] for i in range(7)]


def test_a_code_is_appended_where_identifiers_are_shared():
    shared = Identifiers(np.array([[1, 0], [0, 1], [1, 0], [1, 1], [1, 0]]), (2, 2))
    found = resolve(shared, "append")
    assert found.codes.tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 1], [1, 1, 0], [1, 0, 2]]
    assert found.level_sizes == (2, 2, 3)
    assert resolve(shared, "allow") is shared
    different = Identifiers(np.array([[1, 0], [0, 1]]), (2, 2))
    assert resolve(different, "append") is different
    assert resolve(different, "refuse") is different
    with pytest.raises(InputError, match=r"items 0 and 2 have the identifier \(1, 0\): take more codes"):
        resolve(shared, "refuse")


def test_last_codes_are_given_anew_where_they_are_shared():
    """Of all ways to give the items of a prefix different last codes, the one with the least distance."""
    rng = np.random.default_rng(0)
    codes = np.column_stack([rng.integers(0, 3, 12), np.zeros(12, int)])
    codes[codes[:, 0] == 2, 1] = np.arange((codes[:, 0] == 2).sum())  # these differ already
    distance = rng.random((12, 7))
    found = resolve(Identifiers(codes, (3, 7)), "transport", distance)
    assert found.level_sizes == (3, 7)
    np.testing.assert_array_equal(found.codes[:, 0], codes[:, 0])
    for prefix in range(3):
        items = np.flatnonzero(codes[:, 0] == prefix)
        if prefix == 2:
            np.testing.assert_array_equal(found.codes[items], codes[items])
            continue
        ways = itertools.permutations(range(7), len(items))
        least = min(distance[items, list(way)].sum() for way in ways)
        assert len(set(found.codes[items, 1])) == len(items)
        assert distance[items, found.codes[items, 1]].sum() == pytest.approx(least)
    with pytest.raises(
        InputError, match=r"items begin with \(0,\), and the last level has 2 codes: take more"
    ):
        resolve(Identifiers(np.zeros((4, 2), int), (3, 2)), "transport", distance[:4, :2])
    with pytest.raises(InputError, match="'transport' needs distances from the last codes"):
        resolve(Identifiers(codes, (3, 7)), "transport")


def test_codes_of_several_kinds_side_by_side():
    found = joined([atomic(3), Identifiers(np.array([[1, 0], [0, 1], [1, 1]]), (2, 2))])
    assert found.codes.tolist() == [[0, 1, 0], [1, 0, 1], [2, 1, 1]]
    assert found.level_sizes == (3, 2, 2)


def test_quality_by_the_definitions():
    rng = np.random.default_rng(0)
    features, _ = clustered(30, 1)
    codes = rng.integers(0, (3, 4), (30, 2))
    rebuilt = rng.standard_normal((30, 6))
    found = quality(Identifiers(codes, (3, 4), rebuilt=rebuilt), features)
    rows = [tuple(row) for row in codes.tolist()]
    assert found.collisions == pytest.approx(np.mean([rows.count(row) > 1 for row in rows]))
    for level, size in enumerate((3, 4)):
        count = [sum(row[level] == code for row in rows) for code in range(size)]
        assert found.use[level] == sum(one > 0 for one in count) / size
        share = np.array([one / 30 for one in count if one])
        assert found.perplexity[level] == pytest.approx(np.prod(share**-share))
    total = sum(np.sum((row - features.mean(axis=0)) ** 2) for row in features)
    assert found.reconstruction == pytest.approx(1 - np.sum((rebuilt - features) ** 2) / total)

    def expected_share(item):
        others = [other for other in range(30) if other != item]
        near = sorted(others, key=lambda other: np.sum((features[other] - features[item]) ** 2))[:10]
        alike = {
            other: 2 if rows[other] == rows[item] else int(rows[other][0] == rows[item][0])
            for other in others
        }
        drawn = [  # random order where as many codes are shared
            sorted(others, key=lambda other: (-alike[other], tie[other]))[:10]
            for tie in np.random.default_rng(item).random((400, 30))
        ]
        return np.mean([len(set(near) & set(one)) / 10 for one in drawn])

    wanted = np.mean([expected_share(item) for item in range(30)])
    assert found.agreement == pytest.approx(wanted, abs=0.01)
    assert np.isnan(quality(Identifiers(codes, (3, 4))).reconstruction)
    assert np.isnan(quality(Identifiers(codes, (3, 4))).agreement)


def test_like_items_share_their_first_code():
    features, which = clustered(400, 0)
    found = residual_k_means(features, (16, 4, 4))
    for code in range(16):
        assert len(set(which[found.codes[:, 0] == code])) == 1
    rated = quality(residual_k_means(features, (16, 4, 4), collisions="allow"), features)
    at_random = quality(random(400, 3, 8, 0), features)
    assert rated.reconstruction > 0.98
    assert rated.agreement > at_random.agreement + 0.2
    assert rated.use == (1.0, 1.0, 1.0)
    assert len({tuple(row) for row in found.codes.tolist()}) == 400  # appended


def test_codes_are_nearest_centres_of_what_is_left():
    features, _ = clustered(200, 3, noise=0.5)
    found = residual_k_means(features, (16, 8), collisions="allow", seed=1)
    left = features - features.mean(axis=0)
    transported = residual_k_means(features, (16, 80), collisions="transport", seed=1)
    assert len({tuple(row) for row in transported.codes.tolist()}) == 200
    for level, book in enumerate(found.codebooks):
        distance = ((left[:, None] - book) ** 2).sum(axis=2)
        np.testing.assert_array_equal(found.codes[:, level], distance.argmin(axis=1))
        left = left - book[found.codes[:, level]]
    np.testing.assert_allclose(features - left, found.rebuilt)


def test_lloyd_is_as_good_as_that_of_scipy():
    features, _ = clustered(1500, 5, groups=40, noise=0.4)

    def cost(centres, nearest):
        return ((features - centres[nearest]) ** 2).sum()

    ours = [cost(*k_means(features, 32, np.random.default_rng(seed), rounds=30)) for seed in range(5)]
    theirs = [cost(*kmeans2(features, 32, iter=30, minit="++", rng=seed)) for seed in range(5)]
    assert np.mean(ours) < 1.03 * np.mean(theirs)


@pytest.mark.parametrize(("points", "centres"), [(6, 2), (7, 3), (9, 4), (5, 5), (8, 1)])
def test_balanced_is_the_nearest_pair_first(points, centres):
    distance = np.random.default_rng(points).random((points, centres))
    room, wanted = -(-points // centres), np.full(points, -1)
    for point, centre in sorted(
        itertools.product(range(points), range(centres)), key=lambda one: distance[one]
    ):
        if wanted[point] < 0 and (wanted == centre).sum() < room:
            wanted[point] = centre
    np.testing.assert_array_equal(matched(distance, room), wanted)


def test_balanced_codes_are_used_evenly():
    features, _ = clustered(250, 2, groups=3)
    found = residual_k_means(features, (16, 16), balanced=True, collisions="allow")
    for level in range(2):
        assert np.bincount(found.codes[:, level], minlength=16).max() <= 16
    assert (
        quality(found).collisions
        < quality(residual_k_means(features, (16, 16), collisions="allow")).collisions
    )


def test_groups_of_groups():
    """All codes differ, no prefix has more items than it has room for, and like items have one first code."""
    features, which = clustered(500, 4, groups=20)
    found = hierarchical(features, levels=3, size=8)
    assert len({tuple(row) for row in found.codes.tolist()}) == 500
    for level in (1, 2):
        _, count = np.unique(found.codes[:, :level], axis=0, return_counts=True)
        assert count.max() <= 8 ** (3 - level)
    same = which[:, None] == which
    shared = found.codes[:, None, 0] == found.codes[:, 0]
    assert shared[same].mean() > 3 * shared.mean()
    np.testing.assert_array_equal(found.codes, hierarchical(features, levels=3, size=8).codes)


def communities(users, groups, each, seed):
    """A log in which a user takes items of one group, and the group of every item."""
    rng = np.random.default_rng(seed)
    theirs = rng.integers(groups, size=users)
    items = np.concatenate([group * each + rng.permutation(each)[:6] for group in theirs])
    time = np.tile(np.arange(6.0), users)
    return Log.from_interactions(np.repeat(np.arange(users), 6), items, time), np.arange(
        groups * each
    ) // each


@pytest.mark.parametrize("each", [10, 80])  # eigenvectors of a full matrix, and of a sparse one
def test_items_of_the_same_users_share_their_first_code(each):
    log, group = communities(1200, 8, each, 0)
    found = collaborative(log, levels=3, size=16, num_items=8 * each + 3)  # three that nobody took
    assert len({tuple(row) for row in found.codes.tolist()}) == 8 * each + 3
    for code in range(16):
        assert len(set(group[found.codes[: 8 * each, 0] == code])) <= 1


def test_items_that_nobody_took_and_seeds():
    """Groups of items without an edge; and the same codes every time, whatever the graph."""
    log, _ = communities(800, 30, 10, 1)
    found = collaborative(log, levels=3, size=32, num_items=1800)
    assert len({tuple(row) for row in found.codes.tolist()}) == 1800
    even, _ = communities(4000, 80, 8, 2)
    first, again = (collaborative(even, levels=3, size=16) for _ in range(2))
    np.testing.assert_array_equal(first.codes, again.codes)


def test_where_features_lie_changes_no_code():
    features, _ = clustered(300, 0)
    for make in (lambda x: hierarchical(x, 3, 8), lambda x: residual_k_means(x, (16, 8))):
        np.testing.assert_array_equal(make(features).codes, make(features + 1e6).codes)
    identifiers = residual_k_means(features, (16, 8), collisions="allow")
    there, elsewhere = quality(identifiers, features), quality(identifiers, features + 1e6)
    assert there.agreement == pytest.approx(elsewhere.agreement, abs=0.01)


def test_the_embedding_is_that_of_the_leading_eigenvectors():
    rng = np.random.default_rng(0)
    table = rng.poisson(0.3, (600, 600)).astype(float)
    table = np.triu(table, 1) + np.triu(table, 1).T
    table[5], table[:, 5] = 0.0, 0.0
    few = spectral_embedding(sparse.csr_array(table), 4)
    degree = table.sum(axis=1)
    with np.errstate(divide="ignore"):
        root = np.where(degree > 0, degree**-0.5, 0.0)
    vectors = np.linalg.eigh(table * root[:, None] * root)[1][:, -4:]
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-300)
    assert (few[5] == 0).all()
    kept = np.arange(600) != 5  # the same up to signs and order
    np.testing.assert_allclose((few @ few.T)[kept][:, kept], (vectors @ vectors.T)[kept][:, kept], atol=1e-6)


def test_a_rotation_brings_products_nearer():
    """Numbers that depend on one another across the parts: a rotation takes most of what is lost away."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((800, 2)) @ rng.standard_normal((2, 8)) + 0.05 * rng.standard_normal(
        (800, 8)
    )
    plain = product(features, 4, 8, rotated=False, collisions="allow")
    turned = product(features, 4, 8, collisions="allow")
    assert plain.level_sizes == (8,) * 4
    lost = [1 - quality(one, features).reconstruction for one in (plain, turned)]
    assert lost[1] < 0.7 * lost[0]
    for level in range(4):  # each part by itself, the nearest centre
        part = slice(2 * level, 2 * level + 2)
        own = (features - features.mean(axis=0))[:, None, part]
        distance = ((own - plain.codebooks[level]) ** 2).sum(axis=2)
        np.testing.assert_array_equal(plain.codes[:, level], distance.argmin(axis=1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random(10, 2, 3, 0), "2 levels of 3 codes tell 9 items apart, and there are 10"),
        (lambda: random(10, 0, 3, 0), "levels must be at least 1, got 0"),
        (lambda: random(10, 8, 256, 0), r"8 levels of 256 codes are more than 2\^62 numbers"),
        (lambda: atomic(0), "num_items must be at least 1, got 0"),
        (lambda: resolve(atomic(2), "merge"), "there is no way with collisions 'merge'"),
        (lambda: residual_k_means(np.zeros((3, 0))), r"features must be .* got \(3, 0\)"),
        (lambda: residual_k_means(np.full((300, 2), np.nan)), "features must be .* all finite"),
        (lambda: residual_k_means(np.zeros((3, 2)), (4,)), "level_sizes must be 1 to 3, the number of items"),
        (lambda: residual_k_means(np.zeros((3, 2)), ()), "level_sizes must be 1 to 3"),
        (lambda: residual_k_means(np.zeros((3, 2)), (2, 0)), r"level_sizes\[1\] must be at least 1, got 0"),
        (lambda: residual_k_means(np.zeros((3, 2)), (2,), rounds=0), "rounds must be at least 1, got 0"),
        (lambda: hierarchical(np.zeros((10, 2)), 2, 3), "2 levels of 3 codes tell 9 items apart"),
        (lambda: hierarchical(np.zeros((1, 2)), 2, 1), "2 a level or more"),
        (lambda: hierarchical(np.zeros((9, 2)), 0, 3), "levels must be at least 1, got 0"),
        (lambda: product(np.zeros((9, 5)), 2, 3), "levels must divide the 5 numbers of an item, got 2"),
        (lambda: product(np.zeros((9, 4)), 2, 10), "size must be 1 to 9, the number of items, got 10"),
        (lambda: product(np.zeros((9, 4)), 2, 3, collisions="transport"), "'transport' needs distances"),
        (lambda: Identifiers(np.array([[2]]), (2,)), r"codes\[0, 0\] = 2: codes are from 0"),
        (lambda: Identifiers(np.array([[1]]), (2, 2)), "level_sizes must be 1 numbers"),
        (lambda: Identifiers(np.array([[1]]), (2,), (np.zeros((3, 1)),)), "codebooks must have"),
        (lambda: Identifiers(np.array([[1]]), (2,), (), np.zeros((2, 1))), "rebuilt must have 1 rows"),
        (lambda: quality(atomic(3), np.zeros(3)), r"features must be \(items, numbers\)"),
        (lambda: hierarchical(np.full((9, 2), 1e155), 2, 3), r"all finite and below 1e\+100"),
        (lambda: joined([atomic(3), atomic(2)]), r"of the same items, got \[3, 2\] of them"),
        (lambda: joined([]), "of the same items"),
        (lambda: quality(atomic(3), np.zeros((2, 2))), "features must have 3 rows, one an item, got 2"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_items_that_are_all_alike():
    found = residual_k_means(np.ones((5, 2)), (2, 2), collisions="append")
    assert len({tuple(row) for row in found.codes.tolist()}) == 5
