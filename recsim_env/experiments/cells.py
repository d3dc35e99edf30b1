"""A run is cut into cells; each ends in one file of the run directory, and what is there is not done again.

A cell is a share of a run that needs nothing of the others, such as one agent on some of the replicates. Its
file appears whole or not at all, and depends on the cell alone: so a run may be stopped anywhere, goes on
with any number of workers, on this machine or another that sees the directory, and a cell that was played
twice (by a worker that was given up for dead) is counted once, as it wrote the same file.

    run/run.json    run/cells/ucb1-0-50.npz    run/checkpoints/ucb1-50-100.npz    -> run/results.csv
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from tqdm import tqdm

from recsim_env.arrays import Array
from recsim_env.errors import InputError
from recsim_env.experiments.files import read_arrays, write_atomically
from recsim_env.experiments.run_directory import RunDirectory
from recsim_env.experiments.workers import Workers, on_workers

LOOK_SECONDS = 1.0  # between two notes of a worker on how far it is


@dataclass(frozen=True)
class Cell:
    """A share of a run; what it holds can be sent to another process."""

    name: str  # of its files, without suffix
    file: Path  # that says it is done
    checkpoint: Path  # where it may keep its state until then
    size: int  # steps of progress
    label: str  # that a progress bar shows
    work: Callable[[Path, Path, Callable[[int], Any]], None]
    """(file, checkpoint, progress): plays, tells `progress` of every so many steps, and writes the file."""

    @classmethod
    def of(
        cls,
        directory: RunDirectory,
        name: str,
        size: int,
        label: str,
        work: Callable[[Path, Path, Callable[[int], Any]], None],
    ) -> Self:
        """The cell of this name in a run's directory."""
        return cls(name, directory.cell(name), directory.checkpoint(name), size, label, work)


def replicate_cells(
    directory: RunDirectory, replicates: int, size: int, work: Callable[[int], Callable[..., None]]
) -> list[Cell]:
    """A cell for each replicate, done in one go.

    Args:
        directory: of the run.
        replicates: how many.
        size: steps of progress of each.
        work: replicate -> its `Cell.work`.
    """
    return [
        Cell.of(
            directory,
            f"replicate-{i}",
            size=size,
            label=f"replicate {i}",
            work=work(i),
        )
        for i in range(replicates)
    ]


def named_cells(
    directory: RunDirectory,
    names: Sequence[str],
    replicates: int,
    work: Callable[[str, int], Callable[..., None]],
) -> list[Cell]:
    """A cell for each name in each replicate, done in one go; all of a replicate before the next.

    Args:
        directory: of the run.
        names: such as policies.
        replicates: how many.
        work: (name, replicate) -> its `Cell.work`.
    """
    return [
        Cell.of(directory, f"{name}-{i}", size=1, label=f"{name}, replicate {i}", work=work(name, i))
        for i in range(replicates)
        for name in names
    ]


def run_cells(
    cells: Sequence[Cell],
    directory: Path,
    workers: Workers | None,
    unit: str,
    done: Callable[[Cell], None] = lambda cell: None,
) -> None:
    """Do the cells that have no file yet, one after the other in this process, or on workers.

    Args:
        cells: with names that differ.
        directory: of the run, with its `run.json`.
        workers: None = none, this process.
        unit: of the progress bar.
        done: told in this process of every cell that is done, those that were done before first.

    Raises:
        InputError: of a cell; and see `workers.on_workers`.
    """
    missing = []
    total = sum(cell.size for cell in cells)
    with tqdm(total=total, unit=unit, unit_scale=True) as bar:
        for cell in cells:
            if cell.file.exists():
                bar.update(cell.size)
                done(cell)
            else:
                missing.append(cell)
        if not missing:
            return
        for cell in missing:
            cell.file.parent.mkdir(exist_ok=True)
            cell.checkpoint.parent.mkdir(exist_ok=True)
        if workers is None:
            for cell in missing:
                bar.set_description(cell.label)
                finish(cell, bar.update)
                done(cell)
        else:
            bar.set_description(f"{len(missing)} cells")
            before = bar.n
            played = dict.fromkeys((cell.name for cell in missing), 0)
            seen = directory / "run.json"
            with closing(on_workers(missing, finish_noting_steps, workers, seen=seen)) as progress:
                for cell, is_done in progress:
                    played[cell.name] = cell.size if is_done else steps_played(cell)
                    bar.update(before + sum(played.values()) - bar.n)
                    if is_done:
                        done(cell)


def finish(cell: Cell, progress: Callable[[int], Any]) -> None:
    """Do a cell to its end, from its checkpoint if there is one."""
    cell.work(cell.file, cell.checkpoint, progress)
    cell.checkpoint.unlink(missing_ok=True)


def finish_noting_steps(cell: Cell) -> None:
    """The same on a worker, whose progress is noted in a file of which the driver reads."""
    note, steps, last = _note(cell), 0, 0.0

    def progress(n: int) -> None:
        nonlocal steps, last
        steps += n
        if time.monotonic() - last > LOOK_SECONDS:
            note.write_text(str(steps), encoding="utf-8")
            last = time.monotonic()

    finish(cell, progress)
    note.unlink(missing_ok=True)


def steps_played(cell: Cell) -> int:
    """What the note says; 0 where there is none, or it is being written."""
    try:
        return min(int(_note(cell).read_text(encoding="utf-8")), cell.size)
    except (OSError, ValueError):
        return 0


def _note(cell: Cell) -> Path:
    return cell.checkpoint.with_suffix(".steps")


def save_arrays(path: Path, arrays: dict[str, Array]) -> None:
    """Write arrays under their names, atomically."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    write_atomically(path, write)


def load_arrays(path: Path, needed: Sequence[str] = ()) -> dict[str, Array]:
    """Read them.

    Args:
        path: of the file.
        needed: names without which it is not what it should be.

    Raises:
        InputError: the file is damaged, or another one.
    """
    try:
        arrays = read_arrays(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}): delete it and go on with --resume") from None
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise InputError(
            f"{path} is not of this run (it lacks {', '.join(missing)}): delete it and go on with --resume"
        )
    return arrays
