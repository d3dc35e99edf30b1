"""RLlib PPO with two runners on CascadeRec-v0 and on CartPole-v1. Two minutes: python benchmarks/rllib.py

The same algorithm on both: batch, minibatches, epochs, network, runners and rows. What RLlib does for a step
is most of the time, so the environments differ little in it; CartPole's observation is 4 numbers, ours a
Dict that a connector makes 31 numbers, and our action is a slate of three items. Iterations of the two
alternate, as the machine may be shared, and the time of each is the best of its rounds: CPU seconds of all
processes together, per environment step.
"""

import os
import time

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["OMP_NUM_THREADS"] = "1"

import ray
import torch
from timing import header, row

from recsim_env.experiments.rllib.algorithms import Sizes, algorithm_config

ROUNDS = 6
SIZES = Sizes(runners=2, users=32, batch=2560, minibatch=256, epochs=4)


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
        num_cpus=5,
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
    algorithms = {"CascadeRec-v0": ours.build_algo(), "CartPole-v1": pole.build_algo()}
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
        mine, theirs = (steps / seconds[name] for name in algorithms)
        row(
            f"RLlib PPO, 2 runners: steps per {what}-second",
            f"{mine:,.0f}",
            "as CartPole",
            f"CartPole-v1 {theirs:,.0f} (ratio {mine / theirs:.2f})",
        )


if __name__ == "__main__":
    main()
