"""Which bandit finds the attractive items of a cascade fastest?

The B_LB(L, K, p, gap) problems of Kveton et al. 2015: K of L items attract with probability p, the others
with p - gap; the curve is cumulative pseudo-regret over rounds.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from recsim_env.errors import InputError
from recsim_env.experiments import figure, shown_metrics
from recsim_env.experiments.agents import AGENTS, Task, agent_names, make_agent
from recsim_env.experiments.race import print_table, race_agents
from recsim_env.experiments.results import Results
from recsim_env.experiments.run import Race
from recsim_env.experiments.run_directory import open_run
from recsim_env.experiments.settings import as_json, option, positive
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.worlds.cascade_bandit import cascade_bandit

NAME = "cascade_bandit"
HORIZON = 1000  # rounds of an episode: how often a run can be saved; the bandit does not notice


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    num_items: int = option(16, "L, items in the catalogue")
    slate_size: int = option(4, "K, slots of a slate")
    attraction: float = option(0.2, "p, attraction of the K best items")
    gap: float = option(0.15, "how much less the other items attract")
    rounds: int = option(100000, "slates that every replicate shows")
    replicates: int = option(20, "independent users, and learners, of every agent")
    agents: str = option(
        "cascade_ucb,cascade_kl_ucb,cascade_ts,ts_cascade", f"agents to compare, of {', '.join(AGENTS)}"
    )
    bonus_scale: float = option(0.1, "multiplies the planners' confidence bonuses; 1.0 is the theory")
    metrics: str = option("", shown_metrics.HELP)
    seed: int = option(0, "seed of replicate 0; replicate i has seed + i")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`."""
    names = agent_names(settings.agents)
    positive(rounds=settings.rounds, replicates=settings.replicates, bonus_scale=settings.bonus_scale)
    if settings.seed < 0:
        raise InputError(f"seed must be 0 or more, got {settings.seed}")
    world = cascade_bandit(
        settings.num_items, settings.slate_size, settings.attraction, settings.gap, horizon=HORIZON
    )
    episodes = -(-settings.rounds // HORIZON)
    task = Task(world, settings.replicates, episodes, settings.bonus_scale)
    best = 1.0 - (1.0 - settings.attraction) ** settings.slate_size
    metrics = shown_metrics.metric_names(settings.metrics, world, settings.replicates)
    return race_agents(
        {name: partial(make_agent, name, task) for name in names},
        world,
        Race(
            settings.rounds,
            count_rounds=True,
            seed=settings.seed,
            replicates=settings.replicates,
            metrics=metrics,
        ),
        open_run(out, NAME, as_json(settings), resume),
        partial(draw, settings=settings),
        partial(
            print_table,
            optimum=f"the best list earns {best:.4f} a round, and its regret is 0",
            optimum_per_step=best,
            unit="round",
        ),
        workers,
    )


def title(settings: Settings) -> str:
    """What the run is about, for a picture; runs with one title are comparable."""
    return (
        f"cascading bandit: {settings.slate_size} of {settings.num_items} items attract "
        f"{settings.attraction:g}, the rest {settings.attraction - settings.gap:g}"
    )


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """Regret against rounds."""
    figure.draw_curves(axes, results, "regret", label, style)
    axes.set(title=title(settings), xlabel="round", ylabel="cumulative regret")
