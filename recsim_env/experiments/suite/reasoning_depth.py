"""Does latent reasoning help a sequence model where interests drift, and when should it stop?

Users take items by themselves while their interest drifts (`drifting_users.py`). A SASRec learns from the log
of some, and so do copies of it that reason R steps more (`latent_reasoning.py`), trained without more losses
(`plain`), with ReaRec's (`progressive`, `ensemble`) or with ManCAR's (`graph_prior`). Depth 0 is the SASRec.
Of other users, whose last item is to be named,

    ndcg@10            full ranking, items of the history are candidates too
    ndcg@10_at_step    by the state after step k of the deepest reasoner, which was trained to use the last,
                       or the mean of all
    best_step          the same by the best of its steps for each user, in hindsight: a bound that nobody can
                       reach, as it looks at the answer
    best_model         the same by the best of SASRec and the reasoners of one kind, each a training of its
                       own: what looking at the answer is worth where there are as many answers to choose from
    halted, steps      ndcg@10 of the deepest reasoner if each user's reasoning stops once it changes the
                       prediction by less than `halt` nats, steps it takes, and how far users differ in them
    drift              KL from the prior over the item graph's neighbourhood to the prediction of a step, nats

One replicate is one catalogue, with users and trainings of its own. `interest` ranks by the true interest.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError, check_ranges, require
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.experiments import figure
from recsim_env.experiments.cell_run import run_to_the_end
from recsim_env.experiments.cells import replicate_cells, save_arrays
from recsim_env.experiments.drifting_users import CATEGORIES, DriftingUsers, drifting_users
from recsim_env.experiments.reasoning_training import KINDS, measured, ndcg_of, train
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.settings import names_of, option, positive
from recsim_env.experiments.training import one_thread
from recsim_env.experiments.workers import Workers

NAME = "reasoning_depth"
CONTROLS = ("sasrec", "interest")


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    kinds: str = option(",".join(KINDS), f"of {', '.join(KINDS)}")
    depths: str = option("1,2,3", "R, steps of reasoning, each a training of its own")
    halt: float = option(0.01, "nats by which a step must change the prediction for reasoning to go on")
    length_scale: float = option(4.0, "items over which an interest drifts")
    num_items: int = option(300, f"N, items in the catalogue, {CATEGORIES} or more")
    num_users: int = option(1000, "users whose log is learned from")
    test_users: int = option(3000, "others, on whom everything is measured")
    history: int = option(12, "items that a user took before the one that is to be named, 2 or more")
    epochs: int = option(12, "of every training, at most")
    learning_rate: float = option(3e-3, "of every training")
    replicates: int = option(5, "independent catalogues, users and trainings")
    seed: int = option(0, "of replicate 0; replicate i has seed + i")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`; a replicate is done in one go."""
    kinds, depths = check(settings)

    def work(replicate: int) -> Callable[..., None]:
        return partial(play_replicate, settings, kinds, depths, settings.seed + replicate)

    return run_to_the_end(
        NAME,
        settings,
        out,
        resume,
        workers,
        cells=lambda directory: replicate_cells(
            directory, settings.replicates, 1 + len(kinds) * len(depths), work
        ),
        unit="training",
        collect=lambda found: to_results(found, kinds, depths),
        picture=lambda results: draw_all(results, settings),
        show=print_tables,
    )


