"""Users who choose for themselves: a recommended arm is taken if it is the best that the user knows of.

Arm a pays 1 with probability theta_a, drawn from Beta(alpha_a, beta_a) when an episode begins; platform and
users know this prior. A user is there for one round. What they choose when told a:

    warm-up, the first N n rounds:   a; these users are paid for it
    `recommendation`:  they see nothing but a, and know n and epsilon: the best response of
                       `user_models/obedience.py`, a table of the world
    `history`:         they see all pulls and wins so far: an arm of largest posterior mean, a if it is one

Source: Slivkins, "Introduction to multi-armed bandits", 2019, chapter 11; Kremer, Mansour, Perry,
"Implementing the wisdom of the crowd", JPE 2014; Mansour, Slivkins, Syrgkanis, EC 2015.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck, stream_number
from recsim_env.simulators.philox import fill_uniform
from recsim_env.simulators.worlds.world import Entry, Outcome
from recsim_env.user_models.clicks import Response
from recsim_env.user_models.obedience import best_responses, check_prior, check_samples

STREAM = stream_number("reward")
KINDS = ("recommendation", "history")
TIE = 1e-12  # posterior means nearer than this are equal: they are ratios of small numbers
INT, BOOL = np.dtype(np.int64), np.dtype(np.bool_)


class IncentivisedState(NamedTuple):
    """Where B platforms are, and what the arms of each have done."""

    theta: Floats  # (B, N)
    pulls: Ints  # (B, N) and
    wins: Ints  # (B, N) of this episode
    chosen: Ints  # (B,) what the last user took; N before the first
    step: Ints  # (B,) users so far


@dataclass(frozen=True)
class IncentivisedWorld:
    """N arms with a common prior, and users who follow only where it is best for them.

    Raises:
        InputError: a prior that is not one, an unknown kind, a negative warm-up or one whose outcomes are too
            many, an exploration rate that is no probability, a horizon below 1.
    """

    plans_ahead: ClassVar[bool] = False  # see `World`
    slate_size: ClassVar[int] = 1
    reward_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    alpha: Floats  # (N,) and
    beta: Floats  # (N,) of the prior, 1 or more
    kind: str  # recommendation or history
    warm_up: int  # n, samples of every arm that are paid for
    exploration: float  # epsilon, the rate the platform announces
    horizon: int  # users of an episode

    def __post_init__(self) -> None:
        alpha, beta = check_prior(self.alpha, self.beta)
        object.__setattr__(self, "alpha", alpha)
        object.__setattr__(self, "beta", beta)
        if self.kind not in KINDS:
            raise InputError(f"kind must be {' or '.join(KINDS)}, got {self.kind!r}")
        if self.kind == "recommendation":
            check_samples("warm_up", self.warm_up, len(alpha))
        elif self.warm_up < 0:
            raise InputError(f"warm_up must be 0 or more samples of every arm, got {self.warm_up}")
        if not 0.0 <= self.exploration <= 1.0:
            raise InputError(f"exploration must be a probability, 0 to 1, got {self.exploration}")
        if self.horizon < 1:
            raise InputError(f"horizon must be at least 1, got {self.horizon}")
        _ = self.responses  # enumerated now, not in the first round

    @property
    def num_items(self) -> int:
        """N."""
        return len(self.alpha)

    @cached_property
    def responses(self) -> Ints:
        """(N,) what a user takes who is told a and sees nothing else, after the warm-up."""
        if self.kind == "history":
            return np.arange(self.num_items)  # not used
        return best_responses(self.alpha, self.beta, self.warm_up, self.exploration)

    def begin(self, luck: Luck) -> IncentivisedState:
        """Arms drawn from the prior, of which nobody has seen anything."""
        B, N = len(luck), self.num_items
        theta = luck.beta("theta", np.tile(self.alpha, (B, 1)), np.tile(self.beta, (B, 1)))
        counts = np.zeros((2, B, N), INT)
        return IncentivisedState(theta, counts[0], counts[1], np.full(B, N, INT), np.zeros(B, INT))

    def observe(self, state: IncentivisedState) -> dict[str, Array]:
        """What the last user took, and the round."""
        return {"chosen": state.chosen.copy(), "step": state.step.copy()}

    def observation_entries(self) -> dict[str, Entry]:
        """An arm, N before the first user; rounds."""
        return {"chosen": Entry(0, self.num_items), "step": Entry(0, self.horizon)}

    def respond(
        self, state: IncentivisedState, slates: Ints, luck: Luck
    ) -> tuple[IncentivisedState, Outcome]:
        """Recommend slates (B, 1)."""
        B, N = state.pulls.shape
        after = IncentivisedState(
            state.theta, np.empty((B, N), INT), np.empty((B, N), INT), np.empty(B, INT), np.empty(B, INT)
        )
        response = Response(np.empty((B, 1), BOOL), np.empty((B, 1), BOOL))
        reward, best, value = np.empty(B), np.empty(B), np.empty(B)
        recommend_rows(
            *self._rules,
            state.theta,
            state.pulls,
            state.wins,
            state.step,
            slates,
            luck.seed,
            luck.episode,
            luck.step,
            STREAM,
            *after[1:],
            reward,
            *response,
            best,
            value,
        )
        return after, Outcome(reward, np.zeros(B, BOOL), response, best, value)

    def choices(self, state: IncentivisedState, slates: Ints) -> Ints:
        """(B,) the arm that the user of this round takes when told the arms of slates (B, 1)."""
        chosen = np.empty(len(slates), INT)
        _choose(*self._rules, state.pulls, state.wins, state.step, slates, chosen)
        return chosen

    @cached_property
    def _rules(self) -> tuple[bool, Ints, Floats, Floats, int]:
        by_history, paid = self.kind == "history", self.warm_up * self.num_items
        return by_history, self.responses, self.alpha, self.beta, paid

    def expected_reward(self, state: IncentivisedState, slates: Ints) -> Floats:
        """(B,) theta of the arm that will be taken."""
        chosen = self.choices(state, slates)
        return np.asarray(np.take_along_axis(state.theta, chosen[:, None], axis=1)[:, 0])

    def best_slate(self, state: IncentivisedState) -> Ints:
        """(B, 1) the arm of largest theta, whether or not it would be followed."""
        return np.asarray(state.theta.argmax(axis=1)[:, None])

    def values(self, state: IncentivisedState, slates: Ints) -> tuple[Floats, Floats]:
        """(B,) largest theta, and theta of the arm that will be taken."""
        return state.theta.max(axis=1), self.expected_reward(state, slates)

    def arm_means(self, state: IncentivisedState) -> Floats:
        """(B, N) theta, what an arm earns when it is taken."""
        return state.theta.copy()


@njit(cache=True)
def _choose(
    by_history: bool,
    responses: Ints,
    alpha: Floats,
    beta: Floats,
    paid: int,
    pulls: Ints,
    wins: Ints,
    step: Ints,
    slates: Ints,
    chosen: Ints,
) -> None:
    """Write what the user of every row takes, (B,)."""
    B, N = pulls.shape
    mean = np.empty(N)
    for b in range(B):
        told = slates[b, 0]
        if step[b] < paid:
            chosen[b] = told
        elif not by_history:
            chosen[b] = responses[told]
        else:
            best = 0
            for a in range(N):
                mean[a] = (alpha[a] + wins[b, a]) / (alpha[a] + beta[a] + pulls[b, a])
                if mean[a] > mean[best] + TIE:
                    best = a
            chosen[b] = told if mean[told] >= mean[best] - TIE else best


@njit(cache=True)
def recommend_rows(
    # the world
    by_history: bool,
    responses: Ints,
    alpha: Floats,
    beta: Floats,
    paid: int,
    # the platforms, what they recommend and their luck
    theta: Floats,
    pulls: Ints,
    wins: Ints,
    step: Ints,
    slates: Ints,
    seed: Array,
    episode: Ints,
    luck_step: Ints,
    stream: int,
    # what is written
    next_pulls: Ints,
    next_wins: Ints,
    chosen: Ints,
    next_step: Ints,
    reward: Floats,
    clicked: Bools,
    examined: Bools,
    best: Floats,
    value: Floats,
) -> None:
    """A whole round in one compiled call, results into arrays of the caller (see `cascade_kernels`).

    A click is on what was shown, so only who followed can have one.
    """
    B, N = pulls.shape
    u = np.empty((2, B))  # two draws a block, of which one is used
    fill_uniform(seed, episode, luck_step, stream, u)
    _choose(by_history, responses, alpha, beta, paid, pulls, wins, step, slates, chosen)
    for b in range(B):
        taken = chosen[b]
        won = u[0, b] < theta[b, taken]
        best[b] = 0.0
        for a in range(N):
            next_pulls[b, a], next_wins[b, a] = pulls[b, a], wins[b, a]
            best[b] = max(best[b], theta[b, a])
        next_pulls[b, taken] += 1
        next_wins[b, taken] += won
        next_step[b] = step[b] + 1
        reward[b] = 1.0 if won else 0.0
        clicked[b, 0], examined[b, 0] = won and taken == slates[b, 0], True
        value[b] = theta[b, taken]
