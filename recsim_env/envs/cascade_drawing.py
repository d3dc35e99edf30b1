"""The picture of one step of a cascade world.

From left to right: the user's gaze going down the slate, the slate as a column of cards, the best slate
of the same state for comparison, and the ladder of states with the move from before to after. Under the
two slates stands what each is worth; the difference is the regret of the step.
"""

from math import hypot

from recsim_env.arrays import Array
from recsim_env.envs.cascade_scene import Card, CascadeScene, Shown
from recsim_env.envs.sheet import Align, Sheet

WIDTH, HEIGHT = 720, 480
MARGIN, TOP, BOTTOM = 24.0, 112.0, 392.0  # the cards and the ladder stand between TOP and BOTTOM
GAZE = 34.0  # x of the line that the gaze follows
CARDS, CARDS_END = 56.0, 388.0
BARS = 222.0  # where a card has one line
BEST, BEST_END = 406.0, 548.0
LADDER, LADDER_END = 594.0, 674.0

# Blue and vermilion of Okabe and Ito: told apart by every kind of colour vision, and in grey.
INK, GREY, PALE = "#222222", "#6b6b6b", "#d9d9d9"
BLUE, BLUE_TINT = "#0072b2", "#e6f1f8"
VERMILION, VERMILION_TINT = "#c44e00", "#fdeee2"
UNSEEN_TINT = "#f6f6f6"


def cascade_picture(scene: CascadeScene) -> Array:
    """(480, 720, 3) uint8."""
    sheet = Sheet(WIDTH, HEIGHT)
    sheet.text(MARGIN, 30, f"Step {scene.step} of {scene.horizon}", size=15, bold=True, color=INK)
    shown = scene.shown
    if shown is None:
        now = "The episode begins: a" if scene.step == 0 else "A"
        sheet.text(MARGIN, 58, f"{now} user in state {scene.state}.", size=10, color=GREY)
        sheet.box((CARDS, TOP), (BEST_END - CARDS, BOTTOM - TOP), edge=PALE, dashed=True, radius=6)
        middle = (CARDS + BEST_END) / 2, (TOP + BOTTOM) / 2
        sheet.text(*middle, scene.without_slate, size=12, align="center", color=GREY)
    else:
        sheet.text(MARGIN, 58, shown.sentence, size=10, color=GREY, width=WIDTH - 2 * MARGIN)
        reward = f"reward {shown.reward:.4g}"
        color = VERMILION if shown.clicked is not None else GREY
        sheet.text(WIDTH - MARGIN, 30, reward, size=15, bold=True, align="right", color=color)
        _draw_worth(sheet, shown, _draw_slates(sheet, shown))
    _draw_ladder(sheet, scene)
    return sheet.pixels()


def _draw_slates(sheet: Sheet, shown: Shown) -> float:
    """Both slates, slot beside slot; returns where they end."""
    K = len(shown.cards)
    pitch = min(84.0, (BOTTOM - TOP) / K)
    height = pitch - min(8.0, pitch / 7)
    two_lines = height >= 44.0
    _heading(sheet, CARDS, "slate shown")
    if not two_lines:
        _heading(sheet, BARS, "attraction")
    _heading(sheet, BEST, "best slate here")
    for k, (card, best) in enumerate(zip(shown.cards, shown.best, strict=True)):
        y = TOP + k * pitch
        _draw_card(sheet, k, card, y, height, two_lines)
        _draw_best(sheet, best, y, height, two_lines)
    _draw_gaze(sheet, shown, pitch, height)
    return TOP + K * pitch


def _draw_card(sheet: Sheet, k: int, card: Card, y: float, height: float, two_lines: bool) -> None:
    middle = y + height / 2
    fill, edge, ink, bar = {
        "clicked": (VERMILION_TINT, VERMILION, INK, VERMILION),
        "passed over": (BLUE_TINT, BLUE, INK, BLUE),
        "not seen": (UNSEEN_TINT, PALE, GREY, "#a8a8a8"),
        "empty": ("none", "#a8a8a8", GREY, "none"),
    }[card.fate]
    sheet.box(
        (CARDS, y),
        (CARDS_END - CARDS, height),
        fill=fill,
        edge=edge,
        line=2.0 if card.fate == "clicked" else 1.0,
        dashed=card.fate == "empty",
        radius=5,
    )
    sheet.text(CARDS + 15, middle, str(k + 1), color=GREY, align="center")
    left = CARDS + 32
    if card.fate == "empty":
        sheet.text(left, middle, card.name, color=ink, width=CARDS_END - left - 12)
        return
    end, clicked = CARDS_END - 12, card.fate == "clicked"
    if two_lines:
        apart = _apart(height)
        sheet.text(left, middle - apart, card.name, size=10.5, bold=True, color=ink, width=end - left)
        bar_left, length, line = left, 104.0, middle + apart
        number = f"attraction {card.attraction:.2f}"
    else:
        size = min(9.0, height / 2)
        sheet.text(left, middle, card.name, size=size, bold=True, color=ink, width=BARS - left - 8)
        bar_left, length, line = BARS, 40.0, middle
        number = f"{card.attraction:.2f}"
    sheet.box((bar_left, line - 4), (length, 8), fill="white", edge=PALE, line=0.8)
    sheet.box((bar_left, line - 4), (length * card.attraction, 8), fill=bar)
    sheet.text(bar_left + length + 8, line, number, size=8, color=ink)
    sheet.text(end, line, card.fate, size=8.5, bold=clicked, align="right", color=edge if clicked else ink)


