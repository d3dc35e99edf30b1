"""Logs out of worlds: any world, any policy, in pieces: a long log needs no more memory than a short one.

Row b is one user under seed s + b. Episode e of that user begins where episode e - 1 ended, by its
leaving or at the horizon, as in `envs/batched.py` with autoreset mode SAME_STEP, and has the same luck: what
is logged at (seed, episode, step) does not depend on how many users are logged beside it, nor on the size of
the pieces. The policy's luck has other seeds than its users', s + b + 2^63.

    piece 0: users 0 to B-1, slates 0 to T-1 of each | piece 1: users 0 to B-1, slates T to 2T-1 | ...
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import ShowsCandidates, World, put_rows

POLICY_LUCK = 1 << 63  # added to a user's seed: the policy's luck is not that of its user
PIECE_ROWS = 1 << 15  # of a piece, 7 MB with slates of 5: small enough for the processor's cache


class Policy(Protocol):
    """What a log is made with; every agent is one."""

    def act(self, observation: dict[str, Array], luck: Luck) -> Ints:
        """Slates (B, K), -1 in unused trailing slots; row i from its own observation and luck."""


@runtime_checkable
class SeesStates(Protocol):
    """A policy that knows the truth: it is shown the state of the users before it acts."""

    def see(self, state: Any) -> None:
        """The state of the world, of B users."""


@runtime_checkable
class StatesPropensities(Protocol):
    """A policy that knows how likely it was to show what it showed."""

    def log_propensities(self, observation: dict[str, Array], slates: Ints) -> Floats:
        """(B, K) log P(slot k | the slots above it), 0 in slots that are always empty."""


@runtime_checkable
class KnowsAttraction(Protocol):
    """A world that can say how attractive the items of a slate truly are."""

    def slate_attraction(self, state: Any, slates: Ints) -> Floats:
        """(B, K) in [0, 1]."""


def generate_log(
    world: World,
    policy: Policy,
    steps: int,
    *,
    num_users: int,
    seed: int = 0,
    piece_rows: int = PIECE_ROWS,
    learn: Callable[..., None] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Iterator[Log]:
    """Play a policy on a world and yield what happened, piece by piece.

    Args:
        world: such as `gym.make("CascadeRec-v0").unwrapped.world`.
        policy: with a method `log_propensities` the log has the propensities, without it neither column.
        steps: slates shown to every user, over as many episodes as that takes.
        num_users: B; `user` in the log is 0 to B-1.
        seed: s, of user 0.
        piece_rows: rows of a piece, at least; rounded to whole steps of all users.
        learn: called after every step with (observation, slates, clicked, examined, reward, next
            observation, terminated, truncated), the fields of an agent's `Transition`.
        metadata: added to that of the log, such as env_id.

    Yields:
        Logs of all columns but the propensities of a policy that states none (`metadata["propensities"]`
        says so) and the attraction of a world that tells none. `time` counts the slates shown to
        the user before; `log_propensity` is the sum of `slot_log_propensity` over the slots; `slate`
        holds items of the catalogue, also where the policy chose places in a candidate set.

    Raises:
        InputError: a number out of range, no world, or a policy that gives something other than slates.
    """
    if not hasattr(world, "respond"):
        raise InputError(f"world must be a World, got {type(world).__name__}: give env.unwrapped.world")
    for name, value in (("steps", steps), ("num_users", num_users), ("piece_rows", piece_rows)):
        if value < 1:
            raise InputError(f"{name} must be at least 1, got {value}")
    if not 0 <= seed <= POLICY_LUCK - num_users:
        raise InputError(f"seed must be from 0 to 2^63 - num_users, got {seed}")
    states_them = isinstance(policy, StatesPropensities)
    about = {
        "policy": type(policy).__name__,
        "propensities": "exact" if states_them else f"{type(policy).__name__} states no propensities",
        "num_users": num_users,
        "num_items": world.catalogue.num_items if isinstance(world, ShowsCandidates) else world.num_items,
        "horizon": world.horizon,
        "steps": steps,
        "seed": seed,
        **(metadata or {}),
    }
    return _generate(world, policy, steps, num_users, seed, piece_rows, learn, about)


def _generate(
    world: World,
    policy: Policy,
    steps: int,
    B: int,
    seed: int,
    piece_rows: int,
    learn: Callable[..., None] | None,
    about: dict[str, Any],
) -> Iterator[Log]:
    seeds = np.arange(B, dtype=np.uint64) + np.uint64(seed)
    episode, elapsed = np.zeros(B, np.int64), np.zeros(B, np.int64)
    state = world.begin(Luck(seeds, episode, elapsed))
    observation = world.observe(state)
    piece_steps = max(1, -(-piece_rows // B))
    for start in range(0, steps, piece_steps):
        piece = _Piece(B, min(piece_steps, steps - start), world, policy)
        for t in range(piece.steps):
            if isinstance(policy, SeesStates):
                policy.see(state)
            slates = policy.act(observation, Luck(seeds + np.uint64(POLICY_LUCK), episode, elapsed))
            _check_slates(slates, B, world)
            piece.before(t, state, observation, slates, episode, elapsed)
            state, outcome = world.respond(state, slates, Luck(seeds, episode, elapsed))
            piece.after(t, *outcome.response, outcome.reward)
            elapsed = elapsed + 1
            truncated = (elapsed >= world.horizon) & ~outcome.left
            if learn is not None:
                after = world.observe(state)
                learn(observation, slates, *outcome.response, outcome.reward, after, outcome.left, truncated)
            over = outcome.left | truncated
            if over.any():
                episode, elapsed = episode + over, np.where(over, 0, elapsed)
                rows = np.flatnonzero(over)
                begun = world.begin(Luck(seeds, episode, elapsed).rows(rows))
                state = put_rows(state, rows, begun)
            observation = world.observe(state)
        yield piece.log(seeds, start, about)


class _Piece:
    """The columns of T steps of B users, (B, T, ...), filled step by step: in memory they are sorted rows."""

    def __init__(self, B: int, T: int, world: World, policy: Policy) -> None:
        K = world.slate_size
        self.shape, self.steps = (B, T), T
        self.slate, self.clicked = np.empty((B, T, K), np.int64), np.empty((B, T, K), np.bool_)
        self.examined, self.reward = np.empty((B, T, K), np.bool_), np.empty((B, T))
        self.episode, self.step = np.empty((B, T), np.int64), np.empty((B, T), np.int64)
        self.policy = policy if isinstance(policy, StatesPropensities) else None
        self.world = world if isinstance(world, KnowsAttraction) else None
        self.candidates = world if isinstance(world, ShowsCandidates) else None
        self.propensity = None if self.policy is None else np.empty((B, T, K))
        self.attraction = None if self.world is None else np.empty((B, T, K))

    def before(
        self, t: int, state: Any, observation: dict[str, Array], slates: Ints, episode: Ints, step: Ints
    ) -> None:
        """What is known before the users respond."""
        put(self.slate, t, self.candidates.items(state, slates) if self.candidates else slates)
        self.episode[:, t], self.step[:, t] = episode, step
        if self.policy is not None and self.propensity is not None:
            put(self.propensity, t, self.policy.log_propensities(observation, slates))
        if self.world is not None and self.attraction is not None:
            put(self.attraction, t, self.world.slate_attraction(state, slates))

    def after(self, t: int, clicked: Bools, examined: Bools, reward: Floats) -> None:
        """What they did."""
        put(self.clicked, t, clicked)
        put(self.examined, t, examined)
        self.reward[:, t] = reward

    def log(self, seeds: Array, start: int, about: dict[str, Any]) -> Log:
        """The piece as a log."""
        B, T = self.shape
        K = self.slate.shape[2]
        by_slot = None if self.propensity is None else self.propensity.reshape(B * T, K)
        return Log(
            user=np.repeat(np.arange(B), T),
            time=np.tile(np.arange(start, start + T, dtype=np.float64), B),
            slate=self.slate.reshape(B * T, K),
            clicked=self.clicked.reshape(B * T, K),
            reward=self.reward.reshape(-1),
            log_propensity=None if by_slot is None else np.einsum("rk->r", by_slot),
            slot_log_propensity=by_slot,
            episode=self.episode.reshape(-1),
            step=self.step.reshape(-1),
            seed=np.repeat(seeds, T),
            examined=self.examined.reshape(B * T, K),
            attraction=None if self.attraction is None else self.attraction.reshape(B * T, K),
            metadata=about,
        )


@njit(cache=True)
def put(column: Array, t: int, values: Array) -> None:
    """column[:, t] = values, (B, T, K) and (B, K); NumPy is slow over so short a last axis."""
    B, K = values.shape
    for b in range(B):
        for k in range(K):
            column[b, t, k] = values[b, k]


def _check_slates(slates: Ints, B: int, world: World) -> None:
    K, N = world.slate_size, world.num_items
    if slates.shape != (B, K) or slates.dtype.kind not in "iu":
        raise InputError(
            f"policy.act must give integers of shape ({B}, {K}), got {slates.dtype} {slates.shape}"
        )
    if slates.min() < -1 or slates.max() >= N:
        row, slot = np.argwhere((slates < -1) | (slates >= N))[0]
        raise InputError(
            f"policy.act gave slates[{row}, {slot}] = {slates[row, slot]}, which is not an item: "
            f"the catalogue has {N} items (0-{N - 1}); -1 leaves the slot empty"
        )
