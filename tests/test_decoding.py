"""Search and sampling over a trie, against all items laid out and a search in plain Python."""

import itertools

import numpy as np
import pytest
from scipy.stats import chisquare

torch = pytest.importorskip("torch")

from recsim_env.agents.generative.catalogue_trie import CatalogueTrie  # noqa: E402
from recsim_env.agents.generative.decoding import beam_search, gumbel_top_k, log_prob, sample  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402

pytestmark = pytest.mark.extra

CATALOGUES = [
    (1, (1,), 0),
    (1, (3, 2), 1),
    (5, (5,), 2),
    (25, (4, 3, 5), 3),
    (30, (2, 2, 3), 4),  # identifiers are shared
    (40, (7, 7), 5),
]
USERS = 3


class Table:
    """Random logits of every prefix, for each user; `next_code` remembers which prefix a beam has."""

    def __init__(self, trie, seed, spread=2.0):
        rng = np.random.default_rng(seed)
        self.logits = [
            torch.from_numpy(
                spread * rng.standard_normal((USERS, int(np.prod(trie.level_sizes[:level])), size))
            )
            for level, size in enumerate(trie.level_sizes)
        ]
        self.sizes = trie.level_sizes

    def next_code(self, level, parents, codes):
        users = torch.arange(len(parents))[:, None]
        if level == 0:
            assert codes.tolist() == [[-1]] * len(parents)
            self.prefix = torch.zeros_like(codes)
        else:
            self.prefix = self.prefix.gather(1, parents) * self.sizes[level - 1] + codes
        return self.logits[level][:, :, :][users, self.prefix].float()

    def of_items(self, trie, items):
        """`logits` of `log_prob`."""
        users = torch.arange(USERS)[:, None]

        def logits(level):
            prefix = torch.zeros_like(items)
            for above in range(level):
                prefix = prefix * self.sizes[above] + trie.codes[items, above]
            return self.logits[level][users, prefix]

        return logits


def made(num_items, sizes, seed):
    codes = np.random.default_rng(seed).integers(0, sizes, (num_items, len(sizes)))
    trie = CatalogueTrie(codes, sizes)
    return trie, Table(trie, seed)


def every_log_prob(trie, table):
    """(USERS, N) by the definition, item by item in plain Python."""
    codes = trie.codes.tolist()
    found = np.empty((USERS, len(codes)))
    for user, item in itertools.product(range(USERS), range(len(codes))):
        total, prefix = 0.0, 0
        for level, code in enumerate(codes[item]):
            siblings = {one[level] for one in codes if one[:level] == codes[item][:level]}
            row = table.logits[level][user, prefix].tolist()
            total += row[code] - np.log(sum(np.exp(row[one]) for one in siblings))
            prefix = prefix * trie.level_sizes[level] + code
        found[user, item] = total - np.log(codes.count(codes[item]))
    return found


@pytest.mark.parametrize(("num_items", "sizes", "seed"), CATALOGUES)
def test_log_prob_is_a_distribution_over_items(num_items, sizes, seed):
    trie, table = made(num_items, sizes, seed)
    items = torch.arange(num_items).expand(USERS, -1)
    found = log_prob(trie, items, table.of_items(trie, items)).numpy()
    np.testing.assert_allclose(found, every_log_prob(trie, table), atol=1e-5)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1.0, atol=1e-5)


def test_log_prob_has_gradients():
    trie, table = made(25, (4, 3, 5), 3)
    items = torch.randint(25, (USERS, 6), generator=torch.Generator().manual_seed(0))
    table.logits = [one.requires_grad_() for one in table.logits]

    def value(*logits):
        table.logits = list(logits)
        return log_prob(trie, items, table.of_items(trie, items)).double()

    assert torch.autograd.gradcheck(value, tuple(table.logits), atol=1e-3, eps=1e-2)


