"""What a policy earns, and what it loses against the best: one measurement for the policies of any library.

A trained network, random slates, the myopic policy and the optimum play the same users under the same luck,
so that the difference of two policies is paired: its standard error is that of the differences, episode by
episode, and most of the noise falls out.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from recsim_env.arrays import Array, Bools, Floats
from recsim_env.envs.batched import BatchedEnv, Info, Observation
from recsim_env.envs.spaces import to_slates
from recsim_env.errors import InputError
from recsim_env.simulators.worlds.world import World

Act: TypeAlias = Callable[[dict[str, Array]], Array]
METRICS = ("reward", "regret", "ndcg", "coverage", "drift")  # that a run records, where they are known
BLOCK = 64  # items whose attraction is asked for at once: to look for repeats takes their number squared


def measure(
    act: Act | Callable[[Any], Array],
    world: World,
    *,
    episodes: int,
    seed: int,
    max_episode_steps: int | None = None,
    wrap: Callable[[BatchedEnv], VectorEnv[Any, Any, Any]] | None = None,
) -> dict[str, Floats]:
    """Let a policy play one episode with each of many users.

    Args:
        act: observation (B, ...) each -> slates (B, K), one number per slot; N or -1 leave a slot empty.
        world: where it plays.
        episodes: B; episode i is episode 0 of the seed `seed + i`.
        seed: of the first, 0 or more. Policies measured under the same seed face the same users and luck.
        max_episode_steps: end episodes before the world's horizon, as `gym.make` does.
        wrap: of a policy that sees or acts through wrappers: puts them around the environment, and `act` is
            then asked what the wrapped environment asks. What is measured is still what the user did.

    Returns:
        By metric, (B,) per episode:

        - `reward`: what the user gave, summed; reward shaping of wrappers is not in it.
        - `regret`: `best_value - slate_value` summed, without the luck of the clicks (see `World.values`).
        - `length`: slates shown.
        - `coverage`: share of the catalogue (of the places, in a world that shows candidates) that this
          episode's slates held.
        - `ndcg`, where the world knows how each item attracts (`slate_attraction`): mean over the slates of
          NDCG@K with graded gains, `DCG = sum_k a(A_k) / log2(k + 1)` for slots k = 1..K, where a is the
          probability that the item attracts this user now, divided by the DCG of the K most attractive
          items, most attractive first. A repeated item and an empty slot gain 0. It looks at this slate
          alone: where planning pays, the best policy has not the best NDCG.
        - `drift`, where interests move (`interest_at`): distance from the interest that the user began the
          episode with to that of the last slate, as a share of the length of the first.

    Raises:
        InputError: episodes below 1, a negative seed, or slates that the environment refuses.
    """
    if episodes < 1:
        raise InputError(f"episodes must be at least 1, got {episodes}")
    if seed < 0:
        raise InputError(f"seed must be 0 or more, got {seed}")
    # in this mode all wrappers work; who is done plays on, and is not counted
    inner = MeasuredEnv(episodes, world, max_episode_steps, autoreset_mode=AutoresetMode.SAME_STEP)
    env = inner if wrap is None else wrap(inner)
    observation, _ = env.reset(seed=seed)
    while not inner.over.all():
        observation = env.step(act(observation))[0]
    return inner.metrics()


class MeasuredEnv(BatchedEnv):
    """A `BatchedEnv` that keeps account of the first episode of every row; the arguments are the same."""

    over: Bools  # (B,) the first episode has ended

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Observation, Info]:
        """Begin, and count from here."""
        B, N = self.num_envs, self.world.num_items
        self.over = np.zeros(B, np.bool_)
        self._reward, self._regret, self._length, self._ndcg = np.zeros((4, B))
        self._shown = np.zeros((B, N + 1), np.bool_)  # the last column is that of empty slots
        self._knows_attraction = hasattr(self.world, "slate_attraction")
        self._interests_move = hasattr(self.world, "interest_at")
        began = super().reset(seed=seed, options=options)
        if self._interests_move:
            self._first_interest = self._last_interest = self._interest(self._state)
        return began

    def step(  # type: ignore[override]
        self, actions: Array
    ) -> tuple[Observation, Floats, Bools, Bools, Info]:
        """As in `BatchedEnv`."""
        before, going = self._state, ~self.over
        result = super().step(actions)
        _, reward, terminated, truncated, info = result
        slates = to_slates(np.asarray(actions), self._shape, self.world.num_items)
        self._reward += reward * going
        self._regret += (info["best_value"] - info["slate_value"]) * going
        self._length += going
        rows = np.flatnonzero(going)
        self._shown[rows[:, None], slates[rows]] = True
        if self._knows_attraction:
            self._ndcg += graded_ndcg(self.world, before, slates) * going
        if self._interests_move:
            self._last_interest = np.where(going[:, None], self._interest(before), self._last_interest)
        self.over = self.over | terminated | truncated
        return result

    def metrics(self) -> dict[str, Floats]:
        """See `measure`."""
        found = {
            "reward": self._reward,
            "regret": self._regret,
            "length": self._length,
            "coverage": self._shown[:, :-1].mean(axis=1),
        }
        if self._knows_attraction:
            found["ndcg"] = self._ndcg / self._length
        if self._interests_move:
            moved = np.linalg.norm(self._last_interest - self._first_interest, axis=1)
            found["drift"] = moved / np.linalg.norm(self._first_interest, axis=1)
        return found

    def _interest(self, state: Any) -> Floats:
        """(B, D) of the users, as they are in this state."""
        return np.array(self.world.interest_of(state), np.float64)  # type: ignore[attr-defined]


def graded_ndcg(world: Any, state: Any, slates: Array) -> Floats:
    """(B,) NDCG@K of slates (B, K) with the probability of attraction as gain: see `measure`.

    Where nothing attracts at all every order is the best one, and the NDCG is 1.
    """
    B, K = slates.shape
    discount = 1 / np.log2(np.arange(2, K + 2))
    every = np.arange(world.num_items)
    blocks = [every[start : start + BLOCK] for start in range(0, len(every), BLOCK)]
    highest = np.empty((B, 0))
    for block in blocks:
        attraction = world.slate_attraction(state, np.ascontiguousarray(np.tile(block, (B, 1))))
        highest = np.concatenate([highest, attraction], axis=1)
        if highest.shape[1] > K:
            highest = -np.partition(-highest, K - 1, axis=1)[:, :K]
    # sums, not products of matrices: those depend on the number of rows in the last bits
    ideal = (-np.sort(-highest, axis=1) * discount).sum(axis=1)
    gained = (np.ascontiguousarray(world.slate_attraction(state, slates)) * discount).sum(axis=1)
    return np.asarray(np.where(ideal > 0, gained / np.where(ideal > 0, ideal, 1), 1.0))
