"""Stochastic arms: `BernoulliBandit-v0` and `GaussianBandit-v0`, the oldest problem of exploration.

A round pulls one of N arms and gives a reward drawn from that arm's law, the same in every round:

    X_t ~ Bernoulli(mu_a)      or      X_t ~ N(mu_a, sigma^2),        regret = sum_t (max_a mu_a - mu_{A_t})

The means are a table of the world, or drawn from a prior for every user (for Bayes regret).

Source: Lattimore, Szepesvari, "Bandit algorithms", 2020, chapter 4; Slivkins, "Introduction to multi-armed
bandits", 2019, chapter 1.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError, as_numbers, refuse
from recsim_env.simulators.luck import Luck, stream_number
from recsim_env.simulators.normal_draws import fill_normal
from recsim_env.simulators.philox import fill_uniform
from recsim_env.simulators.worlds.world import Entry, Outcome
from recsim_env.user_models.clicks import Response

STREAM = stream_number("reward")
# dtype objects, not types: a third off each allocation of a small array
INT, BOOL = np.dtype(np.int64), np.dtype(np.bool_)


class ArmState(NamedTuple):
    """Where B users are."""

    mean: Floats  # (B, N) of their arms
    best: Ints  # (B,) the arm of largest mean
    step: Ints  # (B,) rounds played


@dataclass(frozen=True)
class ArmsWorld:
    """N arms with rewards of their own law.

    Raises:
        InputError: fewer than two arms, a mean out of range, arms that are all alike, a negative standard
            deviation, a horizon below 1.
    """

    plans_ahead: ClassVar[bool] = False  # see `World`
    slate_size: ClassVar[int] = 1

    mean: Floats  # (N,) of every arm; or (2, N) bounds of means that are drawn uniformly for every user
    horizon: int  # rounds of an episode, 1 or more
    deviation: float | None = None  # sigma of normal rewards; None: rewards are 0 or 1

    def __post_init__(self) -> None:
        mean = as_numbers("mean", self.mean)
        if mean.ndim not in (1, 2) or mean.shape[-1] < 2 or (mean.ndim == 2 and len(mean) != 2):
            raise InputError(f"mean must have shape (N,) or (2, N) with two arms or more, got {mean.shape}")
        least, most = (0.0, 1.0) if self.deviation is None else (-np.inf, np.inf)
        refuse("mean", ~(np.isfinite(mean) & (mean >= least) & (mean <= most)), mean, self._range_words)
        if mean.min() == mean.max():
            raise InputError(
                f"mean must differ between arms, got {mean.flat[0]} for all: nothing is to learn"
            )
        if mean.ndim == 2:
            refuse("mean[1]", mean[1] < mean[0], mean[1], "the upper bound of an arm is below its lower one")
        if self.deviation is not None and not (np.isfinite(self.deviation) and self.deviation >= 0.0):
            raise InputError(f"deviation must be a finite number, 0 or more, got {self.deviation}")
        if self.horizon < 1:
            raise InputError(f"horizon must be at least 1, got {self.horizon}")
        object.__setattr__(self, "mean", mean)

    @property
    def _range_words(self) -> str:
        return (
            "the mean of a 0/1 reward is from 0 to 1" if self.deviation is None else "a mean must be finite"
        )

    @property
    def num_items(self) -> int:
        """N."""
        return self.mean.shape[-1]

    @property
    def reward_range(self) -> tuple[float, float]:
        """Of one reward."""
        return (0.0, 1.0) if self.deviation is None else (-np.inf, np.inf)

    def begin(self, luck: Luck) -> ArmState:
        """Users with the arms of the table, or with means of their own."""
        B, N = len(luck), self.num_items
        if self.mean.ndim == 1:
            mean = np.tile(self.mean, (B, 1))
        else:
            low, high = self.mean
            mean = np.ascontiguousarray(low + (high - low) * luck.uniform("mean", (N,)))
        return ArmState(mean, mean.argmax(axis=1), np.zeros(B, np.int64))

    def observe(self, state: ArmState) -> dict[str, Array]:
        """The round; which arms are good is what has to be learned."""
        return {"step": state.step.copy()}

    def observation_entries(self) -> dict[str, Entry]:
        """Rounds 0 to the horizon."""
        return {"step": Entry(0, self.horizon)}

    def respond(self, state: ArmState, slates: Ints, luck: Luck) -> tuple[ArmState, Outcome]:
        """Pull the arms of slates (B, 1)."""
        B = len(slates)
        reward, best, value, after = np.empty(B), np.empty(B), np.empty(B), np.empty(B, INT)
        clicked, examined = np.empty((B, 1), BOOL), np.empty((B, 1), BOOL)
        given = *state, slates, luck.seed, luck.episode, luck.step, STREAM
        written = after, reward, clicked, examined, best, value
        if self.deviation is None:
            pull_coins(*given, *written)
        else:
            pull_normals(*given, self.deviation, *written)
        left = np.zeros(B, BOOL)  # nobody leaves
        after_state = ArmState(state.mean, state.best, after)
        return after_state, Outcome(reward, left, Response(clicked, examined), best, value)

    def expected_reward(self, state: ArmState, slates: Ints) -> Floats:
        """(B,) mean of the arm pulled."""
        return np.asarray(np.take_along_axis(state.mean, slates, axis=1)[:, 0])

    def best_slate(self, state: ArmState) -> Ints:
        """(B, 1) the arm of largest mean."""
        return state.best[:, None].copy()

    def values(self, state: ArmState, slates: Ints) -> tuple[Floats, Floats]:
        """(B,) mean of the best arm and of the one pulled."""
        return self.expected_reward(state, self.best_slate(state)), self.expected_reward(state, slates)

    def arm_means(self, state: ArmState) -> Floats:
        """(B, N) of every arm."""
        return state.mean.copy()

    @cached_property
    def gaps(self) -> Floats:
        """(N,) how much less an arm earns than the best one, of a world whose means are not drawn.

        Raises:
            InputError: every user has means of their own.
        """
        if self.mean.ndim == 2:
            raise InputError("every user has means of their own here, so there is no one table of gaps")
        return self.mean.max() - self.mean


@njit(cache=True)
def pull_coins(
    mean: Floats,
    best: Ints,
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
    top: Floats,
    value: Floats,
) -> None:
    """A whole step of arms that pay 1 or 0: write all that comes after it, the luck included."""
    B = len(slates)
    u = np.empty((2, B))
    fill_uniform(seed, episode, luck_step, stream, u)
    for b in range(B):
        mu = mean[b, slates[b, 0]]
        won = u[0, b] < mu
        reward[b] = 1.0 if won else 0.0
        clicked[b, 0], examined[b, 0] = won, True
        value[b] = mu
        top[b] = mean[b, best[b]]
        after[b] = step[b] + 1


@njit(cache=True)
def pull_normals(
    mean: Floats,
    best: Ints,
    step: Ints,
    slates: Ints,
    seed: Array,
    episode: Ints,
    luck_step: Ints,
    stream: int,
    deviation: float,
    after: Ints,
    reward: Floats,
    clicked: Bools,
    examined: Bools,
    top: Floats,
    value: Floats,
) -> None:
    """The same of normal rewards: the user opens every arm, and the reward says how much they got."""
    B = len(slates)
    z = np.empty((2, B))
    fill_normal(seed, episode, luck_step, stream, z)
    for b in range(B):
        mu = mean[b, slates[b, 0]]
        reward[b] = mu + deviation * z[0, b]
        clicked[b, 0], examined[b, 0] = True, True
        value[b] = mu
        top[b] = mean[b, best[b]]
        after[b] = step[b] + 1
