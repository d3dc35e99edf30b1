"""Ratings, from a MovieLens directory as GroupLens publishes it or from Parquet.

MovieLens is not shipped: its terms forbid it. Get it from https://grouplens.org/datasets/movielens/ and
unzip it.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.datasets.columns import (
    dense,
    floats,
    integers,
    read_parquet_columns,
    read_text_numbers,
)
from recsim_env.simulators.datasets.interactions import read_titles


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
    columns: tuple[int, int, int]  # of user, movie, rating
    header: bool
    titles: str
    titles_separator: str


_LAYOUTS = (
    _TextLayout("u.data", "\t", (0, 1, 2), False, "u.item", "|"),  # ml-100k
    _TextLayout(
        "ratings.dat", ":", (0, 2, 4), False, "movies.dat", "::"
    ),  # ml-1m, ml-10m: `1::1193::5::9783`
    _TextLayout("ratings.csv", ",", (0, 1, 2), True, "movies.csv", ","),  # ml-20m and later, ml-latest
)


def read_ratings(directory: str | Path) -> Ratings:
    """Read ratings; ids become dense in the order of the source's ids.

    Args:
        directory: holds `interactions.parquet` (columns `user_id`, `item_id`, `rating`; titles from
            `items.parquet`), or a MovieLens data set as published: `u.data` (ml-100k), `ratings.dat`
            (ml-1m) or `ratings.csv` (ml-latest, ml-25m, ml-32m).

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
    for layout in _LAYOUTS:
        path = directory / layout.ratings
        if path.is_file():
            numbers = read_text_numbers(
                path, ("user", "movie", "rating"), layout.separator, layout.header, layout.columns
            )
            user_ids, user = dense(numbers["user"].astype("int64"))
            item_ids, item = dense(numbers["movie"].astype("int64"))
            return Ratings(
                user, item, numbers["rating"], user_ids, item_ids, _text_titles(directory, layout, item_ids)
            )
    looked_for = ", ".join(["interactions.parquet", *(layout.ratings for layout in _LAYOUTS)])
    raise InputError(f"{directory} holds no ratings: looked for {looked_for}")


def _text_titles(directory: Path, layout: _TextLayout, item_ids: Ints) -> tuple[str, ...] | None:
    path = directory / layout.titles
    if not path.is_file():
        return None
    # the CSV files are UTF-8 with quoted titles; the older ones are Latin-1 without quotes
    if layout.titles_separator == ",":
        with path.open(encoding="utf-8", newline="") as file:
            cells = list(csv.reader(file))
    else:
        cells = [line.split(layout.titles_separator) for line in path.read_text("latin-1").splitlines()]
    title_of = {row[0]: row[1] for row in cells if len(row) > 1}
    return tuple(title_of.get(str(i), f"movie {i}") for i in item_ids.tolist())
