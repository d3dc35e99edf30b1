"""Sparse item features out of what is written about items: attributes, and the words of titles.

With the distinct terms of each item and df(t) = how many of the N items have term t,

    x_nt = log(N / df(t)) if item n has term t, else 0.

A term that all items have counts nothing. Rows are not scaled: recommenders and reports do that.
"""

import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import as_file, files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.datasets.columns import integers, read_parquet_columns
from recsim_env.simulators.datasets.interactions import SHIPPED

ATTRIBUTES = ("attribute_ids", "brand", "category", "categories", "category_id", "genres")
"""Columns of attributes: lists, whole numbers, or texts whose parts stand between `|` or commas."""
FEWEST, MOST = 2, 2000
"""A word, or two words in a row, is a term of titles if so many items have it."""


def attribute_features(attributes: Sequence[Iterable[Hashable]]) -> sparse.csr_array:
    """(N, T) the weights above of the attributes of each item, in any order; repetitions count once.

    Raises:
        InputError: no items.
    """
    return _weighted([set(terms) for terms in attributes], 1, len(attributes))


def title_features(titles: Sequence[str]) -> sparse.csr_array:
    """(N, T) the weights above of the words of titles and of every two in a row, in small letters.

    Terms that fewer than 2 or more than 2,000 items have are left out: the former join nobody, the latter
    nearly all.

    Raises:
        InputError: no items.
    """
    terms = []
    for title in titles:
        words = re.findall(r"\w+", title.lower())
        terms.append({*words, *(f"{one} {two}" for one, two in pairwise(words))})
    return _weighted(terms, FEWEST, MOST)


def read_item_features(source: str | Path, item_ids: Array) -> dict[str, sparse.csr_array]:
    """`attributes` and `titles` of items, as far as the data set has them; none without a file of items.

    Args:
        source: the name of a shipped data set, or a directory that may hold `items.parquet` with the column
            `item_id` and some of `title` and ATTRIBUTES.
        item_ids: (N,) the items, as in that file; one that is not in it gets no terms.

    Raises:
        InputError: a file that is not Parquet, or ids that are not whole numbers.
    """
    with _items_file(source) as (path, item):
        if path is None:
            return {}
        columns = read_parquet_columns(path, [item], ["title", *ATTRIBUTES])
        row_of = _rows(columns.pop(item), path, item, item_ids)
        found = {}
        named = [name for name in ATTRIBUTES if name in columns]
        if named:
            parts = [[_parts(name, cell) for cell in columns[name].to_pylist()] for name in named]
            attributes = [[p for part in parts for p in part[row]] if row >= 0 else [] for row in row_of]
            found["attributes"] = attribute_features(attributes)
        if "title" in columns:
            titles = columns["title"].to_pylist()
            found["titles"] = title_features([str(titles[row] or "") if row >= 0 else "" for row in row_of])
        return {name: table for name, table in found.items() if table.nnz}


def read_item_numbers(source: str | Path, item_ids: Array) -> dict[str, Array]:
    """(N,) the columns of numbers of the file of items, but for its ids and columns with missing cells.

    A leak can stand in any of them. Arguments and errors as in `read_item_features`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _items_file(source) as (path, item):
        if path is None:
            return {}
        row_of = np.array(_rows(read_parquet_columns(path, [item])[item], path, item, item_ids))
        if (row_of < 0).any():
            return {}
        found = {}
        for field in pq.read_schema(path):
            if field.name == item or not (
                pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
            ):
                continue
            column = read_parquet_columns(path, [field.name])[field.name]
            if column.null_count == 0:
                numbers = np.asarray(column.to_numpy(), np.float64)[row_of]
                if np.isfinite(numbers).all():
                    found[field.name] = numbers
        return found


def _weighted(terms: Sequence[set[Any]], fewest: int, most: int) -> sparse.csr_array:
    N = len(terms)
    if N == 0:
        raise InputError("items must hold at least one, got none")
    number: dict[Any, int] = {}
    column = [number.setdefault(term, len(number)) for some in terms for term in sorted(some, key=str)]
    row = np.repeat(np.arange(N), [len(some) for some in terms])
    have = np.bincount(column, minlength=len(number)) if column else np.zeros(0, np.int64)
    kept = np.flatnonzero((have >= fewest) & (have <= most))
    table = sparse.csr_array((np.ones(len(row)), (row, column)), (N, len(number)))[:, kept]
    table = sparse.csr_array(table @ sparse.diags_array(np.log(N / have[kept])))
    table.eliminate_zeros()
    return table


def _parts(name: str, cell: Any) -> list[tuple[str, Any]]:
    """The attributes in a cell, with the name of the column: 7 as a brand is not 7 as a category."""
    if cell is None:
        return []
    if isinstance(cell, str):
        return [(name, part.strip()) for part in re.split(r"[|,]", cell) if part.strip()]
    return [(name, part) for part in (cell if isinstance(cell, list) else [cell])]


def _rows(column: Any, path: Path, item: str, item_ids: Array) -> list[int]:
    """(N,) the row of each item in the file, -1 where it is not there."""
    ids: Ints = integers(column, path, item)
    row_of = {one: row for row, one in enumerate(ids.tolist())}
    return [row_of.get(one, -1) for one in item_ids.tolist()]


@contextmanager
def _items_file(source: str | Path) -> Iterator[tuple[Path | None, str]]:
    """The file of items, or None if there is none, and what its column of ids is called."""
    if isinstance(source, str) and source in SHIPPED:
        with as_file(files("recsim_env.simulators.datasets") / SHIPPED[source][1]) as path:
            yield path, "item"
        return
    path = Path(source) / "items.parquet"
    yield (path if path.is_file() else None), "item_id"
