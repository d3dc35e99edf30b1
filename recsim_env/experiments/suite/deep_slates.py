"""Do deep agents learn to show slates, and do they plan?

Every agent is trained `replicates` times, each time on `rows` users at once who share its networks, for
`steps` slates a row; then it is tested without exploration on `episodes` users it has not met, the same for
all agents of a replicate. A replicate is one training. The curve is the mean regret of a row while learning;
the table is of the tests: the reward of an episode, and differences to `myopic` (or the first agent),
replicate by replicate.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate, mean_estimate
from recsim_env.experiments import figure, shown_metrics
from recsim_env.experiments.cells import Cell, load_arrays, run_cells, save_arrays
from recsim_env.experiments.deep_agents import (
    DEEP_AGENTS,
    DeepTask,
    check_world,
    deep_agent_names,
)
from recsim_env.experiments.env_args import world_of
from recsim_env.experiments.race import show
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.run_directory import open_run
from recsim_env.experiments.settings import as_json, option, positive
from recsim_env.experiments.suite.cascade_mdp import world_parameters
from recsim_env.experiments.tensorboard import write_events
from recsim_env.experiments.training import TEST_SEEDS, one_thread, play_episodes, train
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.worlds.world import World

NAME = "deep_slates"
REPLICATE_SEEDS = 1 << 32  # between the users of two replicates


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    env: str = option("CascadeRec-v0", "id of an environment; `recsim-env list` names them")
    world: str = option("", "parameters of the world, such as num_states=5,horizon=10; see describe ID")
    steps: int = option(5000, "slates shown to every row while learning")
    rows: int = option(32, "users who are played at once, and who share the networks of an agent")
    replicates: int = option(3, "independent trainings of every agent")
    episodes: int = option(1000, "users on whom a trained agent is tested")
    agents: str = option(
        "slate_q,reinforce_top_k,wolpertinger,myopic,random",
        f"agents to compare, of {', '.join(DEEP_AGENTS)}",
    )
    discount: float = option(1.0, "gamma; the end of an episode is final, so 1 is the reward that is scored")
    learning_rate: float = option(0.001, "of Adam")
    units: int = option(64, "of the hidden layers")
    exploration: int = option(2000, "slates of a row over which exploration falls")
    gradient_steps: int = option(1, "after every step of all rows")
    metrics: str = option("", shown_metrics.HELP)
    seed: int = option(0, "of replicate 0; replicate i has seed + i")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`; a cell is one training."""
    names = deep_agent_names(settings.agents)
    positive(steps=settings.steps, rows=settings.rows, replicates=settings.replicates)
    positive(episodes=settings.episodes)
    if not 0 <= settings.seed < 1 << 30:
        raise InputError(f"seed must be from 0 to 2^30 - 1, got {settings.seed}")
    world = world_of(settings.env, world_parameters(settings.world))
    check_world(world, settings.env)
    shown_metrics.metric_names(settings.metrics, world, 1)
    for name in names:
        DEEP_AGENTS[name](task_of(settings, world, 0))  # refuses settings before anything runs
    with open_run(out, NAME, as_json(settings), resume) as directory:
        if directory.finished:
            results = Results.read(directory.results)
        else:
            cells = {
                name: [
                    Cell.of(
                        directory,
                        f"{name}-{r}",
                        size=settings.steps,
                        label=f"{name}, replicate {r}",
                        work=partial(train_and_test, name, world, settings, r),
                    )
                    for r in range(settings.replicates)
                ]
                for name in names
            }
            run_cells([one for ones in cells.values() for one in ones], directory.path, workers, "step")
            results = Results()
            for name in names:
                found = [load_arrays(cell.file) for cell in cells[name]]
                steps = found[0].pop("steps")
                results.curves[name] = {
                    metric: Curve(steps[-len(values) :], np.stack([one[metric] for one in found], axis=1))
                    for metric, values in found[0].items()
                }
                write_events(directory.path / "tensorboard", name, results.curves[name])
            results.write(directory.results)
            figure.save_panel(directory.path / "figure.png", lambda axes: draw(axes, results, settings))
            directory.finish()
    print_table(results, settings)
    sys.stdout.write(f"wrote {directory.path}/: results.csv, figure.png, tensorboard/, run.json\n")
    return results


def task_of(settings: Settings, world: World, replicate: int) -> DeepTask:
    """What the agents of a replicate are made for."""
    return DeepTask(
        world,
        settings.rows,
        settings.seed + replicate,
        settings.discount,
        settings.learning_rate,
        settings.units,
        settings.exploration,
        settings.gradient_steps,
    )


def train_and_test(
    name: str,
    world: World,
    settings: Settings,
    replicate: int,
    file: Path,
    checkpoint: Path,
    progress: Callable[[int], Any],
) -> None:
    """Write what an agent did while learning, (P,) at the `steps` (P,), and in the test at the end, (1,).

    With one thread: sums of several come out in any order, and runs would not repeat.
    """
    with one_thread():
        agent = DEEP_AGENTS[name](task_of(settings, world, replicate))
        first = (settings.seed + replicate) * REPLICATE_SEEDS
        steps, curves = train(
            agent,
            world,
            steps=settings.steps,
            num_rows=settings.rows,
            seed=first,
            file=checkpoint,
            progress=progress,
            metrics=shown_metrics.metric_names(settings.metrics, world, 1),
        )
        tested = play_episodes(agent, world, episodes=settings.episodes, seed=first + TEST_SEEDS)
    tests = {f"test_{metric}": np.array([values.mean()]) for metric, values in tested.items()}
    save_arrays(file, {"steps": steps, **curves, **tests})


def differences(results: Results) -> tuple[str, dict[str, Estimate]]:
    """The agent that others are held against, and the reward of a tested episode less its, by agent."""
    against = "myopic" if "myopic" in results.curves else next(iter(results.curves))
    test = {name: curves["test_reward"].values[0] for name, curves in results.curves.items()}
    return against, {
        name: mean_estimate(test[name] - test[against]) for name in results.curves if name != against
    }


def print_table(results: Results, settings: Settings) -> None:
    """Tested reward and regret of an episode, and the differences with Student's 95 % intervals."""
    against, apart = differences(results)
    width = max(map(len, results.curves))
    sys.stdout.write(
        f"\n{'agent':{width}}  reward of an episode   its regret           less {against} [95 %]\n"
    )
    for name in sorted(results.curves, key=lambda name: -results.curves[name]["test_reward"].values.mean()):
        curves = results.curves[name]
        reward, regret = (mean_estimate(curves[f"test_{m}"].values[0]) for m in ("reward", "regret"))
        difference = ""
        if name != against:
            low, high = apart[name].interval
            difference = f"{float(apart[name].value):+.3f} [{low:+.3f}, {high:+.3f}]"
        sys.stdout.write(f"{name:{width}}  {show(reward, 3):>20}   {show(regret, 3):<18}   {difference}\n")
    sys.stdout.write(
        f"mean +- standard error, and Student's intervals, of {settings.replicates} trainings, "
        f"each tested on {settings.episodes:,} users\n"
    )


def title(settings: Settings) -> str:
    """What the run is about, for a picture; runs with one title are comparable."""
    return settings.env + (f" ({settings.world})" if settings.world else "")


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """Regret of a row while learning, against the slates shown to it."""
    figure.draw_curves(axes, results, "regret", label, style)
    axes.set(title=title(settings), xlabel="slates shown to a row", ylabel="cumulative regret of a row")
