"""The directory of a run: what was asked (`run.json`), and whether it can go on."""

import json
import platform
import shlex
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from recsim_env.errors import InputError
from recsim_env.experiments.files import write_atomically
from recsim_env.experiments.lock import Lock

REPORTED = ("recsim-env", "gymnasium", "numpy", "numba", "scipy", "torch")


@dataclass(frozen=True)
class RunDirectory:
    """Where a run writes.

    It holds `run.json`, `results.csv`, `figure.png`, `tensorboard/`, and until the end `cells/`,
    `checkpoints/` and `.lock`. Leave it (`with open_run(...) as directory`) to let another process go on
    with it.
    """

    path: Path
    lock: Lock | None = None

    def __enter__(self) -> "RunDirectory":
        return self

    def __exit__(self, *_: object) -> None:
        if self.lock is not None:
            self.lock.release()

    @property
    def results(self) -> Path:
        """The file of results."""
        return self.path / "results.csv"

    @property
    def finished(self) -> bool:
        """The results are there and nothing is left to go on with."""
        return self.results.exists() and not (self.cells.exists() or self.checkpoints.exists())

    @property
    def cells(self) -> Path:
        """What is done, see `cells.py`."""
        return self.path / "cells"

    @property
    def checkpoints(self) -> Path:
        """What is begun."""
        return self.path / "checkpoints"

    def cell(self, name: str, suffix: str = ".npz") -> Path:
        """Where a cell ends."""
        return self.cells / f"{name}{suffix}"

    def checkpoint(self, name: str) -> Path:
        """Where the state of a cell is kept until then."""
        return self.checkpoints / f"{name}.npz"

    def finish(self) -> None:
        """Throw away the cells, once all that is made of them is there.

        They go in one step: with some of them lost, a run that is killed here would begin these again.
        """
        for folder in (self.checkpoints, self.cells):
            if folder.exists():
                gone = self.path / f".done-{folder.name}"
                shutil.rmtree(gone, ignore_errors=True)
                folder.rename(gone)
                shutil.rmtree(gone)


def open_run(path: Path, experiment: str, settings: dict[str, Any], resume: bool) -> RunDirectory:
    """Make the directory of a new run, or find that of an old one to go on with.

    Raises:
        InputError: there is a run already and `resume` was not asked for, or it is another run; or the
            path is a file; or another process is at work there.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file: --out needs a directory")
    asked = {"experiment": experiment, "settings": settings}
    if (path / "run.json").exists():
        found = read_run(path)
        if not resume:
            raise InputError(
                f"{path} already holds a run of {found['experiment']}: add --resume, or choose another --out"
            )
        for name in ("experiment", "settings"):
            if found[name] != asked[name]:
                raise InputError(
                    f"{path} holds another run: {_difference(found, asked)}; choose another --out"
                )
        lock = Lock.take(path)
        _clear_half_written(path)
        for gone in path.glob(".done-*"):  # or throwing away
            shutil.rmtree(gone)
        return RunDirectory(path, lock)
    if path.exists() and not all(_before_the_first(file) for file in path.iterdir()):
        raise InputError(f"{path} is not empty and holds no run: choose another --out")
    path.mkdir(parents=True, exist_ok=True)
    lock = Lock.take(path)
    if (path / "run.json").exists():  # of another process, since we looked
        raise InputError(f"another process has made a run in {path}: add --resume, or choose another --out")
    _clear_half_written(path)
    document = {
        **asked,
        "command": shlex.join(["recsim-env", *sys.argv[1:]]),
        "versions": versions(),
    }
    write_json(path / "run.json", document)
    return RunDirectory(path, lock)


def _before_the_first(file: Path) -> bool:
    """Whether it is all that a run leaves that is killed before its `run.json` is there."""
    return file.name == ".lock" or (file.name.startswith(".run-") and file.suffix == ".json")


def _clear_half_written(path: Path) -> None:
    """Remove what a killed run was writing."""
    for half_written in path.rglob(".*-*"):
        if half_written.is_file():
            half_written.unlink(missing_ok=True)


def read_run(path: Path) -> dict[str, Any]:
    """What `run.json` says.

    Raises:
        InputError: it is missing or not what `open_run` writes.
    """
    file = path / "run.json"
    if not file.is_file():
        raise InputError(f"{path} holds no run: {file} does not exist")
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{file} is not JSON: {error}") from None
    if not isinstance(document, dict) or not {"experiment", "settings"} <= document.keys():
        raise InputError(f"{file} must name an experiment and its settings")
    return document


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON file atomically."""
    text = json.dumps(document, indent=2) + "\n"
    write_atomically(path, lambda temporary: _write_text(temporary, text))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _difference(found: dict[str, Any], asked: dict[str, Any]) -> str:
    if found["experiment"] != asked["experiment"]:
        return f"experiment is {found['experiment']} there, {asked['experiment']} was asked for"
    names = found["settings"].keys() | asked["settings"].keys()
    name = min(n for n in names if found["settings"].get(n) != asked["settings"].get(n))
    return f"{name} is {found['settings'].get(name)!r} there, {asked['settings'].get(name)!r} was asked for"


def versions() -> dict[str, str]:
    """Of Python, and of the packages that a result may depend on."""
    found = {"python": platform.python_version()}
    for package in REPORTED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a source tree that was not installed
            found[package] = "not installed"
    return found
