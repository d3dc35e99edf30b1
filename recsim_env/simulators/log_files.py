"""Logs on disk: one Parquet file, written and read in pieces that fit in memory.

A file has the columns of `Log` under their names, without nulls: user, episode and step int64, seed uint64,
time, reward and the propensities float64, and for those of shape (R, K) lists of the fixed size K. Nothing
is rounded, so what is read equals what was written. The file's metadata hold, under the key
`recsim_env.log`, a JSON object: `schema_version`, `slate_size` and `metadata`, that of the log (env_id,
policy, ...). Any Parquet reader can open it.

Every piece is a row group, sorted by user, then time; the pieces of a generated log follow each other in
time, so `read_log` sorts the whole. Compression is Zstandard over dictionaries: on CascadeRec-v0 a file is
a twentieth of what it is without, for a fifth more CPU time (`python benchmarks/logs.py`).
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.arrays import Array
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_columns import LOG_PROPENSITIES, SLATE_SHAPED, column_type

SCHEMA_VERSION = 1
KEY = b"recsim_env.log"
ROW_GROUP = 1 << 18  # rows of a piece at most
REQUIRED = ("user", "time", "slate", "clicked")
COLUMNS = tuple(name for name in Log.__dataclass_fields__ if name != "metadata")
COMPRESSION = "zstd"


def write_log(log: Log, path: str | Path) -> None:
    """Write one log; see `write_logs`."""
    write_logs([log], path)


def write_logs(logs: Iterable[Log], path: str | Path) -> int:
    """Write the pieces of a log as they come, and put the file in its place when all are there.

    Until then it is called `<path>.part`: a run that is killed, or a disk that is full, leaves the old
    file or none under the name itself.

    Args:
        logs: pieces with the same columns, slate size and metadata.
        path: of the file; one that is there is replaced.

    Returns:
        The number of rows.

    Raises:
        InputError: no piece at all, pieces that differ, metadata that JSON cannot hold, or no such
            directory.
        OSError: the file cannot be written.
    """
    import pyarrow.parquet as pq

    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is not a directory: make it, or give another path for the log")
    if path.is_dir():
        raise InputError(f"{path} is a directory: give the path of a file for the log")
    part = path.with_name(path.name + ".part")
    rows, writer, schema, first = 0, None, None, None
    try:
        for piece, log in enumerate(logs):
            if first is None:
                first, schema = log, _schema(log)
                writer = pq.ParquetWriter(
                    part,
                    schema,
                    compression=COMPRESSION,
                    use_dictionary=[_leaf(name) for name in log.columns() if name not in LOG_PROPENSITIES],
                    write_page_checksum=True,
                    write_statistics=False,
                )
            assert writer is not None
            _check_alike(first, log, piece)
            writer.write_table(_table(log, schema), row_group_size=ROW_GROUP)
            rows += len(log)
        if writer is None:
            raise InputError("logs must hold at least one piece, got none: there is nothing to write")
        writer.close()
        writer = None
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        if writer is not None:
            _abandon(writer)
        part.unlink(missing_ok=True)
        raise
    return rows


def read_log(path: str | Path) -> Log:
    """The whole log of a file, in memory, sorted by user, then time.

    Raises:
        InputError: no such file; not Parquet, cut off or damaged; not a log of this package, or one of a
            later version; the message says what to do.
    """
    pieces = list(read_log_batches(path))
    if len(pieces) == 1:
        return pieces[0]
    columns = {
        name: np.concatenate([piece.columns()[name] for piece in pieces]) for name in pieces[0].columns()
    }
    return Log.sorted(**columns, metadata=pieces[0].metadata)


def read_log_batches(path: str | Path) -> Iterator[Log]:
    """The pieces of a log, one at a time, each sorted in itself; one empty piece if there are no rows.

    Raises:
        InputError: as `read_log`, at the call or when a damaged piece is reached.
    """
    path = Path(path)
    file, metadata = open_log_file(path)
    return _pieces(path, file, metadata)


def is_log(path: Path) -> bool:
    """Whether a file is Parquet that says it holds a log; False of all that cannot be opened.

    Raises:
        InputError: the file may not be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        return False
    try:
        return KEY in (pq.read_schema(path).metadata or {})
    except PermissionError as error:
        raise damaged(path, error) from error
    except (pa.ArrowException, OSError, ValueError):
        return False


def _pieces(path: Path, file: Any, metadata: dict[str, Any]) -> Iterator[Log]:
    import pyarrow as pa

    with file:
        for piece in range(max(1, file.num_row_groups)):
            try:
                table = file.read_row_group(piece) if file.num_row_groups else file.schema_arrow.empty_table()
            except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: names that are no text
                raise damaged(path, error) from error
            columns = {name: numpy_column(path, table.column(name), name) for name in table.column_names}
            try:
                yield Log(**columns, metadata=metadata)
            except InputError as error:
                raise InputError(f"{path}, row group {piece}: {error}") from None


def _schema(log: Log) -> Any:
    import pyarrow as pa

    document = {
        "schema_version": SCHEMA_VERSION,
        "slate_size": log.slate.shape[1],
        "metadata": dict(log.metadata),
    }
    try:
        text = json.dumps(document, sort_keys=True)
    except TypeError as error:
        raise InputError(
            f"metadata must hold what JSON can hold: {error}; convert it with int, float or str"
        ) from None
    named = [pa.field(name, _type(name, log.slate.shape[1]), nullable=False) for name in log.columns()]
    return pa.schema(named, metadata={KEY: text.encode()})


