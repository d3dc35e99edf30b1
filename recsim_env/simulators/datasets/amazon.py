"""Amazon reviews: the 5-core JSON lines and the ratings-only tables of 2014 and 2018.

Source: J. McAuley (UCSD): http://jmcauley.ucsd.edu/data/amazon/ (2014), https://nijianmo.github.io/amazon/
    (2018).
Terms: for research, with citation (He and McAuley 2016; Ni, Li and McAuley 2019), no licence stated: never
shipped. 5-core Beauty of 2014 has 198,502 reviews of 22,363 users and 12,101 products. Written from the
published description, checked against LensKit's reader, and run on small files of that layout only.
"""

from pathlib import Path

import numpy as np

from recsim_env.errors import InputError
from recsim_env.simulators.datasets.clocks import times
from recsim_env.simulators.datasets.columns import floats, identities, open_text
from recsim_env.simulators.datasets.interactions import Interactions, numbered
from recsim_env.simulators.datasets.text_tables import opened, read_delimited, read_json_lines

REVIEWS = ("reviews_*.json.gz", "reviews_*.json", "*_5.json.gz", "*_5.json")
RATINGS = ("ratings_*.csv",)


def read_amazon(source: str | Path) -> Interactions:
    """Read reviews as a log with timestamps (of whole days); `columns["rating"]` has the stars.

    Ids are texts: reviewer ids, and the product codes that Amazon calls ASIN. A user has often rated several
    products on one day, so ties in time are frequent.

    Args:
        source: a file `reviews_<Category>_5.json.gz` (2014) or `<Category>_5.json.gz` (2018), one JSON
            object a line with reviewerID, asin, overall and unixReviewTime; a ratings-only table, without a
            first line of names, `user,item,rating,timestamp` in 2014 (`ratings_<Category>.csv`) and
            `item,user,rating,timestamp` in 2018 (`<Category>.csv`): the order is told from the ids; or a
            directory that holds one such file of reviews, or of 2014's ratings. The tables of 2023 have a
            first line: `read_table(path, item="parent_asin", time_unit="ms", columns=["rating"])`.

    Raises:
        InputError: no such file, or several; not the layout above; a cell that is missing or not a number:
            file, line and column.
    """
    path = Path(source)
    if path.is_dir():
        found = amazon_files(path)
        if len(found) != 1:
            names = ", ".join(p.name for p in found) or "none"
            raise InputError(
                f"{path} must hold one file of Amazon reviews, got {names}: give the file itself"
            )
        path = found[0]
    if path.name.endswith((".csv", ".csv.gz")):
        user, item, rating, time = "user", "item", "rating", "timestamp"
        source_, columns = read_delimited(
            path,
            {user: "text", item: "text", rating: "number", time: "integer"},
            names=_order(path),
            quoted=False,
        )
    else:
        user, item, rating, time = "reviewerID", "asin", "overall", "unixReviewTime"
        source_, columns = read_json_lines(
            path, {user: "text", item: "text", rating: "number", time: "integer"}
        )
    return numbered(
        path.name.split(".")[0],
        identities(columns[user], source_, user),
        identities(columns[item], source_, item),
        times(columns[time], source_, time),
        clock=time,
        id_columns=(user, item),
        columns={"rating": floats(columns[rating], source_, rating)},
    )


def amazon_files(directory: Path) -> list[Path]:
    """The files of Amazon reviews or ratings in a directory."""
    found = {path for pattern in REVIEWS for path in directory.glob(pattern)}
    return sorted(found) or sorted(path for pattern in RATINGS for path in directory.glob(pattern))


def _order(path: Path) -> tuple[str, ...]:
    """The columns of a ratings-only table: products have codes of 10 signs, reviewers mostly longer ones."""
    if not path.is_file():
        raise InputError(f"{path} does not exist: give a ratings-only table of Amazon reviews")
    order = _told_order(path)
    if order is None:
        raise InputError(
            f"{path} does not tell which of its first two columns are the products: add a first line of "
            "names and read it with read_table"
        )
    return order


def is_ratings_table(path: Path) -> bool:
    """Whether a file is a ratings-only table of Amazon, by the ids in its first lines."""
    return path.name.endswith((".csv", ".csv.gz")) and _told_order(path) is not None


def _told_order(path: Path) -> tuple[str, ...] | None:
    with opened(path), open_text(path) as file:
        lines = [line.split(",") for line, _ in zip(file, range(1000), strict=False)]
    lines = [cells for cells in lines if len(cells) == 4]
    first = np.array([_is_asin(cells[0]) for cells in lines])
    second = np.array([_is_asin(cells[1]) for cells in lines])
    if len(lines) and first.mean() > 0.99 and second.mean() < 0.5:
        return ("item", "user", "rating", "timestamp")
    if len(lines) and second.mean() > 0.99 and first.mean() < 0.5:
        return ("user", "item", "rating", "timestamp")
    return None


def _is_asin(text: str) -> bool:
    return len(text) == 10 and text.isalnum() and (text[0] == "B" or text[:9].isdigit())
