"""Many users as a `VecEnv` of Stable-Baselines3, stepped together by compiled code.

    from stable_baselines3 import PPO
    from recsim_env.envs.sb3 import SB3VecEnv

    model = PPO("MlpPolicy", SB3VecEnv("CascadeRec-v0", num_envs=256))

A step of an episode of T steps, in Stable-Baselines3's words:

    step t < T    observation, reward, done False, info {}
    step T        first observation of the next episode, reward, done True, info {"terminal_observation": the
                  last one, "TimeLimit.truncated": nobody left, "episode": {"r": return, "l": T, "t":
                  seconds}, and what the environment told of this row, such as clicked and best_value}

This is Gymnasium's SAME_STEP autoreset. With NEXT_STEP a step that only resets would count as one of the
episode, with DISABLED an episode would never begin anew: both are refused.

Stable-Baselines3 wants B dictionaries a step. Those of rows that go on are empty, so that they cost next to
nothing; what the environment told of all rows is in `last_info`, as arrays (B, ...).
"""

import time
from collections.abc import Iterable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Dict
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector import VectorWrapper as GymnasiumVectorWrapper

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.envs.describe import world_source
from recsim_env.envs.wrappers import Flatten, wrap
from recsim_env.errors import InputError, require

require("stable_baselines3", "sb3")

from stable_baselines3.common.monitor import Monitor  # noqa: E402
from stable_baselines3.common.vec_env import VecEnv  # noqa: E402

Indices = int | Iterable[int] | None
OF_INFO = ("clicked", "examined", "best_value", "slate_value")


