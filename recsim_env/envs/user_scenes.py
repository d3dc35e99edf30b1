"""What drives the users of each world, for its drawings: `user_scene` dispatches on the type of the world."""

from dataclasses import replace
from functools import singledispatch
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.envs.arm_scene import arm_scene
from recsim_env.envs.scene import Scene
from recsim_env.envs.slate_scene import Shown, one_row, shown_slate
from recsim_env.envs.user_scene import Bar, Driver, Play, UserScene
from recsim_env.simulators.catalogue import Catalogue, category_centres
from recsim_env.simulators.worlds.attack import AttackWorld, members
from recsim_env.simulators.worlds.bored import BoredWorld
from recsim_env.simulators.worlds.candidates import CandidateWorld, WorldOfItems
from recsim_env.simulators.worlds.drifting import DriftWorld
from recsim_env.simulators.worlds.grouped import GroupWorld
from recsim_env.simulators.worlds.listening import ListeningState, ListeningWorld
from recsim_env.simulators.worlds.position_bandit import PositionBandit
from recsim_env.simulators.worlds.semi_bandit import SemiBanditWorld
from recsim_env.simulators.worlds.shortcut_bench import SuccessionWorld
from recsim_env.simulators.worlds.slate import SlateWorld
from recsim_env.simulators.worlds.song_memory import SONG
from recsim_env.simulators.worlds.world import HasArms

NUM_BARS = 8
DAYS_SHOWN = 90
ON_SLATE = "on the slate"


@singledispatch
def user_scene(world: Any, scene: Scene, row: int) -> UserScene:
    """The facts of one row of a scene.

    Raises:
        TypeError: nobody has said what drives the users of this kind of world.
    """
    if isinstance(world, HasArms):
        return arm_scene(world, scene, row)
    raise TypeError(f"there is no scene of a {type(world).__name__}")


@user_scene.register
def _(world: SlateWorld, scene: Scene, row: int) -> UserScene:
    state = one_row(scene.state, row)
    shown, items = _shown(world, scene, row)
    driver = interest_driver(world, state, items)
    return UserScene(int(state.step[0]), world.horizon, f"user {state.user[0]}", driver, shown)


@user_scene.register
def _(world: DriftWorld, scene: Scene, row: int) -> UserScene:
    state = one_row(scene.state, row)
    shown, items = _shown(world, scene, row)
    driver = interest_driver(world, state, items)
    if world.catalogue.num_categories > 1:
        top = np.argsort(-interest_match(world.catalogue, state.interest)[0])[:3]
        days = np.linspace(state.day[0] - DAYS_SHOWN, state.day[0], 60)
        past = world.interest_at(np.repeat(state.user, 60), days)  # (60, D)
        heights = 0.5 + 0.5 * interest_match(world.catalogue, past)[:, top]
        curves = tuple(tuple(curve) for curve in heights.T.tolist())
        title = f"their last {DAYS_SHOWN} days"
        driver = replace(driver, bars=driver.bars[:5], curves=curves, curve_title=title)
    away = f", back after {state.gap[0]:.1f} days" if state.step[0] else ""
    return UserScene(int(state.step[0]), world.horizon, f"user {state.user[0]}{away}", driver, shown)


@user_scene.register
def _(world: BoredWorld, scene: Scene, row: int) -> UserScene:
    state = one_row(scene.state, row)
    shown, _ = _shown(world, scene, row)
    loss, left = world.satiation.loss(state.satiation)[0], state.boredom.left[0]
    full = max(world.satiation.factor * 10.0, 1e-12)  # ten clicks at once fill the meter
    match = interest_match(world.catalogue, world.interest_of(state))[0]
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
    driver = interest_driver(world.inner, state.inner, items.ravel())
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
    return UserScene(int(state.step[0]), world.horizon, user, driver, shown, last_plays(world, state))


@user_scene.register
def _(world: SuccessionWorld, scene: Scene, row: int) -> UserScene:
    state = one_row(scene.state, row)
    shown, listed = None, set()
    if scene.slates is not None and state.step[0] > 0:
        before = one_row(scene.before, row)
        items, best = scene.slates[row : row + 1], world.best_slate(before)
        chances = (world.slate_attraction(before, slate)[0] for slate in (items, best))
        shown = shown_slate(world, scene, row, items[0], next(chances), best[0], next(chances), _item_name)
        listed = set(items.ravel().tolist())
    source = state.history[0, -world.law.lag]
    following = world.law.successors[source][:NUM_BARS]
    chance = world.slate_attraction(state, following[None, :])[0]
    bars = tuple(
        Bar(_item_name(i), float(p / chance.max()), f"{p:.0%}", i in listed)
        for i, p in zip(following.tolist(), chance.tolist(), strict=True)
    )
    back = "" if world.law.lag == 1 else f", item {source} {world.law.lag} steps back"
    user = f"a user who took item {state.history[0, -1]}{back}"
    driver = Driver("likely next", bars, ON_SLATE)
    return UserScene(int(state.step[0]), world.horizon, user, driver, shown)


