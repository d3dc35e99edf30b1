"""One table across the bandit algorithms of several runs: regret, ranks, pairwise tests; and one TensorBoard.

Algorithms of the same problem are compared, whichever run they come from: replicates with the same seed in
two runs are the same users, and are paired (`evaluation/rank_intervals.py`).
"""

import csv
import shlex
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate, mean_estimate
from recsim_env.evaluation.rank_intervals import Ranking, Scores, as_text, rank_learners
from recsim_env.experiments.aligned import aligned
from recsim_env.experiments.files import write_atomically
from recsim_env.experiments.results import Results
from recsim_env.experiments.tensorboard import write_events

HEADING = "# Bandits compared"
TABLE = (
    "problem",
    "metric",
    "algorithm",
    "run",
    "replicates",
    "mean",
    "low",
    "high",
    "rank",
    "rank_low",
    "rank_high",
)
PAIRS = ("problem", "algorithm", "run", "other_algorithm", "other_run", "difference", "p_holm", "test")
MEANING = (
    "Mean at the last round with its 95 % interval; the rank, and the ranks that the tests leave open; p of "
    "each two, corrected by Holm's method: of differences replicate by replicate, and with a w by Welch's "
    "test, of runs that share no replicates."
)


@dataclass(frozen=True)
class Run:
    """What a directory holds."""

    name: str  # of its directory
    results: Results
    metric: str  # that algorithms are ranked by
    seed: int  # of replicate 0


@dataclass(frozen=True)
class Standing:
    """An algorithm of a run."""

    algorithm: str
    run: str
    mean: Estimate

    @property
    def regret(self) -> str:
        """`377.0 [371.1, 382.9]`."""
        low, high = self.mean.interval
        interval = "" if np.isnan(low) else f" [{low:,.1f}, {high:,.1f}]"
        return f"{float(self.mean.value):,.1f}{interval}"


@dataclass(frozen=True)
class Problem:
    """All algorithms of one problem, the best first."""

    title: str
    metric: str
    rounds: int
    standings: list[Standing]
    ranking: Ranking  # in their order

    @property
    def several(self) -> bool:
        """Whether the algorithms are of more than one run."""
        return len({one.run for one in self.standings}) > 1

    def ranks(self, i: int) -> str:
        """`2`, or `2 (2 to 4)` where more are open."""
        rank, low, high = (
            int(x[i]) for x in (self.ranking.rank, self.ranking.rank_low, self.ranking.rank_high)
        )
        return f"{rank}" if low == high else f"{rank} ({low} to {high})"

    def p(self, i: int, j: int) -> str:
        """The corrected p-value of two of them."""
        if i == j:
            return ""
        p = self.ranking.p[i, j]
        if self.ranking.paired.all() or np.isnan(p):
            return as_text(p)
        return as_text(p) + (" " if self.ranking.paired[i, j] else "w")


def problem_of(title: str, runs: Sequence[Run]) -> Problem:
    """Rank the algorithms of runs of one problem."""
    found: list[tuple[Standing, Scores]] = []
    for run in runs:
        for agent, curves in run.results.curves.items():
            last = curves[run.metric].values[-1]
            scores = Scores(last, run.seed + np.arange(len(last)))
            found.append((Standing(agent, run.name, mean_estimate(last)), scores))
    found.sort(key=lambda one: float(one[0].mean.value))
    ranking = rank_learners({f"{one.algorithm} ({one.run})": scores for one, scores in found})
    curve = next(iter(runs[0].results.curves.values()))[runs[0].metric]
    return Problem(title, runs[0].metric, int(curve.steps[-1]), [one for one, _ in found], ranking)


def run_names(directories: Sequence[Path]) -> dict[Path, str]:
    """A name for each: that of its directory, or of its whole path where two have the same.

    Raises:
        InputError: a directory comes twice.
    """
    names = [directory.resolve().name for directory in directories]
    found: dict[Path, str] = {}
    for directory, name in zip(directories, names, strict=True):
        if directory.resolve() in {other.resolve() for other in found}:
            raise InputError(f"{directory} comes twice: give every run once")
        whole = "-".join(part for part in directory.resolve().parts if part != "/")
        found[directory] = name if names.count(name) == 1 else whole
    return found


