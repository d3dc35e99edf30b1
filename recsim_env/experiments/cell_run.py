"""A run from its cells to its picture: what experiments do alike whose cells are all that is played.

cells  ->  arrays of each  ->  results.csv, figure.png, tensorboard/  ->  tables on the screen
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsim_env.arrays import Array
from recsim_env.experiments import figure
from recsim_env.experiments.cells import Cell, load_arrays, run_cells
from recsim_env.experiments.results import Results
from recsim_env.experiments.run_directory import RunDirectory, open_run
from recsim_env.experiments.settings import as_json
from recsim_env.experiments.tensorboard import write_events
from recsim_env.experiments.workers import Workers

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def run_to_the_end(
    experiment: str,
    settings: Any,
    out: Path,
    resume: bool,
    workers: Workers | None,
    *,
    cells: Callable[[RunDirectory], list[Cell]],
    unit: str,
    collect: Callable[[list[dict[str, Array]]], Results],
    picture: Callable[[Results], "Figure"],
    show: Callable[[Results], None],
) -> Results:
    """Play what is left of a run in the directory `out`, write what comes of it, and say so.

    Args:
        experiment: its name.
        settings: its options, checked.
        out: see `open_run`.
        resume: see `open_run`.
        workers: None = none, this process.
        cells: of a directory.
        unit: of the progress bar.
        collect: what the cells found, in their order -> the results.
        picture: of the results.
        show: prints them.

    Raises:
        InputError: of `open_run`, or of a cell.
    """
    with open_run(out, experiment, as_json(settings), resume) as directory:
        if directory.finished:
            results = Results.read(directory.results)
        else:
            parts = cells(directory)
            run_cells(parts, directory.path, workers, unit)
            results = collect([load_arrays(part.file) for part in parts])
            for name, curves in results.curves.items():
                write_events(directory.path / "tensorboard", name.replace(", ", "-"), curves)
            results.write(directory.results)
            figure.save(picture(results), directory.path / "figure.png")
            directory.finish()
    show(results)
    sys.stdout.write(f"wrote {directory.path}/: results.csv, figure.png, tensorboard/, run.json\n")
    return results
