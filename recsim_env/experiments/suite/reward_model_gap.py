"""How far does a reward model lead a policy away from what users want, and does more feedback help?

The world, the log and the trained policy are those of `finetune_compare`. A reward model learns from M clicks
or none on items that the policy drew; the policy is then tuned to the model by DPO (best against worst), with
and without the guard that holds it to the log. A model that is relearned gets the M clicks or none by rounds,
each on items that the policy draws by then (`relearned_reward.py`): as many in all, at other times. Of the K
likeliest items of users that nobody learned from,

    score           what the model says they are worth, on average over items
    truth           how probable a click on each is, shown alone: what the model estimates
    slate_reward    exact expected clicks on the slate

as tuning goes on. Score and truth part where the policy finds what the model is wrong about; the model is
the one that the policy was tuned to last.
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
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.evaluation.ranking import ndcg
from recsim_env.experiments import figure
from recsim_env.experiments.cell_run import run_to_the_end
from recsim_env.experiments.cells import replicate_cells, save_arrays
from recsim_env.experiments.organic_users import OrganicUsers
from recsim_env.experiments.policy_measures import LISTED, lists_of
from recsim_env.experiments.policy_training import (
    BATCH,
    PolicySettings,
    check_policy_settings,
    points,
    train_policy,
    users_of,
)
from recsim_env.experiments.race import show_difference
from recsim_env.experiments.relearned_reward import RelearnedReward
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.settings import names_of, option
from recsim_env.experiments.simulated_rewards import SimulatedReward
from recsim_env.experiments.training import one_thread
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.worlds.world import take_rows

if TYPE_CHECKING:
    from recsim_env.agents.generative.policy import GenerativePolicy

NAME = "reward_model_gap"
METRICS = ("score", "truth", "slate_reward", "ndcg@10")
ARMS = {  # -> whether the log guards the tuning, and whether the model is relearned
    "plain": (False, False),
    "guarded": (True, False),
    "relearned": (False, True),
    "guarded_relearned": (True, True),
}


@dataclass(frozen=True)
class Settings(PolicySettings):
    """Options of the command line."""

    feedbacks: str = option("1000,10000,100000", "clicks or none that reward models learn from")
    guard: float = option(0.5, "weight of the log in the guarded tunings, above 0")
    arms: str = option("plain,guarded,relearned", f"of {', '.join(ARMS)}")
    rounds: int = option(8, "in which a relearned model gets its feedbacks, each from as many; 2 or more")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`; a replicate is done in one go."""
    feedbacks, arms = check(settings)

    def work(replicate: int) -> Callable[..., None]:
        return partial(play_replicate, settings, feedbacks, arms, settings.seed + replicate)

    size = 1 + len(feedbacks) * len(arms)
    return run_to_the_end(
        NAME,
        settings,
        out,
        resume,
        workers,
        cells=lambda directory: replicate_cells(directory, settings.replicates, size, work),
        unit="policy",
        collect=lambda found: to_results(found, feedbacks, arms, settings),
        picture=lambda results: draw_all(results, settings),
        show=lambda results: print_table(results, feedbacks),
    )


def check(settings: Settings) -> tuple[list[int], list[str]]:
    """Refuse settings that cannot be; returns the numbers of feedbacks, and the arms.

    Raises:
        InputError: the first of them.
    """
    try:
        feedbacks = [int(part) for part in settings.feedbacks.split(",")]
    except ValueError:
        raise InputError(
            f"feedbacks must be whole numbers such as 1000,10000, got {settings.feedbacks!r}"
        ) from None
    if min(feedbacks) < 1 or len(set(feedbacks)) < len(feedbacks):
        raise InputError(f"feedbacks must be 1 or more, each once, got {settings.feedbacks!r}")
    if not 0.0 < settings.guard < np.inf:
        raise InputError(f"guard must be above 0 and finite, got {settings.guard}")
    arms = names_of("arms", "arm", settings.arms, ARMS)
    check_policy_settings(settings)
    most = min(settings.steps, *feedbacks)
    if any(ARMS[arm][1] for arm in arms) and not 2 <= settings.rounds <= most:
        raise InputError(
            f"rounds must be from 2 to {most}, a gradient and a feedback each, got {settings.rounds}"
        )
    return feedbacks, arms


