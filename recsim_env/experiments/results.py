"""The results of a run: rows of (agent, replicate, step, metric, value), in memory and in `results.csv`."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError
from recsim_env.experiments.files import write_atomically

COLUMNS = ("agent", "replicate", "step", "metric", "value")


@dataclass
class Curve:
    """One metric of one agent."""

    steps: Ints  # (P,) where it was recorded, increasing
    values: Floats  # (P, B) of every replicate


@dataclass
class Results:
    """Curves by agent, then metric; agents and metrics in the order in which they were added."""

    curves: dict[str, dict[str, Curve]] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write `results.csv`: the same results give the same bytes."""

        def rows(temporary: Path) -> None:
            with temporary.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(COLUMNS)
                for agent, metrics in self.curves.items():
                    for metric, curve in metrics.items():
                        for step, values in zip(curve.steps, curve.values, strict=True):
                            for replicate, value in enumerate(values):
                                writer.writerow((agent, replicate, int(step), metric, repr(float(value))))

        write_atomically(path, rows)

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Read `results.csv`.

        Raises:
            InputError: no such file, other columns, or a row that is not as `write` writes it; the
                message names file and row.
        """
        if not path.is_file():
            raise InputError(f"{path} does not exist: give the directory of a run that has finished")
        cells: dict[str, dict[str, dict[int, list[float]]]] = {}
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            if tuple(next(reader, ())) != COLUMNS:
                raise InputError(f"{path} must begin with the columns {','.join(COLUMNS)}")
            for number, row in enumerate(reader, start=2):
                try:
                    agent, replicate, step, metric, value = row
                    values = cells.setdefault(agent, {}).setdefault(metric, {}).setdefault(int(step), [])
                    in_order = int(replicate) == len(values)
                    values.append(float(value))
                except ValueError:
                    raise InputError(f"{path}, row {number} is not a result: {','.join(row)!r}") from None
                if not in_order:
                    raise InputError(f"{path}, row {number}: replicate {replicate} is out of order")
        results = cls()
        for agent, metrics in cells.items():
            for metric, steps in metrics.items():
                if len({len(values) for values in steps.values()}) != 1:
                    raise InputError(f"{path}: {metric} of {agent} lacks replicates at some steps")
                curve = Curve(np.array(list(steps)), np.array(list(steps.values())))
                results.curves.setdefault(agent, {})[metric] = curve
        return results


def log_steps(last: int) -> Ints:
    """Steps at which to record, about 20 a factor of ten: 1, 2, 3, ... 10, 11, 13, ..., with the last."""
    exponents = np.arange(0, np.log10(last) + 0.05, 0.05)
    steps = np.unique(np.append(np.round(10.0**exponents), last)).astype(np.int64)
    return np.asarray(steps[steps <= last])
