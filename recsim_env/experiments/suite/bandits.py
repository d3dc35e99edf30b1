"""Which bandit algorithm has least regret, and how fast does its regret grow?

Every algorithm plays `replicates` independent users of one world for one episode of `rounds` rounds. What is
recorded: `regret`, pseudo-regret against the best arm of the moment, without the luck of the rewards;
`reward`, and `realised_regret` beside it, which has that luck in it; in worlds with an adversary also
`regret_fixed`, against the best fixed arm in hindsight, of which the bounds of adversarial bandits speak.
"""

import sys
import textwrap
from dataclasses import dataclass
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.envs.describe import builder
from recsim_env.errors import InputError, unknown_name
from recsim_env.evaluation.growth import growth_exponent
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.evaluation.regret_bounds import lai_robbins
from recsim_env.experiments import figure, shown_metrics
from recsim_env.experiments.algorithm_fields import modules_of, read_fields
from recsim_env.experiments.aligned import aligned
from recsim_env.experiments.bandit_agents import BANDITS, BanditTask, make_bandit
from recsim_env.experiments.bandits_by_world import bandits_of, bound_of, check_bandit
from recsim_env.experiments.env_args import parameters, world_of
from recsim_env.experiments.race import race_agents, show
from recsim_env.experiments.results import Results
from recsim_env.experiments.run import Race
from recsim_env.experiments.run_directory import open_run
from recsim_env.experiments.settings import as_json, option, parts, positive
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.worlds.arms import ArmsWorld