@pytest.mark.parametrize(("num_items", "sizes", "seed"), CATALOGUES)
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_full_beam_finds_the_exact_best(num_items, sizes, seed, share):
    trie, table = made(num_items, sizes, seed)
    allow = np.random.default_rng(seed).random((USERS, num_items)) < share
    allow[:, -1] = True
    truth = np.where(allow, every_log_prob(trie, table), -np.inf)
    k = min(6, num_items)
    given = None if share == 1.0 else torch.from_numpy(allow)
    items, found = beam_search(trie, table.next_code, USERS, k, width=num_items + 6, allow=given)
    items, found = items.numpy(), found.numpy()
    order = np.argsort(-truth, axis=1, kind="stable")[:, :k]
    np.testing.assert_allclose(found, np.take_along_axis(truth, order, axis=1), atol=1e-5)
    for user in range(USERS):
        there = items[user][items[user] >= 0]
        assert len(set(there)) == len(there) == min(k, allow[user].sum())
        assert allow[user, there].all()
        np.testing.assert_allclose(truth[user, there], found[user, : len(there)], atol=1e-5)


def test_a_narrow_beam_does_what_a_plain_search_does():
    trie, _ = made(60, (5, 4, 6), 8)
    table = Table(trie, 8, spread=0.4)
    codes = trie.codes.tolist()
    items, found = beam_search(trie, table.next_code, USERS, 2, width=2)
    missed = 0
    for user in range(USERS):
        beams = {(): 0.0}
        for level in range(3):
            longer = {}
            for prefix, score in beams.items():
                row = table.logits[level][user, _number(prefix, trie.level_sizes)].tolist()
                siblings = {one[level] for one in codes if tuple(one[:level]) == prefix}
                total = np.log(sum(np.exp(row[code]) for code in siblings))
                longer |= {(*prefix, code): score + row[code] - total for code in siblings}
            beams = dict(sorted(longer.items(), key=lambda one: -one[1])[:2])
        leaves = [beams[tuple(one)] - np.log(codes.count(one)) for one in codes if tuple(one) in beams]
        wanted = sorted(leaves, reverse=True)[:2]
        np.testing.assert_allclose(found[user], wanted, atol=1e-5)
        truth = every_log_prob(trie, table)[user]
        np.testing.assert_allclose(truth[items[user].numpy()], found[user], atol=1e-5)
        missed += found[user].sum() < np.sort(truth)[-2:].sum() - 1e-3
    assert missed > 0  # it is narrow enough to lose something


def _number(prefix, sizes):
    number = 0
    for code, size in zip(prefix, sizes, strict=False):
        number = number * size + code
    return number


def draws(seed):
    generator = torch.Generator().manual_seed(seed)
    return lambda level, shape: torch.rand(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("num_items", "sizes", "seed"), CATALOGUES)
def test_draws_are_as_frequent_as_they_are_probable(num_items, sizes, seed):
    trie, table = made(num_items, sizes, seed)
    truth = every_log_prob(trie, table)
    items, found = sample(trie, table.next_code, USERS, 20_000, draws(seed))
    for user in range(USERS):
        np.testing.assert_allclose(found[user], truth[user, items[user].numpy()], atol=1e-5)
        count = np.bincount(items[user].numpy(), minlength=num_items)
        assert agrees(count, 20_000 * np.exp(truth[user]))


