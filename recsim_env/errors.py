"""What the package says when it is given something it cannot use."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Floats


class InputError(ValueError):
    """Bad input: the message names the argument, what was found and what to do, in one line.

    The command line prints it without a traceback and exits with code 2.
    """


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not in a list, with the nearest one that is.

    Args:
        kind: what the name stands for, such as `agent`.
        name: the name that was given.
        known: the names that exist.
    """
    known = sorted(known)
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    return InputError(f"there is no {kind} {name!r}: {hint}known are {', '.join(known)}")


def require(module: str, extra: str) -> None:
    """Refuse to go on without a library that is not part of the core; a plain `import` follows the call.

    Args:
        module: what is imported, such as `torch`.
        extra: of this package, which installs it.

    Raises:
        InputError: the module is not there, or cannot be imported.
    """
    try:
        import_module(module)
    except ImportError as error:
        raise InputError(
            f"{module} cannot be imported ({error}): pip install 'recsim-env[{extra}]'"
        ) from None


def as_numbers(name: str, values: Any) -> Floats:
    """The array as float64, whatever its shape.

    Raises:
        InputError: text, objects or complex numbers, or lists of unequal length.
    """
    try:
        values = np.asarray(values)
    except ValueError:
        raise InputError(f"{name} must be an array of numbers, got lists of unequal length") from None
    if values.dtype.kind not in "biuf":
        raise InputError(f"{name} must hold numbers, got {values.dtype} of {values.shape}")
    return np.asarray(values, np.float64)


def refuse(name: str, bad: Array, values: Array, complaint: str) -> None:
    """Refuse an array for its first bad cell: `weight[3, 1] = -0.5: weights are finite and 0 or more`.

    Args:
        name: of the array.
        bad: flags in its shape.
        values: the array.
        complaint: what is wrong and what to do.
    """
    if np.any(bad):
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        place = ", ".join(str(i) for i in where)
        raise InputError(f"{name}[{place}] = {values[where]}: {complaint}")


def check_ranges(whole: Mapping[str, int], shares: Mapping[str, float], above_0: Mapping[str, Any]) -> None:
    """Refuse settings out of range: whole ones below 1, shares outside [0, 1], others not above 0.

    Raises:
        InputError: the first of them.
    """
    for name, value in whole.items():
        if value < 1:
            raise InputError(f"{name} must be at least 1, got {value}")
    for name, share in shares.items():
        if not 0.0 <= share <= 1.0:
            raise InputError(f"{name} must be from 0 to 1, got {share}")
    for name, value in above_0.items():
        if not 0.0 < value < np.inf:
            raise InputError(f"{name} must be above 0 and finite, got {value}")
