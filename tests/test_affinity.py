"""Attraction and the top of a catalogue against NumPy, and bit for bit against each other."""

import numpy as np
import pytest

from recsim_env.errors import InputError
from recsim_env.user_models.affinity import (
    attraction_of_catalogue,
    attraction_of_slates,
    fill_logits,
    keep_highest,
    lanes,
    listed,
    present,
    top_attraction,
    top_items,
)


def users_and_items(B=7, N=50, D=6, seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal((B, D)).astype(np.float32),
        rng.standard_normal((N, D)).astype(np.float32),
        rng.standard_normal(N).astype(np.float32),
    )


def plain_logits(interest, features, offset):
    """(B, N) in float64."""
    return offset + np.einsum("bd,nd->bn", np.float64(interest), np.float64(features))


def plain_top(logit, K):
    """By a stable sort: ties by the lower number."""
    return np.argsort(-logit, axis=1, kind="stable")[:, :K]


def logits(interest, features, offset):
    """(B, N) float32, as the scan of the catalogue makes them."""
    out = np.empty((len(interest), len(features)), np.float32)
    columns = np.ascontiguousarray(features.T)
    for b in range(len(interest)):
        fill_logits(interest[b], columns, offset, out[b])
    return out


def top_of(logit, K):
    """`keep_highest` of rows of logits."""
    best = np.empty((len(logit), K), np.int64)
    for b in range(len(logit)):
        scratch = np.empty(lanes(K), np.float32), np.empty(logit.shape[1] + 1, np.int64)
        highest = np.empty(K, np.float32)
        keep_highest(logit[b], *scratch, best[b], highest)
        assert np.array_equal(highest, logit[b, best[b]])
    return best


@pytest.mark.parametrize("D", [1, 2, 3, 4, 5, 8, 11, 16])
def test_logits_and_attraction_are_those_of_numpy(D):
    interest, features, offset = users_and_items(D=D, seed=D)
    logit = plain_logits(interest, features, offset)
    np.testing.assert_allclose(logits(interest, features, offset), logit, atol=1e-5)
    slates = np.random.default_rng(D).permuted(np.tile(np.arange(50), (7, 1)), axis=1)[:, :10]
    expected = 1.0 / (1.0 + np.exp(-np.take_along_axis(logit, slates, axis=1)))
    shown = attraction_of_slates(interest, features, offset, slates)
    assert shown.shape == (7, 10)
    np.testing.assert_allclose(shown, expected, atol=1e-5)


@pytest.mark.parametrize("D", [1, 3, 4, 7, 16, 33])
def test_an_item_has_the_same_logit_in_a_slate_and_in_the_catalogue_to_the_last_bit(D):
    interest, features, offset = users_and_items(B=5, N=200, D=D, seed=D)
    whole = np.tile(np.arange(200), (5, 1))
    logit = logits(interest, features, offset)
    plain = np.tile(offset, (5, 1))
    for d in range(D):  # the order of the docstring, in float32
        plain += interest[:, d, None] * features[:, d]
    assert np.array_equal(logit, plain)
    shown = attraction_of_slates(interest, features, offset, whole)
    # logits that differ in the last bit of float32 have sigmoids that differ by 1e-8 of themselves or more
    np.testing.assert_allclose(shown, 1.0 / (1.0 + np.exp(-np.float64(logit))), rtol=1e-13)


def test_a_table_of_attractions_is_what_slates_are_computed_to_be_to_the_last_bit():
    interest, features, offset = users_and_items(B=12, N=60, D=7)
    table = attraction_of_catalogue(interest, features, offset)
    rng = np.random.default_rng(2)
    user, slates = rng.integers(0, 12, 500), rng.integers(-1, 60, (500, 9))
    shown, holds = present(table, user, slates)
    assert np.array_equal(shown, attraction_of_slates(interest[user], features, offset, slates))
    assert np.array_equal(holds, listed(slates))
    with pytest.raises(IndexError, match="outside the catalogue"):
        present(table, user, np.full((500, 1), 60))


def test_the_number_of_users_changes_no_bit():
    interest, features, offset = users_and_items(B=600, N=300, D=7)
    slates = np.random.default_rng(1).integers(-1, 300, (600, 9))
    together = attraction_of_slates(interest, features, offset, slates)
    best = top_items(interest, features, offset, 12)
    for rows in (slice(0, 1), slice(3, 10), slice(300, 555)):
        alone = attraction_of_slates(interest[rows], features, offset, slates[rows])
        assert np.array_equal(alone, together[rows])
        assert np.array_equal(top_items(interest[rows], features, offset, 12), best[rows])


