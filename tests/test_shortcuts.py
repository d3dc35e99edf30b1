"""The shortcut report: rings by brute force, figures on real logs, and leaks that are planted in a copy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from recsim_env.agents.sequential.markov import MarkovRecommender
from recsim_env.arrays import Array
from recsim_env.errors import InputError
from recsim_env.evaluation.leaks import find_leaks
from recsim_env.evaluation.questions import ask_last, padded_history
from recsim_env.evaluation.shortcuts import history_dependence, shortcut_report
from recsim_env.evaluation.transition_graph import rings, transition_counts
from recsim_env.simulators.item_terms import attribute_features
from recsim_env.simulators.log import Log
from recsim_env.simulators.shortcut_bench import succession_law, succession_log
from recsim_env.simulators.splits import leave_one_out

DATA = Path(__file__).parents[2] / "shared" / "data"
LAW = succession_law(num_items=400, branching=6, world_seed=1)
CLEAN = succession_log(LAW, num_users=3000, length=8, seed=2)


def _log(*sequences: list[int]) -> Log:
    user = np.repeat(np.arange(len(sequences)), [len(s) for s in sequences])
    time = np.concatenate([np.arange(len(s)) for s in sequences])
    return Log.from_interactions(user, np.concatenate(sequences), time)


def test_questions_are_those_of_the_split() -> None:
    log = _log([3, 1, 4, 1], [5], [2, 6], [0, 1, 2])
    asked = ask_last(log.user)
    assert_array_equal(asked.target, [3, 6, 9])
    assert_array_equal(asked.before, [1, -1, 7])
    split = leave_one_out(log)
    assert_array_equal(padded_history(log.user, log.slate[:, 0], asked), split.history)
    assert_array_equal(log.slate[asked.target, 0], split.target)
    again = leave_one_out(split.train).train
    assert_array_equal(log.slate[asked.train], again.slate)
    with pytest.raises(InputError, match="log must have a user with two events"):
        ask_last(np.arange(3))


def test_rings_are_those_of_powers_of_the_graph() -> None:
    rng = np.random.default_rng(3)
    N = 60
    user = np.repeat(np.arange(30), 5)
    graph = transition_counts(user, rng.integers(0, N, 150), N)
    last, target = rng.integers(0, N, (2, 300))
    size, ring = rings(graph, last, target, 3)
    edge = graph.toarray() > 0
    seen, reached, level = np.eye(N, dtype=bool), edge, np.zeros((N, N), np.int64)
    for r in (1, 2, 3):
        fresh = reached if r == 1 else reached & ~seen  # an item that follows itself is in its ring 1
        level[fresh & (level == 0)] = r
        assert_array_equal(size[:, r - 1], fresh.sum(axis=1))
        seen = seen | fresh
        reached = (fresh.astype(int) @ edge) > 0
    assert_array_equal(ring, level[last, target])


def test_report_by_hand() -> None:
    """Training 0>1>2, 0>1, 1>2>3 and 4: edges 0>1 and 1>2 twice, 2>3 once."""
    log = _log([0, 1, 2, 3, 4], [0, 1, 2, 0], [1, 2, 3, 1, 1], [4])
    features = np.array([[1, 0], [1, 1], [0, 2], [0, 1], [0, 0]])
    report = shortcut_report(log, num_items=5, features={"x": features})
    assert (report.num_users, report.num_asked, report.num_events, report.num_items) == (4, 3, 15, 5)
    assert report.branching.num_edges == 3
    assert report.branching.mean == 0.6
    assert report.branching.median == 1
    assert_allclose(report.branching.seen_once, 1 / 3)
    # 3 -> 4: nothing follows 3; 2 -> 0: no; 1 -> 1: an item that does not follow itself is in no ring of its
    assert report.coverage.share == (0.0, 0.0, 0.0)
    assert_allclose(report.coverage.size, [3 / 5, 2 / 5, 1 / 5])
    assert_allclose(report.smoothness["x"].edge, (0.5**0.5 + 0.5**0.5 + 1) / 3, rtol=1e-6)
    assert_allclose(report.smoothness["x"].target, (0 + 0 + 1) / 3, atol=1e-7)
    assert report.tied_share == report.tied_targets == 0
    assert_allclose(report.repeat_share, 3 / 15)
    assert_allclose(report.repeated_targets, 2 / 3)


def test_dependence_on_history_of_a_chain() -> None:
    """A table of the last item needs one item; the second order needs two, and a sum of all needs all."""
    split = leave_one_out(CLEAN)
    markov = MarkovRecommender(order=2, num_items=400).fit(leave_one_out(split.train).train)
    curve = history_dependence(markov.scores, split.history, split.target, lengths=(1, 2, 3, 0))
    assert curve.value[1] == curve.value[2] == curve.value[3] != curve.value[0]
    assert_allclose(curve.kept(1), curve.value[0] / curve.value[3])

    def everything(history: Array) -> Array:  # knows the target by the whole history alone
        scores = np.zeros((len(history), 400))
        whole = (history == split.history[: len(history)]).all(axis=1) if history.shape[1] > 3 else False
        scores[np.arange(len(history)), split.target[: len(history)]] = np.where(whole, 1.0, -1.0)
        return scores

    few = slice(0, 50)
    curve = history_dependence(everything, split.history[few], split.target[few], lengths=(1, 0))
    assert curve.value == (0.0, 1.0)
    with pytest.raises(InputError, match="lengths must hold numbers of items"):
        history_dependence(markov.scores, split.history, split.target, lengths=(-1,))


def _alarms(log: Log, **given) -> set[str]:
    item = log.slate[:, 0]
    found = find_leaks(log.user, item, log.time, 400, **given)
    return {leak.name for leak in found if leak.alarm}


@pytest.mark.parametrize("seed", range(5))
def test_clean_data_raise_no_alarm(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for lag, smooth, branching in ((1, 1.0, 3), (1, 0.0, 20), (2, 1.0, 3), (4, 0.5, 6)):
        law = succession_law(400, branching, smooth, lag, world_seed=seed)
        log = succession_log(law, num_users=2000, length=9, seed=seed)
        popularity = rng.permutation(400.0 / np.arange(1, 401))
        columns = {"price": rng.random(400), "year": rng.integers(1950, 2020, 400), "weight": popularity}
        assert not _alarms(log, features={"x": law.features}, columns=columns)
    # a skewed catalogue, people who come back, and baskets whose lines stand in no order
    item = rng.choice(400, 20_000, p=popularity / popularity.sum())
    baskets = Log.from_interactions(rng.integers(0, 1500, 20_000), item, rng.integers(0, 6, 20_000))
    alarms = _alarms(baskets)
    assert alarms <= {"copied events"}  # popular items do stand twice in one basket here, and that is a leak


def _copy_targets_into_training(log: Log) -> Log:
    held = ask_last(log.user).target[:300]
    columns = [np.append(c, c[held]) for c in (log.user, log.slate[:, 0], log.time)]
    return Log.from_interactions(*columns)


def _targets_at_the_beginning(log: Log) -> Log:
    held = ask_last(log.user).target
    time = np.append(log.time, np.full(len(held), -1.0))
    return Log.from_interactions(
        np.append(log.user, log.user[held]), np.append(log.slate, log.slate[held]), time
    )


def _users_twice(log: Log) -> Log:
    some = log.user < 60
    columns = (np.append(log.user, log.user[some] + 10_000), np.append(log.slate, log.slate[some]))
    return Log.from_interactions(*columns, np.append(log.time, log.time[some]))


def _items_numbered_as_they_come(log: Log) -> Log:
    _, first, place = np.unique(log.slate[:, 0], return_index=True, return_inverse=True)
    number = np.argsort(np.argsort(first))
    return Log(log.user, log.time, number[place][:, None], log.clicked)


def _items_numbered_by_popularity(log: Log) -> Log:
    number = np.argsort(np.argsort(-np.bincount(log.slate[:, 0], minlength=400), kind="stable"))
    return Log(log.user, log.time, number[log.slate], log.clicked)


def _new_items_numbered_last(log: Log) -> Log:
    """Thirty items are taken out of everything but targets, and get the last numbers."""
    asked, item = ask_last(log.user), log.slate[:, 0].copy()
    rare = np.arange(370, 400)
    item = np.where(item >= 370, item - 370, item)
    item[asked.target[:300]] = np.tile(rare, 10)
    return Log(log.user, log.time, item[:, None], log.clicked)


def _ties_sorted_by_popularity(log: Log) -> Log:
    count = np.bincount(log.slate[:, 0], minlength=400)
    time = np.floor(log.time / 4)
    order = np.lexsort((-count[log.slate[:, 0]], time, log.user))
    return Log(log.user[order], time[order], log.slate[order], log.clicked)


def _ties_sorted_by_id(log: Log) -> Log:
    time = np.floor(log.time / 4)
    order = np.lexsort((log.slate[:, 0], time, log.user))
    return Log(log.user[order], time[order], log.slate[order], log.clicked)


@pytest.mark.parametrize(
    ("plant", "caught"),
    [
        (_copy_targets_into_training, "copied events"),
        (_targets_at_the_beginning, "repeated targets"),
        (_users_twice, "copied users"),
        (_items_numbered_by_popularity, "ids by popularity"),
        (_new_items_numbered_last, "ids of new items"),
        (_ties_sorted_by_popularity, "popularity in ties"),
        (_ties_sorted_by_id, "id in ties"),
    ],
)
def test_a_leak_that_is_planted_in_a_copy_is_caught(plant: Callable[[Log], Log], caught: str) -> None:
    assert not _alarms(CLEAN)
    leaks = shortcut_report(plant(CLEAN), num_items=400).leaks
    found = {leak.name: leak for leak in leaks if leak.alarm}
    assert caught in found
    assert found[caught].remedy
    assert found[caught].says


def test_ids_that_follow_sequences_are_caught_where_items_are_many() -> None:
    """As the ids of Amazon sets are made: 1, 2, 3, ... in the order in which the file of users shows them."""
    law = succession_law(4000, 8, world_seed=4)
    log = succession_log(law, num_users=4000, length=6, seed=5)
    assert not {leak.name for leak in shortcut_report(log).alarms}
    numbered = _items_numbered_as_they_come(log)
    assert {leak.name for leak in shortcut_report(numbered).alarms} >= {"ids follow sequences"}


def test_columns_and_features_that_know_the_targets_are_caught() -> None:
    asked, item = ask_last(CLEAN.user), CLEAN.slate[:, 0]
    last, target = item[asked.last], item[asked.target]
    times_a_target = np.bincount(target, minlength=400)
    of_last = np.full(400, -1)
    of_last[last] = target  # of the last user who asks with this item
    assert "column held_out" in _alarms(CLEAN, columns={"held_out": times_a_target})
    assert "column next as an id" in _alarms(CLEAN, columns={"next": of_last})
    law = succession_law(400, 6, 0.0, world_seed=1)
    log = succession_log(law, num_users=3000, length=8, seed=2)
    item = log.slate[:, 0]
    last, target = item[asked.last], item[asked.target]
    shared = sparse.csr_array((np.ones(3000), (last, np.arange(3000))), (400, 3000))
    shared = shared + sparse.csr_array((np.ones(3000), (target, np.arange(3000))), (400, 3000))
    before = _alarms(log, features={"x": law.features})
    assert not before
    assert _alarms(log, features={"x": shared}) == {"features x"}


def _attributes(name: str) -> tuple[Log, sparse.csr_array]:
    path = DATA / name / "interactions.parquet"
    if not path.exists():
        pytest.skip(f"{name} is not on this machine: {path} is missing, and may not be shipped")
    table = pq.read_table(path, columns=["user_id", "item_id", "order"])
    user, item, order = (table[c].to_numpy() for c in ("user_id", "item_id", "order"))
    ids, item = np.unique(item, return_inverse=True)
    items = pq.read_table(DATA / name / "items.parquet", columns=["item_id", "attribute_ids"])
    known = dict(zip(items["item_id"].to_pylist(), items["attribute_ids"].to_pylist(), strict=True))
    features = attribute_features([known.get(i) or [] for i in ids.tolist()])
    return Log.from_interactions(user, item, order), features


# Published counts of edges; the other figures were measured by another program, whose features leave out a
# few items of Toys: cosines there within .0015, elsewhere to the digits given.
@pytest.mark.parametrize(
    ("name", "edges", "degree", "once", "covered", "sizes", "cosines"),
    [
        (
            "amazon-beauty-2014",
            114_582,
            (9.5, 5),
            0.934,
            (0.086, 0.162, 0.318),
            (9.5, 196, 2320),
            (0.127, 0.143, 0.028),
        ),
        (
            "amazon-toys-2014",
            102_268,
            (8.6, 5),
            0.954,
            (0.081, 0.121, 0.270),
            (8.6, 146, 1613),
            (0.155, 0.186, 0.027),
        ),
    ],
)
def test_diagnostics_on_real_sequences(
    name: str,
    edges: int,
    degree: tuple[float, float],
    once: float,
    covered: tuple[float, ...],
    sizes: tuple[float, ...],
    cosines: tuple[float, ...],
) -> None:
    log, features = _attributes(name)
    report = shortcut_report(log, features={"attributes": features})
    assert report.branching.num_edges == edges
    assert (round(report.branching.mean, 1), report.branching.median) == degree
    assert round(report.branching.seen_once, 3) == once
    assert_allclose(report.coverage.share, covered, atol=5.1e-4)
    assert_allclose(report.coverage.size, sizes, atol=0.51)
    smooth = report.smoothness["attributes"]
    assert_allclose([smooth.edge, smooth.target, smooth.random], cosines, atol=1.5e-3)
    # the ids of these files were given in the order of the sequences, those of the targets too
    assert {leak.name for leak in report.alarms} == {"ids follow sequences"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: shortcut_report(_slates()), "log must hold interactions, slates of one item"),
        (
            lambda: shortcut_report(CLEAN, num_items=10),
            r"slate\[\d+, 0\] = \d+ is not an item: the catalogue has 10",
        ),
        (
            lambda: shortcut_report(CLEAN, features={"x": np.ones((3, 2))}),
            r"features must have shape \(400, D\)",
        ),
        (
            lambda: shortcut_report(CLEAN, features={"x": np.full((400, 2), np.nan)}),
            r"features\[0, 0\] = nan is not",
        ),
        (
            lambda: shortcut_report(CLEAN, columns={"c": np.ones(3)}),
            r"columns\['c'\] must hold 400 finite numbers",
        ),
        (lambda: shortcut_report(_log([1], [2])), "log must have a user with two events, got none"),
    ],
)
def test_bad_input(call: Callable, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def _slates() -> Log:
    return Log(np.zeros(1, np.int64), np.zeros(1), np.array([[1, 2]]), np.array([[True, True]]))
