"""What every world offers: the contract between users and the Gymnasium faces.

A world is pure: nothing it is given, and nothing of itself, is changed. All randomness of a step comes
from the `Luck` it is handed, so the same state, slates and luck give the same outcome, and G slates can
be shown to one user in one state under one luck (`repeat_rows` and `Luck.repeat`).
"""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.simulators.catalogue import Catalogue
from recsim_env.simulators.luck import Luck
from recsim_env.user_models.clicks import Response


class Outcome(NamedTuple):
    """What one step did to B users."""

    reward: Floats  # (B,)
    left: Bools  # (B,) the user has gone: the episode terminates
    response: Response  # (B, K)
    best_value: Floats  # (B,) and
    slate_value: Floats  # (B,) what regret is made of: see `World.values`, before the step


class Entry(NamedTuple):
    """One entry of an observation: what one user's values can be."""

    low: float
    high: float  # inclusive
    shape: tuple[int, ...] = ()
    dtype: type = np.int64  # or float32, or int8 for flags that are 0 or 1


class World(Protocol):
    """Users and items; a state is a named tuple of arrays with one row per user."""

    plans_ahead: ClassVar[bool]  # whether `values` are of the rest of the episode, or of this step alone

    @property
    def num_items(self) -> int:
        """N."""

    @property
    def slate_size(self) -> int:
        """K."""

    @property
    def horizon(self) -> int:
        """Steps of an episode, after which it is truncated."""

    def begin(self, luck: Luck) -> Any:
        """One fresh user per row of luck."""

    def observe(self, state: Any) -> dict[str, Array]:
        """What an agent may see, each (B, ...), in new arrays: who gets them may keep and change them."""

    def observation_entries(self) -> dict[str, Entry]:
        """What the values of each entry of the observation can be; whole numbers begin at 0."""

    def respond(self, state: Any, slates: Ints, luck: Luck) -> tuple[Any, Outcome]:
        """Show slates (B, K), -1 in empty slots."""

    def expected_reward(self, state: Any, slates: Ints) -> Floats:
        """(B,) exact expected reward of this step."""

    def best_slate(self, state: Any) -> Ints:
        """(B, K) the slate that regret is measured against."""

    def values(self, state: Any, slates: Ints) -> tuple[Floats, Floats]:
        """What regret is made of, exact: the best value and the value of these slates, (B,) both.

        Where the world `plans_ahead`, the best value is the expected return from here to the end of the
        episode when every slate is the best one, the other when these slates are shown now and the best ones
        from then on. By the performance-difference lemma, the differences summed over an episode have the
        policy's regret as their expectation, whatever the policy. Else both are expected rewards of this
        step, and the difference is what is lost against the best slate of the moment.
        """


@runtime_checkable
class ShowsCandidates(Protocol):
    """A world whose slates are of places in a candidate set, each of which holds an item of the catalogue."""

    @property
    def catalogue(self) -> Catalogue:
        """Of all items."""

    def items(self, state: Any, slates: Ints) -> Ints:
        """(B, K) items at these places, -1 in empty slots."""

    def places(self, state: Any, items: Ints) -> Ints:
        """(B, K) places of these items, -1 in empty slots."""


@runtime_checkable
class HasArms(Protocol):
    """A bandit world: its slates hold one item, an arm, and every arm has an expected reward."""

    @property
    def reward_range(self) -> tuple[float, float]:
        """The least and the largest that one round can give."""

    def arm_means(self, state: Any) -> Floats:
        """(B, N) expected reward of every arm in this round."""


@runtime_checkable
class TellsEvaluation(Protocol):
    """A world that knows of its users what measurements need and agents must not see."""

    def evaluation_info(self, state: Any) -> dict[str, Array]:
        """New entries of `info` (B, ...), of the step that is taken from this state."""


def evaluation_info(world: World) -> Callable[[Any], dict[str, Array]] | None:
    """The method of that name, None where there is none; asked once: asking costs as much as a step."""
    return world.evaluation_info if isinstance(world, TellsEvaluation) else None


State = TypeVar("State", bound=tuple[Any, ...])


def take_rows(state: State, index: Array) -> State:
    """Some of the users: `index` is any NumPy index of the first axis. A state may hold another one."""
    return type(state)(
        *(take_rows(column, index) if isinstance(column, tuple) else column[index] for column in state)
    )


def repeat_rows(state: State, G: int) -> State:
    """Every user G times in a row, to show G slates to the same user in the same state."""
    return take_rows(state, np.arange(num_rows(state)).repeat(G))


def put_rows(state: State, rows: Ints, other: State) -> State:
    """A copy of the state in which `rows` (R,) are the R users of `other`."""
    columns = []
    for mine, theirs in zip(state, other, strict=True):
        if isinstance(mine, tuple):
            columns.append(put_rows(mine, rows, theirs))
        else:
            column = mine.copy("K")
            column[rows] = theirs
            columns.append(column)
    return type(state)(*columns)


def num_rows(state: tuple[Any, ...]) -> int:
    """B."""
    column = state[0]
    return num_rows(column) if isinstance(column, tuple) else len(column)


def columns(state: tuple[Any, ...]) -> list[Array]:
    """Every array of a state, those of the states in it included."""
    return [
        array
        for column in state
        for array in (columns(column) if isinstance(column, tuple) else [np.asarray(column)])
    ]


def with_columns(state: State, arrays: list[Array]) -> State:
    """A state like this one that holds other arrays, in the order of `columns`."""
    rest = iter(arrays)

    def filled(part: tuple[Any, ...]) -> Any:
        return type(part)(*(filled(column) if isinstance(column, tuple) else next(rest) for column in part))

    renewed: State = filled(state)
    return renewed
