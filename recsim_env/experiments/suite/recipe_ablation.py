"""One part of a recipe at a time: does what a paper adds help, where everything else is equal?

Users took what is near to their interest (`organic_users.py`). Policies learn from the log of few of them,
and are measured on others. An arm is a recipe, and a question two arms that differ in one part, in the same
world, with the same seed, trained for as many epochs (`recipe_arms.py` has both):

    MSCGRec        cross-entropy over codes that may follow, less that over all codes of every level
    APAO           a loss that looks after prefixes, in two forms, less none
    Lite-LLM4Rec   a head that scores all items, less a decoder and its beam search
    RecBench       features, codes, and codes that are written, less a vector an item
    SETRec         queries for tokens of a set, less one state for their mean; and each query alone besides
    H2Rec          ids beside codes under a gate, less codes alone; and the alignment of both besides
    ColaRec        codes of who takes an item, less codes of features; and their alignment with these besides
    OneRec         experts in the decoder, less dense units

    NDCG@10, HR@10   of the item that a user took next, on lists of 10 by a beam search of width 20; a state
                     that is held against all items has but one level, and its search is exact
    slate reward     exact expected clicks on the K likeliest items
    first l of W     share of users whose next item's first l codes are among W beams (`prefix_recall.py`)
    ms_a_user        of one processor for a list of 10, many users at a time, the shortest of three times
    parameters       of the policy, in training

`popular` is what was taken most; `true_interest` knows the users, and lists what they take most likely. Only
times differ between runs. Features are those that people go by themselves, which is the best case for all
that see them; and what people take next does not depend on what they took last.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsim_env.agents.generative.recipes.recipe import Known, recommender_of
from recsim_env.agents.recommender import clicked_items
from recsim_env.agents.sequential.cooccurrence import cooccurrence_features
from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError, require
from recsim_env.evaluation.ranking import hit_rate, top_k
from recsim_env.experiments import figure
from recsim_env.experiments.cell_run import run_to_the_end
from recsim_env.experiments.cells import named_cells, save_arrays
from recsim_env.experiments.organic_users import OrganicUsers, organic_users
from recsim_env.experiments.policy_measures import LISTED, measure
from recsim_env.experiments.recipe_arms import ARMS, CODES, LEVELS, OVER_ALL, questions_of
from recsim_env.experiments.recipe_figure import draw_differences, draw_recall, draw_trade
from recsim_env.experiments.recipe_tables import WIDTHS, print_tables, recall_name
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.settings import names_of, option, positive
from recsim_env.experiments.training import one_thread
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.splits import leave_one_out

if TYPE_CHECKING:
    from recsim_env.agents.generative.policy import GenerativePolicy

NAME = "recipe_ablation"
BARS = True  # dots, rather: see `compare.py`
CONTROLS = ("popular", "true_interest")
TIMED_USERS, TIMES = 500, 3


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    arms: str = option(",".join(ARMS), f"of {', '.join(ARMS)}, both of a question; the controls are there")
    num_items: int = option(1000, f"N, items in the catalogue, from {2 * CODES} to {CODES**2}")
    num_users: int = option(200, "users whose log is learned from: of many, all arms learn all there is")
    test_users: int = option(2000, "others, on whom everything is measured")
    history: int = option(20, "items that a user took before the one that is asked for")
    slate_size: int = option(5, "K, from 1 to 10")
    epochs: int = option(10, "of every training")
    replicates: int = option(5, "independent worlds and trainings")
    seed: int = option(0, "of replicate 0; replicate i has seed + i")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`; an arm is done in one go."""
    names = [*check(settings), *CONTROLS]

    def work(name: str, replicate: int) -> Callable[..., None]:
        return partial(play, settings, name, settings.seed + replicate)

    return run_to_the_end(
        NAME,
        settings,
        out,
        resume,
        workers,
        cells=lambda directory: named_cells(directory, names, settings.replicates, work),
        unit="arm",
        collect=lambda found: to_results(found, names, settings),
        picture=lambda results: draw_all(results, settings),
        show=print_tables,
    )


def check(settings: Settings) -> list[str]:
    """Refuse settings that cannot be; returns the names of the arms.

    Raises:
        InputError: the first of them, or PyTorch is missing.
    """
    names = names_of("arms", "arm", settings.arms, ARMS)
    if not questions_of(names):
        raise InputError(f"arms must name both of a question, got {settings.arms!r}")
    positive(num_users=settings.num_users, test_users=settings.test_users, epochs=settings.epochs)
    if not 2 * CODES <= settings.num_items <= CODES**2:
        raise InputError(f"num_items must be from {2 * CODES} to {CODES**2}, got {settings.num_items}")
    if not 1 <= settings.slate_size <= LISTED:
        raise InputError(f"slate_size must be from 1 to {LISTED}, got {settings.slate_size}")
    if settings.history < 2 or settings.replicates < 2:
        least = f"{settings.history} and {settings.replicates}"
        raise InputError(f"history and replicates must be 2 or more, got {least}")
    if not 0 <= settings.seed <= (1 << 31) - settings.replicates:
        raise InputError(f"seed must be from 0 to 2^31 less the replicates, got {settings.seed}")
    require("torch", "torch")
    return names