def agrees(count, expected):
    """Chi-square, with rare cells put together; one in ten thousand fails by chance."""
    rare = expected < 10
    count = np.append(count[~rare], count[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    kept = expected > 1e-9
    assert count[~kept].sum() == 0
    return (
        kept.sum() == 1 or chisquare(count[kept], expected[kept] * count.sum() / expected.sum()).pvalue > 1e-4
    )


@pytest.mark.parametrize(("num_items", "sizes", "seed"), [(4, (2, 3), 1), (5, (2, 2), 2), (5, (5,), 3)])
@pytest.mark.parametrize("masked", [False, True])
def test_draws_without_putting_back_are_plackett_luce(num_items, sizes, seed, masked):
    """Frequencies of ordered pairs against p_i p_j / (1 - p_i), over the items that may be shown."""
    trie, table = made(num_items, sizes, seed)
    table.logits = [one[:1].expand(USERS, -1, -1) for one in table.logits]
    batch, rounds = USERS, 8000
    p = np.exp(every_log_prob(trie, table)[0])
    allow = np.arange(num_items) != 1 if masked else np.ones(num_items, bool)
    p_left = np.where(allow, p, 0.0) / p[allow].sum()
    given, uniforms = torch.from_numpy(allow) if masked else None, draws(seed)
    count = np.zeros((num_items, num_items))
    for _ in range(rounds // batch):
        items, found = gumbel_top_k(trie, table.next_code, batch, 2, uniforms, allow=given)
        np.add.at(count, (items[:, 0].numpy(), items[:, 1].numpy()), 1)
        np.testing.assert_allclose(found.exp(), p[items], atol=1e-5)
    expected = p_left[:, None] * p_left / (1 - p_left[:, None])
    np.fill_diagonal(expected, 0.0)
    assert agrees(count.ravel(), count.sum() * expected.ravel())


def test_what_is_drawn_can_be_learned_from():
    """Items and log-probabilities go into layers that want gradients."""
    trie, table = made(5, (2, 2), 2)
    weight = torch.zeros(USERS, 3, requires_grad=True)
    for items, found in (
        sample(trie, table.next_code, USERS, 3, draws(0)),
        gumbel_top_k(trie, table.next_code, USERS, 3, draws(0)),
        beam_search(trie, table.next_code, USERS, 3),
    ):
        (torch.nn.Embedding(5, 2)(items).sum() + (found * weight).sum()).backward()


def test_as_many_as_there_are_and_no_more():
    trie, table = made(5, (2, 2), 2)
    allow = torch.tensor([True, False, True, False, False])
    for items, found in (
        beam_search(trie, table.next_code, USERS, 4, allow=allow),
        gumbel_top_k(trie, table.next_code, USERS, 4, draws(0), allow=allow),
    ):
        assert (items[:, :2].sort(dim=1).values == torch.tensor([0, 2])).all()
        assert (items[:, 2:] == -1).all()
        assert (found[:, 2:] == -torch.inf).all()
    items, _ = gumbel_top_k(trie, table.next_code, USERS, 9, draws(0))
    assert (items[:, :5].sort(dim=1).values == torch.arange(5)).all()
    assert (items[:, 5:] == -1).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda trie, table: beam_search(trie, table.next_code, USERS, 0), "k must be at least 1 and width"),
        (lambda trie, table: beam_search(trie, table.next_code, USERS, 3, width=2), "got 3 and 2"),
        (
            lambda trie, table: sample(trie, table.next_code, USERS, 0, draws(0)),
            "k must be at least 1, got 0",
        ),
        (lambda trie, table: gumbel_top_k(trie, table.next_code, USERS, 0, draws(0)), "k must be at least 1"),
        (
            lambda trie, table: beam_search(trie, table.next_code, USERS, 1, allow=torch.ones(4, dtype=bool)),
            r"allow must be flags of \(5,\) or \(3, 5\), got torch.bool of \(4,\)",
        ),
        (
            lambda trie, table: beam_search(trie, table.next_code, USERS, 1, allow=torch.ones(5)),
            "got torch.float32",
        ),
        (
            lambda trie, table: gumbel_top_k(
                trie, table.next_code, USERS, 1, draws(0), allow=torch.arange(15).view(3, 5) > 4
            ),
            r"allow\[0\] leaves no item",
        ),
        (
            lambda trie, table: log_prob(trie, torch.tensor([[1], [5], [0]]), lambda level: None),
            r"item 5 is not in the catalogue of 5 items \(0-4\): a new item needs a new trie",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call(*made(5, (2, 2), 2))
