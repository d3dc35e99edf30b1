"""MovieLens as GroupLens publishes it, as ratings or as a log with timestamps; ratings from Parquet, too.

MovieLens is not shipped: its terms forbid it. Get it from https://grouplens.org/datasets/movielens/ and
unzip it.
"""

import csv
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.datasets.clocks import times
from recsim_env.simulators.datasets.columns import dense, floats, integers, read_parquet_columns
from recsim_env.simulators.datasets.interactions import Interactions, numbered, read_titles
from recsim_env.simulators.datasets.text_tables import opened, read_delimited


@dataclass(frozen=True)
class Ratings:
    """R ratings, in the file's order, with dense ids."""

    user: Ints  # (R,) 0 to U-1
    item: Ints  # (R,) 0 to N-1
    rating: Floats  # (R,) stars
    user_ids: Ints  # (U,) id of each user in the source, increasing
    item_ids: Ints  # (N,) id of each movie in the source, increasing
    item_names: tuple[str, ...] | None  # (N,), or None if the source has no titles


@dataclass(frozen=True)
class _TextLayout:
    """How one generation of MovieLens writes its text files."""

    ratings: str
    separator: str
    names: tuple[str, ...] | None  # of the columns, where no first line has them
    user: str
    movie: str
    titles: str
    titles_separator: str


_LAYOUTS = (
    _TextLayout("u.data", "\t", ("user", "movie", "rating", "timestamp"), "user", "movie", "u.item", "|"),
    # ml-1m, ml-10m: `1::1193::5::978300760`, of which every second colon ends an empty column
    _TextLayout(
        "ratings.dat",
        ":",
        ("user", "_1", "movie", "_2", "rating", "_3", "timestamp"),
        "user",
        "movie",
        "movies.dat",
        "::",
    ),
    _TextLayout("ratings.csv", ",", None, "userId", "movieId", "movies.csv", ","),  # ml-20m and later
)


def read_ratings(directory: str | Path) -> Ratings:
    """Read ratings; ids become dense in the order of the source's ids.

    Args:
        directory: holds `interactions.parquet` (columns `user_id`, `item_id`, `rating`; titles from
            `items.parquet`), or a MovieLens data set as published: `u.data` (ml-100k), `ratings.dat`
            (ml-1m, ml-10m) or `ratings.csv` (ml-20m and later, ml-latest).

    Raises:
        InputError: no such directory or none of these files in it, a missing column, or a cell that is
            missing or not a number; the message has file, row or line, and column.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise InputError(f"{directory} is not a directory: give the one that a MovieLens archive unpacks to")
    parquet = directory / "interactions.parquet"
    if parquet.is_file():
        columns = read_parquet_columns(parquet, ["user_id", "item_id", "rating"])
        user_ids, user = dense(integers(columns["user_id"], parquet, "user_id"))
        item_ids, item = dense(integers(columns["item_id"], parquet, "item_id"))
        rating = floats(columns["rating"], parquet, "rating")
        titles = read_titles(directory / "items.parquet", "item_id", item_ids)
        return Ratings(user, item, rating, user_ids, item_ids, titles)
    layout = _layout(directory)
    columns = _read(directory, layout)
    (user_ids, user), (item_ids, item) = dense(columns["user"]), dense(columns["movie"])
    titles = _text_titles(directory, layout, item_ids)
    return Ratings(user, item, columns["rating"], user_ids, item_ids, titles)


def read_movielens(directory: str | Path) -> Interactions:
    """Read MovieLens as published as a log with timestamps; `columns["rating"]` has the stars.

    Every rating is a row, whatever its stars: choose among them by `data.log.rows(...)`. Users rate many
    movies within minutes of joining, so ties in time are frequent and the order is that of the page shown.

    Source: GroupLens, https://grouplens.org/datasets/movielens/ (ml-100k: 100,000 ratings of 943 users and
    1,682 movies; ml-1m: 1,000,209, 6,040 and 3,706; ml-20m: 20,000,263, 138,493 and 26,744). Terms: research
    use with citation, no redistribution without permission (ml-100k to ml-10m), no commercial use: never
    shipped. Run on the whole published files of ml-100k and ml-latest-small (2016); ml-1m, ml-10m, ml-20m and
    later were written from their read-me files, checked against LensKit's reader, and run on small files of
    that layout only.

    Args:
        directory: holds `u.data`, `ratings.dat` or `ratings.csv`, and for titles `u.item`, `movies.dat` or
            `movies.csv`.

    Raises:
        InputError: as `read_ratings`.
    """
    directory = Path(directory)
    layout = _layout(directory)
    columns = _read(directory, layout)
    items = dense(columns["movie"])
    return numbered(
        directory.resolve().name,
        dense(columns["user"]),
        items,
        columns["timestamp"],
        clock="timestamp",
        id_columns=("user", "movie"),
        item_names=_text_titles(directory, layout, items[0]),
        columns={"rating": columns["rating"]},
    )


def is_movielens(directory: Path) -> bool:
    """Whether a directory holds the ratings of MovieLens as published."""
    return any((directory / layout.ratings).is_file() for layout in _LAYOUTS)


def _layout(directory: Path) -> _TextLayout:
    for layout in _LAYOUTS:
        if (directory / layout.ratings).is_file():
            return layout
    looked_for = ", ".join(["interactions.parquet", *(layout.ratings for layout in _LAYOUTS)])
    raise InputError(f"{directory} holds no ratings: looked for {looked_for}")


def _read(directory: Path, layout: _TextLayout) -> dict[str, Any]:
    """Columns user, movie, rating and timestamp of the text file, in its order."""
    kinds = {layout.user: "integer", layout.movie: "integer", "rating": "number", "timestamp": "integer"}
    source, found = read_delimited(
        directory / layout.ratings,
        kinds,
        separator=layout.separator,
        names=layout.names,
        quoted=False,
        encoding="latin-1",
    )
    return {
        "user": integers(found[layout.user], source, "user"),
        "movie": integers(found[layout.movie], source, "movie"),
        "rating": floats(found["rating"], source, "rating"),
        "timestamp": times(found["timestamp"], source, "timestamp"),
    }


def _text_titles(directory: Path, layout: _TextLayout, item_ids: Ints) -> tuple[str, ...] | None:
    path = directory / layout.titles
    if not path.is_file():
        return None
    # ml-10m and all later sets are UTF-8, ml-100k and ml-1m Latin-1; only the CSV files have quotes
    with opened(path):
        data = path.read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if layout.titles_separator == ",":
        cells = list(csv.reader(StringIO(text, newline="")))
    else:
        cells = [line.rstrip("\r").split(layout.titles_separator) for line in text.split("\n")]
    title_of = {row[0]: row[1] for row in cells if len(row) > 1}
    return tuple(title_of.get(str(i), f"movie {i}") for i in item_ids.tolist())
