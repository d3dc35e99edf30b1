"""The users of RLlib's env runners: whose luck they have, and how their episodes end.

RLlib calls `on_environment_created` in every env runner; `own_users` is that callback. It does three things
which RLlib leaves to the environment:

- It refuses any autoreset mode but NEXT_STEP. RLlib takes NEXT_STEP for granted: in SAME_STEP it stores the
  first step of every episode as the step that begins it, and episodes come out too short, without an error.
- It gives each runner users of its own. RLlib seeds runner w with `seed + w` and our environments seed row i
  with `seed + i`, so that row i of runner w would be row i - 1 of runner w + 1. Here row i of runner w of
  W runners of B rows has the seed `seed + w B + i`.
- Where `step` is observed, the horizon is part of the problem, and the end of an episode is reported as
  `terminated`: nothing is worth anything after it, and no value is bootstrapped from what comes next.

`info` is dropped on the way: nothing in RLlib reads ours, and taking it apart row by row costs time.
"""

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv, VectorWrapper
from gymnasium.wrappers.vector import DictInfoToList
from ray.rllib.utils.debug import update_global_seed_if_necessary

from recsim_env.arrays import Array, Bools, Floats
from recsim_env.envs.batched import BatchedEnv
from recsim_env.envs.single_user import SingleUserEnv
from recsim_env.errors import InputError
from recsim_env.experiments.rllib.flat import MASK, Flat, check_masks
from recsim_env.simulators.worlds.world import World


class OwnUsers(VectorWrapper):
    """See the module.

    Args:
        env: of B rows.
        seed: of row 0 of this runner; None leaves it to chance.
    """

    def __init__(self, env: VectorEnv, seed: int | None) -> None:
        super().__init__(env)
        mode = env.metadata.get("autoreset_mode")
        if mode is not AutoresetMode.NEXT_STEP:
            raise InputError(
                f"autoreset_mode must be NextStep for RLlib, got {getattr(mode, 'value', mode)}: RLlib "
                "takes it for granted, and would cut episodes wrongly without an error; leave it out"
            )
        self.first_seed = seed
        self.episode = 0  # at which the next reset begins
        self._ends = "step" in world_behind(env).observation_entries()
        spaces = getattr(env.single_observation_space, "spaces", {})
        self._choices = (
            Flat(env.single_observation_space, env.single_action_space).choices if MASK in spaces else []
        )

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode in every row; RLlib's seed is replaced, see the module."""
        if self.first_seed is not None:
            seed = [self.first_seed + i for i in range(self.num_envs)]
            options = {**(options or {}), "episode": self.episode}
        observation, _ = self.env.reset(seed=seed, options=options)
        return self._checked(observation), {}

    def step(self, actions: Array) -> tuple[Any, Floats, Bools, Bools, dict[str, Any]]:  # type: ignore[override]
        """One step of every row."""
        observation, reward, terminated, truncated, _ = self.env.step(actions)
        if self._ends:
            terminated, truncated = terminated | truncated, np.zeros_like(truncated)
        return self._checked(observation), reward, terminated, truncated, {}

    def _checked(self, observation: Any) -> Any:
        if self._choices:
            check_masks(observation[MASK], self._choices)
        return observation


def world_behind(env: Any) -> World:
    """The world of a vector environment of this package, native or of single ones.

    Raises:
        InputError: it is not of this package.
    """
    inner = env.unwrapped
    if isinstance(inner, SyncVectorEnv):
        inner = inner.envs[0].unwrapped
    if not isinstance(inner, BatchedEnv | SingleUserEnv):
        raise InputError(f"env must be one of this package's environments, got {inner}")
    return inner.world


def own_users(*, env_runner: Any, **_: Any) -> None:
    """The callback: `config.callbacks(on_environment_created=own_users)`."""
    config = env_runner.config
    seed = None
    if config.seed is not None:
        away = 1_000_000 if config.in_evaluation else 0  # as RLlib seeds the runners that evaluate
        seed = int(config.seed) + away + (env_runner.worker_index or 0) * env_runner.num_envs
    behind = env_runner.env.env  # what RLlib has put into DictInfoToList
    env_runner.env = DictInfoToList(OwnUsers(behind, seed))


class Begin:
    """Lets the next sample of an env runner begin with new episodes and new luck, given by the arguments.

    Args:
        seed: of the policy's own draws in runner 0; runner w has seed + w.
        episode: that all rows begin.
    """

    def __init__(self, seed: int, episode: int) -> None:
        self.seed, self.episode = seed, episode

    def __call__(self, env_runner: Any) -> None:
        """In the process of the runner, one with `own_users`."""
        if env_runner.env is None:  # the runner of a driver whose work is done by others
            return
        env_runner.env.env.episode = self.episode
        env_runner._needs_initial_reset = True  # RLlib has no public way to ask for it
        update_global_seed_if_necessary("torch", self.seed + (env_runner.worker_index or 0))
