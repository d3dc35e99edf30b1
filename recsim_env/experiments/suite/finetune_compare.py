"""What does preference tuning make of a generative recommender: of true reward, and of the metric of the log?

People take items that are near to their interest by themselves; whether an item was any good, which is its
quality, a log of that does not say (`organic_users.py`). A recommender that writes codes learns from such a
log what comes next (`sft`), and is then tuned to clicks that simulated users give to items it draws. Beside
it stand as many gradients more on the log (`sft_continued`) and a loop that asks a reward model instead,
learned from some feedback once (`reward_model`).

    slate reward    exact expected clicks on the K likeliest items, of users that nobody learned from
    session         the same over H slates, with what was clicked added to the history
    regret          what the best slate would have earned more
    NDCG@10         of the item that these users took next by themselves
    KL              of the policy from sft, estimated on items it draws
    coverage        share of the catalogue on the slates of all these users
    queries         clicks that were asked for

One replicate is one world, with a catalogue, users and a training of its own.
"""

import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.experiments import figure
from recsim_env.experiments.cell_run import run_to_the_end
from recsim_env.experiments.cells import replicate_cells, save_arrays
from recsim_env.experiments.organic_users import OrganicUsers
from recsim_env.experiments.policy_measures import LISTED, METRICS, divergence, lists_of, measure
from recsim_env.experiments.policy_training import (
    BATCH,
    PolicySettings,
    check_policy_settings,
    learned_reward,
    points,
    train_policy,
    users_of,
)
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.settings import names_of, option, positive
from recsim_env.experiments.simulated_rewards import SimulatedReward
from recsim_env.experiments.training import one_thread
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.worlds.world import take_rows

if TYPE_CHECKING:
    from recsim_env.agents.generative.policy import GenerativePolicy
    from recsim_env.agents.generative.preference.tuning import RewardFunction

NAME = "finetune_compare"
TUNED: dict[str, dict[str, Any]] = {  # name -> settings of the tuning
    "rwr": {"method": "rwr", "temperature": 0.3},
    "dpo": {"method": "dpo"},
    "softmax_dpo": {"method": "softmax_dpo"},
    "grpo": {"method": "grpo", "beta": 0.02},
    "reward_model": {"method": "dpo"},
}
CONTROLS = ("random", "popular", "oracle", "sft", "sft_continued")


