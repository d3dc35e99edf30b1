"""Leave-one-out, leave-last-basket-out, by a date, and by user."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from recsim_env.errors import InputError
from recsim_env.simulators.log import Log
from recsim_env.simulators.splits import (
    HeldOut,
    leave_last_basket_out,
    leave_one_out,
    shuffle_ties,
    split_by_time,
    split_by_user,
)


def _log(rows: list[tuple[int, int, float]]) -> Log:
    user, item, time = (np.array(column) for column in zip(*rows, strict=True))
    return Log.from_interactions(user, item, time)


# user 4 has one event, user 9 a last basket of two lines and buys item 1 again, user 12 one basket only
ROWS = [(2, 5, 0.0), (2, 7, 3.0), (2, 6, 1.0), (4, 3, 0.0), (9, 1, 0.0), (9, 2, 8.0), (9, 1, 8.0)]
ONE_BASKET = [(12, 8, 4.0), (12, 9, 4.0)]


def test_the_last_event_is_held_out() -> None:
    split = leave_one_out(_log(ROWS))
    assert_array_equal(split.user, [2, 9])
    assert_array_equal(split.history, [[5, 6], [1, 2]])
    assert_array_equal(split.relevant, [[7], [1]])
    assert_array_equal(split.target, [7, 1])
    assert_array_equal(split.gaps, [[1, 2], [8, 0]])
    assert split.tied_share == 0.5  # for user 9 the order of the rows decided
    assert_array_equal(split.train.user, [2, 2, 4, 9, 9])
    assert_array_equal(split.train.slate[:, 0], [5, 6, 3, 1, 2])


def test_histories_are_padded_on_the_left() -> None:
    split = leave_one_out(_log([(0, 1, 0), (0, 2, 1), (1, 3, 0), (1, 4, 1), (1, 5, 2), (1, 6, 3)]))
    assert_array_equal(split.history, [[-1, -1, 1], [3, 4, 5]])


def test_the_last_basket_is_held_out_whole() -> None:
    split = leave_last_basket_out(_log(ROWS + ONE_BASKET))
    assert_array_equal(split.user, [2, 9])
    assert_array_equal(split.history, [[5, 6], [-1, 1]])
    assert_array_equal(split.gaps, [[1, 2], [0, 8]])
    assert_array_equal(split.relevant, [[7, -1], [1, 2]])
    assert split.tied_share == 0.5
    assert_array_equal(split.train.user, [2, 2, 4, 9, 12, 12])
    with pytest.raises(InputError, match="target needs one held-out item per user, but up to 2 are"):
        _ = split.target


def test_a_basket_with_an_item_twice_names_it_once() -> None:
    split = leave_last_basket_out(_log([(0, 1, 0), (0, 3, 5), (0, 2, 5), (0, 3, 5)]))
    assert_array_equal(split.relevant, [[2, 3]])


def test_without_ties_both_rules_agree_and_nothing_is_lost() -> None:
    rng = np.random.default_rng(4)
    user, item = rng.integers(0, 300, 2000), rng.integers(0, 50, 2000)
    log = Log.from_interactions(user, item, rng.permutation(2000))
    one, basket = leave_one_out(log), leave_last_basket_out(log)
    for name in ("user", "history", "relevant", "tied_share"):
        assert_array_equal(getattr(one, name), getattr(basket, name))
    assert one.tied_share == 0
    rows = {(u, i, t) for u, i, t in zip(log.user, log.slate[:, 0], log.time, strict=True)}
    kept = {(u, i, t) for u, i, t in zip(one.train.user, one.train.slate[:, 0], one.train.time, strict=True)}
    assert kept < rows
    assert len(rows - kept) == len(one.user)
    for u, past, target in zip(one.user, one.history, one.target, strict=True):
        mine = log.slate[log.user == u, 0]
        assert_array_equal(past[past >= 0], mine[:-1])
        assert target == mine[-1]


def test_twice_leaves_two_out() -> None:
    split = leave_one_out(leave_one_out(_log([(0, item, item) for item in range(5)])).train)
    assert_array_equal(split.history, [[0, 1, 2]])
    assert_array_equal(split.target, [3])
    assert len(split.train) == 3


def test_all_columns_of_the_log_are_kept() -> None:
    clicked = np.ones((3, 1), np.bool_)
    reward = np.array([1.0, 2.0, 3.0])
    log = Log(np.array([0, 0, 1]), np.arange(3.0), np.array([[4], [5], [6]]), clicked, reward=reward)
    train = leave_one_out(log).train
    assert train.reward is not None
    assert_array_equal(train.reward, [1, 3])
    assert train.log_propensity is None


def test_shuffled_ties_keep_the_rows_and_the_times() -> None:
    log = _log([(user, item, item // 4) for user in range(50) for item in range(8)])
    mixed = shuffle_ties(log, 0)
    assert_array_equal(mixed.user, log.user)
    assert_array_equal(mixed.time, log.time)
    assert_array_equal(shuffle_ties(log, 0).slate, mixed.slate)
    assert (shuffle_ties(log, 1).slate != mixed.slate).any()
    baskets = mixed.slate.reshape(100, 4)
    assert_array_equal(np.sort(baskets, axis=1), log.slate.reshape(100, 4))
    last = np.bincount(leave_one_out(mixed).target, minlength=8)
    assert_array_equal(last[:4], 0)
    assert (last[4:] > 3).all()  # 12.5 each on average, standard deviation 3; 50 times item 7 before


@pytest.mark.parametrize("rule", [leave_one_out, leave_last_basket_out])
def test_bad_input(rule: Callable[[Log], HeldOut]) -> None:
    slates = Log(np.zeros(1, np.int64), np.zeros(1), np.array([[1, 2]]), np.array([[True, False]]))
    with pytest.raises(InputError, match="got slates of 2 with 1 slots not clicked"):
        rule(slates)
    with pytest.raises(InputError, match="log must have a user with two events"):
        rule(_log([(0, 1, 0), (1, 1, 0)]))
    with pytest.raises(InputError, match="log must have a user with two events"):
        rule(Log.from_interactions(np.empty(0), np.empty(0), np.empty(0)))


def test_a_date_splits_all_users_alike() -> None:
    parts = split_by_time(_log(ROWS), at=3.0)
    assert_array_equal(parts.train.slate[:, 0], [5, 6, 3, 1])
    assert_array_equal(parts.test.slate[:, 0], [7, 2, 1])
    assert parts.boundary == 3.0
    assert parts.tied_share == pytest.approx(1 / 7)
    held_out = parts.held_out()
    assert_array_equal(held_out.user, [2, 9])
    assert_array_equal(held_out.history, [[5, 6], [-1, 1]])
    assert_array_equal(held_out.relevant, [[7, -1], [1, 2]])
    assert_array_equal(held_out.gaps, [[1, 2], [0, 8]])
    assert held_out.tied_share == 0.0
    assert len(held_out.train) == 4


def test_rows_of_one_time_are_never_put_apart() -> None:
    log = _log(
        [
            (user, item, float(time))
            for user, item, time in [(0, 1, 1), (0, 2, 2), (1, 1, 2), (2, 3, 2), (3, 4, 9)]
        ]
    )
    for quantile, train in ((0.2, 1), (0.3, 1), (0.5, 1), (0.8, 4), (0.99, 4)):
        parts = split_by_time(log, quantile=quantile)
        assert len(parts.train) == train
        assert parts.train.time.max() < parts.boundary == parts.test.time.min()
    assert split_by_time(log, quantile=0.5).tied_share == pytest.approx(0.6)
    rng = np.random.default_rng(0)
    log = Log.from_interactions(rng.integers(0, 9, 1000), rng.integers(0, 9, 1000), rng.permutation(1000))
    assert len(split_by_time(log, quantile=0.8).train) == 800  # exactly, where there are no ties
    assert split_by_time(log, quantile=0.8).tied_share == pytest.approx(0.001)


def test_users_go_whole_into_one_part() -> None:
    rng = np.random.default_rng(1)
    log = Log.from_interactions(rng.integers(0, 200, 3000) * 7, rng.integers(0, 50, 3000), rng.random(3000))
    parts = split_by_user(log, test_share=0.25, seed=3)
    users = np.unique(log.user)
    train, test = np.unique(parts.train.user), np.unique(parts.test.user)
    assert len(test) == round(0.25 * len(users))
    assert_array_equal(np.sort(np.concatenate([train, test])), users)
    assert len(parts.train) + len(parts.test) == len(log)
    assert_array_equal(np.unique(split_by_user(log, test_share=0.25, seed=3).test.user), test)
    assert set(np.unique(split_by_user(log, test_share=0.25, seed=4).test.user)) != set(test)
    assert parts.tied_share == 0.0
    with pytest.raises(
        InputError, match="no user has rows in both parts: after split_by_user, hold out from"
    ):
        parts.held_out()
    assert len(leave_one_out(parts.test).user) == len(test)
    for share, size in ((1e-9, 1), (1 - 1e-9, len(users) - 1)):  # neither part is empty
        assert len(np.unique(split_by_user(log, test_share=share, seed=0).test.user)) == size


def test_splits_that_leave_nothing() -> None:
    log = _log(ROWS)
    for call, message in (
        (
            lambda: split_by_time(log, at=0.0),
            "at 0.0 leaves train without rows: the log runs from 0.0 to 8.0",
        ),
        (lambda: split_by_time(log, at=8.5), "at 8.5 leaves test without rows"),
        (lambda: split_by_time(log, at=np.nan), "at nan leaves test without rows"),
        (lambda: split_by_time(log, quantile=0.1), r"quantile 0.1 \(time 0.0\) leaves train without rows"),
        (lambda: split_by_time(log), "give either at or quantile, got at=None and quantile=None"),
        (lambda: split_by_time(log, at=1.0, quantile=0.5), "give either at or quantile"),
        (lambda: split_by_time(log, quantile=1.0), "quantile must lie between 0 and 1, got 1.0"),
        (lambda: split_by_time(log.rows(np.array([], int)), quantile=0.5), "log must have rows"),
        (lambda: split_by_user(log, test_share=0.0, seed=0), "test_share must lie between 0 and 1, got 0.0"),
        (
            lambda: split_by_user(log.rows(log.user == 2), test_share=0.5, seed=0),
            "two users or more .* got 1",
        ),
    ):
        with pytest.raises(InputError, match=message):
            call()


def _rows(log: Log) -> list[tuple[int, float, int]]:
    return list(zip(log.user.tolist(), log.time.tolist(), log.slate[:, 0].tolist(), strict=True))


@pytest.mark.parametrize("seed", range(12))
def test_splits_of_random_logs_by_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size, times = int(rng.integers(2, 400)), int(rng.integers(1, 30))  # few times: nearly all rows are tied
    log = Log.from_interactions(
        rng.integers(0, 25, size), rng.integers(0, 15, size), rng.integers(0, times, size).astype(float)
    )
    rows = _rows(log)
    histories = {u: [row for row in rows if row[0] == u] for u in sorted({row[0] for row in rows})}

    for rule in (leave_one_out, leave_last_basket_out):
        held = {}
        for u, mine in histories.items():
            last = mine[-1:] if rule is leave_one_out else [row for row in mine if row[1] == mine[-1][1]]
            if len(last) < len(mine):
                held[u] = last
        if not held:
            with pytest.raises(InputError, match="log must have a user with two events"):
                rule(log)
            continue
        split = rule(log)
        assert split.user.tolist() == list(held)
        train = [row for u, mine in histories.items() for row in mine[: len(mine) - len(held.get(u, []))]]
        assert _rows(split.train) == train  # so no row is lost and none is in both
        for u, past, relevant in zip(split.user.tolist(), split.history, split.relevant, strict=True):
            mine = histories[u]
            assert past[past >= 0].tolist() == [row[2] for row in mine[: len(mine) - len(held[u])]]
            assert relevant[relevant >= 0].tolist() == sorted({row[2] for row in held[u]})
        tied = [histories[u][-1][1] == histories[u][-2][1] for u in held]
        assert split.tied_share == pytest.approx(np.mean(tied))

    for quantile in rng.random(8):
        ordered = sorted(row[1] for row in rows)
        date = ordered[math.floor(quantile * size)]
        if date == ordered[0]:
            with pytest.raises(InputError, match="leaves train without rows"):
                split_by_time(log, quantile=quantile)
            continue
        parts = split_by_time(log, quantile=quantile)
        assert parts.boundary == date
        assert len(parts.train) <= quantile * size
        assert _rows(parts.train) == [row for row in rows if row[1] < date]  # ties are not torn
        assert _rows(parts.test) == [row for row in rows if row[1] >= date]
        assert parts.tied_share == pytest.approx(sum(row[1] == date for row in rows) / size)

    if len(histories) > 1:
        share = float(rng.uniform(0.05, 0.95))
        parts, again = (split_by_user(log, test_share=share, seed=seed) for _ in range(2))
        assert _rows(parts.test) == _rows(again.test)
        test = {row[0] for row in _rows(parts.test)}
        assert _rows(parts.test) == [row for row in rows if row[0] in test]
        assert _rows(parts.train) == [row for row in rows if row[0] not in test]
        assert abs(len(test) - share * len(histories)) <= max(0.5, 1 - share * len(histories)) + 1e-9
        fewer = log.rows(np.unique(log.user, return_index=True)[1])  # one row of every user: the same users
        assert {row[0] for row in _rows(split_by_user(fewer, test_share=share, seed=seed).test)} == test


@pytest.mark.parametrize("size", [10, 100, 1000])
def test_a_quantile_is_a_share_of_the_rows_and_not_one_more(size: int) -> None:
    log = Log.from_interactions(np.zeros(size, int), np.zeros(size, int), np.arange(size))
    for hundredths in range(100 // size or 1, 100):
        whole, rest = divmod(hundredths * size, 100)
        if whole:
            assert len(split_by_time(log, quantile=hundredths / 100).train) == whole, (hundredths, rest)
