"""User-steps per CPU-second of the worlds with 1,024 users. About 50 s: python benchmarks/worlds.py

Limits, in the same run: a bare NumPy kernel and a bare compiled kernel of cascade clicks with personal
scores (a dot product of 16 numbers and a sigmoid an item), without users who leave, checks, episodes,
observations and regret.
"""

import gymnasium as gym
import numpy as np
from numba import njit
from timing import header, row, seconds

import recsim_env  # noqa: F401

B, K, D, N = 1024, 10, 16, 1000
LONG = {"remembered": 10_000, "num_items": 20_000}
WORLDS: tuple[tuple[str, dict[str, object], float | None, str], ...] = (
    ("SlateRec-v0", {}, 3e6, "10 slots of 1,000 items, cascade"),
    ("RepeatListen-v0", {}, 1e5, "500 remembered events, exact"),
    ("RepeatListen-v0", {"memory": "approximate"}, 5e5, "traces of 200 songs"),
    ("RepeatListen-v0", LONG, None, "10,000 remembered, exact"),
    ("RepeatListen-v0", LONG | {"memory": "approximate"}, None, "10,000 remembered"),
    ("InterestDrift-v0", {}, 5e5, "10 slots of 200 items, D = 16"),
    ("BoredUser-v0", {}, 5e5, "10 slots of 200 items, 10 topics"),
    ("GroupSlate-v0", {}, 2e5, "10 slots of 1,000 items"),
)


@njit
def bare_loop(interest, features, slates, u):  # type: ignore[no-untyped-def]
    """First click of every user, scores only of what is examined."""
    clicks = np.empty(len(slates), np.int64)
    for b in range(len(slates)):
        clicks[b] = slates.shape[1]
        for k in range(slates.shape[1]):
            logit = np.float32(-5.0)
            for d in range(features.shape[1]):
                logit += interest[b, d] * features[slates[b, k], d]
            if u[b, k] < 1.0 / (1.0 + np.exp(-logit)):
                clicks[b] = k
                break
    return clicks


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    interest = rng.standard_normal((B, D)).astype(np.float32)
    features = (rng.standard_normal((N, D)) / 4).astype(np.float32)
    slates = rng.integers(0, N, (16, B, K))
    turn = [0]

    def numpy_kernel() -> None:
        turn[0] += 1
        shown = slates[turn[0] % 16]
        attraction = 1.0 / (1.0 + np.exp(5.0 - np.einsum("bd,bkd->bk", interest, features[shown])))
        attracted = rng.random((B, K)) < attraction
        np.where(attracted.any(axis=1), attracted.argmax(axis=1), K)

    def compiled_kernel() -> None:
        turn[0] += 1
        bare_loop(interest, features, slates[turn[0] % 16], rng.random((B, K)))

    bare, compiled = (B / seconds(f) / 1e6 for f in (numpy_kernel, compiled_kernel))
    header()
    for env_id, parameters, least, what in WORLDS:
        env = gym.make_vec(env_id, num_envs=B, **parameters)
        env.reset(seed=0)
        env.action_space.seed(0)
        actions = [env.action_space.sample() for _ in range(8)]

        def step(env=env, actions=actions) -> None:  # type: ignore[no-untyped-def]
            turn[0] += 1
            env.step(actions[turn[0] % 8])

        rate = B / seconds(step) / 1e6
        limit = (
            f"bare NumPy kernel {bare:.1f} M, compiled {compiled:.1f} M" if env_id == "SlateRec-v0" else ""
        )
        row(f"{env_id}, {what}", f"{rate:.3g} M", f"{least / 1e6:g} M" if least else "", limit)


if __name__ == "__main__":
    main()