@user_scene.register(PositionBandit)
@user_scene.register(SemiBanditWorld)
def _(world: PositionBandit | SemiBanditWorld, scene: Scene, row: int) -> UserScene:
    state = one_row(scene.state, row)
    shown, listed = None, set()
    if scene.slates is not None and state.step[0] > 0:
        before = one_row(scene.before, row)
        items, best = scene.slates[row : row + 1], world.best_slate(before)
        chances = (world.slate_attraction(before, slate)[0] for slate in (items, best))
        shown = shown_slate(world, scene, row, items[0], next(chances), best[0], next(chances), _item_name)
        listed = set(items.ravel().tolist())
    if isinstance(world, SemiBanditWorld):
        attraction = world.attraction[world.phase_of(state)[0]]
    else:
        attraction = world.attraction
    bars = tuple(
        Bar(_item_name(i), float(attraction[i]), f"{attraction[i]:.2f}", i in listed)
        for i in np.argsort(-attraction, kind="stable")[:NUM_BARS].tolist()
    )
    driver = Driver("attraction of items", bars, ON_SLATE)
    return UserScene(int(state.step[0]), world.horizon, "a user", driver, shown)


@user_scene.register
def _(world: AttackWorld, scene: Scene, row: int) -> UserScene:
    state = one_row(scene.state, row)
    taken = members(tuple(state.profiles[0, : state.step[0]].tolist()), world.num_items).sum(axis=0)
    share = taken / world.horizon
    shown, listed = None, set()
    if scene.slates is not None and state.step[0] > 0:
        items, best = scene.slates[row], world.best_slate(one_row(scene.before, row))[0]
        shares = (np.where(slate >= 0, share[slate], 0.0) for slate in (items, best))
        shown = shown_slate(world, scene, row, items, next(shares), best, next(shares), _item_name)
        listed = set(items.tolist())
    bars = tuple(
        Bar(_item_name(i), float(share[i]), str(taken[i]), i in listed)
        for i in np.argsort(-share, kind="stable")[:NUM_BARS].tolist()
    )
    driver = Driver("fakes who took it", bars, "taken by the last")
    words = f"target item {world.target}, exposure {state.exposure[0]:.2f}"
    return UserScene(int(state.step[0]), world.horizon, words, driver, shown)


def _item_name(item: int) -> str:
    return f"item {item}"


def last_plays(world: ListeningWorld, state: ListeningState) -> tuple[Play, ...]:
    """The last songs that an agent sees too."""
    seen = world.observe(state)
    return tuple(
        Play(world.catalogue.item_name(song), hours)
        for song, hours in zip(seen["recent"][0].tolist(), seen["hours_ago"][0].tolist(), strict=True)
        if song < world.num_items
    )[:NUM_BARS]


def interest_driver(world: WorldOfItems, state: Any, items: Ints) -> Driver:
    """The categories that match the interest of a user best, marked where the slate shows one of their items.

    Where all items are of one category, the items that attract the user most: bars are shares of the highest
    attraction.
    """
    catalogue, interest = world.catalogue, world.interest_of(state)  # (1, D)
    if catalogue.num_categories == 1:
        score = catalogue.features @ interest[0] + catalogue.quality
        top = np.argsort(-score, kind="stable")[:NUM_BARS]
        attraction = world.slate_attraction(state, top[None])[0]
        listed = set(items.tolist())
        bars = tuple(
            Bar(catalogue.item_name(item), float(a / max(attraction[0], 1e-300)), f"{a:.2f}", item in listed)
            for item, a in zip(top.tolist(), attraction, strict=True)
        )
        return Driver("attraction of items", bars, ON_SLATE)
    match = interest_match(catalogue, interest)[0]
    shown = set(catalogue.category[items[items >= 0]].tolist())
    bars = tuple(
        Bar(f"category {c}", float(match[c]), f"{match[c]:.2f}", c in shown)
        for c in np.argsort(-match)[:NUM_BARS].tolist()
    )
    return Driver("interest by category", bars, ON_SLATE)


def interest_match(catalogue: Catalogue, interest: Array) -> Floats:
    """(B, C) cosine of interests (B, D) with the centre of each category."""
    length = np.linalg.norm(interest, axis=1, keepdims=True)
    return np.asarray((interest / np.maximum(length, 1e-12)) @ category_centres(catalogue).T)


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
