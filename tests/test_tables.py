"""Any table by a column mapping: the same log out of every format, and what is said of a bad cell."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
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
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
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
        ({"p": [0.5, 1.5, 1, 1]}, {}, "line 3: p = 1.5 is not in (0, 1]"),
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
        ("e.csv", "", "has no column 'user_id'"),
        ("e.csv", "user_id,item_id,timestamp\n", "has no rows"),
        ("e.jsonl", "", "is not one JSON object a line"),
        ("e.jsonl", '{"user_id": 1, "item_id": 2}\n', "has no field 'timestamp' in any line"),
        ("e.parquet", "", "is not a readable Parquet file"),
        ("e.txt", "user_id,item_id,timestamp\n", r"must end in \.csv, \.tsv"),
        ("e.csv", "user_id,item_id,timestamp\n1,2\n", "or is cut off"),
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
