"""Columns out of text files: tables with a separator, and one JSON object a line; plain or gzipped.

They come as Arrow columns, which `columns` turns into numbers and ids. A file that is cut off inside a line
or inside its compression is refused, and so is a table whose last line does not end: its last cell may be
half of one. A file that is cut off at the end of a line looks whole: compare the number of rows with what
its publisher states.
"""

import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

from recsim_env.errors import InputError
from recsim_env.simulators.datasets.columns import TextFile, check_names, open_text
from recsim_env.simulators.log_files import one_line

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
        InputError: no such file, no table, no such column or one that is there twice, or a file that is cut
            off.
    """
    import pyarrow as pa
    from pyarrow import csv

    source = TextFile(path, names is None, separator if quoted else None)
    if not path.is_file():
        raise InputError(f"{path} does not exist: it must hold the columns {', '.join(columns)}")
    first = _first_line(path, separator, quoted, encoding)
    if names is None:
        other = next((sign for sign in ";\t|," if len(first) == 1 and sign in first[0]), None)
        if other is not None and first[0] not in columns:
            raise InputError(
                f"{path} has cells separated by {other!r}, not {separator!r}: write it with {separator!r}, "
                f"such as pandas.read_csv(PATH, sep={other!r}).to_csv(PATH, sep={separator!r}, index=False)"
            )
        check_names(path, list(columns), first)
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
        raise _no_table(source, columns, one_line(error)) from error
    if not len(table):
        raise InputError(f"{path} has no rows")
    if path.suffix != ".gz":  # a gzipped file says by itself where it ends
        with path.open("rb") as file:
            file.seek(-1, 2)
            if file.read() not in b"\r\n":
                raise InputError(
                    f"{source.place(len(table) - 1)} does not end, so that the file may be cut off: get it "
                    "again, or end the line if it is whole"
                )
    return source, {name: table.column(name) for name in columns}


def _first_line(path: Path, separator: str, quoted: bool, encoding: str) -> list[str]:
    """The cells of the first line.

    Raises:
        InputError: the file is empty, may not be read, is cut off, or is no text in its encoding.
    """
    import csv

    with opened(path), open_text(path, encoding) as file:
        line = file.readline()
        if not line:
            raise InputError(f"{path} is empty: get it again")
        if "\ufffd" in line or "\0" in line:  # bytes that are no text were replaced
            what = "is gzipped: call it .gz" if line[0] == "\x1f" else "is no UTF-8 text: save it as UTF-8"
            raise InputError(f"{path} {what}")
        if encoding == "utf8":
            line = line.removeprefix("\ufeff")
        if not quoted:
            return line.rstrip("\r\n").split(separator)
        return next(csv.reader(chain([line], file), delimiter=separator), [])


@contextmanager
def opened(path: Path) -> Iterator[None]:
    """Says what is wrong with a file that cannot be read as text."""
    try:
        yield
    except PermissionError as error:
        raise InputError(
            f"{path} may not be read (permission denied): permit it, such as by chmod +r"
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read, or is cut off ({error}): get it again") from error


def _no_table(source: TextFile, columns: Mapping[str, str], reason: str) -> InputError:
    """What Arrow says of a table, by line."""
    number = re.search(r"Row #(\d+)", reason)
    place = source.place(int(number[1]) - 1 - source.header) if number else str(source)
    cells = re.search(r"Expected (\d+) columns, got (\d+)", reason)
    if cells:
        return InputError(
            f"{place} has {cells[2]} cells, not {cells[1]}, or is cut off: mend it, or get the file again"
        )
    if "invalid UTF8" in reason:
        return InputError(f"{place} is no UTF-8 text: save the file as UTF-8")
    if "Empty CSV file" in reason:
        return InputError(f"{source} has no rows")
    return InputError(
        f"{source} is not a table of {', '.join(columns)}, or is cut off ({reason}): get it again"
    )


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
    from pyarrow import json as arrow_json

    if not path.is_file():
        raise InputError(f"{path} does not exist: it must hold the fields {', '.join(columns)}")
    with opened(path), open_text(path) as file:
        if file.read(1).lstrip("\ufeff") == "[":
            raise InputError(
                f"{path} is one JSON array, not one object a line: write it as lines, such as "
                "pandas.read_json(PATH).to_json(PATH, orient='records', lines=True)"
            )
    arrow = {"integer": pa.int64(), "number": pa.float64(), "text": pa.string()}
    schema = pa.schema([(name, arrow[kind]) for name, kind in columns.items() if kind is not None])
    inferred = any(kind is None for kind in columns.values())
    try:
        with pa.input_stream(str(path), compression="gzip" if path.suffix == ".gz" else None) as stream:
            table = arrow_json.read_json(
                stream,
                arrow_json.ReadOptions(block_size=BLOCK, use_threads=False),
                arrow_json.ParseOptions(
                    explicit_schema=schema, unexpected_field_behavior="infer" if inferred else "ignore"
                ),
            )
        table.validate(full=True)
        found = table.column_names
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
        reason = re.sub(" in row [0-9]+$", "", one_line(error))
        place, what = _bad_line(path, columns) or (path, f"is not one JSON object a line ({reason})")
        raise InputError(f"{place} {what}, or is cut off: mend it, or get the file again") from error
    if not len(table):
        raise InputError(f"{path} has no rows")
    for name in columns:
        if name not in found or table.column(name).null_count == len(table):
            raise InputError(f"{path} has no field {name!r} in any line")
    return TextFile(path, header=False), {name: table.column(name) for name in columns}


def _bad_line(path: Path, columns: Mapping[str, str | None]) -> tuple[str, str] | None:
    """Which line Arrow stumbled over (it counts them by block), and why; None if Python reads them all."""
    expected: dict[str, type] = {n: str if kind == "text" else float for n, kind in columns.items() if kind}
    with suppress(OSError, EOFError, zlib.error), open_text(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip("\ufeff \t\r\n"):
                continue
            place = f"{path}, line {number}"
            try:
                fields = dict(json.loads(line.lstrip("\ufeff")))
            except (TypeError, ValueError):
                return place, f"is not a JSON object with {', '.join(columns)}"
            for name in columns:
                value = fields.get(name)
                kind = float if type(value) is int else type(value)
                if value is not None and expected.setdefault(name, kind) is not kind:
                    text = expected[name] is str
                    return (
                        f"{place}: {name} = {value!r}",
                        f"is no {'text' if text else 'number'} like the others",
                    )
    return None
