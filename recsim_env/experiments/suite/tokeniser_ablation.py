"""What do identifiers do for a generative recommender, on items that it learned from and on cold ones?

One decoder learns on top of every tokeniser from the same log, which lacks a share of the catalogue
(`cold_items.py`). Then these cold items come, and the index that it writes from is made anew with all items.
With `index` = whole it has them from the start, and training learns that nobody takes them. The tokenisers,
and what each makes of items that the log lacks, stand in `tokenised_policies.py`. Policies are measured on
users who are not in the log, each with a history of items that it has:

    warm NDCG@10        of the warm item that they take next, among all items
    warm_alone NDCG@10  of the same among warm items alone: what codes that list cold items do not lose by it
    cold HR@10          of the cold item that they take if it must be one, among all items
    cold_alone NDCG@10  of the same among cold items alone: whether codes say at all what an item is like
    cold_shown          share of cold items on the lists
    slate reward        exact expected clicks on the K likeliest items; quality does not ask who is cold
    collisions, use, agreement, reconstruction     of the codes, see `tokenisers/identifiers.py`
    seconds             of one processor, to make identifiers and to train; they alone differ between runs

Beside them stand SASRec with a vector for every item and with vectors made of features, what is taken most,
and `true_interest`: who knows the users lists what they take most likely. A tokeniser sees features, and the
log without its validation and test items. Features are those that people go by themselves, which is the best
that can happen to a tokeniser of features.

Trainings are short, and all of one length: a tokeniser whose codes say nothing needs longer ones.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.agents.generative.tokenisers.identifiers import quality, resolve
from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError, require, unknown_name
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.evaluation.ranking import hit_rate, ndcg, top_k
from recsim_env.experiments import figure
from recsim_env.experiments.cell_run import run_to_the_end
from recsim_env.experiments.cells import named_cells, save_arrays
from recsim_env.experiments.cold_items import ColdItems, cold_items
from recsim_env.experiments.organic_users import organic_users
from recsim_env.experiments.policy_measures import LISTED, measure
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.settings import names_of, option, positive
from recsim_env.experiments.tokenised_policies import (
    CODES,
    SCORERS,
    SHARED,
    TOKENISERS,
    OfItems,
    Seen,
    code_writer,
    item_scorer,
    trained,
)
from recsim_env.experiments.tokeniser_tables import CODED, by_warm, print_tables, values_of
from recsim_env.experiments.training import one_thread
from recsim_env.experiments.workers import Workers

NAME = "tokeniser_ablation"
BARS = True  # dots, rather: see `compare.py`
CONTROLS = ("popular", "true_interest")
INDEXES = ("known", "whole")


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    tokenisers: str = option(",".join(TOKENISERS), f"of {', '.join(TOKENISERS)}; the others are always there")
    num_items: int = option(1000, f"N, items in the catalogue, from {2 * CODES} to {CODES**2}")
    cold_share: float = option(0.15, "of the catalogue, that the log lacks")
    num_users: int = option(1000, "users whose log is learned from")
    test_users: int = option(500, "others, on whom everything is measured")
    history: int = option(20, "items that a user took before the one that is asked for")
    slate_size: int = option(5, "K, from 1 to 10")
    index: str = option("known", "items that training writes from: known, all but the cold ones, or whole")
    epochs: int = option(4, "of every training")
    replicates: int = option(5, "independent worlds and trainings")
    seed: int = option(0, "of replicate 0; replicate i has seed + i")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`; a policy is done in one go."""
    names = [*check(settings), *SCORERS, *CONTROLS]

    def work(name: str, replicate: int) -> Callable[..., None]:
        return partial(play, settings, name, settings.seed + replicate)

    return run_to_the_end(
        NAME,
        settings,
        out,
        resume,
        workers,
        cells=lambda directory: named_cells(directory, names, settings.replicates, work),
        unit="policy",
        collect=lambda found: to_results(found, names, settings),
        picture=lambda results: draw_all(results, settings),
        show=print_tables,
    )


