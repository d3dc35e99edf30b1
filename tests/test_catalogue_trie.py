"""The catalogue as a trie, against a dictionary of prefixes."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from recsim_env.agents.generative.catalogue_trie import LARGEST_KEY, CatalogueTrie  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402

pytestmark = pytest.mark.extra

CATALOGUES = [
    (1, (1,), 0),
    (1, (3, 2), 1),
    (5, (5,), 2),
    (40, (4, 3, 5), 3),
    (40, (2, 2, 2), 4),  # most identifiers are shared
    (300, (256, 256, 256), 5),
    (60, (2**31, 2**31, 2**31), 6),  # too large for one number
    (30, (20, 1, 3), 7),  # tables and ranges in turn
]


def random_codes(num_items, sizes, seed):
    return np.random.default_rng(seed).integers(0, sizes, (num_items, len(sizes)))


@pytest.mark.parametrize(("num_items", "sizes", "seed"), CATALOGUES)
def test_it_holds_what_a_dictionary_of_prefixes_holds(num_items, sizes, seed):
    codes = random_codes(num_items, sizes, seed)
    trie = CatalogueTrie(codes, sizes)
    below: dict[tuple, set] = {}
    for item, identifier in enumerate(codes.tolist()):
        for level in range(len(sizes) + 1):
            below.setdefault(tuple(identifier[:level]), set()).add(item)

    prefix = {0: ()}
    for level in range(len(sizes)):
        assert len(prefix) == sum(len(one) == level for one in below)
        child, there = trie.children(level, torch.tensor(sorted(prefix)))
        following = {}
        for node, row, flags in zip(sorted(prefix), child.tolist(), there.tolist(), strict=True):
            theirs = [(n, int(trie.code_of[level][n])) for n, flag in zip(row, flags, strict=True) if flag]
            wanted = {one[-1] for one in below if len(one) == level + 1 and one[:-1] == prefix[node]}
            assert [code for _, code in theirs] == sorted(wanted)
            following |= {n: (*prefix[node], code) for n, code in theirs}
        prefix = following
        first = trie.first_item[level + 1].tolist()
        for node, codes_above in prefix.items():
            items = trie.items[first[node] : first[node + 1]].tolist()
            assert set(items) == below[codes_above]
            assert (trie.node_of[level + 1][items] == node).all()


def test_what_may_be_shown_below_a_node():
    codes = random_codes(30, (3, 4), 0)
    trie = CatalogueTrie(codes, (3, 4))
    allow = torch.from_numpy(np.random.default_rng(1).random((5, 30)) < 0.4)
    count = trie.allowed_below(allow)
    for level in range(3):
        first = trie.first_item[level]
        for node in range(len(first) - 1):
            wanted = allow[:, trie.node_of[level] == node].sum(dim=1)
            assert (count[:, first[node + 1]] - count[:, first[node]] == wanted).all()


def test_large_codes_stay_apart():
    trie = CatalogueTrie(np.array([[2**53], [2**53 + 1]]), (2**60,), unique=True)
    assert len(trie.code_of[0]) == 2


def test_large_and_small_keys_sort_alike():
    codes = random_codes(200, (5, 6, 7), 0)
    small, large = CatalogueTrie(codes, (5, 6, 7)), CatalogueTrie(codes, (2**31, 2**31, 2**31))
    assert float(2**31) ** 3 > LARGEST_KEY
    for name in ("items", "codes"):
        assert torch.equal(getattr(small, name), getattr(large, name))
    for name in ("first_child", "first_item", "code_of", "node_of"):
        assert all(map(torch.equal, getattr(small, name), getattr(large, name)))


@pytest.mark.parametrize(
    ("codes", "sizes", "more", "message"),
    [
        (
            np.zeros((0, 2), int),
            (2, 2),
            {},
            r"codes must be \(items, levels\) whole numbers",
        ),
        (np.zeros((3, 2)), (2, 2), {}, r"codes must be .* got float64 of \(3, 2\)"),
        (np.zeros(3, int), (2,), {}, r"codes must be .* of \(3,\)"),
        (
            np.zeros((3, 2), int),
            (2,),
            {},
            r"level_sizes must be 2 numbers .* got \(2,\)",
        ),
        (np.zeros((3, 2), int), (2, 0), {}, "level_sizes must be 2 numbers of 1 or more"),
        (np.array([[0, 1], [1, 2]]), (2, 2), {}, r"codes\[1, 1\] = 2: codes are from 0 to below"),
        (np.array([[0, -1]]), (2, 2), {}, r"codes\[0, 1\] = -1"),
        (
            np.array([[0, 1], [1, 1], [0, 1]]),
            (2, 2),
            {"unique": True},
            r"items 0 and 2 have the identifier \(0, 1\): identifiers must be unique, append a code",
        ),
    ],
)
def test_what_is_no_catalogue_is_refused(codes, sizes, more, message):
    with pytest.raises(InputError, match=message):
        CatalogueTrie(codes, sizes, **more)
