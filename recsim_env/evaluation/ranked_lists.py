"""Lists of item ids, one per user: what they must look like, and which of their places hit.

Letters: B users, R places of a list, M cells of a set; -1 is an empty place or cell.
"""

import sys
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError

BLOCK_CELLS = 2**20
"""Rows are worked on in blocks of about this many cells: 4 to 8 MB, which stay near the processor."""


def hits(ranked: Any, relevant: Any, k: int) -> tuple[Bools, Ints]:
    """Which of the first k places hold a relevant item, (B, min(k, R)), and how many there are, (B,).

    Args:
        ranked: (B, R) item ids, best first, -1 = empty place.
        relevant: (B, M) item ids in any order, -1 = empty cell.
        k: 1 or more.

    Raises:
        InputError: wrong shapes, ids that are not integers or below -1, an item twice in one user's
            relevant items or first k places, k below 1.
    """
    ranked, relevant = first_places(ranked, k), item_ids("relevant", relevant)
    check_rows("relevant", relevant, len(ranked))
    check_distinct("relevant", relevant)
    return in_row(ranked, relevant), np.count_nonzero(relevant >= 0, axis=1)


def first_places(ranked: Any, k: int) -> Ints:
    """(B, min(k, R)) the first k places of lists that name no item twice there; errors as in `hits`."""
    ranked = item_ids("ranked", ranked)[:, : list_length(k)]
    check_distinct("ranked", ranked)
    return ranked


def in_row(items: Ints, sets: Ints) -> Bools:
    """(B, R) which cells of items (B, R) hold a member of the same row of sets (B, M); empty ones do not.

    Raises:
        InputError: ids too large for the search.
    """
    inside = np.zeros(items.shape, np.bool_)
    # Row and item make one key, so that one search in a sorted vector serves a whole block of rows. An
    # empty cell becomes the key just below its row, which no item has.
    span = int(max(items.max(initial=0), sets.max(initial=0))) + 2
    step = max(1, BLOCK_CELLS // max(1, items.shape[1] + sets.shape[1]))
    if span > 2**62 // step:
        raise InputError(f"item ids must be below {2**62 // step}, got {span - 2}: number the items from 0")
    for start in range(0, len(items), step):
        rows = slice(start, start + step)
        known = np.sort(sets[rows], axis=1)
        first = span * np.arange(len(known))[:, None]
        keys, wanted = (known + first).ravel(), items[rows] + first
        if keys.size:
            place = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
            inside[rows] = (keys[place] == wanted) & (items[rows] >= 0)
    return inside


def share(part: Array, whole: Array) -> Floats:
    """Part / whole, (B,), nan where the whole is 0."""
    quotient = np.full(len(part), np.nan)
    np.divide(part, whole, out=quotient, where=whole > 0)
    return quotient


def list_length(k: Any) -> int:
    """K as an int; an InputError unless it is an integer of 1 or more."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise InputError(f"k must be an integer of 1 or more, got {k!r}")
    return int(k)


def item_ids(name: str, ids: Any) -> Ints:
    """(B, M) ids of items, -1 = empty; an InputError names what is none."""
    ids = as_array(ids)
    if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.integer):
        raise InputError(
            f"{name} must hold integers of shape (B, items), got {ids.dtype} of shape {ids.shape}"
        )
    check_range(name, ids, -1, None)
    return ids.astype(np.int64, copy=False)


def target_ids(target: Any) -> Ints:
    """(B,) ids of one item for each user; an InputError unless they are integers."""
    target = as_array(target)
    if target.ndim != 1 or not np.issubdtype(target.dtype, np.integer):
        raise InputError(
            f"target must hold integers of shape (B,), got {target.dtype} of shape {target.shape}"
        )
    return target


def check_range(name: str, ids: Array, low: int, num_items: int | None) -> None:
    """An InputError unless low <= ids < num_items; None = no upper end."""
    bad = ids < low if num_items is None else (ids < low) | (ids >= num_items)
    if bad.any():
        at = ", ".join(str(i) for i in np.argwhere(bad)[0])
        known = f"ids start at {low}" if num_items is None else f"the catalogue has {num_items} items"
        raise InputError(f"{name}[{at}] = {ids[bad][0]} is not an item: {known}")


def check_rows(name: str, table: Array, rows: int, of: str = "ranked") -> None:
    """An InputError unless the table has as many rows as the lists."""
    if len(table) != rows:
        raise InputError(f"{name} must have one row per row of {of}, {rows}, got {len(table)}")


def check_distinct(name: str, ids: Ints) -> None:
    """An InputError where a row names an item twice."""
    step = max(1, BLOCK_CELLS // max(1, ids.shape[1]))
    for start in range(0, len(ids), step):
        ordered = np.sort(ids[start : start + step], axis=1)
        twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
        if twice.any():
            row, column = np.argwhere(twice)[0]
            raise InputError(
                f"{name}[{start + row}] holds item {ordered[row, column]} twice: name each item once"
            )


def is_tensor(values: Any) -> bool:
    """Whether this is a torch tensor. Whoever has one has imported torch; this package does not."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(values, torch.Tensor)


def as_array(values: Any) -> Array:
    """A NumPy array of the values of an array or a torch tensor; only tensors of other devices are copied."""
    if not is_tensor(values):
        return np.asarray(values)
    values = values.detach().cpu()
    if str(values.dtype) == "torch.bfloat16":  # NumPy has no such type; float32 holds all its values
        values = values.float()
    return np.asarray(values.numpy())
