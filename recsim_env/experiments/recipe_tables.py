"""What `recipe_ablation` prints: the arms, what beams keep of the right codes, and every difference."""

import sys
from collections.abc import Mapping

from recsim_env.arrays import Floats
from recsim_env.evaluation.intervals import Estimate, mean_estimate
from recsim_env.experiments.race import show_difference
from recsim_env.experiments.recipe_arms import LEVELS, OF_BEAMS, Question, questions_of
from recsim_env.experiments.results import Results

WIDTHS = (5, 20)  # of the beams that are looked into
MEASURED = {"ndcg@10": 4, "hit_rate@10": 4, "slate_reward": 3}  # digits
COSTS = {"ms_a_user": 3, "parameters": 0, "training_seconds": 1}
COMPARED = ("ndcg@10", "hit_rate@10", "slate_reward")


def recall_name(level: int, width: int) -> str:
    """The metric of `prefix_recall` after a level, from 1."""
    return f"first_{level}_of_{width}_beams"


RECALLS = {recall_name(level, width): 3 for width in WIDTHS for level in range(1, LEVELS + 1)}


def values_of(results: Results, name: str, metric: str) -> Floats:
    """(worlds,)."""
    return results.curves[name][metric].values[-1]


def difference(results: Results, question: Question, metric: str) -> Estimate:
    """How much more the arm has, world by world."""
    mine, other = (values_of(results, name, metric) for name in (question.arm, question.against))
    return mean_estimate(mine - other)


def times_as_long(results: Results, question: Question) -> Estimate:
    """Time that the arm takes for a list over that of the other, world by world."""
    mine, other = (values_of(results, name, "ms_a_user") for name in (question.arm, question.against))
    return mean_estimate(mine / other)


def print_tables(results: Results) -> None:
    """All of it."""
    names = sorted(results.curves, key=lambda name: -values_of(results, name, "ndcg@10").mean())
    worlds = len(values_of(results, names[0], "ndcg@10"))
    print_table(results, names, MEASURED | COSTS)
    print_table(results, names, RECALLS)
    sys.stdout.write(f"mean +- standard error over {worlds} worlds\n")
    questions = questions_of(names)
    titles = [f"{one.paper}: {one.arm} less {one.against}" for one in questions]
    width = max(map(len, titles))
    heads = "".join(f"{metric:>30}" for metric in COMPARED) + f"{'times as long':>26}"
    sys.stdout.write("\n" + " " * width + heads + "\n")
    for title, question in zip(titles, questions, strict=True):
        row = "".join(f"{show_difference(difference(results, question, one), 4):>30}" for one in COMPARED)
        ratio = times_as_long(results, question)
        low, high = ratio.interval
        sys.stdout.write(f"{title:{width}}{row}{f'{ratio.value:.3f} [{low:.3f}, {high:.3f}]':>26}\n")
    for question in questions:
        if question.paper in OF_BEAMS:
            sys.stdout.write(f"\n{question.arm} less {question.against}:\n")
            for metric in RECALLS:
                said = show_difference(difference(results, question, metric), 4)
                sys.stdout.write(f"    {metric:21} {said}\n")
    sys.stdout.write("mean [95 % interval] of differences in the same world\n")


def print_table(results: Results, names: list[str], metrics: Mapping[str, int]) -> None:
    """A row for every name that has one of the metrics, so many digits each."""
    width = max(map(len, names))
    sys.stdout.write("\n" + " " * width + "".join(f"{metric:>20}" for metric in metrics) + "\n")
    for name in names:
        cells = []
        for metric, digits in metrics.items():
            if metric not in results.curves[name]:
                cells.append("")
                continue
            one = mean_estimate(values_of(results, name, metric))
            spread = "" if metric == "parameters" else f" +- {one.std_error:.{digits}f}"
            cells.append(f"{one.value:,.{digits}f}{spread}")
        if any(cells):
            sys.stdout.write(f"{name:{width}}" + "".join(f"{cell:>20}" for cell in cells) + "\n")
