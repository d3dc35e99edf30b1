"""Files that cannot be used, and what is said about them: file, row or line, and column."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recsim_env.errors import InputError
from recsim_env.simulators.datasets import read_interactions, read_ratings
from recsim_env.simulators.worlds.movielens import movielens

GOOD: dict[str, Any] = {"user_id": [1, 2], "item_id": [3, 4], "timestamp": [5, 6]}

NUMBER_ITEMS = "too large: number the ids, alike in all files, such as df.item_id = pandas.factorize("


def _write(directory: Path, **columns: Any) -> Path:
    frame = pd.DataFrame({**GOOD, **columns})
    frame.drop(columns=[name for name, cells in columns.items() if cells is None]).to_parquet(
        directory / "interactions.parquet"
    )
    return directory


def _message(source: str | Path) -> str:
    with pytest.raises(InputError) as caught:
        read_interactions(source)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item_id": [3, None]}, "row 1: item_id is missing"),
        ({"user_id": [np.nan, 2.0]}, "row 0: user_id"),
        ({"timestamp": [5.0, np.inf]}, "row 1: timestamp = inf is not a number"),
        (
            {"timestamp": [5, 9_020_051_000_000_000]},
            "row 1: timestamp = 9020051000000000 is beyond 2^53, too large: convert the column to Unix sec",
        ),
        ({"item_id": [3.0, 2.0**60]}, f"item_id = 1.152921504606847e+18 is beyond 2^53, {NUMBER_ITEMS}"),
        ({"item_id": np.array([3, 1 << 63], np.uint64)}, f"= {1 << 63} is beyond 2^63 - 1, {NUMBER_ITEMS}"),
        (
            {"user_id": ["u0", "u1"]},
            "row 0: user_id = 'u0' is not a number: number the ids, alike in all files, such as "
            "df.user_id = pandas.factorize(df.user_id)[0]",
        ),
        ({"item_id": pd.Categorical(["tea", "milk"])}, "not numbers: number the ids"),
        ({"timestamp": ["5", "noon"]}, "row 1: timestamp = 'noon' is not a number"),
        ({"item_id": [3.0, 4.5]}, "row 1: item_id = 4.5 is not a whole number: number the ids"),
        ({"timestamp": pd.to_datetime([5, 6])}, "column 'timestamp' holds timestamp"),
        ({"user_id": [True, False]}, "column 'user_id' holds bool, not numbers: number the ids"),
        ({"timestamp": [True, False]}, "column 'timestamp' holds bool, not numbers: convert it to numbers"),
        ({"timestamp": None}, "has neither a column 'timestamp' (Unix seconds) nor 'order'"),
        ({"user_id": None}, "has no column 'user_id': its columns are item_id, timestamp"),
    ],
)
def test_bad_cells_and_columns(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    said = _message(_write(tmp_path, **columns))
    assert message in said
    assert str(tmp_path / "interactions.parquet") in said


def test_numbers_written_as_text_are_numbers(tmp_path: Path) -> None:
    assert read_interactions(_write(tmp_path, timestamp=["5", "6.5"])).log.time.tolist() == [5.0, 6.5]


@pytest.mark.parametrize("cells", [np.array, lambda ids: [str(i) for i in ids]])
def test_ids_are_kept_exactly(tmp_path: Path, cells: Any) -> None:
    hashes = [2**63 - 1, 2**63 - 2]  # one number as float64
    data = read_interactions(_write(tmp_path, item_id=cells(hashes), user_id=cells([-(2**63), 2**53 + 1])))
    assert data.item_ids.tolist() == hashes[::-1]
    assert data.user_ids.tolist() == [-(2**63), 2**53 + 1]
    assert data.log.slate[:, 0].tolist() == [1, 0]
    assert read_interactions(_write(tmp_path, item_id=["7.0", "8"])).item_ids.tolist() == [7, 8]


def test_nothing_there(tmp_path: Path) -> None:
    said = _message("complete-jorney")
    assert "did you mean complete-journey?" in said
    assert "directory that holds interactions.parquet" in said
    assert "is not a directory: give one that holds interactions.parquet" in _message(tmp_path / "none")
    assert f"{tmp_path / 'interactions.parquet'} does not exist" in _message(tmp_path)


def test_not_parquet(tmp_path: Path) -> None:
    path = tmp_path / "interactions.parquet"
    path.write_text("user_id,item_id\n1,2\n")
    assert f"{path} is not a readable Parquet file" in _message(tmp_path)
    path.write_bytes(b"")
    assert f"{path} is not a readable Parquet file" in _message(tmp_path)


def test_no_rows_and_bad_titles(tmp_path: Path) -> None:
    assert "has no rows" in _message(_write(tmp_path, user_id=[], item_id=[], timestamp=[]))
    _write(tmp_path)
    pd.DataFrame({"id": [3], "title": ["tea"]}).to_parquet(tmp_path / "items.parquet")
    assert "items.parquet has no column 'item_id'" in _message(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("u.data", "1\t2\t3\t4\n1\tx\t3\t4\n", "u.data, line 2: movie = 'x' is not a number"),
        ("ratings.dat", "1::2::3::4\n1::2::::4\n", "ratings.dat, line 2: rating is missing"),
        (
            "ratings.csv",
            "userId,movieId,rating,timestamp\n1,2,nan,4\n",
            "ratings.csv, line 2: rating = nan is not a number",
        ),
        ("ratings.csv", "userId\n1\n", "ratings.csv has no column 'movieId': its columns are userId"),
        ("u.data", "", "u.data is empty: get it again"),
    ],
)
def test_bad_ratings(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        read_ratings(tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_ratings(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"holds no ratings: looked for interactions\.parquet, u\.data, ratings\.dat"
    ):
        read_ratings(tmp_path)
    with pytest.raises(InputError, match="is not a directory"):
        movielens(tmp_path / "ml-100k")
    with pytest.raises(InputError, match="has no column 'rating'"):
        movielens(_write(tmp_path))
    with pytest.raises(InputError, match=r"grouplens\.org"):
        movielens()
