"""What does it cost to make a bandit show the worst arm, and which bandit cannot be bought for how much?

Every algorithm plays normal arms behind an attacker who takes from rewards until it pulls the arm of least
mean (`simulators/attackers/reward_corruption.py`), with each of several budgets; `inf` is without end. After
T rounds,

    target_share    of the rounds in which the worst arm was pulled
    spent           what was taken from rewards in all
    regret          against the best arm, in the rewards of the world

A learner whose regret is o(T) can be captured by an attacker without a budget; what differs is the price, and
what becomes of a learner whose attacker has spent his budget.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsim_env.agents.agent import Agent, Transition
from recsim_env.agents.bandits.barbar import Barbar
from recsim_env.agents.bandits.corrupted_feedback import CorruptedFeedback
from recsim_env.agents.bandits.corruption_robust_ucb import CorruptionRobustUCB
from recsim_env.agents.bandits.epsilon_greedy import EpsilonGreedy
from recsim_env.agents.bandits.median_of_means_ucb import MedianOfMeansUCB
from recsim_env.agents.bandits.trimmed_mean_ucb import TrimmedMeanUCB
from recsim_env.agents.bandits.ucb1 import UCB1
from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError, check_ranges
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.experiments import figure
from recsim_env.experiments.aligned import aligned
from recsim_env.experiments.cell_run import run_to_the_end
from recsim_env.experiments.cells import Cell, save_arrays
from recsim_env.experiments.race import show
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.rounds import AGENT_LUCK
from recsim_env.experiments.run_directory import RunDirectory
from recsim_env.experiments.settings import names_of, option
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.attackers.reward_corruption import RewardCorruption
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.arms import ArmsWorld
from recsim_env.simulators.worlds.gaussian_bandit import gaussian_bandit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "corrupted_bandits"
METRICS = ("target_share", "spent", "regret")
HALVINGS = 8  # points of a curve: T, T / 2, ...


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    agents: str = option("all", "algorithms to attack, or all")
    budgets: str = option("0,100,300,1000,inf", "that may be taken from the rewards of one learner in all")
    margin: float = option(0.5, "Delta of the attack, by which other arms are pushed below the target")
    trimmed: float = option(0.1, "alpha of trimmed_mean_ucb, left out of its rewards at either end")
    first: int = option(1, "pulls of an arm before trimmed_mean_ucb judges it")
    corruption: float = option(300.0, "C that corruption_robust_ucb is made for")
    barbar: float = option(8.0, "c of barbar; the paper's 1024 explores for 10,000 rounds an arm")
    rounds: int = option(100_000, "of every learner")
    replicates: int = option(1000, "independent learners of every algorithm and budget")
    num_items: int = option(5, "arms, of means that are spaced evenly from 0 to 1")
    deviation: float = option(0.5, "of rewards, which are normal")
    seed: int = option(0, "of replicate 0; replicate i has seed + i")


AGENTS: dict[str, Callable[[Settings], Agent]] = {
    "ucb1": lambda s: UCB1(s.replicates, s.num_items, deviation=s.deviation),
    "epsilon_greedy": lambda s: EpsilonGreedy(
        s.replicates, s.num_items, reward_range=(-np.inf, np.inf), decay=5.0
    ),
    "median_of_means_ucb": lambda s: MedianOfMeansUCB(s.replicates, s.num_items, s.rounds, s.deviation**2),
    "trimmed_mean_ucb": lambda s: TrimmedMeanUCB(
        s.replicates, s.num_items, s.trimmed, deviation=s.deviation, first=s.first
    ),
    "corruption_robust_ucb": lambda s: CorruptionRobustUCB(
        s.replicates, s.num_items, s.corruption, deviation=s.deviation
    ),
    "barbar": lambda s: Barbar(s.replicates, s.num_items, s.rounds, exploration=s.barbar),
}


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`."""
    plan = check(settings)

    def cells(directory: RunDirectory) -> list[Cell]:
        return [
            Cell.of(
                directory,
                f"{name}-{budget:g}",
                size=settings.rounds,
                label=f"{name}, {budget:g}",
                work=partial(play, settings, name, budget),
            )
            for name, budget in plan
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
        picture=partial(draw, settings=settings),
        show=print_table,
    )


def check(settings: Settings) -> list[tuple[str, float]]:
    """Refuse settings that cannot be; returns algorithms and budgets, all with all.

    Raises:
        InputError: the first of them.
    """
    check_ranges({"replicates": settings.replicates}, {}, {})
    if settings.rounds < 2:
        raise InputError(f"rounds must be at least 2, got {settings.rounds}")
    if settings.seed < 0:
        raise InputError(f"seed must be 0 or more, got {settings.seed}")
    try:
        budgets = [float(part) for part in settings.budgets.split(",")]
    except ValueError:
        raise InputError(f"budgets must be numbers such as 0,100,inf, got {settings.budgets!r}") from None
    if len(set(budgets)) < len(budgets) or not min(budgets) >= 0.0:
        raise InputError(f"budgets must be 0 or more, each once, got {settings.budgets!r}")
    asked = ",".join(AGENTS) if settings.agents == "all" else settings.agents
    names = names_of("agents", "algorithm", asked, AGENTS)
    for name in names:
        AGENTS[name](settings)  # so that what it refuses is said before anything runs
    attack_of(settings, world_of(settings), 0.0)
    return [(name, budget) for name in names for budget in budgets]


