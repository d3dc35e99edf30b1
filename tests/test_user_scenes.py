"""Pictures and texts of users with interests and with memories, at every size of slate."""

from dataclasses import replace
from inspect import signature
from itertools import combinations

import gymnasium as gym
import numpy as np
import pytest

from recsim_env.envs.describe import builder, registered_ids
from recsim_env.envs.rendering import picture, text
from recsim_env.envs.scene import Scene
from recsim_env.envs.sheet import DPI, Sheet, text_width
from recsim_env.envs.slate_drawing import BLUE, DRIVER, HEIGHT, MARGIN, VERMILION, WIDTH, slots_drawn
from recsim_env.envs.slate_scene import Card, Shown
from recsim_env.envs.user_drawing import CURVES, user_picture
from recsim_env.envs.user_scene import Bar, Driver, Play, UserScene
from recsim_env.envs.user_scenes import NUM_BARS, interest_match, user_scene
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.repeat_listening import repeat_listening
from recsim_env.simulators.worlds.slate_rec import slate_rec
from recsim_env.simulators.worlds.world import take_rows

SHAPE = (480, 720, 3)
WORLDS = {
    "slates": (slate_rec, {"num_items": 400, "num_users": 20, "intercept": -2.0}),
    "candidates": (slate_rec, {"num_items": 400, "num_users": 20, "candidates": 40, "intercept": -2.0}),
    "songs": (repeat_listening, {"num_items": 400, "num_users": 20, "remembered": 100}),
}
IDS = [  # of slates, but for MovieLens, which needs a file
    i
    for i in registered_ids()
    if i != "CascadeRec-MovieLens-v0" and "slate_size" in signature(builder(i)).parameters
]
ARMS = [i for i in registered_ids() if "slate_size" not in signature(builder(i)).parameters]


@pytest.fixture(params=WORLDS)
def kind(request):
    return request.param


class Drawn(list):
    """The texts of the pictures that are drawn in a test, and the boxes that they take."""

    def __init__(self):
        self.boxes = []  # left, right, top, bottom, words

    def note(self, x, y, words, size=9, bold=False, align="left", width=np.inf, **how):
        wide = min(text_width(words, size, bold), width)
        left = x - {"left": 0.0, "center": 0.5, "right": 1.0}[align] * wide
        half = 0.36 * size * DPI / 72  # of the height of a letter
        self.append(words)
        self.boxes.append((left, left + wide, y - half, y + half, words))

    def assert_readable(self):
        for one in self.boxes:
            assert MARGIN - 1 <= one[0] <= one[1] <= WIDTH - MARGIN + 1, one
            assert one[3] < HEIGHT - 4, one
        for one, other in combinations(self.boxes, 2):
            apart = one[1] < other[0] or other[1] < one[0] or one[3] < other[2] or other[3] < one[2]
            assert apart, (one, other)


@pytest.fixture
def drawn(monkeypatch):
    """Also draws."""
    texts, draw = Drawn(), Sheet.text

    def note(sheet, x, y, words, **how):
        texts.note(x, y, words, **how)
        draw(sheet, x, y, words, **how)

    monkeypatch.setattr(Sheet, "text", note)
    return texts


def made(kind, **changes):
    build, parameters = WORLDS[kind]
    return build(**{**parameters, **changes})


def scene_of(world, B=40, slates=None):
    """One step of B users."""
    luck = Luck.from_seeds(np.arange(B))
    before = world.begin(luck)
    if slates is None:
        slates = world.best_slate(before)
    state, outcome = world.respond(before, slates, luck)
    return Scene(state, before, slates, outcome)


def assert_within_the_sheet(frame):
    assert frame.shape == SHAPE
    assert frame.dtype == np.uint8
    assert 0.02 < (frame < 200).any(axis=2).mean() < 0.5  # ink, on a sheet that is mostly paper
    for side in (frame[:8], frame[-4:], frame[:, :8], frame[:, -8:]):
        assert (side == 255).all()


