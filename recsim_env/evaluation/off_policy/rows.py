"""Checks of what the estimators are given: one number, one action or one distribution per row of the log."""

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, as_numbers, refuse

ROUNDING = 1e-6  # how far from 1 the probabilities of a row may sum


def check_rows(**columns: Array) -> list[Floats]:
    """The columns, each (R,), as float64.

    Raises:
        InputError: one is not a row of numbers, they differ in length, or a number is not finite; the
            message names column and row.
    """
    kept, rows = [], -1
    for name, column in columns.items():
        column = as_numbers(name, column)
        if column.ndim != 1 or len(column) == 0:
            raise InputError(
                f"{name} must have shape (R,), one number per row of the log, R of 1 or more, "
                f"got {column.shape}"
            )
        if rows not in (-1, len(column)):
            raise InputError(
                f"{name} must have one number per row of the log, {rows} as {next(iter(columns))} has, "
                f"got {len(column)}"
            )
        rows = len(column)
        refuse(name, ~np.isfinite(column), column, "it is not finite: mend or drop the row")
        kept.append(column)
    return kept


def check_actions(name: str, action: Array, rows: int, num_actions: int | None = None) -> Ints:
    """(R,) the actions as int64.

    Raises:
        InputError: no row, other than one integer per row, or an action outside 0 to num_actions - 1; the
            message names column and row.
    """
    if rows == 0:
        raise InputError(f"{name} must have a row of the log or more, got none")
    action = np.asarray(action)
    if action.shape != (rows,) or action.dtype.kind not in "iu":
        raise InputError(
            f"{name} must hold one integer per row of the log, shape ({rows},), "
            f"got {action.dtype} of {action.shape}"
        )
    action = action.astype(np.int64, copy=False)
    high = np.inf if num_actions is None else num_actions
    known = (
        "it must be 0 or more" if num_actions is None else f"there are {num_actions} (0-{num_actions - 1})"
    )
    refuse(name, (action < 0) | (action >= high), action, known)
    return action


def check_distribution(name: str, probability: Array, rows: int) -> Floats:
    """(R, A) the distribution over actions in every row, of (R, A), or of (A,) that is the same in all.

    Raises:
        InputError: another shape, a probability outside [0, 1] or a row that does not sum to 1; the
            message names column, row and action.
    """
    probability = as_numbers(name, probability)
    if probability.ndim not in (1, 2) or probability.size == 0:
        raise InputError(
            f"{name} must have shape ({rows}, A), or (A,) if it is the same in all rows, got "
            f"{probability.shape}"
        )
    if probability.ndim == 2 and len(probability) != rows:
        raise InputError(
            f"{name} must have {rows} rows as the log, or shape (A,) if all are the same, "
            f"got {probability.shape}"
        )
    bad = ~((probability >= 0) & (probability <= 1 + ROUNDING))
    refuse(name, bad, probability, "it is not a probability in [0, 1]")
    total = probability.sum(axis=-1, keepdims=True)
    if np.abs(total - 1).max() > ROUNDING:
        row = int(np.abs(total[..., 0] - 1).argmax()) if probability.ndim == 2 else 0
        where = f"{name}[{row}]" if probability.ndim == 2 else name
        raise InputError(f"{where} sums to {float(total.ravel()[row])}, not to 1: divide it by its sum")
    return np.broadcast_to(probability, (rows, probability.shape[-1]))


def distinct_rows(probability: Floats) -> Floats:
    """(R, A), or (1, A) of what `check_distribution` made of the same distribution in all rows."""
    return probability[:1] if probability.strides[0] == 0 else probability