def check(settings: Settings) -> list[str]:
    """Refuse settings that cannot be; returns the names of the tokenisers.

    Raises:
        InputError: the first of them, or PyTorch is missing.
    """
    names = names_of("tokenisers", "tokeniser", settings.tokenisers, TOKENISERS)
    if settings.index not in INDEXES:
        raise unknown_name("index", settings.index, INDEXES)
    positive(num_users=settings.num_users, test_users=settings.test_users, epochs=settings.epochs)
    if not 2 * CODES <= settings.num_items <= CODES**2:
        raise InputError(f"num_items must be from {2 * CODES} to {CODES**2}, got {settings.num_items}")
    if not 0.0 < settings.cold_share < 1.0:
        raise InputError(f"cold_share must be above 0 and below 1, got {settings.cold_share}")
    if not 1 <= settings.slate_size <= LISTED:
        raise InputError(f"slate_size must be from 1 to {LISTED}, got {settings.slate_size}")
    if settings.history < 2 or settings.replicates < 2:
        least = f"{settings.history} and {settings.replicates}"
        raise InputError(f"history and replicates must be 2 or more, got {least}")
    if not 0 <= settings.seed <= (1 << 31) - settings.replicates:
        raise InputError(f"seed must be from 0 to 2^31 less the replicates, got {settings.seed}")
    require("torch", "torch")
    return names


def world_of(settings: Settings, seed: int) -> tuple[ColdItems, Ints, Ints]:
    """A world with cold items; the users who are learned from, and those on whom policies are measured."""
    everyone = settings.num_users + settings.test_users
    users = organic_users(settings.num_items, everyone, settings.history + 1, settings.slate_size, 1, seed)
    learned_from, test = np.split(np.arange(everyone), [settings.num_users])
    return cold_items(users, settings.cold_share, seed), learned_from, test


def seen_by_tokenisers(world: ColdItems, learned_from: Ints, seed: int) -> Seen:
    """Features, and the log that is learned from without what validates the training."""
    features = world.of.world.catalogue.features.astype(np.float64)
    return Seen(features, world.of.log(learned_from, less=1), seed)


def play(
    settings: Settings, name: str, seed: int, file: Path, _: Path, progress: Callable[[int], Any]
) -> None:
    """Write every metric of a policy in one world, (1,) each."""
    with one_thread():  # sums of several come out in any order, and runs would not repeat
        world, learned_from, test = world_of(settings, seed)
        if name in CONTROLS:
            values = measured(world, test, *control_lists(name, world, learned_from, test))
        else:
            seen = seen_by_tokenisers(world, learned_from, seed)
            policy, coded = untrained(name, seen, settings.history)
            values = {**learned(policy, world, learned_from, test, settings, seed), **coded}
    progress(1)
    save_arrays(file, {metric: np.array([value]) for metric, value in values.items()})


def untrained(name: str, seen: Seen, history: int) -> tuple[OfItems, dict[str, float]]:
    """A policy before its training, and what is to be said of its codes, if it has some."""
    if name in SCORERS:
        return item_scorer(None if name == "sasrec" else seen.features, history), {}
    before = time.process_time()
    raw = TOKENISERS[name](seen)
    seconds = time.process_time() - before
    report = quality(raw, seen.features, seed=seen.seed)
    values = (report.collisions, float(np.mean(report.use)), report.agreement, report.reconstruction, seconds)
    identifiers = raw if name == SHARED else resolve(raw, "append")
    return code_writer(identifiers, history), dict(zip(CODED, values, strict=False))


def learned(
    policy: OfItems, world: ColdItems, learned_from: Ints, test: Ints, settings: Settings, seed: int
) -> dict[str, float]:
    """What a policy is worth after its training."""
    import torch

    known = np.flatnonzero(~world.cold) if settings.index == "known" else np.arange(settings.num_items)
    before = time.process_time()
    best = trained(policy, world.of, learned_from, known, epochs=settings.epochs, seed=seed)
    seconds = time.process_time() - before
    history = torch.from_numpy(np.ascontiguousarray(world.of.taken[test, :-1]))
    lists, _ = best.generate(history, LISTED)
    cold = torch.from_numpy(world.cold)
    alone = [best.generate(history, LISTED, allow=allow)[0].numpy() for allow in (~cold, cold)]
    return {**measured(world, test, lists.numpy(), *alone), "training_seconds": seconds}


