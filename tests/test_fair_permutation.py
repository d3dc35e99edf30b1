"""The best list under quotas is the best of all lists that meet them."""

from itertools import permutations

import numpy as np
import pytest

from recsim_env.errors import InputError
from recsim_env.user_models.clicks import best_permutation


def value_of(items, u, w, w_0):
    value, reach = 0.0, 1.0
    for a in items:
        value += reach * u[a] * w[a]
        reach *= 1.0 - u[a]
    return value + reach * w_0


def meets(items, group, quota):
    return all(sum(group[a] == g for a in items) >= q for g, q in enumerate(quota))


@pytest.mark.parametrize(
    ("N", "K", "quota"),
    [
        (2, 1, (1, 0)),
        (4, 2, (1, 1)),
        (5, 3, (0, 2)),
        (5, 3, (1, 1, 1)),
        (6, 4, (2, 1)),
        (6, 3, (0, 1, 1)),
        (6, 4, (2, 2)),
    ],
)
def test_brute_force(N, K, quota):
    """2,800 random cases, with ties, sure and impossible clicks, and clicks that are worth less than none."""
    rng = np.random.default_rng(N * 100 + K)
    B = 400
    # every quota can be met, and the last item is of the last group
    group = np.concatenate([np.repeat(np.arange(len(quota)), quota), rng.integers(len(quota), size=N)])[:N]
    group[-1] = len(quota) - 1
    u, w, w_0 = rng.random((B, N)), rng.normal(0.5, 1, (B, N)), rng.normal(0.5, 1.0, B)
    u[: B // 5], w[B // 6 : B // 3] = np.round(u[: B // 5]), np.round(w[B // 6 : B // 3])
    w_0[-B // 4 :] += 5.0  # nothing is worth a click
    lists = [
        items for k in range(1, K + 1) for items in permutations(range(N), k) if meets(items, group, quota)
    ]
    slates, values = best_permutation(u, w, w_0, K, group, quota)
    changed = 0
    free = best_permutation(u, w, w_0, K)[1]
    for b in range(B):
        items = [a for a in slates[b] if a >= 0]
        assert len(set(items)) == len(items)
        assert (slates[b, len(items) :] == -1).all()
        assert meets(items, group, quota)
        best = max(value_of(list_, u[b], w[b], w_0[b]) for list_ in lists)
        assert abs(values[b] - best) < 1e-12
        assert abs(value_of(items, u[b], w[b], w_0[b]) - best) < 1e-12
        assert values[b] <= free[b] + 1e-12
        changed += values[b] < free[b] - 1e-9
    assert changed > B // 20  # quotas bind in some cases


def test_without_quotas_it_is_the_best_list():
    rng = np.random.default_rng(0)
    u, w, w_0 = rng.random((50, 30)), rng.random((50, 30)), rng.random(50)
    group = rng.integers(3, size=30)
    one, other = best_permutation(u, w, w_0, 5), best_permutation(u, w, w_0, 5, group, [0, 0, 0])
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1])


def test_quotas_that_do_not_bind_cost_nothing():
    """A large catalogue, where the free optimum meets the quotas by itself."""
    rng = np.random.default_rng(1)
    u, w, w_0 = rng.random((20, 200)) * 0.3, rng.random((20, 200)), np.zeros(20)
    free, value = best_permutation(u, w, w_0, 6)
    group = np.zeros(200, np.int64)
    for b in range(20):
        group[:] = 0
        group[free[b, :3]] = 1
        one = slice(b, b + 1)
        fair, worth = best_permutation(u[one], w[one], w_0[one], 6, group, [2, 3])
        assert worth[0] == pytest.approx(value[b], abs=1e-12)
        assert fair[0].tolist() == free[b].tolist()


@pytest.mark.parametrize(
    ("groups", "quotas", "message"),
    [
        ([0, 0, 1], [2, 1], "cannot be met: they sum to 3, and a slate has 2 slots"),
        ([0, 0, 1], [0, 2], r"quotas\[1\] = 2 cannot be met: group 1 has 1 items"),
        ([0, 0, 1], [-1, 1], r"quotas\[0\] = -1 is below 0"),
        ([0, 0, 2], [1, 1], r"groups\[2\] = 2 has no quota: there are 2 \(0-1\)"),
        ([0, 1], [1, 1], r"groups must be integers of shape \(3,\)"),
        ([0, 0, 1], [0.5, 1], "quotas must be whole numbers, one for each group"),
        ([0, 0, 1], None, "groups and quotas must be given together"),
    ],
)
def test_bad_input(groups, quotas, message):
    with pytest.raises(InputError, match=message):
        best_permutation(np.full((1, 3), 0.5), np.ones((1, 3)), np.zeros(1), 2, np.array(groups), quotas)


def test_a_table_that_is_too_large():
    many = np.zeros((1, 1000))
    with pytest.raises(InputError, match="join groups"):
        best_permutation(many, many, np.zeros(1), 30, np.arange(1000) % 30, np.ones(30, int))
