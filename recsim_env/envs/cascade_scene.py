"""One step of one user of a cascade world: the facts that both drawings show, and the drawing in text."""

from dataclasses import dataclass

import numpy as np

from recsim_env.envs.scene import Scene
from recsim_env.envs.slate_scene import Shown, one_row, outcome_words, shown_slate, slate_lines
from recsim_env.simulators.worlds.cascade import CascadeWorld

WIDEST_LINE_OF_STATES = 60  # of the text; with more states a line of one character each is no picture


@dataclass(frozen=True)
class CascadeScene:
    """Where one user is, and the step that led there."""

    step: int  # slates shown so far in this episode
    horizon: int
    state: int
    num_states: int
    state_before: int  # the same as `state` without a slate
    shown: Shown | None  # None at the beginning of an episode, and of a scene that holds a state alone

    @property
    def without_slate(self) -> str:
        """Why there is no slate, in words."""
        return "no slate shown yet" if self.step == 0 else "the last slate was not kept"


def cascade_scene(world: CascadeWorld, scene: Scene, row: int) -> CascadeScene:
    """The facts of one row."""
    step, state = int(scene.state.step[row]), int(scene.state.user_state[row])
    shown, state_before = None, state
    # a vector environment may have stepped other rows while this one began its next episode
    if step > 0 and scene.slates is not None:
        before = one_row(scene.before, row)
        state_before = int(before.user_state[0])
        items, best = scene.slates[row], world.best_slate(before)[0]
        attraction = world.attraction[state_before]
        shown = shown_slate(
            world,
            scene,
            row,
            items,
            np.where(items < 0, 0.0, attraction[items]),
            best,
            np.where(best < 0, 0.0, attraction[best]),
            lambda item: item_name(world, item),
        )
    return CascadeScene(
        step=step,
        horizon=world.horizon,
        state=state,
        num_states=world.num_states,
        state_before=state_before,
        shown=shown,
    )


def item_name(world: CascadeWorld, item: int) -> str:
    """The item's name if the world has names, else its number."""
    return world.item_names[item] if world.item_names is not None else f"item {item}"


def cascade_text(scene: CascadeScene) -> str:
    """A few lines of plain text.

    step 7 of 20   state 3 -> 4   reward 1   regret 0.132
    expected return: 9.310 (best slate) - 9.178 (this slate)
    states ···○●·····
    1  item 7   ████······ 0.41  passed over
    2  item 2   ███······· 0.35  clicked
    3  item 11  ██········ 0.24  not seen
    best slate: item 9, item 7, item 11
    """
    head = f"step {scene.step} of {scene.horizon}   state "
    states = ["·"] * scene.num_states
    shown = scene.shown
    states[scene.state_before] = "○"
    states[scene.state] = "●"  # written last: one mark when the user stays
    track = ["states " + "".join(states)] if scene.num_states <= WIDEST_LINE_OF_STATES else []
    if shown is None:
        return "\n".join([f"{head}{scene.state}   {scene.without_slate}", *track])
    head += f"{scene.state_before} -> {scene.state}   {outcome_words(shown)}"
    return "\n".join([head, *track, *slate_lines(shown)])
