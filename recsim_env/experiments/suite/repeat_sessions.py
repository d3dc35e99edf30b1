"""Who names what people play in their next session: of what they know, and of what is new to them?

A log is cut into sessions (`simulators/sessions_split.py`); each user's last `test` sessions are ranked one
by one, from all the user did before each, over the full catalogue, nothing masked. Metrics are those of PISA:
NDCG and recall of the session, of its repeated and of its explored items, the share of the list that the user
had before, and how many users had what is listed; averaged over each user's sessions, then over users.

The log is a data set, or `RepeatListen-v0`: what listeners of that world play when nothing is recommended.
Networks are trained `seeds` times; their figures are means of the trainings, with the standard error over
users, as of the others, and the deviation of trainings beside it.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.agents.sequential.session_recommender import evaluate_sessions
from recsim_env.arrays import Floats
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.evaluation.session_metrics import SESSION_METRICS
from recsim_env.experiments import checkpoint as checkpoints
from recsim_env.experiments import figure
from recsim_env.experiments.cells import Cell, load_arrays, run_cells, save_arrays
from recsim_env.experiments.env_args import world_of
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.run_directory import open_run
from recsim_env.experiments.session_recommenders import (
    NETWORKS,
    SESSION_RECOMMENDERS,
    session_recommender_names,
)
from recsim_env.experiments.settings import as_json, option, positive
from recsim_env.experiments.suite.cascade_mdp import world_parameters
from recsim_env.experiments.suite.offline_ranking import print_differences
from recsim_env.experiments.tensorboard import write_events
from recsim_env.experiments.training import one_thread
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.datasets import read_events
from recsim_env.simulators.natural_listening import natural_listening
from recsim_env.simulators.sessions_split import TEST, Sessions, SessionSplit, sessions_of, split_sessions
from recsim_env.simulators.splits import shuffle_ties

NAME = "repeat_sessions"
BARS = True  # so that `compare` gives every run a panel
WORLD = "RepeatListen-v0"
TABLES = (
    ("ndcg", "ndcg_repeated", "ndcg_explored"),
    ("recall", "recall_repeated", "recall_explored"),
    ("repeat_ratio", "popularity"),
)
ENDS = ("", "_std_error", "_deviation_of_trainings")  # of the names of a metric's curves
KNOWN = {"before": "before the session", "train": "in the sessions for training"}


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    data: str = option(
        "complete-journey", f"complete-journey, a directory or file (see recsim-env data list), or {WORLD}"
    )
    world: str = option("", f"parameters of {WORLD}, such as num_items=1000,concentration=0.1")
    plays: int = option(800, f"of each listener of {WORLD}")
    recommenders: str = option(
        "popularity,p_top,bll,tifu_knn,pisa_u,pisa_p",
        f"of {', '.join(SESSION_RECOMMENDERS)}; the first is the baseline of the differences",
    )
    gap: float = option(1200.0, "a longer one begins a session, in the unit of the log's times")
    least: int = option(5, "items of a session; shorter ones are left out (LFM-1b: 10)")
    most: int = option(10, "items of a session that are kept, its first")
    min_sessions: int = option(50, "users with fewer are left out")
    test: int = option(10, "sessions of every user that are ranked in the end")
    validation: int = option(5, "sessions before these, by which trainings end")
    known: str = option("before", "what counts as repeated: had before the session, or in `train` (PISA)")
    k: int = option(10, "length of the list")
    seeds: int = option(3, "trainings of every network")
    length: int = option(20, "sessions that a network reads")
    stride: int = option(20, "sessions between the windows of a user (PISA: 5)")
    dimension: int = option(64, "of the networks' vectors (PISA: 128)")
    long_weight: float = option(2.0, "lambda, of the long-term state in loss and score (PISA: .5)")
    epochs: int = option(24, "of a training at most (PISA: 100)")
    patience: int = option(5, "epochs without a better validation after which a training ends")
    batch_size: int = option(16, "windows of one gradient (PISA: 512)")
    learning_rate: float = option(0.01, "of Adam (PISA: .001)")
    seed: int = option(0, "of ties, listeners and the first training; training i has seed + i")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`; a cell is one training."""
    names = session_recommender_names(settings.recommenders)
    positive(k=settings.k, plays=settings.plays, seeds=settings.seeds, epochs=settings.epochs)
    positive(patience=settings.patience, batch_size=settings.batch_size, stride=settings.stride)
    positive(length=settings.length, dimension=settings.dimension, learning_rate=settings.learning_rate)
    if settings.known not in KNOWN:
        raise InputError(f"known must be before or train, got {settings.known!r}")
    if settings.seed < 0:
        raise InputError(f"seed must be 0 or more, got {settings.seed}")
    sessions, source = sessions_of_settings(settings)
    split = split_sessions(sessions, test=settings.test, validation=settings.validation)
    for name in names:
        SESSION_RECOMMENDERS[name](sessions.num_items, settings, settings.seed)
    with open_run(out, NAME, as_json(settings), resume) as directory:
        sys.stdout.write(
            f"{source}: {len(sessions):,} sessions of {len(sessions.user_ids):,} users and "
            f"{sessions.num_items:,} items, {sessions.size.mean():.1f} items each; the last {settings.test} "
            f"of every user are ranked, repeated is what they had {KNOWN[settings.known]}\n"
        )
        if directory.finished:
            results = Results.read(directory.results)
        else:
            cells = {
                name: [
                    Cell.of(
                        directory,
                        f"{name}-{i}",
                        size=settings.epochs if name in NETWORKS else 1,
                        label=f"{name}, training {i}" if name in NETWORKS else name,
                        work=partial(rate, name, split, settings, settings.seed + i),
                    )
                    for i in range(settings.seeds if name in NETWORKS else 1)
                ]
                for name in names
            }
            run_cells([one for ones in cells.values() for one in ones], directory.path, workers, "epoch")
            found = {name: [load_arrays(cell.file) for cell in cells[name]] for name in names}
            results = to_results(found, settings.k)
            for name in names:
                write_events(directory.path / "tensorboard", name, results.curves[name])
            figure.save_panel(directory.path / "figure.png", lambda axes: draw(axes, results, settings))
            results.write(directory.results)
            print_differences(
                {name: np.mean([one["ndcg"] for one in ones], axis=0) for name, ones in found.items()},
                settings.k,
                settings.seed,
            )
            directory.finish()
    print_tables(results, settings.k)
    sys.stdout.write(f"wrote {directory.path}/: results.csv, figure.png, tensorboard/, run.json\n")
    return results