def test_memory_order_changes_no_bit():
    interest, features, offset = users_and_items(B=20)
    slates = np.random.default_rng(1).integers(-1, 50, (20, 4))
    one = attraction_of_slates(interest, features, offset, slates)
    other = attraction_of_slates(
        np.asfortranarray(interest), np.asfortranarray(features), offset, np.asfortranarray(slates)
    )
    assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("N", "K"),
    [
        *((1, 1), (2, 2), (5, 1), (20, 3), (31, 31), (32, 5), (33, 33), (127, 10), (128, 16), (129, 17)),
        *((500, 1), (500, 20), (500, 500), (1000, 100), (1003, 250), (5000, 10), (5000, 1300)),
    ],
)
def test_the_top_is_a_stable_sort(N, K):
    interest, features, offset = users_and_items(B=4, N=N, D=5, seed=N + K)
    expected = plain_top(logits(interest, features, offset), K)
    assert np.array_equal(top_items(interest, features, offset, K), expected)


@pytest.mark.parametrize("levels", [1, 2, 3, 10])
@pytest.mark.parametrize(("N", "K"), [(3, 2), (20, 20), (31, 4), (300, 1), (300, 40), (700, 300), (2500, 9)])
def test_ties_go_to_the_lower_number(N, K, levels):
    logit = np.random.default_rng(N + K).integers(0, levels, (6, N)).astype(np.float32)
    assert np.array_equal(top_of(logit, K), plain_top(logit, K))


@pytest.mark.parametrize("shape", ["rising", "falling", "one high lane"])
def test_sorted_and_lopsided_logits(shape):
    logit = {
        "rising": np.arange(1000.0),
        "falling": -np.arange(1000.0),
        "one high lane": np.where(np.arange(1000) % 32 == 3, 5.0, 0.0) + np.arange(1000) % 7,
    }[shape].astype(np.float32)[None]
    for K in (1, 5, 40, 1000):
        assert np.array_equal(top_of(logit, K), plain_top(logit, K))


def test_a_million_equal_items_are_ranked_in_a_moment():
    """Ranking by counting would take a hundred thousand times as long as the scan."""
    logit = np.zeros((1, 1_000_000), np.float32)
    assert np.array_equal(top_of(logit, 10)[0], np.arange(10))
    logit[0, 700_000:] = 1.0
    assert np.array_equal(top_of(logit, 3)[0], [700_000, 700_001, 700_002])


def test_empty_and_repeated_slots_attract_nobody():
    interest, features, offset = users_and_items(B=3)
    slates = np.array([[4, -1, 4, 7], [-1, -1, -1, -1], [0, 0, 0, 1]])
    shown = attraction_of_slates(interest, features, offset, slates)
    holds = np.array([[1, 0, 0, 1], [0, 0, 0, 0], [1, 0, 0, 1]], bool)
    assert np.array_equal(shown > 0.0, holds)
    assert np.array_equal(listed(slates), holds)


def test_extreme_logits_are_certain_and_make_no_warning():
    interest = np.array([[1000.0], [-1000.0]], np.float32)
    shown = attraction_of_slates(
        interest, np.ones((1, 1), np.float32), np.zeros(1, np.float32), np.zeros((2, 1), int)
    )
    assert shown[0, 0] == 1.0
    assert 0.0 <= shown[1, 0] < 1e-300


def test_an_item_outside_the_catalogue_does_not_reach_memory():
    interest, features, offset = users_and_items(B=1)
    for item in (50, 99_999_999):
        with pytest.raises(IndexError, match="outside the catalogue"):
            attraction_of_slates(interest, features, offset, np.array([[0, item]]))


def test_no_users_and_no_slots():
    interest, features, offset = users_and_items()
    assert attraction_of_slates(interest[:0], features, offset, np.empty((0, 3), np.int64)).shape == (0, 3)
    assert top_items(interest[:0], features, offset, 4).shape == (0, 4)


@pytest.mark.parametrize("K", [0, 21, -1])
def test_more_items_than_there_are_is_refused(K):
    features, offset = np.ones((20, 2), np.float32), np.zeros(20, np.float32)
    with pytest.raises(InputError, match=rf"K must be from 1 to the number of items \(20\), got {K}"):
        top_items(np.ones((1, 2), np.float32), features, offset, K)
    with pytest.raises(InputError, match=rf"K must be from 1 to the number of items \(20\), got {K}"):
        top_attraction(np.ones((1, 2), np.float32), np.ascontiguousarray(features.T), offset, K)
