"""One step of any bandit world, for its drawings: the arm that was pulled, and what every arm is worth."""

from typing import Any

import numpy as np

from recsim_env.envs.scene import Scene
from recsim_env.envs.slate_scene import one_row, shown_slate
from recsim_env.envs.user_scene import Bar, Driver, UserScene

NUM_BARS = 8


def arm_scene(world: Any, scene: Scene, row: int) -> UserScene:
    """The facts of one row: the arms of largest expected reward, and the one pulled among them."""
    state = one_row(scene.state, row)
    shown, pulled = None, -1
    if scene.slates is not None and state.step[0] > 0:
        before = one_row(scene.before, row)
        means, best = world.arm_means(before)[0], world.best_slate(before)[0]
        pulled = int(scene.slates[row, 0])
        shown = shown_slate(
            world, scene, row, scene.slates[row], means[[pulled]], best, means[best], arm_name
        )
    means = world.arm_means(state)[0]
    order = np.argsort(-means, kind="stable")[:NUM_BARS]
    low, high = min(0.0, float(means.min())), max(float(means.max()), 1e-12)
    bars = tuple(
        Bar(arm_name(a), float((means[a] - low) / (high - low)), f"{means[a]:.2f}", a == pulled)
        for a in order.tolist()
    )
    driver = Driver("worth of every arm", bars, "pulled")
    return UserScene(int(state.step[0]), world.horizon, f"{world.num_items} arms", driver, shown)


def arm_name(arm: int) -> str:
    """As in every catalogue without names."""
    return f"item {arm}"
