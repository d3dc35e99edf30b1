"""Do agents learn to poison a recommender, and how near do they come to the best attack?

Everybody attacks the worlds of `Attack-v0` with the same budget: on a small instance, where the best of
all attacks is known, and on a large one, where nobody knows it. One replicate is one world, of other honest
users.

    any_items          items drawn evenly, whatever the target is
    random, mimic, ..  attackers of `simulators/attackers`; mean over `draws`
    agents             learn by attacking: `episodes` attacks of each of `rows`, then act greedily
    best               the plan by backward induction

    reward      of an attack, what the world pays: exposures after each fake user less what actions cost
    exposure    of the target after the last fake user
    paid        cost of all actions
    learning    reward of an attack while learning, with exploration
    share       sum of rewards over sum of the best, over worlds

An agent looks at as many attacks as the step of its curve says. On the small instance that is more than
there are: the plan is the cheaper way there, and says how good learning is.

`trained against X`: the first agent learns against the small instance's recommender with a defence of
`poisoning_game.py`, or one that is trained only after the last fake user (`rarely`), and what it has learned
is played against all of them; `planned`: the same of the best attack on X.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError
from recsim_env.experiments import figure
from recsim_env.experiments.attack_arms import (
    any_items,
    chosen,
    greedy_attack,
    learner,
    learner_names,
    learning,
    played,
    scripted,
)
from recsim_env.experiments.attack_figure import draw_arms, draw_learning, draw_transfer
from recsim_env.experiments.attack_tables import (
    ANY,
    BEST,
    FROM,
    PLAN,
    RARELY,
    RECOMMENDERS,
    SIZES,
    print_tables,
)
from recsim_env.experiments.attacks import attack_names
from recsim_env.experiments.cell_run import run_to_the_end
from recsim_env.experiments.cells import named_cells, save_arrays
from recsim_env.experiments.env_args import world_of
from recsim_env.experiments.poisoning_game import DefendedVictim
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.settings import option, positive
from recsim_env.experiments.suite.cascade_mdp import world_parameters
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.worlds.attack import AttackWorld, CooccurrenceVictim

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "attack_agents"
POINTS = 10  # of a learning curve


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    small: str = option("", "parameters of Attack-v0 with a plan, such as num_items=5,fakes=3")
    large: str = option(
        "num_items=30,num_users=100,history=3,fakes=10,actions=4,k=5,cost=0.002", "of the other one"
    )
    attacks: str = option("random,segment,mimic,learned", "scripted attackers")
    agents: str = option("reinforce_value,reinforce_top_k,groups", "agents that learn")
    episodes: int = option(100, "attacks of a row while learning, 10 or more")
    rows: int = option(32, "attacks at once, which share what is learned")
    draws: int = option(20, "of attacks that have chance in them")
    replicates: int = option(6, "worlds")
    seed: int = option(0, "world seed of replicate 0; replicate i has seed + i")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`; a cell is done in one go."""
    attacks, agents = check(settings)
    arms = [f"{size}, {arm}" for size in SIZES for arm in (ANY, *attacks, *agents)]
    names = [f"{SIZES[0]}, {BEST}", *arms, *(FROM + name for name in RECOMMENDERS)]

    def work(name: str, replicate: int) -> Callable[..., None]:
        return partial(play, settings, agents, name, settings.seed + replicate)

    return run_to_the_end(
        NAME,
        settings,
        out,
        resume,
        workers,
        cells=lambda directory: named_cells(directory, names, settings.replicates, work),
        unit="cell",
        collect=partial(collect, names, settings),
        picture=lambda results: draw_all(results, settings),
        show=lambda results: print_tables(
            results, agents[0], settings.episodes * settings.rows, settings.replicates
        ),
    )


def check(settings: Settings) -> tuple[list[str], list[str]]:
    """Refuse settings that cannot be; returns the scripted attackers and the agents.

    Raises:
        InputError: the first of them, or an agent needs PyTorch, which is missing.
    """
    s = settings
    attacks, agents = attack_names(s.attacks), learner_names(s.agents)
    positive(rows=s.rows, draws=s.draws, replicates=s.replicates)
    if s.episodes < POINTS:
        raise InputError(f"episodes must be {POINTS} or more, got {s.episodes}: a curve has as many points")
    if not 0 <= s.seed < 1 << 20:
        raise InputError(f"seed must be from 0 to 2^20 - 1, got {s.seed}")
    for size in SIZES:
        world, victim = instance(s, size, s.seed)
        if size == SIZES[0] and not world.exact:
            raise InputError("small has too many attacks for a plan: take fewer fakes, actions or items")
        for name in attacks:
            scripted(name, world, victim, 1, 0)
        for name in agents:
            learner(name, world, victim.had, s.rows, s.episodes, 0)
    return attacks, agents


