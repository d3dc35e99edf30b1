"""What `attack_agents` found: its arms by size of the instance, what transfers, and the tables of both."""

import sys
from dataclasses import replace

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.evaluation.intervals import mean_estimate, ratio_of
from recsim_env.experiments.aligned import aligned
from recsim_env.experiments.attack_arms import METRICS
from recsim_env.experiments.poisoning_game import DEFENCES
from recsim_env.experiments.race import show, show_difference
from recsim_env.experiments.results import Results

SIZES = ("small", "large")
ANY, BEST, RARELY = "any_items", "best", "rarely"
RECOMMENDERS = (*DEFENCES, RARELY)
FROM, PLAN = "trained against ", "planned against "


def final(results: Results, name: str, metric: str) -> Floats:
    """(B,) what an arm comes to at the end."""
    return results.curves[name][metric].values[-1]


def arms_of(results: Results, size: str) -> list[str]:
    """The names of a size, best reward first."""
    names = [name for name in results.curves if name.startswith(f"{size}, ")]
    return sorted(names, key=lambda name: -final(results, name, "reward").mean())


def matrix(results: Results, kind: str) -> Floats:
    """(X, Y, B) rewards of what was trained or planned against X and played against Y."""
    rows = [[final(results, kind + one, other) for other in RECOMMENDERS] for one in RECOMMENDERS]
    return np.array(rows)


def print_tables(results: Results, first: str, tried: int, worlds: int) -> None:
    """All arms on both instances, differences world by world, and what transfers.

    Args:
        results: of the run.
        first: agent that others are held against.
        tried: attacks that an agent tried.
        worlds: B.
    """
    for size in SIZES:
        mine, best = f"{size}, {first}", f"{size}, {BEST}"
        rows = [[size, *METRICS, "share of the best", f"{first} less it [95 %]"]]
        for name in arms_of(results, size):
            numbers = [show(mean_estimate(final(results, name, metric)), 3) for metric in METRICS]
            share = ""
            if best in results.curves:
                ratio = ratio_of(final(results, name, "reward"), final(results, best, "reward"))
                share = show(replace(ratio, value=100 * ratio.value, std_error=100 * ratio.std_error)) + " %"
            less = mean_estimate(final(results, mine, "reward") - final(results, name, "reward"))
            rows.append([name.split(", ")[1], *numbers, share, "" if name == mine else show_difference(less)])
        sys.stdout.write(f"\n{aligned(rows)}")
    sys.stdout.write(f"mean +- standard error over {worlds} worlds; agents tried {tried:,} attacks\n\n")
    learned, planned = matrix(results, FROM), matrix(results, PLAN)
    rows = [["trained against, played against", *RECOMMENDERS]]
    for i, name in enumerate(RECOMMENDERS):
        rows.append([name, *(show(mean_estimate(values), 3) for values in learned[i])])
    best_of = np.einsum("xxb->xb", planned)
    rows.append(["the best against it", *(show(mean_estimate(values), 3) for values in best_of)])
    sys.stdout.write(aligned(rows))
    at_home = np.eye(len(RECOMMENDERS), dtype=np.bool_)
    for words, table in (("learned", learned), ("planned", planned)):
        for where, cells in (("the same recommender", at_home), ("another one", ~at_home)):
            less = mean_estimate((table - best_of[None])[cells].mean(axis=0))
            sys.stdout.write(
                f"{words}, played against {where}, less the best against it: {show_difference(less)}\n"
            )
