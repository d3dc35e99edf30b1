"""Columns out of text files: tables with a separator, and one JSON object a line; plain or gzipped.

They come as Arrow columns, which `columns` turns into numbers and ids. A file that is cut off inside a line
or inside its compression is refused. One that is cut off at the end of a line, or inside its last number,
looks
whole: compare the number of rows with what its publisher states.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recsim_env.errors import InputError
from recsim_env.simulators.datasets.columns import TextFile, open_text

BLOCK = 1 << 24  # bytes that are parsed at once; a line must fit


def read_delimited(
    path: Path,
    columns: Mapping[str, str],
    *,
    separator: str = ",",
    names: Sequence[str] | None = None,
    quoted: bool = True,
    encoding: str = "utf8",
) -> tuple[TextFile, dict[str, Any]]:
    """Columns of a table with a separator, by name; an empty cell is a missing one.

    Args:
        path: of the file; `.gz` is unpacked on the way.
        columns: name of each column that is wanted -> how it is read: integer, number or text. A column of
            numbers that holds something else comes as text, so that `columns` can name the cell.
        separator: one character.
        names: of all columns, where the file has no first line that names them.
        quoted: whether cells may stand in double quotes, and then hold separators and ends of lines.
        encoding: of the file.

    Raises:
        InputError: no such file, no table, no such column, or a file that is cut off.
    """
    import pyarrow as pa
    from pyarrow import csv

    source = TextFile(path, header=names is None)
    if not path.is_file():
        raise InputError(f"{path} does not exist: it must hold the columns {', '.join(columns)}")
    if names is None:
        found = _header(path, separator, quoted, encoding)
        missing = [name for name in columns if name not in found]
        if missing:
            raise InputError(f"{path} has no column {missing[0]!r}: its columns are {', '.join(found)}")
    arrow = {"integer": pa.int64(), "number": pa.float64(), "text": pa.string()}

    def read(types: dict[str, Any]) -> Any:
        return csv.read_csv(
            path,
            csv.ReadOptions(column_names=names, block_size=BLOCK, encoding=encoding, use_threads=False),
            csv.ParseOptions(
                delimiter=separator, quote_char='"' if quoted else False, newlines_in_values=quoted
            ),
            csv.ConvertOptions(
                column_types=types, include_columns=list(columns), null_values=[""], strings_can_be_null=True
            ),
        )

    try:
        try:
            table = read({name: arrow[kind] for name, kind in columns.items()})
        except pa.ArrowInvalid:
            table = read(dict.fromkeys(columns, pa.string()))
    except (pa.ArrowException, OSError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path} is not a table of {', '.join(columns)}, or is cut off ({reason}): get it again"
        ) from error
    if not len(table):
        raise InputError(f"{path} has no rows")
    return source, {name: table.column(name) for name in columns}


def _header(path: Path, separator: str, quoted: bool, encoding: str) -> list[str]:
    import csv

    try:
        with open_text(path, "utf-8-sig" if encoding == "utf8" else encoding) as file:
            if quoted:
                return next(csv.reader(file, delimiter=separator), [])
            return file.readline().rstrip("\r\n").split(separator)
    except (OSError, EOFError) as error:
        raise InputError(f"{path} cannot be read, or is cut off ({error}): get it again") from error


def read_json_lines(path: Path, columns: Mapping[str, str | None]) -> tuple[TextFile, dict[str, Any]]:
    """Fields of a file with one JSON object a line, by name; other fields are passed over.

    Args:
        path: of the file; `.gz` is unpacked on the way.
        columns: name of each field that is wanted -> how it is read: integer, number or text; None takes it
            as it is written.

    Raises:
        InputError: no such file, a line that is no JSON object or has a field of another kind, no such
            field in any line, or a file that is cut off.
    """
    import pyarrow as pa
    from pyarrow import json

    if not path.is_file():
        raise InputError(f"{path} does not exist: it must hold the fields {', '.join(columns)}")
    arrow = {"integer": pa.int64(), "number": pa.float64(), "text": pa.string()}
    schema = pa.schema([(name, arrow[kind]) for name, kind in columns.items() if kind is not None])
    inferred = any(kind is None for kind in columns.values())
    try:
        with pa.input_stream(str(path), compression="gzip" if path.suffix == ".gz" else None) as stream:
            table = json.read_json(
                stream,
                json.ReadOptions(block_size=BLOCK, use_threads=False),
                json.ParseOptions(
                    explicit_schema=schema, unexpected_field_behavior="infer" if inferred else "ignore"
                ),
            )
    except (pa.ArrowException, OSError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path} is not one JSON object a line with {', '.join(columns)}, or is cut off ({reason}): "
            "get it again"
        ) from error
    if not len(table):
        raise InputError(f"{path} has no rows")
    for name in columns:
        if name not in table.column_names or table.column(name).null_count == len(table):
            raise InputError(f"{path} has no field {name!r} in any line")
    return TextFile(path, header=False), {name: table.column(name) for name in columns}