def name_of(feedbacks: int, arm: str) -> str:
    """Of a tuning."""
    return f"{feedbacks:,} feedbacks" + ("" if arm == "plain" else ", " + arm.replace("_", ", "))


def play_replicate(
    settings: Settings,
    feedbacks: list[int],
    arms: list[str],
    seed: int,
    file: Path,
    _: Path,
    progress: Callable[[int], Any],
) -> None:
    """Write (points,) of every metric of every tuning in one world, and the clicks that each asked for."""
    with one_thread():  # sums of several come out in any order, and runs would not repeat
        of, users, test = users_of(settings, seed)
        sft = train_policy(of, users, settings, seed).policy_
        progress(1)
        state = take_rows(of.state, test)
        oracle = of.world.expected_reward(state, of.world.best_slate(state))
        found = {"oracle|slate_reward": np.array([oracle.mean()])}
        for count in feedbacks:
            for arm in arms:
                for metric, values in tune(sft, of, users, test, settings, count, arm, seed).items():
                    found[f"{name_of(count, arm)}|{metric}"] = np.array(values)
                progress(1)
    save_arrays(file, found)


def tune(
    sft: "GenerativePolicy",
    of: OrganicUsers,
    users: Ints,
    test: Ints,
    settings: Settings,
    feedbacks: int,
    arm: str,
    seed: int,
) -> dict[str, list[float]]:
    """Tune a copy of `sft` to a reward model; returns each metric, and the queries, at every point."""
    from recsim_env.agents.generative.preference.tuning import PreferenceTuner, TuningSettings

    guarded, relearned = ARMS[arm]
    rounds = settings.rounds if relearned else 1
    shares = np.diff(np.linspace(0, feedbacks, rounds + 1).astype(np.int64))
    begins = np.linspace(0, settings.steps, rounds, endpoint=False).astype(np.int64)
    history = np.ascontiguousarray(of.taken[users, :-1])
    simulated = SimulatedReward(of.world, take_rows(of.state, users), seed)
    reward = RelearnedReward(sft, history, simulated, shares[0], seed)
    chosen = TuningSettings(
        method="dpo",
        batch_size=BATCH,
        num_generations=settings.num_generations,
        learning_rate=settings.learning_rate,
        ntp_weight=settings.guard if guarded else 0.0,
        seed=seed,
    )
    tuner = PreferenceTuner(deepcopy(sft), history, reward, chosen, of.taken[users, -1])
    curve: dict[str, list[float]] = {metric: [] for metric in (*METRICS, "queries")}
    for at in points(settings):
        while tuner.steps < at:
            if reward.rounds < rounds and tuner.steps == begins[reward.rounds]:
                reward.relearn(tuner.policy, shares[reward.rounds])
            tuner.step()
        lists = lists_of(tuner.policy)(of.taken[test, :-1], test)
        of_test = reward.model.of_other_users(of.taken[test, :-1])
        for metric, value in measured(of, test, lists, of_test).items():
            curve[metric].append(value)
        curve["queries"].append(float(simulated.queries))
    return curve


def measured(
    of: OrganicUsers, test: Ints, lists: Ints, reward: Callable[[Ints, Ints], Floats]
) -> dict[str, float]:
    """The metrics of lists (B, 10) for users; `reward` takes places among them, and items."""
    K, state = of.world.slate_size, take_rows(of.state, test)
    slates = lists[:, :K]
    alone = np.full((len(test) * K, K), -1)
    alone[:, 0] = slates.ravel()
    return {
        "score": float(reward(np.arange(len(test)), slates).mean()),
        "truth": float(
            of.world.expected_reward(take_rows(state, np.arange(len(test)).repeat(K)), alone).mean()
        ),
        "slate_reward": float(of.world.expected_reward(state, slates).mean()),
        "ndcg@10": float(ndcg(lists, of.taken[test, -1:], LISTED).mean()),
    }


