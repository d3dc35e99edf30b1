"""Logs of interactions (purchases, plays, ratings): the shipped one by name, any other by its directory."""

from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from recsim_env.arrays import Ints
from recsim_env.errors import InputError, unknown_name
from recsim_env.simulators.datasets.columns import dense, floats, integers, read_parquet_columns
from recsim_env.simulators.log import Log

SHIPPED = {"complete-journey": ("complete_journey.parquet", "complete_journey_items.parquet")}
"""Name of each shipped log -> its files in this folder; their source and terms: `make_complete_journey`."""


@dataclass(frozen=True)
class Interactions:
    """A log of slates of one item, with dense ids, and what the ids were in the source."""

    name: str
    log: Log  # (R,) rows; users 0 to U-1, items 0 to N-1
    clock: str  # the column that `log.time` is: order or timestamp
    user_ids: Ints  # (U,) id of each user in the source, increasing
    item_ids: Ints  # (N,) id of each item in the source, increasing
    item_names: tuple[str, ...] | None  # (N,), or None if the source has no titles
    id_columns: tuple[str, str]  # what users and items are called in the source
    rows: Ints  # (R,) row of the source's file that each row of the log is, from 0

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
        user, item = self.user_ids[log.user[row]], self.item_ids[log.slate[row, 0]]
        named = zip((*self.id_columns, self.clock), (user, item, f"{log.time[row]:.16g}"), strict=True)
        return f"row {self.rows[row]} ({', '.join(f'{name} = {cell}' for name, cell in named)})"


def read_interactions(source: str | Path, *, prefer: str = "order") -> Interactions:
    """Read a log of interactions; ids become 0 to N-1 in the order of the source's ids.

    Args:
        source: `complete-journey`, the shipped log (times in Unix seconds), or a directory that holds
            `interactions.parquet` with the columns `user_id`, `item_id` (any int64: negative ones are
            ids like others, texts can be numbered by `pandas.factorize`) and a clock: `order` (the position,
            or number of the basket, in the user's history), `timestamp` (Unix seconds) or both. Rows may
            stand in any order; ties in time keep the file's. Titles are taken
            from the columns `item_id` and `title` of `items.parquet`, if it is there.
        prefer: which clock is read where both are there: `order`, which breaks ties, or `timestamp`, which
            tells how long users stay away.

    Raises:
        InputError: an unknown name, a missing directory, file or column, a file that is not Parquet, or
            a cell that is missing or not a number; the message has file, row and column.
    """
    if prefer not in ("order", "timestamp"):
        raise InputError(f"prefer must be order or timestamp, got {prefer!r}")
    if isinstance(source, str) and source in SHIPPED:
        log_file, items_file = SHIPPED[source]
        folder = files("recsim_env.simulators.datasets")
        with as_file(folder / log_file) as log_path, as_file(folder / items_file) as items_path:
            return _read(source, log_path, items_path, user="user", item="item", prefer=prefer)
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
        user="user_id",
        item="item_id",
        prefer=prefer,
    )


def _read(name: str, log_path: Path, items_path: Path, user: str, item: str, prefer: str) -> Interactions:
    columns = read_parquet_columns(log_path, [user, item], ["order", "timestamp"])
    clock = next((clock for clock in (prefer, "order", "timestamp") if clock in columns), None)
    if clock is None:
        raise InputError(f"{log_path} has neither a column 'timestamp' (Unix seconds) nor 'order': add one")
    if len(columns[user]) == 0:
        raise InputError(f"{log_path} has no rows")
    user_ids, users = dense(integers(columns[user], log_path, user))
    item_ids, items = dense(integers(columns[item], log_path, item))
    time = floats(columns[clock], log_path, clock)
    rows = np.lexsort((time, users))  # as the log sorts, so that a row of it can be found in the file
    log = Log.from_interactions(users[rows], items[rows], time[rows])
    titles = read_titles(items_path, item, item_ids)
    return Interactions(name, log, clock, user_ids, item_ids, titles, (user, item), rows)


def read_titles(path: Path, item: str, item_ids: Ints) -> tuple[str, ...] | None:
    """(N,) the titles of some items, `item 17` for one without, or None if there is no such file or column.

    Raises:
        InputError: the file is not Parquet, lacks a column, or holds an id that is not a whole number.
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
