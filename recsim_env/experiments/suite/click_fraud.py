"""How many fake sessions does it take to make a cascading bandit show an unattractive item to honest users?

A share of the sessions of `CascadeBandit-v0` click the least attractive item whenever it is shown
(`PoisonedRec-v0`), and nothing else. Of the sessions that are honest, for each algorithm and share, over all
rounds so far:

    exposure    sessions that were shown the target, of all honest ones
    loss        regret of an honest session, expected clicks less than the best slate's
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsim_env.agents.agent import Transition
from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError, check_ranges
from recsim_env.evaluation.honest_exposure import exposure_lift
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.experiments import figure
from recsim_env.experiments.aligned import aligned
from recsim_env.experiments.bandit_agents import BANDITS, BanditTask
from recsim_env.experiments.cell_run import run_to_the_end
from recsim_env.experiments.cells import Cell, save_arrays
from recsim_env.experiments.race import show
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.rounds import AGENT_LUCK
from recsim_env.experiments.run_directory import RunDirectory
from recsim_env.experiments.settings import names_of, option
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.attackers.attack import Goal
from recsim_env.simulators.attackers.click_fraud import ClickFraud
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.cascade import CascadeWorld
from recsim_env.simulators.worlds.cascade_bandit import cascade_bandit
from recsim_env.simulators.worlds.poisoned import PoisonedWorld

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "click_fraud"
ALGORITHMS = [name for name, agent in BANDITS.items() if CascadeWorld in agent.worlds and name != "random"]
METRICS = ("exposure", "loss")
HALVINGS = 8  # points of a curve: T, T / 2, ...


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    agents: str = option("cascade_ucb,cascade_kl_ucb,cascade_ts,top_rank", f"of {', '.join(ALGORITHMS)}")
    shares: str = option("0,0.02,0.05,0.1,0.2", "of sessions that are fake, the first of them 0")
    rounds: int = option(20_000, "sessions, honest and fake, of each replicate")
    replicates: int = option(100, "independent learners of every algorithm and share")
    num_items: int = option(16, "of the cascading bandit")
    slate_size: int = option(4, "items shown to a session")
    seed: int = option(0, "of replicate 0; replicate i has seed + i")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`."""
    plan = check(settings)

    def cells(directory: RunDirectory) -> list[Cell]:
        return [
            Cell.of(
                directory,
                f"{name}-{share:g}",
                size=settings.rounds,
                label=f"{name}, {share:g}",
                work=partial(play, settings, name, share),
            )
            for name, share in plan
        ]

    return run_to_the_end(
        NAME,
        settings,
        out,
        resume,
        workers,
        cells=cells,
        unit="round",
        collect=partial(collect, settings, plan),
        picture=draw,
        show=print_table,
    )


def check(settings: Settings) -> list[tuple[str, float]]:
    """Refuse settings that cannot be; returns algorithms and shares, all with all.

    Raises:
        InputError: the first of them.
    """
    check_ranges({"rounds": settings.rounds, "replicates": settings.replicates}, {}, {})
    if settings.seed < 0:
        raise InputError(f"seed must be 0 or more, got {settings.seed}")
    try:
        shares = [float(part) for part in settings.shares.split(",")]
    except ValueError:
        raise InputError(f"shares must be numbers such as 0,0.1, got {settings.shares!r}") from None
    if len(set(shares)) < len(shares) or shares[0] != 0.0 or not 0.0 <= min(shares) <= max(shares) < 1.0:
        raise InputError(f"shares must begin with 0 and be below 1, each once, got {settings.shares!r}")
    names = names_of("agents", "algorithm", settings.agents, ALGORITHMS)
    for name in names:
        BANDITS[name].make(BanditTask(bandit(settings), 1, settings.rounds))
    return [(name, share) for name in names for share in shares]


def bandit(settings: Settings) -> CascadeWorld:
    """The users who are honest."""
    return cascade_bandit(settings.num_items, settings.slate_size, horizon=settings.rounds)


