"""Pictures of results: curves with confidence bands, and bars with confidence intervals."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.experiments.files import write_atomically
from recsim_env.experiments.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers can tell apart; an agent keeps its colour everywhere.
COLOURS = {
    "cascading_vi": "#0072B2",
    "cascading_vi_doubling": "#009E73",
    "cascading_vi_bonus": "#56B4E9",
    "cascading_vi_oracle": "#000000",
    "cascading_bpi": "#009E73",
    "adapt_vi": "#CC79A7",
    "cascade_ucb": "#E69F00",
    "cascade_kl_ucb": "#009E73",
    "cascade_ts": "#56B4E9",
    "ts_cascade": "#CC79A7",
    "ucb1": "#E69F00",
    "beta_ts": "#56B4E9",
    "myopic": "#D55E00",
    "popularity": "#F0E442",
    "random": "#999999",
    "optimal": "#000000",
}
SPARE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
HATCHES = ("", "////", "....")  # of bars whose colours come round again
MARKERS = ("", "o", "s", "^", "D", "v")  # of curves whose colours come round again
STYLES = ("-", "--", ":", "-.")
MOST_INSIDE = 8  # names in a legend inside the panel; more of them would hide the curves
PANEL = (6.4, 4.4)  # inches
MOST_ROWS = 20  # of a legend beside the panel, which would be higher than the panel else
BESIDE = 2.6  # inches of a column of it
LETTERS, SWATCH = 80, 7  # that a legend below a panel has room for, and how many a patch of colour takes


def new_figure(panels: int, rows: int = 1) -> tuple["Figure", list[Any]]:
    """A figure of rows of panels, without pyplot, which would keep it alive and look for a screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PANEL[0] * panels, PANEL[1] * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(np.ravel(figure.subplots(rows, panels)))


def draw_curves(axes: Any, results: Results, metric: str, label: str = "", style: int = 0) -> None:
    """The mean of a metric over replicates against the step, with its 95 % band."""
    looks = _looks(axes, list(results.curves))
    for agent, metrics in results.curves.items():
        curve = metrics[metric]
        estimate = mean_estimate(curve.values)
        colour, marker = looks[agent]
        axes.plot(
            curve.steps,
            estimate.value,
            STYLES[style % len(STYLES)],
            color=colour,
            marker=marker,
            markevery=0.12,
            markersize=4.5,
            label=agent + label,
            lw=1.8,
            gid=agent,
        )
        if curve.values.shape[1] > 1:
            axes.fill_between(curve.steps, *estimate.interval, color=colour, alpha=0.18, lw=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, lw=0.6)
    if axes.get_yscale() == "linear":
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.margins(x=0.01)
    legend(axes)


def draw_bounds(axes: Any, steps: Ints, bounds: Mapping[str, Floats]) -> None:
    """Dashed, in the colours of the curves that are there; they do not stretch a linear axis.

    What a bound is at the last step stands in the legend, since it may lie far above the panel.

    Args:
        axes: with the curves of these agents.
        steps: (P,).
        bounds: by agent, (P,).
    """
    low, high = axes.get_ylim()
    looks = _looks(axes, list(bounds))
    there = {
        line.get_label() for line in axes.get_lines()
    }  # an earlier run in this panel may have drawn them
    for agent, bound in bounds.items():
        name = f"bound of {agent}: {bound[-1]:,.0f}"
        if name in there:
            continue
        axes.plot(steps, bound, color=looks[agent][0], lw=1.1, ls=(0, (5, 3)), label=name, zorder=1)
    if axes.get_yscale() == "linear":
        ends = [float(bound.max()) for bound in bounds.values()]
        axes.set_ylim(low, max([high, *(1.05 * end for end in ends if end < 1.5 * high)]))
    legend(axes)


