"""Does it pay to explore whole slates, and to know what was on them?

Eide, Leslie and Frigessi's recommender in `GroupSlate-v0`, online: it begins with a log of random slates,
plays a round of new users, fits its posterior to all it has seen, plays the next round, and so on. Compared
are three ways to make a slate of one model (greedy at the posterior mean, one posterior draw a slate, one
draw a slot), greedy again with a likelihood that takes every item for a candidate of every click, uniformly
random slates, and the oracle that knows the user's preference and shows the nearest items.

Every replicate is another world with its own log; all recommenders meet the same users in it under the same
luck. Recorded are clicks per slate in every round. Differences are taken replicate by replicate, as means
over the rounds.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.agents.agent import Agent, Transition
from recsim_env.agents.bandits.dynamic_slate import DynamicSlate
from recsim_env.agents.bandits.slate_fit import Schedule
from recsim_env.agents.baselines.random_slates import RandomSlates
from recsim_env.arrays import Floats
from recsim_env.errors import InputError, require
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.evaluation.paired import PairedComparison, paired_comparison
from recsim_env.experiments import figure
from recsim_env.experiments.cells import load_arrays, replicate_cells, run_cells, save_arrays
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.run_directory import open_run
from recsim_env.experiments.settings import as_json, option, positive
from recsim_env.experiments.tensorboard import write_events
from recsim_env.experiments.training import one_thread
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_generation import POLICY_LUCK, generate_log
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.group_slate import group_slate
from recsim_env.simulators.worlds.grouped import GroupWorld

NAME = "slate_exploration"
LEARNERS = {  # explore, likelihood
    "greedy": ("greedy", "slate"),
    "thompson": ("thompson", "slate"),
    "in_slate_thompson": ("in_slate", "slate"),
    "greedy_all_items": ("greedy", "all_items"),
}
RECOMMENDERS = (*LEARNERS, "random", "oracle")
QUESTIONS = (  # better?, than
    ("thompson", "greedy"),
    ("in_slate_thompson", "greedy"),
    ("in_slate_thompson", "thompson"),
    ("greedy_all_items", "greedy"),
)
HORIZON = 20
REPLICATE_SEEDS = 1 << 32  # between the users of two replicates


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    num_items: int = option(200, "N, items in the catalogue")
    slate_size: int = option(5, "K, slots of a slate")
    num_groups: int = option(20, "G, groups of items")
    dimension: int = option(5, "D, of the world and of the model")
    user: str = option("linear", "users of the world: linear or gated")
    user_state: str = option("linear", "users of the model: linear, markov or gru")
    logged_users: int = option(50, "users of the log of random slates that a learner begins with")
    round_users: int = option(100, "new users of every round")
    rounds: int = option(5, "rounds, with a fit before each")
    epochs: int = option(20, "of every fit, at most")
    replicates: int = option(20, "independent worlds")
    seed: int = option(0, "of the world of replicate 0; replicate i has seed + i")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`; a replicate is done in one go."""
    positive(rounds=settings.rounds, logged_users=settings.logged_users, round_users=settings.round_users)
    if settings.replicates < 2:
        raise InputError(f"replicates must be 2 or more, got {settings.replicates}: one has no interval")
    if settings.seed < 0:
        raise InputError(f"seed must be 0 or more, got {settings.seed}")
    require("torch", "torch")
    learner("greedy", make_world(settings, 0), settings, 0)  # refuses settings before anything runs
    with open_run(out, NAME, as_json(settings), resume) as directory:
        if directory.finished:
            results = Results.read(directory.results)
        else:

            def work(replicate: int) -> Callable[..., None]:
                return partial(play_replicate, settings, replicate)

            cells = replicate_cells(directory, settings.replicates, len(RECOMMENDERS), work)
            run_cells(cells, directory.path, workers, "recommender")
            results = Results()
            clicks = [load_arrays(cell.file) for cell in cells]
            for name in RECOMMENDERS:
                values = np.stack([found[name] for found in clicks], axis=1)
                results.curves[name] = {"clicks": Curve(np.arange(1, settings.rounds + 1), values)}
                write_events(directory.path / "tensorboard", name, results.curves[name])
            results.write(directory.results)
            figure.save_panel(directory.path / "figure.png", lambda axes: draw(axes, results, settings))
            directory.finish()
    print_tables(results)
    sys.stdout.write(f"wrote {directory.path}/: results.csv, figure.png, tensorboard/, run.json\n")
    return results


def play_replicate(
    settings: Settings, replicate: int, file: Path, _: Path, progress: Callable[[int], Any]
) -> None:
    """Write the clicks per slate (rounds,) of all recommenders in one world.

    With one thread, here and on a worker: the sums of a network depend on their number in the last bits.
    """
    with one_thread():
        world = make_world(settings, replicate)
        log, clicks = random_log(world, settings, replicate), {}
        for name in RECOMMENDERS:
            clicks[name] = play(name, world, log, settings, replicate)
            progress(1)
    save_arrays(file, clicks)


