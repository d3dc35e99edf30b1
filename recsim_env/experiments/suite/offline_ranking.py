"""How well do recommenders rank what users of a real log took next?

Every recommender learns from the log without each user's last event and ranks the full catalogue for
every user. What is held out, and whether items a user had before may be recommended again, must fit the
log: people buy the same groceries again, and watch a film once. With `auto`, a log in which more than
1 % of the rows repeat a (user, item) pair holds out the last basket (all events at the last time) and
masks nothing; another log holds out the last item and masks the history.

The order of events with equal times says nothing, and files tend to sort it by item: ties are shuffled
by `seed`, and their share is reported.

Beside the metrics stand what the lists are like (the share of the catalogue that is recommended to anyone,
and the mean number of training events of what is, the ARP), and, user by user, the NDCG of every recommender
less that of the first one named, with a bootstrap interval and Holm's correction of the p-values.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from recsim_env.agents.recommender import recommend
from recsim_env.arrays import Floats
from recsim_env.errors import InputError
from recsim_env.evaluation.beyond_accuracy import average_recommendation_popularity, catalogue_coverage
from recsim_env.evaluation.intervals import Estimate, mean_estimate
from recsim_env.evaluation.paired import against_baseline
from recsim_env.evaluation.ranking import average_precision, hit_rate, mrr, ndcg, precision, recall
from recsim_env.experiments import figure
from recsim_env.experiments.recommenders import RECOMMENDERS, recommender_names
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.run_directory import open_run
from recsim_env.experiments.settings import as_json, option, positive
from recsim_env.experiments.tensorboard import write_events
from recsim_env.simulators.datasets import read_events
from recsim_env.simulators.log import Log
from recsim_env.simulators.splits import leave_last_basket_out, leave_one_out, shuffle_ties

NAME = "offline_ranking"
REPEATS = (
    0.01  # share of rows that repeat a (user, item) pair, above which a log is one of repeat consumption
)
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
        f"of {', '.join(RECOMMENDERS)}; the first is the baseline of the differences",
    )
    k: int = option(10, "length of the list that is scored")
    hold_out: str = option("auto", "last_item, last_basket, or auto: by whether users repeat themselves")
    mask_history: str = option("auto", "yes, no, or auto: whether items had before are left out of the list")
    seed: int = option(0, "of the order of events at equal times")


def run(settings: Settings, out: Path, resume: bool) -> Results:
    """Run the experiment in the directory `out`; it is short, and a run that was killed begins anew."""
    names = recommender_names(settings.recommenders)
    positive(k=settings.k)
    for name, value, choices in (
        ("hold_out", settings.hold_out, ("auto", "last_item", "last_basket")),
        ("mask_history", settings.mask_history, ("auto", "yes", "no")),
    ):
        if value not in choices:
            raise InputError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    data = read_events(settings.data)
    directory = open_run(out, NAME, as_json(settings), resume)
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
    results, ndcg_of_users = Results(), {}
    popularity = np.bincount(held_out.train.slate[:, 0], minlength=data.num_items)
    for name in tqdm(names, unit="recommender"):
        recommender = RECOMMENDERS[name](data.num_items).fit(held_out.train)
        ranked = recommend(recommender, held_out.history, settings.k, mask_history=mask)
        results.curves[name] = {
            **scores(ranked, held_out.relevant, settings.k),
            **likeness(ranked, popularity, settings.k),
        }
        ndcg_of_users[name] = ndcg(ranked, held_out.relevant, settings.k)
        write_events(directory.path / "tensorboard", name, results.curves[name])
    results.write(directory.results)
    picture, (axes,) = figure.new_figure(1)
    draw(axes, results, settings)
    figure.save(picture, directory.path / "figure.png")
    print_table(results, settings.k)
    print_differences(ndcg_of_users, settings.k, settings.seed)
    sys.stdout.write(f"wrote {directory.path}/: results.csv, figure.png, tensorboard/, run.json\n")
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


def likeness(ranked: Any, popularity: Any, k: int) -> dict[str, Curve]:
    """What the lists are like, whether or not they hit: coverage of the catalogue, popularity of items."""
    covered = catalogue_coverage(ranked, len(popularity), k)
    return {
        f"coverage@{k}": Curve(np.array([k]), np.array([[covered]])),
        **_with_error(f"arp@{k}", average_recommendation_popularity(ranked, popularity, k), k),
    }


def _with_error(name: str, per_user: Floats, k: int) -> dict[str, Curve]:
    """Mean and standard error over the users that have a value."""
    estimate = mean_estimate(per_user[~np.isnan(per_user)])
    return {
        f"{name}{suffix}": Curve(np.array([k]), np.array([[float(value)]]))
        for suffix, value in (("", estimate.value), ("_std_error", estimate.std_error))
    }


def print_table(results: Results, k: int) -> None:
    """A row for every recommender, with standard errors over users."""
    names = [f"{name}@{k}" for name in METRICS]
    width = max(len(name) for name in results.curves)
    sys.stdout.write("\n" + " " * width + "".join(f"{name:>20}" for name in names) + "\n")
    for recommender, curves in results.curves.items():
        cells = []
        for name in names:
            value, error = (float(curves[n].values[0, 0]) for n in (name, f"{name}_std_error"))
            cells.append(f"{value:.4f} +- {Estimate(value, error).std_error:.4f}")
        sys.stdout.write(f"{recommender:{width}}" + "".join(f"{cell:>20}" for cell in cells) + "\n")
    sys.stdout.write("a perfect ranking scores 1; mean +- standard error over users\n")
    for recommender, curves in results.curves.items():
        coverage, popularity = (float(curves[f"{name}@{k}"].values[0, 0]) for name in ("coverage", "arp"))
        sys.stdout.write(
            f"{recommender:{width}} lists {coverage:.1%} of the catalogue; an item on its lists has "
            f"{popularity:,.0f} training events on average\n"
        )


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
    return f"next purchases of {Path(settings.data).name}, full ranking"


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """Bars of every metric that all have; runs of earlier versions have fewer."""
    names = [f"{name}@{settings.k}" for name in METRICS]
    figure.draw_bars(axes, results, [n for n in names if all(n in c for c in results.curves.values())])
    axes.set(title=title(settings), ylabel="mean over users, 95 % interval")