@pytest.mark.parametrize("slate_size", [1, 2, 10, 30])
def test_nothing_runs_off_the_sheet(kind, slate_size):
    world = made(kind, slate_size=slate_size)
    scene = scene_of(world)
    empty = np.full(scene.slates.shape, -1)
    empty[:, 0] = 3
    repeated = np.full(scene.slates.shape, 3)
    for one in (scene, scene_of(world, slates=empty), scene_of(world, slates=repeated)):
        frame = picture(world, one, 0)
        assert_within_the_sheet(frame)
        assert (frame != picture(world, Scene(one.state), 0)).any()
        assert (frame != picture(world, Scene(one.before), 0)).any()
        assert text(world, one, 0).startswith("step 1 of ")


@pytest.mark.parametrize("slate_size", [1, 10])
def test_pictures_differ_with_what_the_user_did(kind, slate_size):
    world = made(kind, slate_size=slate_size)
    B = 2000
    luck = Luck.from_seeds(np.arange(B))
    before = take_rows(world.begin(luck), np.zeros(B, np.int64))
    slates = np.tile(world.best_slate(take_rows(before, np.arange(1)))[:, ::-1], (B, 1))
    slates[:, 1:-1] = -1  # fewer clicks, so that some users click none
    state, outcome = world.respond(before, slates, luck)
    scene = Scene(state, before, slates, outcome)
    rows = [int(np.flatnonzero((outcome.reward > 0) == clicked)[0]) for clicked in (True, False)]
    one, other = (picture(world, scene, row) for row in rows)
    assert (one != other).any(axis=2).sum() > 500
    np.testing.assert_array_equal(picture(world, scene, rows[0]), one)


def test_the_scene_holds_the_facts(kind):
    world = made(kind, slate_size=3)
    luck = Luck.from_seeds(np.arange(30))
    before = world.begin(luck)
    slates = np.random.default_rng(0).integers(-1, world.num_items, (30, 3))
    slates[:, 0] = np.arange(30)
    state, outcome = world.respond(before, slates, luck)
    scene, best = Scene(state, before, slates, outcome), world.best_slate(before)
    items, best_items = (world.items(before, s) if kind == "candidates" else s for s in (slates, best))
    for row in range(30):
        facts = user_scene(world, scene, row)
        shown = facts.shown
        assert facts.step == 1
        assert facts.horizon == world.horizon
        assert shown.reward == outcome.reward[row]
        assert shown.best_value == outcome.best_value[row]
        assert shown.slate_value == outcome.slate_value[row]
        assert [card.name for card in shown.best] == [f"item {i}" for i in best_items[row]]
        for k, card in enumerate(shown.cards):
            item = items[row, k]
            if item < 0 or item in items[row, :k]:
                assert card.fate == "empty"
                continue
            assert card.name == f"item {item}"
            assert (card.fate == "clicked") == outcome.response.clicked[row, k]
            assert 0.0 <= card.attraction <= 1.0
        assert 0 < len(facts.driver.bars) <= NUM_BARS
        shares = [bar.share for bar in facts.driver.bars]
        assert shares == sorted(shares, reverse=True)


def test_interests_are_marked_where_the_slate_serves_them():
    world = made("slates", slate_size=2)
    scene = scene_of(world)
    for row in range(10):
        bars = user_scene(world, scene, row).driver.bars
        shown = {f"category {c}" for c in world.catalogue.category[scene.slates[row]]}
        assert {bar.name for bar in bars if bar.marked} == shown & {bar.name for bar in bars}


def test_songs_in_mind_are_the_likeliest_repeats():
    world = made("songs")
    scene = scene_of(world)
    for row in range(10):
        facts = user_scene(world, scene, row)
        weight = world.weights(take_rows(scene.state, np.array([row])))[0]
        shares = np.sort(weight / weight.sum())[::-1][:NUM_BARS]
        assert [bar.label for bar in facts.driver.bars] == [f"{share:.1%}" for share in shares]
        played = scene.state.recent[row, 0]
        assert f"just played item {played}" in facts.user


