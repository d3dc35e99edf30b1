"""Columns of numbers out of a Parquet file or a text table; whatever is not a number is named by its place.

Rows are counted from 0 in Parquet files (as pandas shows them) and lines from 1 in text files (as
editors show them).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MEND = "mend or drop the row"


def read_parquet_columns(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Any]:
    """Columns of a Parquet file as Arrow columns, by name; those of `optional` only where they exist.

    Raises:
        InputError: the file is missing, is not Parquet, or lacks a required column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise InputError(f"{path} does not exist: it must hold the columns {', '.join(required)}")
    try:
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
        missing = [name for name in required if name not in names]
        if missing:
            raise InputError(f"{path} has no column {missing[0]!r}: its columns are {', '.join(names)}")
        wanted = [name for name in (*required, *optional) if name in names]
        table = file.read(columns=wanted)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} is not a readable Parquet file ({reason}): make it again") from error
    return {name: table.column(name) for name in wanted}


def integers(column: Any, path: Path, name: str) -> Ints:
    """(R,) a column of ids: whole numbers, kept exactly up to 2^63 - 1 where they are written as integers.

    Raises:
        InputError: a cell is missing, not a number, not whole, or too large; the message has file, row and
            column, and how ids of another kind are numbered.
    """
    import pyarrow as pa

    _refuse_missing(column, path, name)
    remedy = f"number the ids, alike in all files, such as df.{name} = pandas.factorize(df.{name})[0]"
    if pa.types.is_integer(column.type):
        ids = column.to_numpy()
        _refuse(ids > np.iinfo(np.int64).max, column, path, name, "is beyond 2^63 - 1, too large", remedy)
        return np.asarray(ids, np.int64)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        try:
            return np.asarray(column.cast(pa.int64()).to_numpy())
        except pa.ArrowInvalid:  # not integers, but perhaps 7.0
            pass
    values = floats(column, path, name, remedy)
    _refuse(values != np.floor(values), column, path, name, "is not a whole number", remedy)
    return values.astype(np.int64)


def floats(column: Any, path: Path, name: str, remedy: str = "") -> Floats:
    """(R,) a column of finite numbers; numbers beyond 2^53 would be rounded and are refused too.

    Args:
        column: of Arrow.
        path: the file, for the message.
        name: of the column.
        remedy: what to do about a column that holds something else; empty for what fits any quantity.

    Raises:
        InputError: a cell is missing, not a number, or too large; the message has file, row and column.
    """
    import pyarrow as pa

    _refuse_missing(column, path, name)
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = np.asarray(column.to_numpy(), np.float64)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        values = np.array([_number(text) for text in column.to_pylist()], np.float64)
    else:
        hint = "convert it to Unix seconds" if pa.types.is_temporal(kind) else "convert it to numbers"
        raise InputError(f"{path}: column {name!r} holds {kind}, not numbers: {remedy or hint}")
    _refuse(~np.isfinite(values), column, path, name, "is not a number", remedy or MEND)
    hint = "convert the column to Unix seconds" if name == "timestamp" else MEND
    _refuse(np.abs(values) > 2.0**53, column, path, name, "is beyond 2^53, too large", remedy or hint)
    return values


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def read_text_numbers(
    path: Path, names: Sequence[str], separator: str, header: bool, usecols: Sequence[int]
) -> dict[str, Floats]:
    """Columns of numbers of a text table, by name.

    Args:
        path: the file.
        names: a name for each of the columns that are read.
        separator: one character.
        header: whether the first line names the columns.
        usecols: which columns are read, counted from 0.

    Raises:
        InputError: a cell is missing or not a number; the message has file, line and column.
    """
    import pandas as pd

    def read(dtype: type) -> "pd.DataFrame":
        return pd.read_csv(
            path,
            sep=separator,
            header=None,
            skiprows=1 if header else 0,
            usecols=list(usecols),
            dtype=dtype,
            encoding="latin-1",
        )

    try:
        table = read(np.float64)
        if not np.isfinite(table.to_numpy()).all():
            raise ValueError("not finite")
    except ValueError as failure:  # slow, and only to say which cell it is
        try:
            cells = read(str)
        except ValueError as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{path} is not a table of {', '.join(names)}: {reason}") from error
        for name, column in zip(names, usecols, strict=True):
            numbers = pd.to_numeric(cells[column], errors="coerce").to_numpy(np.float64)
            if not np.isfinite(numbers).all():
                row = int(np.argmin(np.isfinite(numbers)))
                line, cell = row + 1 + header, cells[column].iloc[row]
                found = "is missing" if pd.isna(cell) else f"= {cell!r} is not a number"
                raise InputError(f"{path}, line {line}: {name} {found}: mend or drop the line") from failure
        raise InputError(f"{path} is not a table of {', '.join(names)}: {failure}") from failure
    return {name: table[column].to_numpy(np.float64) for name, column in zip(names, usecols, strict=True)}


def dense(ids: Ints) -> tuple[Ints, Ints]:
    """The sorted distinct ids, and each row's place among them: (distinct,), (R,)."""
    distinct, place = np.unique(ids, return_inverse=True)
    return distinct, place.astype(np.int64)


def _refuse_missing(column: Any, path: Path, name: str) -> None:
    if column.null_count:
        _refuse(column.is_null().to_numpy(), column, path, name, "is missing")


def _refuse(
    bad: Bools | Array, column: Any, path: Path, name: str, complaint: str, remedy: str = MEND
) -> None:
    if np.any(bad):
        row = int(np.argmax(bad))
        found = "" if complaint == "is missing" else f" = {column[row].as_py()!r}"
        raise InputError(f"{path}, row {row}: {name}{found} {complaint}: {remedy}")
