"""What do fakes make of a policy that is tuned to feedback, and do losses that expect lies help?

The world, the log and the trained policy are those of `finetune_compare`. The policy is then tuned to clicks
on items that it draws for a pool of users, of whom a share are fakes (`attackers/fake_feedback.py`): those
who `click` do so on some unpopular items that they want shown, and those who `flip` say the opposite of what
they would. The tuner does not know who is one.

    dpo             pairs of the best and the worst of a group, as feedback says
    robust_dpo      the same, unbiased where a share e of the pairs is turned round (label smoothing)
    ipo             the same, drawn to a margin instead of without end
    reward_model    dpo to a model that has learned from feedback of the same pool; half a weight of
                    the log, of fakes too, keeps it from ruin (see `reward_model_gap`)

    slate reward    exact expected clicks on the K likeliest items, of honest users that nobody learned from
    exposure        share of the slates of these users that hold a target
    NDCG@10         of the item that these users took next by themselves

One replicate is one world, with a catalogue, users, targets and a training of its own; all shares of fakes
are played in it, so differences are paired.
"""

import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError, unknown_name
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
    learned_reward,
    train_policy,
    users_of,
)
from recsim_env.experiments.race import show_difference
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.settings import names_of, option, positive
from recsim_env.experiments.simulated_rewards import SimulatedReward
from recsim_env.experiments.training import one_thread
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.attackers.attack import known
from recsim_env.simulators.attackers.fake_feedback import (
    ATTACKS,
    PoisonedFeedback,
    fake_raters,
    fakes_of_share,
)
from recsim_env.simulators.worlds.world import take_rows

if TYPE_CHECKING:
    from recsim_env.agents.generative.policy import GenerativePolicy
    from recsim_env.agents.generative.preference.tuning import RewardFunction

NAME = "poisoned_preference"
TUNED: dict[str, dict[str, Any]] = {  # name -> settings of the tuning
    "dpo": {},
    "robust_dpo": {"loss_type": "robust"},
    "ipo": {"loss_type": "ipo"},
    "reward_model": {"ntp_weight": 0.5},
}
METRICS = ("slate_reward", "exposure", "ndcg@10")
BEFORE, ORACLE = "before tuning", "oracle"


