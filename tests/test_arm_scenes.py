"""What drawings say of bandits of one arm a round."""

import gymnasium as gym
import numpy as np
import pytest

from recsim_env.envs.arm_scene import NUM_BARS, bar_share
from recsim_env.envs.sheet import Sheet
from recsim_env.envs.slate_drawing import CARDS, CARDS_END
from recsim_env.envs.user_scenes import user_scene


def played(env_id, arms, mode="ansi", seed=1, **parameters):
    env = gym.make(env_id, render_mode=mode, **parameters).unwrapped
    env.reset(seed=seed)
    for arm in arms:
        env.step(np.array([arm]))
    return env


def scene_of(env):
    return user_scene(env.world, env._scene, 0)


def test_bars_are_of_the_round_that_was_played():
    """The marker is on the arm of that round, so its mean is of that round too, and so is the best arm."""
    env = played("ContextualBandit-v0", [0, 1, 2])
    before, after = env._scene.before, env._scene.state
    mean = env.world.arm_means(before)[0]
    assert not np.allclose(mean, env.world.arm_means(after)[0])
    scene = scene_of(env)
    assert {bar.name: bar.label for bar in scene.driver.bars} == {
        f"item {a}": f"{mean[a]:.2f}" for a in range(5)
    }
    assert [bar.name for bar in scene.driver.bars if bar.marked] == ["item 2"]
    assert scene.driver.bars[0].name == scene.shown.best[0].name == f"item {mean.argmax()}"


def test_bars_of_the_round_to_come_before_the_first():
    env = played("ContextualBandit-v0", [])
    mean = env.world.arm_means(env._scene.state)[0]
    assert scene_of(env).driver.bars[0].label == f"{mean.max():.2f}"


def test_the_arm_pulled_is_among_the_bars():
    """However far down it is."""
    env = played("LipschitzBandit-v0", [1000])
    bars = scene_of(env).driver.bars
    assert len(bars) == NUM_BARS
    assert [(bar.name, bar.marked) for bar in bars][-1] == ("item 1000", True)
    assert sum(bar.marked for bar in bars) == 1


@pytest.mark.parametrize(
    ("mean", "shares"),
    [
        ([0.2, 0.4], [0.5, 1.0]),
        ([-1.0, 1.0, 0.0], [0.0, 1.0, 0.5]),
        ([-2.0, -1.0], [0.0, 0.5]),
        ([0.0, 0.0], [0.0, 0.0]),
    ],
    ids=["chances", "both_signs", "negative", "nothing_left"],
)
def test_length_of_bars(mean, shares):
    assert [bar_share(np.array(mean), a) for a in range(len(mean))] == shares


@pytest.mark.parametrize("low", [-2.0, 5.0], ids=["negative", "above_one"])
def test_no_bar_leaves_its_card(low, monkeypatch):
    """Mean rewards need not be chances; those of the card and of the list have one length."""
    boxes = []
    box = Sheet.box

    def note(sheet, corner, size, **how):
        boxes.append((corner, size))
        box(sheet, corner, size, **how)

    monkeypatch.setattr(Sheet, "box", note)
    env = played("GaussianBandit-v0", [5], "rgb_array", low=low, high=low + 1.0)
    env.render()
    assert all(size[0] >= 0.0 for _, size in boxes)
    card = [(x, width) for (x, _), (width, _) in boxes if CARDS < x < CARDS_END]
    assert len(card) == 2  # the frame and what fills it
    assert card[1][1] <= card[0][1]
    bar = next(bar for bar in scene_of(env).driver.bars if bar.marked)
    assert card[1][1] == pytest.approx(bar.share * card[0][1])


def test_normal_rewards_are_no_clicks():
    text = played("GaussianBandit-v0", [5]).render()
    assert text.splitlines()[-2].endswith("opened")
    assert "attraction" not in text
    assert "click" not in text
    shown = scene_of(played("GaussianBandit-v0", [5])).shown
    assert shown.measure == "mean"
    assert shown.sentence == "The user looked at 1 item and opened item 5."
    assert shown.clicked == [0]
    assert shown.last_seen == 0


def test_no_minus_before_nothing():
    """A mean of -0.002 is 0.00 in two digits."""
    assert "-0.00" not in played("LinearBandit-v0", [5, 5, 10]).render().split("mean rewards")[1]


def test_the_budget_is_said():
    env = played("KnapsackBandit-v0", [0], budget=7, horizon=20)
    left = 7 - int(env._scene.state.cost[0])
    assert f"11 arms, budget {left} of 7" in env.render()
    for _ in range(19):
        env.step(np.array([10]))
    lines = env.render().splitlines()
    assert f"budget {left} of 7" in lines[0]
    assert next(line for line in lines if line.startswith("1  ")).split()[1] == "wait"


def test_what_the_user_took_instead_is_said():
    """Without a warm-up and without exploration the first user takes the arm that is better a priori."""
    env = played("IncentivisedUsers-v0", [1], kind="history", warm_up=0, exploration=0.0)
    assert "told item 1, took item 0" in env.render()
    bars = scene_of(env).driver.bars
    assert [bar.name for bar in bars if bar.marked] == ["item 0"]
    assert scene_of(env).shown.cards[0].name == "item 1"


def test_experts_are_called_experts():
    text = played("ExpertAdvice-v0", [3]).render()
    assert "10 experts" in text
    assert "expert 3" in text
    assert "item" not in text
