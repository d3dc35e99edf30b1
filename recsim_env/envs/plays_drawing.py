"""The last plays of a listener and how long ago they were, drawn under a short slate.

One row a song, latest first, with a line as long as the time since then on a scale of logarithms: the songs
of this session stand at its beginning, those of earlier ones jump away from it.
"""

from math import log

from recsim_env.envs.sheet import Sheet
from recsim_env.envs.slate_drawing import BEST_END, BLUE, CARDS, GREY, HEIGHT, INK, PALE
from recsim_env.envs.user_scene import Play

TIMES, TIMES_END = 222.0, 470.0
LONGEST = 30.0 * 24.0  # hours; what is longer ago ends there too
TICKS = ((1.0 / 6.0, "10 min"), (1.0, "1 h"), (24.0, "1 day"), (LONGEST, "30 days"))
PITCH = 17.0


def draw_plays(sheet: Sheet, plays: tuple[Play, ...], top: float) -> None:
    """As many as there is room for between `top` and the end of the sheet."""
    first = top + 28
    rows = min(len(plays), int((HEIGHT - 12 - first) / PITCH))
    sheet.text(CARDS, top + 8, "last plays", color=GREY)
    for hours, words in TICKS:
        x = _x(hours)
        sheet.text(x, top + 8, words, size=8, align="center", color=GREY)
        sheet.line([(x, first - 8), (x, first + (rows - 1) * PITCH + 8)], color=PALE, width=0.8)
    for i, play in enumerate(plays[:rows]):
        y, x = first + i * PITCH, _x(play.hours)
        sheet.text(CARDS, y, play.name, size=8.5, bold=i == 0, color=INK, width=TIMES - CARDS - 8)
        sheet.line([(TIMES, y), (x, y)], color=BLUE, width=1.4)
        sheet.disc((x, y), 4, fill=BLUE)
        sheet.text(BEST_END, y, play.ago, size=8, align="right", color=GREY)


def _x(hours: float) -> float:
    """Of a time ago: a minute at the left end."""
    share = log(max(60.0 * hours, 1.0)) / log(60.0 * LONGEST)
    return TIMES + (TIMES_END - TIMES) * min(share, 1.0)
