"""What drives the users of each world, for its drawings: `user_scene` dispatches on the type of the world."""

from functools import singledispatch
from typing import Any

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.envs.rendering import Scene
from recsim_env.envs.slate_scene import Bar, Driver, Shown, UserScene, one_row, shown_slate
from recsim_env.simulators.catalogue import Catalogue, category_centres
from recsim_env.simulators.worlds.candidates import CandidateWorld
from recsim_env.simulators.worlds.repeat_kernels import SONG
from recsim_env.simulators.worlds.repeat_listening import ListeningWorld
from recsim_env.simulators.worlds.slate import SlateWorld

NUM_BARS = 8


@singledispatch
def user_scene(world: Any, scene: Scene, row: int) -> UserScene:
    """The facts of one row of a scene.

    Raises:
        TypeError: nobody has said what drives the users of this kind of world.
    """
    raise TypeError(f"there is no scene of a {type(world).__name__}")


@user_scene.register
def _(world: SlateWorld, scene: Scene, row: int) -> UserScene:
    state = one_row(scene.state, row)
    shown, items = _shown(world, scene, row)
    driver = interest_driver(world.catalogue, state.interest[0], items)
    return UserScene(int(state.step[0]), world.horizon, f"user {state.user[0]}", driver, shown)


@user_scene.register
def _(world: CandidateWorld, scene: Scene, row: int) -> UserScene:
    state = one_row(scene.state, row)
    if scene.slates is None:
        shown, items = None, np.empty(0, np.int64)
    else:
        before = one_row(scene.before, row)
        items = world.items(before, scene.slates[row : row + 1])
        best = world.items(before, world.best_slate(before))
        inner = world.inner
        attraction = inner.slate_attraction(before.inner, items)[0]
        best_attraction = inner.slate_attraction(before.inner, best)[0]
        name = world.catalogue.item_name
        shown = shown_slate(scene, row, items[0], attraction, best[0], best_attraction, name)
    driver = interest_driver(world.catalogue, state.inner.interest[0], items)
    user = f"user {state.inner.user[0]}, {world.num_candidates} candidates"
    return UserScene(int(state.inner.step[0]), world.horizon, user, driver, shown)


@user_scene.register
def _(world: ListeningWorld, scene: Scene, row: int) -> UserScene:
    state = one_row(scene.state, row)
    weight, songs = world.weights(state)[0], state.memory.table[0, SONG]
    order = np.argsort(-weight, kind="stable")[:NUM_BARS]
    order = order[weight[order] > 0.0]
    share = weight / max(weight.sum(), 1e-300)
    marked: set[int] = set()
    shown = None
    if scene.slates is not None and state.step[0] > 0:
        before = one_row(scene.before, row)
        items = scene.slates[row]
        best = world.best_slate(before)
        name = world.catalogue.item_name
        alone = [world.values(before, np.array([[item]]))[1][0] for item in items]
        alone_best = [world.values(before, np.array([[item]]))[1][0] for item in best[0]]
        shown = shown_slate(scene, row, items, np.array(alone), best[0], np.array(alone_best), name)
        marked = {int(state.recent[0, 0])}
    top = max(share[order].max(initial=0.0), 1e-12)
    bars = tuple(
        Bar(
            world.catalogue.item_name(int(songs[i])),
            float(share[i] / top),
            f"{share[i]:.1%}",
            int(songs[i]) in marked,
        )
        for i in order
    )
    session = f"song {int(state.session_song[0]) + 1} of {world.session_length} of a session"
    user = f"user {state.user[0]}, {session}"
    if marked:
        user += f", just played {world.catalogue.item_name(marked.pop())}"
    return UserScene(int(state.step[0]), world.horizon, user, Driver("songs in mind next", bars), shown)


def interest_driver(catalogue: Catalogue, interest: Floats, items: Ints) -> Driver:
    """The categories nearest to an interest (D,), marked where the slate shows one of their items."""
    match = category_centres(catalogue) @ (interest / max(float(np.linalg.norm(interest)), 1e-12))  # cosines
    shown = set(catalogue.category[items[items >= 0]].tolist())
    bars = tuple(
        Bar(f"category {c}", float(match[c]), f"{match[c]:.2f}", c in shown)
        for c in np.argsort(-match)[:NUM_BARS].tolist()
    )
    return Driver("interest by category", bars)


def _shown(world: Any, scene: Scene, row: int) -> tuple[Shown | None, Ints]:
    """The slate of a world of items, and the items (K,); none where the scene holds no slate of this row."""
    if scene.slates is None or scene.state.step[row] == 0:
        return None, np.empty(0, np.int64)
    before = one_row(scene.before, row)
    items, best = scene.slates[row : row + 1], world.best_slate(before)
    attraction = world.slate_attraction(before, items)[0]
    best_attraction = world.slate_attraction(before, best)[0]
    name = world.catalogue.item_name
    return shown_slate(scene, row, items[0], attraction, best[0], best_attraction, name), items[0]
