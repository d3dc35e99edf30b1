"""Columns of numbers out of a Parquet file or a text table; whatever is not a number is named by its place.

Rows are counted from 0 in Parquet files (as pandas shows them) and lines from 1 in text files (as
editors show them); `text_tables` reads those.
"""

import csv
import gzip
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.log_files import damaged

NO_IDS = ("nan", "null", "none", "na", "n/a", "<na>", "nil", "")  # what programs write for a missing cell
WHOLE = r"^(0|-?[1-9][0-9]*)(\.0+)?$"
MEND = "mend or drop the row"


@dataclass(frozen=True)
class TextFile:
    """A text file of one row a line, and where its rows stand."""

    path: Path
    header: bool  # whether the first line names the columns
    separator: str | None = None  # where cells may be quoted, and so go over several lines

    def __str__(self) -> str:
        return str(self.path)

    def place(self, row: int) -> str:
        """The line that a row begins in; empty lines are no rows."""
        with open_text(self.path) as file:
            line = next((n for i, n in enumerate(self._begins(file)) if i == row + self.header), None)
        return f"{self.path}, line {row + 1 + self.header if line is None else line}"

    def _begins(self, file: TextIO) -> Iterator[int]:
        if self.separator is None:
            yield from (number for number, line in enumerate(file, 1) if line.strip("\r\n"))
            return
        reader, before = csv.reader(file, delimiter=self.separator), 0
        for cells in reader:
            if cells:
                yield before + 1
            before = reader.line_num


def open_text(path: Path, encoding: str = "utf-8") -> TextIO:
    """A text file, plain or gzipped; bytes that are no text are replaced."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding=encoding, errors="replace", newline="")
    return path.open(encoding=encoding, errors="replace", newline="")


Source = Path | TextFile


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
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            names = file.schema_arrow.names
            check_names(path, required, names)
            wanted = [name for name in (*required, *optional) if name in names]
            table = file.read(columns=wanted)
            table.validate(full=True)  # texts that are no UTF-8 would fail only where they are looked at
    except InputError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: names that are no text
        raise damaged(path, error) from error
    return {name: table.column(name) for name in wanted}


def parquet_names(path: Path) -> list[str]:
    """The names of a Parquet file's columns.

    Raises:
        InputError: the file is missing or is not Parquet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise damaged(path, error) from error


def check_names(path: Path, wanted: Sequence[str], names: Sequence[str]) -> None:
    """Refuse a table that lacks one of the columns that are wanted, or has it twice."""
    shown = ", ".join(name if name.isprintable() and name == name.strip() else repr(name) for name in names)
    for name in wanted:
        if name not in names:
            raise InputError(
                f"{path} has no column {name!r}: its columns are {shown}; say which one it is, by read_table "
                "or by --user, --item and --time of `recsim-env data`"
            )
        if list(names).count(name) > 1:
            raise InputError(f"{path} has the column {name!r} twice: rename one of {shown}")


def integers(column: Any, path: Source, name: str) -> Ints:
    """(R,) a column of ids: whole numbers, kept exactly up to 2^63 - 1 where they are written as integers.

    Raises:
        InputError: a cell is missing, not a number, not whole, or too large; the message has file, row and
            column, and how ids of another kind are numbered.
    """
    import pyarrow as pa

    refuse_missing(column, path, name)
    remedy = f"number the ids, alike in all files, such as df.{name} = pandas.factorize(df.{name})[0]"
    if pa.types.is_integer(column.type):
        ids = column.to_numpy()
        refuse(ids > np.iinfo(np.int64).max, column, path, name, "is beyond 2^63 - 1, too large", remedy)
        return np.asarray(ids, np.int64)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        try:
            return np.asarray(column.cast(pa.int64()).to_numpy())
        except pa.ArrowInvalid:  # not integers, but perhaps 7.0
            pass
    values = floats(column, path, name, remedy)
    refuse(values != np.floor(values), column, path, name, "is not a whole number", remedy)
    return values.astype(np.int64)


