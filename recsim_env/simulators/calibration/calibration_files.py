"""A calibration on disk: a directory with `calibration.json` and `calibration.npz`.

The first holds numbers and words, with the world they are for and the version of the format; the second
arrays, read without unpickling. What a world needs is in the calibration's own file (`listening`, `slates`).
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from recsim_env.arrays import Array
from recsim_env.errors import InputError

T = TypeVar("T")


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
        if document["schema"] != schema or document["world"] != world:
            raise InputError(
                f"{path} is of world {document['world']!r} and schema {document['schema']!r}, needed are "
                f"{world!r} and {schema}: {again}"
            )
        with (directory / "calibration.npz").open("rb") as file:
            stored = np.load(file, allow_pickle=False)
            arrays = {name: stored[name] for name in stored.files}
        return build(document, arrays)
    except InputError:
        raise
    except Exception as error:  # whatever a broken file makes of JSON and NumPy
        raise InputError(f"{directory} holds no readable calibration ({error}): {again}") from None
