"""Several runs in one picture: one panel for each problem, runs of the same problem in the same panel.

Curves can share a panel, bars would hide each other: an experiment that draws bars says `BARS = True`, and
each of its runs has a panel of its own.
"""

import sys
from pathlib import Path
from types import ModuleType

from recsim_env.errors import InputError
from recsim_env.experiments import figure
from recsim_env.experiments.results import Results
from recsim_env.experiments.run_directory import read_run
from recsim_env.experiments.settings import from_run


def compare(directories: list[Path], experiments: dict[str, ModuleType], out: Path) -> None:
    """Draw the results of finished runs into the picture `out`.

    Args:
        directories: of the runs.
        experiments: by name.
        out: a PNG file, or a directory, which then gets a `figure.png`.

    Raises:
        InputError: a directory that holds no finished run.
    """
    panels: dict[tuple[str, Path | None], list[tuple[Path, ModuleType, object, Results]]] = {}
    for directory in directories:
        document = read_run(directory)
        if document["experiment"] not in experiments:
            raise InputError(
                f"{directory} holds a run of {document['experiment']!r}, which this version does not have"
            )
        experiment = experiments[document["experiment"]]
        settings = from_run(experiment.Settings, document["settings"])
        results = Results.read(directory / "results.csv")
        panel = experiment.title(settings), directory if getattr(experiment, "BARS", False) else None
        panels.setdefault(panel, []).append((directory, experiment, settings, results))
    picture, axes = figure.new_figure(len(panels))
    titles = [title for title, _ in panels]
    for place, runs in zip(axes, panels.values(), strict=True):
        for style, (directory, experiment, settings, results) in enumerate(runs):
            experiment.draw(place, results, settings, f" ({directory.name})" if len(runs) > 1 else "", style)
        if titles.count(place.get_title()) > 1:
            place.set_title(f"{place.get_title()} ({runs[0][0].name})")
    if out.suffix != ".png":
        out = out / "figure.png"
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.save(picture, out)
    sys.stdout.write(f"wrote {out}\n")