def test_a_row_that_begins_its_next_episode_shows_no_slate(kind):
    build, parameters = WORLDS[kind]
    env_id = "RepeatListen-v0" if build is repeat_listening else "SlateRec-v0"
    options = {"slate_size": 2, "leave_without_click": 0.0, "leave_after_click": 0.0}
    if build is repeat_listening:
        options = {"slate_size": 2}
    for mode in ("ansi", "rgb_array"):
        envs = gym.make_vec(env_id, num_envs=2, render_mode=mode, horizon=1, **parameters, **options)
        envs.reset(seed=0)
        envs.step(np.tile([0, 1], (2, 1)))
        shown = envs.render()
        envs.step(np.tile([0, 1], (2, 1)))  # NEXT_STEP: only begins the next episode
        for row, (before, after) in enumerate(zip(shown, envs.render(), strict=True)):
            if mode == "ansi":
                assert "reward" in before
                assert "no slate shown yet" in after
            else:
                fresh = Scene(envs.unwrapped._state)
                np.testing.assert_array_equal(after, picture(envs.unwrapped.world, fresh, row))


def test_one_row_of_a_batch_may_begin_anew_while_the_other_goes_on(kind):
    """The scene then holds the slates of the last step for both."""
    world = made(kind, slate_size=2)
    scene = scene_of(world, 2)
    fresh = world.begin(Luck.from_seeds([5, 6]))
    mixed = take_rows(type(fresh)(*_stack(scene.state, fresh)), np.array([0, 3]))
    words = [text(world, replace(scene, state=mixed), row) for row in (0, 1)]
    assert "reward" in words[0]
    assert "no slate shown yet" in words[1]


def _stack(one, other):
    return [
        type(a)(*_stack(a, b)) if isinstance(a, tuple) else np.concatenate([a, b])
        for a, b in zip(one, other, strict=True)
    ]


@pytest.mark.parametrize("slate_size", [1, 10, 25])
def test_long_names_stay_in_their_place(kind, slate_size, drawn):
    world = made(kind, slate_size=slate_size, **({} if kind == "songs" else {"num_categories": 1}))
    inner = world.inner if kind == "candidates" else world
    catalogue = replace(inner.catalogue, names=("A VERY LONG NAME OF AN ITEM " * 4,) * 400)
    named = replace(inner, catalogue=catalogue)
    if kind == "candidates":
        named = replace(world, inner=named)
    scene = scene_of(named)
    assert_within_the_sheet(picture(named, scene, 0))
    drawn.assert_readable()
    assert "A VERY LONG NAME" in text(named, scene, 0)


LOOKS = [(env_id, {"slate_size": K}) for K in (1, 5) for env_id in IDS] + [(env_id, {}) for env_id in ARMS]
AHEAD = {
    "Attack-v0",
    "PoisonedRec-v0",
    "CascadeRec-v0",
    "CascadeBandit-v0",
    "CascadeRec-Grocery-v0",
    "LinearCascadeBandit-v0",
    "SlateRec-v0",
    "KnapsackBandit-v0",
}


@pytest.mark.parametrize(("env_id", "parameters"), LOOKS)
def test_values_are_named_for_how_far_they_look(env_id, parameters, drawn):
    env = gym.make(env_id, **parameters).unwrapped
    scene, world = scene_of(env.world, 1), env.world
    picture(world, scene, 0)
    page = text(world, scene, 0)
    far = {"expected return", "what is lost by showing this slate now, if the best ones follow"}
    near = {
        "expected reward of this step",
        "what this slate earns less than the best one, at this step",
    }
    ahead = env_id in AHEAD
    assert (far <= set(drawn), near <= set(drawn)) == (ahead, not ahead)
    assert ("\nexpected return: " in page) == ahead
    assert ("\nexpected reward of this step: " in page) != ahead


def test_values_before_candidates_are_of_this_step(drawn):
    world = made("candidates")
    scene = scene_of(world)
    picture(world, scene, 0)
    assert "expected reward of this step" in drawn
    assert "expected return" not in text(world, scene, 0)