@dataclass(frozen=True)
class Settings(PolicySettings):
    """Options of the command line."""

    policies: str = option(",".join(TUNED), f"of {', '.join(TUNED)}; the controls are always there")
    feedbacks: int = option(20_000, "clicks or none that the reward model learns from")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`; a replicate is done in one go."""
    names = check(settings)

    def work(replicate: int) -> Callable[..., None]:
        return partial(play_replicate, settings, names, settings.seed + replicate)

    return run_to_the_end(
        NAME,
        settings,
        out,
        resume,
        workers,
        cells=lambda directory: replicate_cells(directory, settings.replicates, 2 + len(names), work),
        unit="policy",
        collect=lambda found: to_results(found, names, settings),
        picture=lambda results: draw_all(results, settings),
        show=lambda results: print_tables(results, settings),
    )


def check(settings: Settings) -> list[str]:
    """Refuse settings that cannot be; returns the names of the policies.

    Raises:
        InputError: the first of them.
    """
    names = names_of("policies", "policy", settings.policies, TUNED)
    positive(feedbacks=settings.feedbacks)
    check_policy_settings(settings)
    return names


def play_replicate(
    settings: Settings, names: list[str], seed: int, file: Path, _: Path, progress: Callable[[int], Any]
) -> None:
    """Write (points,) of every metric of every policy in one world, and the clicks that each asked for."""
    with one_thread():  # sums of several come out in any order, and runs would not repeat
        of, learned_from, test = users_of(settings, seed)
        recommender = train_policy(of, learned_from, settings, seed)
        sft, found = deepcopy(recommender.policy_), dict[str, list[float]]()

        def note(name: str, policy: "GenerativePolicy", queries: int) -> None:
            values = measure(lists_of(policy), of, test, seed)
            values["kl"] = divergence(policy, sft, of.taken[test, :-1], seed)
            for metric, value in {**values, "queries": float(queries)}.items():
                found.setdefault(f"{name}|{metric}", []).append(value)

        note("sft", sft, 0)
        for name, lists in baselines(of, learned_from, seed).items():
            for metric, value in measure(lists, of, test, seed).items():
                found[f"{name}|{metric}"] = [value]
        progress(1)
        note("sft_continued", recommender.continued(settings.steps, settings.learning_rate), 0)
        progress(1)
        for name in names:
            tune(name, sft, of, learned_from, settings, seed, partial(note, name))
            progress(1)
    save_arrays(file, {name: np.array(values) for name, values in found.items()})


def baselines(of: OrganicUsers, learned_from: Ints, seed: int) -> dict[str, Callable[[Ints, Ints], Ints]]:
    """Lists of chance, of what is taken most, and of one who knows the users."""
    rng, N = np.random.default_rng(seed), of.world.num_items
    count = np.bincount(of.taken[learned_from].ravel(), minlength=N)
    most = np.argsort(-count, kind="stable")[:LISTED]

    def best(history: Ints, users: Ints) -> Ints:
        slates = of.world.best_slate(take_rows(of.state, users))
        return np.pad(slates, ((0, 0), (0, LISTED - slates.shape[1])), constant_values=-1)

    return {
        "random": lambda history, users: np.stack([rng.permutation(N)[:LISTED] for _ in users]),
        "popular": lambda history, users: np.tile(most, (len(users), 1)),
        "oracle": best,
    }


def tune(
    name: str,
    sft: "GenerativePolicy",
    of: OrganicUsers,
    users: Ints,
    settings: Settings,
    seed: int,
    note: Callable[["GenerativePolicy", int], None],
) -> None:
    """Tune a copy of `sft`, and note what it is worth before, between and at the end."""
    from recsim_env.agents.generative.preference.tuning import PreferenceTuner, TuningSettings

    simulated = SimulatedReward(of.world, take_rows(of.state, users), seed)
    history = np.ascontiguousarray(of.taken[users, :-1])
    reward: RewardFunction = simulated
    if name == "reward_model":
        reward = learned_reward(sft, history, simulated, settings.feedbacks, seed).reward
    chosen = TuningSettings(
        **TUNED[name],
        batch_size=BATCH,
        num_generations=settings.num_generations,
        learning_rate=settings.learning_rate,
        seed=seed,
    )
    tuner = PreferenceTuner(deepcopy(sft), history, reward, chosen)
    for last in points(settings):
        while tuner.steps < last:
            tuner.step()
        note(tuner.policy, simulated.queries)


def to_results(cells: list[dict[str, Array]], names: list[str], settings: Settings) -> Results:
    """Curves over gradients; policies that are not tuned stay where they are."""
    results, at = Results(), points(settings)
    for name in (*CONTROLS, *names):
        results.curves[name] = {}
        for metric in (*METRICS, "queries"):
            if f"{name}|{metric}" in cells[0]:
                values = np.stack([cell[f"{name}|{metric}"] for cell in cells], axis=1)
                steps = at if len(values) == len(at) else at[[0, -1]]
                results.curves[name][metric] = Curve(steps, np.broadcast_to(values, (len(steps), len(cells))))
    return results


def last(results: Results, name: str, metric: str) -> Floats:
    """(replicates,) at the end."""
    return results.curves[name][metric].values[-1]


def print_tables(results: Results, settings: Settings) -> None:
    """All policies at the end, and how far each is from `sft`, replicate by replicate."""
    width = max(map(len, results.curves))
    sys.stdout.write(
        "\n" + " " * width + "".join(f"{metric:>19}" for metric in METRICS) + "  of oracle  queries\n"
    )
    oracle = last(results, "oracle", "slate_reward")
    for name, curves in results.curves.items():
        cells = ""
        for metric in METRICS:
            if metric in curves:
                estimate = mean_estimate(last(results, name, metric))
                cells += f"{estimate.value:9.3f} +- {estimate.std_error:.3f}".rjust(19)
            else:
                cells += " " * 19
        share = (last(results, name, "slate_reward") / oracle).mean()
        queries = last(results, name, "queries").mean() if "queries" in curves else 0.0
        sys.stdout.write(f"{name:{width}}{cells}  {share:9.1%}  {queries:7,.0f}\n")
    sys.stdout.write(f"mean +- standard error over {len(oracle)} replicates\n\n")
    for name in results.curves:
        if name in (*CONTROLS[:3], "sft"):
            continue
        for metric in ("slate_reward", "ndcg@10"):
            less = mean_estimate(last(results, name, metric) - last(results, "sft", metric))
            low, high = less.interval
            sys.stdout.write(f"{name} less sft, {metric}: {less.value:+.3f} [{low:+.3f}, {high:+.3f}], ")
            sys.stdout.write(f"{less.value / max(float(less.std_error), 1e-12):+.1f} standard errors\n")


def title(settings: Settings) -> str:
    """What the run is about, for a picture; runs with one title are comparable."""
    return f"{settings.num_items} items, slates of {settings.slate_size}, {settings.num_generations} a draw"


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """True reward against gradients."""
    figure.draw_curves(axes, results, "slate_reward", label, style)
    axes.set(title=title(settings), xlabel="gradients of the tuning", ylabel="expected clicks on a slate")


def draw_all(results: Results, settings: Settings) -> Any:
    """The picture of a run: true reward as tuning goes on, and against the metric of the log."""
    picture, axes = figure.new_figure(2)
    draw(axes[0], results, settings)
    colours = {line.get_gid(): line.get_color() for line in axes[0].get_lines()}
    for name, curves in results.curves.items():
        reward, logged = curves["slate_reward"].values, curves["ndcg@10"].values
        if name in TUNED:
            axes[1].plot(
                logged.mean(axis=1), reward.mean(axis=1), "-", color=colours[name], lw=1.2, alpha=0.6
            )
        x, y = mean_estimate(logged[-1]), mean_estimate(reward[-1])
        spread = {"xerr": 1.96 * float(x.std_error), "yerr": 1.96 * float(y.std_error)}
        axes[1].errorbar(x.value, y.value, **spread, fmt="o", color=colours[name])
        axes[1].annotate(name, (x.value, y.value), (6, 5), textcoords="offset points", fontsize=9)
    axes[1].set(
        title="What the log sees of it", xlabel="NDCG@10 on the log", ylabel="expected clicks on a slate"
    )
    axes[1].spines[["top", "right"]].set_visible(False)
    axes[1].grid(alpha=0.25, lw=0.6)
    return picture
