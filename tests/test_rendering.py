"""Frames in text and in pixels, over every id of the registry that needs no file of the reader's."""

import subprocess
import sys
from dataclasses import replace

import gymnasium as gym
import matplotlib
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from recsim_env.envs.describe import registered_ids
from recsim_env.envs.rendering import picture, text
from recsim_env.envs.scene import Scene
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.cascade import CascadeState
from recsim_env.simulators.worlds.engagement_ladder import engagement_ladder

SHAPE = (480, 720, 3)


def made(env_id, **options):
    try:
        return gym.make(env_id, **options).unwrapped
    except InputError as error:
        pytest.skip(f"{env_id} needs a file: {error}")


def name_of(world, item):
    return world.item_names[item] if world.item_names else f"item {item}"


@pytest.fixture(params=registered_ids())
def env_id(request):
    return request.param


@pytest.fixture(params=[i for i in registered_ids() if i.startswith("Cascade")])
def cascade_id(request):
    return request.param


def crowd(world, B=2000):
    """The same slate, shown to B users in the same state who stay in it: they differ in clicks alone."""
    luck = Luck.from_seeds(range(B))
    first = world.begin(luck)
    before = type(first)(*(np.repeat(column[:1], B, axis=0) for column in first))
    slates = np.tile(np.arange(world.slate_size), (B, 1))
    state, outcome = world.respond(before, slates, luck)
    return Scene(state._replace(user_state=before.user_state), before, slates, outcome)


def row_where(scene, slot):
    """A user who clicked this slot, or nothing (slot None)."""
    clicked = scene.outcome.response.clicked
    return int(np.flatnonzero(clicked[:, slot] if slot is not None else ~clicked.any(axis=1))[0])


def test_text_of_any_world_holds_the_facts(env_id):
    env = made(env_id, render_mode="ansi")
    env.reset(seed=5)
    assert f"step 0 of {env.world.horizon}" in env.render()
    assert "no slate shown yet" in env.render()
    env.action_space.seed(5)
    for _ in range(3):
        action = env.action_space.sample()
        _, reward, terminated, _, info = env.step(action)
        lines = env.render().splitlines()
        assert f"reward {reward:.4g}   regret" in lines[0]
        assert f"regret {info['best_value'] - info['slate_value']:.3f}" in lines[0]
        clicked = sum(line.endswith(("  clicked", "  opened")) for line in lines)
        assert clicked == info["clicked"].sum()
        passed = sum(line.endswith("passed over") for line in lines)
        assert clicked + passed == info["examined"].sum()
        assert lines[-1].startswith("best slate: ")
        if terminated:
            env.reset()


def test_text_holds_the_facts(cascade_id):
    env = made(cascade_id, render_mode="ansi")
    env.reset(seed=5)
    assert "no slate shown yet" in env.render()
    assert f"step 0 of {env.world.horizon}" in env.render()
    env.action_space.seed(5)
    clicks = 0
    for h in range(1, min(env.world.horizon, 30) + 1):
        action = env.action_space.sample()
        before = env._state.user_state[0]
        observation, reward, _, _, info = env.step(action)
        lines = env.render().splitlines()
        assert lines[0].startswith(f"step {h} of {env.world.horizon}   state {before} -> ")
        assert f" -> {observation['state']}   reward {reward:.4g}   " in lines[0]
        assert f"regret {info['best_value'] - info['slate_value']:.3f}" in lines[0]
        clicked = [line for line in lines if line.endswith("  clicked")]
        assert len(clicked) == info["clicked"].any()
        for k in np.flatnonzero(info["clicked"]):
            clicks += 1
            assert clicked[0].split()[0] == str(k + 1)
            assert name_of(env.world, action[k]) in clicked[0]
        assert sum(line.endswith(("passed over", "clicked")) for line in lines) == info["examined"].sum()
    assert clicks


def test_text_says_which_slots_are_empty_and_why():
    env = gym.make("CascadeRec-v0", render_mode="ansi", slate_size=4).unwrapped
    env.reset(seed=0)
    env.step(np.array([7, 7, 12, 8]))
    page = env.render()
    assert "2  repeats slot 1: counts as empty\n3  empty\n4  item 8" in page


def test_the_optimal_slate_has_no_regret():
    env = gym.make("CascadeRec-v0", render_mode="ansi", slate_size=12).unwrapped
    env.reset(seed=0)
    for _ in range(20):
        env.step(env.world.best_slate(env._state)[0])
        assert "regret 0.000\n" in env.render()


def test_best_slate_is_of_the_state_before_the_step():
    env = gym.make("CascadeRec-v0", render_mode="ansi", num_states=4, horizon=3).unwrapped
    env.reset(seed=0)
    state = env._state
    for _ in range(3):
        best = [f"item {a}" for a in env.world.best_slate(state)[0] if a >= 0]
        env.step(np.array([0, 1, 2]))
        assert env.render().splitlines()[-1] == "best slate: " + ", ".join(best)
        state = env._state


def test_pictures_differ_with_the_click_alone(cascade_id):
    world = made(cascade_id).world
    scene = crowd(world)
    frames = [picture(world, scene, row_where(scene, slot)) for slot in (None, 0, world.slate_size - 1)]
    for frame in frames:
        assert frame.shape == SHAPE
        assert frame.dtype == np.uint8
        assert 0.02 < (frame < 200).any(axis=2).mean() < 0.5  # ink, on a sheet that is mostly paper
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (frames[one] != frames[other]).any(axis=2).sum() > 500
    row = row_where(scene, 0)
    np.testing.assert_array_equal(picture(world, scene, row), frames[1])


