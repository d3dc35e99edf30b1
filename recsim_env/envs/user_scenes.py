"""What drives the users of each world, for its drawings: `user_scene` dispatches on the type of the world."""

from dataclasses import replace
from functools import singledispatch
from typing import Any

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.envs.scene import Scene
from recsim_env.envs.slate_scene import Shown, one_row, shown_slate
from recsim_env.envs.user_scene import Bar, Driver, UserScene
from recsim_env.simulators.catalogue import Catalogue, category_centres
from recsim_env.simulators.worlds.bored import BoredWorld
from recsim_env.simulators.worlds.candidates import CandidateWorld
from recsim_env.simulators.worlds.drifting import DriftWorld
from recsim_env.simulators.worlds.grouped import GroupWorld
from recsim_env.simulators.worlds.listening import ListeningWorld
from recsim_env.simulators.worlds.slate import SlateWorld
from recsim_env.simulators.worlds.song_memory import SONG

NUM_BARS = 8
DAYS_SHOWN = 90
ON_SLATE = "on the slate"


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
    driver = interest_driver(world.catalogue, world.interest_of(state)[0], items)
    return UserScene(int(state.step[0]), world.horizon, f"user {state.user[0]}", driver, shown)


@user_scene.register
def _(world: DriftWorld, scene: Scene, row: int) -> UserScene:
    state = one_row(scene.state, row)
    shown, items = _shown(world, scene, row)
    bars = interest_driver(world.catalogue, world.interest_of(state)[0], items)
    days = np.linspace(state.day[0] - DAYS_SHOWN, state.day[0], 60)
    past = world.interest_at(np.repeat(state.user, 60), days)  # (60, D)
    match = past @ category_centres(world.catalogue).T / (np.linalg.norm(past, axis=1, keepdims=True) + 1e-12)
    top = [int(one.name.split()[1]) for one in bars.bars[:3]]
    curves = tuple(tuple((0.5 + 0.5 * match[:, c]).tolist()) for c in top)
    driver = replace(bars, bars=bars.bars[:5], curves=curves, curve_title=f"their last {DAYS_SHOWN} days")
    away = f", back after {state.gap[0]:.1f} days" if state.step[0] else ""
    return UserScene(int(state.step[0]), world.horizon, f"user {state.user[0]}{away}", driver, shown)


@user_scene.register
def _(world: BoredWorld, scene: Scene, row: int) -> UserScene:
    state = one_row(scene.state, row)
    shown, _ = _shown(world, scene, row)
    loss, left = world.satiation.loss(state.satiation)[0], state.boredom.left[0]
    full = max(world.satiation.factor * 10.0, 1e-12)  # ten clicks at once fill the meter
    match = interest_match(world.catalogue, world.interest_of(state)[0])
    liked = np.argsort(-match)
    topics = liked[np.argsort(left[liked] == 0, kind="stable")][:NUM_BARS]  # no bored one is left out
    bars = []
    for c in topics[np.argsort(-match[topics])].tolist():
        if left[c] > 0:
            bars.append(Bar(f"topic {c}", 1.0, f"bored, {left[c]}", marked=True))
        else:
            label = f"{-loss[c]:.1f}" if loss[c] >= 0.05 else "fresh"
            bars.append(Bar(f"topic {c}", float(loss[c] / full), label))
    driver = Driver("boredom by topic", tuple(bars), "bored, slates left")
    user = f"user {state.user[0]}, patience {state.patience[0]:.0f} of {world.patience.budget:.0f}"
    return UserScene(int(state.step[0]), world.horizon, user, driver, shown)


@user_scene.register
def _(world: GroupWorld, scene: Scene, row: int) -> UserScene:
    state = one_row(scene.state, row)
    shown, items = _shown(world, scene, row)
    z = world.user.preference(state.hidden)[0]
    distance = np.linalg.norm(world.centres - z, axis=1)
    farthest = max(float(distance.max()), 1e-12)
    on_slate = set(world.catalogue.category[items[items >= 0]].tolist())
    # not exp(-distance), as users choose: of it all groups but the nearest have next to nothing
    bars = tuple(
        Bar(f"group {g}", float(1.0 - distance[g] / farthest), f"at {distance[g]:.1f}", g in on_slate)
        for g in np.argsort(distance)[:NUM_BARS].tolist()
    )
    driver = Driver("nearness of groups", bars, ON_SLATE)
    return UserScene(int(state.step[0]), world.horizon, "a user", driver, shown)