class SB3VecEnv(VecEnv):
    """A native vector environment, wrapped or not, for the algorithms of Stable-Baselines3.

    Row i under `seed(s)` does what the single environment does that was reset with the seed s + i, step for
    step. Episodes are counted here, so `rollout/ep_rew_mean` is there without a Monitor or VecMonitor.

    Args:
        env: id of an environment, or a vector environment in autoreset mode SAME_STEP.
        num_envs: B, of an id.
        flat: True lays the entries of a Dict observation side by side, whole numbers as one-hot (exactly
            `gymnasium.wrappers.FlattenObservation`), for "MlpPolicy"; False keeps them, for
            "MultiInputPolicy", which lays them side by side itself and is slower.
        truncation_is_final: True treats an episode that ran to its time limit as one that ended. Right where
            the limit is part of the problem and the observation has the step, as in `CascadeRec-v0`: no
            value lies beyond. False lets the algorithm add the value of the last observation, for which
            Stable-Baselines3 asks its network once for every row.
        parameters: of an id: of `gym.make_vec` and the world, such as `slate_size=5`.

    Raises:
        InputError: an unknown id or parameter, another autoreset mode, num_envs or parameters beside a
            ready environment.
    """

    def __init__(
        self,
        env: str | VectorEnv[Any, Any, Any],
        num_envs: int | None = None,
        *,
        flat: bool = True,
        truncation_is_final: bool = False,
        **parameters: Any,
    ) -> None:
        if isinstance(env, str):
            env = _made(env, 1 if num_envs is None else num_envs, parameters)
        elif num_envs is not None or parameters:
            given = ", ".join([*(["num_envs"] if num_envs is not None else []), *parameters])
            raise InputError(f"a ready environment takes no {given}: give them where it is made")
        if not isinstance(env, VectorEnv):
            raise InputError(
                f"env must be an id or a vector environment of gym.make_vec, got {env}: give a single "
                "environment to the algorithm itself, as in PPO('MultiInputPolicy', env)"
            )
        mode = (env.metadata or {}).get("autoreset_mode")
        if mode is not AutoresetMode.SAME_STEP:
            raise InputError(
                f"autoreset_mode must be SAME_STEP, got {getattr(mode, 'name', mode)}: make the environment "
                "with autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP, or give its id"
            )
        if flat and isinstance(env.single_observation_space, Dict):
            env = wrap(env, Flatten())
        self.env = env
        self.truncation_is_final = truncation_is_final
        self.last_info: dict[str, Any] = {}
        self.spec = env.spec
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self._actions: Array | None = None
        self._return: Floats = np.zeros(self.num_envs)
        self._length: Ints = np.zeros(self.num_envs, np.int64)
        self._began = time.time()

    def reset(self) -> Any:
        """Begin an episode in every row: of the seeds of `seed`, or the next one of the seeds there are."""
        options = self._options[0]
        if any(other != options for other in self._options):
            raise InputError("options must be the same in every row: give set_options one dictionary")
        seeds = None if all(seed is None for seed in self._seeds) else list(self._seeds)
        observation, self.last_info = self.env.reset(seed=seeds, options=options or None)  # type: ignore[arg-type]
        self._reset_seeds()
        self._reset_options()
        self._return, self._length = np.zeros(self.num_envs), np.zeros(self.num_envs, np.int64)
        return observation

    def step_async(self, actions: Array) -> None:
        """Keep the actions (B, ...)."""
        self._actions = actions

    def step_wait(self) -> tuple[Any, Array, Array, list[dict[str, Any]]]:
        """Take the step; see the module."""
        observation, reward, terminated, truncated, info = self.env.step(self._actions)
        self.last_info = info
        self._return += reward
        self._length += 1
        done = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done.any():
            self._tell_of_the_end(np.flatnonzero(done), truncated & ~terminated, info, infos)
        # the reward is a copy in any case: Stable-Baselines3 adds the value of the last observation to it
        return observation, reward.astype(np.float32), done, infos

    def _tell_of_the_end(
        self, rows: Ints, at_limit: Array, info: dict[str, Any], infos: list[dict[str, Any]]
    ) -> None:
        final = info["final_obs"]
        seconds = round(time.time() - self._began, 6)
        limit = (at_limit & (not self.truncation_is_final)).tolist()
        for row in rows.tolist():
            last = {name: value[row] for name, value in final.items()} if _is_dict(final) else final[row]
            infos[row] = {
                "terminal_observation": last,
                "TimeLimit.truncated": limit[row],
                "episode": {"r": float(self._return[row]), "l": int(self._length[row]), "t": seconds},
                **{name: info[name][row] for name in OF_INFO if name in info},
            }
        self._return[rows] = 0.0
        self._length[rows] = 0

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def get_images(self) -> list[Any]:
        """The picture of every row, None where the environment draws none."""
        frames: Any = self.env.render() if self.render_mode == "rgb_array" else None
        return [None] * self.num_envs if frames is None else list(frames)

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """The attribute of the environment, of the outermost wrapper that has it, once for every index."""
        return [getattr(self._holder(attr_name), attr_name)] * len(self._rows(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Set an attribute of the environment; of all rows, since they share it.

        Raises:
            InputError: some rows only.
        """
        if sorted(set(self._rows(indices))) != list(range(self.num_envs)):
            raise InputError(f"{attr_name} is shared by all rows: set it without indices")
        try:
            holder = self._holder(attr_name)
        except AttributeError:
            holder = self.env
        setattr(holder, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Indices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of the environment, once for all rows.

        Returns:
            For every index its row of the result, where that is an array or a sequence of B; else the result.

        Raises:
            InputError: `reset` or `step`, which would leave the account of episodes behind.
        """
        if method_name in ("reset", "step"):
            raise InputError(f"{method_name} acts on all rows: call {method_name} of the SB3VecEnv itself")
        method = getattr(self._holder(method_name), method_name)
        result = method(*method_args, **method_kwargs)
        by_row = isinstance(result, np.ndarray | tuple | list) and len(result) == self.num_envs
        return [result[row] if by_row else result for row in self._rows(indices)]

    def env_is_wrapped(self, wrapper_class: type, indices: Indices = None) -> list[bool]:
        """Whether the environment is wrapped so; by a Monitor always, since episodes are recorded."""
        wrapped = issubclass(wrapper_class, Monitor)
        layer = self.env
        while not wrapped:
            wrapped = isinstance(layer, wrapper_class) and isinstance(layer, GymnasiumVectorWrapper)
            if not isinstance(layer, GymnasiumVectorWrapper):
                break
            layer = layer.env
        return [wrapped] * len(self._rows(indices))

    def _rows(self, indices: Indices) -> list[int]:
        rows = list(self._get_indices(indices))
        for row in rows:
            if not -self.num_envs <= row < self.num_envs:
                raise IndexError(f"index {row} is out of range: there are {self.num_envs} environments")
        return rows

    def _holder(self, name: str) -> Any:
        """The outermost layer of the environment that has this attribute."""
        layer: Any = self.env
        while not hasattr(layer, name) and isinstance(layer, GymnasiumVectorWrapper):
            layer = layer.env
        if not hasattr(layer, name):
            raise AttributeError(f"{type(self.env.unwrapped).__name__} has no attribute {name!r}")
        return layer


def _is_dict(observation: Any) -> bool:
    return isinstance(observation, dict)


def _made(env_id: str, num_envs: int, parameters: dict[str, Any]) -> VectorEnv[Any, Any, Any]:
    """The native vector environment of an id."""
    if "autoreset_mode" in parameters:
        raise InputError("autoreset_mode is always SAME_STEP here: leave it out")
    spec = gym.registry.get(env_id.rpartition(":")[2])
    if spec is None or "world" not in spec.kwargs:
        world_source(env_id)  # imports its package; refuses what is no environment of a world
    return gym.make_vec(
        env_id,
        num_envs=num_envs,
        vectorization_mode="vector_entry_point",
        autoreset_mode=AutoresetMode.SAME_STEP,
        **parameters,
    )
