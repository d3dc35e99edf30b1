"""Sequence models beside honest baselines: one protocol, full ranking, several seeds.

Model x data set x objective x seeds. Every recommender learns from all but the last two events of every user
and ranks the full catalogue for the last one, given all before it; the second-last is for validation, which
decides when a training ends (`split = leave_one_out`). With `split = time` all learning ends at one date for
all users, the target is what each user took first after it, and the last event before it is for validation.
Where more than 1 % of the rows repeat a (user, item) pair nothing is masked; elsewhere the history is. Rows
with one time are put in random order, by the seed 0 for all.

A row of the table is the mean over seeds with its standard error (of a recommender without chance: over
users). Beside it stand the processor time of one training, the milliseconds to score a user and cut the list
to ten, and, where others have published a figure for model, objective and data, that figure, quoted. Below a
data set stands what `recsim-env audit` says it can carry; a model below its best baseline is no evidence of
sequence modelling.

Settings of trainings come from `experiments/sequential_models.py`; `--set` changes one.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.agents.recommender import recommend, target_ranks
from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError, unknown_name
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.experiments import figure
from recsim_env.experiments.cells import Cell, load_arrays, run_cells, save_arrays
from recsim_env.experiments.recommenders import RECOMMENDERS
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.run_directory import open_run, write_json
from recsim_env.experiments.sequential_diagnostics import (
    COUNTS,
    LENGTHS,
    by_gap,
    by_history,
    by_target_count,
    head_and_tail,
    with_noise,
)
from recsim_env.experiments.sequential_models import (
    MODELS,
    changes_of,
    check_training,
    item_features,
    recommender_of,
    training_of,
)
from recsim_env.experiments.sequential_tables import print_tables
from recsim_env.experiments.sequential_training import asked, train_to_the_end
from recsim_env.experiments.settings import as_json, option, parts
from recsim_env.experiments.tensorboard import write_events
from recsim_env.experiments.training import one_thread
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.datasets.interactions import Interactions
from recsim_env.simulators.log import Log
from recsim_env.simulators.splits import HeldOut

NAME = "sequential_benchmark"
BARS = True  # so that `compare` gives every run a panel
K = 10
TIMED_USERS = 1000  # who are scored when that is timed
SHOWN = ("hit_rate", "ndcg")


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    data: str = option(
        "complete-journey",
        "sets, with commas: complete-journey, or directories or files; see recsim-env data",
    )
    models: str = option(
        "popularity,markov1,markov2,sasrec",
        f"with commas, of {', '.join((*RECOMMENDERS, *MODELS))}",
    )
    objectives: str = option("", "of the sequence encoders, with commas; none = each model's own")
    split: str = option("leave_one_out", "leave_one_out, or time: one date for all users")
    quantile: float = option(0.9, "share of the rows before that date")
    seeds: int = option(3, "trainings of every encoder")
    seed: int = option(0, "of the first one; the others have the next")
    diagnostics: str = option("yes", "yes or no: what the NDCG rests on; six rankings more a training")
    audit: str = option("yes", "yes or no: what the data set can carry")
    changes: str = option("", "a setting of all trainings, NAME=VALUE, such as dropout=0.2", each="set")


@dataclass(frozen=True)
class Task:
    """One recommender on one data set."""

    source: str  # of the data
    data: str  # its name
    model: str  # a key of RECOMMENDERS or MODELS
    objective: str  # empty: of a recommender without a network

    @property
    def name(self) -> str:
        """In the table."""
        return f"{self.model} {self.objective}".strip()


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`; trainings go on between epochs."""
    tasks = _tasks(settings)
    trained = [task for task in tasks if task.objective]
    for task in trained:
        check_training(task.model, _training(task, settings))
    for source in reversed(dict.fromkeys(task.source for task in tasks)):  # a broken file is refused, too
        data, _, _, _ = asked(source, settings.split, settings.quantile)
        for task in trained:
            if task.source == source:
                item_features(_training(task, settings), source, data.item_ids)
    with open_run(out, NAME, as_json(settings), resume) as directory:
        if directory.finished:
            results = Results.read(directory.results)
        else:
            cells = {
                (task, seed): _cell(directory, task, seed, settings)
                for task in tasks
                for seed in range(settings.seeds if task.objective else 1)
            }
            run_cells(list(cells.values()), directory.path, workers, "epoch")
            results = Results()
            for task in tasks:
                mine = [load_arrays(cell.file) for (one, _), cell in cells.items() if one == task]
                results.curves[f"{task.data}: {task.name}"] = _curves(mine)
                write_events(
                    directory.path / "tensorboard",
                    f"{task.data}-{task.name}".replace(" ", "-"),
                    results.curves[f"{task.data}: {task.name}"],
                )
            trainings = {f"{task.data}: {task.name}": asdict(_training(task, settings)) for task in trained}
            write_json(directory.path / "trainings.json", trainings)
            results.write(directory.results)
            figure.save_panel(directory.path / "figure.png", lambda axes: draw(axes, results, settings))
            directory.finish()
    print_tables(results, names_by_data(tasks))
    if settings.audit == "yes":
        _print_verdicts(tasks)
    sys.stdout.write(
        f"wrote {directory.path}/: results.csv, trainings.json, figure.png, tensorboard/, run.json\n"
    )
    return results


