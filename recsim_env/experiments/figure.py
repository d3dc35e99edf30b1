"""Pictures of results: curves with confidence bands, and bars with confidence intervals."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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
    "myopic": "#D55E00",
    "popularity": "#F0E442",
    "random": "#999999",
    "optimal": "#000000",
}
SPARE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
HATCHES = ("", "////", "....")  # of bars whose colours come round again
STYLES = ("-", "--", ":", "-.")


def new_figure(panels: int, rows: int = 1) -> tuple["Figure", list[Any]]:
    """A figure of rows of panels, without pyplot, which would keep it alive and look for a screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4 * panels, 4.4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(np.ravel(figure.subplots(rows, panels)))


def draw_curves(axes: Any, results: Results, metric: str, label: str = "", style: int = 0) -> None:
    """The mean of a metric over replicates against the step, with its 95 % band."""
    ends = []
    for i, (agent, metrics) in enumerate(results.curves.items()):
        curve = metrics[metric]
        estimate = mean_estimate(curve.values)
        colour = COLOURS.get(agent, SPARE[i % len(SPARE)])
        name = agent + label
        axes.plot(curve.steps, estimate.value, STYLES[style % len(STYLES)], color=colour, label=name, lw=1.8)
        if curve.values.shape[1] > 1:
            axes.fill_between(curve.steps, *estimate.interval, color=colour, alpha=0.18, lw=0)
        ends.append(float(np.asarray(estimate.value)[-1]))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, lw=0.6)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.margins(x=0.01)
    # the legend in the order of the curves' ends, so that it reads like the picture
    handles, names = axes.get_legend_handles_labels()
    worth = dict(zip(names[-len(ends) :], ends, strict=True))
    order = sorted(range(len(names)), key=lambda j: -worth.get(names[j], 0.0))
    axes.legend([handles[j] for j in order], [names[j] for j in order], frameon=False, fontsize=9)


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
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.12), "ncols": min(5, len(names))}
    axes.legend(handles, names, frameon=False, fontsize=9, **place)


def save(figure: "Figure", path: Path) -> None:
    """Write the picture atomically, without the date that would change its bytes."""
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=110, metadata={"Software": None}))