@dataclass(frozen=True)
class Settings(PolicySettings):
    """Options of the command line."""

    num_items: int = option(400, "N, items in the catalogue, 24 or more")
    num_users: int = option(1000, "honest users whose log is learned from, and who are asked for feedback")
    test_users: int = option(400, "honest others, on whom everything is measured")
    history: int = option(10, "items that a user took before the one that is the log's test")
    steps: int = option(30, "gradients of a tuning")
    num_generations: int = option(8, "items that are drawn for each user of a step, and asked about")
    learning_rate: float = option(2e-3, "of every tuning")
    tunings: str = option(",".join(TUNED), f"of {', '.join(TUNED)}")
    attack: str = option("click", "what fakes do: click on targets alone, or flip what they would say")
    shares: str = option("0,5,10,20,40", "per cent of those asked who are fakes, 0 first, below 50")
    targets: int = option(5, "items of the less popular half that fakes want shown")
    label_smoothing: float = option(0.2, "e of robust_dpo, above 0 and below 0.5")
    feedbacks: int = option(10_000, "clicks or none that the reward model learns from")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`; a replicate is done in one go."""
    names, shares = check(settings)

    def work(replicate: int) -> Callable[..., None]:
        return partial(play_replicate, settings, names, shares, settings.seed + replicate)

    return run_to_the_end(
        NAME,
        settings,
        out,
        resume,
        workers,
        cells=lambda directory: replicate_cells(
            directory, settings.replicates, 1 + len(names) * len(shares), work
        ),
        unit="policy",
        collect=lambda found: to_results(found, names, shares),
        picture=lambda results: draw_all(results, settings),
        show=lambda results: print_tables(results, settings),
    )


def check(settings: Settings) -> tuple[list[str], list[int]]:
    """Refuse settings that cannot be; returns the names of the tunings, and the shares in per cent.

    Raises:
        InputError: the first of them.
    """
    names = names_of("tunings", "tuning", settings.tunings, TUNED)
    if settings.attack not in ATTACKS:
        raise unknown_name("attack", settings.attack, ATTACKS)
    try:
        shares = [int(part) for part in settings.shares.split(",")]
    except ValueError:
        raise InputError(f"shares must be whole per cent such as 0,5,20, got {settings.shares!r}") from None
    if shares[0] != 0 or shares != sorted(set(shares)) or shares[-1] >= 50:
        raise InputError(f"shares must rise from 0 to below 50, got {settings.shares!r}")
    if not 0.0 < settings.label_smoothing < 0.5:
        raise InputError(f"label_smoothing must be above 0 and below 0.5, got {settings.label_smoothing}")
    positive(feedbacks=settings.feedbacks)
    check_policy_settings(settings)
    if not 1 <= settings.targets <= settings.num_items // 2:
        raise InputError(
            f"targets must be from 1 to half the items ({settings.num_items // 2}), got {settings.targets}"
        )
    return names, shares


def play_replicate(
    settings: Settings,
    names: list[str],
    shares: list[int],
    seed: int,
    file: Path,
    _: Path,
    progress: Callable[[int], Any],
) -> None:
    """Write (shares,) of every metric of every tuning in one world."""
    with one_thread():  # sums of several come out in any order, and runs would not repeat
        of, users, test = users_of(settings, seed)
        targets = unpopular(of.taken[users], settings, seed)
        sft, found = train_policy(of, users, settings, seed).policy_, dict[str, list[float]]()

        def note(name: str, lists: Ints) -> None:
            for metric, value in measured(of, test, lists, targets).items():
                found.setdefault(f"{name}|{metric}", []).append(value)

        note(BEFORE, lists_of(sft)(of.taken[test, :-1], test))
        note(ORACLE, of.world.best_slate(take_rows(of.state, test)))
        progress(1)
        for share in shares:
            for name in names:
                policy = tune(name, sft, of, users, targets, share / 100.0, settings, seed)
                note(name, lists_of(policy)(of.taken[test, :-1], test))
                progress(1)
    save_arrays(file, {name: np.array(values) for name, values in found.items()})


def unpopular(taken: Ints, settings: Settings, seed: int) -> Ints:
    """(T,) items drawn from the half that users took less often."""
    count = np.bincount(taken.ravel(), minlength=settings.num_items)
    less = np.argsort(count, kind="stable")[: settings.num_items // 2]
    return np.random.default_rng([seed, 5]).choice(less, settings.targets, replace=False)


def tune(
    name: str,
    sft: "GenerativePolicy",
    of: OrganicUsers,
    users: Ints,
    targets: Ints,
    share: float,
    settings: Settings,
    seed: int,
) -> "GenerativePolicy":
    """A copy of `sft`, tuned to a pool of whom this share are fakes."""
    from recsim_env.agents.generative.preference.tuning import PreferenceTuner, TuningSettings

    knowledge = known("grey", of.log(users), settings.num_items, features=of.world.catalogue.features)
    count = fakes_of_share(share, len(users))
    fakes = fake_raters(settings.attack, targets, count, of.taken[users], knowledge, seed)
    simulated = SimulatedReward(of.world, take_rows(of.state, users), seed)
    reward: RewardFunction = PoisonedFeedback(simulated, len(users), fakes)
    taken = np.concatenate([of.taken[users], fakes.taken])
    history = np.ascontiguousarray(taken[:, :-1])
    if name == "reward_model":
        reward = learned_reward(sft, history, reward, settings.feedbacks, seed).reward
    chosen = TuningSettings(
        method="dpo",
        **TUNED[name],
        label_smoothing=settings.label_smoothing if name == "robust_dpo" else 0.0,
        batch_size=BATCH,
        num_generations=settings.num_generations,
        learning_rate=settings.learning_rate,
        seed=seed,
    )
    tuner = PreferenceTuner(deepcopy(sft), history, reward, chosen, taken[:, -1])
    while tuner.steps < settings.steps:
        tuner.step()
    return tuner.policy


def measured(of: OrganicUsers, test: Ints, lists: Ints, targets: Ints) -> dict[str, float]:
    """The metrics of lists (B, K or more), best first, for honest users (B,)."""
    slates = lists[:, : of.world.slate_size]
    return {
        "slate_reward": float(of.world.expected_reward(take_rows(of.state, test), slates).mean()),
        "exposure": float(np.isin(slates, targets).any(axis=1).mean()),
        "ndcg@10": float(ndcg(lists, of.taken[test, -1:], LISTED).mean()),
    }


def to_results(cells: list[dict[str, Array]], names: list[str], shares: list[int]) -> Results:
    """Curves over the share of fakes, in per cent; before the tuning there are none who count."""
    results = Results()
    for name in (ORACLE, BEFORE, *names):
        results.curves[name] = {}
        for metric in METRICS:
            values = np.stack([cell[f"{name}|{metric}"] for cell in cells], axis=1)
            spread = np.broadcast_to(values, (len(shares), len(cells)))
            results.curves[name][metric] = Curve(np.array(shares), spread)
    return results


def print_tables(results: Results, settings: Settings) -> None:
    """All tunings at all shares, and how far each is from itself without fakes, and from `dpo`."""
    names = [name for name in results.curves if name in TUNED]
    width = max(map(len, results.curves))
    sys.stdout.write(f"\n{'':{width}}  fakes" + "".join(f"{metric:>18}" for metric in METRICS) + "\n")
    for name, curves in results.curves.items():
        shares = curves["exposure"].steps
        for row, share in enumerate(shares if name in names else shares[:1]):
            cells = ""
            for metric in METRICS:
                estimate = mean_estimate(curves[metric].values[row])
                cells += f"{estimate.value:9.3f} +- {estimate.std_error:.3f}".rjust(18)
            said = f"{share:4d} %" if name in names else "     -"
            sys.stdout.write(f"{name:{width}} {said}{cells}\n")
    sys.stdout.write(
        f"mean +- standard error over {settings.replicates} replicates; attack: {settings.attack}\n\n"
    )
    for name in names:
        for row, share in enumerate(results.curves[name]["exposure"].steps):
            if share:
                say(results, name, row, name, 0, f"{name}, {share} % less 0 %")
            if name != "dpo" and "dpo" in names:
                say(results, name, row, "dpo", row, f"{name} less dpo, {share} %")


def say(results: Results, name: str, row: int, other: str, other_row: int, title: str) -> None:
    """Differences, paired by replicate."""
    said = []
    for metric in METRICS[:2]:
        one, two = results.curves[name][metric].values[row], results.curves[other][metric].values[other_row]
        less = mean_estimate(one - two)
        said.append(f"{metric} {show_difference(less)}")
    sys.stdout.write(f"{title}: {', '.join(said)}\n")


def title(settings: Settings) -> str:
    """What the run is about, for a picture; runs with one title are comparable."""
    return f"fakes {settings.attack}: {settings.num_items} items, slates of {settings.slate_size}"


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """True reward of honest users against the share of fakes."""
    figure.draw_curves(axes, results, "slate_reward", label, style)
    values = [curves["slate_reward"].values.mean(axis=1) for curves in results.curves.values()]
    low, high = float(np.min(values)), float(np.max(values))
    axes.set_ylim(low - 0.25 * (high - low), high + 0.1 * (high - low))  # far from 0, all of them
    axes.set(title=title(settings), xlabel="fakes among those asked, per cent")
    axes.set_ylabel("expected clicks on a slate, honest users")


def draw_all(results: Results, settings: Settings) -> Any:
    """The picture of a run: true reward, and exposure, both against the share of fakes."""
    picture, axes = figure.new_figure(2)
    draw(axes[0], results, settings)
    figure.draw_curves(axes[1], results, "exposure")
    axes[1].set(title="What the attacker gets", xlabel="fakes among those asked, per cent")
    axes[1].set_ylabel("share of honest slates with a target")
    for panel in axes:
        figure.legend_below(panel)  # curves cross everywhere
    return picture