def check_place(out: Path) -> None:
    """Refuse a directory in which the comparison would overwrite what it did not write.

    Raises:
        InputError: it holds a run, or a README.md of something else.
    """
    if (out / "run.json").exists():
        raise InputError(f"{out} holds a run, whose figure would be overwritten: choose another --out")
    readme = out / "README.md"
    if readme.exists() and not readme.read_text(encoding="utf-8").startswith(HEADING):
        raise InputError(f"{readme} is of something else and would be overwritten: choose another --out")


def show(problem: Problem) -> str:
    """The table and the matrix of p-values, for the terminal."""
    ranked = list(enumerate(problem.standings))
    name = f"{problem.metric} after {problem.rounds:,}"
    head = ["", *(["run"] if problem.several else []), name, "rank"]
    rows = [head]
    for i, one in ranked:
        rows.append([one.algorithm, *([one.run] if problem.several else []), one.regret, problem.ranks(i)])
    matrix = [["p", *(str(i + 1) for i, _ in ranked)]]
    matrix += [[f"{i + 1} {one.algorithm}", *(problem.p(i, j) for j, _ in ranked)] for i, one in ranked]
    return f"\n{problem.title}\n{aligned(rows)}\n{aligned(matrix)}"


def write(out: Path, problems: Sequence[Problem], directories: Sequence[Path]) -> None:
    """Write `table.csv`, `pairs.csv` and `README.md` into a directory that is there."""
    _write_csv(out / "table.csv", TABLE, [row for problem in problems for row in _table(problem)])
    _write_csv(out / "pairs.csv", PAIRS, [row for problem in problems for row in _pairs(problem)])
    command = shlex.join(["recsim-env", "compare", *map(str, directories), "--out", str(out)])
    blocks = [HEADING, f"`{command}`", "![regret of all runs](figure.png)", MEANING]
    for problem in problems:
        blocks += [f"## {problem.title}", _markdown(problem)]
    text = "\n\n".join(blocks) + "\n"
    write_atomically(out / "README.md", lambda path: _write_text(path, text))


def write_tensorboard(out: Path, runs: Mapping[str, tuple[Path, Results]]) -> str:
    """Write the curves of all runs below one folder; returns the command that shows them.

    Args:
        out: the folder is its `tensorboard`.
        runs: directory and results by name.
    """
    for run, (directory, results) in runs.items():
        for agent, curves in results.curves.items():
            write_events(out / "tensorboard" / run, agent, curves, run=directory)
    return shlex.join(["recsim-env", "board", str(out)])


def print_all(problems: Sequence[Problem]) -> None:
    """Print every table, and what it means."""
    sys.stdout.write("".join(show(problem) for problem in problems))
    sys.stdout.write("\n" + textwrap.fill(MEANING, 110) + "\n")


def _markdown(problem: Problem) -> str:
    count = len(problem.standings)
    head = [
        "rank",
        "algorithm",
        *(["run"] if problem.several else []),
        f"{problem.metric} after {problem.rounds:,}",
    ]
    head += [f"p, {i + 1}" for i in range(count)]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for i, one in enumerate(problem.standings):
        cells = [problem.ranks(i), one.algorithm, *([one.run] if problem.several else []), one.regret]
        cells += [problem.p(i, j).strip().replace("<", "&lt;") for j in range(count)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _table(problem: Problem) -> list[list[Any]]:
    ranking, rows = problem.ranking, []
    for i, one in enumerate(problem.standings):
        ends = [float(x) for x in (one.mean.value, *one.mean.interval)]
        ranks = [int(x[i]) for x in (ranking.rank, ranking.rank_low, ranking.rank_high)]
        rows.append(
            [problem.title, problem.metric, one.algorithm, one.run, int(one.mean.count), *ends, *ranks]
        )
    return rows


def _pairs(problem: Problem) -> list[list[Any]]:
    ranking, rows = problem.ranking, []
    for i, one in enumerate(problem.standings):
        for j, other in enumerate(problem.standings[i + 1 :], i + 1):
            test = "paired" if ranking.paired[i, j] else "welch"
            measured = [float(ranking.difference[i, j]), float(ranking.p[i, j]), test]
            rows.append([problem.title, one.algorithm, one.run, other.algorithm, other.run, *measured])
    return rows


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    def into(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)

    write_atomically(path, into)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