def _looks(axes: Any, agents: list[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each agent: its own, or that of its curve in this panel, or one not yet taken."""
    looks = {line.get_gid(): (line.get_color(), line.get_marker()) for line in axes.get_lines()}
    looks.pop(None, None)
    looks = {agent: (colour, "" if marker == "None" else marker) for agent, (colour, marker) in looks.items()}
    fixed = {COLOURS[agent] for agent in [*looks, *agents] if agent in COLOURS}
    free = [c for c in SPARE if c not in fixed]
    for agent in agents:
        if agent not in looks:
            colours = [COLOURS[agent]] if agent in COLOURS else free
            # colours that no agent has as its own first, then all of them again with each marker
            choices = [(c, "") for c in colours] + [
                (c, m) for m in MARKERS[1:] for c in ([COLOURS[agent]] if agent in COLOURS else SPARE)
            ]
            taken = set(looks.values())
            looks[agent] = next((look for look in choices if look not in taken), choices[-1])
    return looks


def legend(axes: Any) -> None:
    """The legend in the order of the curves' ends, so that it reads like the picture; beside it if long."""
    handles = [line for line in axes.get_lines() if not line.get_label().startswith("_")]
    handles.sort(key=lambda line: -float(np.asarray(line.get_ydata())[-1]))
    names = [line.get_label() for line in handles]
    if len(handles) <= MOST_INSIDE:
        axes.legend(handles, names, frameon=False, fontsize=9)
        return
    columns = -(-len(handles) // MOST_ROWS)
    place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "ncols": columns}
    axes.legend(handles, names, frameon=False, fontsize=9, **place)
    width = (PANEL[0] + BESIDE * columns) * axes.get_subplotspec().get_gridspec().ncols
    axes.figure.set_figwidth(max(width, axes.figure.get_figwidth()))


def draw_bars(axes: Any, results: Results, metrics: list[str]) -> None:
    """Metrics of several recommenders side by side, with 95 % intervals from `<metric>_std_error`."""
    width = 0.86 / len(results.curves)
    for i, (agent, curves) in enumerate(results.curves.items()):
        values = [float(curves[metric].values[-1].mean()) for metric in metrics]
        errors = [1.96 * float(curves[f"{metric}_std_error"].values[-1].mean()) for metric in metrics]
        places = np.arange(len(metrics)) + (i - (len(results.curves) - 1) / 2) * width
        axes.bar(
            places,
            values,
            0.92 * width,
            yerr=errors,
            error_kw={"lw": 1},
            label=agent,
            color=SPARE[i % len(SPARE)],
            hatch=HATCHES[i // len(SPARE) % len(HATCHES)],
            edgecolor="white",
            lw=0,
        )
    axes.set_xticks(range(len(metrics)), metrics)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25, lw=0.6)
    axes.set_axisbelow(True)
    legend_below(axes)


def legend_below(axes: Any) -> None:
    """The legend under the panel, where it hides nothing."""
    handles, names = axes.get_legend_handles_labels()
    fit = LETTERS // (SWATCH + max(map(len, names), default=0))
    columns = max(1, min(5, len(names), fit))
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16), "ncols": columns}
    axes.legend(handles, names, frameon=False, fontsize=9, **place)


def save_panel(path: Path, draw: Callable[[Any], None]) -> None:
    """Write a picture of one panel; `draw` is given its axes."""
    save(panel(draw), path)


def panel(draw: Callable[[Any], None]) -> "Figure":
    """A picture of one panel; `draw` is given its axes."""
    picture, (axes,) = new_figure(1)
    draw(axes)
    return picture


def save(figure: "Figure", path: Path) -> None:
    """Write the picture atomically, without the date that would change its bytes."""
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=110, metadata={"Software": None}))


def svg(figure: "Figure") -> bytes:
    """The picture as an SVG file, without the date and random names that would change its bytes."""
    from matplotlib import rc_context

    file = io.BytesIO()
    with rc_context({"svg.hashsalt": "recsim-env"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()
