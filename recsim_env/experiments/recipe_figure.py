"""The picture of `recipe_ablation`: differences, what beams keep, and quality against time."""

from typing import Any

from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.experiments import figure
from recsim_env.experiments.recipe_arms import LEVELS, OF_BEAMS, questions_of
from recsim_env.experiments.recipe_tables import WIDTHS, difference, recall_name, values_of
from recsim_env.experiments.results import Results

METRIC = "ndcg@10"
TRADED = (
    "Lite-LLM4Rec",
    "RecBench",
    "SETRec",
)  # papers that ask what it takes to find an item
BELOW = ("ids", "features", "set_queries")  # names that stand below their dots, beside those of others


def draw_differences(axes: Any, results: Results) -> None:
    """NDCG@10 of an arm less another's: a dot and its 95 % interval for every question, papers apart."""
    questions = questions_of(list(results.curves))
    papers = list(dict.fromkeys(question.paper for question in questions))
    places, names = [], []
    for row, question in enumerate(questions):
        at = papers.index(question.paper)
        place, colour = row + 0.6 * at, figure.SPARE[at % 2]
        one = difference(results, question, METRIC)
        axes.plot(one.interval, [place, place], "-", color=colour, lw=1.6)
        axes.plot(one.value, place, "o", color=colour, ms=6)
        places.append(place)
        names.append(f"{question.paper}: {question.arm} less {question.against}")
    axes.axvline(0.0, color="black", lw=0.8)
    axes.set_yticks(places, names)
    axes.set_ylim(places[-1] + 0.8, -0.8)
    axes.set_xlabel("difference of NDCG@10 in the same world, 95 % interval")
    _plain(axes)


def draw_recall(axes: Any, results: Results) -> None:
    """How much more of the right prefixes an arm keeps, at every level and width."""
    questions = [one for one in questions_of(list(results.curves)) if one.paper in OF_BEAMS]
    cells = [(width, level) for width in WIDTHS for level in range(1, LEVELS + 1)]
    for i, question in enumerate(questions):
        for at, (width, level) in enumerate(cells):
            one = difference(results, question, recall_name(level, width))
            place, colour = at + (i - (len(questions) - 1) / 2) * 0.2, figure.SPARE[i]
            label = f"{question.arm} less {question.against}" if at == 0 else None
            axes.plot([place, place], one.interval, "-", color=colour, lw=1.6)
            axes.plot(place, one.value, "o", color=colour, ms=6, label=label)
    axes.axhline(0.0, color="black", lw=0.8)
    axes.set_xticks(range(len(cells)), [f"first {level}\nof {width}" for width, level in cells])
    axes.set(xlabel="codes of the next item among so many beams", ylabel="difference of recall")
    if questions:
        axes.legend(frameon=False, fontsize=9)
    _plain(axes)


def draw_trade(axes: Any, results: Results) -> None:
    """NDCG@10 against the time for a list, of arms that differ in what an item is or how it is found."""
    from matplotlib.ticker import LogLocator

    questions = [one for one in questions_of(list(results.curves)) if one.paper in TRADED]
    for name in dict.fromkeys(name for one in questions for name in (one.against, one.arm)):
        good, slow = (mean_estimate(values_of(results, name, metric)) for metric in (METRIC, "ms_a_user"))
        axes.plot([slow.value, slow.value], good.interval, "-", color=figure.SPARE[0], lw=1.2, alpha=0.6)
        axes.plot(slow.value, good.value, "o", color=figure.SPARE[0], ms=6)
        place = (6, -12 if name in BELOW else 5)
        axes.annotate(name, (slow.value, good.value), place, textcoords="offset points", fontsize=9)
    if questions:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
    axes.set(xlabel="ms of one processor for a list of 10", ylabel="NDCG@10")
    axes.margins(x=0.2)
    _plain(axes)


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, lw=0.6)