def _draw_best(sheet: Sheet, best: Card, y: float, height: float, two_lines: bool) -> None:
    middle = y + height / 2
    sheet.line([(BEST, y + 2), (BEST, y + height - 2)], color=PALE, width=2.0)
    if best.fate == "empty":
        sheet.text(BEST + 10, middle, "empty", size=8.5, color=GREY)
    elif two_lines:
        sheet.text(
            BEST + 10, middle - _apart(height), best.name, size=8.5, color=INK, width=BEST_END - BEST - 10
        )
        sheet.text(
            BEST + 10, middle + _apart(height), f"attraction {best.attraction:.2f}", size=8, color=GREY
        )
    else:
        sheet.text(BEST + 10, middle, best.name, size=8.5, color=INK, width=BEST_END - BEST - 44)
        sheet.text(BEST_END, middle, f"{best.attraction:.2f}", size=8, align="right", color=GREY)


def _apart(height: float) -> float:
    """Of the two lines of a card, from its middle."""
    return min(12.0, height / 4.8)


def _draw_gaze(sheet: Sheet, shown: Shown, pitch: float, height: float) -> None:
    """From the eye down to the click, or past the last card."""
    _draw_eye(sheet, GAZE, TOP - 17)
    k = shown.clicked
    if k is None:
        end = TOP + (len(shown.cards) - 1) * pitch + height
        sheet.arrow((GAZE, TOP - 6), (GAZE, end), color=BLUE, width=1.8)
        last = len(shown.cards)
    else:
        middle = TOP + k * pitch + height / 2
        sheet.line([(GAZE, TOP - 6), (GAZE, middle)], color=BLUE, width=1.8)
        sheet.arrow((GAZE, middle), (CARDS - 3, middle), color=VERMILION, width=1.8)
        last = k
    for j in range(last):
        if shown.cards[j].fate == "passed over":
            sheet.disc((GAZE, TOP + j * pitch + height / 2), 4, fill="white", edge=BLUE, line=1.8)


def _draw_eye(sheet: Sheet, x: float, y: float) -> None:
    half = [(-9.0, 0.0), (-5.5, 3.6), (0.0, 5.2), (5.5, 3.6), (9.0, 0.0)]
    outline = [(x + dx, y - dy) for dx, dy in half] + [(x + dx, y + dy) for dx, dy in reversed(half)]
    sheet.polygon(outline, fill="white", edge=BLUE, line=1.4)
    sheet.disc((x, y), 3.2, fill=BLUE)


def _draw_worth(sheet: Sheet, shown: Shown, foot: float) -> None:
    """Under the slates, which end at `foot`, what each is worth, and the difference."""
    y = foot + 18
    sheet.text(CARDS, y, "expected return", size=8.5, color=GREY)
    sheet.text(CARDS_END - 12, y, f"{shown.slate_value:.3f}", align="right", bold=True, color=INK)
    sheet.text(BEST + 10, y, f"{shown.best_value:.3f}", bold=True, color=INK)
    sheet.text(CARDS, y + 34, f"regret of this step {shown.regret:.3f}", size=12, bold=True, color=INK)
    note = "what is lost by showing this slate now, if the best ones follow"
    sheet.text(CARDS, y + 55, note, size=8.5, color=GREY)


def _draw_ladder(sheet: Sheet, scene: CascadeScene) -> None:
    S = scene.num_states
    pitch = min(36.0, (BOTTOM - TOP) / S)
    foot = TOP + S * pitch

    def height_of(state: int) -> float:
        return foot - (state + 0.5) * pitch

    _heading(sheet, (LADDER + LADDER_END) / 2, "user state", align="center")
    for rail in (LADDER, LADDER_END):
        sheet.line([(rail, TOP), (rail, foot)], color=PALE, width=2.0)
    if pitch >= 5.0:
        for s in range(S):
            sheet.line([(LADDER, height_of(s)), (LADDER_END, height_of(s))], color=PALE, width=1.2)
    before = scene.state if scene.shown is None else scene.shown.state_before
    every = next(n for n in (1, 2, 5, 10, 20, 50, 100, 1000, 10_000, 10**9) if n * pitch >= 13.0)
    for s in range(0, S, every):
        if abs(s - before) * pitch >= 12.0:  # not on top of the bold one
            sheet.text(LADDER - 8, height_of(s), str(s), size=8, align="right", color=GREY)
    sheet.text(LADDER - 8, height_of(before), str(before), size=9, bold=True, align="right", color=INK)
    left, right = LADDER + 18, LADDER_END - 18
    if scene.shown is None:
        sheet.disc(((left + right) / 2, height_of(before)), 6, fill=BLUE)
        return
    sheet.text(LADDER_END + 8, height_of(scene.state), str(scene.state), size=9, bold=True, color=BLUE)
    start, end = (left, height_of(before)), (right, height_of(scene.state))
    rest = 7.0 / hypot(end[0] - start[0], end[1] - start[1])  # the tip touches the disc
    tip = end[0] - rest * (end[0] - start[0]), end[1] - rest * (end[1] - start[1])
    sheet.arrow(start, tip, color=INK)
    sheet.disc(start, 5.5, fill="white", edge=INK, line=1.6)
    sheet.disc(end, 6, fill=BLUE)
    sheet.text(left, foot + 12, "before", size=8, align="center", color=GREY)
    sheet.text(right, foot + 12, "after", size=8, align="center", color=GREY)


def _heading(sheet: Sheet, x: float, words: str, align: Align = "left") -> None:
    sheet.text(x, TOP - 17, words, align=align, color=GREY)
