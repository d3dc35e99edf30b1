"""Policies to make logs with: random enough to learn from, and exact about how random they are.

Both build the list from the top. With R_k the N - k items that the slots above k = 0, 1, ... do not hold,

    EpsilonGreedySlates    P(A_k = a | A_<k) = (1 - epsilon) 1[a = g_k] + epsilon / (N - k),    a in R_k,
    PlackettLuceSlates     P(A_k = a | A_<k) = exp(theta_a) / sum_{b in R_k} exp(theta_b),      a in R_k,

where g_k is the first item of a given list that is in R_k, and theta are given scores. The probability of
the list is the product over its slots. `RandomSlates` is the first with epsilon = 1, the second with equal
scores. An importance weight pi(A) / P(A) is finite for every pi, since every list of K items has P(A) > 0.

Lists and scores are a table by the observed user state, or, in any world, a function of its whole state: the
policy is an oracle then, and is shown the state before it acts (`see`).

Source: Plackett, "The analysis of permutations", Applied Statistics 24, 1975; that theta + Gumbel noise, in
descending order, is a Plackett-Luce list: Yellott, J. Mathematical Psychology 15, 1977.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import logsumexp

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.cascade_counts import highest
from recsim_env.agents.baselines.random_slates import shown_first
from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class EpsilonGreedySlates:
    """Given lists whose every slot is, with probability epsilon, a uniformly random item instead.

    Args:
        policy: (S, K), or (H, S, K) with a list for every step; or state -> (B, K), such as
            `world.best_slate`. Full lists of distinct items.
        num_items: N.
        epsilon: in (0, 1].

    Raises:
        InputError: a list with an empty slot, an item outside the catalogue or a repeated item (of a
            function: when it acts), or an epsilon out of range.
    """

    def __init__(self, policy: Ints | Callable[[Any], Ints], num_items: int, epsilon: float) -> None:
        if not 0.0 < epsilon <= 1.0:
            raise InputError(f"epsilon must be in (0, 1], got {epsilon}: at 0 the log shows one list only")
        self.num_items = num_items
        self.epsilon = epsilon
        self.policy = policy if callable(policy) else self._checked(policy)
        self.now: Ints = np.empty((0, 0), np.int64)  # (B, K) the lists of a function, in the state last seen

    def see(self, state: Any) -> None:
        """The state of the world, of B users, before they are shown something."""
        if callable(self.policy):
            self.now = self._checked(self.policy(state))

    def _checked(self, policy: Ints) -> Ints:
        lists = np.asarray(policy, np.int64).reshape(-1, policy.shape[-1])
        if not (shown_first(lists).all() and lists.max() < self.num_items):
            raise InputError(
                f"policy must hold full lists of distinct items 0-{self.num_items - 1}: fill empty slots"
            )
        return np.asarray(policy, np.int64)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """Lists drawn slot by slot, (B, K)."""
        lists = self._lists(observation)
        B, K = lists.shape
        u = luck.uniform("epsilon_greedy", (2, K))  # (B, 2, K): whether to explore, and what to show then
        rows, slates = np.arange(B), np.empty((B, K), np.int64)
        left = np.tile(np.arange(self.num_items), (B, 1))  # (B, N) columns k and above are the items of R_k
        for k in range(K):
            greedy = _first_unused(lists, slates[:, :k])
            place = np.where(
                u[:, 0, k] < self.epsilon,
                k + (u[:, 1, k] * (self.num_items - k)).astype(np.int64),
                np.argmax(left == greedy[:, None], axis=1),
            )
            slates[:, k] = left[rows, place]
            left[rows, place], left[:, k] = left[:, k], slates[:, k]
        return slates

    def log_propensities(self, observation: dict[str, Array], slates: Ints) -> Floats:
        """(B, K) log P(slot k | the slots above it); minus infinity for an empty slot or a repeated item."""
        lists = self._lists(observation)
        K = lists.shape[1]
        greedy = np.stack([_first_unused(lists, slates[:, :k]) for k in range(K)], axis=1)
        chance = (1.0 - self.epsilon) * (slates == greedy) + self.epsilon / (self.num_items - np.arange(K))
        return np.asarray(np.where(shown_first(slates), np.log(chance), -np.inf))

    def update(self, transition: Transition) -> None:
        """Nothing to learn."""

    def _lists(self, observation: dict[str, Array]) -> Ints:
        if callable(self.policy):
            return self.now
        if self.policy.ndim == 2:
            return np.asarray(self.policy[observation["state"]])
        return np.asarray(self.policy[observation["step"], observation["state"]])


class PlackettLuceSlates:
    """Samples lists by scores: the higher, the more often and the higher up an item stands.

    Args:
        scores: (S, N) theta, finite; or state -> (B, N). Doubled, the policy is more certain.
        slate_size: K.

    Raises:
        InputError: a score that is not finite, or a K out of range (of a function: when it acts).
    """

    def __init__(self, scores: Floats | Callable[[Any], Floats], slate_size: int) -> None:
        self.slate_size = slate_size
        self.scores = scores if callable(scores) else self._checked(scores)
        self.now: Floats = np.empty((0, 0))  # (B, N) the scores of a function, in the state last seen

    def see(self, state: Any) -> None:
        """The state of the world, of B users, before they are shown something."""
        if callable(self.scores):
            self.now = self._checked(self.scores(state))

    def _checked(self, scores: Floats) -> Floats:
        if scores.ndim != 2 or not np.isfinite(scores).all():
            raise InputError(f"scores must be finite, of shape (S, N), got shape {scores.shape}")
        if not 1 <= self.slate_size <= scores.shape[1]:
            raise InputError(f"slate_size must be from 1 to N = {scores.shape[1]}, got {self.slate_size}")
        return scores

    def _scores(self, observation: dict[str, Array]) -> Floats:
        """(B, N), which may be a view."""
        return self.now if callable(self.scores) else np.asarray(self.scores[observation["state"]])

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The K items of largest score + Gumbel noise, (B, K)."""
        scores = self._scores(observation)
        u = luck.uniform("plackett_luce", (scores.shape[1],)) + 2.0**-54  # above 0
        slates: Ints = highest(scores - np.log(-np.log(u)), self.slate_size)
        return slates

    def log_propensities(self, observation: dict[str, Array], slates: Ints) -> Floats:
        """(B, K) log P(slot k | the slots above it); minus infinity for an empty slot or a repeated item."""
        scores, first = self._scores(observation), shown_first(slates)
        row, slot = np.nonzero(first)
        theta, rest = np.full(slates.shape, -np.inf), scores.copy()  # (B, K), (B, N)
        theta[row, slot] = scores[row, slates[row, slot]]
        rest[row, slates[row, slot]] = -np.inf
        left, chance = logsumexp(rest, axis=1), np.empty(theta.shape)
        for k in range(slates.shape[1] - 1, -1, -1):  # from the bottom, where R_k is least: sums lose nothing
            left = np.logaddexp(left, theta[:, k])
            chance[:, k] = theta[:, k] - np.where(first[:, k], left, 0.0)
        return chance

    def update(self, transition: Transition) -> None:
        """Nothing to learn."""


def _first_unused(lists: Ints, above: Ints) -> Ints:
    """(B,) the first item of each list (B, K) that is not among the items above (B, k), k < K."""
    used: Bools = (lists[:, :, None] == above[:, None, :]).any(axis=2)
    return np.asarray(lists[np.arange(len(lists)), np.argmin(used, axis=1)])
