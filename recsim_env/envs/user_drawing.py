"""The picture of one step of a user with interests or memories: the slate, and bars of what drives them."""

from recsim_env.arrays import Array
from recsim_env.envs.plays_drawing import draw_plays
from recsim_env.envs.sheet import Sheet, text_width
from recsim_env.envs.slate_drawing import (
    BLUE,
    BOTTOM,
    DRIVER,
    GREY,
    HEIGHT,
    INK,
    MARGIN,
    PALE,
    TOP,
    VERMILION,
    WIDTH,
    draw_head,
    heading,
    rows_above,
)
from recsim_env.envs.user_scene import Bar, Driver, UserScene

RIGHT = WIDTH - MARGIN
CURVES_TOP = 300.0  # curves, where there are any, stand under the bars
SLATES_WITH_PLAYS = 224.0  # bottom of slates over the last plays of a listener, which fit under six slots
NO_SLATE_WITH_PLAYS = 277.0  # so that the plays do not move with the first slate of one slot
# Of the curves and of the bars they belong to; not the blue of bars, and not the vermilion of marks. Green
# and purple of Okabe and Ito and black differ in lightness too: told apart by every kind of colour vision.
CURVES = ("#009e73", "#cc79a7", INK)


def user_picture(scene: UserScene) -> Array:
    """(480, 720, 3) uint8."""
    sheet = Sheet(WIDTH, HEIGHT)
    user = scene.user[0].upper() + scene.user[1:]
    bottom = _bottom_of_slates(scene)
    foot = draw_head(sheet, scene.step, scene.horizon, f"{user}.", scene.shown, scene.without_slate, bottom)
    if scene.plays and bottom < BOTTOM:
        draw_plays(sheet, scene.plays, foot + 10)
    if scene.shown is not None:
        sheet.text(MARGIN, 76, user, size=8.5, color=GREY, width=RIGHT - MARGIN)
    _draw_driver(sheet, scene.driver)
    return sheet.pixels()


def _bottom_of_slates(scene: UserScene) -> float:
    """Higher up where the last plays stand under the slates: no slot is left out to make room for them."""
    if not scene.plays:
        return BOTTOM
    if scene.shown is None:
        return NO_SLATE_WITH_PLAYS
    fits = len(scene.shown.cards) <= rows_above(SLATES_WITH_PLAYS)
    return SLATES_WITH_PLAYS if fits else BOTTOM


def _draw_driver(sheet: Sheet, driver: Driver) -> None:
    """Bars, what marked ones are, and curves."""
    heading(sheet, DRIVER, driver.title)
    foot = CURVES_TOP - 34.0 if driver.curves else BOTTOM
    pitch = min(31.0, (foot - TOP) / max(len(driver.bars), 1))
    for i, one in enumerate(driver.bars):
        color = CURVES[i] if i < len(driver.curves) else VERMILION if one.marked else BLUE
        _draw_bar(sheet, one, TOP + i * pitch, pitch, color)
    if any(one.marked for one in driver.bars):
        y = BOTTOM + 18 if driver.curves else TOP + len(driver.bars) * pitch + 10
        _draw_mark(sheet, DRIVER + 4, y)
        sheet.text(DRIVER + 10, y, driver.mark, size=8, color=GREY)
    if driver.curves:
        _draw_curves(sheet, driver)


def _draw_bar(sheet: Sheet, one: Bar, y: float, pitch: float, color: str) -> None:
    """The name above its bar, the number at the right; marked ones have a disc and are bold."""
    size, left = min(8.0, pitch / 3.2), DRIVER
    if one.marked:
        _draw_mark(sheet, left + 4, y + pitch * 0.25)
        left += 10
    room = RIGHT - left - text_width(one.label, size) - 4
    sheet.text(left, y + pitch * 0.25, one.name, size=size, bold=one.marked, color=INK, width=room)
    sheet.text(RIGHT, y + pitch * 0.25, one.label, size=size, align="right", color=GREY)
    line, thick = y + pitch * 0.62, min(8.0, pitch * 0.26)
    sheet.box((DRIVER, line), (RIGHT - DRIVER, thick), fill="#f6f6f6", edge=PALE, line=0.6)
    sheet.box((DRIVER, line), ((RIGHT - DRIVER) * min(max(one.share, 0.0), 1.0), thick), fill=color)


def _draw_mark(sheet: Sheet, x: float, y: float) -> None:
    sheet.disc((x, y), 3.5, fill=VERMILION)


def _draw_curves(sheet: Sheet, driver: Driver) -> None:
    sheet.text(DRIVER, CURVES_TOP - 14, driver.curve_title, size=8.5, color=GREY)
    height = BOTTOM - CURVES_TOP
    sheet.box((DRIVER, CURVES_TOP), (RIGHT - DRIVER, height), edge=PALE, line=0.8)
    for curve, color in zip(driver.curves, CURVES, strict=False):
        points = [
            (DRIVER + (RIGHT - DRIVER) * t / (len(curve) - 1), BOTTOM - height * min(max(y, 0.0), 1.0))
            for t, y in enumerate(curve)
        ]
        sheet.line(points, color=color, width=1.6)
        sheet.disc(points[-1], 3, fill=color)
