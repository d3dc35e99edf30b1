"""Columns of times, whatever they are written as, in seconds."""

from contextlib import suppress
from datetime import datetime
from typing import Any

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.simulators.datasets.columns import Source, floats, refuse, refuse_missing

UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
LATEST = 1e11  # Unix seconds of the year 5138: larger numbers are milliseconds or finer


def times(column: Any, path: Source, name: str, unit: str = "s") -> Floats:
    """(R,) a column of times in seconds: numbers of a unit, or dates and ISO 8601 texts as Unix seconds.

    A date without a zone is taken as UTC.

    Args:
        column: of Arrow.
        path: the file, for the message.
        name: of the column.
        unit: of numbers: s, ms, us or ns.

    Raises:
        InputError: a cell is missing or no time; numbers so large that their unit must be another; the
            message has file, row and column.
    """
    import pyarrow as pa

    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        refuse_missing(column, path, name)
        column = column.cast(pa.timestamp("us"), safe=False)  # nanoseconds are beyond float64 anyway
        return np.asarray(column.cast(pa.int64()).to_numpy() / 1e6, np.float64)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        refuse_missing(column, path, name)
        column = _numbers(column)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        dates = _dates(column)
        if dates is not None:
            return dates
        _refuse_dates(column, path, name)
    if unit == "ns" and pa.types.is_integer(column.type):  # beyond 2^53: to seconds before to floats
        refuse_missing(column, path, name)
        return column.to_numpy() / 1e9
    values = floats(column, path, name, "give numbers, or dates such as 2014-04-07T10:51:09Z")
    values = values / UNITS[unit]
    if unit == "s":
        hint = "it must be milliseconds or finer: say time_unit='ms'"
        refuse(np.abs(values) > LATEST, column, path, name, "lies thousands of years away as seconds", hint)
    return values


def _numbers(column: Any) -> Any:
    """A column of texts as one of numbers, if all are; else as it is."""
    import pyarrow as pa

    for kind in (pa.int64(), pa.float64()):
        with suppress(pa.ArrowInvalid):
            return column.cast(kind)
    return column


def _refuse_dates(column: Any, path: Source, name: str) -> None:
    """Say which text is no date, where the first one is a date."""
    texts = column.to_pylist()
    if not _is_date(texts[0]):
        return
    bad = np.array([not _is_date(text) for text in texts])
    refuse(bad, column, path, name, "is no date", "write it as 2014-04-07T10:51:09Z")
    mixed = np.array([_has_zone(text) != _has_zone(texts[0]) for text in texts])
    complaint = "has no zone where others have one, or the other way round"
    refuse(mixed, column, path, name, complaint, "write all dates alike")


def _dates(column: Any) -> Floats | None:
    """(R,) Unix seconds of ISO 8601 texts, with a zone or without one; None if some are none."""
    import pyarrow as pa

    for unit, per_second in (("us", 1e6), ("ns", 1e9)):  # ns: nine digits behind the second
        for zone in (None, "UTC"):
            with suppress(pa.ArrowInvalid):
                dates = column.cast(pa.timestamp(unit, tz=zone)).cast(pa.int64())
                return np.asarray(dates.to_numpy() / per_second, np.float64)
    return None


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return not text.isdigit()


def _has_zone(text: str) -> bool:
    return datetime.fromisoformat(text).tzinfo is not None
