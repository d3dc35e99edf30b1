"""Does a simulator rank recommenders as reality does? Real log, calibrated world, and the true reward in it.

`RepeatListen-v0` is fitted to the log, and lets as many simulated users do as many things. Every recommender
is scored three times: on the real log (NDCG of the last basket of every user, learned from all before), on
the simulated log in the same way, and live in the world, where it recommends to simulated users who go on
living and is paid its exact expected reward, the probability that the next event is on the slate. The
interval of Kendall's tau between two orders holds every order that the users leave open; the orders of two
random halves of the real users say how much agreement can be hoped for, and 0.8487 is what the TREC Deep
Learning Track 2023 found between human and synthetic queries.

The simulator remembers as ACT-R does. If it favours its own kind, recommenders by the user's own memory stand
higher in the simulation than in reality: `favour` is the share of pairs of one of them and another that turn
in their favour, less the share that turn against them.
"""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.agents.recommender import Recommender, recommend
from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.evaluation.agreement import TREC_2023, Agreement, agreement
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.evaluation.ranking import ndcg
from recsim_env.experiments import figure
from recsim_env.experiments.cells import Cell, load_arrays, run_cells, save_arrays
from recsim_env.experiments.recommenders import RECOMMENDERS, make_recommender, recommender_names
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.run_directory import RunDirectory, open_run
from recsim_env.experiments.sequential_models import MODELS
from recsim_env.experiments.settings import as_json, option, positive
from recsim_env.experiments.tensorboard import write_events
from recsim_env.experiments.training import one_thread
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.calibration.listening import ListeningCalibration, fit_listening, simulate_like
from recsim_env.simulators.datasets import Interactions, read_events
from recsim_env.simulators.log import Log
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.splits import HeldOut, leave_last_basket_out, shuffle_ties
from recsim_env.simulators.worlds.listening import ListeningWorld