def _tasks(settings: Settings) -> list[Task]:
    """What is asked for.

    Raises:
        InputError: a name that is none, or one twice; a setting out of range.
    """
    for name, choices in (
        ("split", ("leave_one_out", "time")),
        ("diagnostics", ("yes", "no")),
        ("audit", ("yes", "no")),
    ):
        if getattr(settings, name) not in choices:
            raise InputError(f"{name} must be {' or '.join(choices)}, got {getattr(settings, name)!r}")
    if settings.seeds < 1 or settings.seed < 0:
        found = f"{settings.seeds} and {settings.seed}"
        raise InputError(f"seeds must be 1 or more and seed 0 or more, got {found}")
    sources, models = _names("data", settings.data), _names("models", settings.models)
    objectives = _names("objectives", settings.objectives) if settings.objectives else [""]
    for model in models:
        if model not in RECOMMENDERS and model not in MODELS:
            raise unknown_name("model", model, [*RECOMMENDERS, *MODELS])
    changes = changes_of(parts(settings.changes))
    tasks = []
    for source in sources:
        data = Path(source).name
        for model in models:
            if model in RECOMMENDERS:
                tasks.append(Task(source, data, model, ""))
                continue
            own = training_of(model, data, changes).objective
            tasks += [Task(source, data, model, objective or own) for objective in objectives]
    if len({(task.data, task.name) for task in tasks}) < len(tasks):
        raise InputError(f"data sets must have different names, got {settings.data!r}")
    return tasks


