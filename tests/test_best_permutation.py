"""The best list is the best of all lists."""

from itertools import permutations

import numpy as np
import pytest

from recsim_env.errors import InputError
from recsim_env.user_models.clicks import best_permutation
from recsim_env.user_models.clicks.all_lists import all_lists


def value_of(items, u, w, w_0):
    value, reach = 0.0, 1.0
    for a in items:
        value += reach * u[a] * w[a]
        reach *= 1.0 - u[a]
    return value + reach * w_0


def brute_force(u, w, w_0, K):
    return max(
        value_of(items, u, w, w_0) for k in range(1, K + 1) for items in permutations(range(len(u)), k)
    )


def cases(N, B, seed):
    rng = np.random.default_rng(seed)
    u, w, w_0 = rng.random((B, N)), rng.normal(0.5, 1, (B, N)), rng.normal(0.5, 1.0, B)
    u[: B // 6] = np.round(u[: B // 6])  # never and always attractive
    w[B // 6 : B // 3] = np.round(w[B // 6 : B // 3])  # ties
    w_0[B // 4 : B // 2] = np.round(w_0[B // 4 : B // 2])
    w_0[-B // 6 :] += 5.0  # nothing is worth a click
    w_0[-B // 3 : -B // 6] -= 5.0  # everything is
    return u, w, w_0


@pytest.mark.parametrize(("N", "K"), [(2, 1), (3, 2), (4, 4), (5, 3), (6, 4), (6, 6)])
def test_brute_force(N, K):
    u, w, w_0 = cases(N, 500, seed=N)
    slates, values = best_permutation(u, w, w_0, K)
    assert slates.shape == (500, K)
    for b in range(500):
        items = [a for a in slates[b] if a >= 0]
        assert len(set(items)) == len(items) >= 1
        assert (slates[b, len(items) :] == -1).all()
        best = brute_force(u[b], w[b], w_0[b], K)
        assert abs(values[b] - best) < 1e-12
        assert abs(value_of(items, u[b], w[b], w_0[b]) - best) < 1e-12


def test_by_hand():
    u = np.array([[0.5, 0.4, 0.9]] * 2)
    w = np.array([[2.0, 1.5, 1.0], [0.1, 0.15, 0.05]])
    slates, values = best_permutation(u, w, np.array([0.2, 0.2]), 2)
    assert slates.tolist() == [[0, 2], [1, -1]]  # not the two largest w; and a list is never empty
    np.testing.assert_allclose(values, [1.46, 0.18], atol=1e-12)


def test_a_large_catalogue_against_the_recursion_in_plain_numpy():
    """N = 300 takes the other sort; the recursion is over items in descending w."""
    rng = np.random.default_rng(0)
    N, K = 300, 7
    u, w, w_0 = rng.random((20, N)) * 0.3, rng.random((20, N)), rng.random(20) * 0.5
    slates, values = best_permutation(u, w, w_0, K)
    for b in range(20):
        order = [a for a in np.argsort(-w[b], kind="stable") if w[b, a] > w_0[b]]
        F = np.full(K + 1, w_0[b])
        for a in reversed(order):
            F[1:] = np.maximum(F[1:], u[b, a] * w[b, a] + (1 - u[b, a]) * F[:-1])
        assert abs(values[b] - F[K]) < 1e-12
        assert abs(value_of(slates[b], u[b], w[b], w_0[b]) - F[K]) < 1e-12


def test_optimism():
    """Raising attraction and worth never lowers the maximum, though it can for a fixed list."""
    u, w, w_0 = cases(6, 3000, seed=9)
    rng = np.random.default_rng(1)
    more_u = np.minimum(u + rng.random(u.shape) * 0.3, 1.0)
    more_w, more_w_0 = w + rng.random(w.shape), w_0 + rng.random(len(w_0))
    below = best_permutation(u, w, w_0, 3)[1]
    above = best_permutation(more_u, more_w, more_w_0, 3)[1]
    # the lemma needs the list to be worth a click: a forced item (J = 0) may lower the value
    helps = (w > w_0[:, None]).any(axis=1)
    assert (above >= below - 1e-12)[helps].all()
    assert helps.mean() > 0.5


@pytest.mark.parametrize(
    ("u", "w", "w_0", "K", "message"),
    [
        ([[0.5, np.nan]], [[1, 1]], [0], 1, r"attraction must be in \[0, 1\], got attraction\[0, 1\] = nan"),
        ([[0.5, 1.2]], [[1, 1]], [0], 1, r"got attraction\[0, 1\] = 1.2"),
        ([0.5, 0.2], [1, 1], 0, 1, r"attraction must have shape \(B, N\)"),
        ([[0.5, 0.2]], [[1]], [0], 1, "value must have shape"),
        ([[0.5, 0.2]], [[1, 1]], [0, 0], 1, "no_click_value must have shape"),
        ([[0.5, 0.2]], [[1, np.inf]], [0], 1, "must be finite"),
        ([[0.5, 0.2]], [[1, 1]], [0], 0, "slate_size must be at least 1, got 0"),
    ],
)
def test_bad_input(u, w, w_0, K, message):
    with pytest.raises(InputError, match=message):
        best_permutation(np.array(u), np.array(w, float), np.array(w_0, float), K)


def test_all_lists():
    for N, count in ((10, 820), (15, 2955), (20, 7240), (25, 14425)):
        assert len(all_lists(N, 3)) == count
    lists = all_lists(4, 4)
    assert len({tuple(row) for row in lists}) == len(lists) == 4 + 12 + 24 + 24
    with pytest.raises(InputError, match="more than 2,000,000"):
        all_lists(200, 4)
    with pytest.raises(InputError, match="slate_size must be from 1 to num_items"):
        all_lists(3, 4)
