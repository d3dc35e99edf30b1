"""How wrong are off-policy estimates? Every estimator against the exact value of the evaluated policy.

One policy makes a log in a simulated world, another is evaluated from it, and its exact value is known by
enumeration. Three kinds of logs: slates (clicks on lists, `SlateRec-v0`, for every click model and slate size
asked for), single actions (the same world with slates of one item) and sequences (episodes of a small
`CascadeRec-v0`). Of every estimator the bias, standard deviation and root mean squared error (RMSE) over
independent logs are printed, with how often its 95 % interval holds the truth, and how often it warned that
it should not be believed.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError, unknown_name
from recsim_env.experiments import figure
from recsim_env.experiments.cells import Cell, load_arrays, run_cells, save_arrays
from recsim_env.experiments.off_policy.actions import action_problem
from recsim_env.experiments.off_policy.problem import Problem
from recsim_env.experiments.off_policy.sequences import sequence_problem
from recsim_env.experiments.off_policy.slates import NUM_ITEMS, slate_problem
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.run_directory import open_run
from recsim_env.experiments.settings import as_json, option, positive
from recsim_env.experiments.tensorboard import write_events
from recsim_env.experiments.workers import Workers
from recsim_env.user_models.clicks import CLICK_MODELS

NAME = "off_policy_accuracy"
MEASURED = ("error", "covered", "warned")
CELL_LOGS = 10  # of a cell, whoever plays it
COLOURS = {
    "log's mean": ("#999999", "-"),
    "DM": ("#999999", "--"),
    "FQE": ("#009E73", "-"),
    "SIPS": ("#0072B2", "-"),
    "SNSIPS": ("#0072B2", "--"),
    "IIPS": ("#E69F00", "-"),
    "SNIIPS": ("#E69F00", "--"),
    "RIPS": ("#009E73", "-"),
    "SNRIPS": ("#009E73", "--"),
    "Cascade-DR": ("#D55E00", "-"),
    "AIPS": ("#CC79A7", "-"),
    "SNAIPS": ("#CC79A7", "--"),
    "PI": ("#56B4E9", "-"),
    "SNPI": ("#56B4E9", "--"),
    "IPS": ("#0072B2", "-"),
    "SNIPS": ("#0072B2", "--"),
    "clipped IPS": ("#0072B2", ":"),
    "DR": ("#D55E00", "-"),
    "SNDR": ("#D55E00", "--"),
    "Switch": ("#E69F00", ":"),
    "Switch-DR": ("#D55E00", ":"),
    "DRos": ("#CC79A7", ":"),
    "MIPS": ("#56B4E9", "-"),
    "IS": ("#0072B2", "-"),
    "WIS": ("#0072B2", "--"),
    "PDIS": ("#E69F00", "-"),
    "WPDIS": ("#E69F00", "--"),
    "sequential DR": ("#D55E00", "-"),
    "WDR": ("#D55E00", "--"),
}


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    sizes: str = option("100,300,1000,3000,10000", "rows (slates, actions, episodes) of the logs")
    slate_size: int = option(
        3, f"slots of the slates whose click models and log sizes vary, up to {NUM_ITEMS}"
    )
    slate_sizes: str = option("1,2,3,4,5", "slate sizes to compare, under the first click model")
    clicks: str = option(
        "cascade,position_based,dynamic_bayesian,dependent_click,user_browsing",
        f"click models, of {', '.join(CLICK_MODELS)}",
    )
    middle: int = option(1000, "rows of the logs whose slate size or click model varies; one of --sizes")
    replicates: int = option(50, "independent logs")
    seed: int = option(0, "of the first user of the first log")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`."""
    sizes, lengths = _integers("sizes", settings.sizes), _integers("slate_sizes", settings.slate_sizes)
    models = _names(settings.clicks)
    positive(replicates=settings.replicates)
    if settings.replicates < 2:
        raise InputError("replicates must be at least 2: one log says nothing about bias and variance")
    if sizes[0] < 10:
        raise InputError(f"sizes must be 10 or more, got {sizes[0]}: models are fitted to the logs")
    if settings.middle not in sizes:
        raise InputError(f"middle must be one of the sizes {settings.sizes}, got {settings.middle}")
    for name, value in (("slate_size", settings.slate_size), ("slate_sizes", lengths[-1])):
        if not 1 <= value <= NUM_ITEMS:
            raise InputError(f"{name} must be from 1 to {NUM_ITEMS}, the items of the world, got {value}")
    if settings.seed < 0:
        raise InputError(f"seed must be 0 or more, got {settings.seed}")
    problems = list(_problems(settings, sizes, lengths, models))
    with open_run(out, NAME, as_json(settings), resume) as directory:
        if directory.finished:
            results = Results.read(directory.results)
        else:
            cells = {
                name: [
                    Cell.of(
                        directory,
                        f"{name}-{first}",
                        size=min(CELL_LOGS, settings.replicates - first),
                        label=name,
                        work=partial(measure, make, asked, settings, first),
                    )
                    for first in range(0, settings.replicates, CELL_LOGS)
                ]
                for name, make, asked in problems
            }
            run_cells([one for ones in cells.values() for one in ones], directory.path, workers, "log")
            results = Results()
            for name, _, asked in problems:
                _merge([load_arrays(cell.file) for cell in cells[name]], asked, results)
            results.write(directory.results)
            for name, curves in results.curves.items():
                write_events(directory.path / "tensorboard", name, curves)
            figure.save(draw_all(results, settings), directory.path / "figure.png")
            directory.finish()
    for problem_name in dict.fromkeys(
        _problem_of(metric) for curves in results.curves.values() for metric in curves
    ):
        print_table(results, problem_name)
    sys.stdout.write(f"wrote {directory.path}/: results.csv, figure.png, tensorboard/, run.json\n")
    return results


