"""Logs: what is refused and how, and files that come back equal, or say what is wrong with them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal

from recsim_env.errors import InputError
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_files import KEY, read_log, read_log_batches, write_log, write_logs

GOOD: dict[str, Any] = {
    "user": np.array([0, 0, 2]),
    "time": np.array([0.0, 1.0, 0.5]),
    "slate": np.array([[3, 1], [1, -1], [3, 1]]),
    "clicked": np.array([[False, True], [False, False], [True, False]]),
    "reward": np.array([1.0, 0.0, -2.5]),
    "log_propensity": np.log([0.1, 0.2, 0.3]),
    "slot_log_propensity": np.log([[0.2, 0.5], [0.2, 1.0], [0.6, 0.5]]),
    "episode": np.array([0, 0, 7]),
    "step": np.array([0, 1, 0]),
    "seed": np.array([5, 5, (1 << 64) - 1], np.uint64),
    "examined": np.array([[True, True], [True, False], [True, False]]),
    "attraction": np.array([[0.0, 0.5], [1.0, 0.0], [0.25, 0.5]]),
}


def changed(name: str, where: Any, value: Any) -> dict[str, Any]:
    column = GOOD[name].copy()
    column[where] = value
    return {**GOOD, name: column}


def assert_equal(one: Log, other: Log) -> None:
    assert one.columns().keys() == other.columns().keys()
    for name, column in one.columns().items():
        assert_array_equal(column, other.columns()[name], strict=True)
    assert one.metadata == other.metadata


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (changed("slate", (1, 1), -2), "slate[1, 1] = -2 is below -1: an empty slot is -1"),
        (changed("clicked", (1, 1), True), "clicked[1, 1] = True clicks an empty slot"),
        (changed("examined", (1, 1), True), "examined[1, 1] = True looks at an empty slot"),
        (changed("examined", (2, 0), False), "examined[2, 0] = False where clicked is True"),
        (changed("time", 2, np.nan), "time[2] = nan is not finite: mend or drop the row"),
        (changed("reward", 0, np.inf), "reward[0] = inf is not finite"),
        (changed("attraction", (0, 1), 1.5), "attraction[0, 1] = 1.5 is not in [0, 1]"),
        (
            changed("log_propensity", 1, -np.inf),
            "log_propensity[1] = -inf is not the logarithm of a positive",
        ),
        (changed("slot_log_propensity", (2, 1), 0.1), "slot_log_propensity[2, 1] = 0.1 is not the logarithm"),
        (changed("slot_log_propensity", (2, 1), np.nan), "slot_log_propensity[2, 1] = nan is not the"),
        (changed("user", 2, -1), "user[2] = -1 comes after user 0: sort by user, then time, as Log.sorted"),
        (
            changed("time", 1, -2.0),
            "time[1] = -2.0 is before time[0] = 0.0 of the same user, 0, a gap of -2.0: sort by user",
        ),
        ({**GOOD, "user": np.array([0.0, 0.0, 2.0])}, "user must hold integers, got float64"),
        (
            {**GOOD, "clicked": np.zeros((3, 2))},
            "clicked must hold bool, got float64: convert it with astype",
        ),
        ({**GOOD, "reward": np.array(["a", "b", "c"])}, "reward must hold numbers, got <U1"),
        ({**GOOD, "seed": np.zeros(2, np.uint64)}, "seed must have shape (3,), got (2,)"),
        ({**GOOD, "examined": np.zeros((3, 3), bool)}, "examined must have shape (3, 2), got (3, 3)"),
        (
            {**GOOD, "slate": np.array([1, 2, 3])},
            "slate must have shape (R, K) with K of 1 or more, got (3,)",
        ),
        (
            {**GOOD, "slate": np.zeros((3, 0), int)},
            "slate must have shape (R, K) with K of 1 or more, got (3, 0)",
        ),
    ],
)
def test_bad_columns_are_named_with_row_and_remedy(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Log(**columns)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user": np.array([5, 3, 3], np.uint64)}, r"user\[1\] = 3 comes after user 5: sort by user"),
        ({"time": np.array([9, 2, 3], np.uint32)}, r"time\[1\] = 2.0 is before time\[0\] = 9.0"),
        ({"user": np.array([1 << 63] * 3, np.uint64)}, r"user\[0\] = 9223372036854775808 does not fit int64"),
        ({"seed": np.array([1, -1, 2])}, r"seed\[1\] = -1 does not fit uint64"),
        (
            {"time": np.array([0, 1, 2**60 + 1])},
            r"time\[2\] = 1152921504606846977 does not fit float64 exactly",
        ),
        ({"episode": np.array([0, -1, 0])}, r"episode\[1\] = -1 is below 0: episodes and steps count from 0"),
    ],
)
def test_numbers_that_would_be_changed_are_refused(columns: dict[str, Any], message: str) -> None:
    good = {"user": [0, 0, 0], "time": [0, 1, 2], "slate": [[1], [2], [1]], "clicked": [[True]] * 3}
    with pytest.raises(InputError, match=message):
        Log(**{**good, **columns})


def test_lists_and_any_integers_are_kept_in_one_type() -> None:
    log = Log([0], np.array([2], np.int8), np.array([[3]], np.uint16), [[True]], seed=np.array([7]))
    types = {name: column.dtype for name, column in log.columns().items()}
    assert types == {
        "user": np.int64, "time": np.float64, "slate": np.int64, "clicked": np.bool_, "seed": np.uint64
    }  # fmt: skip


@pytest.mark.parametrize(
    ("user", "item", "time", "message"),
    [
        ([0, 0], [1.7, 2.2], [0.0, 1.0], "item must hold integers, got float64"),
        ([0.9, 0.2], [1, 2], [0.0, 1.0], "user must hold integers, got float64"),
        (["1", "2"], [1, 2], [0.0, 1.0], "user must hold integers, got <U1"),
        (
            [0, 0],
            [1, 2, 3],
            [0.0, 1.0],
            r"user, item and time must have one shape \(R,\), got .*'item': \(3,\)",
        ),
        ([0], [-1], [0.0], r"clicked\[0, 0\] = True clicks an empty slot"),
    ],
)
def test_interactions_that_would_be_changed_are_refused(
    user: Any, item: Any, time: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Log.from_interactions(user, item, time)
    with pytest.raises(InputError, match="a log has a column time: give one to sort by"):
        Log.sorted(user=np.zeros(1, int), slate=np.zeros((1, 1), int))


def test_columns_by_position_as_before() -> None:
    log = Log(*(GOOD[name] for name in ("user", "time", "slate", "clicked", "reward", "log_propensity")))
    assert log.slot_log_propensity is None
    assert list(log.columns()) == ["user", "time", "slate", "clicked", "reward", "log_propensity"]


def test_checks_that_need_to_be_asked_for() -> None:
    log = Log(**GOOD)
    log.check_items(4)
    log.check_not_after(1.0)
    log.check_no_duplicates()
    log.check_variety()
    for check, message in (
        (lambda: log.check_items(3), r"slate\[0, 0\] = 3 is not an item: the catalogue has 3 items \(0-2\)"),
        (lambda: log.check_not_after(0.7), r"time\[1\] = 1.0 is in the future, after 0.7: drop the row"),
        (lambda: log.check_users(3), "user 1 has no rows, as have 1 of 3 users: number the users anew"),
        (lambda: log.check_users(2), r"user\[2\] = 2 is not a user: there are 2 \(0-1\)"),
        (lambda: log.rows(np.array([0, 1])).check_variety(), "at least two users, got one, 0: give a longer"),
        (lambda: log.rows(np.array([], int)).check_variety(), "at least two users, got none"),
        (
            lambda: Log.from_interactions(np.arange(3), np.full(3, 8), np.zeros(3)).check_variety(),
            "at least two items, got one, 8",
        ),
    ):
        with pytest.raises(InputError, match=message):
            check()


def test_the_first_duplicate_is_named() -> None:
    user, time = np.array([1, 1, 1, 2, 2, 2]), np.array([4.0, 4, 4, 4, 4, 4])
    slate = np.array([[1, 2], [2, 1], [1, 3], [1, 2], [5, 2], [1, 2]])
    log = Log(user, time, slate, np.zeros((6, 2), bool))
    log.rows(np.arange(5)).check_no_duplicates()
    with pytest.raises(
        InputError, match=r"row 5 repeats row 3 \(user 2, time 4.0, slate \[1, 2\]\): drop it"
    ):
        log.check_no_duplicates()
    rng = np.random.default_rng(0)
    for _ in range(50):  # against a dictionary
        user, time = np.sort(rng.integers(0, 3, 20)), np.zeros(20)
        log = Log(user, time, rng.integers(0, 4, (20, 2)), np.zeros((20, 2), bool))
        seen: dict[tuple[int, ...], int] = {}
        for row in range(20):
            earlier = seen.setdefault((int(user[row]), *log.slate[row].tolist()), row)
            if earlier < row:
                with pytest.raises(InputError, match=f"row {row} repeats row {earlier} "):
                    log.check_no_duplicates()
                break
        else:
            log.check_no_duplicates()


def test_a_missing_column_says_how_to_get_it() -> None:
    log = Log(*(GOOD[name] for name in ("user", "time", "slate", "clicked")))
    assert_array_equal(Log(**GOOD).require("reward"), GOOD["reward"])
    with pytest.raises(InputError, match="log has no log_propensity: log with a policy that states its"):
        log.require("log_propensity")
    made = Log(
        **{**GOOD, "log_propensity": None}, metadata={"propensities": "CascadeTS states no propensities"}
    )
    with pytest.raises(InputError, match=r"no log_propensity \(CascadeTS states no propensities\): log with"):
        made.require("log_propensity")
    with pytest.raises(InputError, match="a log has no column 'rewards': the optional ones are reward"):
        log.require("rewards")


def test_sorted_keeps_rows_together() -> None:
    order = np.array([2, 0, 1])
    shuffled = {name: column[order] for name, column in GOOD.items()}
    assert_equal(Log.sorted(**shuffled, metadata={"a": 1}), Log(**GOOD, metadata={"a": 1}))


@pytest.mark.parametrize("names", [list(GOOD), list(GOOD)[:4], [*list(GOOD)[:4], "examined"]])
def test_a_file_comes_back_equal(tmp_path: Path, names: list[str]) -> None:
    log = Log(
        **{name: GOOD[name] for name in names}, metadata={"env_id": "X-v0", "env_args": {"slate_size": 2}}
    )
    write_log(log, tmp_path / "log.parquet")
    assert_equal(read_log(tmp_path / "log.parquet"), log)
    assert [path.name for path in tmp_path.iterdir()] == ["log.parquet"]
    empty = log.rows(np.array([], int))
    write_log(empty, tmp_path / "log.parquet")  # replaces the other
    assert_equal(read_log(tmp_path / "log.parquet"), empty)


def test_any_integer_and_layout_can_be_written(tmp_path: Path) -> None:
    slate = np.asfortranarray(GOOD["slate"].astype(np.int16))
    log = Log(GOOD["user"].astype(np.uint8), np.array([0, 1, 2]), slate, np.asfortranarray(GOOD["clicked"]))
    write_log(log, tmp_path / "log.parquet")
    back = read_log(tmp_path / "log.parquet")
    assert (back.user.dtype, back.time.dtype, back.slate.dtype) == (np.int64, np.float64, np.int64)
    assert_array_equal(back.slate, GOOD["slate"])


def test_a_file_can_be_read_by_others(tmp_path: Path) -> None:
    write_log(Log(**GOOD, metadata={"env_id": "X-v0"}), tmp_path / "log.parquet")
    table = pq.read_table(tmp_path / "log.parquet")
    assert table.column("slate").to_pylist() == GOOD["slate"].tolist()
    assert table.schema.field("slate").type.list_size == 2
    document = json.loads(table.schema.metadata[KEY])
    assert document == {"schema_version": 1, "slate_size": 2, "metadata": {"env_id": "X-v0"}}


def test_pieces_follow_each_other_and_are_sorted_as_a_whole(tmp_path: Path) -> None:
    log = Log(**GOOD)
    early, late = log.rows(np.array([0, 2])), log.rows(np.array([1]))
    assert write_logs(iter([early, late]), tmp_path / "log.parquet") == 3
    first, second = read_log_batches(tmp_path / "log.parquet")
    assert_equal(first, early)
    assert_equal(second, late)
    assert_equal(read_log(tmp_path / "log.parquet"), log)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    log, path = Log(**GOOD), tmp_path / "log.parquet"
    wide = Log.from_interactions([0], [0], [0.0])
    thin = Log(*(GOOD[name] for name in ("user", "time", "slate", "clicked")))
    path.write_text("the old file")
    for logs, message in (
        ([], "logs must hold at least one piece"),
        ([log, thin], r"logs\[1\] must have the columns of logs\[0\], but one lacks attraction"),
        ([thin, Log(wide.user, wide.time, wide.slate, wide.clicked)], r"logs\[1\] must have slates of 2"),
        ([thin, Log(*thin.columns().values(), metadata={"a": 1})], r"logs\[1\] must have the metadata of"),
        ([Log(**GOOD, metadata={"n": np.int64(3)})], "metadata must hold what JSON can hold"),
    ):
        with pytest.raises(InputError, match=message):
            write_logs(logs, path)
        assert [p.name for p in tmp_path.iterdir()] == ["log.parquet"]
        assert path.read_text() == "the old file"
    with pytest.raises(InputError, match="none is not a directory: make it"):
        write_log(log, tmp_path / "none" / "log.parquet")


def _refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_log(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_broken_files(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    assert "does not exist: write it with write_log or `recsim-env log`" in _refused(path)
    (tmp_path / "log.parquet.part").write_text("half")
    assert "but log.parquet.part does: its writing goes on or was killed" in _refused(path)
    for content in (b"", b"user,item\n1,2\n"):
        path.write_bytes(content)
        assert "is not a readable Parquet file, or is damaged" in _refused(path)
    rng = np.random.default_rng(0)
    slate = rng.integers(0, 1000, (5000, 3))
    write_log(Log(np.arange(5000), rng.random(5000), slate, rng.random((5000, 3)) < 0.5), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "is not a readable Parquet file, or is damaged" in _refused(path)
    for place in (100, len(whole) // 3, len(whole) // 2):  # one bit, in the middle of the numbers
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert "make it again" in _refused(path)


def test_every_flipped_byte_is_one_message_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    write_log(Log(**GOOD), path)
    whole, log = path.read_bytes(), read_log(path)
    for place in range(0, len(whole), 5):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            same = read_log(path)
        except InputError:
            continue
        for name, column in log.columns().items():
            assert_array_equal(same.columns()[name], column)


def test_directories_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a directory: give the path of a file for the log"):
        write_log(Log(**GOOD), tmp_path)
    assert "is a directory: give the path of a log, such as" in _refused(tmp_path)


def test_files_of_others_and_of_the_future(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"user": [1]}), path)
    assert "is Parquet, but not a log of recsim-env" in _refused(path)
    write_log(Log(**GOOD), path)
    table = pq.read_table(path)
    document = json.loads(table.schema.metadata[KEY])

    def put(table: pa.Table, **changes: Any) -> str:
        pq.write_table(table.replace_schema_metadata({KEY: json.dumps({**document, **changes})}), path)
        return _refused(path)

    assert "has log schema 2, this version knows up to 1: update recsim-env" in put(table, schema_version=2)
    for version in (0, -1):
        assert f"has log schema {version} and slates of 2, as no log has" in put(
            table, schema_version=version
        )
    assert "not a log of recsim-env" in put(table, slate_size="two")
    assert "slate is fixed_size_list<element: int64 not null>[2], not" in put(table, slate_size=3)
    assert "has no column time, but every log has" in put(table.drop_columns("time"))
    assert "has a column colour, which no log has: drop it" in put(
        table.append_column("colour", table["user"])
    )
    at = table.schema.get_field_index("reward")
    assert "reward is string, not double" in put(table.set_column(at, "reward", pa.array(["a", "b", "c"])))
    gap = pa.array([1.0, None, 2.0])
    assert "column reward has empty cells" in put(table.set_column(at, "reward", gap))
    late = table.set_column(table.schema.get_field_index("time"), "time", pa.array([9.0, 1.0, 0.0]))
    assert "row group 0: time[1] = 1.0 is before time[0] = 9.0" in put(late)


def test_validate_holds_the_columns_against_each_other() -> None:
    Log(**GOOD).validate()
    Log(**changed("slot_log_propensity", (1, 1), -3.0)).validate()  # of an empty slot: it counts for nothing
    Log(**changed("log_propensity", 2, np.float64(np.float32(np.log(0.3))))).validate()  # rounded to float32
    with pytest.raises(
        InputError, match=r"log_propensity\[1\] = -1.5 is not the sum of slot_log_propensity\[1\]"
    ):
        Log(**changed("log_propensity", 1, -1.5)).validate()
    log = Log(**{name: column.copy() for name, column in GOOD.items()})
    log.reward[1] = np.nan  # a frozen dataclass does not freeze its arrays
    with pytest.raises(InputError, match=r"reward\[1\] = nan is not finite"):
        log.validate()


def test_tied_rows_and_unique_times() -> None:
    log = Log.from_interactions([0, 0, 0, 0, 1, 1], [1, 2, 3, 4, 1, 1], [5.0, 5.0, 6.0, 6.0, 6.0, 7.0])
    assert log.tied_rows().tolist() == [True, True, True, True, False, False]
    log.validate()
    with pytest.raises(
        InputError, match=r"time\[0\] = 5.0 stands twice for user 0, in rows 0 and 1, and 66.7% of all rows"
    ):
        log.validate(unique_times=True)
    log.rows(np.array([0, 2, 4, 5])).validate(unique_times=True)
    assert log.rows(np.array([], int)).tied_rows().shape == (0,)