def control_lists(name: str, world: ColdItems, learned_from: Ints, test: Ints) -> tuple[Ints, Ints, Ints]:
    """Lists (B, 10) of what was taken most, or what users like most: of all items, warm ones, cold ones."""
    if name == "popular":  # cold items are all alike to it, so the lowest ids are first
        count = np.bincount(world.of.taken[learned_from].ravel(), minlength=len(world.cold))
        scores = np.tile(count.astype(np.float64), (len(test), 1))
    else:
        scores = world.of.world.interest[test] @ world.of.world.catalogue.features.T
    warm, cold = (np.tile(np.flatnonzero(kind), (len(test), 1)) for kind in (~world.cold, world.cold))
    return top_k(scores, LISTED), top_k(scores, LISTED, cold), top_k(scores, LISTED, warm)


def measured(
    world: ColdItems, test: Ints, lists: Ints, warm_alone: Ints, cold_alone: Ints
) -> dict[str, float]:
    """Metrics of lists (B, 10) for users, of all items, of warm ones and of cold ones."""
    warm, cold = world.of.taken[test, -1:], world.target[test, None]
    found = measure(lambda history, users: lists, world.of, test, 0)  # one slate: no clicks are drawn
    return {
        "warm_ndcg@10": found["ndcg@10"],
        "warm_hit_rate@10": float(hit_rate(lists, warm, LISTED).mean()),
        "warm_alone_ndcg@10": float(ndcg(warm_alone, warm, LISTED).mean()),
        "cold_ndcg@10": float(ndcg(lists, cold, LISTED).mean()),
        "cold_hit_rate@10": float(hit_rate(lists, cold, LISTED).mean()),
        "cold_alone_ndcg@10": float(ndcg(cold_alone, cold, LISTED).mean()),
        "cold_shown": float(world.cold[lists[lists >= 0]].mean()),
        **{name: found[name] for name in ("slate_reward", "regret", "coverage")},
    }


def to_results(cells: list[dict[str, Array]], names: list[str], settings: Settings) -> Results:
    """One point of every metric, at the last epoch."""
    results, at = Results(), np.array([settings.epochs])
    for place, name in enumerate(names):
        mine = cells[place :: len(names)]
        results.curves[name] = {
            metric: Curve(at, np.stack([cell[metric] for cell in mine], axis=1)) for metric in mine[0]
        }
    return results


def title(settings: Settings) -> str:
    """What the run is about, for a picture; runs with one title are comparable."""
    index = "" if settings.index == "known" else ", in the index from the start"
    return f"{settings.num_items} items, {settings.cold_share:.0%} of them cold{index}"


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """Warm items: a dot and its 95 % interval for every policy, the best on top."""
    draw_dots(axes, results, "warm_ndcg@10", by_warm(results))
    axes.set(title=title(settings), xlabel="NDCG@10 of warm items, among all")


def draw_dots(axes: Any, results: Results, metric: str, names: list[str]) -> None:
    """Means over replicates with 95 % intervals, a line a name; dots have codes, diamonds none."""
    for place, name in enumerate(names):
        values = values_of(results, name, metric)
        if values is None:
            continue
        estimate = mean_estimate(values)
        low, high = estimate.interval
        coded = name in TOKENISERS
        colour = figure.SPARE[0] if coded else figure.COLOURS["random"]
        axes.plot([low, high], [place, place], "-", color=colour, lw=1.6)
        axes.plot(estimate.value, place, "o" if coded else "D", color=colour, ms=6)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, lw=0.6)


def draw_all(results: Results, settings: Settings) -> Any:
    """The picture of a run: warm items, and cold ones among all and alone."""
    picture, axes = figure.new_figure(3)
    picture.set_size_inches(15.0, 1.6 + 0.27 * len(results.curves))
    names = by_warm(results)
    draw(axes[0], results, settings)
    for panel, metric, label in (
        (axes[1], "cold_hit_rate@10", "HR@10 of cold items, among all"),
        (axes[2], "cold_alone_ndcg@10", "NDCG@10 of cold items, among cold ones"),
    ):
        draw_dots(panel, results, metric, names)
        panel.set(xlabel=label, yticklabels=[])
    return picture