def instance(settings: Settings, size: str, seed: int) -> tuple[AttackWorld, CooccurrenceVictim]:
    """The world of a seed, and its recommender."""
    parameters = world_parameters(getattr(settings, size))
    if "world_seed" in parameters:
        raise InputError(f"{size} must not have a world_seed: worlds are drawn from seed")
    world = world_of("Attack-v0", {**parameters, "world_seed": seed})
    assert isinstance(world, AttackWorld)
    assert isinstance(world.victim, CooccurrenceVictim)
    return world, world.victim


def against(name: str, world: AttackWorld) -> AttackWorld:
    """The same attack on a recommender of `RECOMMENDERS`."""
    if name == RARELY:
        return replace(world, every=world.horizon)
    victim = world.victim
    assert isinstance(victim, CooccurrenceVictim)
    return replace(world, victim=DefendedVictim(victim.had, victim.target, victim.k, name))


def parts(settings: Settings) -> Ints:
    """(P,) attacks of a row at the points of a learning curve."""
    return np.rint(np.linspace(0, settings.episodes, POINTS + 1)[1:]).astype(np.int64)


def play(
    settings: Settings,
    agents: list[str],
    name: str,
    seed: int,
    file: Path,
    _: Path,
    progress: Callable[[int], Any],
) -> None:
    """Write what one arm comes to in one world: (1,) or (P,) of every metric."""
    s = settings
    if name.startswith(FROM):
        found = transferred(s, agents[0], name.removeprefix(FROM), seed)
    else:
        size, arm = name.split(", ")
        world, victim = instance(s, size, seed)
        if arm in agents:
            agent = learner(arm, world, victim.had, s.rows, s.episodes, seed)
            points = []
            for reward in learning(agent, world, s.rows, parts(s), seed):
                point = played(world, greedy_attack(agent, world)[None])
                points.append({**point, "learning": np.array([reward])})
            found = {metric: np.concatenate([one[metric] for one in points]) for metric in points[0]}
        else:
            if arm == BEST:
                fakes = chosen(world, world.best_slate)[None]
            elif arm == ANY:
                fakes = any_items(world, s.draws, seed)
            else:
                fakes = scripted(arm, world, victim, s.draws, seed)
            found = {metric: values.mean(keepdims=True) for metric, values in played(world, fakes).items()}
    save_arrays(file, found)
    progress(1)


def transferred(settings: Settings, arm: str, source: str, seed: int) -> dict[str, Array]:
    """(1,) rewards against every recommender of what was learned, and planned, against one."""
    s = settings
    base, victim = instance(s, SIZES[0], seed)
    worlds = {name: against(name, base) for name in RECOMMENDERS}
    world = worlds[source]
    agent = learner(arm, world, victim.had, s.rows, s.episodes, seed)
    list(learning(agent, world, s.rows, parts(s), seed))
    plan = chosen(world, world.best_slate)[None]
    found = {}
    for name, other in worlds.items():
        found[name] = played(other, greedy_attack(agent, other)[None])["reward"]
        found[f"planned, {name}"] = played(other, plan)["reward"]
    return found


def collect(names: list[str], settings: Settings, cells: list[dict[str, Array]]) -> Results:
    """The results of all worlds; the step is the number of attacks that were tried."""
    results, tried = Results(), parts(settings) * settings.rows
    for i, name in enumerate(names):
        mine = cells[i :: len(names)]
        for metric in mine[0]:
            values = np.stack([cell[metric] for cell in mine], axis=1)
            steps = tried if len(values) == len(tried) else np.zeros(1, np.int64)
            owner, kind = name, metric
            if name.startswith(FROM):
                steps = tried[-1:]
                if metric.startswith("planned, "):
                    owner, kind = PLAN + name.removeprefix(FROM), metric.removeprefix("planned, ")
            results.curves.setdefault(owner, {})[kind] = Curve(steps, values)
    return results


def title(settings: Settings) -> str:
    """What the run is about, for a picture; runs with one title are comparable."""
    return f"Attack-v0 {settings.large}"


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """Learning on the large instance."""
    draw_learning(axes, results, SIZES[1], label, style)
    axes.set(title="Large instance, nobody knows the best attack")


def draw_all(results: Results, settings: Settings) -> "Figure":
    """The picture of a run: learning on both instances, arms, and what transfers."""
    picture, axes = figure.new_figure(2, rows=2)
    draw_learning(axes[0], results, SIZES[0])
    axes[0].set_title("Small instance, the best attack is known")
    draw(axes[1], results, settings)
    draw_arms(axes[2], results)
    draw_transfer(axes[3], results)
    return picture
