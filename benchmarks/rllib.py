"""RLlib PPO with two runners on CascadeRec-v0 and on CartPole-v1. Three minutes: python benchmarks/rllib.py

The same algorithm on both: batch, minibatches, epochs, network, runners and rows. What RLlib does for a step
is most of the time, so the environments differ little in it. CartPole sees 4 numbers, makes one choice of
two, and has episodes that grow as it learns; ours sees a Dict that a connector makes 31 numbers, makes three
choices of thirteen, and ends after 20 steps, for all of which RLlib does more. So CartPole comes twice: as it
is, and of like size, seeing 31 numbers of which 27 are 0, making three such choices of which the first is
heeded, for at most 20 steps. Iterations of the three alternate, as the machine may be shared, and the time of
each is the best of its rounds: CPU seconds of all processes together, per environment step.
"""

import os
import time

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["OMP_NUM_THREADS"] = "1"

import gymnasium as gym
import numpy as np
import ray
import torch
from gymnasium.spaces import Box, MultiDiscrete
from timing import header, row

from recsim_env.experiments.rllib.algorithms import Sizes, algorithm_config

ROUNDS = 6
SIZES = Sizes(runners=2, users=32, batch=2560, minibatch=256, epochs=4)


class LikeSize(gym.vector.VectorWrapper):
    """CartPole with the observation and the action of CascadeRec-v0's size."""

    def __init__(self, config) -> None:  # type: ignore[no-untyped-def]
        super().__init__(
            gym.make_vec(
                "CartPole-v1",
                config["num_envs"],
                vectorization_mode="vector_entry_point",
                max_episode_steps=20,
            )
        )
        self.single_observation_space = Box(-np.inf, np.inf, (31,), np.float32)
        self.single_action_space = MultiDiscrete([13, 13, 13])
        self.observation_space = Box(-np.inf, np.inf, (self.num_envs, 31), np.float32)
        self.action_space = MultiDiscrete(np.full((self.num_envs, 3), 13))

    def reset(self, **how):  # type: ignore[no-untyped-def]
        """As in CartPole, but wider."""
        observation, info = self.env.reset(**how)
        return np.pad(observation, ((0, 0), (0, 27))), info

    def step(self, actions):  # type: ignore[no-untyped-def]
        """The first choice counts."""
        observation, *rest = self.env.step(np.asarray(actions)[:, 0] % 2)
        return np.pad(observation, ((0, 0), (0, 27))), *rest


def cpu_seconds(algorithm) -> float:  # type: ignore[no-untyped-def]
    """Of this process and its runners, so far."""
    runners = algorithm.env_runner_group.foreach_env_runner(
        lambda runner: time.process_time(), local_env_runner=False
    )
    return time.process_time() + sum(runners)


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    ray.init(
        num_cpus=7,
        include_dashboard=False,
        object_store_memory=200_000_000,
        log_to_driver=False,
        logging_level="ERROR",
    )
    ours = algorithm_config("ppo", "CascadeRec-v0", sizes=SIZES)
    pole = ours.copy(copy_frozen=False)
    pole.environment("CartPole-v1")
    pole.env_config = {}
    pole.env_runners(env_to_module_connector=None)
    pole.callbacks_on_environment_created = None
    wide = pole.copy(copy_frozen=False)
    wide.environment(LikeSize)
    configs = {"CascadeRec-v0": ours, "CartPole-v1": pole, "CartPole-v1 of like size": wide}
    algorithms = {name: config.build_algo() for name, config in configs.items()}
    cpu = dict.fromkeys(algorithms, float("inf"))
    wall = dict.fromkeys(algorithms, float("inf"))
    for round_ in range(ROUNDS + 1):
        for name, algorithm in algorithms.items():
            begun, spent = time.perf_counter(), cpu_seconds(algorithm)
            algorithm.train()
            if round_:  # the first one compiles
                cpu[name] = min(cpu[name], cpu_seconds(algorithm) - spent)
                wall[name] = min(wall[name], time.perf_counter() - begun)
    steps = ours.train_batch_size_per_learner
    for algorithm in algorithms.values():
        algorithm.stop()
    ray.shutdown()
    header()
    for what, seconds in (("CPU", cpu), ("wall", wall)):
        mine, *theirs = (steps / seconds[name] for name in algorithms)
        beside = [
            f"{name} {speed:,.0f} (ratio {mine / speed:.2f})"
            for name, speed in zip(list(algorithms)[1:], theirs, strict=True)
        ]
        row(
            f"RLlib PPO, 2 runners: steps per {what}-second", f"{mine:,.0f}", "as CartPole", "; ".join(beside)
        )


if __name__ == "__main__":
    main()