def _problems(
    settings: Settings, sizes: list[int], lengths: list[int], models: list[str]
) -> Iterator[tuple[str, Callable[[int, int], Problem], list[int]]]:
    """What cells are called, what to make a log with, and the log sizes it is measured at."""
    main = (models[0], settings.slate_size)
    yield f"slates-{main[0]}-{main[1]}", partial(slate_problem, *main), sizes
    for pair in [(models[0], length) for length in lengths] + [(m, settings.slate_size) for m in models[1:]]:
        if pair != main:
            yield f"slates-{pair[0]}-{pair[1]}", partial(slate_problem, *pair), [settings.middle]
    yield "actions", action_problem, sizes
    yield "sequences", sequence_problem, sizes


def measure(
    make: Callable[[int, int], Problem],
    sizes: list[int],
    settings: Settings,
    first: int,
    file: Path,
    _: Path,
    progress: Callable[[int], Any],
) -> None:
    """Write the errors of every estimator on some of the logs, nan where it refused to answer.

    A smaller log is a part of the larger one.

    Args:
        make: the problem, from the rows of all its logs and the seed of the first.
        sizes: of the logs.
        settings: of the run.
        first: log; the cell has `CELL_LOGS` of them, or what is left.
        file: `measured` (M, 3, sizes, logs) of the M `estimators`, the `truth` and the `problem`.
        progress: told of every log.
    """
    count, length = min(CELL_LOGS, settings.replicates - first), max(sizes)
    problem = make(count * length, settings.seed + first * length)
    found: dict[str, Floats] = {}
    for i in range(count):
        for j, size in enumerate(sizes):
            for name, estimate in problem.estimate(np.arange(i * length, i * length + size)).items():
                low, high = estimate.interval
                measured = found.setdefault(name, np.full((len(MEASURED), len(sizes), count), np.nan))
                error = float(estimate.value) - problem.truth
                measured[:, j, i] = error, low <= problem.truth <= high, not estimate.believable
        progress(1)
    arrays = {"estimators": np.array(list(found)), "measured": np.stack(list(found.values()))}
    save_arrays(file, {**arrays, "truth": np.array(problem.truth), "problem": np.array(problem.name)})


