"""PPO of Stable-Baselines3 on CascadeRec-v0 with one torch thread. About 20 s: python benchmarks/sb3.py

Environment steps per CPU-second of `model.learn`, learning included: with 256 environments in `SB3VecEnv`
and the same PPO with 8 environments in the library's own DummyVecEnv. Both learn from 5,120 steps at a time,
4 epochs of mini-batches of 1,024. Below, what a step of the first consists of.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import time

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv
from timing import header, row, seconds

import recsim_env  # noqa: F401
from recsim_env.envs.sb3 import SB3VecEnv

ROLLOUT = 5120  # steps that a policy is updated from
KEYWORDS = {"batch_size": 1024, "n_epochs": 4, "device": "cpu", "seed": 0, "gamma": 1.0}


def steps_per_second(policy: str, env: VecEnv, rollouts: int, rounds: int) -> tuple[float, PPO]:
    """The best of several rounds, of CPU time; the first rollout, which compiles, is not counted."""
    model = PPO(policy, env, n_steps=ROLLOUT // env.num_envs, **KEYWORDS)
    model.learn(ROLLOUT)
    best = 0.0
    for _ in range(rounds):
        start = time.process_time()
        model.learn(rollouts * ROLLOUT)
        best = max(best, rollouts * ROLLOUT / (time.process_time() - start))
    return best, model


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    mine, model = steps_per_second(
        "MlpPolicy", SB3VecEnv("CascadeRec-v0", num_envs=256, truncation_is_final=True), 6, 3
    )
    bootstrapped, _ = steps_per_second("MlpPolicy", SB3VecEnv("CascadeRec-v0", num_envs=256), 3, 2)
    mappings, _ = steps_per_second(
        "MultiInputPolicy",
        SB3VecEnv("CascadeRec-v0", num_envs=256, flat=False, truncation_is_final=True),
        3,
        2,
    )
    eight = DummyVecEnv([lambda: gym.make("CascadeRec-v0") for _ in range(8)])
    dummy, _ = steps_per_second("MultiInputPolicy", eight, 1, 1)
    header()
    row("PPO, SB3VecEnv(256)", f"{mine:,.0f}/s", "25,000/s", f"DummyVecEnv(8) {dummy:,.0f}/s")
    row("  that is", f"{mine / dummy:.1f}x", "2x", "DummyVecEnv(8)")
    row("  bootstrapping at the time limit", f"{bootstrapped:,.0f}/s", "", "the network once for every row")
    row("  MultiInputPolicy on the Dict observation", f"{mappings:,.0f}/s", "")

    env = model.env
    assert env is not None
    native = gym.make_vec("CascadeRec-v0", num_envs=256, autoreset_mode=AutoresetMode.SAME_STEP)
    native.reset(seed=0)
    slates = np.random.default_rng(0).integers(0, 12, (256, 3))
    observation = env.reset()

    def act() -> None:
        with torch.no_grad():
            model.policy(obs_as_tensor(observation, model.device))

    step = seconds(lambda: env.step(slates), 0.1)
    whole = 256 / mine
    row("of a step of 256 users, in microseconds", f"{1e6 * whole:,.0f}", "")
    parts = {
        "the native environment": seconds(lambda: native.step(slates), 0.1),
        "SB3VecEnv and its flat observation, beyond that": 0.0,
        "the network chooses": seconds(act, 0.1),
        "the network learns (4 epochs)": seconds(model.train, 0.1) * 256 / ROLLOUT,
    }
    parts["SB3VecEnv and its flat observation, beyond that"] = step - parts["the native environment"]
    for what, part in parts.items():
        row(f"  {what}", f"{1e6 * part:,.0f}", "", f"{part / whole:.0%}")
    rest = whole - sum(parts.values())
    row("  the library's loop and buffers", f"{1e6 * rest:,.0f}", "", f"{rest / whole:.0%}")


if __name__ == "__main__":
    main()