@user_scene.register
def _(world: CandidateWorld, scene: Scene, row: int) -> UserScene:
    state = one_row(scene.state, row)
    if scene.slates is None or state.inner.step[0] == 0:
        shown, items = None, np.empty(0, np.int64)
    else:
        before = one_row(scene.before, row)
        items = world.items(before, scene.slates[row : row + 1])
        best = world.items(before, world.best_slate(before))
        inner = world.inner
        attraction = inner.slate_attraction(before.inner, items)[0]
        best_attraction = inner.slate_attraction(before.inner, best)[0]
        name = world.catalogue.item_name
        shown = shown_slate(world, scene, row, items[0], attraction, best[0], best_attraction, name)
    driver = interest_driver(world.catalogue, world.inner.interest_of(state.inner)[0], items.ravel())
    user = f"user {state.inner.user[0]}, {world.num_candidates} candidates"
    return UserScene(int(state.inner.step[0]), world.horizon, user, driver, shown)


@user_scene.register
def _(world: ListeningWorld, scene: Scene, row: int) -> UserScene:
    state = one_row(scene.state, row)
    weight, songs = world.weights(state)[0], state.memory.table[0, SONG]
    order = np.argsort(-weight, kind="stable")[:NUM_BARS]
    order = order[weight[order] > 0.0]
    share = weight / max(weight.sum(), 1e-300)
    listed: set[int] = set()
    shown = None
    if scene.slates is not None and state.step[0] > 0:
        before = one_row(scene.before, row)
        items = scene.slates[row]
        best = world.best_slate(before)
        name = world.catalogue.item_name
        alone = [world.values(before, np.array([[item]]))[1][0] for item in items]
        alone_best = [world.values(before, np.array([[item]]))[1][0] for item in best[0]]
        shown = shown_slate(world, scene, row, items, np.array(alone), best[0], np.array(alone_best), name)
        listed = set(items.tolist())
    top = max(share[order].max(initial=0.0), 1e-12)
    bars = tuple(
        Bar(
            world.catalogue.item_name(int(songs[i])),
            float(share[i] / top),
            f"{share[i]:.1%}",
            int(songs[i]) in listed,
        )
        for i in order
    )
    session = f"song {state.session_song[0] + 1} of {state.session_size[0]} of a session"
    user = f"user {state.user[0]}, {session}"
    if shown is not None:
        user += f", just played {world.catalogue.item_name(int(state.recent[0, 0]))}"
    driver = Driver("songs in mind next", bars, ON_SLATE)
    return UserScene(int(state.step[0]), world.horizon, user, driver, shown)


def interest_driver(catalogue: Catalogue, interest: Floats, items: Ints) -> Driver:
    """The categories nearest to an interest (D,), marked where the slate shows one of their items."""
    match = interest_match(catalogue, interest)
    shown = set(catalogue.category[items[items >= 0]].tolist())
    bars = tuple(
        Bar(f"category {c}", float(match[c]), f"{match[c]:.2f}", c in shown)
        for c in np.argsort(-match)[:NUM_BARS].tolist()
    )
    return Driver("interest by category", bars, ON_SLATE)


def interest_match(catalogue: Catalogue, interest: Floats) -> Floats:
    """(C,) cosine of each category's centre with an interest (D,)."""
    return category_centres(catalogue) @ (interest / max(float(np.linalg.norm(interest)), 1e-12))


def _shown(world: Any, scene: Scene, row: int) -> tuple[Shown | None, Ints]:
    """The slate of a world of items, and the items (K,); none where the scene holds no slate of this row."""
    if scene.slates is None or scene.state.step[row] == 0:
        return None, np.empty(0, np.int64)
    before = one_row(scene.before, row)
    items, best = scene.slates[row : row + 1], world.best_slate(before)
    attraction = world.slate_attraction(before, items)[0]
    best_attraction = world.slate_attraction(before, best)[0]
    name = world.catalogue.item_name
    return shown_slate(world, scene, row, items[0], attraction, best[0], best_attraction, name), items[0]
