"""Tables of item vectors: hashed ids, n-grams and pieces of codes, two tables under a gate."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
from recsim_env.agents.generative.generative_recommender import GenerativeRecommender
from recsim_env.agents.generative.heads.parallel import ParallelHead
from recsim_env.agents.generative.heads.projection import ProjectionHead
from recsim_env.agents.generative.item_encoders.code_vectors import CodeVectors
from recsim_env.agents.generative.item_encoders.gated_vectors import GatedVectors
from recsim_env.agents.generative.item_encoders.hashed_vectors import HashedVectors
from recsim_env.agents.generative.item_encoders.hashing import hashed
from recsim_env.agents.generative.item_encoders.ngram_vectors import NgramVectors
from recsim_env.agents.generative.item_encoders.piece_vectors import PieceVectors, code_pieces
from recsim_env.agents.generative.policy import GenerativePolicy
from recsim_env.agents.generative.tokenisers.numbered import atomic
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec
from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log

pytestmark = pytest.mark.extra

N, D = 30, 8
SIZES = (3, 4, 5)
CODES = np.stack(np.unravel_index(np.random.default_rng(2).permutation(60)[:N], SIZES), axis=1)
COUNTS = np.random.default_rng(3).integers(0, 40, N)
TABLES = {
    "hashed, summed": lambda: HashedVectors(N, D, rows=7, tables=3),
    "hashed, side by side": lambda: HashedVectors(N, D, rows=9, tables=2, combined="concatenation"),
    "codes": lambda: CodeVectors(CODES, SIZES, D),
    "n-grams": lambda: NgramVectors(CODES, SIZES, D, rows=11),
    "pieces": lambda: PieceVectors(CODES, SIZES, D, counts=COUNTS, vocabulary=20),
    "gated": lambda: GatedVectors(ItemVectors(N, D), CodeVectors(CODES, SIZES, D)),
    "gated, hashed": lambda: GatedVectors(HashedVectors(N, D, rows=7), NgramVectors(CODES, SIZES, D, rows=9)),
}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def drawn(name, seed=4):
    """A table with weights as an encoder draws them, but larger."""
    table = TABLES[name]()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in table.parameters():
            parameter.normal_(0.0, 0.5, generator=generator)
        table.clear_empty()
    return table


@pytest.mark.parametrize("name", TABLES)
def test_all_is_every_item_and_an_empty_cell_is_0(name):
    table = drawn(name)
    every = table(torch.arange(N))
    torch.testing.assert_close(table.all(), every, rtol=0, atol=1e-6)
    assert every.abs().sum(dim=1).min() > 0
    found = table(torch.tensor([[[3, N], [N, 7]]]))
    assert found.shape == (1, 2, 2, D)
    assert not found[0, 0, 1].any()
    assert not found[0, 1, 0].any()
    torch.testing.assert_close(found[0, 1, 1], every[7], rtol=0, atol=1e-6)
    assert not table(torch.full((2, 1), N)).any()


@pytest.mark.parametrize("name", TABLES)
def test_every_parameter_learns_and_the_empty_cell_stays_0(name):
    table = drawn(name)
    optimiser = torch.optim.Adam(table.parameters(), 0.1)
    (table(torch.tensor([[0, 1, N], [2, N, 29]])) ** 2).sum().backward()
    for path, parameter in table.named_parameters():
        assert parameter.grad.abs().max() > 1e-4, path
    optimiser.step()
    assert not table(torch.tensor([N])).any()


def splitmix(numbers, rows, seed):
    """The same hash, with Python's own integers."""
    full = 2**64

    def mix(z):
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % full
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % full
        return z ^ (z >> 31)

    h = mix((seed + 0x9E3779B97F4A7C15) % full)
    for x in numbers:
        h = mix(((h ^ x) + 0x9E3779B97F4A7C15) % full)
    return h % rows


def test_the_hash_is_splitmix_with_any_integers():
    assert splitmix([], 2**64, 0) == 0xE220A8397B1DCDAF  # published, of seed 0
    numbers = np.random.default_rng(0).integers(0, 2**40, (50, 3))
    for seed, rows in ((0, 1000), (2**64 - 1, 7)):
        expected = [splitmix(row, rows, seed) for row in numbers.tolist()]
        assert hashed(numbers, rows, seed).tolist() == expected
    assert hashed(numbers.reshape(5, 10, 3), 1000).shape == (5, 10)


