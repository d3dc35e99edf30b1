"""Files that appear whole or not at all."""

import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from recsim_env.arrays import Array
from recsim_env.errors import InputError


def check_new(out: Path) -> None:
    """Refuse an `--out` that cannot be made, before the work is done that is to stand there.

    Raises:
        InputError: it is there already, its directory is missing, or nothing may be written there.
    """
    if out.exists():
        raise InputError(f"{out} is there already: delete it, or choose another --out")
    if not out.parent.is_dir():
        raise InputError(f"{out.parent} is not a directory: make it, or choose another --out")
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise InputError(f"{out.parent} may not be written to: permit it, or choose another --out")


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file beside its place, force it to disk, then put it there in one step.

    A run that is killed, or a disk that is full, leaves the old file or none, never half a file.

    Args:
        path: where the file is to stand.
        write: writes the whole file at the path that it is given, which has the same suffix.
    """
    with naming(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            write(temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of an `.npz` file, by name; nothing is unpickled.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such file, or damaged: cut off, empty, bits that differ.
    """
    try:
        zipfile.ZipFile(path).close()  # np.load takes other files too
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ValueError(str(error) or type(error).__name__) from None


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """A directory that appears with all that the block puts into it, or not at all.

    Yields:
        The folder to fill: it stands beside the place and is put there at the end. An error or an interrupt
        removes it.
    """
    with naming(path):
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        try:
            yield temporary
            temporary.chmod(0o755)
            temporary.rename(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of writing name this path, which the user knows, and not the temporary file beside it."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno, reason, str(path)) from None
