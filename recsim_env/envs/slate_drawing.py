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
LEAST_PITCH = 18.0  # of rows that can be read
BARS = 222.0  # where a card has one line
BEST, BEST_END = 406.0, 548.0
DRIVER = 566.0

# Blue and vermilion of Okabe and Ito: told apart by every kind of colour vision, and in grey.
INK, GREY, PALE = "#222222", "#6b6b6b", "#d9d9d9"
BLUE, BLUE_TINT = "#0072b2", "#e6f1f8"
VERMILION, VERMILION_TINT = "#c44e00", "#fdeee2"
UNSEEN_TINT = "#f6f6f6"


def draw_head(
    sheet: Sheet,
    step: int,
    horizon: int,
    user: str,
    shown: Shown | None,
    without_slate: str,
    bottom: float = BOTTOM,
) -> float:
    """The step, what happened in words, the reward, and the slates, if there are any, down to `bottom`.

    Returns where all this ends.
    """
    left = ": the user left" if shown is not None and shown.left else ""
    sheet.text(MARGIN, 30, f"Step {step} of {horizon}{left}", size=15, bold=True, color=INK)
    if shown is None:
        sheet.text(MARGIN, 58, user, size=10, color=GREY, width=WIDTH - 2 * MARGIN)
        sheet.box((CARDS, TOP), (BEST_END - CARDS, bottom - TOP), edge=PALE, dashed=True, radius=6)
        middle = (CARDS + BEST_END) / 2, (TOP + bottom) / 2
        sheet.text(*middle, without_slate, size=12, align="center", color=GREY)
        return bottom
    sheet.text(MARGIN, 58, shown.sentence, size=10, color=GREY, width=WIDTH - 2 * MARGIN)
    reward = f"reward {shown.reward:.4g}"
    color = VERMILION if shown.clicked else GREY
    sheet.text(WIDTH - MARGIN, 30, reward, size=15, bold=True, align="right", color=color)
    return draw_worth(sheet, shown, draw_slates(sheet, shown, bottom))


def draw_slates(sheet: Sheet, shown: Shown, bottom: float) -> float:
    """Both slates, slot beside slot; returns where they end."""
    slots = slots_drawn(shown, rows_above(bottom))
    hidden = len(shown.cards) - len(slots)
    rows = len(slots) + (hidden > 0)
    pitch = min(84.0, (bottom - TOP) / rows)
    height = pitch - min(8.0, pitch / 7)
    two_lines = height >= 44.0
    heading(sheet, CARDS, "slate shown")
    if not two_lines:
        heading(sheet, BARS, shown.measure)
    heading(sheet, BEST, "best slate here")
    for i, k in enumerate(slots):
        y = TOP + i * pitch
        _draw_card(sheet, k, shown.cards[k], shown.measure, y, height, two_lines)
        _draw_best(sheet, shown.best[k], shown.measure, y, height, two_lines)
    if hidden:
        middle = TOP + (rows - 1) * pitch + height / 2
        clicked = len(shown.clicked) - len(set(slots) & set(shown.clicked))
        words = f"… {hidden} more" + (f", {clicked} of them clicked" if clicked else "")
        sheet.text(CARDS + 32, middle, words, size=_size(height), color=GREY)
        sheet.text(BEST + 10, middle, f"… {hidden} more", size=_size(height), color=GREY)
    _draw_gaze(sheet, shown, slots, pitch, height)
    return TOP + rows * pitch


def rows_above(bottom: float) -> int:
    """Of one line that can be read between TOP and `bottom`."""
    return int((bottom - TOP) / LEAST_PITCH)


def slots_drawn(shown: Shown, most_rows: int) -> list[int]:
    """The slots for which there is room, with a row left over for the number of the others.

    From the top, but for clicked ones further down, for which up to half of the top ones make room.
    """
    K, clicked = len(shown.cards), shown.clicked
    if most_rows >= K:
        return list(range(K))
    room = most_rows - 1
    top = room
    while top > room - room // 2 and top + sum(k >= top for k in clicked) > room:
        top -= 1
    return [*range(top), *[k for k in clicked if k >= top][: room - top]]