def make_world(settings: Settings, replicate: int) -> GroupWorld:
    """The world of a replicate."""
    return group_slate(
        settings.num_items,
        settings.slate_size,
        settings.num_groups,
        settings.dimension,
        user=settings.user,
        horizon=HORIZON,
        world_seed=settings.seed + replicate,
    )


def random_log(world: GroupWorld, settings: Settings, replicate: int) -> Log:
    """One episode of random slates of every logged user."""
    policy = RandomSlates(world.num_items, world.slate_size)
    seed = (settings.seed + replicate) * REPLICATE_SEEDS
    B = settings.logged_users
    (log,) = generate_log(world, policy, HORIZON, num_users=B, seed=seed, piece_rows=B * HORIZON)
    return log


def learner(name: str, world: GroupWorld, settings: Settings, replicate: int) -> DynamicSlate:
    """A recommender that refits after every round; of the world it knows the items' groups alone."""
    explore, likelihood = LEARNERS[name]
    return DynamicSlate(
        settings.round_users,
        world.num_items,
        world.slate_size,
        world.horizon,
        group=world.catalogue.category,
        dimension=settings.dimension,
        user_state=settings.user_state,
        explore=explore,
        likelihood=likelihood,
        schedule=Schedule(epochs=settings.epochs),
        seed=settings.seed + replicate,
    )


def play(name: str, world: GroupWorld, log: Log, settings: Settings, replicate: int) -> Floats:
    """(rounds,) clicks per slate."""
    agent: Agent | None = None
    if name == "random":
        agent = RandomSlates(world.num_items, world.slate_size)
    elif name != "oracle":
        agent = learner(name, world, settings, replicate).fit(log, progress=False)
    first = (settings.seed + replicate) * REPLICATE_SEEDS + settings.logged_users
    clicks = np.empty(settings.rounds)
    for r in range(settings.rounds):
        seeds = np.arange(settings.round_users, dtype=np.uint64) + np.uint64(first + r * settings.round_users)
        clicks[r] = play_round(world, agent, Luck.from_seeds(seeds), last=r + 1 == settings.rounds)
    return clicks


def play_round(world: GroupWorld, agent: Agent | None, luck: Luck, *, last: bool) -> float:
    """Clicks per slate of one episode of every user; without an agent, of the oracle's slates.

    After the last round nothing is learned: nobody would see it.
    """
    mine = Luck.from_seeds(luck.seed + np.uint64(POLICY_LUCK))
    state, total = world.begin(luck), 0.0
    observation = world.observe(state)
    for h in range(world.horizon):
        slates = world.best_slate(state) if agent is None else agent.act(observation, mine.at(h))
        state, outcome = world.respond(state, slates, luck.at(h))
        after = world.observe(state)
        if agent is not None and not last:
            over = np.full(len(luck), h + 1 == world.horizon)
            agent.update(
                Transition(observation, slates, *outcome.response, outcome.reward, after, outcome.left, over)
            )
        observation, total = after, total + float(outcome.reward.mean())
    return total / world.horizon


def differences(results: Results) -> dict[tuple[str, str], PairedComparison]:
    """Clicks per slate of one less those of another, over the replicates."""
    mean = {name: curves["clicks"].values.mean(axis=0) for name, curves in results.curves.items()}
    return {(a, b): paired_comparison(mean[a], mean[b]) for a, b in QUESTIONS}


def print_tables(results: Results) -> None:
    """Clicks per slate of all, the best first, and the differences that were asked for."""
    mean = {name: curves["clicks"].values.mean(axis=0) for name, curves in results.curves.items()}
    width = max(map(len, mean))
    last = next(iter(results.curves.values()))["clicks"].values
    sys.stdout.write(f"\n{'':{width}}  clicks per slate [95 % interval]     last round\n")
    for name in sorted(mean, key=lambda name: -mean[name].mean()):
        estimate = mean_estimate(mean[name])
        low, high = estimate.interval
        final = results.curves[name]["clicks"].values[-1].mean()
        sys.stdout.write(f"{name:{width}}  {estimate.value:.4f} [{low:.4f}, {high:.4f}]   {final:18.4f}\n")
    sys.stdout.write(f"means over {last.shape[0]} rounds; intervals over {last.shape[1]} worlds\n\n")
    for (a, b), found in differences(results).items():
        low, high = mean_estimate(mean[a] - mean[b]).interval
        sys.stdout.write(
            f"{a} less {b}: {found.difference:+.4f} [{low:+.4f}, {high:+.4f}], world by world; "
            f"p = {found.p_sign_flip:.2g} (sign flips)\n"
        )


def title(settings: Settings) -> str:
    """What the run is about, for a picture; runs with one title are comparable."""
    return f"{settings.num_items} items in {settings.num_groups} groups, slates of {settings.slate_size}"


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """Clicks per slate against the round."""
    figure.draw_curves(axes, results, "clicks", label, style)
    axes.set(title=title(settings), xlabel="round of new users, a fit before each", ylabel="clicks per slate")
