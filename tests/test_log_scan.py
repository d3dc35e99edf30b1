"""Logs read piece by piece: the same rows, flat memory, and nothing of a directory that is not whole."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal

from recsim_env.errors import InputError
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_files import read_log, write_log, write_logs
from recsim_env.simulators.log_scan import open_log


def _log(seed: int, rows: int = 1000) -> Log:
    rng = np.random.default_rng(seed)
    return Log.sorted(
        user=rng.integers(0, 50, rows),
        time=rng.random(rows),
        slate=rng.integers(0, 100, (rows, 3)),
        clicked=rng.random((rows, 3)) < 0.3,
        reward=rng.random(rows),
        log_propensity=-rng.random(rows),
    )


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    folder = tmp_path / "log"
    folder.mkdir()
    write_logs([_log(0), _log(1)], folder / "part-0.parquet")
    write_log(_log(2), folder / "part-1.parquet")
    return folder


def test_parts_are_one_log(parts: Path) -> None:
    found = open_log(parts)
    assert (found.num_rows, found.slate_size, len(found.paths)) == (3000, 3, 2)
    assert found.columns == ("user", "time", "slate", "clicked", "reward", "log_propensity")
    for piece_rows in (7, 300, 1 << 20):
        pieces = list(found.pieces(piece_rows=piece_rows))
        for name in found.columns:
            whole = np.concatenate([_log(seed).columns()[name] for seed in range(3)])
            assert_array_equal(np.concatenate([piece.columns()[name] for piece in pieces]), whole)
        assert all(len(piece) <= piece_rows for piece in pieces)
    alone = open_log(parts / "part-1.parquet")
    assert_array_equal(next(alone.pieces()).slate, read_log(parts / "part-1.parquet").slate)


def test_columns_and_users_are_chosen(parts: Path) -> None:
    users = np.array([7, 3, 999])
    pieces = list(open_log(parts).pieces(columns=["reward"], users=users))
    assert all(piece.log_propensity is None for piece in pieces)
    for seed, piece in enumerate(pieces):
        log = _log(seed)
        assert_array_equal(piece.reward, log.require("reward")[np.isin(log.user, users)])
    assert list(open_log(parts).pieces(users=np.array([1000]))) == []


def test_what_is_refused_at_the_door(parts: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="log has no column 'attraction': it has user, time, slate"):
        open_log(parts).pieces(columns=["attraction"])
    with pytest.raises(InputError, match="piece_rows must be at least 1, got 0"):
        open_log(parts).pieces(piece_rows=0)
    with pytest.raises(InputError, match="does not exist"):
        open_log(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no \*\.parquet"):
        open_log(tmp_path / "empty")


def test_a_directory_that_is_not_whole_gives_no_number(parts: Path) -> None:
    last = parts / "part-1.parquet"
    whole = last.read_bytes()
    last.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"part-1.parquet is not a readable Parquet file, or is damaged"):
        open_log(parts)
    last.write_bytes(whole)
    (parts / "part-2.parquet.part").write_bytes(b"")
    with pytest.raises(InputError, match=r"part-2.parquet.part is half a part: its writing goes on or was"):
        open_log(parts)


def test_parts_that_differ_are_named(parts: Path) -> None:
    log, path = _log(3), parts / "part-2.parquet"
    one, two, three = log.slate[:, :1], log.clicked[:, :1], log.require("reward")
    for other, message in (
        (
            Log(log.user, log.time, one, two, three, log.log_propensity),
            "slate size of .*part-0.parquet, 3, got 1",
        ),
        (Log(log.user, log.time, log.slate, log.clicked), "part-2.parquet must have the columns of"),
        (Log(**log.columns(), metadata={"policy": "B"}), "must have the metadata of"),  # type: ignore[arg-type]
    ):
        write_log(other, path)
        with pytest.raises(InputError, match=message):
            open_log(parts)


def test_a_damaged_piece_is_named_when_it_is_reached(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    write_logs([_log(0, 5000), _log(1, 5000)], path)
    whole = path.read_bytes()
    place = int(len(whole) * 0.9)
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    pieces = open_log(path).pieces()
    assert_array_equal(next(pieces).slate, _log(0, 5000).slate)
    with pytest.raises(InputError, match=r"log.parquet is not a readable Parquet file, or is damaged"):
        next(pieces)


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    rows = write_logs((_log(seed, 100_000) for seed in range(20)), path)
    script = f"""
import resource
from recsim_env.simulators.log_scan import open_log
parts = open_log({str(path)!r})
rows, peaks = 0, []
for number, piece in enumerate(parts.pieces(piece_rows=50_000)):
    rows += len(piece)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(rows, peaks[4], peaks[-1])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    counted, early, late = map(int, done.stdout.split())
    assert counted == rows
    assert (late - early) / 1024 < 30  # MB; the log itself takes 160 in memory


def test_users_that_are_no_ids_are_refused_at_the_call(parts: Path) -> None:
    for users, message in (
        (np.array(["a"]), "users must hold integers"),
        (np.array([1.0]), "users must hold integers, got float64: convert it with astype"),
    ):
        with pytest.raises(InputError, match=message):
            open_log(parts).pieces(users=users)
    assert list(open_log(parts).pieces(users=np.array([], int))) == []


def test_a_bad_cell_is_named_by_part_row_group_and_row(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    write_logs([_log(0), _log(1)], path)
    table = pq.read_table(path)
    reward = table["reward"].to_numpy().copy()
    reward[1700] = np.nan  # row 700 of the second group
    table = table.set_column(table.schema.get_field_index("reward"), "reward", pa.array(reward))
    pq.write_table(table.cast(pq.read_schema(path)), path, row_group_size=1000)
    with pytest.raises(
        InputError, match=r"log.parquet, row group 1, rows from 600: reward\[100\] = nan is not"
    ):
        list(open_log(path).pieces(piece_rows=300))
    assert len(list(open_log(path).pieces(columns=[]))) == 2  # what is not asked for is not read