def world_of(settings: Settings) -> ArmsWorld:
    """The arms."""
    return gaussian_bandit(
        settings.num_items, 0.0, 1.0, deviation=settings.deviation, horizon=settings.rounds
    )


def attack_of(settings: Settings, world: ArmsWorld, budget: float) -> RewardCorruption:
    """On the way to the arm of least mean."""
    target = int(world.mean.argmin())
    return RewardCorruption(target, settings.deviation, settings.margin, budget=budget)


def points(settings: Settings) -> Ints:
    """(P,) rounds at which is recorded."""
    return np.unique(np.maximum(settings.rounds // 2 ** np.arange(HALVINGS), 1))


def play(
    settings: Settings, name: str, budget: float, file: Path, _: Path, progress: Callable[[int], Any]
) -> None:
    """Write (P, B) of every metric of one algorithm under one budget."""
    world = world_of(settings)
    attack = attack_of(settings, world, budget)
    agent = CorruptedFeedback(AGENTS[name](settings), attack, settings.replicates, settings.num_items)
    seeds = range(settings.seed, settings.seed + settings.replicates)
    user, mine = Luck.from_seeds(seeds), Luck.from_seeds([AGENT_LUCK + seed for seed in seeds])
    state, at = world.begin(user), points(settings)
    observation, uncut = world.observe(state), np.zeros(settings.replicates, np.bool_)
    found: dict[str, list[Array]] = {metric: [] for metric in METRICS}
    regret = np.zeros(settings.replicates)
    for t in range(settings.rounds):
        slates = agent.act(observation, mine.at(t))
        state, o = world.respond(state, slates, user.at(t))
        after = world.observe(state)
        agent.update(Transition(observation, slates, *o.response, o.reward, after, o.left, uncut))
        observation = after
        regret += o.best_value - o.slate_value
        progress(1)
        if t + 1 == at[len(found["spent"])]:
            found["target_share"].append(agent.pulls[:, attack.target] / (t + 1))
            found["spent"].append(agent.spent)
            found["regret"].append(regret.copy())
    save_arrays(file, {metric: np.array(values) for metric, values in found.items()})


def collect(settings: Settings, plan: list[tuple[str, float]], arrays: list[dict[str, Array]]) -> Results:
    """The results of all cells."""
    results, steps = Results(), points(settings)
    for (name, budget), found in zip(plan, arrays, strict=True):
        curves = {metric: Curve(steps, found[metric]) for metric in METRICS}
        results.curves[f"{name}, budget {budget:g}"] = curves
    return results


def print_table(results: Results) -> None:
    """Where every algorithm stands after the last round."""
    head = ["algorithm", "budget", "captured", "pulls of the target", "spent", "in the last two doublings"]
    rows = [[*head, "regret"]]
    for label, curves in results.curves.items():
        name, budget = label.split(", budget ")
        share, spent = curves["target_share"].values[-1], curves["spent"].values
        doublings = [f"{x:,.0f}" for x in np.diff(spent.mean(axis=1))[-2:]]
        percent = mean_estimate(100.0 * share)
        cells = [name, budget, f"{(share > 0.5).mean():.1%}", f"{show(percent)} %"]
        cells += [show(mean_estimate(spent[-1])), " + ".join(doublings)]
        rows.append([*cells, show(mean_estimate(curves["regret"].values[-1]))])
    one = next(iter(results.curves.values()))["spent"]
    sys.stdout.write(
        f"\n{aligned(rows)}mean +- standard error of {one.values.shape[1]:,} replicates after "
        f"{one.steps[-1]:,} rounds; captured: the target was pulled in more than half of them\n"
    )


def draw(results: Results, settings: Settings) -> "Figure":
    """Pulls of the target against the budget, and the cost of capture against rounds."""
    picture, (left, right) = figure.new_figure(2)
    names = list(dict.fromkeys(label.split(", budget ")[0] for label in results.curves))
    free = [colour for colour in figure.SPARE if colour != figure.COLOURS["ucb1"]]
    for name in names:
        colour = figure.COLOURS.get(name) or free.pop(0)
        own = {
            label.split(", budget ")[1]: curves
            for label, curves in results.curves.items()
            if label.startswith(f"{name}, ")
        }
        share = [mean_estimate(100.0 * curves["target_share"].values[-1]) for curves in own.values()]
        value, error = (np.array([float(getattr(e, k)) for e in share]) for k in ("value", "std_error"))
        left.errorbar(list(own), value, 1.96 * np.nan_to_num(error), color=colour, marker="o", label=name)
        most = list(own.values())[-1]["spent"]
        right.plot(most.steps, most.values.mean(axis=1), color=colour, marker="o", label=name)
    left.set(xlabel="budget", ylabel="pulls of the worst arm, % of rounds", ylim=(-3, 103))
    budget = list(results.curves)[-1].split(", budget ")[1]
    right.set(xscale="log", yscale="log", xlabel="rounds", ylabel=f"spent, with a budget of {budget}")
    left.set_title(f"{settings.num_items} normal arms, {settings.rounds:,} rounds")
    figure.legend_below(left)
    return picture