def _merge(cells: list[dict[str, Array]], sizes: list[int], results: Results) -> None:
    """Add the logs of one problem to the results."""
    estimators = list(dict.fromkeys(str(name) for cell in cells for name in cell["estimators"]))
    problem, truth, at = str(cells[0]["problem"]), float(cells[0]["truth"]), np.array(sizes)
    for name in estimators:
        values = [
            cell["measured"][list(cell["estimators"]).index(name)]
            if name in cell["estimators"]
            else np.full(cell["measured"].shape[1:], np.nan)
            for cell in cells
        ]
        curves = results.curves.setdefault(name, {})
        for metric, of_logs in zip(MEASURED, np.concatenate(values, axis=2), strict=True):
            curves[f"{metric}/{problem}"] = Curve(at, of_logs)
        curves[f"truth/{problem}"] = Curve(at, np.full((len(at), 1), truth))


def print_table(results: Results, problem: str) -> None:
    """Every estimator on the largest log of a problem, least RMSE first."""
    rows = []
    for name, curves in results.curves.items():
        if f"error/{problem}" not in curves:
            continue
        error, covered, warned = (curves[f"{metric}/{problem}"].values[-1] for metric in MEASURED)
        answered = ~np.isnan(error)
        if answered.sum() < 2:
            sys.stdout.write(f"\n{problem}: {name} answered on {answered.sum()} of {len(error)} logs\n")
            continue
        error, covered, warned = error[answered], covered[answered], warned[answered]
        size, truth = curves[f"error/{problem}"].steps[-1], curves[f"truth/{problem}"].values[-1, 0]
        rows.append(
            (rmse(error), name, error.mean(), error.std(ddof=1), covered.mean(), warned.mean(), len(error))
        )
    sys.stdout.write(
        f"\n{problem}, {size:,} rows, truth {truth:.4f}\n"
        f"{'':15}{'bias':>18}{'std':>9}{'RMSE':>9}{'95 % holds':>12}{'warned':>8}\n"
    )
    for error, name, bias, spread, covered, warned, count in sorted(rows):
        cell = f"{bias:+.4f} +- {spread / np.sqrt(count):.4f}"
        sys.stdout.write(f"{name:15}{cell:>18}{spread:9.4f}{error:9.4f}{covered:12.0%}{warned:8.0%}\n")


def rmse(error: Floats) -> float:
    """The root mean squared error over the logs, nan if one of them has no answer."""
    return float(np.sqrt(np.mean(error**2)))


def title(settings: Settings) -> str:
    """What the run is about, for a picture."""
    return f"slates of {settings.slate_size}, {_names(settings.clicks)[0]} clicks"


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """RMSE of the estimators on slates against the size of the log."""
    draw_sizes(axes, results, f"slates/{_names(settings.clicks)[0]}/{settings.slate_size}", label)
    axes.set(title=title(settings), xlabel="slates in the log")


def draw_all(results: Results, settings: Settings) -> Any:
    """The picture of a run, six panels."""
    models, lengths = _names(settings.clicks), _integers("slate_sizes", settings.slate_sizes)
    picture, axes = figure.new_figure(3, rows=2)
    draw(axes[0], results, settings)
    draw_sizes(axes[1], results, "actions")
    axes[1].set(title="single actions", xlabel="actions in the log")
    draw_sizes(axes[2], results, "sequences")
    axes[2].set(title="episodes of 5 slates", xlabel="episodes in the log")
    names = [f"slates/{models[0]}/{length}" for length in lengths]
    draw_problems(axes[3], results, names, settings.middle, lengths)
    axes[3].set(
        title=f"{settings.middle:,} slates, {models[0]} clicks", xlabel="slots of a slate", xticks=lengths
    )
    names = [f"slates/{model}/{settings.slate_size}" for model in models]
    draw_bias(axes[4], results, names, settings.middle)
    axes[4].set(
        title=f"who clicks how: {settings.middle:,} slates of {settings.slate_size}",
        ylabel="bias / truth, 95 % interval",
    )
    axes[4].set_xticks(range(len(models)), [model.replace("_", "\n") for model in models], fontsize=8)
    draw_coverage(axes[5], results, [f"slates/{models[0]}/{settings.slate_size}", "actions", "sequences"])
    return picture


