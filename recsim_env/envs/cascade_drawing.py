"""The picture of one step of a cascade world: the slate, and the ladder of states with the user's move."""

from math import hypot

from recsim_env.arrays import Array
from recsim_env.envs.cascade_scene import CascadeScene
from recsim_env.envs.sheet import Sheet
from recsim_env.envs.slate_drawing import (
    BLUE,
    BOTTOM,
    GREY,
    HEIGHT,
    INK,
    PALE,
    TOP,
    WIDTH,
    draw_head,
    heading,
)

LADDER, LADDER_END = 592.0, 660.0  # with room for numbers of three digits on both sides


def cascade_picture(scene: CascadeScene) -> Array:
    """(480, 720, 3) uint8."""
    sheet = Sheet(WIDTH, HEIGHT)
    now = "The episode begins: a" if scene.step == 0 else "A"
    user = f"{now} user in state {scene.state}."
    draw_head(sheet, scene.step, scene.horizon, user, scene.shown, scene.without_slate)
    _draw_ladder(sheet, scene)
    return sheet.pixels()


def _draw_ladder(sheet: Sheet, scene: CascadeScene) -> None:
    S = scene.num_states
    pitch = min(36.0, (BOTTOM - TOP) / S)
    foot = TOP + S * pitch

    def height_of(state: int) -> float:
        return foot - (state + 0.5) * pitch

    heading(sheet, (LADDER + LADDER_END) / 2, "user state", align="center")
    for rail in (LADDER, LADDER_END):
        sheet.line([(rail, TOP), (rail, foot)], color=PALE, width=2.0)
    if pitch >= 5.0:
        for s in range(S):
            sheet.line([(LADDER, height_of(s)), (LADDER_END, height_of(s))], color=PALE, width=1.2)
    before = scene.state_before
    every = next(n for n in (1, 2, 5, 10, 20, 50, 100, 1000, 10_000, 10**9) if n * pitch >= 13.0)
    for s in range(0, S, every):
        if abs(s - before) * pitch >= 12.0:  # not on top of the bold one
            sheet.text(LADDER - 8, height_of(s), str(s), size=8, align="right", color=GREY)
    sheet.text(LADDER - 8, height_of(before), str(before), size=9, bold=True, align="right", color=INK)
    left, right = LADDER + 14, LADDER_END - 14
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
