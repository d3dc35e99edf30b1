"""Several agents on one world: results, picture, table.

A cell of such a run is one agent on some of the replicates. As row i of a batch does what a batch of one
does, the results do not depend on how replicates are cut into cells. More cells share the work out better;
each repeats what a step costs however many rows there are.
"""

import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from recsim_env.agents.agent import Agent
from recsim_env.evaluation.intervals import Estimate, mean_estimate
from recsim_env.experiments import figure
from recsim_env.experiments.cells import Cell, load_arrays, run_cells
from recsim_env.experiments.results import Results
from recsim_env.experiments.run import Race, curves_of, play
from recsim_env.experiments.run_directory import RunDirectory
from recsim_env.experiments.slates_shown import slates_shown
from recsim_env.experiments.tensorboard import write_events
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.worlds.world import World

CELLS_PER_WORKER = 4  # or more, where there are replicates to cut: so that nobody waits long for the last one


def race_agents(
    agents: Mapping[str, Callable[[int], Agent]],
    world: World,
    race: Race,
    directory: RunDirectory,
    draw: Callable[[Any, Results], None],
    report: Callable[[Results], None],
    workers: Workers | None = None,
) -> Results:
    """Let every agent play, then write and print what came of it; a finished run is only printed.

    Args:
        agents: by name, made of so many rows when their turn comes.
        world: that they play in.
        race: how long, how often, and from which seed.
        directory: of the run, which is left at the end.
        draw: draws the results on axes.
        report: prints the table, such as `print_table`.
        workers: that share the work; None = this process.

    Raises:
        InputError: an agent whose rows learn from one another is to be cut; and see `run_cells`.
    """
    with directory:
        if directory.finished:
            results = Results.read(directory.results)
        else:
            results = _play_all(agents, world, race, directory, workers)
            results.write(directory.results)
            figure.save_panel(directory.path / "figure.png", lambda axes: draw(axes, results))
            directory.finish()
    report(results)
    sys.stdout.write(f"wrote {directory.path}/: results.csv, figure.png, tensorboard/, run.json\n")
    return results


def _play_all(
    agents: Mapping[str, Callable[[int], Agent]],
    world: World,
    race: Race,
    directory: RunDirectory,
    workers: Workers | None,
) -> Results:
    """The curves of all agents; those of one are sent to TensorBoard when its last cell is done."""
    pieces = 1 if workers is None else num_pieces(len(agents), race.replicates, workers)
    cells: dict[str, list[Cell]] = {}
    for name, make in agents.items():
        whole = pieces == 1 or getattr(make(1), "rows_learn_together", False)
        cells[name] = [
            Cell.of(
                directory,
                f"{name}-{first}-{last}",
                size=race.last,
                label=name,
                work=partial(play, make, world, race, first, last),
            )
            for first, last in cut(directory, name, race.replicates, 1 if whole else pieces)
        ]
    agent_of = {cell.name: name for name, ones in cells.items() for cell in ones}
    results, left = Results(), {name: len(ones) for name, ones in cells.items()}
    found = {}

    def done(cell: Cell) -> None:
        name = agent_of[cell.name]
        left[name] -= 1
        if left[name] == 0:
            records = [load_arrays(one.file, ["records"])["records"] for one in cells[name]]
            found[name] = curves_of(world, race, np.concatenate(records, axis=2))
            together = getattr(agents[name](1), "rows_learn_together", False)
            rows = race.replicates if together else 1  # the first replicate is drawn: it needs no others
            slates = slates_shown(agents[name](rows), world, rows, race)
            write_events(directory.path / "tensorboard", name, found[name], slates)

    unit = "round" if race.count_rounds else "episode"
    run_cells([one for ones in cells.values() for one in ones], directory.path, workers, unit, done)
    for name in agents:
        results.curves[name] = found[name]
    return results


def num_pieces(agents: int, replicates: int, workers: Workers) -> int:
    """Into how many cells the replicates of each agent are cut."""
    return min(replicates, workers.count, -(-CELLS_PER_WORKER * workers.count // agents))


def cut(directory: RunDirectory, agent: str, replicates: int, pieces: int) -> list[tuple[int, int]]:
    """The replicates as ranges [first, last): those done or begun, and what is left, in pieces.

    So a run goes on with any number of workers.
    """
    begun = set()
    for folder in (directory.cells, directory.checkpoints):
        for file in folder.glob("*.npz"):
            match = re.fullmatch(rf"{re.escape(agent)}-(\d+)-(\d+)\.npz", file.name)
            if match and int(match[1]) < int(match[2]):
                begun.add((int(match[1]), int(match[2])))
    size, ranges, at = -(-replicates // pieces), [], 0
    for first, last in [*sorted(begun), (replicates, replicates)]:
        if first < at or last > replicates:  # cut otherwise by a worker that had been given up
            continue
        ranges += [(i, min(i + size, first)) for i in range(at, first, size)]
        ranges += [(first, last)] if first < last else []
        at = last
    return ranges


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


def show_difference(estimate: Estimate, digits: int = 3) -> str:
    """`+0.012 [+0.010, +0.015]`, without the interval where there is none."""
    (low, high), value = estimate.interval, float(estimate.value)
    shown = f"{value:+.{digits}f}"
    return shown if np.isnan(low) else f"{shown} [{float(low):+.{digits}f}, {float(high):+.{digits}f}]"
