"""Steps of CascadeRec-v0 per CPU-second, in a batch and alone. About 20 s: python benchmarks/environments.py

Limits: a bare NumPy cascade click and a bare compiled loop over the same slates, without states, rewards,
checks, episodes or regret; CartPole-v1 for the single environment.
"""

import gymnasium as gym
import numpy as np
from numba import njit
from timing import header, row, seconds

import recsim_env  # noqa: F401

B = 4096


@njit
def bare_loop(attraction, slates, seed):  # type: ignore[no-untyped-def]
    """First click of every user with an inline xorshift generator."""
    clicks = np.empty(len(slates), np.int64)
    x = np.uint64(seed)
    for b in range(len(slates)):
        clicks[b] = slates.shape[1]
        for k in range(slates.shape[1]):
            x ^= x << np.uint64(13)
            x ^= x >> np.uint64(7)
            x ^= x << np.uint64(17)
            if (x >> np.uint64(11)) * 2.0**-53 < attraction[slates[b, k]]:
                clicks[b] = k
                break
    return clicks


def main() -> None:
    """Print the table."""
    batch = gym.make_vec("CascadeRec-v0", num_envs=B)
    batch.reset(seed=0)
    batch.action_space.seed(0)
    slates = [batch.action_space.sample() for _ in range(16)]
    turn = [0]

    def step() -> None:
        turn[0] += 1
        batch.step(slates[turn[0] % 16])

    rng, attraction = np.random.default_rng(0), np.random.default_rng(1).random(13)

    def bare_numpy() -> None:
        turn[0] += 1
        attracted = rng.random((B, 3)) < attraction[slates[turn[0] % 16]]
        np.where(attracted.any(axis=1), attracted.argmax(axis=1), 3)

    def loop() -> None:
        turn[0] += 1
        bare_loop(attraction, slates[turn[0] % 16], 88172645463325252)

    alone = gym.make("CascadeRec-v0")
    alone.reset(seed=0)
    actions = [alone.action_space.sample() for _ in range(64)]

    def episodes() -> None:
        for action in actions:
            _, _, terminated, truncated, _ = alone.step(action)
            if terminated or truncated:
                alone.reset()

    pole = gym.make("CartPole-v1")
    pole.reset(seed=0)

    def poles() -> None:
        for i in range(64):
            _, _, terminated, truncated, _ = pole.step(i % 2)
            if terminated or truncated:
                pole.reset()

    vec, bare, fused = (B / seconds(f) / 1e6 for f in (step, bare_numpy, loop))
    single, cart = (64 / seconds(f) / 1e3 for f in (episodes, poles))
    header()
    row(
        f"gym.make_vec, {B:,} users: user-steps/s",
        f"{vec:.1f} M",
        "12 M",
        f"bare NumPy click {bare:.1f} M, bare compiled click {fused:.1f} M",
    )
    row(
        "gym.make: steps/s",
        f"{single:.0f} k",
        "100 k",
        f"CartPole-v1 {cart:.0f} k (ratio {single / cart:.2f})",
    )


if __name__ == "__main__":
    main()