def check(settings: Settings) -> tuple[list[str], list[int]]:
    """Refuse settings that cannot be; returns the kinds and depths.

    Raises:
        InputError: the first of them, or PyTorch is missing.
    """
    kinds = names_of("kinds", "kind of reasoning", settings.kinds, KINDS)
    try:
        depths = [int(part) for part in settings.depths.split(",")]
    except ValueError:
        raise InputError(f"depths must be whole numbers such as 1,2,3, got {settings.depths!r}") from None
    if depths[0] < 1 or any(low >= high for low, high in pairwise(depths)):
        raise InputError(f"depths must be 1 or more and rise, got {settings.depths!r}")
    above_0 = {name: getattr(settings, name) for name in ("halt", "length_scale", "learning_rate")}
    check_ranges({}, {}, above_0)
    positive(num_users=settings.num_users, test_users=settings.test_users, epochs=settings.epochs)
    if settings.num_items < CATEGORIES:
        raise InputError(f"num_items must be at least {CATEGORIES}, got {settings.num_items}")
    if settings.history < 2 or settings.replicates < 2:
        least = f"{settings.history} and {settings.replicates}"
        raise InputError(f"history and replicates must be 2 or more, got {least}")
    if not 0 <= settings.seed <= (1 << 31) - settings.replicates:
        raise InputError(f"seed must be from 0 to 2^31 less the replicates, got {settings.seed}")
    require("torch", "torch")
    return kinds, depths


def play_replicate(
    settings: Settings,
    kinds: list[str],
    depths: list[int],
    seed: int,
    file: Path,
    _: Path,
    progress: Callable[[int], Any],
) -> None:
    """Write every metric in one world."""
    with one_thread():  # sums of several come out in any order, and runs would not repeat
        everyone = settings.num_users + settings.test_users
        of = drifting_users(settings.num_items, everyone, settings.history + 1, settings.length_scale, seed)
        test = DriftingUsers(of.taken[settings.num_users :], of.last_score[settings.num_users :])
        found = {"interest|ndcg@10": np.array(ndcg_of(test.last_score, test.taken[:, -1]).mean())}
        log = of.log(settings.num_users)

        def trained(kind: str, depth: int) -> dict[str, Array]:
            network = train(
                log,
                kind,
                depth,
                num_items=settings.num_items,
                history=settings.history,
                epochs=settings.epochs,
                learning_rate=settings.learning_rate,
                seed=seed,
            )
            progress(1)
            return measured(network, log, test, settings.halt)

        shallow = trained("plain", 0)
        found["sasrec|ndcg@10"], found["sasrec|drift"] = shallow["final"].mean(), shallow["drift"]
        for kind in kinds:
            each = [shallow["final"]]
            for depth in depths:
                now = trained(kind, depth)
                each.append(now["final"])
            found[f"{kind}|ndcg@10"] = np.stack(each).mean(axis=1)
            found[f"{kind}|best_model"] = np.stack(each).max(axis=0).mean()
            found[f"{kind}|best_step"] = now["by_step"].max(axis=0).mean()
            found[f"{kind}|ndcg@10_at_step"] = now["by_step"].mean(axis=1)
            found[f"{kind}|halted"], found[f"{kind}|drift"] = now["halted"].mean(), now["drift"]
            found[f"{kind}|steps"], found[f"{kind}|steps_deviation"] = now["steps"].mean(), now["steps"].std()
    save_arrays(file, {name: np.atleast_1d(values) for name, values in found.items()})


def to_results(cells: list[dict[str, Array]], kinds: list[str], depths: list[int]) -> Results:
    """NDCG@10 over depths, the rest over steps of the deepest, or where it ends."""
    results, at = Results(), np.array([0, *depths])
    for name in ("interest", "sasrec", *kinds):
        results.curves[name] = {}
        for key in cells[0]:
            of, metric = key.split("|")
            if of == name:
                values = np.stack([cell[key] for cell in cells], axis=1).astype(np.float64)
                steps = at[-1:] if len(values) == 1 else np.arange(len(values))
                if metric == "ndcg@10":
                    steps, values = at, np.broadcast_to(values, (len(at), len(cells)))
                elif name == "sasrec":
                    steps = at[:1]
                results.curves[name][metric] = Curve(steps, values)
    return results


