"""Users with a context that their clicks depend on in no linear way: `ContextualBandit-v0`.

In every round a user comes with a context x, uniform in [0, 1]^D, and clicks arm a with probability

    mu_a(x) = 1/2 + (height / D) sum_d tri(waves x_d + phi_{a,d}),      tri(s) = 4 |s - floor(s) - 1/2| - 1,

where tri is a triangle wave of period 1 between -1 and 1. So mu_a is Lipschitz in the largest difference of a
coordinate,

    |mu_a(x) - mu_a(y)| <= L max_d |x_d - y_d|,      L = 4 waves height,

and for D = 1 it is as steep as that everywhere. The phases phi_{.,d} of the N arms are spread evenly over one
period in random order, so that every arm is best somewhere. Over whole waves the best linear fit explains
little. Regret is sum over t of max_a mu_a(x_t) - mu_{A_t}(x_t).

Source: the problem is that of Slivkins, "Introduction to multi-armed bandits", 2019, section 8.2 (Lipschitz
contextual bandits); the waves are ours.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numba import njit, uint64

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError, as_numbers
from recsim_env.simulators.luck import Luck, stream_number, world_generator
from recsim_env.simulators.philox import philox, to_uniform
from recsim_env.simulators.worlds.world import Entry, Outcome
from recsim_env.user_models.clicks import Response

FIRST, NEXT, CLICK = map(stream_number, ("first context", "next context", "click"))
# dtypes, not types: a third off each allocation of a small array
BOOL, INT, FLOAT32 = np.dtype(np.bool_), np.dtype(np.int64), np.dtype(np.float32)


class ContextState(NamedTuple):
    """Who the B users of this round are."""

    step: Ints  # (B,) rounds played
    context: Array  # (B, D) float32
    mean: Floats  # (B, N) mu_a(x)


@dataclass(frozen=True)
class ContextualWorld:
    """N arms whose click probabilities are triangle waves of the user's context.

    Raises:
        InputError: no items or dimensions, a height or a number of waves out of range, a horizon below 1.
    """

    plans_ahead: ClassVar[bool] = False  # see `World`
    slate_size: ClassVar[int] = 1
    reward_range: ClassVar[tuple[float, float]] = (0.0, 1.0)  # of one reward

    phase: Floats  # (N, D) phi, in periods
    height: float  # in (0, 1/2]
    waves: int  # periods over [0, 1], 1 or more
    horizon: int  # rounds of an episode, 1 or more

    def __post_init__(self) -> None:
        phase = as_numbers("phase", self.phase)
        if phase.ndim != 2 or 0 in phase.shape:
            raise InputError(f"phase must have shape (N, D), both at least 1, got {phase.shape}")
        if not 0.0 < self.height <= 0.5:
            raise InputError(f"height must be in (0, 0.5], got {self.height}")
        if self.waves < 1:
            raise InputError(f"waves must be at least 1, got {self.waves}")
        if self.horizon < 1:
            raise InputError(f"horizon must be at least 1, got {self.horizon}")
        object.__setattr__(self, "phase", np.ascontiguousarray(phase))

    @property
    def num_items(self) -> int:
        """N."""
        return len(self.phase)

    @property
    def dimension(self) -> int:
        """D."""
        return self.phase.shape[1]

    @property
    def lipschitz(self) -> float:
        """L of every mu_a, in the largest difference of a coordinate."""
        return 4.0 * self.waves * self.height

    def mean_rewards(self, context: Array) -> Floats:
        """(B, N) mu_a(x) of contexts (B, D)."""
        mean = np.empty((len(context), self.num_items))
        fill_waves(context, *self._waves, mean)
        return mean

    def begin(self, luck: Luck) -> ContextState:
        """The first users."""
        B, (N, D) = len(luck), self.phase.shape
        state = ContextState(np.empty(B, INT), np.empty((B, D), FLOAT32), np.empty((B, N)))
        step = np.full(B, -1, INT)  # of the round before the first
        come(luck.seed, luck.episode, luck.step, FIRST, *self._waves, step, *state)
        return state

    def observe(self, state: ContextState) -> dict[str, Array]:
        """The round, and the user's context."""
        return {"step": state.step.copy(), "context": state.context.copy()}

    def observation_entries(self) -> dict[str, Entry]:
        """Rounds 0 to the horizon; contexts."""
        return {"step": Entry(0, self.horizon), "context": Entry(0.0, 1.0, (self.dimension,), np.float32)}

    def respond(self, state: ContextState, slates: Ints, luck: Luck) -> tuple[ContextState, Outcome]:
        """Show the items of slates (B, 1) to these users; the next ones come."""
        B, (N, D) = len(slates), self.phase.shape
        after = ContextState(np.empty(B, INT), np.empty((B, D), FLOAT32), np.empty((B, N)))
        reward, best, value = np.empty(B), np.empty(B), np.empty(B)
        response = Response(np.empty((B, 1), BOOL), np.empty((B, 1), BOOL))
        draw = luck.seed, luck.episode, luck.step
        show(*draw, *self._waves, state.step, state.mean, slates, *after, reward, *response, best, value)
        return after, Outcome(reward, np.zeros(B, BOOL), response, best, value)

    def expected_reward(self, state: ContextState, slates: Ints) -> Floats:
        """(B,) mu_a(x) of the item shown."""
        return np.asarray(np.take_along_axis(state.mean, slates, axis=1)[:, 0])

    def best_slate(self, state: ContextState) -> Ints:
        """(B, 1) the item of largest mu_a(x)."""
        return state.mean.argmax(axis=1)[:, None]

    def values(self, state: ContextState, slates: Ints) -> tuple[Floats, Floats]:
        """(B,) mu_a(x) of the best item for this user, and of the one shown."""
        return state.mean.max(axis=1), self.expected_reward(state, slates)

    def arm_means(self, state: ContextState) -> Floats:
        """(B, N) mu_a(x) of every item."""
        return state.mean.copy()

    @cached_property
    def _waves(self) -> tuple[Floats, float, float]:
        return self.phase, float(self.waves), float(self.height)


