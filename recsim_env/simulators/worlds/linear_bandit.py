"""Arms with features and linear rewards: `LinearBandit-v0`.

In every round each of N items has a feature vector x_a in R^D with |x_a| <= 1, and pulling it gives

    X_t = theta . x_a + normal noise of deviation sigma,      or      X_t ~ Bernoulli(theta . x_a),
    |theta| = 1.

The features of the items are drawn once, or anew for every user and round (what is known of this user crossed
with every item); then no arm is worth learning by itself, and only theta carries over. Regret is sum over t
of max_a theta . x_{t,a} - theta . x_{t,A_t}.

Source: Abbasi-Yadkori, Pal, Szepesvari, "Improved algorithms for linear stochastic bandits", NeurIPS 2011,
section 2; Li, Chu, Langford, Schapire, "A contextual-bandit approach to personalized news article
recommendation", WWW 2010, section 2.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numba import njit, uint32, uint64

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError, as_numbers, refuse
from recsim_env.simulators.luck import Luck, stream_number, world_generator
from recsim_env.simulators.philox import philox, to_uniform
from recsim_env.simulators.worlds.world import Entry, Outcome
from recsim_env.user_models.clicks import Response

FIRST, NEXT, REWARD = map(stream_number, ("linear/first features", "linear/next features", "reward"))
# dtypes, not types: a third off each small allocation
BOOL, INT, FLOAT32 = np.dtype(np.bool_), np.dtype(np.int64), np.dtype(np.float32)
BELOW_ONE = 1.0 - 2.0**-20  # so that rounding to float32 makes no vector longer than 1


class LinearState(NamedTuple):
    """Where B users are. Fields of features have no items where the world keeps its features."""

    step: Ints  # (B,) rounds played
    features: Array  # (B, N, D) float32 of this round, or (B, 0, D)
    mean: Floats  # (B, N) theta . x_a, or (B, 0)


@dataclass(frozen=True)
class LinearWorld:
    """N arms whose expected rewards are linear in their features.

    Raises:
        InputError: no items or dimensions, theta or a feature vector longer than 1, expected 0/1 rewards
            outside 0 to 1, a negative deviation, a horizon below 1.
    """

    plans_ahead: ClassVar[bool] = False  # see `World`
    slate_size: ClassVar[int] = 1

    theta: Floats  # (D,) of length 1 at most
    num_items: int  # N, 1 or more
    horizon: int  # rounds of an episode, 1 or more
    deviation: float | None = None  # sigma of normal noise; None: rewards are 0 or 1, and theta is 0 or more
    features: Array | None = None  # (N, D) of length 1 at most; None: drawn for every user and round

    def __post_init__(self) -> None:
        theta = as_numbers("theta", self.theta)
        if theta.ndim != 1 or len(theta) < 1:
            raise InputError(f"theta must have shape (D,) with one dimension or more, got {theta.shape}")
        if not np.linalg.norm(theta) <= 1.0 + 1e-9:
            raise InputError(f"theta must have length 1 at most, got {np.linalg.norm(theta):g}")
        if self.num_items < 1:
            raise InputError(f"num_items must be at least 1, got {self.num_items}")
        if self.horizon < 1:
            raise InputError(f"horizon must be at least 1, got {self.horizon}")
        if self.deviation is None:
            refuse("theta", theta < 0.0, theta, "it must be 0 or more where rewards are 0 or 1")
        elif not (np.isfinite(self.deviation) and self.deviation >= 0.0):
            raise InputError(f"deviation must be a finite number, 0 or more, got {self.deviation}")
        if self.features is not None:
            features = as_numbers("features", self.features)
            shape = self.num_items, len(theta)
            if features.shape != shape:
                raise InputError(f"features must have shape {shape}, got {features.shape}")
            length = np.linalg.norm(features, axis=1)
            refuse(
                "length of features", ~(length <= 1.0 + 1e-6), length, "scale features to length 1 at most"
            )
            if self.deviation is None:
                refuse(
                    "features", features < 0.0, features, "they must be 0 or more where rewards are 0 or 1"
                )
            object.__setattr__(self, "features", np.ascontiguousarray(features, np.float32))
        object.__setattr__(self, "theta", theta)

    @property
    def dimension(self) -> int:
        """D."""
        return len(self.theta)

    @property
    def reward_range(self) -> tuple[float, float]:
        """Of one reward."""
        return (0.0, 1.0) if self.deviation is None else (-np.inf, np.inf)

    def begin(self, luck: Luck) -> LinearState:
        """Users at the first round."""
        features, mean = self._room(len(luck))
        if self.features is None:
            draw = luck.seed, luck.episode, luck.step, FIRST
            fill_features(*draw, self._low, self.theta, features, mean)
        return LinearState(np.zeros(len(luck), np.int64), features, mean)

    def observe(self, state: LinearState) -> dict[str, Array]:
        """The round, and the features of every item in it."""
        if self.features is None:
            features = state.features.copy()
        else:
            features = np.empty((len(state.step), *self.features.shape), np.float32)
            features[:] = self.features
        return {"step": state.step.copy(), "features": features}

    def observation_entries(self) -> dict[str, Entry]:
        """Rounds 0 to the horizon; features."""
        shape = self.num_items, self.dimension
        return {"step": Entry(0, self.horizon), "features": Entry(self._low, 1.0, shape, np.float32)}

    def respond(self, state: LinearState, slates: Ints, luck: Luck) -> tuple[LinearState, Outcome]:
        """Pull the arms of slates (B, 1)."""
        B = len(slates)
        after = LinearState(np.empty(B, INT), *self._room(B))
        reward, best, value = np.empty(B), np.empty(B), np.empty(B)
        response = Response(np.empty((B, 1), BOOL), np.empty((B, 1), BOOL))
        coins, deviation = self.deviation is None, self.deviation or 0.0
        mean = state.mean if self.features is None else self._mean
        given = luck.seed, luck.episode, luck.step, state.step, slates, deviation, coins, mean
        if self.features is None:
            next_round = self._low, self.theta, after.features, after.mean
            pull_and_draw(*given, *next_round, after.step, reward, *response, best, value)
        else:
            pull(*given, after.step, reward, *response, best, value)
        return after, Outcome(reward, np.zeros(B, BOOL), response, best, value)

    def expected_reward(self, state: LinearState, slates: Ints) -> Floats:
        """(B,) theta . x of the arm pulled."""
        return np.asarray(np.take_along_axis(self.arm_means(state), slates, axis=1)[:, 0])

    def best_slate(self, state: LinearState) -> Ints:
        """(B, 1) the arm of largest theta . x."""
        return self.arm_means(state).argmax(axis=1)[:, None]

    def values(self, state: LinearState, slates: Ints) -> tuple[Floats, Floats]:
        """(B,) theta . x of the best arm of the round, and of the one pulled."""
        return self.arm_means(state).max(axis=1), self.expected_reward(state, slates)

    def arm_means(self, state: LinearState) -> Floats:
        """(B, N) theta . x of every arm."""
        return state.mean.copy() if self.features is None else np.repeat(self._mean, len(state.step), axis=0)

    def _room(self, B: int) -> tuple[Array, Floats]:
        """For features and means of a round, if they are drawn."""
        N = self.num_items if self.features is None else 0
        return np.empty((B, N, self.dimension), FLOAT32), np.empty((B, N))

    @cached_property
    def _low(self) -> float:  # sqrt(D) times the least feature
        return 0.0 if self.deviation is None else -1.0

    @cached_property
    def _mean(self) -> Floats:  # (1, N)
        assert self.features is not None
        mean = np.empty((1, self.num_items))
        fill_means(self.theta, self.features, mean[0])
        return mean


@njit(cache=True)
def fill_features(
    seed: Array,
    episode: Ints,
    step: Ints,
    stream: int,
    low: float,
    theta: Floats,
    features: Array,
    mean: Floats,
) -> None:
    """Write features (B, N, D), uniform from low / sqrt(D) to 1 / sqrt(D), and their means (B, N).

    One Philox block makes four entries of 24 random bits, which is what float32 holds: one in each quarter
    of a user's entries, so that the loop over blocks is one for the vector units.
    """
    B, N, D = features.shape
    scale = BELOW_ONE / np.sqrt(D)
    width = (1.0 - low) * 2.0**-24 * scale
    blocks = (N * D + 3) // 4
    entries = np.empty((4, blocks), np.float32)
    flat = entries.reshape(4 * blocks)
    for b in range(B):
        for i in range(blocks):
            w0, w1, w2, w3 = philox(i, step[b], stream, episode[b], seed[b], seed[b] >> uint64(32))
            entries[0, i] = _entry(w0, low * scale, width)
            entries[1, i] = _entry(w1, low * scale, width)
            entries[2, i] = _entry(w2, low * scale, width)
            entries[3, i] = _entry(w3, low * scale, width)
        for a in range(N):
            for d in range(D):
                features[b, a, d] = flat[a * D + d]
        fill_means(theta, features[b], mean[b])


@njit(inline="always")
def _entry(word: Any, low: float, width: float) -> Any:
    return np.float32(low + width * float(word >> uint32(8)))


@njit(cache=True)
def fill_means(theta: Floats, features: Array, mean: Floats) -> None:
    """Write theta . x (N,) of features (N, D)."""
    for a in range(len(features)):
        total = 0.0
        for d in range(len(theta)):
            total += theta[d] * np.float64(features[a, d])
        mean[a] = total


@njit(cache=True)
def pull_and_draw(
    seed: Array,
    episode: Ints,
    step: Ints,
    rounds: Ints,
    slates: Ints,
    deviation: float,
    coins: bool,
    mean: Floats,
    low: float,
    theta: Floats,
    next_features: Array,
    next_mean: Floats,
    rounds_after: Ints,
    reward: Floats,
    clicked: Bools,
    examined: Bools,
    best: Floats,
    value: Floats,
) -> None:
    """A whole round in one call: what comes of these slates, and the features of the next round."""
    given = seed, episode, step, rounds, slates, deviation, coins, mean
    pull(*given, rounds_after, reward, clicked, examined, best, value)
    fill_features(seed, episode, step, NEXT, low, theta, next_features, next_mean)


@njit(cache=True)
def pull(
    seed: Array,
    episode: Ints,
    step: Ints,
    rounds: Ints,
    slates: Ints,
    deviation: float,
    coins: bool,
    mean: Floats,
    rounds_after: Ints,
    reward: Floats,
    clicked: Bools,
    examined: Bools,
    best: Floats,
    value: Floats,
) -> None:
    """Write rounds and rewards (B,), who opened and saw the item, and means of the best arm and of this one.

    The user clicks as the 0/1 reward says, and opens every item where rewards are normal. Means are (B, N),
    or (1, N) for all users. Normal noise is by the method of Box and Muller, from the two uniforms of one
    block.
    """
    for b in range(len(slates)):
        row = mean[b if len(mean) > 1 else 0]
        mu, top = row[slates[b, 0]], row[0]
        for a in range(1, len(row)):
            top = max(top, row[a])
        w0, w1, w2, w3 = philox(0, step[b], REWARD, episode[b], seed[b], seed[b] >> uint64(32))
        u, angle = to_uniform(w0, w1), 2.0 * math.pi * to_uniform(w2, w3)
        won = u < mu
        if coins:
            reward[b] = 1.0 if won else 0.0
        else:
            reward[b] = mu + deviation * math.sqrt(-2.0 * math.log(1.0 - u)) * math.cos(angle)
        clicked[b, 0], examined[b, 0] = won or not coins, True
        value[b], best[b] = mu, top
        rounds_after[b] = rounds[b] + 1


def linear_bandit(
    num_items: int = 50,
    dimension: int = 10,
    fresh_features: bool = True,
    noise: str = "normal",
    deviation: float = 0.1,
    horizon: int = 1000,
    world_seed: int = 0,
) -> LinearWorld:
    """Learn the one vector that turns features of users and items into rewards.

    Story:
        Every round a visitor comes, and what is known of them crossed with what is known of every item is a
        vector. Rewards are a linear function of it that nobody knows. A pull of one item tells something of
        all others, because they share the function.

    Slate (action):
        One item (0 to N-1).

    Observation:
        `step`, rounds played; `features`, the vectors x_a of all items in this round.

    What the user does:
        Gives the item pulled a reward of expectation theta . x_a: normal around it (they open every item),
        or a click with that probability.

    Reward:
        theta . x_a plus noise (normal), or 1 for a click and 0 without (coins).

    Episode end:
        Truncated after `horizon` rounds; nothing changes there.

    Regret is measured against:
        The item of largest theta . x_a in this round.

    Parameters (default, range, source):
        num_items: N (50, at least 2; ours).
        dimension: D (10, at least 1; ours).
        fresh_features: True draws the vectors of all items anew for every user and round, False keeps those
            of the world (True; ours).
        noise: normal or coins (normal; ours).
        deviation: sigma of normal noise (0.1, 0 or more; ours); rewards that are 0 or 1 do not use it.
        horizon: rounds of an episode (1000, at least 1; ours).
        world_seed: of theta, and of features that are kept (0).

    Known simplifications:
        Entries of features are independent and uniform from -1 to 1 over sqrt(D), from 0 where rewards are 0
        or 1, so lengths are near 0.58; theta has length 1, and no negative entry where rewards are 0 or 1.
        Nothing links the features of an item in one round to those in the next.

    Version history:
        v0: first version.

    Source: Abbasi-Yadkori, Pal, Szepesvari, "Improved algorithms for linear stochastic bandits", NeurIPS
        2011.

    Raises:
        InputError: a parameter out of range.
    """
    if num_items < 2:
        raise InputError(f"num_items must be at least 2, got {num_items}")
    if dimension < 1:
        raise InputError(f"dimension must be at least 1, got {dimension}")
    if noise not in ("normal", "coins"):
        raise InputError(f"noise must be normal or coins, got {noise!r}")
    rng = world_generator(world_seed)
    coins = noise == "coins"
    theta = rng.standard_normal(dimension)
    theta = np.abs(theta) if coins else theta
    features = None
    if not fresh_features:
        entries = rng.random((num_items, dimension))
        features = (entries if coins else 2.0 * entries - 1.0) * BELOW_ONE / np.sqrt(dimension)
    return LinearWorld(
        theta=theta / np.linalg.norm(theta),
        num_items=num_items,
        horizon=horizon,
        deviation=None if coins else deviation,
        features=features,
    )