def _draw_card(
    sheet: Sheet, k: int, card: Card, measure: str, y: float, height: float, two_lines: bool
) -> None:
    middle = y + height / 2
    fill, edge, ink, bar = {
        "clicked": (VERMILION_TINT, VERMILION, INK, VERMILION),
        "opened": (VERMILION_TINT, VERMILION, INK, VERMILION),
        "passed over": (BLUE_TINT, BLUE, INK, BLUE),
        "not seen": (UNSEEN_TINT, PALE, GREY, "#a8a8a8"),
        "empty": ("none", "#a8a8a8", GREY, "none"),
    }[card.fate]
    sheet.box(
        (CARDS, y),
        (CARDS_END - CARDS, height),
        fill=fill,
        edge=edge,
        line=2.0 if card.taken else 1.0,
        dashed=card.fate == "empty",
        radius=5,
    )
    size = 9.0 if two_lines else _size(height)
    sheet.text(CARDS + 15, middle, str(k + 1), size=size, color=GREY, align="center")
    left = CARDS + 32
    if card.fate == "empty":
        sheet.text(left, middle, card.name, size=size, color=ink, width=CARDS_END - left - 12)
        return
    end = CARDS_END - 12
    if two_lines:
        apart = _apart(height)
        sheet.text(left, middle - apart, card.name, size=10.5, bold=True, color=ink, width=end - left)
        bar_left, length, line = left, 104.0, middle + apart
        number = f"{measure} {card.attraction:.2f}"
    else:
        sheet.text(left, middle, card.name, size=size, bold=True, color=ink, width=BARS - left - 8)
        bar_left, length, line = BARS, 36.0, middle
        number = f"{card.attraction:.2f}"
    sheet.box((bar_left, line - 4), (length, 8), fill="white", edge=PALE, line=0.8)
    sheet.box((bar_left, line - 4), (length * card.filled, 8), fill=bar)
    sheet.text(bar_left + length + 8, line, number, size=8 if two_lines else size, color=ink)
    color = edge if card.taken else ink
    sheet.text(end, line, card.fate, size=min(size, 8.5), bold=card.taken, align="right", color=color)


def _draw_best(sheet: Sheet, best: Card, measure: str, y: float, height: float, two_lines: bool) -> None:
    middle = y + height / 2
    size = 8.5 if two_lines else _size(height)
    sheet.line([(BEST, y + 2), (BEST, y + height - 2)], color=PALE, width=2.0)
    if best.fate == "empty":
        sheet.text(BEST + 10, middle, "empty", size=size, color=GREY)
    elif two_lines:
        sheet.text(
            BEST + 10, middle - _apart(height), best.name, size=size, color=INK, width=BEST_END - BEST - 10
        )
        sheet.text(BEST + 10, middle + _apart(height), f"{measure} {best.attraction:.2f}", size=8, color=GREY)
    else:
        sheet.text(BEST + 10, middle, best.name, size=size, color=INK, width=BEST_END - BEST - 44)
        sheet.text(BEST_END, middle, f"{best.attraction:.2f}", size=size, align="right", color=GREY)


def _size(height: float) -> float:
    """Of all words in a row of one line."""
    return min(8.5, height / 2)


def _apart(height: float) -> float:
    """Of the two lines of a card, from its middle."""
    return min(12.0, height / 4.8)


def _draw_gaze(sheet: Sheet, shown: Shown, slots: list[int], pitch: float, height: float) -> None:
    """From the eye down to the last slot looked at, with an arrow to each click."""
    _draw_eye(sheet, GAZE, TOP - 17)
    last = shown.last_seen
    # a last slot that is not drawn is below those that are, but for clicked ones: in the row of the others
    end = TOP + (slots.index(last) if last in slots else len(slots)) * pitch
    stops = last in slots and shown.cards[last].taken
    if stops:
        sheet.line([(GAZE, TOP - 6), (GAZE, end + height / 2)], color=BLUE, width=1.8)
    elif last >= 0:
        sheet.arrow((GAZE, TOP - 6), (GAZE, end + height), color=BLUE, width=1.8)
    for i, k in enumerate(slots):
        middle = TOP + i * pitch + height / 2
        if shown.cards[k].taken:
            sheet.arrow((GAZE, middle), (CARDS - 3, middle), color=VERMILION, width=1.8)
        elif shown.cards[k].fate == "passed over":
            sheet.disc((GAZE, middle), 4, fill="white", edge=BLUE, line=1.8)


def _draw_eye(sheet: Sheet, x: float, y: float) -> None:
    half = [(-9.0, 0.0), (-5.5, 3.6), (0.0, 5.2), (5.5, 3.6), (9.0, 0.0)]
    outline = [(x + dx, y - dy) for dx, dy in half] + [(x + dx, y + dy) for dx, dy in reversed(half)]
    sheet.polygon(outline, fill="white", edge=BLUE, line=1.4)
    sheet.disc((x, y), 3.2, fill=BLUE)


def draw_worth(sheet: Sheet, shown: Shown, foot: float) -> float:
    """Under the slates, which end at `foot`, what each is worth, and the difference; returns their end."""
    y = foot + 18
    sheet.text(CARDS, y, shown.value_words, size=8.5, color=GREY)
    sheet.text(CARDS_END - 12, y, f"{shown.slate_value:.3f}", align="right", bold=True, color=INK)
    sheet.text(BEST + 10, y, f"{shown.best_value:.3f}", bold=True, color=INK)
    sheet.text(CARDS, y + 34, f"regret of this step {shown.regret:.3f}", size=12, bold=True, color=INK)
    sheet.text(CARDS, y + 55, shown.regret_words, size=8.5, color=GREY)
    return y + 63


def heading(sheet: Sheet, x: float, words: str, align: Align = "left") -> None:
    """Grey words above a column."""
    sheet.text(x, TOP - 17, words, align=align, color=GREY)
