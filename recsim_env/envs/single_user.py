"""One user in a `gymnasium.Env`: the batch of one of the same world."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Dict, MultiDiscrete

from recsim_env.arrays import Array, Ints
from recsim_env.envs.episodes import check_options, episodes
from recsim_env.envs.rendering import RENDER_FPS, picture, text
from recsim_env.envs.scene import Scene
from recsim_env.envs.spaces import WorldSource, make_world, observation_space, slate_space, to_slates
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import evaluation_info

STEPS_KEPT = 1 << 16  # a table of them saves the time to make one, and the table of all may be large
Observation = dict[str, Any]
Info = dict[str, Any]


class SingleUserEnv(gym.Env[Observation, Array]):
    """One user of a world; row i of `BatchedEnv` with this env's seed does the same, step for step.

    `reset(seed=s)` begins episode 0 of the luck of seed s, every later `reset()` the next episode, and
    `reset(options={"episode": e})` episode e. `info` holds, after a step, `clicked` (K,) and `examined`
    (K,) bool, `best_value` and `slate_value`, the exact worth of the best slate and of the one shown, whose
    difference is the regret of this step: the expected return of the rest of the episode, the best slates
    following, if `world.plans_ahead`, else the expected reward of this step. The episode is as long as the
    world's `horizon`: of the TimeLimit of `gym.make(..., max_episode_steps=n)` nothing is known here.

    Args:
        world: a `World`, or `module:function` that makes one from the parameters.
        render_mode: `ansi`, `rgb_array` or None.
        parameters: of the function that makes the world.
    """

    metadata = {  # noqa: RUF012 - declared so by gymnasium.Env
        "render_modes": ["ansi", "rgb_array"],
        "render_fps": RENDER_FPS,
    }
    action_space: MultiDiscrete
    observation_space: Dict

    def __init__(self, world: WorldSource, render_mode: str | None = None, **parameters: Any) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise InputError(f"render_mode must be ansi, rgb_array or None, got {render_mode!r}")
        self.world = make_world(world, parameters)
        self.render_mode = render_mode
        self.action_space = slate_space(self.world)
        self.observation_space = observation_space(self.world)
        self._shape = (1, self.world.slate_size)
        self._horizon = self.world.horizon
        self._steps = np.arange(min(self._horizon, STEPS_KEPT))[
            :, None
        ]  # row h is the step of the luck at step h
        self._tells = evaluation_info(self.world)
        self._luck: Luck | None = None
        self._done = True
        self._scene: Scene | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, Info]:
        """Begin an episode; see the class."""
        options = check_options(options, ("episode",))
        if seed is None and self._luck is None:
            seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> 1)
        super().reset(seed=seed)
        if seed is not None:
            luck = Luck.from_seeds([seed])
        elif self._luck is not None:
            luck = self._luck.of_episode(self._luck.episode + 1)
        episode = options.get("episode")
        self._luck = luck if episode is None else luck.of_episode(episodes(episode, 1))
        self._elapsed = 0
        self._state = self.world.begin(self._luck)
        self._done = False
        self._scene = Scene(self._state)
        return self._observation(), {}

    def step(self, action: Array | Ints) -> tuple[Observation, float, bool, bool, Info]:
        """Show a slate (K,), one number per slot: an item, or N for an empty slot."""
        if self._done or self._luck is None:
            raise InputError("the episode is over or has not begun: call reset() first")
        slates = to_slates(self._one_row(action), self._shape, self.world.num_items)
        kept = self._elapsed < STEPS_KEPT
        step = self._steps[self._elapsed] if kept else np.array([self._elapsed])
        luck = Luck(self._luck.seed, self._luck.episode, step)
        before = self._state
        self._state, outcome = self.world.respond(before, slates, luck)
        self._elapsed += 1
        terminated = bool(outcome.left[0])
        truncated = self._elapsed >= self._horizon
        self._done = terminated or truncated
        if self.render_mode is not None:
            self._scene = Scene(self._state, before, slates, outcome)
        info = {
            "clicked": outcome.response.clicked[0],
            "examined": outcome.response.examined[0],
            "best_value": outcome.best_value[0],
            "slate_value": outcome.slate_value[0],
        }
        if self._tells is not None:
            info |= {name: value[0] for name, value in self._tells(before).items()}
        return self._observation(), float(outcome.reward[0]), terminated, truncated, info

    def _one_row(self, action: Array | Ints) -> Array:
        """The action (K,) as a batch of one."""
        slots = np.asarray(action)
        if slots.shape != self._shape[1:]:
            raise InputError(
                f"action must have shape {self._shape[1:]}, got {slots.shape}: one number a slot"
            )
        return slots[None]

    @property
    def luck(self) -> Luck:
        """Seed, episode and step of the step to come, as of a batch of one: see `BatchedEnv.luck`."""
        if self._luck is None:
            raise InputError("the episode has not begun: call reset() first")
        return self._luck.at(self._elapsed)

    def best_slate(self) -> Ints:
        """(K,) the action that regret is measured against now; N in empty slots.

        An oracle for comparison: an agent that looks here has seen the answer.
        """
        if self._luck is None:
            raise InputError("the episode has not begun: call reset() first")
        best = self.world.best_slate(self._state)[0]
        return np.where(best < 0, self.world.num_items, best)

    def render(self) -> Any:
        """The last step: text for `ansi`, an (height, width, 3) uint8 picture for `rgb_array`."""
        if self.render_mode is None:
            gym.logger.warn(
                "render() draws nothing without a render_mode: pass render_mode='rgb_array' to gym.make"
            )
            return None
        if self._scene is None:
            raise InputError("there is nothing to draw yet: call reset() first")
        return (
            text(self.world, self._scene) if self.render_mode == "ansi" else picture(self.world, self._scene)
        )

    def _observation(self) -> Observation:
        return {name: value[0] for name, value in self.world.observe(self._state).items()}
