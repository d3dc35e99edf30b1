"""What `sequential_benchmark` prints: a table for every data set, and what the NDCG rests on."""

import sys

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.experiments.published_figures import published
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.sequential_diagnostics import COUNTS, LENGTHS, K


def print_tables(results: Results, names: dict[str, list[str]]) -> None:
    """Print them.

    Args:
        results: curves by `DATA: NAME`.
        names: of the recommenders on each data set.
    """
    for data, mine in names.items():
        width = max(len(name) for name in mine)
        head = f"{'HR@10':>18}{'NDCG@10':>18}{'training':>12}{'ms a user':>11}  seeds  quoted HR@10 / NDCG@10"
        sys.stdout.write(f"\n{data}\n{'':{width}}{head}\n")
        for name in mine:
            curves = results.curves[f"{data}: {name}"]
            seconds, ms = curves["training_seconds"].values.mean(), curves["ms_a_user"].values.mean()
            sys.stdout.write(
                f"{name:{width}}{_mean(curves, 'hit_rate'):>18}{_mean(curves, 'ndcg'):>18}{seconds:>10.0f} s"
                f"{ms:>11.2f}{curves[f'ndcg@{K}'].values.shape[1]:>7}  {published(data, name)}\n"
            )
        if f"ndcg@{K}_by_history" in results.curves[f"{data}: {mine[0]}"]:
            _print_diagnostics({name: results.curves[f"{data}: {name}"] for name in mine}, width)
    sys.stdout.write(
        "\nmean +- standard error over seeds, of one seed over users; training in seconds of one processor\n"
        "kept: share of the NDCG after the last n items alone, and after histories with one random item in\n"
        "five; then NDCG by the training clicks of the target, from which its group begins, and by the half\n"
        "of all clicks (head) or the rest (tail) that it is of; where time is known, by the time before the\n"
        "target, in quartiles\n"
    )


def _print_diagnostics(curves: dict[str, dict[str, Curve]], width: int) -> None:
    heads = "".join(f"{f'last {n}':>9}" for n in LENGTHS) + f"{'noise':>9}"
    heads += "   " + "".join(f"{f'{n}+':>8}" for n in COUNTS) + "   " + f"{'head':>8}{'tail':>8}"
    groups = ["by_target", "head_tail"]
    quartiles = _means(next(iter(curves.values())), "by_gap")
    if np.isfinite(quartiles).sum() > 1:  # else all gaps are alike: the log has no clock
        heads += "   " + "".join(f"{f'gap {n}':>8}" for n in (1, 2, 3, 4))
        groups.append("by_gap")
    sys.stdout.write(f"\n{'':{width}}{heads}\n")
    for name, mine in curves.items():
        kept = [*_means(mine, "by_history"), *_means(mine, "noisy")] / mine[f"ndcg@{K}"].values.mean()
        row = "".join(f"{share:>9.0%}" for share in kept)
        for group in groups:
            row += "   " + "".join(f"{value:>8.4f}" for value in _means(mine, group))
        sys.stdout.write(f"{name:{width}}{row}\n")


def _means(curves: dict[str, Curve], name: str) -> Floats:
    """Over seeds."""
    return np.asarray(curves[f"ndcg@{K}_{name}"].values.mean(axis=1))


def _mean(curves: dict[str, Curve], name: str) -> str:
    values = curves[f"{name}@{K}"].values[0]
    if len(values) > 1:
        error = values.std(ddof=1) / np.sqrt(len(values))
    else:
        error = curves[f"{name}@{K}_std_error"].values[0, 0]
    return f"{values.mean():.4f} +- {error:.4f}"
