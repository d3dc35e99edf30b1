"""Several agents on one environment, one after the other: results, picture, table."""

import shutil
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from tqdm import tqdm

from recsim_env.agents.agent import Agent
from recsim_env.envs.batched import BatchedEnv
from recsim_env.evaluation.intervals import Estimate, mean_estimate
from recsim_env.experiments import figure
from recsim_env.experiments.results import Results
from recsim_env.experiments.run import Race, play
from recsim_env.experiments.run_directory import RunDirectory
from recsim_env.experiments.slates_shown import slates_shown
from recsim_env.experiments.tensorboard import write_events


def race_agents(
    agents: Mapping[str, Callable[[], Agent]],
    env: BatchedEnv,
    race: Race,
    directory: RunDirectory,
    draw: Callable[[Any, Results], None],
    report: Callable[[Results], None],
) -> Results:
    """Let every agent play, then write and print what came of it; a finished run is only printed.

    Args:
        agents: by name, made when their turn comes.
        env: as many rows as replicates, autoreset mode DISABLED.
        race: how long, and from which seed.
        directory: of the run.
        draw: draws the results on axes.
        report: prints the table, such as `print_table`.
    """
    if directory.finished:
        results = Results.read(directory.results)
    else:
        results = Results()
        for name, make in agents.items():
            with tqdm(total=race.last, desc=name, unit="round" if race.count_rounds else "episode") as bar:
                curves = play(name, make(), env, race, directory, bar)
            results.curves[name] = dict(curves)
            slates = slates_shown(make(), env.world, env.num_envs, race)
            write_events(directory.path / "tensorboard", name, results.curves[name], slates)
            results.write(directory.results)
        picture, (axes,) = figure.new_figure(1)
        draw(axes, results)
        figure.save(picture, directory.path / "figure.png")
        shutil.rmtree(directory.path / "checkpoints")
    report(results)
    sys.stdout.write(f"wrote {directory.path}/: results.csv, figure.png, tensorboard/, run.json\n")
    return results


def print_table(results: Results, optimum: str, optimum_per_step: float, unit: str) -> None:
    """Regret and reward at the last step, mean and standard error over replicates, the best first.

    Args:
        results: of the race.
        optimum: a line that says what the optimum is.
        optimum_per_step: reward of the best policy at one step of the race.
        unit: of a step.
    """
    rows = []
    for agent, curves in results.curves.items():
        last = int(curves["regret"].steps[-1])
        regret = mean_estimate(curves["regret"].values[-1])
        rows.append((float(regret.value), agent, regret, mean_estimate(curves["reward"].values[-1] / last)))
    width = max(len(row[1]) for row in rows)
    sys.stdout.write(
        f"\n{'agent':{width}}  regret after {last:,} {unit}s   reward per {unit}   of the optimum\n"
    )
    for regret_value, agent, regret, reward in sorted(rows, key=lambda row: row[0]):
        share = 1.0 - regret_value / last / optimum_per_step
        sys.stdout.write(f"{agent:{width}}  {show(regret):>24}   {show(reward, 4):>16}   {share:>8.1%}\n")
    replicates = next(iter(results.curves.values()))["regret"].values.shape[1]
    sys.stdout.write(f"{optimum}; mean +- standard error of {replicates} replicates\n")


def show(estimate: Estimate, digits: int = 1) -> str:
    """`1,234.5 +- 6.7`, without the error where there is none."""
    error = float(estimate.std_error)
    shown = f"{float(estimate.value):,.{digits}f}"
    return shown if np.isnan(error) else f"{shown} +- {error:.{digits}f}"