def _names(option: str, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise InputError(f"{option} must name each once, got {text!r}")
    return names


def _training(task: Task, settings: Settings) -> Any:
    changes = changes_of(parts(settings.changes))
    return training_of(task.model, task.data, {**changes, "objective": task.objective})


def _recommender(task: Task, settings: Settings, *, seed: int, data: Interactions, mask_history: bool) -> Any:
    if not task.objective:
        return RECOMMENDERS[task.model](data.num_items)
    training = _training(task, settings)
    return recommender_of(
        task.model,
        training,
        num_items=data.num_items,
        seed=seed,
        mask_history=mask_history,
        features=item_features(training, task.source, data.item_ids),
    )


def _cell(directory: Any, task: Task, seed: int, settings: Settings) -> Cell:
    name = f"{task.data}-{task.name}-{seed}".replace(" ", "-")
    return Cell.of(
        directory,
        name,
        size=_training(task, settings).epochs if task.objective else 1,
        label=f"{task.data}: {task.name}, seed {settings.seed + seed}",
        work=partial(_work, task, settings.seed + seed, settings),
    )


def _work(
    task: Task,
    seed: int,
    settings: Settings,
    file: Path,
    saved_at: Path,
    progress: Callable[[int], Any],
) -> None:
    """Train, rank, and write what was found.

    With one thread, here and on a worker: the sums of a network depend on their number in the last bits.
    """
    with one_thread():
        data, held, train, mask = asked(task.source, settings.split, settings.quantile)
        recommender = _recommender(task, settings, seed=seed, data=data, mask_history=mask)
        found: dict[str, Array] = {}
        if task.objective:
            found["training"] = np.array([train_to_the_end(recommender, held.train, saved_at, progress)])
            found["validation"] = recommender.validation_
        else:
            started = time.process_time()
            recommender.fit(train)
            found["training"] = np.array([time.process_time() - started])
            progress(1)
        gaps = held.gaps if task.objective else None
        ranks = target_ranks(recommender, held.history, held.target, mask_history=mask, gaps=gaps)
        ndcg, hit = ranks.ndcg(K), ranks.hit_rate(K)
        for name, values in (("hit_rate", hit), ("ndcg", ndcg)):
            one = mean_estimate(values)
            found |= {name: np.array([one.value]), f"{name}_std_error": np.array([one.std_error])}
        some = slice(0, TIMED_USERS)
        started = time.process_time()
        recommend(
            recommender, held.history[some], K, mask_history=mask, gaps=None if gaps is None else gaps[some]
        )
        found["ms_a_user"] = np.array([1000 * (time.process_time() - started) / len(held.history[some])])
        if settings.diagnostics == "yes":
            found |= _diagnostics(recommender, held, train, ndcg, mask, gaps)
    save_arrays(file, found)


def _diagnostics(
    recommender: Any, held: HeldOut, train: Log, ndcg: Floats, mask: bool, gaps: Floats | None
) -> dict[str, Array]:
    count = np.bincount(train.slate[:, 0], minlength=recommender.num_items_)
    cut = by_history(recommender, held, mask, gaps)
    target = by_target_count(ndcg, held, count)
    return {
        "by_history": np.array([cut[n] for n in LENGTHS]),
        "by_target": np.array([target[low].value if low in target else np.nan for low in COUNTS]),
        "head_tail": np.array(head_and_tail(ndcg, held, count)),
        "by_gap": np.array(by_gap(ndcg, held)),
        "noisy": np.array([with_noise(recommender, held, mask, gaps, seed=0)]),
    }


def _curves(cells: list[dict[str, Array]]) -> dict[str, Curve]:
    """Curves of a recommender from the cells of its seeds."""
    at = np.array([K])
    curves = {
        f"{name}@{K}": Curve(at, np.array([[cell[name][0] for cell in cells]]))
        for name in ("hit_rate", "ndcg")
    }
    for name in ("hit_rate", "ndcg"):
        errors = [cell[f"{name}_std_error"][0] for cell in cells]
        curves[f"{name}@{K}_std_error"] = Curve(at, np.array([errors]))
    curves["training_seconds"] = Curve(at, np.array([[cell["training"][0] for cell in cells]]))
    curves["ms_a_user"] = Curve(at, np.array([[cell["ms_a_user"][0] for cell in cells]]))
    if "validation" in cells[0]:
        epochs = max(len(cell["validation"]) for cell in cells)
        values = np.full((epochs, len(cells)), np.nan)
        for seed, cell in enumerate(cells):
            values[: len(cell["validation"]), seed] = cell["validation"]
        curves[f"validation_ndcg@{K}"] = Curve(np.arange(1, epochs + 1), values)
    for name, steps in (
        ("by_history", LENGTHS),
        ("by_target", COUNTS),
        ("head_tail", (1, 2)),
        ("by_gap", (1, 2, 3, 4)),
        ("noisy", (K,)),
    ):
        if name in cells[0]:
            curves[f"ndcg@{K}_{name}"] = Curve(
                np.array(steps), np.stack([cell[name] for cell in cells], axis=1)
            )
    return curves


def names_by_data(tasks: list[Task]) -> dict[str, list[str]]:
    """The rows of the table of each data set."""
    found: dict[str, list[str]] = {}
    for task in tasks:
        found.setdefault(task.data, []).append(task.name)
    return found


def _print_verdicts(tasks: list[Task]) -> None:
    from recsim_env.experiments.audit import audit
    from recsim_env.experiments.audit_verdict import verdict

    for source in dict.fromkeys(task.source for task in tasks):
        sys.stdout.write(f"\naudit of {Path(source).name}: {verdict(audit(source))}\n")


def title(settings: Settings) -> str:
    """What the run is about, for a picture."""
    names = ", ".join(Path(source).name for source in settings.data.split(","))
    return f"next item, full ranking: {names}"


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """Bars of both metrics on one data set, or of the NDCG on each of several."""
    found: dict[str, dict[str, dict[str, Curve]]] = {}  # data, then recommender
    for key, curves in results.curves.items():
        data, _, name = key.partition(": ")
        found.setdefault(data, {})[name] = curves
    shown = Results()
    if len(found) == 1:
        shown.curves = next(iter(found.values()))
        figure.draw_bars(axes, shown, [f"{name}@{K}" for name in SHOWN])
        axes.set(title=title(settings), ylabel="mean over users, 95 % interval")
        return
    for data, recommenders in found.items():
        for name, curves in recommenders.items():
            for suffix in ("", "_std_error"):
                shown.curves.setdefault(name, {})[data + suffix] = curves[f"ndcg@{K}{suffix}"]
    figure.draw_bars(axes, shown, list(found))
    axes.set(title="next item, full ranking", ylabel=f"NDCG@{K}, mean over users, 95 % interval")
