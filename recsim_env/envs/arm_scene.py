"""One step of any bandit world, for its drawings: the arm that was pulled, and what every arm is worth."""

from dataclasses import replace
from typing import Any

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.envs.scene import Scene
from recsim_env.envs.slate_scene import Card, Shown, one_row, shown_slate
from recsim_env.envs.user_scene import Bar, Driver, UserScene
from recsim_env.simulators.worlds.experts import ExpertWorld
from recsim_env.simulators.worlds.incentivised import IncentivisedWorld
from recsim_env.simulators.worlds.knapsack import KnapsackWorld

NUM_BARS = 8


def arm_scene(world: Any, scene: Scene, row: int) -> UserScene:
    """The facts of one row: the arms of largest mean, and the one pulled, in the round that was played.

    Before the first round, and where no slate was kept, the means are those of the round to come.
    """
    state = one_row(scene.state, row)
    played = scene.slates is not None and state.step[0] > 0
    round_of = one_row(scene.before, row) if played else state
    mean = world.arm_means(round_of)[0]
    experts = isinstance(world, ExpertWorld)
    shown, words = None, f"{world.num_items} {'experts' if experts else 'arms'}"
    listed = np.argsort(-mean, kind="stable")[:NUM_BARS]
    pulled, mark = -1, "followed" if experts else "pulled"
    if isinstance(world, KnapsackWorld):
        words += f", budget {state.budget[0]} of {world.budget}"
    if played:
        assert scene.slates is not None
        pulled = int(scene.slates[row, 0])
        shown = _shown(world, scene, row, mean, world.best_slate(round_of)[0])
        if isinstance(world, IncentivisedWorld):
            told, pulled, mark = pulled, int(state.chosen[0]), "taken"
            words += f", told item {told}, took item {pulled}"
        if pulled not in listed:
            listed[-1] = pulled
    bars = tuple(
        Bar(arm_name(world, a), bar_share(mean, a), f"{_plain(mean[a]):.2f}", a == pulled)
        for a in listed.tolist()
    )
    driver = Driver("mean rewards", bars, mark)
    return UserScene(int(state.step[0]), world.horizon, words, driver, shown)


def arm_name(world: Any, arm: int) -> str:
    """As in every catalogue without names, but for experts and for the arm that waits."""
    if isinstance(world, KnapsackWorld) and arm == world.wait:
        return "wait"
    return f"{'expert' if isinstance(world, ExpertWorld) else 'item'} {arm}"


def bar_share(mean: Floats, arm: int) -> float:
    """0 to 1: from the least mean, or 0 if all are above, to the largest one, or 0 if all are below."""
    low, high = min(0.0, float(mean.min())), max(0.0, float(mean.max()))
    return float((mean[arm] - low) / (high - low)) if high > low else 0.0


def _shown(world: Any, scene: Scene, row: int, mean: Floats, best: Any) -> Shown:
    """The arm as a slate of one; users open whatever is shown where rewards are no clicks."""
    assert scene.slates is not None
    arms = scene.slates[row]
    shown = shown_slate(world, scene, row, arms, mean[arms], best, mean[best], lambda a: arm_name(world, a))
    opened = np.isinf(world.reward_range[1])

    def card(one: Card, arm: int) -> Card:
        fate = "opened" if opened and one.fate == "clicked" else one.fate
        return replace(one, fate=fate, attraction=_plain(mean[arm]), share=bar_share(mean, arm))

    return replace(
        shown,
        cards=(card(shown.cards[0], int(arms[0])),),
        best=(card(shown.best[0], int(best[0])),),
        measure="mean",
    )


def _plain(mean: float) -> float:
    """To two digits, without the sign of -0.00."""
    return round(float(mean), 2) + 0.0