def _type(name: str, slate_size: int) -> Any:
    """The Arrow type of a column."""
    import pyarrow as pa

    cell = pa.from_numpy_dtype(column_type(name))
    return pa.list_(pa.field("element", cell, nullable=False), slate_size) if name in SLATE_SHAPED else cell


def _leaf(name: str) -> str:
    """A column's name inside Parquet."""
    return f"{name}.list.element" if name in SLATE_SHAPED else name


def _table(log: Log, schema: Any) -> Any:
    """The log as Arrow sees it: numbers where they lie in memory, flags packed into bits."""
    import pyarrow as pa

    arrays = []
    for column in schema:
        values = log.columns()[column.name]
        if column.name in SLATE_SHAPED:
            flat = pa.array(np.ascontiguousarray(values).reshape(-1))
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=column.type))
        else:
            arrays.append(pa.array(np.ascontiguousarray(values)))
    return pa.Table.from_arrays(arrays, schema=schema)


def numpy_column(path: Path, column: Any, name: str) -> Array:
    """A column as NumPy sees it; without a copy where its cells are numbers that lie in one piece."""
    values = column.combine_chunks()
    slate_size = None
    if name in SLATE_SHAPED:
        slate_size, nulls = values.type.list_size, values.null_count
        values = values.flatten()
        column = values if nulls == 0 else column
    if column.null_count:
        raise InputError(f"{path}: column {name} has empty cells, and no log has any: write it again")
    flat = values.to_numpy(zero_copy_only=False)
    return np.asarray(flat if slate_size is None else flat.reshape(-1, slate_size))


def _check_alike(first: Log, log: Log, piece: int) -> None:
    differ = first.columns().keys() ^ log.columns().keys()
    if differ:
        raise InputError(f"logs[{piece}] must have the columns of logs[0], but one lacks {min(differ)}")
    if log.slate.shape[1] != first.slate.shape[1]:
        raise InputError(
            f"logs[{piece}] must have slates of {first.slate.shape[1]}, as logs[0], got {log.slate.shape[1]}"
        )
    if log.metadata != first.metadata:
        raise InputError(f"logs[{piece}] must have the metadata of logs[0], got {dict(log.metadata)}")


def _abandon(writer: Any) -> None:
    """Let go of a file that will be deleted; on a full disk even its closing fails."""
    import pyarrow as pa

    try:
        writer.close()
    except (pa.ArrowException, OSError):
        return


def open_log_file(path: Path) -> tuple[Any, dict[str, Any]]:
    """The Parquet file, and the metadata of its log."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.is_dir():
        raise InputError(
            f"{path} is a directory: give the path of a log, such as {path / 'log.parquet'}, or read a "
            "directory of parts piece by piece with log_scan.open_log"
        )
    if not path.is_file():
        part = path.with_name(path.name + ".part")
        hint = f", but {part.name} does: its writing goes on or was killed" if part.is_file() else ""
        raise InputError(f"{path} does not exist{hint}: write it with write_log or `recsim-env log`")
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        schema = file.schema_arrow
    except (pa.ArrowException, OSError, ValueError) as error:
        raise damaged(path, error) from error
    try:
        return file, _metadata(path, schema)
    except BaseException:
        file.close()
        raise


def _metadata(path: Path, schema: Any) -> dict[str, Any]:
    """What the file says about the log, once it is sure to hold one that this version can read."""
    try:
        document = json.loads((schema.metadata or {})[KEY])
        version = int(document["schema_version"])
        slate_size, metadata = int(document["slate_size"]), dict(document["metadata"])
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{path} is Parquet, but not a log of recsim-env (no {KEY.decode()} in its metadata): "
            "read a table of purchases or plays with read_interactions"
        ) from None
    if version > SCHEMA_VERSION:
        raise InputError(
            f"{path} has log schema {version}, this version knows up to {SCHEMA_VERSION}: update recsim-env"
        )
    if version < 1 or slate_size < 1:
        raise InputError(
            f"{path} has log schema {version} and slates of {slate_size}, as no log has: make it again"
        )
    for name in REQUIRED:
        if name not in schema.names:
            raise InputError(f"{path} has no column {name}, but every log has: write it with write_log")
    for column in schema:
        if column.name not in COLUMNS:
            raise InputError(f"{path} has a column {column.name}, which no log has: drop it")
        wanted = _type(column.name, slate_size)
        if column.type != wanted:
            raise InputError(f"{path}: {column.name} is {column.type}, not {wanted}: write it with write_log")
    return metadata


def damaged(path: Path, error: Exception) -> InputError:
    """What to say of a Parquet file that cannot be read."""
    if isinstance(error, PermissionError):
        return InputError(f"{path} may not be read (permission denied): permit it, such as by chmod +r")
    reason = one_line(error)
    return InputError(f"{path} is not a readable Parquet file, or is damaged ({reason}): make it again")


def one_line(error: Exception) -> str:
    """What a library says, which may quote bytes of a damaged file, as one line that can be printed."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in str(error)).split())