@pytest.mark.parametrize(
    ("regret", "words"), [(-0.25, "-0.250"), (-1e-12, "0.000"), (0.0, "0.000"), (0.25, "0.250")]
)
def test_only_rounding_is_taken_off_a_regret(regret, words, drawn):
    world = made("slates")
    scene = scene_of(world, 1)
    value = scene.outcome.best_value
    scene = replace(scene, outcome=scene.outcome._replace(slate_value=value - regret))
    assert f"   regret {words}\n" in text(world, scene, 0)
    picture(world, scene, 0)
    assert f"regret of this step {words}" in drawn
    assert ("this slate is worth more than the one that regret is measured against" in drawn) == (
        regret == -0.25
    )


@pytest.mark.parametrize("kind", ["slates", "candidates"])
@pytest.mark.parametrize("leaves", [0.0, 1.0])
def test_a_user_who_leaves_is_said_to_leave(kind, leaves, drawn):
    scene = scene_of(world := made(kind, leave_after_click=leaves, leave_without_click=leaves))
    for row in range(5):
        picture(world, scene, row)
        assert (" left." in drawn[1]) == (leaves == 1.0)
        assert (drawn[0] == "Step 1 of 20: the user left") == (leaves == 1.0)
        head = text(world, scene, row).splitlines()[0]
        assert head.endswith("   the user left") == (leaves == 1.0)
        drawn.clear()


def test_some_rows_of_a_batch_leave_and_others_stay():
    world = made("slates", leave_without_click=0.9)
    scene = scene_of(world)
    left = [user_scene(world, scene, row).shown.left for row in range(40)]
    assert left == scene.outcome.left.tolist()
    assert 0 < sum(left) < 40


def test_a_session_is_as_long_as_its_user_makes_it():
    world = replace(made("songs"), session_sizes=np.array([0.0, 0.0, 0.5, 0.5]))
    scene = scene_of(world)
    sizes = {user_scene(world, scene, row).user.split(", ")[1] for row in range(40)}
    assert sizes == {"song 2 of 3 of a session", "song 2 of 4 of a session"}
    state = scene.state
    for row in range(40):
        words = f"song {state.session_song[row] + 1} of {state.session_size[row]} of a session"
        assert words in text(world, scene, row)


def scene_later(world, steps=6, B=3):
    """What some steps of best slates with random items between led to."""
    luck = Luck.from_seeds(np.arange(B))
    state = world.begin(luck)
    for h in range(steps):
        before, slates = state, world.best_slate(state)
        random = np.random.default_rng(h).integers(0, world.num_items, slates.shape)
        slates = np.where(np.arange(slates.shape[1]) % 2 == 1, random, slates)
        state, outcome = world.respond(before, slates, luck.at(h))
    return Scene(state, before, slates, outcome)


PERSONAL = ("InterestDrift-v0", "RepeatListen-v0", "BoredUser-v0", "GroupSlate-v0", "ShortcutBench-v0")
CROWDED = [
    *((env_id, {"slate_size": K}) for env_id in IDS for K in (1, 3, 5, 10)),
    *((env_id, {"slate_size": K}) for env_id in PERSONAL for K in (14, 15, 16, 60)),
    *((env_id, {}) for env_id in ARMS),
    ("CascadeRec-v0", {"slate_size": 60, "num_items": 100, "num_states": 300}),
    ("SlateRec-v0", {"candidates": 60}),
    ("SlateRec-v0", {"num_categories": 1000}),
    ("BoredUser-v0", {"threshold": 1, "duration": 12}),
    ("BoredUser-v0", {"num_categories": 200, "threshold": 1, "duration": 99}),
    ("GroupSlate-v0", {"num_groups": 1000, "radius": 300.0}),
]


@pytest.mark.parametrize(("env_id", "parameters"), CROWDED)
def test_no_words_lie_on_others_or_end_past_the_margin(env_id, parameters, drawn):
    world = gym.make(env_id, **parameters).unwrapped.world
    scene = scene_later(world)
    for one in (scene, Scene(scene.before)):
        drawn.clear()
        drawn.boxes.clear()
        picture(world, one, 1)
        drawn.assert_readable()


