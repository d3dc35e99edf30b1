"""Regret, NDCG and coverage in the logs of a training of Stable-Baselines3, beside `rollout/ep_rew_mean`.

    from recsim_env.experiments.sb3_callback import PolicyMetrics

    model = PPO("MlpPolicy", SB3VecEnv("CascadeRec-v0", num_envs=256), tensorboard_log="runs/ppo/tensorboard")
    model.learn(500_000, callback=PolicyMetrics(out="runs/ppo"))

Every so many steps the model plays users that it was not trained on, greedily: see `policy_metrics`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Dict
from gymnasium.vector import VectorEnv

from recsim_env.envs.batched import BatchedEnv
from recsim_env.envs.wrappers import Flatten, wrap
from recsim_env.envs.wrappers.change import ChangedVectorEnv
from recsim_env.errors import InputError, require
from recsim_env.experiments.policy_metrics import METRICS, measure
from recsim_env.experiments.results import Curve, Results

require("stable_baselines3", "sb3")

from stable_baselines3.common.callbacks import BaseCallback  # noqa: E402


class PolicyMetrics(BaseCallback):
    """Measures the model before training, at the first end of a rollout after `every` steps, and at the end.

    What it finds goes to the model's logger, and so to its tables and to TensorBoard, under the names of
    `policy_metrics.measure`, each with `<name>_std_error`; to `results`, and with `out` to `results.csv`
    there, which other runs can be compared with. Where the algorithm says how far its last update moved the
    policy (PPO does), that is logged as `kl`.

    Args:
        every: environment steps between two measurements.
        episodes: users that the model plays, 1 or more.
        seed: of the first of them; others than the environment's.
        wrap_env: puts the wrappers of the training around the environment of the measurement. Needed if there
            are others than the flat observation that `SB3VecEnv` makes by itself.
        deterministic: whether the model acts greedily.
        out: directory for `results.csv`.
    """

    def __init__(
        self,
        every: int = 50_000,
        episodes: int = 500,
        seed: int = 1 << 41,
        wrap_env: Callable[[BatchedEnv], VectorEnv[Any, Any, Any]] | None = None,
        deterministic: bool = True,
        out: Path | str | None = None,
    ) -> None:
        super().__init__()
        for name, value in {"every": every, "episodes": episodes}.items():
            if value < 1:
                raise InputError(f"{name} must be at least 1, got {value}")
        self.every, self.episodes, self.seed = every, episodes, seed
        self.wrap_env, self.deterministic = wrap_env, deterministic
        self.out = None if out is None else Path(out)
        self.results = Results()
        self._measured_at = -1

    def _on_training_start(self) -> None:
        from recsim_env.envs.sb3 import SB3VecEnv

        env = self.training_env.unwrapped
        if not isinstance(env, SB3VecEnv) or not isinstance(env.env.unwrapped, BatchedEnv):
            raise InputError(
                f"PolicyMetrics needs a model that trains on an SB3VecEnv, got {type(env).__name__}"
            )
        self.world = env.env.unwrapped.world
        layers, layer = [], env.env
        while isinstance(layer, ChangedVectorEnv):
            layers.append(type(layer.change).__name__)
            layer = layer.env
        if self.wrap_env is None and (layers not in ([], ["Flatten"]) or self.training_env is not env):
            raise InputError(
                "wrap_env must be given: the model sees or acts through other wrappers than Flatten "
                f"({', '.join([*layers, type(self.training_env).__name__])})"
            )
        if self.wrap_env is not None:
            self._wrap = self.wrap_env
        elif isinstance(env.observation_space, Dict):
            self._wrap = lambda inner: inner
        else:
            self._wrap = lambda inner: wrap(inner, Flatten())
        if self._measured_at < 0:
            self._measure()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        # by the end of a rollout, where SB3 writes its own figures
        if self.num_timesteps >= self._measured_at + self.every:
            self._measure()

    def _on_training_end(self) -> None:
        if self.num_timesteps > self._measured_at:
            self._measure()
            self.logger.dump(self.num_timesteps)

    def _measure(self) -> None:
        found = measure(
            lambda observation: self.model.predict(observation, deterministic=self.deterministic)[0],
            self.world,
            episodes=self.episodes,
            seed=self.seed,
            wrap=self._wrap,
        )
        self._measured_at = self.num_timesteps
        curves = self.results.curves.setdefault(type(self.model).__name__.lower(), {})
        for name in (m for m in METRICS if m in found):
            mean = float(found[name].mean())
            self.logger.record(name, mean)
            if self.episodes > 1:
                self.logger.record(f"{name}_std_error", float(found[name].std(ddof=1) / self.episodes**0.5))
            old = curves.get(name, Curve(np.zeros(0, np.int64), np.zeros((0, 1))))
            curves[name] = Curve(
                np.append(old.steps, self.num_timesteps), np.concatenate([old.values, [[mean]]])
            )
        moved = self.logger.name_to_value.get("train/approx_kl")
        if moved is not None:
            self.logger.record("kl", moved)
        if self.out is not None:
            self.out.mkdir(parents=True, exist_ok=True)
            self.results.write(self.out / "results.csv")
