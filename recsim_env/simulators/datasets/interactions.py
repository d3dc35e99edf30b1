"""Logs of interactions (purchases, plays, ratings): the shipped one by name, any other by its directory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, unknown_name
from recsim_env.simulators.datasets.columns import (
    dense,
    floats,
    further_column,
    integers,
    read_parquet_columns,
)
from recsim_env.simulators.log import Log

SHIPPED = {"complete-journey": ("complete_journey.parquet", "complete_journey_items.parquet")}
"""Name of each shipped log -> its files in this folder; their source and terms: `make_complete_journey`."""


@dataclass(frozen=True)
class Interactions:
    """A log with dense ids, and what the ids were in the source.

    Most are logs of slates of one item, all clicked: purchases, plays, ratings. Where the source tells what
    was shown and not clicked, `log.clicked` has it, and where it tells whole slates, they have K items.
    """

    name: str
    log: Log  # (R,) rows; users 0 to U-1, items 0 to N-1
    clock: str  # the column that `log.time` is, such as order or timestamp; "none" if there is no clock
    user_ids: Array  # (U,) id of each user in the source, increasing: int64, or texts
    item_ids: Array  # (N,) id of each item in the source, increasing: int64, or texts
    item_names: tuple[str, ...] | None  # (N,), or None if the source has no titles
    id_columns: tuple[str, str]  # what users and items are called in the source
    rows: Ints  # (R,) row of the source's file that each row of the log is (its first, of a slate), from 0
    columns: Mapping[str, Array] = field(default_factory=dict)  # (R, ...) what else is known: rating, ...

    @property
    def num_users(self) -> int:
        """U."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """N."""
        return len(self.item_ids)

    def name_row(self, row: int) -> str:
        """Where a row of the log stands in the source, with its cells: `row 7 (user_id = 3, ...)`."""
        log = self.log
        shown = self.item_ids[log.slate[row][log.slate[row] >= 0]].tolist()
        item = shown[0] if log.slate.shape[1] == 1 and shown else shown
        cells = [f"{self.id_columns[0]} = {self.user_ids[log.user[row]]}", f"{self.id_columns[1]} = {item}"]
        if self.clock != "none":
            cells.append(f"{self.clock} = {log.time[row]:.16g}")
        return f"row {self.rows[row]} ({', '.join(cells)})"


def numbered(
    name: str,
    user: tuple[Array, Ints],
    item: tuple[Array, Ints],
    time: Floats | None,
    *,
    clock: str,
    id_columns: tuple[str, str],
    item_names: tuple[str, ...] | None = None,
    columns: Mapping[str, Array] | None = None,
    **log_columns: Array,
) -> Interactions:
    """Interactions of columns that stand in the order of the source.

    Args:
        name: of the data set.
        user: distinct ids, and the place of each row's among them, as `identities` gives: (U,), (R,).
        item: the same of items.
        time: (R,) or None, without a clock: then all rows have the time 0, and are tied.
        clock: see `Interactions`.
        id_columns: see `Interactions`.
        item_names: see `Interactions`.
        columns: (R, ...) what else is known of the rows.
        **log_columns: (R,) columns of the log: clicked (True by default), reward, log_propensity.

    Raises:
        InputError: columns that make no log; its message counts rows by user and time.
    """
    time = np.zeros(len(user[1])) if time is None else time
    rows = _order(user[1], time)
    clicked = np.asarray(log_columns.pop("clicked", np.ones(len(rows), np.bool_)))
    given: dict[str, Any] = {key: column[rows] for key, column in log_columns.items()}
    log = Log(user[1][rows], time[rows], item[1][rows, None], clicked[rows, None], **given)
    kept = {key: column[rows] for key, column in (columns or {}).items()}
    return Interactions(name, log, clock, user[0], item[0], item_names, id_columns, rows, kept)


def _order(user: Ints, time: Floats) -> Ints:
    """(R,) the rows by user, then time, ties as they stand."""
    later = (user[1:] > user[:-1]) | ((user[1:] == user[:-1]) & (time[1:] >= time[:-1]))
    return np.arange(len(user)) if later.all() else np.lexsort((time, user))


def read_interactions(
    source: str | Path, *, prefer: str = "order", columns: Sequence[str] = ()
) -> Interactions:
    """Read a log of interactions; ids become 0 to N-1 in the order of the source's ids.

    Args:
        source: `complete-journey`, the shipped log (times in Unix seconds), or a directory that holds
            `interactions.parquet` with the columns `user_id`, `item_id` (any int64: negative ones are
            ids like others, texts can be numbered by `pandas.factorize`) and a clock: `order` (the position,
            or number of the basket, in the user's history), `timestamp` (Unix seconds) or both. Rows may
            stand in any order; ties in time keep the file's. Titles are taken
            from the columns `item_id` and `title` of `items.parquet`, if it is there.
        prefer: which clock is read where both are there: `order`, which breaks ties, or `timestamp`, which
            tells how long users stay away. `none` reads no clock, for sets that have none (play counts,
            ratings without a time): all times are 0.
        columns: further columns that are kept beside the log, such as `rating`; numbers with nan for
            missing cells, or texts.

    Raises:
        InputError: an unknown name, a missing directory, file or column, a file that is not Parquet, or
            a cell that is missing or not a number; the message has file, row and column.
    """
    if prefer not in ("order", "timestamp", "none"):
        raise InputError(f"prefer must be order, timestamp or none, got {prefer!r}")
    if isinstance(source, str) and source in SHIPPED:
        log_file, items_file = SHIPPED[source]
        folder = files("recsim_env.simulators.datasets")
        with as_file(folder / log_file) as log_path, as_file(folder / items_file) as items_path:
            return _read(source, log_path, items_path, ("user", "item"), prefer, columns)
    directory = Path(source)
    if not directory.exists() and len(directory.parts) == 1:
        error = unknown_name("data set", str(source), SHIPPED)
        raise InputError(f"{error}, or give a directory that holds interactions.parquet")
    if not directory.is_dir():
        raise InputError(
            f"{directory} is not a directory: give one that holds interactions.parquet, or a shipped name: "
            f"{', '.join(SHIPPED)}"
        )
    return _read(
        directory.resolve().name,
        directory / "interactions.parquet",
        directory / "items.parquet",
        ("user_id", "item_id"),
        prefer,
        columns,
    )


def _read(
    name: str, log_path: Path, items_path: Path, ids: tuple[str, str], prefer: str, further: Sequence[str]
) -> Interactions:
    user, item = ids
    columns = read_parquet_columns(log_path, [user, item, *further], ["order", "timestamp"])
    clock = next((clock for clock in (prefer, "order", "timestamp") if clock in columns), None)
    if prefer == "none":
        clock = None
    elif clock is None:
        raise InputError(
            f"{log_path} has neither a column 'timestamp' (Unix seconds) nor 'order': add one, or read it "
            "without a clock by prefer='none'"
        )
    if len(columns[user]) == 0:
        raise InputError(f"{log_path} has no rows")
    users = dense(integers(columns[user], log_path, user))
    items = dense(integers(columns[item], log_path, item))
    time = None
    if clock is not None:
        gaps = columns[clock].null_count
        other = "order" if clock == "timestamp" else "timestamp"
        if gaps and other in columns and columns[other].null_count == 0:
            row = int(np.argmax(columns[clock].is_null().to_numpy()))
            raise InputError(
                f"{log_path}, row {row}: {clock} is missing, as in {gaps} of {len(items[1])} rows: read the "
                f"column {other}, which is whole, by prefer={other!r}"
            )
        time = floats(columns[clock], log_path, clock)
    titles = read_titles(items_path, item, items[0])
    kept = {column: further_column(columns[column], log_path, column) for column in further}
    return numbered(
        name, users, items, time, clock=clock or "none", id_columns=ids, item_names=titles, columns=kept
    )


def read_titles(path: Path, item: str, item_ids: Array) -> tuple[str, ...] | None:
    """(N,) the titles of some items, `item 17` for one without, or None if there is no such file or column.

    Raises:
        InputError: the file is not Parquet, lacks the ids, or holds one that is not a whole number.
    """
    if not path.is_file():
        return None
    columns = read_parquet_columns(path, [item], ["title"])
    if "title" not in columns:
        return None
    ids = integers(columns[item], path, item).tolist()
    title_of = {
        i: title for i, title in zip(ids, columns["title"].to_pylist(), strict=True) if title is not None
    }
    return tuple(str(title_of.get(i, f"item {i}")) for i in item_ids.tolist())
