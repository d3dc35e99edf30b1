"""The columns of a `Log`: the type each is kept in, and how a bad cell is named."""

from typing import Any

import numpy as np

from recsim_env.arrays import Array
from recsim_env.errors import InputError

SLATE_SHAPED = ("slate", "clicked", "slot_log_propensity", "examined", "attraction")  # (R, K), others (R,)
INTEGERS = ("user", "slate", "episode", "step", "seed")
FLAGS = ("clicked", "examined")
LOG_PROPENSITIES = ("log_propensity", "slot_log_propensity")


def column_type(name: str) -> np.dtype[Any]:
    """The type a column is kept in: bool, int64 (uint64 of seeds) or float64."""
    if name in FLAGS:
        return np.dtype(np.bool_)
    if name in INTEGERS:
        return np.dtype(np.uint64 if name == "seed" else np.int64)
    return np.dtype(np.float64)


def kept_column(name: str, column: Array, dtype: np.dtype[Any]) -> Array:
    """A column in the type it is kept in; no copy where it has that already."""
    values = np.asarray(column)
    kinds, wanted = {"b": ("b", "bool"), "f": ("fiu", "numbers")}.get(dtype.kind, ("iu", "integers"))
    if values.dtype.kind not in kinds and values.size:
        raise InputError(f"{name} must hold {wanted}, got {values.dtype}: convert it with astype")
    if values.dtype == dtype:
        return values
    kept = values.astype(dtype)
    if values.dtype.kind in "iu":
        lost = (kept.astype(values.dtype) != values) | ((kept < 0) != (values < 0))
        refuse(name, lost, values, f"does not fit {dtype} exactly")
    return kept


def refuse(name: str, bad: Array, column: Array, complaint: str) -> None:
    """Raise InputError that names the first bad cell, if there is one."""
    if bad.any():
        where = np.argwhere(bad)[0].tolist()
        raise InputError(f"{name}{where} = {column[tuple(where)]} {complaint}")


def refuse_outside(name: str, column: Array, low: float, high: float, complaint: str) -> None:
    """As `refuse`, with a quick look first: no array is made where all is well; nan is outside."""
    if column.size and not (column.min() >= low and column.max() <= high):
        refuse(name, ~((column >= low) & (column <= high)), column, complaint)