def draw_sizes(axes: Any, results: Results, problem: str, label: str = "") -> None:
    """RMSE / truth against the size of the log, both logarithmic."""
    for name, curves in results.curves.items():
        if f"error/{problem}" in curves:
            curve, truth = curves[f"error/{problem}"], curves[f"truth/{problem}"].values[0, 0]
            colour, line = COLOURS[name]
            values = np.sqrt((curve.values**2).mean(axis=1)) / truth
            axes.plot(curve.steps, values, line, color=colour, label=name + label, lw=1.6)
    axes.set(xscale="log", yscale="log", ylabel="RMSE / truth")
    _finish(axes)


def draw_problems(axes: Any, results: Results, problems: list[str], size: int, places: list[int]) -> None:
    """RMSE / truth of one log size against what tells the problems apart."""
    for name, curves in results.curves.items():
        if f"error/{problems[0]}" in curves:
            values = [rmse(_errors(curves, problem, size)) / _truth(curves, problem) for problem in problems]
            colour, line = COLOURS[name]
            axes.plot(places, values, line, color=colour, marker="o", ms=3, lw=1.6)
    axes.set(yscale="log", ylabel="RMSE / truth")
    _finish(axes, legend=False)


def draw_bias(axes: Any, results: Results, problems: list[str], size: int) -> None:
    """Bias / truth with its interval, estimators side by side for every problem."""
    names = [name for name, curves in results.curves.items() if f"error/{problems[0]}" in curves]
    for i, name in enumerate(names):
        errors = np.stack(
            [_errors(results.curves[name], p, size) / _truth(results.curves[name], p) for p in problems]
        )
        reach = 1.96 * errors.std(axis=1, ddof=1) / np.sqrt(errors.shape[1])
        places = np.arange(len(problems)) + (i - (len(names) - 1) / 2) * 0.8 / len(names)
        colour, line = COLOURS[name]
        axes.errorbar(
            places, errors.mean(axis=1), reach, fmt="o" if line == "-" else "D", color=colour, ms=4,
            mfc=colour if line == "-" else "white", lw=1.2,
        )  # fmt: skip
    axes.axhline(0, color="black", lw=0.8)
    _finish(axes, legend=False)


def draw_coverage(axes: Any, results: Results, problems: list[str]) -> None:
    """How often intervals hold the truth on the largest logs, and how often there was a warning."""
    rows = [
        (f"{name} ({problem.split('/')[0]})", curves[f"covered/{problem}"].values[-1].mean(),
         curves[f"warned/{problem}"].values[-1].mean())
        for problem in problems
        for name, curves in results.curves.items()
        if f"covered/{problem}" in curves
    ]  # fmt: skip
    places = np.arange(len(rows))[::-1]
    axes.barh(
        places, [row[1] for row in rows], color="#0072B2", height=0.7, label="95 % interval holds the truth"
    )
    axes.plot([row[2] for row in rows], places, "o", color="#D55E00", ms=4, label="warned", zorder=3)
    axes.axvline(0.95, color="black", lw=0.8)
    axes.set_yticks(places, [row[0] for row in rows], fontsize=6.5)
    axes.set(title="largest logs: can the intervals be believed?", xlabel="share of logs", xlim=(0, 1.02))
    _finish(axes)


def _finish(axes: Any, *, legend: bool = True) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, lw=0.6)
    axes.set_axisbelow(True)
    if legend:
        axes.legend(frameon=False, fontsize=7.5, ncols=2)


def _errors(curves: dict[str, Curve], problem: str, size: int) -> Floats:
    curve = curves[f"error/{problem}"]
    return np.asarray(curve.values[int(np.flatnonzero(curve.steps == size)[0])])


def _truth(curves: dict[str, Curve], problem: str) -> float:
    return float(curves[f"truth/{problem}"].values[0, 0])


def _problem_of(metric: str) -> str:
    return metric.partition("/")[2]


def _integers(name: str, text: str) -> list[int]:
    """`1,2,3` -> the numbers, increasing."""
    try:
        numbers = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise InputError(f"{name} must be whole numbers such as 100,1000, got {text!r}") from None
    if numbers[0] < 1:
        raise InputError(f"{name} must be 1 or more, got {numbers[0]}")
    return numbers


def _names(text: str) -> list[str]:
    """The click models, each once."""
    names = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in CLICK_MODELS:
            raise unknown_name("click model", name, CLICK_MODELS)
    if not names:
        raise InputError(f"clicks must name a click model, got {text!r}")
    return names
