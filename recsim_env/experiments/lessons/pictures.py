"""Pictures of the notebooks: curves with bands, and animations that play where they stand."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.evaluation.intervals import mean_estimate

if TYPE_CHECKING:
    from IPython.display import Image
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers can tell apart
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
DPI = 72


def draw_band(axes: Any, x: Any, curves: Floats, label: str, colour: str | None = None, **style: Any) -> None:
    """The mean of curves (T, B) over replicates, with its 95 % band.

    Args:
        axes: of matplotlib.
        x: (T,) where the curves stand.
        curves: (T, B).
        label: for the legend.
        colour: the next of `COLOURS` by default.
        style: of the line, as `axes.plot` takes it.
    """
    colour = colour or COLOURS[len(axes.lines) % len(COLOURS)]
    estimate = mean_estimate(curves)
    axes.plot(x, estimate.value, color=colour, label=label, lw=1.8, **style)
    if curves.shape[1] > 1:
        axes.fill_between(x, *estimate.interval, color=colour, alpha=0.2, lw=0)
    tidy(axes)


def tidy(axes: Any) -> None:
    """No box, a faint grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, lw=0.6)


def animate(figure: "Figure", draw: Callable[[int], None], frames: int, per_second: float = 4.0) -> "Image":
    """A film of a figure, as a GIF that a notebook shows.

    Args:
        figure: of matplotlib; it is closed afterwards, so that it is not shown a second time.
        draw: draws frame 0, 1, ... into the figure, which it has to clear first.
        frames: how many.
        per_second: how fast they follow each other; the last one stays two seconds.
    """
    import matplotlib.pyplot as plt
    from IPython.display import Image
    from PIL import Image as Pixels

    pictures = []
    figure.set_dpi(DPI)
    for i in range(frames):
        draw(i)
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())[:, :, :3]  # type: ignore[attr-defined]
        pictures.append(Pixels.fromarray(pixels).quantize(64, dither=Pixels.Dither.NONE))
    plt.close(figure)
    file, pause = io.BytesIO(), round(1000 / per_second)
    waits = [pause] * (frames - 1) + [max(pause, 2000)]
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:], duration=waits, loop=0)
    return Image(data=file.getvalue(), format="gif")  # type: ignore[no-untyped-call]
