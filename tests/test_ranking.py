"""Ranking metrics: by hand, against plain loops, and against scikit-learn."""

import math
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score

from recsim_env.errors import InputError
from recsim_env.evaluation import ranked_lists
from recsim_env.evaluation.ranking import (
    TargetRank,
    average_precision,
    hit_rate,
    mrr,
    ndcg,
    ndcg_of_scores,
    precision,
    rank_of,
    recall,
    top_k,
)
from recsim_env.evaluation.score_blocks import highest

METRICS = [ndcg, hit_rate, mrr, recall, precision, average_precision]


def test_by_hand() -> None:
    ranked = np.array([[3, 1, 2, 0], [3, 1, 2, 0], [0, -1, 5, 4], [1, 2, 3, 4]])
    relevant = np.array([[1, 0], [7, -1], [4, 5], [-1, -1]])
    two = 1 / math.log2(3)
    best = 1 + two
    assert_allclose(ndcg(ranked, relevant, 2), [two / best, 0, 0, np.nan])
    assert_allclose(
        ndcg(ranked, relevant, 4),
        [(two + 1 / math.log2(5)) / best, 0, (0.5 + 1 / math.log2(5)) / best, np.nan],
    )
    assert_allclose(hit_rate(ranked, relevant, 1), [0, 0, 0, np.nan])
    assert_allclose(hit_rate(ranked, relevant, 3), [1, 0, 1, np.nan])
    assert_allclose(mrr(ranked, relevant, 4), [1 / 2, 0, 1 / 3, np.nan])
    assert_allclose(mrr(ranked, relevant, 2), [1 / 2, 0, 0, np.nan])
    assert_allclose(recall(ranked, relevant, 3), [1 / 2, 0, 1 / 2, np.nan])
    assert_allclose(recall(ranked, np.array([[1, 0, 9, 8]] * 4), 1), [0, 0, 1 / 4, 1 / 4])
    assert_allclose(precision(ranked, relevant, 3), [1 / 3, 0, 1 / 3, np.nan])
    assert_allclose(precision(ranked, relevant, 8), [2 / 8, 0, 2 / 8, np.nan])
    assert_allclose(
        average_precision(ranked, relevant, 4), [(1 / 2 + 2 / 4) / 2, 0, (1 / 3 + 2 / 4) / 2, np.nan]
    )
    assert_allclose(average_precision(ranked, relevant, 1), [0, 0, 0, np.nan])
    assert_allclose(average_precision(np.array([[5, 1]]), np.array([[5, 2, 3]]), 1), [1])  # min(k, 3) = 1


def test_recall_divides_by_all_relevant_items_and_ndcg_by_the_best_list() -> None:
    ranked, relevant = np.array([[0, 1]]), np.array([[0, 1, 2, 3]])
    assert_allclose(recall(ranked, relevant, 2), [0.5])
    assert_allclose(ndcg(ranked, relevant, 2), [1])
    # two places for three: the missing one is a miss
    assert_allclose(ndcg(ranked, relevant, 3), [(1 + 1 / math.log2(3)) / (1.5 + 1 / math.log2(3))])


def _loop(name: str, ranked: list[int], relevant: set[int], k: int) -> float:
    if not relevant:
        return math.nan
    places = [j for j, item in enumerate(ranked[:k], start=1) if item in relevant]
    if name == "ndcg":
        ideal = sum(1 / math.log2(j + 1) for j in range(1, min(k, len(relevant)) + 1))
        return sum(1 / math.log2(j + 1) for j in places) / ideal
    if name == "recall":
        return len(places) / len(relevant)
    if name == "precision":
        return len(places) / k
    if name == "average_precision":
        return sum((n + 1) / j for n, j in enumerate(places)) / min(k, len(relevant))
    if name == "mrr":
        return 1 / places[0] if places else 0
    return float(bool(places))