def test_picture_after_reset_and_after_a_step(env_id):
    env = made(env_id, render_mode="rgb_array")
    env.reset(seed=1)
    before = env.render()
    assert before.shape == SHAPE
    assert (before < 200).any()
    env.action_space.seed(1)
    env.step(env.action_space.sample())
    assert (env.render() != before).any()


@pytest.mark.parametrize("mode", ["ansi", "rgb_array"])
def test_vector_env_draws_every_row(env_id, mode):
    single = made(env_id, render_mode=mode)
    envs = gym.make_vec(env_id, num_envs=2, render_mode=mode)
    envs.reset(seed=3)
    action = np.arange(single.world.slate_size)
    envs.step(np.tile(action, (2, 1)))
    frames = envs.render()
    assert isinstance(frames, tuple)
    for row, frame in enumerate(frames):
        single.reset(seed=3 + row)
        single.step(action)
        np.testing.assert_array_equal(frame, single.render())


def test_a_row_that_begins_its_next_episode_shows_no_slate():
    envs = gym.make_vec("CascadeRec-v0", num_envs=2, render_mode="ansi", horizon=1)
    envs.reset(seed=0)
    actions = np.tile([0, 1, 2], (2, 1))
    envs.step(actions)
    assert all("reward" in frame for frame in envs.render())
    envs.step(actions)  # NEXT_STEP: only begins the next episode
    assert all("no slate shown yet" in frame for frame in envs.render())


@pytest.mark.parametrize("mode", ["SameStep", "Disabled"])
def test_rows_that_go_on_keep_their_last_slate_when_others_begin(mode):
    envs = gym.make_vec("SlateRec-v0", num_envs=40, render_mode="ansi", autoreset_mode=AutoresetMode(mode))
    envs.reset(seed=0)
    actions = np.tile(np.arange(10), (40, 1))
    _, _, terminated, _, _ = envs.step(actions)
    assert 0 < terminated.sum() < 40
    if mode == "Disabled":
        envs.reset(options={"reset_mask": terminated})
    for frame, left in zip(envs.render(), terminated, strict=True):
        assert ("no slate shown yet" in frame) == left
        assert ("reward" in frame) != left


def test_a_state_alone_in_mid_episode_is_not_said_to_be_the_first():
    world = engagement_ladder()
    state = CascadeState(np.array([3, 3]), np.array([0, 5]))
    first, later = (text(world, Scene(state), row) for row in (0, 1))
    assert first.startswith("step 0 of 20   state 3   no slate shown yet\n")
    assert later.startswith("step 5 of 20   state 3   the last slate was not kept\n")
    assert (picture(world, Scene(state), 0) != picture(world, Scene(state), 1)).any()


@pytest.mark.parametrize(("num_states", "slate_size"), [(2, 1), (20, 5), (41, 12), (300, 60)])
def test_other_sizes(num_states, slate_size):
    env = gym.make(
        "CascadeRec-v0", render_mode="rgb_array", num_states=num_states, slate_size=slate_size, num_items=60
    ).unwrapped
    env.reset(seed=0)
    env.step(np.arange(slate_size))
    frame = env.render()
    assert frame.shape == SHAPE
    for side in (frame[:8], frame[-4:], frame[:, :8], frame[:, -8:]):
        assert (side == 255).all()  # nothing runs off the sheet


def test_long_and_odd_names_stay_in_their_card():
    plain = engagement_ladder(num_items=3)
    names = ("FLUID MILK WHITE ONLY " * 5, "$x_1$ 50% off", "")
    world = replace(plain, item_names=names)
    scene = crowd(world)
    frame, reference = (picture(w, scene, row_where(scene, None)) for w in (world, plain))
    between = slice(391, 404)  # x from the cards to the best slate, all pixels from the headings down
    np.testing.assert_array_equal(frame[75:370, between], reference[75:370, between])
    assert names[0].strip() in text(world, scene, 0)


def test_the_readers_matplotlib_settings_do_not_matter():
    world = engagement_ladder()
    scene = crowd(world)
    frame = picture(world, scene, 0)
    with matplotlib.rc_context(
        {"font.size": 30, "lines.linestyle": ":", "figure.dpi": 40, "savefig.dpi": 40}
    ):
        np.testing.assert_array_equal(picture(world, scene, 0), frame)


def test_a_world_without_a_drawing_says_so():
    with pytest.raises(InputError, match="there is no picture of a int: use render_mode=None"):
        picture(3, Scene(None))
    with pytest.raises(InputError, match="there is no text of a int"):
        text(3, Scene(None))


def test_matplotlib_is_loaded_only_for_pictures():
    program = """
import sys, gymnasium as gym, recsim_env
for mode in (None, "ansi"):
    env = gym.make("CascadeRec-v0", render_mode=mode)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    if mode: env.render()
envs = gym.make_vec("CascadeRec-v0", num_envs=2)
assert not [m for m in sys.modules if m.startswith("matplotlib")]
env = gym.make("CascadeRec-v0", render_mode="rgb_array")
env.reset(seed=0)
env.render()
assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