def print_tables(results: Results) -> None:
    """NDCG@10 by depth and how far from depth 0, replicate by replicate; then what the deepest does."""
    kinds = [name for name in results.curves if name not in CONTROLS]
    width = max(map(len, results.curves))
    base = results.curves["sasrec"]["ndcg@10"].values[0]
    depths = results.curves[kinds[0]]["ndcg@10"].steps
    sys.stdout.write(f"\nNDCG@10 of {len(base)} replicates: SASRec {_said(base)}, ")
    sys.stdout.write(f"the true interest {_said(results.curves['interest']['ndcg@10'].values[0])}\n")
    for kind in kinds:
        for depth, values in list(zip(depths, results.curves[kind]["ndcg@10"].values, strict=True))[1:]:
            less = mean_estimate(values - base)
            low, high = less.interval
            sys.stdout.write(f"{kind:{width}}  depth {depth}  {_said(values)}, ")
            sys.stdout.write(f"less depth 0: {less.value:+.4f} [{low:+.4f}, {high:+.4f}]\n")
    sys.stdout.write(f"\nthe deepest, {depths[-1]} steps:\n")
    for metric, what in (
        ("ndcg@10_at_step", "NDCG@10 at step 0, 1, .."),
        ("drift", "drift at step 0, 1, .., nats"),
        ("best_step", "NDCG@10 at the best step in hindsight"),
        ("best_model", "NDCG@10 of the best model in hindsight"),
        ("halted", "NDCG@10 with adaptive halting"),
        ("steps", "steps it takes"),
        ("steps_deviation", "their deviation over users"),
    ):
        for kind in kinds:
            said = "  ".join(map(_said, results.curves[kind][metric].values))
            sys.stdout.write(f"{kind:{width}}  {what}: {said}\n")
    sys.stdout.write(f"{'sasrec':{width}}  drift: {_said(results.curves['sasrec']['drift'].values[0])}\n")
    sys.stdout.write("mean +- standard error over replicates\n")


def _said(values: Floats) -> str:
    estimate = mean_estimate(values)
    return f"{estimate.value:.4f} +- {estimate.std_error:.4f}"


def title(settings: Settings) -> str:
    """What the run is about, for a picture; runs with one title are comparable."""
    return f"interests that drift over {settings.length_scale:g} items, {settings.num_items} items"


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """NDCG@10 less that of depth 0, replicate by replicate, against depth."""
    base = results.curves["sasrec"]["ndcg@10"].values[0]
    kinds = [name for name in results.curves if name not in CONTROLS]
    for i, kind in enumerate(kinds):
        curve = results.curves[kind]["ndcg@10"]
        less = mean_estimate(curve.values - base)
        reach = less.interval[1] - less.value
        at = curve.steps + 0.06 * (i - (len(kinds) - 1) / 2)
        look = {"color": figure.SPARE[i], "ls": figure.STYLES[style % len(figure.STYLES)], "marker": "o"}
        axes.errorbar(at, less.value, reach, **look, capsize=3, lw=1.6, label=kind + label)
    axes.axhline(0.0, color="black", lw=0.8)
    axes.set(title=title(settings), xlabel="steps of reasoning in training and use")
    axes.set(ylabel="NDCG@10 less that of SASRec")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, lw=0.6)
    axes.legend(frameon=False, fontsize=9, ncols=2)


def draw_all(results: Results, settings: Settings) -> Any:
    """The picture of a run: what depth brings, and drift by step of the deepest."""
    picture, axes = figure.new_figure(2)
    draw(axes[0], results, settings)
    kinds = [name for name in results.curves if name not in CONTROLS]
    for i, kind in enumerate(kinds):
        curve = results.curves[kind]["drift"]
        estimate = mean_estimate(curve.values)
        axes[1].plot(curve.steps, estimate.value, "o-", color=figure.SPARE[i], lw=1.8, label=kind)
        axes[1].fill_between(curve.steps, *estimate.interval, color=figure.SPARE[i], alpha=0.18, lw=0)
    axes[1].set(title="How far from where the item graph leads", xlabel="step of the deepest", ylabel="nats")
    axes[1].xaxis.get_major_locator().set_params(integer=True)
    axes[1].spines[["top", "right"]].set_visible(False)
    axes[1].grid(alpha=0.25, lw=0.6)
    axes[1].legend(frameon=False, fontsize=9)
    return picture