def _random_lists(
    rng: np.random.Generator, users: int, items: int, r: int, m: int
) -> tuple[np.ndarray, np.ndarray]:
    ranked = np.argsort(rng.random((users, items)), axis=1)[:, :r]
    relevant = np.argsort(rng.random((users, items)), axis=1)[:, :m]
    ranked = np.where(rng.random(ranked.shape) < 0.1, -1, ranked)
    relevant = np.where(rng.random(relevant.shape) < rng.random((users, 1)) * 1.3, -1, relevant)
    return ranked, relevant


@pytest.mark.parametrize("metric", METRICS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("cells", [3, 64, 2**20])
def test_equal_to_a_plain_loop_in_blocks_of_any_size(
    metric: Callable, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranked_lists, "BLOCK_CELLS", cells)
    rng = np.random.default_rng(5)
    for items, r, m in ((1, 1, 1), (6, 6, 3), (40, 12, 30), (200, 50, 5)):
        ranked, relevant = _random_lists(rng, 60, items, r, m)
        for k in (1, 2, 10, 300):
            wanted = [
                _loop(metric.__name__, list(one), {int(i) for i in his if i >= 0}, k)
                for one, his in zip(ranked, relevant, strict=True)
            ]
            assert_allclose(metric(ranked, relevant, k), wanted, atol=1e-12)


def test_ndcg_and_mrr_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(6)
    scores = np.argsort(rng.random((200, 30)), axis=1).astype(float)  # no ties
    truth = rng.random((200, 30)) < rng.random((200, 1)) * 0.3
    truth[:5] = False  # users without relevant items: 0 there, nan here
    relevant = np.where(truth, np.arange(30), -1)
    for k in (1, 5, 10, 30):
        theirs = np.array([ndcg_score(truth[[b]], scores[[b]], k=k) for b in range(200)])
        ours = ndcg(top_k(scores, k), relevant, k)
        empty = ~truth.any(axis=1)
        assert np.isnan(ours[empty]).all()
        assert (theirs[empty] == 0).all()
        assert_allclose(ours[~empty], theirs[~empty], atol=1e-12)
    one = np.arange(200) % 30
    single = np.arange(30) == one[:, None]  # one relevant item: average precision is the reciprocal rank
    theirs = [label_ranking_average_precision_score(single[[b]], scores[[b]]) for b in range(200)]
    assert_allclose(mrr(top_k(scores, 30), one[:, None], 30), theirs, atol=1e-12)


def test_list_metrics_agree_with_ir_measures() -> None:
    ir = pytest.importorskip("ir_measures")
    rng = np.random.default_rng(16)
    ranked, relevant = _random_lists(rng, 150, 60, 40, 12)
    ranked.sort(axis=1)  # empty places to the end, where trec_eval has none
    ranked = np.where(ranked >= 0, rng.permutation(60)[ranked], -1)[:, ::-1]
    ranked = np.stack([np.append(row[row >= 0], row[row < 0]) for row in ranked])
    count = np.count_nonzero(relevant >= 0, axis=1)
    assert (count == 0).any()
    judged = [ir.Qrel(f"{b}", f"{i}", 1) for b in range(150) for i in relevant[b] if i >= 0]
    run = [
        ir.ScoredDoc(f"{b}", f"{i}", 1.0 - j / 100)
        for b in range(150)
        for j, i in enumerate(ranked[b])
        if i >= 0
    ]
    for k in (1, 5, 10, 40):
        ours = {
            ir.nDCG @ k: ndcg(ranked, relevant, k),
            ir.P @ k: precision(ranked, relevant, k),
            ir.R @ k: recall(ranked, relevant, k),
            ir.Success @ k: hit_rate(ranked, relevant, k),
            ir.RR @ k: mrr(ranked, relevant, k),
            # trec_eval's divisor is the number of relevant items
            ir.AP @ k: average_precision(ranked, relevant, k) * np.minimum(k, count) / np.maximum(count, 1),
        }
        theirs = {measure: np.full(150, np.nan) for measure in ours}
        for metric in ir.iter_calc(list(ours), judged, run):
            theirs[metric.measure][int(metric.query_id)] = metric.value
        for measure, values in ours.items():
            assert np.isnan(values[count == 0]).all()
            assert_allclose(
                values[count > 0], theirs[measure][count > 0], rtol=0, atol=1e-9, err_msg=str(measure)
            )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("levels", [1, 2, 6, 10**6])
def test_ndcg_of_tied_scores_agrees_with_scikit_learn(levels: int, dtype: type) -> None:
    rng = np.random.default_rng(levels)
    scores = (rng.integers(0, levels, (150, 40)) / 3).astype(dtype)
    truth = rng.random((150, 40)) < rng.random((150, 1)) * 0.5
    truth[:4] = False
    relevant = np.where(truth, np.arange(40), -1)
    for k in (1, 3, 10, 40, 100):
        theirs = [ndcg_score(truth[[b]], scores[[b]], k=k) for b in range(150)]
        ours = ndcg_of_scores(scores, relevant, k)
        empty = ~truth.any(axis=1)
        assert np.isnan(ours[empty]).all()
        assert_allclose(ours[~empty], np.array(theirs)[~empty], rtol=0, atol=1e-9)


def test_ndcg_of_scores_of_one_target_is_that_of_its_rank_with_exclusions_too() -> None:
    rng = np.random.default_rng(17)
    scores, target = rng.integers(0, 5, (200, 12)), rng.integers(0, 12, 200)
    exclude = rng.integers(-1, 12, (200, 7))
    exclude[0] = 3
    exclude[1] = np.arange(7)
    for k in (1, 5, 12, 20):
        wanted = rank_of(scores, target, exclude).ndcg(k)
        assert_allclose(ndcg_of_scores(scores, target[:, None], k, exclude), wanted, atol=1e-12)


@pytest.mark.extra
def test_scores_may_be_streams_of_blocks_and_torch_tensors() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(18)
    scores = np.round(4 * rng.standard_normal((30, 50)).astype(np.float32))
    target, relevant = rng.integers(0, 50, 30), np.argsort(rng.random((30, 50)), axis=1)[:, :4]
    exclude = rng.integers(-1, 50, (30, 5))

    def results(make: Callable, ids: Callable = np.asarray) -> list[np.ndarray]:
        rank = rank_of(make(), ids(target), ids(exclude))
        return [
            top_k(make(), 7, ids(exclude)),
            top_k(make(), 7),
            ndcg_of_scores(make(), ids(relevant), 7, ids(exclude)),
            ndcg(ids(top_k(make(), 7)), ids(relevant), 7),
            rank.better,
            rank.tied,
            rank.candidate,
        ]

    wanted = results(lambda: scores)
    blocks = ((0, 11), (11, 11), (11, 12), (12, 30))
    tensor = torch.from_numpy(scores)
    tensor.requires_grad_()
    for some in (
        results(lambda: (scores[a:b] for a, b in blocks)),
        results(lambda: tensor, torch.from_numpy),
        results(lambda: (tensor[a:b] for a, b in blocks)),
        results(lambda: tensor.double()),
        results(lambda: tensor.half()),  # small integers: exact in every type
        results(lambda: tensor.bfloat16()),
        results(lambda: tensor.int()),
        results(lambda: np.asfortranarray(scores)),
        results(lambda: scores.astype(np.float16)),
        results(lambda: scores.astype(np.int8)),
    ):
        for ours, its in zip(some, wanted, strict=True):
            assert_array_equal(ours, its)


@pytest.mark.extra
def test_bfloat16_keeps_its_range() -> None:
    torch = pytest.importorskip("torch")
    scores = torch.tensor([[1e30, 3e30, -2e30]], dtype=torch.bfloat16)  # beyond float16
    assert_array_equal(top_k(scores, 3), [[1, 0, 2]])


@pytest.mark.parametrize("consume", ["top_k", "rank_of", "ndcg_of_scores"])
def test_a_stream_is_held_one_block_at_a_time(consume: str) -> None:
    alive: list[weakref.ref] = []

    def blocks() -> Iterator[np.ndarray]:
        for _ in range(12):
            assert sum(block() is not None for block in alive) <= 1  # the one that was yielded last
            block = np.zeros((5, 40), np.float32)
            alive.append(weakref.ref(block))
            yield block
            del block

    relevant = np.zeros((60, 1), np.int64)
    if consume == "top_k":
        top_k(blocks(), 3)
    elif consume == "rank_of":
        rank_of(blocks(), relevant[:, 0])
    else:
        ndcg_of_scores(blocks(), relevant, 3)
    assert len(alive) == 12


def test_memory_does_not_grow_with_the_users() -> None:
    peak = {}
    for users in (500, 4000):  # of 2,000 items: 4 MB and 32 MB
        scores = np.random.default_rng(0).standard_normal((users, 2000), np.float32)
        exclude = np.zeros((users, 1), np.int64)
        tracemalloc.start()
        top_k(scores, 10, exclude)
        ndcg_of_scores(scores, exclude + 1, 10)
        peak[users] = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
    assert peak[4000] < peak[500] + 4  # a second block may be under way; a bool for every score takes 8 MB


def test_torch_is_not_imported_without_a_tensor() -> None:
    code = "import sys, numpy as np; from recsim_env.evaluation.ranking import top_k; "
    code += "top_k(np.zeros((2, 3)), 1); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_float32_is_compared_as_float32() -> None:
    one = np.float32(0.1)
    scores = np.array([[one, np.nextafter(one, np.float32(1)), one, np.float32(0)]])
    assert_array_equal(top_k(scores, 4), [[1, 0, 2, 3]])
    assert_array_equal(rank_of(scores, np.array([2])).better, [1])
    assert_array_equal(rank_of(scores, np.array([2])).tied, [1])


@pytest.mark.parametrize("levels", [1, 3, 40, 10**9])
def test_the_highest_are_a_full_sort_for_any_width(levels: int) -> None:
    rng = np.random.default_rng(19)
    for num_items in (1, 7, 64, 1000, 1601):
        block = rng.integers(0, levels, (12, num_items)).astype(np.float32)
        block[0, rng.random(num_items) < 0.9] = -np.inf
        for width in {1, min(2, num_items), min(10, num_items), num_items // 2 + 1, num_items}:
            items, values = highest(block, width)
            wanted = np.argsort(-block, axis=1, kind="stable")[:, :width]
            assert_array_equal(items, wanted)
            assert_array_equal(values, np.take_along_axis(block, wanted, axis=1))


def test_expected_ndcg_of_tied_scores_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(7)
    scores = rng.integers(0, 4, (300, 25)).astype(float)  # about six items on each level
    target = rng.integers(0, 25, 300)
    truth = np.arange(25) == target[:, None]
    for k in (1, 3, 10, 25, 100):
        theirs = [ndcg_score(truth[[b]], scores[[b]], k=k) for b in range(300)]
        assert_allclose(rank_of(scores, target).ndcg(k), theirs, atol=1e-12)


def test_target_rank_is_the_mean_over_random_tie_breaking() -> None:
    rng = np.random.default_rng(8)
    scores = rng.integers(0, 3, (1, 12))
    scores[0, :4] = 1
    target, exclude, draws = np.array([2]), np.array([[5, 7, -1, 5]]), 40_000
    rank = rank_of(scores, target, exclude)
    shaken = scores + 0.5 * rng.random((draws, 12))
    lists = top_k(shaken, 5, np.repeat(exclude, draws, axis=0))
    relevant = np.full((draws, 1), 2)
    for ours, metric in ((rank.ndcg, ndcg), (rank.hit_rate, hit_rate), (rank.mrr, mrr)):
        sample = metric(lists, relevant, 5)
        assert abs(sample.mean() - ours(5)[0]) < 5 * sample.std() / math.sqrt(draws)


def test_constant_scores_are_worth_what_random_ones_are() -> None:
    rank = rank_of(np.zeros((3, 50)), np.array([0, 25, 49]))
    assert_allclose(rank.hit_rate(10), 10 / 50)
    assert_allclose(rank.mrr(50), (1 / np.arange(1, 51)).mean())
    assert_array_equal(rank.tied, 49)
    masked = rank_of(np.zeros((1, 50)), np.array([3]), np.arange(4, 34)[None])
    assert_allclose(masked.hit_rate(10), 10 / 20)


def test_target_rank_without_ties_is_the_metric_of_the_list() -> None:
    rng = np.random.default_rng(9)
    scores, target = rng.random((100, 40)).astype(np.float32), rng.integers(0, 40, 100)
    exclude = rng.integers(-1, 40, (100, 6))
    ranked = top_k(scores, 10, exclude)
    rank = rank_of(scores, target, exclude)
    assert_allclose(rank.ndcg(10), ndcg(ranked, target[:, None], 10), atol=1e-12)
    assert_array_equal(rank.hit_rate(10), hit_rate(ranked, target[:, None], 10))
    assert_allclose(rank.mrr(10), mrr(ranked, target[:, None], 10), atol=1e-12)


def test_an_excluded_target_is_a_miss_at_every_length() -> None:
    rank = rank_of(np.array([[3.0, 2.0, 1.0]]), np.array([0]), np.array([[0, 2]]))
    assert not rank.candidate[0]
    for k in (1, 3, 1000):
        assert rank.ndcg(k) == rank.hit_rate(k) == rank.mrr(k) == 0
    assert TargetRank(np.array([0]), np.array([0]), np.array([True])).mrr(1) == 1


@pytest.mark.parametrize("levels", [1, 2, 5, 10**9])
def test_top_k_is_a_full_sort_with_ties_to_the_lowest_id(
    levels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranked_lists, "BLOCK_CELLS", 100)
    rng = np.random.default_rng(10)
    scores = rng.integers(0, levels, (64, 17)) / 7 - 0.2
    exclude = rng.integers(-1, 17, (64, 9))
    exclude[0] = 3
    for k in (1, 4, 17, 20):
        ranked = top_k(scores, k, exclude)
        assert ranked.shape == (64, k)
        for b in range(64):
            left = [i for i in range(17) if i not in exclude[b]]
            wanted = sorted(left, key=lambda i, b=b: (-scores[b, i], i))[:k]
            assert list(ranked[b]) == wanted + [-1] * (k - len(wanted))


def test_nothing_given_is_changed_and_empty_batches_pass() -> None:
    scores, exclude = np.arange(6.0).reshape(1, 6), np.array([[5]])
    top_k(scores, 2, exclude)
    rank_of(scores, np.array([1]), exclude)
    assert_array_equal(scores, [[0, 1, 2, 3, 4, 5]])
    none = np.empty((0, 3), np.int64)
    assert all(metric(none, none, 2).shape == (0,) for metric in METRICS)
    assert top_k(np.empty((0, 3)), 2).shape == (0, 2)
    assert rank_of(np.empty((0, 3)), np.empty(0, np.int64)).ndcg(2).shape == (0,)
    assert np.isnan(ndcg(np.array([[0, 1]]), np.empty((1, 0), np.int64), 2)).all()


ONE = np.array([[0, 1, 2]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ndcg(ONE, ONE, 0), "k must be an integer of 1 or more, got 0"),
        (lambda: ndcg(ONE, ONE, 2.0), "k must be an integer"),
        (lambda: ndcg(ONE, ONE, True), "k must be an integer of 1 or more, got True"),
        (lambda: rank_of(ONE, np.array([0])).ndcg(0), "k must be"),
        (lambda: ndcg(ONE[0], ONE, 1), "ranked must hold integers of shape"),
        (lambda: recall(ONE, ONE.astype(float), 1), "relevant must hold integers of shape"),
        (
            lambda: mrr(ONE, np.repeat(ONE, 2, axis=0), 1),
            "relevant must have one row per row of ranked, 1, got 2",
        ),
        (lambda: mrr(ONE - 2, ONE, 1), r"ranked\[0, 0\] = -2 is not an item"),
        (
            lambda: ndcg(np.array([[1, 2], [4, 4]]), np.array([[1], [1]]), 2),
            r"ranked\[1\] holds item 4 twice",
        ),
        (lambda: ndcg(ONE, np.array([[6, -1, 6]]), 1), r"relevant\[0\] holds item 6 twice"),
        (lambda: ndcg(ONE + 2**62, ONE, 1), "item ids must be below"),
        (lambda: top_k(np.array([[1.0, np.nan]]), 1), r"scores\[0, 1\] must be finite, got nan"),
        (
            lambda: rank_of(np.array([[1.0, np.inf]]), np.array([0])),
            r"scores\[0, 1\] must be finite, got inf",
        ),
        (lambda: top_k(np.zeros(3), 1), "scores must have shape"),
        (
            lambda: top_k(np.zeros((1, 3)), 1, np.array([[3]])),
            r"exclude\[0, 0\] = 3 is not an item: .* 3 items",
        ),
        (lambda: top_k(np.zeros((1, 3)), 1, np.array([[1], [1]])), "exclude must have one row"),
        (lambda: precision(ONE, ONE, 0), "k must be"),
        (lambda: average_precision(ONE, np.array([[1, 1]]), 2), r"relevant\[0\] holds item 1 twice"),
        (
            lambda: ndcg_of_scores(np.zeros((1, 3)), np.array([[1, 1]]), 2),
            r"relevant\[0\] holds item 1 twice",
        ),
        (
            lambda: ndcg_of_scores(np.zeros((1, 3)), np.array([[3]]), 2),
            r"relevant\[0, 0\] = 3 is not an item",
        ),
        (
            lambda: ndcg_of_scores(np.zeros((2, 3)), np.array([[1]]), 2),
            "relevant must have one row per row of scores",
        ),
        (lambda: top_k(iter([]), 1), "iterator without a block"),
        (
            lambda: top_k(iter([np.zeros((2, 3)), np.zeros((2, 4))]), 1),
            r"scores\[2\] begins a block of 4 items, not 3",
        ),
        (
            lambda: top_k(iter([np.zeros((2, 3)), np.array([[0, 0, 0], [0, np.nan, 0]])]), 1),
            r"scores\[3, 1\] must be finite, got nan",
        ),
        (
            lambda: rank_of(iter([np.zeros((2, 3)), np.zeros((2, 3))]), np.array([0, 1, 2])),
            "target has 3 rows, but the blocks of scores have more",
        ),
        (
            lambda: rank_of(iter([np.zeros((2, 3))]), np.array([0, 1, 2])),
            "target must have one row .* 2, got 3",
        ),
        (lambda: top_k(np.array([["a", "b"]]), 1), "scores must hold numbers"),
        (lambda: top_k(np.array([[2**53 + 1, 0]]), 1), "at most 2"),
        (lambda: top_k(np.array([[-(2**53) - 1, 0]]), 1), "at most 2"),
        (lambda: top_k(np.zeros((1, 2), np.longdouble), 1), "scores must hold numbers of at most 64 bits"),
        (lambda: top_k(np.zeros((1, 2), complex), 1), "scores must hold numbers of at most 64 bits"),
        (lambda: rank_of(np.zeros((1, 3)), np.array([0.0])), "target must hold integers"),
        (lambda: rank_of(np.zeros((1, 3)), np.array([3])), r"target\[0\] = 3 is not an item"),
        (lambda: rank_of(np.zeros((1, 3)), np.array([-1])), r"target\[0\] = -1 is not an item"),
        (
            lambda: rank_of(np.zeros((1, 3)), np.array([1, 2])),
            "target must have one row per row of scores, 1, got 2",
        ),
    ],
)
def test_bad_input(call: Callable, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_an_item_twice_beyond_k_is_not_looked_at() -> None:
    assert ndcg(np.array([[4, 5, 5]]), np.array([[4]]), 2) == 1
