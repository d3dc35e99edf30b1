"""How well do recommenders rank what users of a real log took next?

Every recommender learns from the log without each user's last event and ranks the full catalogue for
every user. What is held out, and whether items a user had before may be recommended again, must fit the
log: people buy the same groceries again, and watch a film once. With `auto`, a log in which more than
1 % of the rows repeat a (user, item) pair holds out the last basket (all events at the last time) and
masks nothing; another log holds out the last item and masks the history.

The order of events with equal times says nothing, and files tend to sort it by item: ties are shuffled
by `seed`, and their share is reported.

Beside the metrics stand what the lists are like (coverage of the catalogue, Gini coefficient of how often
items are listed, mean training events of what is listed, the ARP), and, user by user, the NDCG of every
recommender less that of the first one named, with a bootstrap interval and Holm's correction of the p-values.
Where nothing is masked, the NDCG of what users had before and of what is new to them stand apart, and
`buckets` adds the NDCG of users with short and long histories.
"""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.agents.recommender import recommend
from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError
from recsim_env.evaluation.beyond_accuracy import (
    average_recommendation_popularity,
    catalogue_coverage,
    exposure,
    gini,
)
from recsim_env.evaluation.buckets import bucket_means, quantile_edges
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.evaluation.paired import against_baseline
from recsim_env.evaluation.ranking import average_precision, hit_rate, mrr, ndcg, precision, recall
from recsim_env.evaluation.repeat_explore import repeat_explore
from recsim_env.experiments import figure
from recsim_env.experiments.cells import Cell, load_arrays, run_cells, save_arrays
from recsim_env.experiments.recommenders import NAMES, make_recommender, recommender_names
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.run_directory import open_run
from recsim_env.experiments.sequential_models import MODELS
from recsim_env.experiments.settings import as_json, option, positive
from recsim_env.experiments.tensorboard import write_events
from recsim_env.experiments.training import one_thread
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.datasets import read_events
from recsim_env.simulators.log import Log
from recsim_env.simulators.splits import HeldOut, leave_last_basket_out, leave_one_out, shuffle_ties

