"""The tables of a report: last values with intervals, ranks and pairwise tests."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.experiments.compare_bandits import PAIRS, TABLE, Problem
from recsim_env.experiments.html_page import Cell, Markup, table, tag
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.tags import estimate_of, metrics_of

YES_OR_NO = ("covered", "warned")
"""Metrics that are 0 or 1 in every replicate; others may come to 0 or 1 too, as the optimum's regret does."""


def result_tables(results: Results, best: str) -> list[Markup]:
    """Every metric at its last step, mean and 95 % interval.

    What all agents have is in one table, so that they can be held against each other; what only some have, as
    the loss of a network, follows, in a table for those with the same metrics.

    Args:
        results: of the run.
        best: the metric by which agents are sorted, the least first, where they have it.
    """
    kinds: dict[str, dict[str, list[str]]] = {}
    for agent, curves in results.curves.items():
        for metrics in _kinds(metrics_of(curves)):
            kinds.setdefault(metrics[0].partition("/")[2], {})[agent] = metrics
    tables: dict[tuple[str, ...], list[str]] = {}
    for measured in kinds.values():
        shared = set.intersection(*map(set, measured.values()))
        for agent, metrics in measured.items():
            for part in (
                [name for name in metrics if name in shared],
                [name for name in metrics if name not in shared],
            ):
                if part:
                    tables.setdefault(tuple(part), []).append(agent)
    ordered = sorted(tables.items(), key=lambda one: -len(one[1]))  # stable: those of all agents come first
    return [
        _result_table({agent: results.curves[agent] for agent in agents}, list(metrics), best)
        for metrics, agents in ordered
    ]


def _kinds(metrics: list[str]) -> Iterator[list[str]]:
    """Metrics that stand together: those named `<metric>/<problem>` by their problem."""
    found: dict[str, list[str]] = {}
    for metric in metrics:
        found.setdefault(metric.partition("/")[2], []).append(metric)
    yield from found.values()


def _result_table(curves_of: Mapping[str, Mapping[str, Curve]], metrics: list[str], best: str) -> Markup:
    rows: list[list[str | Cell]] = []
    for agent, curves in curves_of.items():
        rows.append([agent, *(last_value(metric, curves) for metric in metrics)])
    if best in metrics:
        place = 1 + metrics.index(best)
        rows.sort(key=lambda row: _value(row[place]))
    problem = metrics[0].partition("/")[2]
    first = next(iter(curves_of.values()))
    steps = {int(first[metric].steps[-1]) for metric in metrics}
    replicates = {first[metric].values.shape[1] for metric in metrics}
    at = f"at step {steps.pop():,}" if len(steps) == 1 else "at the last step"
    over = f" over {max(replicates):,} replicates" if max(replicates) > 1 else ""
    caption = f"{problem + ', ' if problem else ''}{at}: mean [95 % interval]{over}"
    head = ["agent", *(metric.partition("/")[0] for metric in metrics)]
    return table(caption[0].upper() + caption[1:], head, rows)


def last_value(metric: str, curves: Mapping[str, Curve]) -> Cell:
    """Mean and interval at the last step, or how many replicates say yes (1), in metrics of YES_OR_NO.

    Of replicates some of which have no value it says how many have one.
    """
    values = curves[metric].values[-1]
    there = values[np.isfinite(values)]
    if not len(there):
        return Cell("none")
    if len(there) > 1 and metric.partition("/")[0] in YES_OR_NO:  # a share, of which Student knows nothing
        return Cell(f"{there.sum():.0f} of {len(there)}", float(there.mean()))
    if len(there) == len(values):
        estimate = estimate_of(metric, curves)
        low, high = (np.atleast_1d(end)[-1] for end in estimate.interval)
        mean = float(np.atleast_1d(estimate.value)[-1])
    else:
        estimate = mean_estimate(there)
        (low, high), mean = estimate.interval, float(estimate.value)
    text = shown(mean) + ("" if np.isnan(low) else f" [{shown(float(low))}, {shown(float(high))}]")
    return Cell(text + (f" ({len(there)} of {len(values)})" if len(there) < len(values) else ""), mean)


def shown(value: float) -> str:
    """`1,234.5`, `12.35` or `0.0123`, about four digits that count; two of less than 0.001, as `0.00012`."""
    if abs(value) <= 1e-9:  # what is left of sums that come to nothing
        return "0"
    if abs(value) < 1e-3 or not np.isfinite(value):
        return f"{value:.2g}"
    digits = int(np.clip(3 - np.floor(np.log10(abs(value))), 1, 4))
    return f"{value:,.{digits}f}"


def ranking_tables(problem: Problem) -> list[Markup]:
    """Who is best in a sentence, the ranks, and the p-values of each two."""
    first, ranking = problem.standings[0], problem.ranking
    others = [_name(problem, i) for i in range(1, len(problem.standings)) if int(ranking.rank_low[i]) == 1]
    said = f"{_name(problem, 0)} has the least {problem.metric} after {problem.rounds:,} rounds: "
    said += f"{first.regret}. "
    if others:
        said += f"The tests leave open that it is {' or '.join(others)} instead."
    else:
        said += "The tests leave no other in its place."
    name = f"{problem.metric} after {problem.rounds:,}"
    rows: list[list[str | Cell]] = []
    for i, one in enumerate(problem.standings):
        mean = Cell(one.regret, float(one.mean.value))
        rank = Cell(problem.ranks(i), float(ranking.rank[i]))
        rows.append([one.algorithm, *([one.run] if problem.several else []), mean, rank])
    head = ["algorithm", *(["run"] if problem.several else []), name, "rank"]
    ranks = table(f"{name}: mean [95 % interval], the best first", head, rows)
    count = len(problem.standings)
    matrix: list[list[str | Cell]] = [
        [f"{i + 1} {_name(problem, i)}", *(_p(problem, i, j) for j in range(count))] for i in range(count)
    ]
    tests = table(
        "p of each two, corrected by Holm", ["algorithm", *(str(i + 1) for i in range(count))], matrix
    )
    return [tag("p", tag("strong", said)), ranks, tests]


def comparison_tables(directory: Path) -> list[Markup]:
    """The tables that `recsim-env compare` has written, as they are."""
    found = []
    for name, columns, caption in (
        ("table.csv", TABLE, "Ranks of all algorithms, with 95 % intervals"),
        ("pairs.csv", PAIRS, "Each two, p corrected by Holm"),
    ):
        file = directory / name
        if file.is_file():
            with file.open(newline="", encoding="utf-8") as lines:
                rows = [row for row in csv.reader(lines) if len(row) == len(columns)]
            found += [tag("h3", caption), table(caption, columns, [_numbers(row) for row in rows[1:]])]
    return found or [tag("p", "There are no tables: nothing in it can be ranked.")]


def _numbers(row: list[str]) -> list[str | Cell]:
    cells: list[str | Cell] = []
    for text in row:
        try:
            value = float(text)
        except ValueError:
            cells.append(text)
        else:
            cells.append(Cell("-") if np.isnan(value) else Cell(shown(value) if "." in text else text, value))
    return cells


def _name(problem: Problem, i: int) -> str:
    one = problem.standings[i]
    return f"{one.algorithm} ({one.run})" if problem.several else one.algorithm


def _p(problem: Problem, i: int, j: int) -> Cell:
    p = float(problem.ranking.p[i, j])
    return Cell(problem.p(i, j).strip(), None if np.isnan(p) else p)


def _value(cell: str | Cell) -> float:
    value = cell.value if isinstance(cell, Cell) else None
    return np.inf if value is None else value