def test_a_bored_topic_is_named_and_says_for_how_long(drawn):
    world = gym.make("BoredUser-v0", threshold=1, duration=12).unwrapped.world
    scene = scene_later(world)
    left = scene.state.boredom.left
    row = int(np.argmax(left.max(axis=1)))
    assert left[row].max() > 9
    picture(world, scene, row)
    for topic in np.flatnonzero(left[row]):
        assert f"topic {topic}" in drawn
        assert f"bored, {left[row, topic]}" in drawn


def test_no_bored_topic_is_left_out():
    world = gym.make("BoredUser-v0", num_categories=100).unwrapped.world
    scene = scene_of(world, 1)
    left = scene.state.boredom.left.copy()
    left[0, :2] = 3
    least = np.argsort(interest_match(world.catalogue, world.interest_of(scene.state))[0])[:2]
    left[0, least] = 4
    state = scene.state._replace(boredom=scene.state.boredom._replace(left=left))
    bars = {one.name: one for one in user_scene(world, Scene(state), 0).driver.bars}
    assert all(bars[f"topic {topic}"].marked for topic in (0, 1, *least))
    assert len(bars) == NUM_BARS


@pytest.mark.parametrize("user", ["linear", "gated"])
def test_nearness_can_be_read_of_more_than_the_nearest_group(user):
    world = gym.make("GroupSlate-v0", user=user).unwrapped.world
    scene = scene_later(world, B=20)
    for row in range(20):
        bars = user_scene(world, scene, row).driver.bars
        shares = [one.share for one in bars]
        assert shares == sorted(shares, reverse=True)
        assert min(shares) > 0.1


def test_colours_of_curves_are_no_marks():
    assert not {BLUE, VERMILION} & set(CURVES)
    assert len(set(CURVES)) == 3


@pytest.mark.parametrize(
    ("K", "clicked", "drawn"),
    [
        (15, [14], [*range(15)]),
        (16, [], [*range(14)]),
        (60, [], [*range(14)]),
        (60, [13], [*range(14)]),
        (60, [14, 59], [*range(12), 14, 59]),
        (60, [0, 20, 21, 22, 23, 24, 25, 26], [*range(7), *range(20, 27)]),
        (60, [*range(60)], [*range(14)]),
    ],
)
def test_the_slots_there_is_room_for(K, clicked, drawn):
    fates = ["clicked" if k in clicked else "not seen" for k in range(K)]
    cards = tuple(Card(f"item {k}", fate, 0.5) for k, fate in enumerate(fates))
    assert slots_drawn(Shown(cards, cards, 1.0, 1.0, 1.0, False, False), 15) == drawn


def test_of_a_long_slate_as_much_is_drawn_as_can_be_read(drawn):
    world = made("slates", slate_size=60, clicks="position_based", intercept=2.0)
    scene = scene_of(world)
    clicks = scene.outcome.response.clicked
    for row in range(5):
        drawn.clear()
        picture(world, scene, row)
        lower = np.flatnonzero(clicks[row])
        named = [k for k in lower if world.catalogue.item_name(int(scene.slates[row, k])) in drawn]
        assert len(named) >= min(len(lower), 7)
        rest = f", {len(lower) - len(named)} of them clicked" if len(named) < len(lower) else ""
        assert f"… 46 more{rest}" in drawn
        assert "… 46 more" in drawn
        numbers = [int(words) for words in drawn if words.isdecimal()]
        assert numbers[:7] == [1, 2, 3, 4, 5, 6, 7]
        assert set(named) <= {n - 1 for n in numbers}


def test_words_of_a_row_have_one_size(drawn):
    world = made("slates", slate_size=20)
    picture(world, scene_of(world), 0)
    rows = {round((top + bottom) / 2) for _, _, top, bottom, words in drawn.boxes if words.isdecimal()}
    assert len(rows) == 14
    for row in rows:
        heights = {
            round(bottom - top, 6)
            for left, _, top, bottom, _ in drawn.boxes
            if left < DRIVER and round((top + bottom) / 2) == row
        }
        assert len(heights) == 1


