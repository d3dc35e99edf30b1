"""What `tokeniser_ablation` prints: policies, their codes, and how far each is from random identifiers."""

import sys
from collections.abc import Callable, Mapping

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.evaluation.intervals import Estimate, mean_estimate
from recsim_env.experiments.results import Results

REFERENCE = "random"  # that all others are held against
MEASURED = {
    "warm_ndcg@10": "warm NDCG@10",
    "warm_alone_ndcg@10": "warm_alone NDCG@10",
    "cold_hit_rate@10": "cold HR@10",
    "cold_alone_ndcg@10": "cold_alone NDCG@10",
    "cold_shown": "cold_shown",
    "slate_reward": "slate reward",
}
CODED = ("collisions", "use", "agreement", "reconstruction", "tokenise_seconds", "training_seconds")
COMPARED = ("warm_ndcg@10", "warm_alone_ndcg@10", "cold_hit_rate@10", "cold_alone_ndcg@10")


def values_of(results: Results, name: str, metric: str) -> Floats | None:
    """(replicates,), None if there are none."""
    curve = results.curves[name].get(metric)
    return None if curve is None or np.isnan(curve.values).any() else curve.values[-1]


def by_warm(results: Results) -> list[str]:
    """Names, the best on warm items first."""
    return sorted(results.curves, key=lambda name: -results.curves[name]["warm_ndcg@10"].values.mean())


def print_tables(results: Results) -> None:
    """All policies and their codes; differences to random identifiers, replicate by replicate."""
    names, width = by_warm(results), max(map(len, results.curves))
    print_table(results, names, MEASURED, lambda one: f"{one.value:.4f} +- {one.std_error:.4f}")
    print_table(results, names, {name: name for name in CODED}, lambda one: f"{one.value:.2f}")
    replicates = results.curves[names[0]]["warm_ndcg@10"].values.shape[1]
    sys.stdout.write(f"mean +- standard error over {replicates} replicates\n")
    if REFERENCE not in results.curves:
        return
    heads = "".join(f"{MEASURED[metric]:>32}" for metric in COMPARED)
    sys.stdout.write(f"\n{f'less {REFERENCE}':{width}}{heads}\n")
    for name in names:
        if name != REFERENCE:
            row = "".join(f"{difference(results, name, metric):>32}" for metric in COMPARED)
            sys.stdout.write(f"{name:{width}}{row}\n")
    sys.stdout.write("mean [95 % interval] of differences in the same world\n")


def print_table(
    results: Results, names: list[str], heads: Mapping[str, str], form: Callable[[Estimate], str]
) -> None:
    """A row for every name that has one of the metrics, whose heads stand above."""
    width = max(map(len, names))
    sys.stdout.write("\n" + " " * width + "".join(f"{head:>20}" for head in heads.values()) + "\n")
    for name in names:
        found = [values_of(results, name, metric) for metric in heads]
        if any(values is not None for values in found):
            cells = ["" if values is None else form(mean_estimate(values)) for values in found]
            sys.stdout.write(f"{name:{width}}" + "".join(f"{cell:>20}" for cell in cells) + "\n")


def difference(results: Results, name: str, metric: str) -> str:
    """How much more a policy has than random identifiers; empty if one of them has none."""
    mine, other = values_of(results, name, metric), values_of(results, REFERENCE, metric)
    if mine is None or other is None:
        return ""
    less = mean_estimate(mine - other)
    low, high = less.interval
    return f"{less.value:+.4f} [{low:+.4f}, {high:+.4f}]"
