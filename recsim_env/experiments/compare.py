"""Several runs in one picture: one panel for each problem, runs of the same problem in the same panel.

Curves can share a panel, bars would hide each other: an experiment that draws bars says `BARS = True`, and
each of its runs has a panel of its own. An experiment whose runs can be ranked says by `score(settings)`
which metric does it (the least is best): its algorithms are compared in one table (`compare_bandits.py`).
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from recsim_env.errors import InputError
from recsim_env.experiments import compare_bandits, figure
from recsim_env.experiments.results import Results
from recsim_env.experiments.run_directory import read_run
from recsim_env.experiments.settings import from_run


def compare(directories: list[Path], experiments: dict[str, ModuleType], out: Path) -> None:
    """Draw the results of finished runs into the picture `out`, and rank those that can be ranked.

    Args:
        directories: of the runs.
        experiments: by name.
        out: a PNG file, or a directory, which then gets a `figure.png`; and if runs are ranked `README.md`,
            `table.csv`, `pairs.csv`, and their curves below `tensorboard/<run>/<algorithm>`.

    Raises:
        InputError: a directory that holds no finished run.
    """
    panels: dict[tuple[str, Path | None], list[tuple[Path, ModuleType, Any, Results]]] = {}
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
    ranked = {key: runs for key, runs in panels.items() if hasattr(runs[0][1], "score")}
    names = compare_bandits.run_names([run[0] for runs in ranked.values() for run in runs])
    problems = [
        compare_bandits.problem_of(
            title,
            [
                compare_bandits.Run(names[directory], results, experiment.score(settings), settings.seed)
                for directory, experiment, settings, results in runs
            ],
        )
        for (title, _), runs in ranked.items()
    ]
    if problems and out.suffix != ".png":
        compare_bandits.check_place(out)
    picture, axes = figure.new_figure(len(panels))
    titles = [title for title, _ in panels]
    for panel_axes, runs in zip(axes, panels.values(), strict=True):
        for style, (directory, experiment, settings, results) in enumerate(runs):
            experiment.draw(
                panel_axes, results, settings, f" ({directory.name})" if len(runs) > 1 else "", style
            )
        if titles.count(panel_axes.get_title()) > 1:
            panel_axes.set_title(f"{panel_axes.get_title()} ({runs[0][0].name})")
    place = out if out.suffix == ".png" else out / "figure.png"
    place.parent.mkdir(parents=True, exist_ok=True)
    figure.save(picture, place)
    if problems:
        compare_bandits.print_all(problems)
    if problems and place != out:
        compare_bandits.write(out, problems, directories)
        places = {names[run[0]]: (run[0], run[3]) for runs in ranked.values() for run in runs}
        show = compare_bandits.write_tensorboard(out, places)
        sys.stdout.write(f"wrote {out}/: figure.png, README.md, table.csv, pairs.csv\n{show}\n")
    else:
        sys.stdout.write(f"wrote {place}\n")