def points(settings: Settings) -> Ints:
    """(P,) rounds at which is recorded."""
    return np.unique(np.maximum(settings.rounds // 2 ** np.arange(HALVINGS), 1))


def play(
    settings: Settings, name: str, share: float, file: Path, _: Path, progress: Callable[[int], Any]
) -> None:
    """Write (P, B) of every metric of one algorithm at one share."""
    honest = bandit(settings)
    target = int(honest.attraction[0].argmin())
    world = PoisonedWorld(honest, ClickFraud(Goal(np.array([target]))), share, "slate")
    agent = BANDITS[name].make(BanditTask(honest, settings.replicates, settings.rounds))
    seeds = range(settings.seed, settings.seed + settings.replicates)
    user, mine = Luck.from_seeds(seeds), Luck.from_seeds([AGENT_LUCK + seed for seed in seeds])
    state, at = world.begin(user), points(settings)
    observation, uncut = world.observe(state), np.zeros(settings.replicates, np.bool_)
    count, shown, lost = np.zeros((3, settings.replicates))
    found: dict[str, list[Array]] = {metric: [] for metric in METRICS}
    for t in range(settings.rounds):
        slates = agent.act(observation, mine.at(t))
        genuine = ~world.evaluation_info(state)["fake"]
        state, o = world.respond(state, slates, user.at(t))
        after = world.observe(state)
        agent.update(Transition(observation, slates, *o.response, o.reward, after, o.left, uncut))
        observation = after
        count += genuine
        shown += genuine & (slates == target).any(axis=1)
        lost += np.where(genuine, o.best_value - o.slate_value, 0.0)
        progress(1)
        if t + 1 == at[len(found["loss"])]:
            some = np.maximum(count, 1.0)
            found["exposure"].append(shown / some)
            found["loss"].append(lost / some)
    save_arrays(file, {metric: np.array(values) for metric, values in found.items()})


def collect(settings: Settings, plan: list[tuple[str, float]], arrays: list[dict[str, Array]]) -> Results:
    """The results of all cells."""
    results, steps = Results(), points(settings)
    for (name, share), found in zip(plan, arrays, strict=True):
        curves = {metric: Curve(steps, found[metric]) for metric in METRICS}
        results.curves[f"{name}, share {share:g}"] = curves
    return results


def print_table(results: Results) -> None:
    """Where every algorithm stands after the last round."""
    rows = [["algorithm", "share", "exposure of the target", "lift", "loss of an honest session"]]
    clean = next(iter(results.curves.values()))["exposure"].values[-1]
    for label, curves in results.curves.items():
        name, share = label.split(", share ")
        exposure = curves["exposure"].values[-1]
        clean = exposure if float(share) == 0.0 else clean
        lift = exposure_lift(exposure, clean) if clean.any() else None
        low, high = (np.nan, np.nan) if lift is None else lift.interval
        times = "-" if lift is None else f"{float(lift.value):.2f} [{float(low):.2f}, {float(high):.2f}]"
        percent = f"{show(mean_estimate(100.0 * exposure))} %"
        rows.append([name, share, percent, times, show(mean_estimate(curves["loss"].values[-1]), 4)])
    one = next(iter(results.curves.values()))["loss"]
    sys.stdout.write(
        f"\n{aligned(rows)}of honest sessions; mean +- standard error of {one.values.shape[1]:,} replicates "
        f"after {one.steps[-1]:,} rounds; lift with its 95 % interval, paired by replicate\n"
    )


def draw(results: Results) -> "Figure":
    """Exposure and loss against the share of fakes."""
    picture, panels = figure.new_figure(2)
    names = list(dict.fromkeys(label.split(", share ")[0] for label in results.curves))
    words = ("honest sessions that are shown the target", "loss of an honest session")
    for name, colour in zip(names, figure.SPARE * len(names), strict=False):
        own = [label for label in results.curves if label.startswith(f"{name}, ")]
        shares = [100.0 * float(label.split(", share ")[1]) for label in own]
        for axes, metric in zip(panels, METRICS, strict=True):
            ends = [mean_estimate(results.curves[label][metric].values[-1]) for label in own]
            values = [float(e.value) for e in ends]
            errors = [1.96 * float(np.nan_to_num(e.std_error)) for e in ends]
            axes.errorbar(shares, values, errors, color=colour, marker="o", label=name)
    for axes, label in zip(panels, words, strict=True):
        axes.set(xlabel="fake sessions, %", ylabel=label)
    figure.legend_below(panels[0])
    return picture