def floats(column: Any, path: Source, name: str, remedy: str = "") -> Floats:
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

    refuse_missing(column, path, name)
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = np.asarray(column.to_numpy(), np.float64)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        try:
            values = np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
        except pa.ArrowInvalid:  # slow, and only to say which cell it is
            values = np.array([_number(text) for text in column.to_pylist()], np.float64)
    else:
        hint = "convert it to Unix seconds" if pa.types.is_temporal(kind) else "convert it to numbers"
        raise InputError(f"{path}: column {name!r} holds {kind}, not numbers: {remedy or hint}")
    refuse(~np.isfinite(values), column, path, name, "is not a number", remedy or MEND)
    hint = "convert the column to Unix seconds" if name == "timestamp" else MEND
    refuse(np.abs(values) > 2.0**53, column, path, name, "is beyond 2^53, too large", remedy or hint)
    return values


def _number(text: str) -> float:
    try:
        return float("nan" if "_" in text else text)  # Python takes 1_000 for a number, nobody else does
    except ValueError:
        return float("nan")


def identities(column: Any, path: Source, name: str) -> tuple[Array, Ints]:
    """The distinct ids of a column, sorted, and each row's place among them: (distinct,), (R,).

    Whole numbers are ids in their order, and so are texts that all are whole numbers as one writes them
    (`7`, not `007`; ` 7` and `7.0` are the same id); all other texts are ids in the order of the alphabet.

    Raises:
        InputError: an id is missing, which a text such as `NaN` among whole numbers says too, or neither a
            whole number nor a text; the message has file, row and column.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return dense(integers(column, path, name))
    refuse_missing(column, path, name)
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    texts, place = encoded.dictionary, encoded.indices.to_numpy(zero_copy_only=False)
    trimmed = pc.utf8_trim_whitespace(texts)
    whole = pc.match_substring_regex(trimmed, WHOLE).to_numpy(zero_copy_only=False)
    absent = pc.is_in(pc.utf8_lower(trimmed), pa.array(NO_IDS, texts.type)).to_numpy(zero_copy_only=False)
    if not (whole | absent).all():  # names: somebody may be called Null, but nobody has no name
        absent = pc.equal(trimmed, "").to_numpy(zero_copy_only=False)
    refuse(absent[place], column, path, name, "is no id")
    distinct: Array = np.array(texts.to_pylist(), dtype=object)
    if whole.all():
        with suppress(pa.ArrowInvalid):  # beyond 2^63 - 1: ids all the same, as texts
            distinct = pc.replace_substring_regex(trimmed, r"\.0+$", "").cast(pa.int64()).to_numpy()
    sorted_ids, rank = np.unique(distinct, return_inverse=True)
    return sorted_ids, rank.reshape(-1)[place].astype(np.int64)


def further_column(column: Any, path: Source, name: str) -> Array:
    """(R,) a column beside the log: numbers as float64, nan where missing; all else as texts, None there.

    Raises:
        InputError: a number that is not finite, or cells that are neither numbers nor texts; the message
            has file, row and column.
    """
    import pyarrow as pa

    kind = column.type
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if not (numeric or pa.types.is_boolean(kind)):
        try:
            return np.array(column.cast(pa.string()).to_pylist(), dtype=object)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            message = f"{path}: column {name!r} holds {kind}, neither numbers nor texts: leave it out"
            raise InputError(message) from None
    values = np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
    bad = ~np.isfinite(values) & ~column.is_null().to_numpy()
    refuse(bad, column, path, name, "is not a finite number")
    return values


def dense(ids: Ints) -> tuple[Ints, Ints]:
    """The sorted distinct ids, and each row's place among them: (distinct,), (R,)."""
    distinct, place = np.unique(ids, return_inverse=True)
    return distinct, place.astype(np.int64)


def refuse_missing(column: Any, path: Source, name: str) -> None:
    """Raise InputError for the first missing cell of an Arrow column, if there is one."""
    if column.null_count:
        refuse(column.is_null().to_numpy(), column, path, name, "is missing")


def refuse(
    bad: Bools | Array, column: Any, path: Source, name: str, complaint: str, remedy: str = MEND
) -> None:
    """Raise InputError for the first bad cell of an Arrow column, if there is one."""
    if np.any(bad):
        row = int(np.argmax(bad))
        found = "" if complaint == "is missing" else f" = {column[row].as_py()!r}"
        place = path.place(row) if isinstance(path, TextFile) else f"{path}, row {row}"
        raise InputError(f"{place}: {name}{found} {complaint}: {remedy}")
