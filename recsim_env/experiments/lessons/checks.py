"""Checks of exercises: they say what is wrong, and never stop a notebook.

A check calls the reader's function on a few inputs, prints one line and returns whether all was right.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """One call of the reader's function."""

    arguments: tuple[Any, ...]
    expected: Any  # number or array
    hint: str  # what the reader may have overlooked if this case is the first that fails


def check(
    exercise: str, function: Callable[..., Any], cases: Sequence[Case], tolerance: float = 1e-9
) -> bool:
    """Call the function on every case; print `exercise: right`, or what the first wrong case shows.

    Args:
        exercise: its name.
        function: of the reader.
        cases: from the plain to the tricky, so that the first that fails has the best hint.
        tolerance: relative and absolute, of numbers.
    """
    for case in cases:
        found = attempt(function, case.arguments)
        if isinstance(found, Stopped):
            return say(exercise, found.words)
        problem = _difference(found, case.expected, tolerance)
        if problem:
            shown = ", ".join(_short(a) for a in case.arguments)
            return say(exercise, f"for ({shown}) {problem}. {case.hint}")
    return say(exercise, None)


class Stopped(NamedTuple):
    """A call that gave nothing."""

    words: str


def attempt(function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """What the reader's function returns, or why it returned nothing, in words."""
    try:
        found = function(*arguments)
    except NotImplementedError:
        return Stopped("write the function first")
    except Exception as error:  # whatever the reader wrote
        return Stopped(f"it stopped with {type(error).__name__}: {error}")
    if found is None or found is Ellipsis:
        return Stopped("the function returns nothing yet")
    return found


def say(exercise: str, problem: str | None) -> bool:
    """Print one line, `exercise: right` if there is no problem; returns whether there is none."""
    sys.stdout.write(f"{exercise}: {'right' if problem is None else f'not yet: {problem}'}\n")
    return problem is None


def _difference(found: Any, expected: Any, tolerance: float) -> str:
    found_array, wanted = np.asarray(found), np.asarray(expected)
    if found_array.dtype.kind not in "biuf":
        return f"it gives {found!r}, which is no number"
    if found_array.shape != wanted.shape:
        return f"it gives shape {found_array.shape}, and {wanted.shape} is wanted"
    if np.allclose(found_array, wanted, rtol=tolerance, atol=tolerance, equal_nan=True):
        return ""
    return f"it gives {_short(found)}, and {_short(expected)} is right"


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray | list | tuple):
        array = np.asarray(value)
        if array.ndim == 1 and len(array) <= 8:
            return f"[{', '.join(_short(number) for number in array.tolist())}]"
        return np.array2string(array, precision=4, threshold=8, separator=", ").replace("\n", "")
    return f"{value:.5g}" if isinstance(value, float) else str(value)