def play(
    settings: Settings, name: str, seed: int, file: Path, _: Path, progress: Callable[[int], Any]
) -> None:
    """Write every metric of an arm in one world, (1,) each."""
    with one_thread():  # sums of several come out in any order, and runs would not repeat
        of, learned_from, test = world_of(settings, seed)
        if name in CONTROLS:
            values = measured(of, test, control_lists(name, of, learned_from, test))
        else:
            policy, seconds = trained(name, of, learned_from, settings.epochs, seed)
            values = {**found(policy, of, test), "training_seconds": seconds}
    progress(1)
    save_arrays(file, {metric: np.array([value]) for metric, value in values.items()})


def world_of(settings: Settings, seed: int) -> tuple[OrganicUsers, Ints, Ints]:
    """A world; the users who are learned from, and those on whom policies are measured."""
    everyone = settings.num_users + settings.test_users
    of = organic_users(settings.num_items, everyone, settings.history + 1, settings.slate_size, 1, seed)
    learned_from, test = np.split(np.arange(everyone), [settings.num_users])
    return of, learned_from, test


def trained(
    name: str, of: OrganicUsers, users: Ints, epochs: int, seed: int
) -> tuple["GenerativePolicy", float]:
    """The policy of an arm, and the seconds of its training; codes know nothing of what validates it."""
    from recsim_env.experiments.all_codes import AllCodes

    log, N = of.log(users), of.world.num_items
    train = leave_one_out(log).train
    user, item, _ = clicked_items(train, N)
    vectors = cooccurrence_features(user, item, N).astype(np.float64)
    known = Known(train, N, of.world.catalogue.features.astype(np.float64), vectors, seed)
    training: dict[str, Any] = {"epochs": epochs, "patience": epochs, "batch_size": 32, "learning_rate": 3e-3}
    recommender = recommender_of(ARMS[name], known, **training, mask_history=False, device="cpu")
    if name == OVER_ALL:
        recommender = AllCodes(recommender)
    before = time.process_time()
    policy = recommender.fit(log).policy_
    return policy, time.process_time() - before


def found(policy: "GenerativePolicy", of: OrganicUsers, test: Ints) -> dict[str, float]:
    """What a policy is worth to users, and what it takes."""
    import torch

    from recsim_env.experiments.prefix_recall import prefix_recall

    history = torch.from_numpy(np.ascontiguousarray(of.taken[test, :-1]))
    target = torch.from_numpy(of.taken[test, -1])
    values = measured(of, test, policy.generate(history, LISTED)[0].numpy())
    if policy.trie.length >= LEVELS:
        for width in WIDTHS:
            recall = prefix_recall(policy, history, target, width).tolist()
            values |= {recall_name(level, width): recall[level - 1] for level in range(1, LEVELS + 1)}
    spent = []
    for _ in range(TIMES):
        before = time.process_time()
        policy.generate(history[:TIMED_USERS], LISTED)
        spent.append(time.process_time() - before)
    values["ms_a_user"] = 1000 * min(spent) / len(history[:TIMED_USERS])
    return {**values, "parameters": float(sum(one.numel() for one in policy.parameters()))}


def measured(of: OrganicUsers, test: Ints, lists: Ints) -> dict[str, float]:
    """Metrics of lists (B, 10) for users."""
    worth = measure(lambda history, users: lists, of, test, 0)  # one slate: no clicks are drawn
    hit = float(hit_rate(lists, of.taken[test, -1:], LISTED).mean())
    return {"ndcg@10": worth["ndcg@10"], "hit_rate@10": hit, "slate_reward": worth["slate_reward"]}


def control_lists(name: str, of: OrganicUsers, learned_from: Ints, test: Ints) -> Ints:
    """Lists (B, 10) of what was taken most, or of what users like most."""
    if name == "popular":
        count = np.bincount(of.taken[learned_from].ravel(), minlength=of.world.num_items)
        return top_k(np.tile(count.astype(np.float64), (len(test), 1)), LISTED)
    return top_k(of.world.interest[test] @ of.world.catalogue.features.T, LISTED)


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
    return f"{settings.num_items} items, {settings.num_users} users to learn from"


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """A difference of NDCG@10 for every question."""
    draw_differences(axes, results)
    axes.set_title(title(settings))


def draw_all(results: Results, settings: Settings) -> Any:
    """The picture of a run: differences, what beams keep of prefixes, and quality against time."""
    picture, axes = figure.new_figure(3)
    picture.set_size_inches(19.0, 5.4)
    draw(axes[0], results, settings)
    draw_recall(axes[1], results)
    draw_trade(axes[2], results)
    return picture