@njit(cache=True)
def fill_waves(context: Array, phase: Floats, waves: float, height: float, mean: Floats) -> None:
    """Write mu_a(x) (B, N) of contexts (B, D)."""
    B, D = context.shape
    for b in range(B):
        for a in range(len(phase)):
            total = 0.0
            for d in range(D):
                s = waves * np.float64(context[b, d]) + phase[a, d]
                total += 4.0 * abs(s - np.floor(s) - 0.5) - 1.0
            mean[b, a] = 0.5 + height / D * total


@njit(cache=True)
def fill_contexts(seed: Array, episode: Ints, step: Ints, stream: int, context: Array) -> None:
    """Write contexts (B, D): the uniforms of a stream, as `Luck.uniform` draws them."""
    B, D = context.shape
    for b in range(B):
        for d in range(0, D, 2):
            w0, w1, w2, w3 = philox(d // 2, step[b], stream, episode[b], seed[b], seed[b] >> uint64(32))
            context[b, d] = np.float32(to_uniform(w0, w1))
            if d + 1 < D:
                context[b, d + 1] = np.float32(to_uniform(w2, w3))


@njit(cache=True)
def come(
    seed: Array,
    episode: Ints,
    step: Ints,
    stream: int,
    phase: Floats,
    waves: float,
    height: float,
    before: Ints,
    after: Ints,
    context: Array,
    mean: Floats,
) -> None:
    """Write the users of the round that comes after the rounds `before` (B,)."""
    for b in range(len(before)):
        after[b] = before[b] + 1
    fill_contexts(seed, episode, step, stream, context)
    fill_waves(context, phase, waves, height, mean)


@njit(cache=True)
def show(
    seed: Array,
    episode: Ints,
    luck_step: Ints,
    phase: Floats,
    waves: float,
    height: float,
    step: Ints,
    mean: Floats,
    slates: Ints,
    next_step: Ints,
    next_context: Array,
    next_mean: Floats,
    reward: Floats,
    clicked: Bools,
    examined: Bools,
    best: Floats,
    value: Floats,
) -> None:
    """A whole round in one call: what comes of these slates, and the users of the next round."""
    draw = seed, episode, luck_step
    click(*draw, CLICK, mean, slates, reward, clicked, examined, best, value)
    come(*draw, NEXT, phase, waves, height, step, next_step, next_context, next_mean)


@njit(cache=True)
def click(
    seed: Array,
    episode: Ints,
    step: Ints,
    stream: int,
    mean: Floats,
    slates: Ints,
    reward: Floats,
    clicked: Bools,
    examined: Bools,
    best: Floats,
    value: Floats,
) -> None:
    """Write 0/1 rewards (B,), clicks and who saw the item (B, 1), means of the best item and of this one."""
    for b in range(len(slates)):
        top = mean[b, 0]
        for a in range(1, mean.shape[1]):
            top = max(top, mean[b, a])
        value[b] = mean[b, slates[b, 0]]
        best[b] = top
        w0, w1, _, _ = philox(0, step[b], stream, episode[b], seed[b], seed[b] >> uint64(32))
        clicked[b, 0], examined[b, 0] = to_uniform(w0, w1) < value[b], True
        reward[b] = 1.0 if clicked[b, 0] else 0.0


def contextual_bandit(
    num_items: int = 5,
    dimension: int = 1,
    waves: int = 2,
    height: float = 0.4,
    horizon: int = 1000,
    world_seed: int = 0,
) -> ContextualWorld:
    """Learn which item suits which user, from contexts that no straight line explains.

    Story:
        Every round a visitor comes of whom D numbers are known, such as their age and the hour. Each item is
        liked at some ages and disliked at others, up and down in waves. Users who are close to each other
        like the same, and by how much is known; nothing else is.

    Slate (action):
        One item (0 to N-1).

    Observation:
        `step`, rounds played; `context`, the numbers x of this user.

    What the user does:
        Clicks item a with probability mu_a(x), a triangle wave of each number, averaged over them.

    Reward:
        1 for a click, 0 without.

    Episode end:
        Truncated after `horizon` rounds; nothing changes there. Every round is a new user.

    Regret is measured against:
        The item that suits this user best: max_a mu_a(x).

    Parameters (default, range, source):
        num_items: N (5, at least 2; ours).
        dimension: D (1, at least 1; ours).
        waves: periods of each wave over [0, 1] (2, at least 1; ours).
        height: of the waves (0.4, in (0, 0.5]; ours). L = 4 waves height is `env.unwrapped.world.lipschitz`.
        horizon: rounds of an episode (1000, at least 1; ours).
        world_seed: of the phases of the waves (0).

    Known simplifications:
        Contexts are uniform and independent over rounds, all waves have one height and one period, and the
        numbers of a user do not interact.

    Version history:
        v0: first version.

    Source: the problem is that of Slivkins, "Introduction to multi-armed bandits", 2019, section 8.2; the
    waves are ours.

    Raises:
        InputError: a parameter out of range.
    """
    if num_items < 2:
        raise InputError(f"num_items must be at least 2, got {num_items}")
    if dimension < 1:
        raise InputError(f"dimension must be at least 1, got {dimension}")
    rng = world_generator(world_seed)
    order = rng.permuted(np.tile(np.arange(num_items)[:, None], (1, dimension)), axis=0)
    phase = (order + rng.random(dimension)) / num_items
    return ContextualWorld(phase, height, waves, horizon)
