"""What every world offers: the contract between users and the Gymnasium faces.

A world is pure: nothing it is given, and nothing of itself, is changed. All randomness of a step comes
from the `Luck` it is handed, so the same state, slates and luck give the same outcome, and G slates can
be shown to one user in one state under one luck (`repeat_rows` and `Luck.repeat`).
"""

from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.simulators.luck import Luck
from recsim_env.user_models.clicks import Response


class Outcome(NamedTuple):
    """What one step did to B users."""

    reward: Floats  # (B,)
    left: Bools  # (B,) the user has gone: the episode terminates
    response: Response  # (B, K)
    best_value: Floats  # (B,) and
    slate_value: Floats  # (B,) what regret is made of: see `World.values`, before the step


class World(Protocol):
    """Users and items; a state is a named tuple of arrays with one row per user."""

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
        """What an agent may see, each (B, ...)."""

    def observation_sizes(self) -> dict[str, int]:
        """How many values each entry of the observation can take, from 0."""

    def respond(self, state: Any, slates: Ints, luck: Luck) -> tuple[Any, Outcome]:
        """Show slates (B, K), -1 in empty slots."""

    def expected_reward(self, state: Any, slates: Ints) -> Floats:
        """(B,) exact expected reward of this step."""

    def best_slate(self, state: Any) -> Ints:
        """(B, K) the slate that regret is measured against."""

    def values(self, state: Any, slates: Ints) -> tuple[Floats, Floats]:
        """What regret is made of, exact: the best value and the value of these slates, (B,) both.

        The best value is the expected return from here to the end of the episode when every slate is
        the best one, the other when these slates are shown now and the best ones from then on. By the
        performance-difference lemma, the differences summed over an episode have the policy's regret
        as their expectation, whatever the policy.
        """


State = TypeVar("State", bound=tuple[Array, ...])


def repeat_rows(state: State, G: int) -> State:
    """Every user G times in a row, to show G slates to the same user in the same state."""
    return type(state)(*(column.repeat(G, axis=0) for column in state))


def choose_rows(mask: Bools, one: State, other: State) -> State:
    """Row by row, `one` where mask (B,) holds, else `other`."""
    pairs = zip(one, other, strict=True)
    return type(one)(*(np.where(mask.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in pairs))
