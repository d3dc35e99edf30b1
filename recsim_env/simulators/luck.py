"""Luck: counter-based random streams, one per user.

A draw is a pure function of (seed of the user, episode, step, name of the stream, index of the draw),
computed by Philox 4x32-10 (`philox.py`). Nothing is advanced, so user i has the same luck alone, in a
batch of 10,000 or on worker 7, streams can be read in any order, and the same user can be shown G slates
under the same luck (common random numbers).

The counter and key of one Philox block (four 32-bit words out = two draws of 53 bits):

    counter = (index of the block, step, stream, episode)        key = (low, high half of the seed)

so two draws share a block only if all five coordinates agree; `stream` is the CRC-32 of its name.
"""

import math
import zlib
from collections.abc import Callable, Sequence

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.beta_draws import fill_beta
from recsim_env.simulators.normal_draws import fill_normal
from recsim_env.simulators.philox import fill_uniform

INT = np.dtype(np.int64)  # an object, not a type: a third off each allocation of a small array


class Luck:
    """The luck of B users at one step each.

    Attributes:
        seed: (B,) uint64, the seed of each user.
        episode: (B,) int64, which episode of that seed, 0 to 2^32 - 1.
        step: (B,) int64, which step of that episode, 0 to 2^32 - 1.
    """

    __slots__ = ("episode", "seed", "step")

    def __init__(self, seed: Array, episode: Ints, step: Ints) -> None:
        self.seed = seed
        self.episode = episode
        self.step = step

    @classmethod
    def from_seeds(cls, seeds: Sequence[int] | Array) -> "Luck":
        """The luck of episode 0, step 0 of each seed.

        Args:
            seeds: (B,) integers from 0 to 2^64 - 1.

        Raises:
            InputError: a seed is not an integer, or out of range.
        """
        seed = np.empty(len(seeds), np.uint64)
        for i, value in enumerate(seeds):
            if not isinstance(value, int | np.integer) or isinstance(value, bool):
                raise InputError(f"seeds[{i}] must be an integer, got {value!r}")
            if not 0 <= int(value) < 1 << 64:
                raise InputError(f"seeds[{i}] must be from 0 to 2^64 - 1, got {value}")
            seed[i] = int(value)
        return cls(seed, np.zeros(len(seed), np.int64), np.zeros(len(seed), np.int64))

    def __len__(self) -> int:
        return len(self.seed)

    def at(self, step: int | Ints) -> "Luck":
        """The same users at another step, one for all or (B,)."""
        if isinstance(step, np.ndarray):
            return Luck(self.seed, self.episode, step)
        all_alike = np.empty(len(self.seed), INT)
        all_alike.fill(step)  # a third of the time of np.full, which a batch of one feels
        return Luck(self.seed, self.episode, all_alike)

    def of_episode(self, episode: int | Ints) -> "Luck":
        """The same users at step 0 of another episode, one for all or (B,)."""
        return Luck(self.seed, self.at(episode).step, np.zeros(len(self.seed), np.int64))

    def repeat(self, G: int) -> "Luck":
        """Each user G times in a row, (B*G,): G slates shown to one user under one luck."""
        return Luck(self.seed.repeat(G), self.episode.repeat(G), self.step.repeat(G))

    def rows(self, index: Array) -> "Luck":
        """The luck of some of the users: `index` is any NumPy index of the first axis."""
        return Luck(self.seed[index], self.episode[index], self.step[index])

    def uniform(self, stream: str, shape: tuple[int, ...] = ()) -> Floats:
        """Uniform draws in [0, 1), multiples of 2^-53.

        Args:
            stream: name of the stream, such as `click`.
            shape: shape of one user's draws.

        Returns:
            (B, *shape), a view whose memory runs along the users: draw i of all users is contiguous,
            which is twice as fast to fill as the other way round and suits loops over slots.
        """
        return self._filled(fill_uniform, stream, shape)

    def _filled(self, fill: Callable[..., None], stream: str, shape: tuple[int, ...]) -> Floats:
        n = math.prod(shape)  # 1 of no shape
        draws = np.empty((n + n % 2, len(self.seed)))
        fill(self.seed, self.episode, self.step, stream_number(stream), draws)
        if not shape:
            return draws[0]
        if n % 2:
            draws = draws[:n]
        return draws.T if len(shape) == 1 else draws.T.reshape(len(self.seed), *shape)

    def normal(self, stream: str, shape: tuple[int, ...] = ()) -> Floats:
        """Standard normal draws, (B, *shape): the inverse distribution function of `uniform`.

        One uniform makes one normal and the map is monotone, so common random numbers stay coupled
        (`normal_draws.py`).
        Half a unit (2^-54) is added to the uniform, so that 0 does not become minus infinity; the largest
        one, which would round to 1, is kept below it.
        """
        return self._filled(fill_normal, stream, shape)

    def beta(self, stream: str, a: Floats, b: Floats) -> Floats:
        """Beta(a, b) draws, one per entry.

        The entries of one user are drawn one after the other, by rejection, from a generator that the
        stream's first block seeds: the draws of a user depend on that user's luck, a and b alone.

        Args:
            stream: name of the stream.
            a: (B, N) at least 1.
            b: (B, N) at least 1.

        Returns:
            (B, N) in [0, 1].

        Raises:
            InputError: a or b is below 1, where this method (Marsaglia and Tsang) does not hold.
        """
        if a.shape != b.shape or a.shape[:1] != self.seed.shape or a.ndim != 2:
            raise InputError(f"a and b must have shape ({len(self)}, N), got {a.shape} and {b.shape}")
        draws = np.empty(a.shape)
        if not fill_beta(self.seed, self.episode, self.step, stream_number(stream), a, b, draws):
            raise InputError(f"a and b must be at least 1, got {min(a.min(), b.min())}")
        return draws


_STREAM_NUMBERS: dict[str, int] = {}


def stream_number(stream: str) -> int:
    """The 32-bit number of a stream: the CRC-32 of its name."""
    number = _STREAM_NUMBERS.get(stream)
    if number is None:
        number = _STREAM_NUMBERS.setdefault(stream, zlib.crc32(stream.encode()))
    return number


def world_generator(world_seed: int, *stream: int) -> np.random.Generator:
    """NumPy's generator of what belongs to a world (catalogue, population), not to a user.

    Raises:
        InputError: a seed that is not a whole number from 0 to 2^32 - 1.
    """
    check_world_seed(world_seed)
    return np.random.default_rng([world_seed, *stream] if stream else world_seed)


def check_world_seed(world_seed: int) -> None:
    """Refuse a seed that is not a whole number from 0 to 2^32 - 1."""
    whole = isinstance(world_seed, int | np.integer) and not isinstance(world_seed, bool)
    if not whole or not 0 <= world_seed < 1 << 32:
        raise InputError(f"world_seed must be a whole number from 0 to 2^32 - 1, got {world_seed!r}")
