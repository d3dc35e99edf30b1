"""How far does a reward model lead a policy away from what users want, and does more feedback help?

The world, the log and the trained policy are those of `finetune_compare`. A reward model learns from M clicks
or none on items that the policy drew; the policy is then tuned to the model by DPO (best against worst), with
and without the guard that holds it to the log. Of the K likeliest items of users that nobody learned from,

    score           what the model says they are worth, on average over items
    truth           how probable a click on each is, shown alone: what the model estimates
    slate_reward    exact expected clicks on the slate

as tuning goes on. Score and truth part where the policy finds what the model is wrong about.
"""

import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.evaluation.ranking import ndcg
from recsim_env.experiments import figure
from recsim_env.experiments.cells import load_arrays, replicate_cells, run_cells, save_arrays
from recsim_env.experiments.organic_users import OrganicUsers
from recsim_env.experiments.policy_measures import LISTED, lists_of
from recsim_env.experiments.policy_training import (
    BATCH,
    PolicySettings,
    check_policy_settings,
    learned_reward,
    points,
    train_policy,
    users_of,
)
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.run_directory import open_run
from recsim_env.experiments.settings import as_json, option
from recsim_env.experiments.simulated_rewards import SimulatedReward
from recsim_env.experiments.tensorboard import write_events
from recsim_env.experiments.training import one_thread
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.worlds.world import take_rows

NAME = "reward_model_gap"
METRICS = ("score", "truth", "slate_reward", "ndcg@10")


