"""The report of `fidelity`: a table as text, Markdown or CSV, and a picture of small multiples."""

import csv
import textwrap
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.evaluation.intervals import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#000000", "#0072B2")  # real, simulated: Okabe and Ito's black and blue
DISTRUST = "NOT TO BE TRUSTED: "


@dataclass(frozen=True)
class Row:
    """One statistic of both logs."""

    statistic: str
    real: float
    real_std_error: float  # nan where it has none
    simulated: float
    simulated_std_error: float

    @property
    def z(self) -> float:
        """(simulated - real) / standard error of the difference; nan where there is none.

        With two standard errors of 0 it is 0 for equal values, else infinite.
        """
        error = float(np.hypot(self.real_std_error, self.simulated_std_error))
        difference = self.simulated - self.real
        if error == 0:
            return 0.0 if difference == 0 else float(np.copysign(np.inf, difference))
        return difference / error


@dataclass(frozen=True)
class Panel:
    """One curve of both logs, for the picture."""

    title: str
    x_label: str
    y_label: str
    x: Floats  # (J,)
    real: Estimate  # (J,), nan where it has no value
    simulated: Estimate  # (J,)
    log_x: bool = False
    log_y: bool = False
    names: tuple[str, ...] = ()  # (J,) of the x, where they are not numbers


@dataclass(frozen=True)
class FidelityReport:
    """What `fidelity` found; `print(report)` prints the table."""

    rows: tuple[Row, ...]
    panels: tuple[Panel, ...]
    left_out: tuple[str, ...]  # statistics that do not apply, each with the reason
    notes: tuple[str, ...]  # what to bear in mind when reading
    problems: tuple[str, ...] = ()  # why the fit should not be trusted; said wherever the report is

    def __str__(self) -> str:
        return self.text()

    @property
    def remarks(self) -> tuple[str, ...]:
        """What stands below the table: problems, what was left out, notes."""
        distrust = (f"{DISTRUST}{problem}" for problem in self.problems)
        return (*distrust, *(f"left out: {text}" for text in self.left_out), *self.notes)

    def text(self) -> str:
        """The table in aligned columns, then the remarks."""
        cells = [("statistic", "real", "simulated", "z"), *map(_cells, self.rows)]
        wide = [max(len(row[c]) for row in cells) for c in range(4)]
        lines = [
            "  ".join([row[0].ljust(wide[0]), *(row[c].rjust(wide[c]) for c in range(1, 4))]) for row in cells
        ]
        lines.append("value +- standard error over users; z = (simulated - real) / its standard error")
        return "\n".join([*lines, *self.remarks])

    def markdown(self) -> str:
        """The same as a Markdown table, followed by a list."""
        lines = ["| statistic | real | simulated | z |", "|---|---:|---:|---:|"]
        lines += [f"| {' | '.join(_cells(row))} |" for row in self.rows]
        remarks = [f"- {text}" for text in self.remarks]
        return "\n".join([*lines, *(["", *remarks] if remarks else [])]) + "\n"

    def csv(self) -> str:
        """The rows with all their digits; `nan` where there is no number, as in rows of problems."""
        out = StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["statistic", "real", "real_std_error", "simulated", "simulated_std_error", "z"])
        for problem in self.problems:  # first, and no comment: readers of tables take those for cells
            writer.writerow([f"{DISTRUST}{problem}", *["nan"] * 5])
        for row in self.rows:
            numbers = (row.real, row.real_std_error, row.simulated, row.simulated_std_error, row.z)
            writer.writerow([row.statistic, *(repr(float(number)) for number in numbers)])
        return out.getvalue()

    def picture(self) -> "Figure":
        """Small multiples of all curves, real in black, simulated in blue, with 95 % bands over users.

        Problems stand above them in red.
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        columns = max(1, -(-len(self.panels) // 2)) if len(self.panels) > 3 else max(1, len(self.panels))
        rows = max(1, -(-len(self.panels) // columns))
        figure = Figure(figsize=(3.6 * columns, 3.1 * rows), layout="constrained")
        FigureCanvasAgg(figure)  # not pyplot, which would keep the figure alive and look for a screen
        places = np.atleast_1d(figure.subplots(rows, columns)).ravel()
        for axes, panel in zip(places, self.panels, strict=False):
            _draw(axes, panel)
        for axes in places[len(self.panels) :]:
            axes.set_axis_off()
        if self.panels:
            handles, names = places[0].get_legend_handles_labels()
            legend: Any = {"loc": "outside upper left", "ncols": 2, "frameon": False}
            if self.problems:  # the title would lie upon it
                legend["loc"] = "outside lower left"
            figure.legend(handles, names, **legend)
        if self.problems:
            title = f"{DISTRUST}{'; '.join(self.problems)}"
            lines = textwrap.wrap(title, int(11 * figure.get_figwidth()), max_lines=4)
            figure.suptitle("\n".join(lines), color="#d00000", fontsize=10, fontweight="bold")
        return figure


def _draw(axes: Any, panel: Panel) -> None:
    """Both curves of a panel; zeros are left out of a logarithmic axis."""
    from matplotlib.ticker import LogLocator, NullFormatter

    for i, (name, estimate) in enumerate((("real", panel.real), ("simulated", panel.simulated))):
        value = np.asarray(estimate.value, np.float64)
        low, high = (np.asarray(end, np.float64) for end in estimate.interval)
        shown = value > 0 if panel.log_y else ~np.isnan(value)
        if panel.names:
            error = np.nan_to_num(high - value)
            places = panel.x + 0.16 * (i - 0.5)  # beside each other, not one upon the other
            axes.errorbar(
                places, value, yerr=error, fmt="os"[i], color=COLOURS[i], ms=4.5, capsize=2, label=name
            )
            continue
        axes.plot(panel.x[shown], value[shown], "-" if i == 0 else "--", color=COLOURS[i], lw=1.6, label=name)
        banded = shown & ~np.isnan(low)
        if panel.log_y:
            low = np.maximum(low, value / 10)  # a band down to 0 has no place on this axis
        axes.fill_between(panel.x[banded], low[banded], high[banded], color=COLOURS[i], alpha=0.2, lw=0)
    if panel.names:
        axes.set_xticks(panel.x, panel.names, rotation=20)
        axes.margins(x=0.12)
    if panel.log_x:
        axes.set_xscale("log")
        if panel.x.max() < 1000 * panel.x.min():  # else the names of all the small marks overlap
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
    if panel.log_y:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0.0)
    axes.set_title(panel.title, fontsize=10, loc="left")
    axes.set_xlabel(panel.x_label, fontsize=9)
    axes.set_ylabel(panel.y_label, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, lw=0.6)


def _cells(row: Row) -> tuple[str, str, str, str]:
    z = "" if np.isnan(row.z) else f"{row.z:+.1f}"
    return (
        row.statistic,
        _with_error(row.real, row.real_std_error),
        _with_error(row.simulated, row.simulated_std_error),
        z,
    )


def _with_error(value: float, error: float) -> str:
    if np.isnan(error):
        return f"{value:,.0f}" if value == np.floor(value) else f"{value:.4g}"
    if abs(value) >= 10_000:
        return f"{value:,.0f} +- {error:,.0f}"
    size = max(abs(value), error)
    decimals = 4 if size == 0 else int(np.clip(3 - np.floor(np.log10(size)), 0, 9))
    return f"{value:.{decimals}f} +- {error:.{decimals}f}"