@pytest.mark.parametrize("seed", [0, 1, 12])
def test_as_many_collide_as_of_drawn_places(seed):
    ids, rows = 20_000, 30_000
    taken = len(np.unique(hashed(np.arange(ids)[:, None], rows, seed)))
    free = (1 - 1 / rows) ** ids
    both = (1 - 2 / rows) ** ids
    deviation = np.sqrt(rows * free + rows * (rows - 1) * both - (rows * free) ** 2)
    assert abs(taken - rows * (1 - free)) < 4 * deviation
    pairs = np.stack(np.unravel_index(np.arange(ids), (100, 200)), axis=1)
    assert abs(len(np.unique(hashed(pairs, rows, seed))) - rows * (1 - free)) < 4 * deviation


def test_two_hashes_tell_items_apart_that_one_does_not():
    ids, rows = 2000, 100
    one, two = (
        len(np.unique(HashedVectors(ids, 4, rows=rows, tables=m).places[:-1].numpy(), axis=0)) for m in (1, 2)
    )
    assert one == rows
    expected = rows**2 * (1 - (1 - rows**-2) ** ids)  # 1813
    assert abs(two - expected) < 60
    other = HashedVectors(ids, 4, rows=rows, seed=5).places
    assert (other != HashedVectors(ids, 4, rows=rows).places).float().mean() > 0.9


def test_hashed_vectors_by_hand():
    for name, tables, rows in (("hashed, summed", 3, 7), ("hashed, side by side", 2, 9)):
        table = drawn(name)
        matrix = table.learned.weight.detach().numpy()
        for item in (0, 13, 29):
            parts = [matrix[m * rows + splitmix([m, item], rows, 0)] for m in range(tables)]
            expected = np.sum(parts, axis=0) if tables == 3 else np.concatenate(parts)
            np.testing.assert_allclose(table(torch.tensor(item)).detach(), expected, atol=1e-6)


def test_ngrams_by_hand():
    table = NgramVectors(CODES, SIZES, D, length=2, rows=11, seed=9)
    matrix = table.learned.weight.detach().numpy()
    starts = (0, 3, 7)
    for item in (0, 13, 29):
        numbers = [start + int(code) for start, code in zip(starts, CODES[item], strict=True)]
        expected = sum(matrix[g * 11 + splitmix(numbers[g : g + 2], 11, 9)] for g in range(2))
        np.testing.assert_allclose(table(torch.tensor([item]))[0].detach(), expected, atol=1e-6)


def test_single_codes_with_room_are_code_vectors():
    """Whatever the rows are called: the same items share the same."""
    hashes = NgramVectors(CODES, SIZES, D, length=1, rows=10_000).places[:-1].numpy()
    codes = CodeVectors(CODES, SIZES, D).places[:-1].numpy()
    for level in range(3):
        together = codes[:, None, level] == codes[None, :, level]
        np.testing.assert_array_equal(hashes[:, None, level] == hashes[None, :, level], together)


def pair_encoding(codes, sizes, counts, vocabulary):
    """Byte-pair encoding as a textbook has it: lists of pieces, all pairs counted anew before every merge."""
    starts = np.cumsum([0, *sizes[:-1]])
    items = [list(row) for row in (codes + starts).tolist()]
    for new in range(sum(sizes), vocabulary):
        weight = Counter()
        for item, n in zip(items, counts, strict=True):
            for pair in pairwise(item):
                weight[pair] += int(n)
        most = max(weight.values(), default=0)
        if most == 0:
            break
        pair = min(pair for pair, n in weight.items() if n == most)
        for item in items:
            for at in range(len(item) - 1):
                if tuple(item[at : at + 2]) == pair:
                    item[at : at + 2] = [new]
                    break
    return items


@pytest.mark.parametrize("seed", range(6))
def test_pieces_are_those_of_byte_pair_encoding(seed):
    rng = np.random.default_rng(seed)
    sizes = tuple(rng.integers(2, 6, 5).tolist())
    codes = rng.integers(0, sizes, (80, 5))
    counts = rng.integers(0, 9, 80) * rng.integers(0, 2, 80)
    for vocabulary in (sum(sizes), sum(sizes) + 1, sum(sizes) + 12, 1000):
        found = code_pieces(codes, sizes, counts, vocabulary)
        expected = pair_encoding(codes, sizes, counts, vocabulary)
        assert [row[row >= 0].tolist() for row in found] == expected
    assert found[:, 0].min() >= 0