def sessions_of_settings(settings: Settings) -> tuple[Sessions, str]:
    """The sessions that are asked for, and what they are of.

    Raises:
        InputError: no such data, parameters of a world beside data, or see `sessions_of`.
    """
    if settings.data == WORLD:
        world: Any = world_of(WORLD, world_parameters(settings.world))
        log, N, name = natural_listening(world, settings.plays, seed=settings.seed), world.num_items, WORLD
    elif settings.world:
        raise InputError(f"world must be left out: it is of --data {WORLD}, got {settings.world!r}")
    else:
        data = read_events(settings.data, prefer="timestamp")
        log, N, name = shuffle_ties(data.log, settings.seed), data.num_items, data.name
    cut = {"gap": settings.gap, "least": settings.least, "most": settings.most}
    return sessions_of(log, **cut, min_sessions=settings.min_sessions, num_items=N), name  # type: ignore[arg-type]


def rate(
    name: str,
    split: SessionSplit,
    settings: Settings,
    seed: int,
    file: Path,
    checkpoint: Path,
    progress: Callable[[int], Any],
) -> None:
    """Train a recommender, going on from its checkpoint, and write its metrics by user.

    With one thread: sums of several come out in any order, and runs would not repeat.
    """
    with one_thread():
        recommender: Any = SESSION_RECOMMENDERS[name](split.sessions.num_items, settings, seed)
        epochs = 1
        if name in NETWORKS:
            recommender.begin(split)
            if checkpoint.exists():
                checkpoints.load(checkpoint, recommender)
            progress(len(recommender.validation_))
            while not recommender.finished:
                recommender.train_epoch()
                checkpoints.save(checkpoint, recommender, {})
                progress(1)
            epochs = len(recommender.validation_)
            progress(settings.epochs - epochs)  # those that patience spared
        else:
            recommender.fit(split)
            progress(1)
        found = evaluate_sessions(recommender, split, TEST, settings.k, known=settings.known)
    save_arrays(file, {**found, "epochs": np.array([float(epochs)])})


def to_results(found: dict[str, list[dict[str, Floats]]], k: int) -> Results:
    """Means over users of every metric with their standard errors, and deviations of the trainings."""
    results, at = Results(), np.array([k])
    for name, trainings in found.items():
        curves = results.curves.setdefault(name, {})
        for metric in SESSION_METRICS:
            by_user = np.mean([one[metric] for one in trainings], axis=0)  # (U,) whoever has a value
            there = ~np.isnan(by_user)
            if not there.any():  # such as explored items, where nobody explores
                curves |= {f"{metric}@{k}{end}": Curve(at, np.array([[np.nan]])) for end in ENDS}
                continue
            estimate = mean_estimate(by_user[there])
            means = [float(one[metric][there].mean()) for one in trainings]
            spread = float(np.std(means, ddof=1)) if len(means) > 1 else 0.0
            values = (float(estimate.value), float(estimate.std_error), spread)
            for end, value in zip(ENDS, values, strict=True):
                curves[f"{metric}@{k}{end}"] = Curve(at, np.array([[value]]))
        epochs = np.mean([one["epochs"][0] for one in trainings])
        curves["epochs"] = Curve(at, np.array([[epochs]]))
    return results


def print_tables(results: Results, k: int) -> None:
    """A row for every recommender."""
    width = max(map(len, results.curves))

    def number(name: str, metric: str) -> float:
        return float(results.curves[name][metric].values[0, 0])

    for metrics in TABLES:
        heads = "".join(f"{f'{metric}@{k}':>30}" for metric in metrics)
        sys.stdout.write("\n" + " " * width + heads + "\n")
        for name in results.curves:
            row = ""
            for metric in (f"{metric}@{k}" for metric in metrics):
                cell = f"{number(name, metric):.4f} +- {number(name, f'{metric}_std_error'):.4f}"
                spread = f" ({number(name, f'{metric}_deviation_of_trainings'):.4f})"
                row += f"{cell + (spread if name in NETWORKS else ' ' * len(spread)):>30}"
            sys.stdout.write(f"{name:{width}}{row}".rstrip() + "\n")
    played = number(next(iter(results.curves)), f"played_repeat_ratio@{k}")
    sys.stdout.write(
        "mean +- standard error over users (deviation of trainings); repeat_ratio: share of the list that "
        f"the user had before,\nof what they took {played:.1%}; popularity: share of users who had what is "
        "listed\n"
    )


def title(settings: Settings) -> str:
    """What the run is about, for a picture."""
    return f"the next sessions of {Path(settings.data).name}" + (
        f" ({settings.world})" * bool(settings.world)
    )


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """Bars of NDCG, of all, of what is repeated and of what is explored."""
    figure.draw_bars(axes, results, [f"{metric}@{settings.k}" for metric in TABLES[0]])
    axes.set(title=title(settings), ylabel="mean over users, 95 % interval")