NAME = "offline_ranking"
BARS = True  # so that `compare` gives every run a panel
REPEATS = 0.01
"""Share of rows that repeat a (user, item) pair, above which a log is one of repeat consumption."""
METRICS = {
    "ndcg": ndcg,
    "hit_rate": hit_rate,
    "recall": recall,
    "precision": precision,
    "mrr": mrr,
    "map": average_precision,
}


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    data: str = option(
        "complete-journey", "complete-journey, or a directory or file; recsim-env data list names formats"
    )
    recommenders: str = option(
        "popularity,markov1,markov2",
        f"of {', '.join(NAMES)}; the first is the baseline of the differences",
    )
    k: int = option(10, "length of the list that is scored")
    hold_out: str = option("auto", "last_item, last_basket, or auto: by whether users repeat themselves")
    mask_history: str = option("auto", "yes, no, or auto: whether items had before are left out of the list")
    buckets: int = option(0, "NDCG of as many groups of users by the length of their history; 0 = none")
    seed: int = option(0, "of the order of events at equal times")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`; a cell is one recommender."""
    names = recommender_names(settings.recommenders)
    positive(k=settings.k)
    if settings.buckets < 0:
        raise InputError(f"buckets must be 0 or more, got {settings.buckets}")
    for name, value, choices in (
        ("hold_out", settings.hold_out, ("auto", "last_item", "last_basket")),
        ("mask_history", settings.mask_history, ("auto", "yes", "no")),
    ):
        if value not in choices:
            raise InputError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    data = read_events(settings.data)
    with open_run(out, NAME, as_json(settings), resume) as directory:
        repeats = repeated_share(data.log) > REPEATS
        whole_basket = settings.hold_out == "last_basket" or (settings.hold_out == "auto" and repeats)
        mask = settings.mask_history == "yes" or (settings.mask_history == "auto" and not repeats)
        log = shuffle_ties(data.log, settings.seed)
        held_out = leave_last_basket_out(log) if whole_basket else leave_one_out(log)
        sys.stdout.write(
            f"{data.name}: {len(log):,} events of {data.num_users:,} users and {data.num_items:,} items; "
            "held out "
            f"{'the last basket' if whole_basket else 'the last item'} of {len(held_out.user):,} users "
            f"({held_out.tied_share:.0%} tied in time with the one before), full ranking, "
            f"history {'masked' if mask else 'not masked'}\n"
        )
        if directory.finished:
            results = Results.read(directory.results)
            print_tables(results, settings.k)
        else:
            cells = {
                name: Cell.of(
                    directory,
                    name,
                    size=1,
                    label=name,
                    work=partial(rank, name, held_out, data.num_items, settings.k, mask),
                )
                for name in names
            }
            run_cells(list(cells.values()), directory.path, workers, "recommender")
            lists = {name: load_arrays(cell.file, ("ranked",))["ranked"] for name, cell in cells.items()}
            results = to_results(lists, held_out, data.num_items, mask, settings)
            for name in names:
                write_events(directory.path / "tensorboard", name, results.curves[name])
            figure.save_panel(directory.path / "figure.png", lambda axes: draw(axes, results, settings))
            results.write(directory.results)
            print_tables(results, settings.k)
            for name, others in same_lists(lists).items():
                sys.stdout.write(f"{', '.join(others)}: the same lists as {name}\n")
            ndcg_of_users = {name: ndcg(one, held_out.relevant, settings.k) for name, one in lists.items()}
            print_differences(ndcg_of_users, settings.k, settings.seed)
            directory.finish()
    sys.stdout.write(f"wrote {directory.path}/: results.csv, figure.png, tensorboard/, run.json\n")
    return results


def rank(
    name: str,
    held_out: HeldOut,
    num_items: int,
    k: int,
    mask: bool,
    file: Path,
    checkpoint: Path,
    progress: Callable[[int], Any],
) -> None:
    """Let a recommender learn, and write the lists (U, k) of all users."""
    with one_thread() if name in MODELS else nullcontext():  # or trainings would not repeat
        recommender = make_recommender(name, num_items, mask_history=mask).fit(held_out.train)
        gaps = held_out.gaps if name in MODELS else None
        ranked = recommend(recommender, held_out.history, k, mask_history=mask, gaps=gaps)
    save_arrays(file, {"ranked": ranked})
    progress(1)


def to_results(
    lists: dict[str, Ints], held_out: HeldOut, num_items: int, mask: bool, settings: Settings
) -> Results:
    """What the lists of every recommender score, and what they are like."""
    results = Results()
    popularity = np.bincount(held_out.train.slate[:, 0], minlength=num_items)
    length = np.count_nonzero(held_out.history >= 0, axis=1)
    for name, ranked in lists.items():
        results.curves[name] = {
            **scores(ranked, held_out.relevant, settings.k),
            **likeness(ranked, popularity, settings.k),
        }
        if not mask:
            results.curves[name] |= of_repeats(ranked, held_out.relevant, held_out.history, settings.k)
        if settings.buckets:
            per_user = ndcg(ranked, held_out.relevant, settings.k)
            results.curves[name] |= by_history(per_user, length, settings.k, settings.buckets)
    return results


def repeated_share(log: Log) -> float:
    """Share of the rows whose (user, item) pair stood in the log before, at another time or the same."""
    pairs = np.stack([log.user, log.slate[:, 0]])
    return 1.0 - np.unique(pairs, axis=1).shape[1] / max(len(log), 1)


def scores(ranked: Any, relevant: Any, k: int) -> dict[str, Curve]:
    """Mean and standard error over users of every metric, as curves of one step, k."""
    curves: dict[str, Curve] = {}
    for name, metric in METRICS.items():
        per_user: Floats = metric(ranked, relevant, k)
        curves.update(_with_error(f"{name}@{k}", per_user, k))
    return curves


def likeness(ranked: Ints, popularity: Ints, k: int) -> dict[str, Curve]:
    """What the lists are like, whether or not they hit: coverage of the catalogue, popularity of items."""
    return {
        f"coverage@{k}": _curve(k, catalogue_coverage(ranked, len(popularity), k)),
        f"gini@{k}": _curve(k, gini(exposure(ranked, len(popularity), k))),
        **_with_error(f"arp@{k}", average_recommendation_popularity(ranked, popularity, k), k),
    }


def of_repeats(ranked: Ints, relevant: Ints, history: Ints, k: int) -> dict[str, Curve]:
    """NDCG of what users had before and of what is new to them; the share of repeats listed and held out."""
    found = repeat_explore(ranked, relevant, history, k)
    return {
        **_with_error(f"ndcg_repeated@{k}", found.ndcg_repeated, k),
        **_with_error(f"ndcg_explored@{k}", found.ndcg_explored, k),
        **_with_error(f"repeat_ratio@{k}", found.repeat_ratio, k),
        **_with_error("repeat_ratio_held_out", found.relevant_repeat_ratio, k),
    }


def by_history(ndcg_of_user: Floats, length: Ints, k: int, buckets: int) -> dict[str, Curve]:
    """Mean NDCG against the least length of history in each group of users."""
    found = bucket_means(ndcg_of_user, length, quantile_edges(length, buckets))
    least = found.edges[:-1].astype(np.int64)
    return {
        f"ndcg@{k}_by_history{suffix}": Curve(least, np.array(values, np.float64)[:, None])
        for suffix, values in (
            ("", [one.value for one in found.means]),
            ("_std_error", [one.std_error for one in found.means]),
        )
    }


def same_lists(lists: dict[str, Ints]) -> dict[str, list[str]]:
    """Recommenders whose lists are those of an earlier one for every user, by the earlier one."""
    found: dict[str, list[str]] = {}
    for name in lists:
        first = next(one for one in lists if np.array_equal(lists[one], lists[name]))
        if first != name:
            found.setdefault(first, []).append(name)
    return found


def _curve(k: int, value: float) -> Curve:
    return Curve(np.array([k]), np.array([[value]]))


def _with_error(name: str, per_user: Floats, k: int) -> dict[str, Curve]:
    """Mean and standard error over the users that have a value."""
    estimate = mean_estimate(per_user[~np.isnan(per_user)])
    return {name: _curve(k, float(estimate.value)), f"{name}_std_error": _curve(k, float(estimate.std_error))}


def print_tables(results: Results, k: int) -> None:
    """A row for every recommender: metrics with standard errors over users, and what the lists are like."""
    width = max(len(name) for name in results.curves)
    any_curves = next(iter(results.curves.values()))

    def table(heads: list[str], cells: Callable[[dict[str, Curve]], list[str]]) -> None:
        sys.stdout.write("\n" + " " * width + "".join(f"{head:>20}" for head in heads) + "\n")
        for recommender, curves in results.curves.items():
            row = "".join(f"{cell:>20}" for cell in cells(curves))
            sys.stdout.write(f"{recommender:{width}}{row}\n")

    def number(curves: dict[str, Curve], name: str, row: int = 0) -> float:
        return float(curves[name].values[row, 0])

    def sure(curves: dict[str, Curve], name: str, row: int = 0) -> str:
        return f"{number(curves, name, row):.4f} +- {number(curves, f'{name}_std_error', row):.4f}"

    metrics = [f"{name}@{k}" for name in METRICS]
    table(metrics, lambda curves: [sure(curves, name) for name in metrics])
    sys.stdout.write("a perfect ranking scores 1; mean +- standard error over users\n")

    repeats = f"ndcg_repeated@{k}" in any_curves
    parts = [f"ndcg_repeated@{k}", f"ndcg_explored@{k}"] if repeats else []
    table(
        [f"coverage@{k}", f"gini@{k}", f"arp@{k}", *([f"repeat_ratio@{k}"] if repeats else []), *parts],
        lambda curves: [
            f"{number(curves, f'coverage@{k}'):.1%}",
            f"{number(curves, f'gini@{k}'):.3f}",
            f"{number(curves, f'arp@{k}'):,.0f}",
            *([f"{number(curves, f'repeat_ratio@{k}'):.1%}"] if repeats else []),
            *[sure(curves, name) for name in parts],
        ],
    )
    sys.stdout.write(
        "what is listed: share of the catalogue that anyone is shown, Gini coefficient of how often (0 = all "
        "items alike),\nmean training events of an item of a list"
    )
    if repeats:
        held_out = number(any_curves, "repeat_ratio_held_out")
        sys.stdout.write(
            f"; share that the user had before (of what was held out: {held_out:.1%}), NDCG of finding "
            "these\nand of finding what is new to the user"
        )
    sys.stdout.write("\n")

    history = f"ndcg@{k}_by_history"
    if history in any_curves:
        least = any_curves[history].steps
        heads = [f"{low} - {high - 1}" for low, high in pairwise(least)]
        table(
            [*heads, f"{least[-1]} -"],
            lambda curves: [sure(curves, history, row) for row in range(len(least))],
        )
        sys.stdout.write(f"ndcg@{k} of users with as many events before what is held out\n")


def print_differences(ndcg_of_users: dict[str, Floats], k: int, seed: int) -> None:
    """Every recommender less the first one, on the same users."""
    baseline, width = next(iter(ndcg_of_users)), max(map(len, ndcg_of_users))
    if len(ndcg_of_users) == 1:
        return
    found = against_baseline(ndcg_of_users, baseline, seed=seed)
    sys.stdout.write(f"\nndcg@{k} less that of {baseline}, user by user: mean, 95 % interval (bootstrap)\n")
    for name, one in found.comparisons.items():
        low, high = one.interval
        sys.stdout.write(
            f"{name:{width}}  {one.difference:+.4f} [{low:+.4f}, {high:+.4f}]  "
            f"p = {found.holm_sign_flip[name]:.2g} (sign flips), {found.holm_t_test[name]:.2g} (t-test), "
            "Holm's correction\n"
        )


def title(settings: Settings) -> str:
    """What the run is about, for a picture."""
    return f"what users of {Path(settings.data).name} took next, full ranking"


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """Bars of every metric that all have; runs of earlier versions have fewer."""
    names = [f"{name}@{settings.k}" for name in METRICS]
    figure.draw_bars(axes, results, [n for n in names if all(n in c for c in results.curves.values())])
    axes.set(title=title(settings), ylabel="mean over users, 95 % interval")
