"""A sheet of pixels to draw a frame on: matplotlib without its global state (pyplot) and without axes.

Places are in pixels from the top left corner. Everything that a user's matplotlib settings could change
is given explicitly, so a frame looks the same everywhere.
"""

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Polygon
from matplotlib.text import Text
from matplotlib.transforms import Affine2D

from recsim_env.arrays import Array

Point = tuple[float, float]
Align = Literal["left", "center", "right"]
DPI = 100


class Sheet:
    """A white sheet of width x height pixels."""

    def __init__(self, width: int, height: int) -> None:
        self._figure = Figure(
            figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white", edgecolor="none"
        )
        self._canvas = FigureCanvasAgg(self._figure)
        self._pixels = Affine2D().scale(1, -1).translate(0, height)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        color: str,
        size: float = 9,
        bold: bool = False,
        align: Align = "left",
        width: float | None = None,
    ) -> None:
        """One line, centred on y; cut with an ellipsis when wider than `width` pixels."""
        if width is not None:
            words = _cut(words, size, bold, width)
        self._add(
            Text(
                x,
                y,
                words,
                color=color,
                fontproperties=_font(size, bold),
                horizontalalignment=align,
                verticalalignment="center_baseline",
                usetex=False,
                parse_math=False,  # an item's name may hold a dollar sign
            )
        )

    def box(
        self,
        corner: Point,
        size: Point,
        *,
        fill: str = "none",
        edge: str = "none",
        line: float = 1.0,
        dashed: bool = False,
        radius: float = 0.0,
    ) -> None:
        """A rectangle from its top left corner, its own corners rounded."""
        style = f"round,pad=0,rounding_size={radius}" if radius else "square,pad=0"
        dashes = (0, (4, 3)) if dashed else "solid"
        self._add(
            FancyBboxPatch(
                corner,
                *size,
                boxstyle=style,
                facecolor=fill,
                edgecolor=edge,
                linewidth=line,
                linestyle=dashes,
            )
        )

    def line(self, points: Sequence[Point], *, color: str, width: float = 1.0) -> None:
        """Straight from point to point."""
        x, y = zip(*points, strict=True)
        self._add(
            Line2D(x, y, color=color, linewidth=width, linestyle="solid", marker="", solid_capstyle="round")
        )

    def polygon(self, points: Sequence[Point], *, fill: str, edge: str = "none", line: float = 1.0) -> None:
        """A filled outline."""
        self._add(Polygon(np.array(points), closed=True, facecolor=fill, edgecolor=edge, linewidth=line))

    def disc(self, centre: Point, radius: float, *, fill: str, edge: str = "none", line: float = 1.0) -> None:
        """A filled circle."""
        self._add(Circle(centre, radius, facecolor=fill, edgecolor=edge, linewidth=line))

    def arrow(self, start: Point, end: Point, *, color: str, width: float = 1.5, head: float = 10.0) -> None:
        """A straight arrow whose tip is at `end`."""
        self._add(
            FancyArrowPatch(
                start,
                end,
                arrowstyle="-|>",
                mutation_scale=head,
                color=color,
                linewidth=width,
                shrinkA=0,
                shrinkB=0,
            )
        )

    def pixels(self) -> Array:
        """(height, width, 3) uint8."""
        self._canvas.draw()  # type: ignore[no-untyped-call]
        return np.asarray(self._canvas.buffer_rgba())[:, :, :3].copy()  # type: ignore[no-untyped-call]

    def _add(self, artist: Artist) -> None:
        artist.set_transform(self._pixels)
        artist.set_zorder(len(self._figure.get_children()))  # later strokes cover earlier ones
        self._figure.add_artist(artist)


@cache
def _font(size: float, bold: bool) -> FontProperties:
    return FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")


def text_width(words: str, size: float, bold: bool = False) -> float:
    """The pixels that one line takes."""
    return float(_renderer().get_text_width_height_descent(words, _font(size, bold), False)[0])  # type: ignore[no-untyped-call]


@cache
def _renderer() -> RendererAgg:
    return RendererAgg(1, 1, DPI)  # type: ignore[no-untyped-call]


@lru_cache(maxsize=4096)  # the same few names come back frame after frame
def _cut(words: str, size: float, bold: bool, width: float) -> str:
    """The words, or as many of their letters as fit with an ellipsis, found by bisection."""
    if text_width(words, size, bold) <= width:
        return words
    letters = bisect_left(
        range(len(words)), True, key=lambda n: text_width(words[: n + 1] + "…", size, bold) > width
    )
    return words[:letters].rstrip() + "…"