def to_results(
    cells: list[dict[str, Array]], feedbacks: list[int], arms: list[str], settings: Settings
) -> Results:
    """Curves over gradients."""
    results, at = Results(), points(settings)
    for count in feedbacks:
        for arm in arms:
            name = name_of(count, arm)
            results.curves[name] = {
                metric: Curve(at, np.stack([cell[f"{name}|{metric}"] for cell in cells], axis=1))
                for metric in (*METRICS, "queries")
            }
    best = np.stack([cell["oracle|slate_reward"] for cell in cells], axis=1)
    results.curves["oracle"] = {"slate_reward": Curve(at[[0, -1]], best.repeat(2, axis=0))}
    return results


def print_table(results: Results, feedbacks: list[int]) -> None:
    """All tunings before and after, and what relearning changes, world by world."""
    width = max(map(len, results.curves))
    sys.stdout.write("\n" + " " * width + "".join(f"{metric:>34}" for metric in METRICS) + "\n")
    for name, curves in results.curves.items():
        cells = ""
        for metric in METRICS:
            if metric in curves:
                before, after = (mean_estimate(curves[metric].values[row]) for row in (0, -1))
                low, high = after.interval
                cells += f"{before.value:.3f} -> {after.value:.3f} [{low:.3f}, {high:.3f}]".rjust(34)
            else:
                cells += " " * 34
        sys.stdout.write(f"{name:{width}}{cells}\n")
    sys.stdout.write(
        "before -> after [95 % interval over replicates]; score and truth: an item, alone on a slate\n\n"
    )
    for count in feedbacks:
        for once, again in (("plain", "relearned"), ("guarded", "guarded_relearned")):
            names = name_of(count, again), name_of(count, once)
            if all(name in results.curves for name in names):
                ends = [_ends(results, name) for name in names]
                changes = [mean_estimate(more - less) for more, less in zip(*ends, strict=True)]
                rows = zip(("slate_reward", "score - truth"), changes, strict=True)
                said = ", ".join(f"{what} {show_difference(change)}" for what, change in rows)
                sys.stdout.write(f"{names[0]} less {names[1]}: {said}\n")


def _ends(results: Results, name: str) -> tuple[Floats, Floats]:
    """(replicates,) what a tuning ends with: true reward, and how much more the model says than is true."""
    last = {metric: curve.values[-1] for metric, curve in results.curves[name].items()}
    return last["slate_reward"], last["score"] - last["truth"]


def title(settings: Settings) -> str:
    """What the run is about, for a picture; runs with one title are comparable."""
    return f"tuned to a reward model: {settings.num_items} items, slates of {settings.slate_size}"


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """True reward against gradients."""
    figure.draw_curves(axes, results, "slate_reward", label, style)
    axes.set(title=title(settings), xlabel="gradients of the tuning", ylabel="expected clicks on a slate")


def draw_all(results: Results, settings: Settings) -> Any:
    """The picture of a run: true reward, and what the model says beside what is true."""
    picture, axes = figure.new_figure(2)
    draw(axes[0], results, settings)
    if len(results.curves) <= figure.MOST_INSIDE:
        axes[0].get_legend().set_loc("center right")  # the only place that is free
    looks = {line.get_gid(): (line.get_color(), line.get_marker()) for line in axes[0].get_lines()}
    for metric, look, said in (("score", "--", "the model says"), ("truth", "-", "true")):
        axes[1].plot([], [], look, color="black", label=said)
        for name, curves in results.curves.items():
            if metric in curves:
                mean = curves[metric].values.mean(axis=1)
                colour, marker = looks[name]
                kind = {"color": colour, "marker": marker, "markersize": 4.5}
                axes[1].plot(curves[metric].steps, mean, look, lw=1.8, **kind)
    axes[1].set(title="What the model says, and what is true", xlabel="gradients of the tuning")
    axes[1].set(ylabel="P(click) of an item alone")
    axes[1].spines[["top", "right"]].set_visible(False)
    axes[1].grid(alpha=0.25, lw=0.6)
    axes[1].legend(frameon=False, fontsize=9)
    return picture
