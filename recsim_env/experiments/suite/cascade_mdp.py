"""Which agent learns fastest on a user whose state changes with every click?

Every agent faces `replicates` independent users of a cascading world for `episodes` episodes; the curve
is its cumulative pseudo-regret against the exact optimum of the world.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from recsim_env.errors import InputError
from recsim_env.experiments import figure, shown_metrics
from recsim_env.experiments.agents import AGENTS, Task, agent_names, make_agent
from recsim_env.experiments.env_args import value_of, world_of
from recsim_env.experiments.race import print_table, race_agents
from recsim_env.experiments.results import Results
from recsim_env.experiments.run import Race
from recsim_env.experiments.run_directory import open_run
from recsim_env.experiments.settings import as_json, option, positive
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.worlds.cascade import CascadeWorld

NAME = "cascade_mdp"


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    env: str = option("CascadeRec-v0", "id of a cascading world; `recsim-env list` names them")
    world: str = option("", "parameters of the world, such as num_states=5,horizon=10; see describe ID")
    episodes: int = option(10000, "episodes that every replicate plays")
    replicates: int = option(20, "independent users, and learners, of every agent")
    agents: str = option(
        "cascading_vi,adapt_vi,cascade_ucb,myopic,random", f"agents to compare, of {', '.join(AGENTS)}"
    )
    bonus_scale: float = option(0.1, "multiplies the planners' confidence bonuses; 1.0 is the theory")
    epsilon: float = option(0.1, "what cascading_bpi stops at, as a share of the horizon")
    metrics: str = option("", shown_metrics.HELP)
    seed: int = option(0, "seed of replicate 0; replicate i has seed + i")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`."""
    names = agent_names(settings.agents)
    positive(episodes=settings.episodes, replicates=settings.replicates, epsilon=settings.epsilon)
    positive(bonus_scale=settings.bonus_scale)
    if settings.seed < 0:
        raise InputError(f"seed must be 0 or more, got {settings.seed}")
    world = world_of(settings.env, world_parameters(settings.world))
    if not isinstance(world, CascadeWorld):
        raise InputError(f"{NAME} needs a cascading world, and {settings.env} is none")
    task = Task(world, settings.replicates, settings.episodes, settings.bonus_scale, settings.epsilon)
    agents = {name: partial(make_agent, name, task) for name in names}
    best = world.mean_start_value(world.optimal_values())
    metrics = shown_metrics.metric_names(settings.metrics, world, settings.replicates)
    return race_agents(
        agents,
        world,
        Race(
            settings.episodes,
            count_rounds=False,
            seed=settings.seed,
            replicates=settings.replicates,
            metrics=metrics,
        ),
        open_run(out, NAME, as_json(settings), resume),
        partial(draw, settings=settings),
        partial(
            print_table,
            optimum=f"the optimum of {settings.env} earns {best:.4f} an episode, and its regret is 0",
            optimum_per_step=best,
            unit="episode",
        ),
        workers,
    )


def title(settings: Settings) -> str:
    """What the run is about, for a picture; runs with one title are comparable."""
    return settings.env + (f" ({settings.world})" if settings.world else "")


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """Regret against episodes."""
    figure.draw_curves(axes, results, "regret", label, style)
    axes.set(title=title(settings), xlabel="episode", ylabel="cumulative regret")


def world_parameters(text: str) -> dict[str, Any]:
    """`num_states=5,path=ml-100k` -> a dictionary of what the values stand for.

    Raises:
        InputError: a part without a name or a value.
    """
    parameters: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if not (name and equals and value):
            raise InputError(f"world must be name=value,name=value, got {part!r}")
        parameters[name] = value_of(value)
    return parameters