@dataclass(frozen=True)
class Settings(PolicySettings):
    """Options of the command line."""

    feedbacks: str = option("1000,10000,100000", "clicks or none that reward models learn from")
    guard: float = option(0.5, "weight of the log in the guarded tunings, above 0")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`; a replicate is done in one go."""
    feedbacks = check(settings)
    with open_run(out, NAME, as_json(settings), resume) as directory:
        if directory.finished:
            results = Results.read(directory.results)
        else:

            def work(replicate: int) -> Callable[..., None]:
                return partial(play_replicate, settings, feedbacks, settings.seed + replicate)

            cells = replicate_cells(directory, settings.replicates, 1 + 2 * len(feedbacks), work)
            run_cells(cells, directory.path, workers, "policy")
            results = to_results([load_arrays(cell.file) for cell in cells], feedbacks, settings)
            for name, curves in results.curves.items():
                write_events(directory.path / "tensorboard", name, curves)
            results.write(directory.results)
            figure.save(draw_all(results, settings), directory.path / "figure.png")
            directory.finish()
    print_table(results)
    sys.stdout.write(f"wrote {directory.path}/: results.csv, figure.png, tensorboard/, run.json\n")
    return results


def check(settings: Settings) -> list[int]:
    """Refuse settings that cannot be; returns the numbers of feedbacks.

    Raises:
        InputError: the first of them.
    """
    try:
        feedbacks = [int(part) for part in settings.feedbacks.split(",")]
    except ValueError:
        raise InputError(
            f"feedbacks must be whole numbers such as 1000,10000, got {settings.feedbacks!r}"
        ) from None
    if min(feedbacks) < 1 or len(set(feedbacks)) < len(feedbacks):
        raise InputError(f"feedbacks must be 1 or more, each once, got {settings.feedbacks!r}")
    if not 0.0 < settings.guard < np.inf:
        raise InputError(f"guard must be above 0 and finite, got {settings.guard}")
    check_policy_settings(settings)
    return feedbacks


def name_of(feedbacks: int, guarded: bool) -> str:
    """Of a tuning."""
    return f"{feedbacks:,} feedbacks" + (", guarded" if guarded else "")


def play_replicate(
    settings: Settings, feedbacks: list[int], seed: int, file: Path, _: Path, progress: Callable[[int], Any]
) -> None:
    """Write (points,) of every metric of every tuning in one world."""
    from recsim_env.agents.generative.preference.tuning import PreferenceTuner, TuningSettings

    with one_thread():  # sums of several come out in any order, and runs would not repeat
        of, users, test = users_of(settings, seed)
        sft = train_policy(of, users, settings, seed).policy_
        progress(1)
        history, found = np.ascontiguousarray(of.taken[users, :-1]), {}
        oracle = of.world.expected_reward(
            take_rows(of.state, test), of.world.best_slate(take_rows(of.state, test))
        )
        found["oracle|slate_reward"] = np.array([oracle.mean()])
        for count in feedbacks:
            simulated = SimulatedReward(of.world, take_rows(of.state, users), seed)
            model = learned_reward(sft, history, simulated, count, seed)
            of_test = model.of_other_users(of.taken[test, :-1])
            for guarded in (False, True):
                chosen = TuningSettings(
                    method="dpo",
                    batch_size=BATCH,
                    num_generations=settings.num_generations,
                    learning_rate=settings.learning_rate,
                    ntp_weight=settings.guard if guarded else 0.0,
                    seed=seed,
                )
                next_item = of.taken[users, -1]
                tuner = PreferenceTuner(deepcopy(sft), history, model.reward, chosen, next_item)
                curve: dict[str, list[float]] = {metric: [] for metric in METRICS}
                for at in points(settings):
                    while tuner.steps < at:
                        tuner.step()
                    lists = lists_of(tuner.policy)(of.taken[test, :-1], test)
                    for metric, value in measured(of, test, lists, of_test).items():
                        curve[metric].append(value)
                for metric, values in curve.items():
                    found[f"{name_of(count, guarded)}|{metric}"] = np.array(values)
                progress(1)
    save_arrays(file, found)


def measured(
    of: OrganicUsers, test: Ints, lists: Ints, reward: Callable[[Ints, Ints], Floats]
) -> dict[str, float]:
    """The metrics of lists (B, 10) for users; `reward` takes places among them, and items."""
    K, state = of.world.slate_size, take_rows(of.state, test)
    slates = lists[:, :K]
    alone = np.full((len(test) * K, K), -1)
    alone[:, 0] = slates.ravel()
    return {
        "score": float(reward(np.arange(len(test)), slates).mean()),
        "truth": float(
            of.world.expected_reward(take_rows(state, np.arange(len(test)).repeat(K)), alone).mean()
        ),
        "slate_reward": float(of.world.expected_reward(state, slates).mean()),
        "ndcg@10": float(ndcg(lists, of.taken[test, -1:], LISTED).mean()),
    }


def to_results(cells: list[dict[str, Array]], feedbacks: list[int], settings: Settings) -> Results:
    """Curves over gradients."""
    results, at = Results(), points(settings)
    for count in feedbacks:
        for guarded in (False, True):
            name = name_of(count, guarded)
            results.curves[name] = {
                metric: Curve(at, np.stack([cell[f"{name}|{metric}"] for cell in cells], axis=1))
                for metric in METRICS
            }
    best = np.stack([cell["oracle|slate_reward"] for cell in cells], axis=1)
    results.curves["oracle"] = {"slate_reward": Curve(at[[0, -1]], best.repeat(2, axis=0))}
    return results


def print_table(results: Results) -> None:
    """All tunings before and after."""
    width = max(map(len, results.curves))
    sys.stdout.write("\n" + " " * width + "".join(f"{metric:>34}" for metric in METRICS) + "\n")
    for name, curves in results.curves.items():
        cells = ""
        for metric in METRICS:
            if metric in curves:
                before, after = (mean_estimate(curves[metric].values[row]) for row in (0, -1))
                low, high = after.interval
                cells += f"{before.value:.3f} -> {after.value:.3f} [{low:.3f}, {high:.3f}]".rjust(34)
            else:
                cells += " " * 34
        sys.stdout.write(f"{name:{width}}{cells}\n")
    sys.stdout.write(
        "before -> after [95 % interval over replicates]; score and truth: an item, alone on a slate\n"
    )


def title(settings: Settings) -> str:
    """What the run is about, for a picture; runs with one title are comparable."""
    return f"tuned to a reward model: {settings.num_items} items, slates of {settings.slate_size}"


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """True reward against gradients."""
    figure.draw_curves(axes, results, "slate_reward", label, style)
    axes.set(title=title(settings), xlabel="gradients of the tuning", ylabel="expected clicks on a slate")


def draw_all(results: Results, settings: Settings) -> Any:
    """The picture of a run: true reward, and what the model says beside what is true."""
    picture, axes = figure.new_figure(2)
    draw(axes[0], results, settings)
    axes[0].get_legend().set_loc("center right")  # the only place that is free
    colours = {line.get_gid(): line.get_color() for line in axes[0].get_lines()}
    for metric, look, said in (("score", "--", "the model says"), ("truth", "-", "true")):
        axes[1].plot([], [], look, color="black", label=said)
        for name, curves in results.curves.items():
            if metric in curves:
                mean = curves[metric].values.mean(axis=1)
                axes[1].plot(curves[metric].steps, mean, look, color=colours[name], lw=1.8)
    axes[1].set(title="What the model says, and what is true", xlabel="gradients of the tuning")
    axes[1].set(ylabel="P(click) of an item alone")
    axes[1].spines[["top", "right"]].set_visible(False)
    axes[1].grid(alpha=0.25, lw=0.6)
    axes[1].legend(frameon=False, fontsize=9)
    return picture