def test_pieces_by_hand():
    codes = np.array([[0, 0, 0], [0, 0, 1], [1, 0, 1], [0, 0, 0]])
    counts = np.array([5, 3, 0, 1])
    # codes are 0 1 | 2 | 3 4; first 0-2 (9 times) becomes 5, then 5-3 (6 times) becomes 6, 5-4 (3 times) 7
    np.testing.assert_array_equal(code_pieces(codes, (2, 1, 2), counts, 5)[2], [1, 2, 4])
    np.testing.assert_array_equal(
        code_pieces(codes, (2, 1, 2), counts, 6), [[5, -1, 3], [5, -1, 4], [1, 2, 4], [5, -1, 3]]
    )
    np.testing.assert_array_equal(
        code_pieces(codes, (2, 1, 2), counts, 99), [[6, -1, -1], [7, -1, -1], [1, 2, 4], [6, -1, -1]]
    )
    table = PieceVectors(codes, (2, 1, 2), D, counts=counts, vocabulary=6)
    matrix = table.learned.weight.detach()
    torch.testing.assert_close(table(torch.tensor([1, 4, 2]))[0].detach(), matrix[5] + matrix[4])
    assert not table(torch.tensor([4])).any()
    assert codes.max() == 1  # what was given stays


def test_items_that_begin_alike_share_their_first_pieces():
    codes = np.array([[1, 2, 3], [1, 2, 4], [0, 3, 2]])
    counts = np.array([5, 5, 1])
    shared = {
        "codes": CodeVectors(codes, SIZES, D),
        "n-grams": NgramVectors(codes, SIZES, D, rows=1000),
        "pieces": PieceVectors(codes, SIZES, D, counts=counts, vocabulary=13),
    }
    for name, table in shared.items():
        first, second, other = (set(row.tolist()) for row in table.places[:3])
        none = {table.learned.padding_idx}
        assert first & second - none, name
        assert not first & other - none, name
        assert first != second


def test_the_gate_by_hand():
    table = drawn("gated")
    first, second = (branch.all().detach().double().numpy() for branch in table.branches)
    G, c = (part.detach().double().numpy() for part in (table.gate.weight, table.gate.bias))
    share = 1 / (1 + np.exp(-(np.concatenate([first, second], axis=1) @ G.T + c)))
    np.testing.assert_allclose(table.all().detach(), share * first + (1 - share) * second, atol=1e-6)
    assert share.std() > 0.05


def test_one_table_alone_for_a_while():
    table = drawn("gated")
    items = torch.tensor([[3, N, 5]])
    mixed = table(items)
    for branch in range(2):
        with table.alone(branch):
            assert torch.equal(table(items), table.branches[branch](items))
            assert torch.equal(table.all(), table.branches[branch].all())
    with pytest.raises(KeyError), table.alone(1):
        raise KeyError
    assert torch.equal(table(items), mixed)


def sasrec(table, generator):
    return SASRec(table, max_length=8, blocks=1, dropout=0.1, generator=generator)


def ring(users=120, seed=0):
    """Users go along a ring of items, three steps at a time, from where they begin."""
    start = np.random.default_rng(seed).integers(N, size=users)
    item = (start[:, None] + 3 * np.arange(6)) % N
    return Log.from_interactions(np.repeat(np.arange(users), 6), item.ravel(), np.tile(np.arange(6.0), users))