@pytest.mark.parametrize("kind", ["slates", "candidates"])
def test_where_all_items_are_of_one_category_the_most_attractive_items_are_shown(kind, drawn):
    world = made(kind, num_categories=1, slate_size=3)
    scene = scene_of(world)
    inner = world if kind == "slates" else world.inner
    state = scene.state if kind == "slates" else scene.state.inner
    everything = np.tile(np.arange(400), (40, 1))
    attraction = inner.slate_attraction(state, everything)
    items = scene.slates if kind == "slates" else world.items(scene.before, scene.slates)
    for row in range(40):
        bars = user_scene(world, scene, row).driver.bars
        top = np.sort(attraction[row])[::-1][:NUM_BARS]
        assert [one.label for one in bars] == [f"{a:.2f}" for a in top]
        assert bars[0].share == 1.0
        marked = {one.name for one in bars if one.marked}
        assert marked == {f"item {i}" for i in items[row]} & {one.name for one in bars}
    if kind == "slates":
        assert len(marked) == 3
    picture(world, scene, 0)
    assert "attraction of items" in drawn
    assert "category 0" not in drawn


def test_curves_are_those_of_the_first_bars():
    world = gym.make("InterestDrift-v0").unwrapped.world
    scene = scene_later(world, B=10)
    for row in range(10):
        driver = user_scene(world, scene, row).driver
        now = [0.5 + 0.5 * float(one.label) for one in driver.bars[:3]]
        assert [curve[-1] for curve in driver.curves] == pytest.approx(now, abs=0.005)


def test_the_last_plays_are_those_that_an_agent_sees(drawn):
    world = made("songs", history_length=5)
    scene = scene_later(world, steps=12)
    seen = world.observe(scene.state)
    for row in range(3):
        drawn.clear()
        plays = user_scene(world, scene, row).plays
        assert [play.name for play in plays] == [f"item {song}" for song in seen["recent"][row]]
        assert [play.hours for play in plays] == pytest.approx(seen["hours_ago"][row])
        assert plays[0].name == f"item {scene.state.recent[row, 0]}"
        words = ", ".join(f"{play.name} ({play.ago})" for play in plays)
        assert f"\nlast plays: {words}\n" in text(world, scene, row)
        picture(world, scene, row)
        at = drawn.index("last plays")
        for play in plays:
            assert play.name in drawn[at:]
            assert play.ago in drawn[at:]


@pytest.mark.parametrize(("slate_size", "fits"), [(1, True), (6, True), (7, False)])
def test_the_last_plays_stand_under_slates_that_leave_room(slate_size, fits, drawn):
    world = made("songs", slate_size=slate_size)
    scene = scene_of(world, 2)
    picture(world, scene, 1)
    assert ("last plays" in drawn) == fits
    assert drawn.count("… 1 more") == 0  # no slot gives way to them
    drawn.clear()
    picture(world, Scene(scene.before), 1)
    assert "last plays" in drawn


def test_a_listener_without_a_past_is_drawn_too(drawn):
    world = made("songs")
    scene = Scene(world.newcomers(np.arange(2), Luck.from_seeds([0, 1])))
    assert user_scene(world, scene, 1).plays == ()
    picture(world, scene, 1)
    assert "last plays" not in drawn
    assert "last plays" not in text(world, scene, 1)


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (1 / 15, "4 min ago"),
        (0.99, "59 min ago"),
        (1.0, "1 h ago"),
        (47.4, "47 h ago"),
        (48.0, "2 days ago"),
        (24.0 * 800, "2 years ago"),
    ],
)
def test_how_long_ago(hours, words):
    assert Play("item 1", hours).ago == words


@pytest.mark.parametrize("marked", [True, False])
def test_a_name_makes_room_for_its_label(marked, drawn):
    bars = tuple(Bar("a name that is long", 0.5, label, marked) for label in ("0", "a longer label", "-0.5"))
    user_picture(UserScene(0, 20, "a user", Driver("title", bars, "mark"), None))
    drawn.assert_readable()
    assert "a longer label" in drawn
