"""Settings for a sequence model, looked for at random, by validation alone.

Every trial draws one value of each setting, trains, and is rated by the best NDCG@10 of its epochs on the
second-last event of every user. The last event is cut off before anything else is done: no trial sees it.
What every trial was and found is kept (`trials.json`), so that whoever reads the result knows how much was
tried for it.
"""

import itertools
import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.errors import InputError, unknown_name
from recsim_env.experiments import figure
from recsim_env.experiments.cells import Cell, load_arrays, run_cells, save_arrays
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.run_directory import open_run, write_json
from recsim_env.experiments.sequential_models import (
    MODELS,
    changes_of,
    check_training,
    item_features,
    recommender_of,
    training_of,
)
from recsim_env.experiments.sequential_training import asked, train_to_the_end
from recsim_env.experiments.settings import as_json, option, parts
from recsim_env.experiments.tensorboard import write_events
from recsim_env.experiments.training import one_thread
from recsim_env.experiments.workers import Workers

NAME = "sequential_search"
SPACE = "dropout=0.2,0.3,0.4,0.5 blocks=1,2 learning_rate=0.0005,0.001,0.002 negatives=256,512,1024"
METRIC = "validation_ndcg@10"


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    data: str = option("complete-journey", "complete-journey, or a directory or file; see recsim-env data")
    model: str = option("sasrec", f"one of {', '.join(MODELS)}")
    trials: int = option(20, "how many settings are tried; all of them, if they are fewer")
    space: str = option(SPACE, "what they are drawn from: NAME=VALUE,VALUE,...")
    seed: int = option(0, "of the draws, and of every training")
    changes: str = option("", "a setting of all trials, NAME=VALUE, such as epochs=50", each="set")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the search, or what is left of it, in the directory `out`."""
    trials = draw_trials(settings)
    trainings = [_training(settings, trial) for trial in trials]
    for training in trainings:
        check_training(settings.model, training)
    data, _, _, _ = asked(settings.data, "leave_one_out", 0.0)  # a broken file is refused, too
    for training in {(one.item_vectors, one.features): one for one in trainings}.values():
        item_features(training, settings.data, data.item_ids)
    with open_run(out, NAME, as_json(settings), resume) as directory:
        if directory.finished:
            results = Results.read(directory.results)
        else:
            cells = [
                Cell.of(
                    directory,
                    f"trial-{i}",
                    size=_training(settings, trial).epochs,
                    label=" ".join(f"{name}={value}" for name, value in trial.items()),
                    work=partial(_work, settings, trial),
                )
                for i, trial in enumerate(trials)
            ]
            run_cells(cells, directory.path, workers, "epoch")
            results, found = Results(), []
            for i, (cell, trial) in enumerate(zip(cells, trials, strict=True)):
                arrays = load_arrays(cell.file)
                validation = arrays["validation"]
                curve = Curve(np.arange(1, len(validation) + 1), validation[:, None])
                results.curves[f"trial-{i}"] = {METRIC: curve}
                write_events(directory.path / "tensorboard", f"trial-{i}", results.curves[f"trial-{i}"])
                found.append(
                    {
                        "settings": trial,
                        METRIC: float(validation.max()),
                        "best_epoch": int(validation.argmax()) + 1,
                        "epochs": len(validation),
                        "training_seconds": float(arrays["training"][0]),
                    }
                )
            asked_for = asdict(_training(settings, {}))
            write_json(directory.path / "trials.json", {"all": asked_for, "trials": found})
            results.write(directory.results)
            figure.save_panel(directory.path / "figure.png", lambda axes: draw(axes, results, settings))
            directory.finish()
    kept = json.loads((directory.path / "trials.json").read_text(encoding="utf-8"))
    _print_trials(kept["trials"], settings)
    sys.stdout.write(
        f"wrote {directory.path}/: results.csv, trials.json, figure.png, tensorboard/, run.json\n"
    )
    return results


def draw_trials(settings: Settings) -> list[dict[str, Any]]:
    """Different settings, (trials,).

    Raises:
        InputError: a model or setting that is none, no value, or a number out of range.
    """
    if settings.model not in MODELS:
        raise unknown_name("model", settings.model, MODELS)
    if settings.trials < 1 or settings.seed < 0:
        found = f"{settings.trials} and {settings.seed}"
        raise InputError(f"trials must be 1 or more and seed 0 or more, got {found}")
    names, choices = [], []
    for part in parts(settings.space):
        name, _, values = part.partition("=")
        names.append(name)
        choices.append([changes_of([f"{name}={value}"])[name] for value in values.split(",")])
    if not names or len(set(names)) < len(names):
        raise InputError(f"space must name settings, each once, got {settings.space!r}")
    fixed = sorted(set(names) & changes_of(parts(settings.changes)).keys())
    if fixed:
        raise InputError(f"{fixed[0]} is set for all trials and stands in the space: give it once")
    every = list(itertools.product(*choices))
    chosen = np.random.default_rng(settings.seed).permutation(len(every))[: settings.trials]
    return [dict(zip(names, every[i], strict=True)) for i in chosen]


def _training(settings: Settings, trial: dict[str, Any]) -> Any:
    changes = changes_of(parts(settings.changes))
    return training_of(settings.model, Path(settings.data).name, {**changes, **trial})


def _work(
    settings: Settings, trial: dict[str, Any], file: Path, saved_at: Path, progress: Callable[[int], Any]
) -> None:
    with one_thread():
        data, held, _, mask = asked(settings.data, "leave_one_out", 0.0)
        training = _training(settings, trial)
        recommender = recommender_of(
            settings.model,
            training,
            num_items=data.num_items,
            seed=settings.seed,
            mask_history=mask,
            features=item_features(training, settings.data, data.item_ids),
        )
        spent = train_to_the_end(recommender, held.train, saved_at, progress)
    save_arrays(file, {"validation": recommender.validation_, "training": np.array([spent])})


def _print_trials(trials: list[dict[str, Any]], settings: Settings) -> None:
    """Best first."""
    ranked = sorted(trials, key=lambda trial: -trial[METRIC])
    sys.stdout.write(f"\n{METRIC:>18}{'best epoch':>12}{'epochs':>8}{'seconds':>9}  settings\n")
    for trial in ranked:
        said = " ".join(f"{name}={value}" for name, value in trial["settings"].items())
        sys.stdout.write(
            f"{trial[METRIC]:>18.4f}{trial['best_epoch']:>12}{trial['epochs']:>8}"
            f"{trial['training_seconds']:>9.0f}  {said}\n"
        )
    found = [f"{name}={value}" for name, value in ranked[0]["settings"].items()]
    data = shlex.quote(settings.data)
    best = " ".join(f"--set {one}" for one in [*parts(settings.changes), *found])
    sys.stdout.write(
        f"\nthe best of {len(ranked)} trials is the best by luck, too: rate it on the test, once:\n"
        f"recsim-env run sequential_benchmark --data {data} --models {settings.model} {best}\n"
    )


def title(settings: Settings) -> str:
    """What the run is about, for a picture."""
    return f"{settings.model} on {Path(settings.data).name}: trials"


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """Validation by epoch; the best trials are named."""
    ranked = sorted(results.curves, key=lambda name: -results.curves[name][METRIC].values.max())
    for place, name in enumerate(ranked):
        curve = results.curves[name][METRIC]
        named = (
            {"label": f"{label} {name}".strip(), "zorder": 3} if place < 5 else {"color": "0.8", "zorder": 1}
        )
        axes.plot(curve.steps, curve.values[:, 0], linestyle=("-", "--", ":")[style % 3], **named)
    axes.set(title=title(settings), xlabel="epoch", ylabel="NDCG@10 of validation")
    figure.legend(axes)