NAME = "bandits"
AGAINST = {"moment": "regret", "fixed": "regret_fixed"}  # what the setting `against` measures
SCALES = ("linear", "log")


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    env: str = option(
        "BernoulliBandit-v0", "id of a world; `recsim-env list` says which algorithms act where"
    )
    env_args: str = option(
        "",
        "a parameter of the world, such as num_items=5; may be repeated; see `recsim-env describe ENV`",
        each="env-arg",
    )
    rounds: int = option(10000, "slates that every replicate shows, one episode of the world")
    replicates: int = option(100, "independent users, and learners, of every algorithm")
    agents: str = option("all", f"algorithms to compare, or all that can act there, of {', '.join(BANDITS)}")
    against: str = option(
        "moment",
        "what regret is drawn and ranked against: the best arm of the moment, or fixed, in hindsight",
    )
    bounds: int = option(1, "1 draws the bounds that were proved, dashed; 0 does not")
    scale: str = option("linear", "of the axes; log shows powers as lines, and bounds that are far off")
    metrics: str = option("", shown_metrics.HELP)
    seed: int = option(0, "seed of replicate 0; replicate i has seed + i")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`."""
    positive(rounds=settings.rounds, replicates=settings.replicates)
    if settings.seed < 0:
        raise InputError(f"seed must be 0 or more, got {settings.seed}")
    for name, known in (("against", tuple(AGAINST)), ("bounds", (0, 1)), ("scale", SCALES)):
        if getattr(settings, name) not in known:
            allowed = " or ".join(map(str, known))
            raise InputError(f"{name} must be {allowed}, got {getattr(settings, name)!r}")
    task = task_of(settings)
    if settings.against == "fixed" and not hasattr(task.world, "fixed_regret"):
        raise InputError(
            f"{settings.env} knows of no best fixed arm in hindsight: leave out --against fixed, regret is "
            "against the best arm of the moment there, which is the same where nothing changes"
        )
    names = algorithms(settings, task.world)
    for name in names:
        BANDITS[name].make(task)  # so that what it refuses is said before anything runs
    metrics = shown_metrics.metric_names(settings.metrics, task.world, settings.replicates)
    return race_agents(
        {name: partial(make_bandit, name, task) for name in names},
        task.world,
        Race(
            settings.rounds,
            count_rounds=True,
            seed=settings.seed,
            replicates=settings.replicates,
            metrics=metrics,
        ),
        open_run(out, NAME, as_json(settings), resume),
        partial(draw, settings=settings),
        partial(report, settings=settings),
        workers,
    )


def task_of(settings: Settings) -> BanditTask:
    """The world with its episode of `rounds` rounds, and what an algorithm is told.

    Raises:
        InputError: no such world, or parameters that do not fit it.
    """
    given = parameters(parts(settings.env_args))
    if "horizon" in given:
        raise InputError("horizon is the number of rounds here: give it as --rounds")
    if "horizon" not in signature(builder(settings.env)).parameters:
        raise InputError(f"{settings.env} has no horizon, and so no episode of so many rounds")
    world = world_of(settings.env, {**given, "horizon": settings.rounds})
    return BanditTask(world, settings.replicates, settings.rounds)


def algorithms(settings: Settings, world: Any) -> list[str]:
    """The names asked for.

    Raises:
        InputError: one is unknown, comes twice or cannot act in this world, or none can.
    """
    known = bandits_of(world)
    names = [name.strip() for name in settings.agents.split(",") if name.strip()]
    if names in ([], ["all"]):
        names = known
    if not known:
        raise InputError(
            f"no bandit algorithm can act in {settings.env}: `recsim-env list` says which act where"
        )
    for i, name in enumerate(names):
        if name not in BANDITS:
            raise unknown_name("bandit algorithm", name, BANDITS)
        if name in names[:i]:
            raise InputError(f"agents names {name} twice")
        check_bandit(name, settings.env, world)
    return names


def title(settings: Settings) -> str:
    """What the run is about, for a picture; runs with one title are comparable."""
    given = f" ({' '.join(sorted(parts(settings.env_args)))})" if settings.env_args else ""
    against = ", against the best fixed arm" if settings.against == "fixed" else ""
    return f"{settings.env}{given}, {settings.rounds:,} rounds{against}"


def score(settings: Settings) -> str:
    """The metric that algorithms are ranked by, the least first."""
    return AGAINST[settings.against]


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """Regret against rounds, and the bounds."""
    if settings.scale == "log":
        axes.set(xscale="log", yscale="log")
    figure.draw_curves(axes, results, score(settings), label, style)
    axes.set(title=title(settings), xlabel="round", ylabel="cumulative regret")
    _draw_lower_bound(axes, _steps(results), settings)
    figure.draw_bounds(axes, _steps(results), _bounds(settings, results))


LAI_ROBBINS = "Lai-Robbins, in the long run"


def _draw_lower_bound(axes: Any, steps: Ints, settings: Settings) -> None:
    """Dotted, where arms never change: what no algorithm that learns all of them stays below for ever."""
    world = task_of(settings).world
    drawn = LAI_ROBBINS in {line.get_label() for line in axes.get_lines()}
    if settings.bounds and not drawn and isinstance(world, ArmsWorld) and world.mean.ndim == 1:
        lower = lai_robbins(steps, world.mean, world.deviation)
        axes.plot(steps, lower, color="black", lw=1.1, ls=":", label=LAI_ROBBINS, zorder=1)


def report(results: Results, settings: Settings) -> None:
    """Print what every algorithm came to at the last round, the best first, and what the bounds rest on."""
    metric, last = score(settings), settings.rounds
    window = last / 10, last
    bounds = _bounds(settings, results)
    fixed = "regret_fixed" in next(iter(results.curves.values()))
    planned = "realised_regret" not in next(iter(results.curves.values()))
    head = ["algorithm", f"regret after {last:,}", *(["against fixed"] if fixed else []), "reward a round"]
    head += [*([] if planned else ["realised regret"]), f"exponent, {window[0]:,.0f} to {last:,}"]
    rows = [(0.0, [*head, *(["bound"] if bounds else [])])]
    unsure: list[str] = []
    for agent, curves in results.curves.items():
        ends = {name: mean_estimate(curve.values[-1]) for name, curve in curves.items()}
        cells = [agent, show(ends["regret"]), *([show(ends["regret_fixed"])] if fixed else [])]
        cells.append(show(mean_estimate(curves["reward"].values[-1] / last), 4))
        cells += [] if planned else [show(ends["realised_regret"])]
        cells.append(_exponent(agent, results, metric, window, unsure))
        cells += [f"{bounds[agent][-1]:,.1f}" if agent in bounds else "-"] if bounds else []
        rows.append((float(ends[metric].value), cells))
    rows[1:] = sorted(rows[1:], key=lambda row: row[0])
    replicates = next(iter(results.curves.values()))["regret"].values.shape[1]
    sys.stdout.write(
        f"\n{aligned([cells for _, cells in rows])}"
        f"mean +- standard error of {replicates} replicates; exponent of {metric} with its 95 % interval\n"
        + "".join(f"{line}\n" for line in unsure)
    )
    for agent in bounds:
        fields = read_fields(modules_of(BANDITS[agent].make)[0])
        sys.stdout.write(_paragraph(f"bound of {agent}: {fields.bound} {fields.constants}"))


def _steps(results: Results) -> Ints:
    return next(iter(results.curves.values()))["regret"].steps


def _bounds(settings: Settings, results: Results) -> dict[str, Floats]:
    """(P,) the bounds that were proved of the regret that is drawn, by algorithm.

    In a world with an adversary they are of regret against the best fixed arm.
    """
    task = task_of(settings)
    fixed = task.world.fixed_regret() if hasattr(task.world, "fixed_regret") else np.zeros(1)
    if not settings.bounds or (settings.against == "moment" and np.abs(fixed).max() > 1e-9):
        return {}
    found = {name: bound_of(name, task, _steps(results)) for name in results.curves}
    return {name: bound for name, bound in found.items() if bound is not None}


def _exponent(
    agent: str, results: Results, metric: str, window: tuple[float, float], unsure: list[str]
) -> str:
    curve = results.curves[agent][metric]
    if window[1] < 2:  # one round has no slope
        return "-"
    estimate = growth_exponent(curve.steps, curve.values, window)
    unsure += [f"exponent of {agent}: {warning}" for warning in estimate.warnings]
    low, high = estimate.interval
    if np.isnan(estimate.value):
        return "-"
    value, low, high = (round(float(x), 2) + 0.0 for x in (estimate.value, low, high))  # no -0.00
    return f"{value:.2f}" + ("" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]")


def _paragraph(text: str) -> str:
    return textwrap.fill(text, 110, subsequent_indent="  ") + "\n"
