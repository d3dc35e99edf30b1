"""What a contract of a world is given: the world, slates to show, and a walk through its episodes."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from recsim_env.arrays import Array, Bools, Ints
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import Outcome, World, columns, put_rows

BYTES = 200_000_000  # of a state of all sampled users
FEWEST, MOST = 5_000, 60_000  # sampled users
PLANNED_ANEW = 1e-12  # relative, by which another copy of a world may differ: sums in another order


class Step(NamedTuple):
    """One step of a walk."""

    state: Any
    slates: Ints  # (B, K)
    luck: Luck
    after: Any  # state
    outcome: Outcome


@dataclass(frozen=True)
class WorldCase:
    """A world to check.

    Args:
        make: gives a new copy of the world at each call.
        seed: of users and slates; contracts hold for every one.
    """

    make: Callable[[], World]
    seed: int = 0

    @cached_property
    def world(self) -> World:
        """One copy, which most contracts share."""
        return self.make()

    def luck(self, rows: int, first: int = 0) -> Luck:
        """Of B users."""
        return Luck.from_seeds(range(self.seed + first, self.seed + first + rows))

    def slates(self, rows: int, trial: int) -> Ints:
        """(B, K) all that the action space allows: lists, short lists, gaps and repeated items.

        The first row is always a whole list of distinct items.
        """
        N, K = self.world.num_items, self.world.slate_size
        rng = np.random.default_rng([self.seed, rows, trial])
        if N <= 1000:
            full = rng.random((rows, N)).argsort(axis=1)[:, :K]
        else:
            full = np.array([rng.choice(N, K, replace=False) for _ in range(rows)])
        short = np.where(np.arange(K) < rng.integers(1, K + 1, (rows, 1)), full, -1)
        any_kind = rng.integers(-1, N, (rows, K))
        any_kind[:, 0] = full[:, 0]
        kind = rng.integers(0, 3, rows)
        kind[0] = 0
        chosen = np.where((kind == 0)[:, None], full, np.where((kind == 1)[:, None], short, any_kind))
        return chosen.astype(np.int64)

    def walk(self, world: World, rows: int, steps: int, first: int = 0) -> Iterator[Step]:
        """Steps of B users; whose user left, or whose episode is over, begins the next episode."""
        luck = self.luck(rows, first)
        state, elapsed = world.begin(luck), np.zeros(rows, np.int64)
        for t in range(steps):
            now, slates = Luck(luck.seed, luck.episode, elapsed), self.slates(rows, t)
            after, outcome = world.respond(state, slates, now)
            yield Step(state, slates, now, after, outcome)
            over = outcome.left | (elapsed + 1 >= world.horizon)
            state, elapsed = after, np.where(over, 0, elapsed + 1)
            if over.any():
                began = np.flatnonzero(over)
                luck = Luck(luck.seed, luck.episode + over, luck.step)
                state = put_rows(state, began, world.begin(luck.rows(began)))

    def samples(self, state: Any) -> int:
        """How many copies of a state (1, ...) a mean is taken over."""
        size = sum(column.nbytes for column in columns(state))
        return max(FEWEST, min(MOST, BYTES // max(size, 1)))


def all_slates(num_items: int, slate_size: int, most: int) -> Ints | None:
    """(R, K) every list of distinct items, short ones included; None if there are more than `most`."""
    lengths = range(1, min(slate_size, num_items) + 1)
    if sum(math.perm(num_items, length) for length in lengths) > most:
        return None
    lists = [(*some, *[-1] * (slate_size - n)) for n in lengths for some in permutations(range(num_items), n)]
    return np.array(lists, np.int64)


def difference(one: Any, other: Any, name: str = "", tolerance: float = 0.0) -> str | None:
    """Where two things of arrays first differ; None if nowhere.

    Args:
        one: an array, a number, or a tuple or dictionary of such things.
        other: the same.
        name: how the message calls it.
        tolerance: relative, of real numbers; 0 is to the last bit.
    """
    if isinstance(one, dict):
        if one.keys() != other.keys():
            return f"{name or 'it'} has {sorted(one)} and then {sorted(other)}"
        parts = [(one[key], other[key], f"{name}[{key!r}]") for key in one]
    elif isinstance(one, tuple):
        fields = getattr(one, "_fields", range(len(one)))
        parts = [
            (a, b, f"{name}.{field}".lstrip(".")) for field, a, b in zip(fields, one, other, strict=True)
        ]
    else:
        return _first_difference(np.asarray(one), np.asarray(other), name, tolerance)
    return next((found for part in parts if (found := difference(*part, tolerance))), None)


def _first_difference(one: Array, other: Array, name: str, tolerance: float) -> str | None:
    if one.shape != other.shape or one.dtype != other.dtype:
        return f"{name} is {one.dtype} {one.shape} and then {other.dtype} {other.shape}"
    equal: Bools = np.asarray(one == other)
    if one.dtype.kind == "f":
        equal = equal | np.isclose(one, other, rtol=tolerance, atol=0.0, equal_nan=True)
    if equal.all():
        return None
    where = tuple(int(i) for i in np.argwhere(~equal)[0])
    place = f"[{', '.join(map(str, where))}]" if where else ""
    return f"{name}{place} is {one[where]} and then {other[where]}"


def rows_of(value: Any, index: Array) -> Any:
    """Rows of each array in a tuple or dictionary."""
    if isinstance(value, dict):
        return {key: rows_of(part, index) for key, part in value.items()}
    if isinstance(value, tuple):
        parts = [rows_of(part, index) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return np.asarray(value)[index]


def copied(value: Any) -> Any:
    """The same with arrays of its own."""
    if isinstance(value, dict):
        return {key: copied(part) for key, part in value.items()}
    if isinstance(value, tuple):
        parts = [copied(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return np.array(value)


def luck_arrays(luck: Luck) -> dict[str, Array]:
    """What a luck is made of."""
    return {"seed": luck.seed, "episode": luck.episode, "step": luck.step}
