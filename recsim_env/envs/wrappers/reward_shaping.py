"""Reward shaping: a weighted sum of the true reward, clicks, dwell and diversity of the slate.

    r' = w_reward r + w_clicks sum_k c_k + w_dwell sum_k e_k / K + w_diversity div(A)
    div(A) = mean over pairs of items in A of (1 - cos(f_i, f_j)) / 2, in [0, 1];  0 of a single item

c_k = 1 where slot k was clicked, e_k = 1 where it was examined: the share of the slate that the user looked
at is the dwell time of worlds whose users have no clock; with a `dwell` (B,) in `info`, it is taken instead.
The true reward stays in `info["true_reward"]`, and `best_value` and `slate_value` are of it: regret is not
shaped.
"""

from typing import Any

import numpy as np
from gymnasium.spaces import Space
from numba import njit

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.envs.wrappers.change import Change, Info, Observation, Step, entry
from recsim_env.errors import InputError, as_numbers
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import World


class RewardShaping(Change):
    """See the module.

    Args:
        reward: w_reward.
        clicks: w_clicks.
        dwell: w_dwell.
        diversity: w_diversity.
        features: (N, D) f of the items; by default those of the world's catalogue.

    Raises:
        InputError: a weight that is not finite; no features where diversity counts, or not one row an item.
    """

    def __init__(
        self,
        reward: float = 1.0,
        clicks: float = 0.0,
        dwell: float = 0.0,
        diversity: float = 0.0,
        features: Array | None = None,
    ) -> None:
        weights = {"reward": reward, "clicks": clicks, "dwell": dwell, "diversity": diversity}
        for name, weight in weights.items():
            if not isinstance(weight, int | float | np.number) or not np.isfinite(weight):
                raise InputError(f"{name} must be a finite number, got {weight!r}: it is a weight")
        self.weights, self.features = weights, features

    def bind(
        self, world: World, num_envs: int, action_space: Space[Any], observation_space: Space[Any]
    ) -> None:
        """The spaces stay."""
        super().bind(world, num_envs, action_space, observation_space)
        _, N = self.slot_space()
        self.candidates: Ints | None = None
        self.unit: Floats | None = None
        if self.weights["diversity"] == 0.0:
            return
        catalogue: Any = getattr(world, "catalogue", None)
        if self.features is None and catalogue is None:
            raise InputError("features must be given: this world has no catalogue with features of its items")
        features = as_numbers("features", catalogue.features if self.features is None else self.features)
        items = N if catalogue is None else catalogue.num_items
        if features.ndim != 2 or len(features) != items or not np.isfinite(features).all():
            raise InputError(f"features must be finite, of shape ({items}, D), got {features.shape}")
        length = np.linalg.norm(features, axis=1, keepdims=True)
        self.unit = features / np.where(length > 0.0, length, 1.0)

    def observe(self, observation: Observation, luck: Luck) -> Observation:
        """Keeps the candidates, to know which items are shown."""
        self.candidates = entry(observation, "candidates")
        return observation

    def after(self, step: Step) -> tuple[Floats, Info]:
        """The shaped reward, and the true one in info."""
        w = self.weights
        items = self.shown(step, self.candidates)
        dwell = step.info["dwell"] if "dwell" in step.info else step.info["examined"].mean(axis=1)
        shaped = (
            w["reward"] * step.reward + w["clicks"] * step.info["clicked"].sum(axis=1) + w["dwell"] * dwell
        )
        if self.unit is not None:
            shaped = shaped + w["diversity"] * diversity(self.unit, np.ascontiguousarray(items))
        return shaped, {"true_reward": step.info.get("true_reward", step.reward)}


@njit(cache=True)
def diversity(unit: Floats, items: Ints) -> Floats:
    """(B,) mean of (1 - cos) / 2 over the pairs of items (B, K), -1 in empty slots; unit (N, D) features.

    With s the sum of the n features, the cosines of all ordered pairs sum to |s|^2 - sum |f|^2. A loop: NumPy
    adds in an order that depends on B.
    """
    B, K = items.shape
    spread = np.zeros(B)
    total = np.empty(unit.shape[1])
    for b in range(B):
        n, squares = 0, 0.0
        total[:] = 0.0
        for k in range(K):
            if items[b, k] >= 0:
                n += 1
                for d in range(unit.shape[1]):
                    total[d] += unit[items[b, k], d]
                    squares += unit[items[b, k], d] ** 2
        if n > 1:
            cosines = -squares
            for d in range(unit.shape[1]):
                cosines += total[d] ** 2
            spread[b] = 0.5 * (1.0 - cosines / (n * (n - 1)))
    return spread
