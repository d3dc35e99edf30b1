"""Arms whose means change from round to round: `SwitchingBandit-v0`.

Round t pulls one of N arms. The means mu_t(a) of all rounds and arms were fixed before the first round, by an
adversary who does not see what the learner does (an oblivious one):

    X_t ~ Bernoulli(mu_t(A_t)),      dynamic regret = sum_t (max_a mu_t(a) - mu_t(A_t)).

Means that are all 0 or 1 make rewards that hold no chance. Regret against the best single arm in hindsight is
less, by an amount that is known exactly:

    regret(T) = dynamic regret(T) - fixed(T),
    fixed(T) = sum_{t<T} max_a mu_t(a) - max_a sum_{t<T} mu_t(a).

Source: Lattimore, Szepesvari, "Bandit algorithms", 2020, chapters 11 and 31.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError, as_numbers, refuse
from recsim_env.simulators.luck import Luck, stream_number
from recsim_env.simulators.philox import fill_uniform
from recsim_env.simulators.worlds.world import Entry, Outcome
from recsim_env.user_models.clicks import Response

STREAM = stream_number("reward")
# dtype objects, not types: a third off each allocation of a small array
INT, BOOL = np.dtype(np.int64), np.dtype(np.bool_)


class SwitchingState(NamedTuple):
    """Where B users are."""

    step: Ints  # (B,) rounds played


@dataclass(frozen=True)
class SwitchingWorld:
    """N arms with a mean for every round; all users and all episodes meet the same means.

    Raises:
        InputError: no round, fewer than two arms, a mean outside 0 to 1, arms that are alike in all rounds.
    """

    plans_ahead: ClassVar[bool] = False  # see `World`
    slate_size: ClassVar[int] = 1
    reward_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    means: Floats  # (H, N) mu, in [0, 1]

    def __post_init__(self) -> None:
        means = as_numbers("means", self.means)
        if means.ndim != 2 or means.shape[0] < 1 or means.shape[1] < 2:
            raise InputError(f"means must have shape (H, N) with a round and two arms, got {means.shape}")
        refuse("means", ~((means >= 0.0) & (means <= 1.0)), means, "the mean of a 0/1 reward is from 0 to 1")
        if (means == means[:, :1]).all():
            raise InputError("means must differ between arms in some round: nothing is to learn")
        object.__setattr__(self, "means", np.ascontiguousarray(means))

    @property
    def num_items(self) -> int:
        """N."""
        return self.means.shape[1]

    @property
    def horizon(self) -> int:
        """H."""
        return self.means.shape[0]

    def begin(self, luck: Luck) -> SwitchingState:
        """Users before the first round."""
        return SwitchingState(np.zeros(len(luck), np.int64))

    def observe(self, state: SwitchingState) -> dict[str, Array]:
        """The round; when and how the arms change is not told."""
        return {"step": state.step.copy()}

    def observation_entries(self) -> dict[str, Entry]:
        """Rounds 0 to H."""
        return {"step": Entry(0, self.horizon)}

    def respond(self, state: SwitchingState, slates: Ints, luck: Luck) -> tuple[SwitchingState, Outcome]:
        """Pull the arms of slates (B, 1)."""
        B = len(slates)
        reward, best, value, after = np.empty(B), np.empty(B), np.empty(B), np.empty(B, INT)
        clicked, examined = np.empty((B, 1), BOOL), np.empty((B, 1), BOOL)
        pull(
            self.means, self._best, state.step, slates, luck.seed, luck.episode, luck.step, STREAM,
            after, reward, clicked, examined, best, value,
        )  # fmt: skip
        left = np.zeros(B, BOOL)  # nobody leaves
        return SwitchingState(after), Outcome(reward, left, Response(clicked, examined), best, value)

    def expected_reward(self, state: SwitchingState, slates: Ints) -> Floats:
        """(B,) mean of the arm pulled, in this round."""
        return np.asarray(self.means[self._round(state), slates[:, 0]])

    def best_slate(self, state: SwitchingState) -> Ints:
        """(B, 1) an arm of largest mean in this round."""
        return np.asarray(self.means[self._round(state)].argmax(axis=1)[:, None])

    def values(self, state: SwitchingState, slates: Ints) -> tuple[Floats, Floats]:
        """(B,) mean of the best arm of this round and of the one pulled."""
        return np.asarray(self._best[self._round(state)]), self.expected_reward(state, slates)

    def arm_means(self, state: SwitchingState) -> Floats:
        """(B, N) of every arm in this round."""
        return np.asarray(self.means[self._round(state)])

    def fixed_regret(self) -> Floats:
        """(H+1,) dynamic regret of the best single arm of the first t rounds: see the module."""
        best = np.concatenate([[0.0], np.cumsum(self._best)])
        fixed = np.concatenate([[0.0], np.cumsum(self.means, axis=0).max(axis=1)])
        return best - fixed

    def _round(self, state: SwitchingState) -> Ints:
        return np.minimum(state.step, self.horizon - 1)  # after the last round, the last one

    @cached_property
    def _best(self) -> Floats:
        return self.means.max(axis=1)  # (H,)


@njit(cache=True)
def pull(
    means: Floats,
    top: Floats,
    step: Ints,
    slates: Ints,
    seed: Array,
    episode: Ints,
    luck_step: Ints,
    stream: int,
    after: Ints,
    reward: Floats,
    clicked: Bools,
    examined: Bools,
    best: Floats,
    value: Floats,
) -> None:
    """A whole step: write all that comes after it, the luck included."""
    B = len(slates)
    u = np.empty((2, B))
    fill_uniform(seed, episode, luck_step, stream, u)
    for b in range(B):
        t = min(step[b], len(top) - 1)
        mu = means[t, slates[b, 0]]
        won = u[0, b] < mu
        reward[b] = 1.0 if won else 0.0
        clicked[b, 0], examined[b, 0] = won, True
        value[b] = mu
        best[b] = top[t]
        after[b] = step[b] + 1
