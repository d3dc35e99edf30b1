"""Any table by a column mapping: the same log out of every format, and what is said of a bad cell."""

import gzip
import json
import os
import sys
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from recsim_env.errors import InputError
from recsim_env.simulators.datasets import read_dataset, read_table

ROWS: dict[str, list[Any]] = {
    "who": ["bob", "ann", "bob", "ann"],
    "song": [12, 7, 7, 12],
    "at": [30.0, 20.5, 10.0, 20.5],
    "hit": [1, 0, 1, 1],
    "p": [0.5, 0.25, 1.0, 0.125],
    "stars": [4.0, None, 2.5, 1.0],
}
MAPPING: dict[str, Any] = {"user": "who", "item": "song", "time": "at", "clicked": "hit", "propensity": "p"}


def _write(path: Path, rows: dict[str, list[Any]] = ROWS) -> Path:
    frame = pd.DataFrame(rows)
    ending = path.name.removesuffix(".gz").rsplit(".", 1)[1]
    if ending == "parquet":
        frame.to_parquet(path)
        return path
    if ending in ("csv", "tsv"):
        text = frame.to_csv(index=False, sep="," if ending == "csv" else "\t")
    else:
        records = ({k: v for k, v in row.items() if v == v} for row in frame.to_dict("records"))
        text = "".join(json.dumps(record) + "\n" for record in records)
    path.write_bytes(gzip.compress(text.encode(), mtime=0) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize(
    "name", ["t.csv", "t.csv.gz", "t.tsv", "t.parquet", "t.jsonl", "t.json.gz", "t.ndjson"]
)
def test_every_format_gives_the_same_log(tmp_path: Path, name: str) -> None:
    data = read_table(_write(tmp_path / name), **MAPPING, reward="at", columns=["stars", "who"])
    assert data.user_ids.tolist() == ["ann", "bob"]
    assert data.item_ids.tolist() == [7, 12]
    assert_array_equal(data.log.user, [0, 0, 1, 1])
    assert_array_equal(data.log.slate, [[0], [1], [0], [1]])
    assert_array_equal(data.log.time, [20.5, 20.5, 10.0, 30.0])  # ties keep the order of the file
    assert_array_equal(data.log.clicked[:, 0], [False, True, True, True])
    assert_array_equal(data.log.reward, data.log.time)
    assert_allclose(data.log.require("log_propensity"), np.log([0.25, 0.125, 1.0, 0.5]))
    assert_array_equal(data.columns["stars"], [np.nan, 1.0, 2.5, 4.0])
    assert data.columns["who"].tolist() == ["ann", "ann", "bob", "bob"]
    assert_array_equal(data.rows, [1, 3, 2, 0])
    assert data.id_columns == ("who", "song")
    assert data.name_row(2).startswith("row 2 (who = bob, song = 7, at = 10")


def test_ids_stay_what_they_are(tmp_path: Path) -> None:
    rows = {"user_id": ["007", "7", "10"], "item_id": ["9", "10", "-3"], "timestamp": [1, 2, 3]}
    data = read_table(_write(tmp_path / "t.csv", rows))
    assert data.user_ids.tolist() == ["007", "10", "7"]  # 007 is not 7, so these are texts
    assert data.item_ids.tolist() == [-3, 9, 10]
    category = pd.DataFrame(rows).astype({"user_id": "category"})
    category.to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").user_ids.tolist() == ["007", "10", "7"]


@pytest.mark.parametrize(
    ("cells", "unit", "seconds"),
    [
        (["2014-04-07T10:51:09.277Z", "1970-01-01T01:00:00+01:00"], "s", [1396867869.277, 0.0]),
        (["2014-04-07 10:51:09", "1970-01-02"], "s", [1396867869.0, 86400.0]),
        (["1500", "-2500"], "ms", [1.5, -2.5]),
        ([1396867869277123456, 5], "ns", [1396867869.2771235, 5e-9]),
        ([3, 1], "s", [3.0, 1.0]),
    ],
)
@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_times(tmp_path: Path, name: str, cells: list[Any], unit: str, seconds: list[float]) -> None:
    rows = {"user_id": [0, 1], "item_id": [5, 6], "timestamp": cells}
    assert_allclose(
        read_table(_write(tmp_path / name, rows), time_unit=unit).log.time, seconds, rtol=1e-15, atol=1e-9
    )


def test_a_date_column_of_parquet(tmp_path: Path) -> None:
    rows = {"user_id": [0, 1], "item_id": [5, 6], "timestamp": pd.to_datetime(["2020-01-01", "2020-01-02"])}
    pd.DataFrame(rows).to_parquet(tmp_path / "t.parquet")
    assert_array_equal(read_table(tmp_path / "t.parquet").log.time, [1577836800, 1577923200])


@pytest.mark.parametrize(
    ("change", "mapping", "message"),
    [
        ({"p": [0.5, 0.0, 1, 1]}, {}, "line 3: p = 0.0 is not in (0, 1]: a policy that chose an item did so"),
        ({"p": [0.5, 1.0000001, 1, 1]}, {}, "line 3: p = 1.0000001 is not in (0, 1]"),
        ({"p": [0.5, 1, -0.1, 1]}, {}, "line 4: p = -0.1 is not in (0, 1]"),
        ({"p": [0.5, None, 1, 1]}, {}, "line 3: p is missing: mend or drop the row"),
        ({"hit": [1, 0, 2, 1]}, {}, "line 4: hit = 2.0 is neither 0 nor 1"),
        ({"who": ["bob", None, "a", "b"]}, {}, "line 3: who is missing"),
        (
            {"at": [1, 2, "soon", 4]},
            {},
            "line 4: at = 'soon' is not a number: give numbers, or dates such as",
        ),
        (
            {"at": ["2020-01-01", "2020-13-01", "2020-01-01", "2020-01-02"]},
            {},
            "line 3: at = '2020-13-01' is no date",
        ),
        (
            {"at": ["2020-01-01", "2020-01-01T00:00Z", "2020-01-01", "2020-01-02"]},
            {},
            "line 3: at = '2020-01-01T00:00Z' has no zone where others have one, or the other way round",
        ),
        (
            {"at": [1.5e12, 1, 2, 3]},
            {},
            "line 2: at = 1500000000000.0 lies thousands of years away as seconds: it",
        ),
        ({}, {"user": "name"}, "has no column 'name': its columns are who, song, at, hit, p, stars"),
        ({}, {"columns": ["genre"]}, "has no column 'genre'"),
        ({}, {"reward": "stars"}, "line 3: stars is missing"),
        ({}, {"time_unit": "minutes"}, "there is no time_unit 'minutes'"),
    ],
)
def test_bad_cells_are_named_by_line(
    tmp_path: Path, change: dict[str, Any], mapping: dict[str, Any], message: str
) -> None:
    path = _write(tmp_path / "t.csv", {**ROWS, **change})
    with pytest.raises(InputError) as caught:
        read_table(path, **{**MAPPING, **mapping})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("user_id,item_id,timestamp\n1,2,3\n\n\n1,2,x\n")
    with pytest.raises(InputError, match="line 5: timestamp = 'x' is not a number"):
        read_table(path)


def test_no_clock_and_no_table(tmp_path: Path) -> None:
    data = read_table(_write(tmp_path / "t.csv"), user="who", item="song", time=None)
    assert data.clock == "none"
    assert data.log.tied_rows().all()
    for name, content, message in (
        ("e.csv", "", "e.csv is empty: get it again"),
        ("e.csv", "user_id,item_id,timestamp\n", "has no rows"),
        ("e.jsonl", "", r"is not one JSON object a line \(Empty JSON file\), or is cut off"),
        ("e.jsonl", '{"user_id": 1, "item_id": 2}\n', "has no field 'timestamp' in any line"),
        ("e.parquet", "", "is not a readable Parquet file"),
        ("e.txt", "user_id,item_id,timestamp\n", r"must end in \.csv, \.tsv"),
        ("e.csv", "user_id,item_id,timestamp\n1,2\n", "line 2 has 2 cells, not 3, or is cut off: mend it"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match=message):
            read_table(tmp_path / name)
    with pytest.raises(InputError, match="does not exist"):
        read_table(tmp_path / "none.csv")


def test_a_parquet_file_cut_anywhere_gives_no_number(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "t.parquet", {"user_id": list(range(500)), "item_id": [1] * 500, "timestamp": [2] * 500}
    )
    whole = path.read_bytes()
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match="is not a readable Parquet file"):
            read_dataset(path)


HEAD = "user_id,item_id,timestamp\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "t.csv",
            HEAD + "1,2,3\n1,5,4",
            "line 3 does not end, so that the file may be cut off: get it again, or",
        ),
        ("t.csv", HEAD + "1,2,3,4\n", "t.csv, line 2 has 4 cells, not 3, or is cut off"),
        ("t.csv", HEAD + '\n1,"a\n\nb",3\n\n1,2\n', "t.csv, line 7 has 2 cells, not 3, or is cut off"),
        (
            "t.csv",
            HEAD + '1,"a\nb",3\n"c\n\nd",2,soon\n',
            "t.csv, line 4: timestamp = 'soon' is not a number",
        ),
        (
            "t.csv",
            HEAD.replace(",", ";"),
            "cells separated by ';', not ',': write it with ',', such as pandas.",
        ),
        ("t.tsv", HEAD, r"cells separated by ',', not '\t'"),
        (
            "t.csv",
            HEAD.replace("item_id", "song"),
            "has no column 'item_id': its columns are user_id, song, timest",
        ),
        (
            "t.csv",
            "user_id,item_id,item_id,timestamp\n1,2,2,3\n",
            "has the column 'item_id' twice: rename one of",
        ),
        (
            "t.csv",
            "user_id, item_id,timestamp\n1,2,3\n",
            "has no column 'item_id': its columns are user_id, ' item_id'",
        ),
        ("t.csv", HEAD.encode("utf-16"), "t.csv is no UTF-8 text: save it as UTF-8"),
        ("t.csv", b"caf\xe9," + HEAD.encode() + b"1,1,2,3\n", "t.csv is no UTF-8 text: save it as UTF-8"),
        (
            "t.csv",
            HEAD.encode() + b"1,2,3\n\xe9,2,3\n",
            "t.csv, line 3 is no UTF-8 text: save the file as UTF-8",
        ),
        ("t.csv", gzip.compress(HEAD.encode(), mtime=0), "t.csv is gzipped: call it .gz"),
        ("t.csv.gz", HEAD, "t.csv.gz cannot be read, or is cut off (Not a gzipped file"),
        ("t.csv.gz", gzip.compress(b"", mtime=0), "t.csv.gz is empty: get it again"),
        ("t.csv", HEAD.strip(), "t.csv has no rows"),
        ("t.csv", HEAD + "1,2,3\nNaN,2,3\n", "t.csv, line 3: user_id = 'NaN' is no id: mend or drop the row"),
        ("t.csv", HEAD + "1,null,3\n", "t.csv, line 2: item_id = 'null' is no id"),
        ("t.csv", HEAD + "ann,tea,3\n ,tea,3\n", "t.csv, line 3: user_id = ' ' is no id"),
        ("t.csv", HEAD + "1,2,1_000\n", "line 2: timestamp = '1_000' is not a number"),
        (
            "t.json",
            '[{"user_id": 1}]',
            "t.json is one JSON array, not one object a line: write it as lines, such as",
        ),
        (
            "t.jsonl",
            '{"user_id": 1, "item_id"\n',
            "t.jsonl, line 1 is not a JSON object with user_id, item_id, times",
        ),
    ],
)
def test_messy_files(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError) as caught:
        read_table(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert str(caught.value).isprintable()


def test_files_of_other_programs_are_read(tmp_path: Path) -> None:
    rows = "1,x,3\n2,y,4\n"
    for number, content in enumerate(
        (
            "\ufeff" + HEAD + rows,
            (HEAD + rows).replace("\n", "\r\n"),
            (HEAD + rows).replace("\n", "\r"),
            HEAD + "\n" + rows + "\n",
            HEAD + '"1","x","3"\n"2","y","4"\n',
            HEAD + " 1,x,3\n2.0,y, 4\n",
        )
    ):
        path = tmp_path / f"t{number}.CSV"
        path.write_bytes(content.encode())
        data = read_table(path)
        assert (data.user_ids.tolist(), data.item_ids.tolist()) == ([1, 2], ["x", "y"])
        assert_array_equal(data.log.time, [3, 4])
        assert read_dataset(path).log.user.tolist() == [0, 1]


def test_one_id_written_in_three_ways_is_one_id(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(HEAD + "7,1,3\n7.0,2,4\n 7,3,5\n10,4,6\n")
    data = read_table(path)
    assert data.user_ids.tolist() == [7, 10]
    assert data.log.user.tolist() == [0, 0, 0, 1]
    path.write_text(
        HEAD + f"{2**64},None,3\n1,Null,4\n1,tea,5\n"
    )  # names, and numbers beyond int64, are texts
    data = read_table(path)
    assert data.user_ids.tolist() == ["1", str(2**64)]
    assert data.item_ids.tolist() == ["None", "Null", "tea"]


def test_the_line_is_named_far_into_a_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"  # of several blocks of 16 MB, which end inside cells
    rows = [f'"\n{"u" * 600}{i}",{i},{i}\n' for i in range(60_000)]
    rows[-2] = "1,2\n"
    path.write_text(HEAD + "".join(rows))
    with pytest.raises(InputError, match=r"t.csv, line 119998 has 2 cells"):  # of two lines a row
        read_table(path)
    path = tmp_path / "t.jsonl"
    lines = [f'{{"user_id": {i}, "item_id": "{"x" * 600}", "timestamp": {i}}}\n' for i in range(60_000)]
    lines[-2] = lines[-2].replace("59998,", '"ann",', 1)
    path.write_text("".join(lines))
    with pytest.raises(
        InputError, match=r"t.jsonl, line 59999: user_id = 'ann' is no number like the others"
    ):
        read_table(path)


def test_a_csv_cut_anywhere_but_at_the_end_of_a_line_gives_no_number(tmp_path: Path) -> None:
    whole = (HEAD + "".join(f"{i},{i * 7},{1000 + i}\n" for i in range(9))).encode()
    path = tmp_path / "t.csv"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        if whole[size - 1 : size] == b"\n" and size > len(HEAD):
            assert len(read_table(path).log) == whole[:size].count(b"\n") - 1
            continue
        with pytest.raises(InputError):
            read_table(path)


def test_a_gzipped_file_cut_anywhere_gives_no_number(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = "".join(f"{a},{b},{c}\n" for a, b, c in rng.integers(0, 10**6, (200, 3)))
    for name, text in (
        ("t.csv.gz", HEAD + rows),
        ("t.jsonl.gz", '{"user_id":1,"item_id":2,"timestamp":3}\n' * 200),
    ):
        whole = gzip.compress(text.encode(), mtime=0)
        for size in (*range(0, len(whole), 41), *range(len(whole) - 9, len(whole))):
            (tmp_path / name).write_bytes(whole[:size])
            with pytest.raises(InputError):
                read_table(tmp_path / name)


def test_every_flipped_byte_of_a_table_is_one_message_or_a_table(tmp_path: Path) -> None:
    said: list[str] = []
    rows = {"user_id": list(range(50)), "item_id": ["a", "b"] * 25, "timestamp": [2.5] * 50}
    for name in ("t.parquet", "t.csv", "t.jsonl"):
        path = _write(tmp_path / name, rows)
        whole = path.read_bytes()
        for place in range(0, len(whole), max(len(whole) // 150, 1)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
            try:
                read_table(path)
            except InputError as error:
                said.append(str(error))
    assert len(said) > 100
    assert all(message.isprintable() for message in said)


@pytest.mark.parametrize(
    ("column", "cells", "message"),
    [
        (
            "timestamp",
            pd.to_timedelta([1, 2], unit="s"),
            "column 'timestamp' holds duration[",
        ),
        ("timestamp", [time(1), time(2)], "column 'timestamp' holds time64[us], not numbers"),
        ("timestamp", [None, None], "row 0: timestamp is missing"),
        ("user_id", [[1], [2]], "column 'user_id' holds list<element: int64>, not numbers"),
        ("user_id", ["", "b"], "row 0: user_id = '' is no id"),
        ("user_id", ["NaN", "3"], "row 0: user_id = 'NaN' is no id"),
        (
            "more",
            [[1], [2]],
            "column 'more' holds list<element: int64>, neither numbers nor texts: leave it out",
        ),
    ],
)
def test_columns_that_hold_something_else(tmp_path: Path, column: str, cells: Any, message: str) -> None:
    rows = {"user_id": [1, 2], "item_id": [3, 4], "timestamp": [5, 6], "more": [7, 8], column: cells}
    pd.DataFrame(rows).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError) as caught:
        read_table(tmp_path / "t.parquet", columns=["more"])
    assert message in str(caught.value)


def test_nanoseconds_and_decimals(tmp_path: Path) -> None:
    fine = pd.to_datetime(["2020-01-01 00:00:00.123456789", "2020-01-02 00:00:00.000000000"])
    rows = {"user_id": [0, 1], "item_id": [5, 6], "timestamp": fine, "price": [Decimal("1.25"), None]}
    pd.DataFrame(rows).to_parquet(tmp_path / "t.parquet")
    data = read_table(tmp_path / "t.parquet", columns=["price"])
    assert_allclose(data.log.time, [1577836800.123457, 1577923200], rtol=0, atol=1e-6)
    assert_array_equal(data.columns["price"], [1.25, np.nan])
    (tmp_path / "t.csv").write_text(HEAD + "0,5,2020-01-01T00:00:00.123456789Z\n1,6,2020-01-02T00:00:00Z\n")
    assert_allclose(read_table(tmp_path / "t.csv").log.time, data.log.time, rtol=0, atol=1e-6)


@pytest.mark.skipif(sys.platform == "win32" or os.getuid() == 0, reason="root may read everything")
def test_files_that_may_not_be_read(tmp_path: Path) -> None:
    for name in ("t.csv", "t.jsonl", "t.parquet"):
        path = _write(tmp_path / name, {"user_id": [1], "item_id": [2], "timestamp": [3]})
        path.chmod(0)
        with pytest.raises(InputError, match=rf"{name} may not be read \(permission denied\): permit it"):
            read_table(path)


def test_a_file_that_may_not_be_read_by_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write(tmp_path / "t.csv", {"user_id": [1], "item_id": [2], "timestamp": [3]})

    def denied(self: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(InputError, match=r"t.csv may not be read \(permission denied\): permit it"):
        read_table(path)


def test_damage_inside_a_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    rows = {"user_id": [f"user{i}" for i in range(9)], "item_id": range(9), "timestamp": range(9)}
    frame = pa.Table.from_pandas(pd.DataFrame(rows))
    plain: dict[str, Any] = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    pq.write_table(frame, path, **plain, write_page_checksum=True)
    whole = path.read_bytes()
    assert len(read_table(path).log) == 9
    path.write_bytes(whole.replace(b"user5", b"user6", 1))
    with pytest.raises(InputError, match=r"is not a readable Parquet file, or is damaged \(.*checksum"):
        read_table(path)
    pq.write_table(frame, path, **plain)  # as most programs do, without sums
    path.write_bytes(path.read_bytes().replace(b"user5", b"use\xffr", 1))
    for columns in ([], ["user_id"]):
        with pytest.raises(InputError, match=r"is not a readable Parquet file, or is damaged \(.*UTF"):
            read_table(path, columns=columns)
