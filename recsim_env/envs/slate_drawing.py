"""The picture of a slate and what one user did with it, the same in every world.

From left to right: the user's gaze going down the slate, the slate as a column of cards, and the best slate
of the same state for comparison. Under the two slates stands what each is worth; the difference is the
regret of the step. What drives the user is drawn to the right of x = `DRIVER`, by the drawing of the world.
"""

from recsim_env.envs.sheet import Align, Sheet
from recsim_env.envs.slate_scene import Card, Shown

WIDTH, HEIGHT = 720, 480
MARGIN, TOP, BOTTOM = 24.0, 112.0, 392.0  # the cards and what drives the user stand between TOP and BOTTOM
GAZE = 34.0  # x of the line that the gaze follows
CARDS, CARDS_END = 56.0, 388.0
BARS = 222.0  # where a card has one line
BEST, BEST_END = 406.0, 548.0
DRIVER = 566.0

# Blue and vermilion of Okabe and Ito: told apart by every kind of colour vision, and in grey.
INK, GREY, PALE = "#222222", "#6b6b6b", "#d9d9d9"
BLUE, BLUE_TINT = "#0072b2", "#e6f1f8"
VERMILION, VERMILION_TINT = "#c44e00", "#fdeee2"
UNSEEN_TINT = "#f6f6f6"


def draw_head(
    sheet: Sheet, step: int, horizon: int, user: str, shown: Shown | None, without_slate: str
) -> None:
    """The step, what happened in words, the reward, and the slates if there are any."""
    left = ": the user left" if shown is not None and shown.left else ""
    sheet.text(MARGIN, 30, f"Step {step} of {horizon}{left}", size=15, bold=True, color=INK)
    if shown is None:
        sheet.text(MARGIN, 58, user, size=10, color=GREY, width=WIDTH - 2 * MARGIN)
        sheet.box((CARDS, TOP), (BEST_END - CARDS, BOTTOM - TOP), edge=PALE, dashed=True, radius=6)
        middle = (CARDS + BEST_END) / 2, (TOP + BOTTOM) / 2
        sheet.text(*middle, without_slate, size=12, align="center", color=GREY)
        return
    sheet.text(MARGIN, 58, shown.sentence, size=10, color=GREY, width=WIDTH - 2 * MARGIN)
    reward = f"reward {shown.reward:.4g}"
    color = VERMILION if shown.clicked else GREY
    sheet.text(WIDTH - MARGIN, 30, reward, size=15, bold=True, align="right", color=color)
    draw_worth(sheet, shown, draw_slates(sheet, shown))


def draw_slates(sheet: Sheet, shown: Shown) -> float:
    """Both slates, slot beside slot; returns where they end."""
    K = len(shown.cards)
    pitch = min(84.0, (BOTTOM - TOP) / K)
    height = pitch - min(8.0, pitch / 7)
    two_lines = height >= 44.0
    heading(sheet, CARDS, "slate shown")
    if not two_lines:
        heading(sheet, BARS, "attraction")
    heading(sheet, BEST, "best slate here")
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
    """From the eye down to the last slot looked at, with an arrow to each click."""
    _draw_eye(sheet, GAZE, TOP - 17)
    last = shown.last_seen
    stops = last >= 0 and shown.cards[last].fate == "clicked"
    if stops:
        sheet.line([(GAZE, TOP - 6), (GAZE, TOP + last * pitch + height / 2)], color=BLUE, width=1.8)
    elif last >= 0:
        sheet.arrow((GAZE, TOP - 6), (GAZE, TOP + last * pitch + height), color=BLUE, width=1.8)
    for k in shown.clicked:
        middle = TOP + k * pitch + height / 2
        sheet.arrow((GAZE, middle), (CARDS - 3, middle), color=VERMILION, width=1.8)
    for k, card in enumerate(shown.cards):
        if card.fate == "passed over":
            sheet.disc((GAZE, TOP + k * pitch + height / 2), 4, fill="white", edge=BLUE, line=1.8)


def _draw_eye(sheet: Sheet, x: float, y: float) -> None:
    half = [(-9.0, 0.0), (-5.5, 3.6), (0.0, 5.2), (5.5, 3.6), (9.0, 0.0)]
    outline = [(x + dx, y - dy) for dx, dy in half] + [(x + dx, y + dy) for dx, dy in reversed(half)]
    sheet.polygon(outline, fill="white", edge=BLUE, line=1.4)
    sheet.disc((x, y), 3.2, fill=BLUE)


def draw_worth(sheet: Sheet, shown: Shown, foot: float) -> None:
    """Under the slates, which end at `foot`, what each is worth, and the difference."""
    y = foot + 18
    sheet.text(CARDS, y, shown.value_words, size=8.5, color=GREY)
    sheet.text(CARDS_END - 12, y, f"{shown.slate_value:.3f}", align="right", bold=True, color=INK)
    sheet.text(BEST + 10, y, f"{shown.best_value:.3f}", bold=True, color=INK)
    sheet.text(CARDS, y + 34, f"regret of this step {shown.regret:.3f}", size=12, bold=True, color=INK)
    sheet.text(CARDS, y + 55, shown.regret_words, size=8.5, color=GREY)


def heading(sheet: Sheet, x: float, words: str, align: Align = "left") -> None:
    """Grey words above a column."""
    sheet.text(x, TOP - 17, words, align=align, color=GREY)
