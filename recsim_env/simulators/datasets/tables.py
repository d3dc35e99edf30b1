"""Any table of events, by saying which of its columns is what: CSV, TSV, Parquet or JSON lines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.arrays import Bools, Floats
from recsim_env.errors import InputError, unknown_name
from recsim_env.simulators.datasets.clocks import UNITS, times
from recsim_env.simulators.datasets.columns import (
    Source,
    floats,
    further_column,
    identities,
    read_parquet_columns,
    refuse,
)
from recsim_env.simulators.datasets.interactions import Interactions, numbered
from recsim_env.simulators.datasets.text_tables import read_delimited, read_json_lines

FORMATS = {".csv": ",", ".tsv": "\t", ".parquet": "", ".jsonl": "", ".json": "", ".ndjson": ""}


def read_table(
    path: str | Path,
    *,
    user: str = "user_id",
    item: str = "item_id",
    time: str | None = "timestamp",
    time_unit: str = "s",
    clicked: str | None = None,
    reward: str | None = None,
    propensity: str | None = None,
    columns: Sequence[str] = (),
) -> Interactions:
    """Read a table of one event a row; rows may stand in any order, and ties in time keep it.

    Args:
        path: `.csv` or `.tsv` with a first line that names the columns, `.parquet`, or `.jsonl` (`.json`,
            `.ndjson`) with one object a line; text files may be gzipped (`.csv.gz`).
        user: the column of user ids: whole numbers or texts; they are numbered, `user_ids` keeps them.
        item: the column of item ids, likewise.
        time: the column of times: numbers, ISO 8601 dates (UTC where they name no zone), or None if there
            is no clock: then all times are 0, and all rows of a user tied.
        time_unit: of times that are numbers: s, ms, us or ns; `log.time` is in seconds. Any other increasing
            number, such as the position in the user's history, is read with `s`.
        clicked: the column of clicks, 0 or 1; without it all rows are clicked (a log of interactions).
        reward: the column of rewards.
        propensity: the column of the probabilities with which the policy that made the log chose the item;
            `log.log_propensity` is their logarithm.
        columns: further columns to keep, such as `rating` or `position`, in `data.columns`: numbers with nan
            for missing cells, or texts.

    Raises:
        InputError: an unknown ending or unit, no such file or column, a cell that is missing or not what
            it must be: a propensity outside (0, 1], a click other than 0 and 1. The message has file, row
            or line, and column.
    """
    path = Path(path)
    if time_unit not in UNITS:
        raise unknown_name("time_unit", time_unit, UNITS)
    kinds = {user: "text", item: "text"}
    if time is not None:
        kinds[time] = "text"
    kinds |= {name: "number" for name in (clicked, reward, propensity) if name is not None}
    kinds |= {name: "text" for name in columns if name not in kinds}
    source, found = _columns(path, kinds, columns)
    users = identities(found[user], source, user)
    items = identities(found[item], source, item)
    if len(users[1]) == 0:
        raise InputError(f"{path} has no rows")
    known: dict[str, Any] = {}
    if clicked is not None:
        known["clicked"] = flags(found[clicked], source, clicked)
    if reward is not None:
        known["reward"] = floats(found[reward], source, reward)
    if propensity is not None:
        known["log_propensity"] = log_propensities(found[propensity], source, propensity)
    return numbered(
        path.name,
        users,
        items,
        None if time is None else times(found[time], source, time, time_unit),
        clock=time or "none",
        id_columns=(user, item),
        columns={name: further_column(found[name], source, name) for name in columns},
        **known,
    )


def table_format(path: Path) -> str | None:
    """The ending that says how a table is written, without `.gz`; None if it is none that is read."""
    ending = (path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix).lower()
    return ending if ending in FORMATS and not (ending == ".parquet" and path.suffix == ".gz") else None


def _columns(path: Path, kinds: dict[str, str], further: Sequence[str]) -> tuple[Source, dict[str, Any]]:
    ending = table_format(path)
    if ending is None:
        raise InputError(f"{path} must end in {', '.join(FORMATS)}, text also in .gz: rename it")
    if ending == ".parquet":
        return path, read_parquet_columns(path, list(kinds))
    if FORMATS[ending]:
        source, found = read_delimited(path, kinds, separator=FORMATS[ending])
    else:
        source, found = read_json_lines(path, dict.fromkeys(kinds))
    for name in further:  # a text that is a number throughout is one
        if kinds[name] == "text":
            found[name] = _numbers_if_all(found[name])
    return source, found


def _numbers_if_all(column: Any) -> Any:
    import pyarrow as pa

    try:
        return column.cast(pa.float64())
    except pa.ArrowInvalid:
        return column


def flags(column: Any, source: Source, name: str) -> Bools:
    """(R,) a column of clicks.

    Raises:
        InputError: one is missing, or neither 0 nor 1; the message has file, row and column.
    """
    import pyarrow as pa

    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    values = floats(column, source, name)
    refuse((values != 0) & (values != 1), column, source, name, "is neither 0 nor 1", "mend the cell")
    return values == 1


def log_propensities(column: Any, source: Source, name: str) -> Floats:
    """(R,) logarithms of a column of probabilities.

    Raises:
        InputError: one is missing or outside (0, 1]; the message has file, row and column.
    """
    values = floats(column, source, name)
    complaint = "is not in (0, 1]: a policy that chose an item did so with some probability"
    refuse(~((values > 0) & (values <= 1)), column, source, name, complaint, "mend or drop the row")
    return np.log(values)