NAME = "simulator_agreement"
BARS = True  # so that `compare` gives every run a panel
MEMORY = ("p_top", "base_level", "latest")
"""Recommenders that think as the simulator does: by the user's own history."""
REMEMBERED = 2000  # plays of a simulated user, as in the fidelity report
HISTORY = 500  # plays behind a user at the most, live
SCORES = ("real", "simulated", "live")
ROLES = ("real", "simulated", "half", "other half")
"""The logs that recommenders are scored on: the real one, the simulated one, those of halves of the users."""


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    data: str = option(
        "complete-journey", "complete-journey, or a directory or file; recsim-env data list names formats"
    )
    recommenders: str = option(
        ",".join(RECOMMENDERS),
        f"eight or more say something about an order; sequence encoders too: {', '.join(MODELS)}",
    )
    k: int = option(10, "length of the lists")
    live_users: int = option(300, "simulated users who are recommended to live")
    live_steps: int = option(20, "recommendations to each of them; 1 = only at the start of a visit")
    beta: float = option(
        3.0, "how much easier a recommended item comes to mind live, in logits; 0 = no easier"
    )
    resamples: int = option(1000, "of users, for the intervals")
    seconds: float = option(1.0, "in a unit of the log's clock, such as 86400 for days")
    seed: int = option(0, "of ties, halves, simulated users and resamples")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`; a cell is one recommender."""
    names = recommender_names(settings.recommenders)
    positive(k=settings.k, live_users=settings.live_users, live_steps=settings.live_steps)
    positive(seconds=settings.seconds)
    if settings.resamples < 2:
        raise InputError(f"resamples must be 2 or more, got {settings.resamples}")
    if not 0.0 <= settings.beta <= 50.0:
        raise InputError(f"beta must be from 0 to 50, got {settings.beta}")
    family = np.array([name in MEMORY for name in names])
    if family.all() or not family.any():
        raise InputError(
            f"recommenders must hold some of {', '.join(MEMORY)} and some others, got {settings.recommenders}"
            ": whether the simulator favours its own kind is asked"
        )
    data = read_events(settings.data, prefer="timestamp")
    with open_run(out, NAME, as_json(settings), resume) as directory:
        if directory.finished:
            results = Results.read(directory.results)
        else:
            results = _score(names, family, data, settings, directory, workers)
    print_table(results, settings)
    sys.stdout.write(f"wrote {directory.path}/: results.csv, figure.png, tensorboard/, run.json\n")
    return results


def _score(
    names: list[str],
    family: Bools,
    data: Interactions,
    settings: Settings,
    directory: RunDirectory,
    workers: Workers | None,
) -> Results:
    sys.stderr.write("fitting the world to the log, and simulating a log of the same size\n")
    calibration = fit_listening(data.log, seconds=settings.seconds, name=data.name)
    logs = (data.log, simulated_log(calibration, data.log, settings), *split_users(data.log, settings.seed))
    held_out = [leave_last_basket_out(shuffle_ties(log, settings.seed)) for log in logs]
    world = live_world(calibration, settings)
    cells = [
        Cell.of(
            directory,
            name,
            size=len(ROLES) + 1,
            label=name,
            work=partial(score, name, held_out, data.num_items, world, calibration.item_ids, settings),
        )
        for name in names
    ]
    run_cells(cells, directory.path, workers, "score")
    ones = [load_arrays(cell.file, (*ROLES, "live")) for cell in cells]
    found = {role: np.stack([one[role] for one in ones], axis=1) for role in (*ROLES, "live")}
    pairs = {
        "real, simulated": (found["real"], found["simulated"]),
        "real, live": (found["real"], found["live"]),
        "simulated, live": (found["simulated"], found["live"]),
        "two halves of the real": (found["half"], found["other half"]),
    }
    agreements = {
        name: agreement(*pair, families={"memory": family}, resamples=settings.resamples, seed=settings.seed)
        for name, pair in pairs.items()
    }
    results = to_results(names, {one: found[one] for one in SCORES}, agreements)
    for name in names:
        write_events(directory.path / "tensorboard", name, results.curves[name])
    figure.save(draw_all(results, settings), directory.path / "figure.png")
    results.write(directory.results)
    if calibration.problems:
        sys.stdout.write(f"NOT TO BE TRUSTED, the fit of the world: {'; '.join(calibration.problems)}\n")
    directory.finish()
    return results


def score(
    name: str,
    held_out: list[HeldOut],
    num_items: int,
    world: ListeningWorld,
    item_ids: Ints,
    settings: Settings,
    file: Path,
    checkpoint: Path,
    progress: Callable[[int], Any],
) -> None:
    """Write the NDCG of a recommender for the users of every log (U,), and its rewards live."""
    found = {}
    with one_thread() if name in MODELS else nullcontext():  # or trainings would not repeat
        for role, one in zip(ROLES, held_out, strict=True):
            fitted = make_recommender(name, num_items, mask_history=False).fit(one.train)
            ranked = recommend(fitted, one.history, settings.k, mask_history=False)
            found[role] = ndcg(ranked, one.relevant, settings.k)
            if role == "simulated":
                found["live"] = live_rewards(world, item_ids, fitted, settings)
                progress(1)
            progress(1)
    save_arrays(file, found)


def simulated_log(calibration: ListeningCalibration, log: Log, settings: Settings) -> Log:
    """As many users and events as the log has, in the world that was fitted to it; items keep their ids."""
    remembered = max(1, min(REMEMBERED, len(calibration.popularity) - 2))
    world = calibration.world(num_users=len(calibration.pace), force=True, remembered=remembered, horizon=1)
    found = simulate_like(world, log, seconds=settings.seconds, seed=settings.seed)
    return Log(found.user, found.time, calibration.item_ids[found.slate], found.clicked)


def split_users(log: Log, seed: int) -> tuple[Log, Log]:
    """The log of a random half of the users, and that of the others."""
    users = np.unique(log.user)
    half = np.random.default_rng(seed).permutation(len(users)) % 2 == 0
    first = half[np.searchsorted(users, log.user)]
    return log.rows(first), log.rows(~first)


def live_world(calibration: ListeningCalibration, settings: Settings) -> ListeningWorld:
    """Users who begin with as many events behind them as those of the log have, on average."""
    N = len(calibration.popularity)
    K = min(settings.k, N - 2)
    average = round(calibration.about["events"] / calibration.about["users"])
    behind = max(1, min(average, HISTORY, N - K))
    return calibration.world(
        num_users=settings.live_users,
        force=True,
        slate_size=K,
        horizon=settings.live_steps,
        beta=settings.beta,
        remembered=behind,
        history_length=behind,
    )


def live_rewards(
    world: ListeningWorld, item_ids: Ints, recommender: Recommender, settings: Settings
) -> Floats:
    """(U,) the mean exact reward of a user's step when the recommender chooses their slates.

    All recommenders meet the same users under the same luck. `item_ids` (N,) are the log's ids of the items.
    """
    N = world.num_items
    world_id = np.full(recommender.num_items_, -1)  # of the log's ids
    world_id[item_ids] = np.arange(N)
    luck = Luck.from_seeds(np.arange(settings.live_users) + settings.seed)
    state = world.begin(luck)
    total = np.zeros(settings.live_users)
    for step in range(settings.live_steps):
        recent = world.observe(state)["recent"][:, ::-1]  # (U, H) the latest last, N = none
        history = np.where(recent < N, item_ids[np.minimum(recent, N - 1)], -1)
        slates = world_id[recommend(recommender, history, world.slate_size, mask_history=False)]
        total += world.expected_reward(state, slates)
        state, _ = world.respond(state, slates, luck.at(step))
    return np.asarray(total / settings.live_steps)


def to_results(names: list[str], scores: dict[str, Floats], found: dict[str, Agreement]) -> Results:
    """Means with standard errors of every recommender, and what the orders have in common."""
    results, at = Results(), np.array([0])
    for m, name in enumerate(names):
        results.curves[name] = {}
        for score, values in scores.items():
            estimate = mean_estimate(values[:, m])
            for suffix, value in (("", estimate.value), ("_std_error", estimate.std_error)):
                results.curves[name][score + suffix] = Curve(at, np.array([[float(value)]]))
    for name, one in found.items():
        curves = results.curves.setdefault(f"agreement: {name}", {})
        for metric, estimate in (("tau", one.tau), ("favour of memory", one.favour["memory"])):
            for suffix, value in zip(
                ("", "_low", "_high"), (estimate.value, *estimate.interval), strict=True
            ):
                curves[metric + suffix] = Curve(at, np.array([[float(value)]]))
    return results


def print_table(results: Results, settings: Settings) -> None:
    """Scores and ranks of the recommenders, best in reality first; then the agreement of the orders."""
    names = sorted(_recommenders(results), key=lambda name: -_cell(results, name, "real"))
    ranks = {
        score: [1 + sum(_cell(results, b, score) > _cell(results, a, score) for b in names) for a in names]
        for score in SCORES
    }
    heads = (f"NDCG@{settings.k}, real", f"NDCG@{settings.k}, simulated", "reward, live")
    sys.stdout.write("\n" + " " * 12 + "".join(f"{head:>28}" for head in heads) + "\n")
    for i, name in enumerate(names):
        cells = [
            f"{_cell(results, name, score):.4f} +- {_cell(results, name, score + '_std_error'):.4f} "
            f"({ranks[score][i]})"
            for score in SCORES
        ]
        sys.stdout.write(f"{name:12}" + "".join(f"{cell:>28}" for cell in cells) + "\n")
    sys.stdout.write("mean +- standard error over users (rank)\n\n")
    for name in results.curves:
        if name.startswith("agreement: "):
            tau, favour = (_interval(results, name, metric) for metric in ("tau", "favour of memory"))
            sys.stdout.write(f"{name[11:]:24}tau {tau}   favour of memory {favour}\n")
    sys.stdout.write(
        "an interval holds every order that the users leave open (95 % for each pair); "
        f"TREC 2023: tau {TREC_2023}\n"
    )


def title(settings: Settings) -> str:
    """What the run is about, for a picture."""
    return f"recommenders on {Path(settings.data).name} and in its simulation"


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """The scores of every recommender side by side, each as a share of the best."""
    names = sorted(_recommenders(results), key=lambda name: -_cell(results, name, "real"))
    for i, score in enumerate(SCORES):
        best = max(_cell(results, name, score) for name in names)
        values = [_cell(results, name, score) / best for name in names]
        errors = [1.96 * _cell(results, name, score + "_std_error") / best for name in names]
        places = np.arange(len(names)) + (i - 1) * 0.27
        axes.bar(
            places, values, 0.25, yerr=errors, color=figure.SPARE[i], label=score + label, error_kw={"lw": 1}
        )
    axes.set_xticks(range(len(names)), names, rotation=25, fontsize=9)
    axes.set(title=title(settings), ylabel=f"share of the best (NDCG@{settings.k}; live: reward)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25, lw=0.6)
    axes.set_axisbelow(True)
    figure.legend_below(axes)


def draw_all(results: Results, settings: Settings) -> Any:
    """The picture of a run, two panels."""
    picture, axes = figure.new_figure(2)
    draw(axes[0], results, settings)
    draw_agreement(axes[1], results)
    return picture


def draw_agreement(axes: Any, results: Results) -> None:
    """Kendall's tau of the orders with its interval, and the favour of memory."""
    names = [name for name in results.curves if name.startswith("agreement: ")][::-1]
    for metric, colour, shift in (("tau", "#0072B2", 0.12), ("favour of memory", "#D55E00", -0.12)):
        values = np.array([_cell(results, name, metric) for name in names])
        ends = np.array([[_cell(results, name, metric + end) for name in names] for end in ("_low", "_high")])
        reach = np.maximum([values - ends[0], ends[1] - values], 0.0)
        places = np.arange(len(names)) + shift
        axes.errorbar(values, places, xerr=reach, fmt="o", color=colour, capsize=3, label=metric)
    axes.axvline(TREC_2023, color="black", lw=0.9, ls="--", label="tau of TREC 2023")
    axes.axvline(0, color="black", lw=0.8)
    axes.set_yticks(range(len(names)), [name[11:] for name in names])
    axes.set(title="Do the orders agree? Whom does the simulator favour?", xlim=(-1.05, 1.05))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.25, lw=0.6)
    figure.legend_below(axes)


def _recommenders(results: Results) -> list[str]:
    return [name for name, curves in results.curves.items() if "real" in curves]


def _cell(results: Results, name: str, metric: str) -> float:
    return float(results.curves[name][metric].values[0, 0])


def _interval(results: Results, name: str, metric: str) -> str:
    value, low, high = (_cell(results, name, metric + suffix) for suffix in ("", "_low", "_high"))
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"
