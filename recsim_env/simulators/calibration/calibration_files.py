"""A calibration on disk: a directory with `calibration.json` and `calibration.npz`.

The first holds numbers and words, with the world they are for and the version of the format; the second
arrays, read without unpickling. What a world needs is in the calibration's own file (`listening`, `slates`),
which reads it with `number`, `words` and `array`: files come from elsewhere, and a field that is not what
`write_calibration` writes is named.
"""

import json
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from recsim_env.arrays import Array
from recsim_env.errors import InputError

T = TypeVar("T")
LARGEST = float(np.finfo(np.float64).max)
ABOVE_0 = float(np.nextafter(0.0, 1.0))


def write_calibration(
    directory: Path, world: str, schema: int, document: dict[str, Any], arrays: dict[str, Array]
) -> None:
    """Write the two files, each whole or not at all; the directory is made if it is missing.

    Args:
        directory: where they are to stand; files that are there are replaced.
        world: id of the environment they are for, such as `SlateRec-v0`.
        schema: version of the format.
        document: what JSON can hold.
        arrays: by name.
    """
    directory.mkdir(parents=True, exist_ok=True)
    named: dict[str, Any] = {**arrays}
    text = json.dumps({"schema": schema, "world": world, **document}, indent=2)
    files = [directory / name for name in ("calibration.npz", "calibration.json")]
    parts = [file.with_name(f"{file.name}.part") for file in files]
    try:
        with parts[0].open("wb") as npz:
            np.savez(npz, **named)
        parts[1].write_text(text + "\n")
        for part, file in zip(parts, files, strict=True):
            part.replace(file)
    except BaseException:
        for part in parts:
            part.unlink(missing_ok=True)
        raise


def read_calibration(
    directory: str | Path,
    world: str,
    schema: int,
    build: Callable[[dict[str, Any], dict[str, Array]], T],
) -> T:
    """What `build` makes of the document and the arrays.

    Args:
        directory: that `write_calibration` wrote.
        world: id that it must be for.
        schema: version that it must have.
        build: takes the two; an error in it means that the files are broken.

    Raises:
        InputError: a file is missing, broken, of another world or of another version.
    """
    directory = Path(directory)
    path = directory / "calibration.json"
    again = f"make it with: recsim-env calibrate LOG --world {world} --out DIR"
    if not path.is_file():
        raise InputError(f"calibration must be a directory with calibration.json, got {directory}: {again}")
    try:
        document = json.loads(path.read_text())
        found = document["world"], document["schema"]
        if found == (world, schema):
            with (directory / "calibration.npz").open("rb") as file:
                stored = np.load(file, allow_pickle=False)
                arrays = {name: stored[name] for name in stored.files}
            return build(document, arrays)
    except Exception as error:  # whatever a broken file makes of JSON and NumPy
        raise InputError(f"{directory} holds no readable calibration ({error}): {again}") from None
    raise InputError(
        f"{path} is of world {found[0]!r} and schema {found[1]!r}, needed are {world!r} and {schema}: {again}"
    )


def number(
    document: dict[str, Any], name: str, low: float = -LARGEST, high: float = LARGEST, *, whole: bool = False
) -> float:
    """A number of calibration.json.

    Args:
        document: that was read.
        name: of the field.
        low: the least it may be.
        high: the most; infinity allows that too.
        whole: without a fraction.

    Raises:
        InputError: it is missing, no number, or out of range.
    """
    value = _field(document, name, "calibration.json")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high or (whole and value != int(value)):
        kind = "whole number" if whole else "number"
        raise InputError(
            f"{name} in calibration.json must be a {kind}{_range(low, high)}, got {reprlib.repr(value)}"
        )
    return float(value)


def words(document: dict[str, Any], name: str) -> tuple[str, ...]:
    """A list of sentences of calibration.json.

    Raises:
        InputError: it is missing, or something else.
    """
    value = _field(document, name, "calibration.json")
    if not (isinstance(value, list) and all(isinstance(sentence, str) for sentence in value)):
        raise InputError(f"{name} in calibration.json must be a list of texts, got {reprlib.repr(value)}")
    return tuple(value)


def array(
    arrays: dict[str, Array],
    name: str,
    shape: tuple[int | None, ...],
    low: float = -LARGEST,
    high: float = LARGEST,
    *,
    whole: bool = False,
) -> Array:
    """An array of calibration.npz.

    Args:
        arrays: that were read.
        name: of the field.
        shape: None stands for any length but 0.
        low: the least that its numbers may be.
        high: the most.
        whole: of an integer type.

    Raises:
        InputError: it is missing, of another shape or type, or holds a number out of range.
    """
    value = np.asarray(_field(arrays, name, "calibration.npz"))
    fits = len(value.shape) == len(shape) and all(
        there == wanted or (wanted is None and there > 0)
        for there, wanted in zip(value.shape, shape, strict=True)
    )
    if not fits:
        shown = ", ".join("1 or more" if wanted is None else str(wanted) for wanted in shape)
        raise InputError(f"{name} in calibration.npz must have shape ({shown}), got {value.shape}")
    if value.dtype.kind not in ("iu" if whole else "fiu"):
        kind = "integers" if whole else "numbers"
        raise InputError(f"{name} in calibration.npz must hold {kind}, got {value.dtype}")
    wrong = ~((value >= np.float64(low)) & (value <= np.float64(high)))  # not in the precision of the array
    if wrong.any():
        place = np.argwhere(wrong)[0].tolist()
        raise InputError(
            f"{name}{place or ''} in calibration.npz must be a number{_range(low, high)}, got "
            f"{value[tuple(place)]}"
        )
    return value


def distribution(arrays: dict[str, Array], name: str, length: int | None = None) -> Array:
    """(J,) an array of calibration.npz that holds probabilities; None stands for any length but 0.

    Raises:
        InputError: as of `array`; or they do not sum to 1.
    """
    value = array(arrays, name, (length,), 0.0, 1.0)
    if abs(float(value.sum()) - 1.0) > 1e-6:
        raise InputError(f"{name} in calibration.npz must sum to 1, got {value.sum():.6g}")
    return value


def _field(fields: dict[str, Any], name: str, file: str) -> Any:
    if name not in fields:
        raise InputError(f"{file} has no {name}")
    return fields[name]


def _range(low: float, high: float) -> str:
    """In words; what is finite anyway is not said to have an end."""
    bottom = (
        " above 0" if low == ABOVE_0 else f" of at least {low:g}" if low > -LARGEST else " that is finite"
    )
    return bottom + (f" and at most {high:g}" if high < LARGEST else "")
