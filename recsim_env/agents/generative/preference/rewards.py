"""Rewards that need no user: of the log, of another recommender, and sums of several.

    rule             1 where an item is what the user took next by themselves, else 0
    ranking          0 for all where it is not in the group; else 0 for it and -(1 / log2(g + 2)) / Z for the
                     other at place g of 0 .. G - 1, Z = sum over g of 1 / log2(g + 2): high misses cost most
    collaborative    (f(i) - mean f) / std f over all items, f the scores of a recommender for the user
    weighted         sum of w r over several

All are `RewardFunction`s: numbers of users in the pool (B,), items (B, G) -> rewards (B, G).

Source: rule and ranking as in MiniOneRec and ReRe, 2025, where groups come from a beam search, best first;
Z is ours.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from recsim_env.agents.recommender import Recommender
from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.agents.generative.preference.tuning import RewardFunction


class RuleReward:
    """See the module.

    Args:
        next_item: (P,) what the users of the pool took next.
    """

    def __init__(self, next_item: Ints) -> None:
        self.next_item = _of_users("next_item", next_item, 1)

    def __call__(self, users: Ints, items: Ints) -> Floats:
        """(B, G)."""
        return (items == self.next_item[users, None]).astype(np.float64)


class RankingReward:
    """See the module.

    Args:
        next_item: (P,) what the users of the pool took next.
    """

    def __init__(self, next_item: Ints) -> None:
        self.next_item = _of_users("next_item", next_item, 1)

    def __call__(self, users: Ints, items: Ints) -> Floats:
        """(B, G)."""
        hit = items == self.next_item[users, None]
        weight = 1.0 / np.log2(np.arange(items.shape[1]) + 2.0)
        cost = np.where(hit, 0.0, -weight / weight.sum())
        return np.where(hit.any(axis=1, keepdims=True), cost, 0.0)


class CollaborativeReward:
    """See the module.

    Args:
        recommender: fitted.
        history: (P, H) of the pool, -1 = an empty cell, all on the left.
    """

    def __init__(self, recommender: Recommender, history: Ints) -> None:
        self.recommender, self.history = recommender, _of_users("history", history, 2)

    def __call__(self, users: Ints, items: Ints) -> Floats:
        """(B, G)."""
        scores = np.asarray(self.recommender.scores(self.history[users]), np.float64)
        spread = scores.std(axis=1, keepdims=True)
        scaled = (scores - scores.mean(axis=1, keepdims=True)) / np.where(spread > 0.0, spread, 1.0)
        return np.asarray(np.take_along_axis(scaled, items, axis=1))


class WeightedRewards:
    """See the module.

    Args:
        rewards: one or more.
        reward_weights: as many finite numbers.

    Raises:
        InputError: not as many, none, or a weight that is not finite.
    """

    def __init__(self, rewards: Sequence["RewardFunction"], reward_weights: Sequence[float]) -> None:
        if not rewards or len(rewards) != len(reward_weights) or not np.isfinite(reward_weights).all():
            raise InputError(
                f"reward_weights must be finite, one for each of {len(rewards)} rewards, got "
                f"{tuple(reward_weights)}"
            )
        self.rewards, self.reward_weights = tuple(rewards), tuple(reward_weights)

    def __call__(self, users: Ints, items: Ints) -> Floats:
        """(B, G)."""
        total = np.zeros(items.shape)
        for weight, reward in zip(self.reward_weights, self.rewards, strict=True):
            total = total + weight * np.asarray(reward(users, items))
        return total


def _of_users(name: str, value: Ints, axes: int) -> Ints:
    if value.ndim != axes or value.dtype.kind not in "iu" or not len(value):
        raise InputError(
            f"{name} must be integers of {axes} axes, a row for each user, got {value.dtype} of {value.shape}"
        )
    return value
