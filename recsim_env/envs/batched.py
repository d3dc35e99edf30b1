"""Many users in one `gymnasium.vector.VectorEnv`, stepped together by compiled code.

What `step` returns in each autoreset mode, for a row whose episode has T steps (t = steps taken):

    NEXT_STEP (default)   ... step T: last observation, truncated | next step: action ignored, first
                          observation of the next episode, reward 0 | its step 1 | ...
    SAME_STEP             ... step T: first observation of the next episode, truncated; the last one is
                          in info["final_obs"], its info in info["final_info"] | its step 1 | ...
    DISABLED              ... step T: last observation, truncated | reset(options={"reset_mask": rows})
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from gymnasium.spaces import Dict, MultiDiscrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.envs.episodes import check_options, episode_steps, episodes, rows_to_reset
from recsim_env.envs.rendering import RENDER_FPS, picture, text
from recsim_env.envs.scene import Scene
from recsim_env.envs.spaces import WorldSource, make_world, observation_space, slate_space, to_slates
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import columns, evaluation_info, put_rows, with_columns

Observation = dict[str, Array]
Info = dict[str, Any]


class BatchedEnv(VectorEnv[Observation, Array, Floats]):
    """B users of one world; row i does what `SingleUserEnv` does with the seed of row i.

    `reset(seed=s)` gives row i the seed s + i, and begins episode 0; a list gives each row its own.
    `reset(options={"episode": e})` begins episode e. `info` holds, after a step, `clicked` (B, K) and
    `examined` (B, K) bool, `best_value` (B,) and `slate_value` (B,), whose difference is the regret of
    this step (see `SingleUserEnv`), and what a world tells evaluation alone. In NEXT_STEP all are zero in a
    row that this step only reset.

    Args:
        num_envs: B.
        world: a `World`, or `module:function` that makes one from the parameters.
        max_episode_steps: truncate earlier than the world's horizon, as Gymnasium's TimeLimit does around the
            single environment. A world that plans ahead still plans to its horizon: for the regret of
            shorter episodes give it `horizon`.
        render_mode: `ansi`, `rgb_array` or None.
        autoreset_mode: see the module.
        parameters: of the function that makes the world.
    """

    single_action_space: MultiDiscrete
    single_observation_space: Dict

    def __init__(
        self,
        num_envs: int,
        world: WorldSource,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        **parameters: Any,
    ) -> None:
        if num_envs < 1:
            raise InputError(f"num_envs must be at least 1, got {num_envs}")
        if render_mode not in (None, "ansi", "rgb_array"):
            raise InputError(f"render_mode must be ansi, rgb_array or None, got {render_mode!r}")
        self.num_envs = num_envs
        self.world = make_world(world, parameters)
        self.render_mode = render_mode
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {
            "render_modes": ["ansi", "rgb_array"],
            "render_fps": RENDER_FPS,
            "autoreset_mode": self.autoreset_mode,
        }
        self.single_action_space = slate_space(self.world)
        self.single_observation_space = observation_space(self.world)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._tells = evaluation_info(self.world)
        self._limit = episode_steps(self.world, max_episode_steps)
        self._shape = (num_envs, self.world.slate_size)
        self._luck: Luck | None = None
        self._done: Bools = np.ones(num_envs, np.bool_)
        self._elapsed: Ints = np.zeros(num_envs, np.int64)
        self._state: Any = None  # of the world
        self._scene: Scene | None = None

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observation, Info]:
        """Begin an episode in every row, or in those of `options["reset_mask"]`; see the class."""
        options = check_options(options, ("episode", "reset_mask"))
        mask = rows_to_reset(options.get("reset_mask", np.ones(self.num_envs, np.bool_)), self.num_envs)
        if self._luck is None and not mask.all():
            raise InputError("the first reset must be of every row")
        seeds = self._new_seeds(seed)
        seeded = np.array([s is not None for s in seeds])
        if self._luck is None:
            fallback = np.random.SeedSequence().generate_state(self.num_envs, np.uint64) >> np.uint64(1)
            fresh = [int(f) if s is None else s for f, s in zip(fallback, seeds, strict=True)]
            luck = Luck.from_seeds(fresh)
        else:
            renewed = Luck.from_seeds([0 if s is None else s for s in seeds])
            luck = Luck(
                np.where(seeded & mask, renewed.seed, self._luck.seed),
                np.where(seeded & mask, 0, self._luck.episode + mask),
                self._luck.step,
            )
        if options.get("episode") is not None:
            luck = luck.of_episode(np.where(mask, episodes(options["episode"], self.num_envs), luck.episode))
        self._begin(mask, luck)
        return self.world.observe(self._state), {}

    def step(  # type: ignore[override]  # Gymnasium gives one type to rewards and flags
        self, actions: Array
    ) -> tuple[Observation, Floats, Bools, Bools, Info]:
        """Show slates (B, K), one number per slot: an item, or N for an empty slot."""
        slates = to_slates(np.asarray(actions), self._shape, self.world.num_items)
        if self._luck is None:
            raise InputError("the episode has not begun: call reset() first")
        over = self._done
        any_over = bool(over.any())
        if any_over and self.autoreset_mode is AutoresetMode.DISABLED:
            rows = np.flatnonzero(over)
            raise InputError(
                f"the episode of row {rows[0]} is over: call reset(options={{'reset_mask': rows}})"
            )
        before = self._state
        self._state, outcome = self.world.respond(before, slates, self._luck.at(self._elapsed))
        self._elapsed = self._elapsed + 1
        reward, terminated = outcome.reward, outcome.left
        truncated = self._elapsed >= self._limit  # also where the user left, as Gymnasium's TimeLimit does
        response = outcome.response
        info: Info = {
            "clicked": response.clicked,
            "examined": response.examined,
            "best_value": outcome.best_value,
            "slate_value": outcome.slate_value,
        }
        if self._tells is not None:
            info |= self._tells(before)
        if any_over:  # NEXT_STEP: these rows were over before this step, which only begins their next episode
            going = ~over
            self._begin(over, self._next_episodes(over))
            reward, terminated, truncated = reward * going, terminated & going, truncated & going
            info = {name: (value.T * going).T for name, value in info.items()}
        self._done = terminated | truncated
        self._scene = Scene(self._state, before, slates, outcome) if self.render_mode else None
        if self.autoreset_mode is AutoresetMode.SAME_STEP and self._done.any():
            final = {"final_obs": self.world.observe(self._state), "final_info": info}
            self._begin(self._done, self._next_episodes(self._done))
            info = {
                **info,
                **final,
                "_final_obs": terminated | truncated,
                "_final_info": terminated | truncated,
            }
        return self.world.observe(self._state), reward, terminated, truncated, info

    @property
    def luck(self) -> Luck:
        """Seed, episode and step of every row, of the step to come: what wrappers draw from and log."""
        if self._luck is None:
            raise InputError("the episode has not begun: call reset() first")
        return self._luck.at(self._elapsed)

    @property
    def state(self) -> Any:
        """Of the world, before the step to come: what measurements look at, and agents must not."""
        return self._state

    def best_slates(self) -> Ints:
        """(B, K) the actions that regret is measured against now; see `SingleUserEnv.best_slate`."""
        if self._luck is None:
            raise InputError("the episode has not begun: call reset() first")
        best = self.world.best_slate(self._state)
        return np.where(best < 0, self.world.num_items, best)

    def progress(self) -> dict[str, Array]:
        """What `restore` needs to go on in the middle of the episode: arrays, which a file can hold."""
        if self._luck is None:
            raise InputError("the episode has not begun: call reset() first")
        arrays = {f"state/{i}": column for i, column in enumerate(columns(self._state))}
        return {"elapsed": self._elapsed, "done": self._done, **arrays}

    def restore(self, arrays: Mapping[str, Array]) -> Observation:
        """Go on where `progress` was called, in the episode that `reset` has begun anew."""
        if self._luck is None:
            raise InputError("the episode has not begun: call reset() first")
        states = [arrays[f"state/{i}"] for i in range(len(columns(self._state)))]
        self._state = with_columns(self._state, states)
        self._elapsed, self._done, self._scene = arrays["elapsed"], arrays["done"], None
        return self.world.observe(self._state)

    def render(self) -> tuple[Any, ...] | None:
        """The last step of every row: see `SingleUserEnv.render`."""
        if self.render_mode is None or self._luck is None:
            return None
        scene = self._scene or Scene(self._state)
        draw = text if self.render_mode == "ansi" else picture
        return tuple(draw(self.world, scene, row) for row in range(self.num_envs))

    def _new_seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            return [int(seed) + i for i in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise InputError(f"seed must be one integer or {self.num_envs} of them, got {len(seed)}")
        return list(seed)

    def _next_episodes(self, mask: Bools) -> Luck:
        assert self._luck is not None
        return Luck(self._luck.seed, self._luck.episode + mask, self._luck.step)

    def _begin(self, mask: Bools, luck: Luck) -> None:
        """First states in the rows of the mask, at the episodes that `luck` holds."""
        if mask.all():
            self._state, self._elapsed = self.world.begin(luck), np.zeros(self.num_envs, np.int64)
        else:
            rows = np.flatnonzero(mask)
            self._state = put_rows(self._state, rows, self.world.begin(luck.rows(rows)))
            self._elapsed = np.where(mask, 0, self._elapsed)
        self._done = self._done & ~mask
        self._luck = luck
        # rows that go on keep their last slate; of those that begin, a state at step 0 shows none
        if self._scene is not None:
            self._scene = None if mask.all() else replace(self._scene, state=self._state)