@pytest.mark.parametrize("name", TABLES)
def test_sasrec_learns_with_it(name):
    recommender = NeuralRecommender(
        lambda _, generator: sasrec(TABLES[name](), generator),
        objective="full_softmax",
        epochs=20,
        patience=20,
        batch_size=32,
        learning_rate=0.02,
        num_items=N,
        device="cpu",
    )
    recommender.begin(ring())
    losses, original = [], recommender._loss
    recommender._loss = lambda *args: losses.append(original(*args)) or losses[-1]
    while not recommender.finished:
        recommender.train_epoch()
    values = [float(one.detach()) for one in losses]
    assert np.mean(values[-4:]) < 0.75 * np.mean(values[:4])
    assert recommender.validation_.max() > 0.5  # by chance .18, of ten places among 25
    history = np.array([[-1, 1, 4], [2, 5, 8]])
    assert np.isfinite(recommender.scores(history)).all()
    vectors = recommender.best_.items(torch.tensor([N]))
    assert not vectors.any()


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("head", ["parallel", "projection"])
def test_policies_over_it_are_distributions_over_the_catalogue(name, head):
    generator = torch.Generator().manual_seed(0)
    table = TABLES[name]()
    encoder = sasrec(table, generator)
    if head == "projection":
        policy = GenerativePolicy(encoder, ProjectionHead(table), CatalogueTrie(atomic(N).codes, (N,)))
    else:
        made = ParallelHead(SIZES, D, generator=generator)
        policy = GenerativePolicy(encoder, made, CatalogueTrie(CODES, SIZES))
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.4, generator=generator)
        table.clear_empty()
    policy.eval()
    history = torch.tensor([[-1, -1, 3, 7], [5, 5, 9, 11], [-1, -1, -1, 2]])
    log_pi = policy.log_prob(history, torch.arange(N).expand(3, N))
    np.testing.assert_allclose(log_pi.exp().sum(dim=1).detach(), 1.0, atol=1e-5)
    assert log_pi.std(dim=1).min() > 0.05
    alone = policy.log_prob(history[:1, 2:], torch.arange(N)[None])
    torch.testing.assert_close(alone[0], log_pi[0], atol=1e-4, rtol=1e-4)


def test_a_policy_is_trained_with_pieces_at_the_input():
    def make(num_items, generator):
        encoder = sasrec(TABLES["pieces"](), generator)
        return GenerativePolicy(
            encoder, ParallelHead(SIZES, D, generator=generator), CatalogueTrie(CODES, SIZES)
        )

    fitted = GenerativeRecommender(
        make, epochs=8, learning_rate=0.02, batch_size=32, num_items=N, device="cpu"
    ).fit(ring())
    assert fitted.validation_[-1] > fitted.validation_[0]
    np.testing.assert_allclose(np.exp(fitted.scores(np.array([[1, 4]]))).sum(), 1.0, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: HashedVectors(N, D, rows=0), "rows must be at least 1, got 0"),
        (lambda: HashedVectors(N, D, rows=5, tables=0), "tables must be at least 1, got 0"),
        (lambda: HashedVectors(0, D, rows=5), "num_items must be at least 1"),
        (lambda: HashedVectors(N, D, rows=5, seed=-1), r"seed must be from 0 to 2\^64 - 1, got -1"),
        (
            lambda: HashedVectors(N, D, rows=5, combined="mean"),
            "there is no way to combine hashed rows 'mean'",
        ),
        (
            lambda: HashedVectors(N, D, rows=5, tables=3, combined="concatenation"),
            r"dimension must be a multiple of tables \(3\), got 8",
        ),
        (lambda: NgramVectors(CODES, SIZES, D, length=4, rows=5), "length must be from 1 to 3, got 4"),
        (lambda: NgramVectors(CODES, SIZES, D, rows=0), "rows must be at least 1, got 0"),
        (lambda: NgramVectors(CODES, (3, 4), D, rows=5), r"codes must be \(items, 2\) integers"),
        (lambda: CodeVectors(CODES + 0.5, SIZES, D), r"codes must be \(items, 3\) integers, got float64"),
        (lambda: CodeVectors(CODES, (3, 4, 2), D), "codes are from 0 to below their level's size"),
        (
            lambda: PieceVectors(CODES, SIZES, D, counts=COUNTS, vocabulary=11),
            "vocabulary must be at least 12, the number of codes, got 11",
        ),
        (
            lambda: PieceVectors(CODES, SIZES, D, counts=COUNTS[1:], vocabulary=20),
            r"counts must be \(30,\) integers, one an item, got int64 of \(29,\)",
        ),
        (lambda: PieceVectors(CODES, SIZES, D, counts=COUNTS / 2, vocabulary=20), "got float64 of"),
        (
            lambda: PieceVectors(CODES, SIZES, D, counts=COUNTS - 50, vocabulary=20),
            r"counts\[0\] = .*: an item is in a log 0 times or more",
        ),
        (
            lambda: GatedVectors(ItemVectors(N, D), ItemVectors(N + 1, D)),
            "first and second must have the same items, got 30 and 31",
        ),
        (
            lambda: GatedVectors(ItemVectors(N, D), ItemVectors(N, D + 1)),
            "first and second must have the same numbers a vector, got 8 and 9",
        ),
    ],
)
def test_bad_tables(call, message):
    with pytest.raises(InputError, match=message):
        call()
