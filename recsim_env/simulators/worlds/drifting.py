"""Drifting interests: users come back at irregular times, and what they like has moved meanwhile.

User u has the interest x_u(t), a Gaussian process over continuous time (`GaussianProcess`). At visit times
t_0 < t_1 < ..., with Gamma gaps, they find item i attractive with probability

    a(u, i, t) = sigmoid(offset_i + x_u(t) . f_i)

and click by a click model. Slates do not change interests or visits, so the K most attractive items, most
attractive first, are the best slate of a visit and of the whole episode.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.catalogue import Catalogue
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.last_slate import (
    check_sizes,
    last_slate_entries,
    no_slate,
    observe_last_slate,
)
from recsim_env.simulators.worlds.world import Entry, Outcome
from recsim_env.user_models.affinity import attraction_of_slates, top_attraction, top_items
from recsim_env.user_models.clicks import ClickModel, Response
from recsim_env.user_models.clicks.totals import expected_clicks, show
from recsim_env.user_models.preferences import GaussianProcess, Paths
from recsim_env.user_models.sessions import GammaGaps
from recsim_env.user_models.slots import sum_over_slots

LIFE = 10_000.0  # days: an episode begins at a uniform time in it
LONGEST_GAP = 3650.0  # days that an observation tells apart


class DriftState(NamedTuple):
    """Where B users are."""

    user: Ints  # (B,) number of the user in the population
    day: Floats  # (B,) time of the present visit
    gap: Floats  # (B,) days since the last visit, 0 at the first
    interest: Array  # (B, D) float32 at the present visit
    step: Ints  # (B,) visits so far in this episode
    slate: Ints  # (B, K) of the last visit, -1 in empty slots and before the first
    clicked: Bools  # (B, K) of the last visit


@dataclass(frozen=True)
class DriftWorld:
    """Users whose interests are paths of a Gaussian process, before a catalogue.

    Raises:
        InputError: a shape that does not fit, a slate size or horizon out of range.
    """

    plans_ahead: ClassVar[bool] = False  # see `World`

    catalogue: Catalogue
    process: GaussianProcess  # in days
    paths: Paths  # of U users
    gaps: GammaGaps  # between visits, in days
    clicks: ClickModel
    slate_size: int  # K
    horizon: int  # H visits
    intercept: float = 0.0  # logit of the attraction of an item that is nothing to the user
    sharpness: float = 1.0  # of the interests
    interest_observed: bool = False

    def __post_init__(self) -> None:
        check_sizes(self.slate_size, self.catalogue.num_items, self.horizon, self.clicks)
        if self.process.dimension != self.catalogue.dimension:
            raise InputError(
                f"the process must have the dimension of the catalogue ({self.catalogue.dimension}), got "
                f"{self.process.dimension}"
            )

    @property
    def num_items(self) -> int:
        """N."""
        return self.catalogue.num_items

    @property
    def num_users(self) -> int:
        """U."""
        return len(self.paths.frequency)

    @property
    def interest(self) -> Array:
        """(U, D) float32 interests at day 0: what a retrieval stage of candidates knows of the users."""
        return self.interest_at(np.arange(self.num_users), np.zeros(self.num_users))

    def interest_at(self, user: Ints, day: Floats) -> Array:
        """(B, D) float32 interests of these users at these days."""
        return np.float32(self.sharpness) * self.process.interest(self.paths, user, day)

    def interest_of(self, state: DriftState) -> Array:
        """(B, D) float32 interests at the present visit."""
        return state.interest

    def begin(self, luck: Luck) -> DriftState:
        """Users drawn uniformly from the population, at a uniform time of their lives."""
        u = luck.uniform("user", (2,))
        user = (u[:, 0] * self.num_users).astype(np.int64)
        day = u[:, 1] * LIFE
        B = len(luck)
        return DriftState(
            user,
            day,
            np.zeros(B),
            self.interest_at(user, day),
            np.zeros(B, np.int64),
            *no_slate(B, self.slate_size),
        )

    def observe(self, state: DriftState) -> dict[str, Array]:
        """Who it is, how long they were away, and what they did with the last slate."""
        away = np.minimum(state.gap, LONGEST_GAP).astype(np.float32)
        seen: dict[str, Array] = {"user": state.user.copy(), "days_away": away[:, None]}
        seen |= observe_last_slate(state, self.num_items)
        return {**seen, "interest": state.interest.copy()} if self.interest_observed else seen

    def observation_entries(self) -> dict[str, Entry]:
        """U users; days away; slates of 0 to N, where N stands for an empty slot; interests, if observed."""
        entries = {
            "user": Entry(0, self.num_users - 1),
            "days_away": Entry(0.0, LONGEST_GAP, (1,), np.float32),
            **last_slate_entries(self),
        }
        bound = self.sharpness * float(np.sqrt(self._largest_power))
        interest = {"interest": Entry(-bound, bound, (self.catalogue.dimension,), np.float32)}
        return {**entries, **interest} if self.interest_observed else entries

    def slate_attraction(self, state: DriftState, slates: Ints) -> Floats:
        """(B, K) a(u, i, t) of what is shown; 0 in empty slots and for an item's second showing."""
        return attraction_of_slates(state.interest, self.catalogue.features, self._offset, slates)

    def respond(self, state: DriftState, slates: Ints, luck: Luck) -> tuple[DriftState, Outcome]:
        """Show slates (B, K), -1 in empty slots; an item shown a second time counts as an empty slot."""
        attraction = self.slate_attraction(state, slates)
        after, reward, left, response = self.react(state, slates, attraction, luck)
        values = self._best_value(state), expected_clicks(self.clicks, attraction)
        return after, Outcome(reward, left, response, *values)

    def react(
        self, state: DriftState, slates: Ints, attraction: Floats, luck: Luck
    ) -> tuple[DriftState, Floats, Bools, Response]:
        """The step without its values: the state after it, reward (B,), left (B,), response."""
        u = luck.uniform("click", (self.clicks.draws_per_slot, self.slate_size))
        gap = self.gaps.sample(luck.uniform("gap"))
        response = show(self.clicks, attraction, u)
        day = state.day + gap
        interest = self.interest_at(state.user, day)
        after = DriftState(
            state.user, day, gap, interest, state.step + 1, slates.copy("K"), response.clicked.copy("K")
        )
        return after, sum_over_slots(response.clicked), np.zeros(len(slates), np.bool_), response

    def expected_reward(self, state: DriftState, slates: Ints) -> Floats:
        """(B,) expected clicks of this slate."""
        return expected_clicks(self.clicks, self.slate_attraction(state, slates))

    def best_slate(self, state: DriftState) -> Ints:
        """(B, K) the most attractive items at this visit, most attractive first."""
        return top_items(state.interest, self.catalogue.features, self._offset, self.slate_size)

    def values(self, state: DriftState, slates: Ints) -> tuple[Floats, Floats]:
        """(B,) expected clicks of this visit, of the best slate and of this one."""
        return self._best_value(state), self.expected_reward(state, slates)

    def _best_value(self, state: DriftState) -> Floats:
        top = top_attraction(state.interest, self._columns, self._offset, self.slate_size)
        return expected_clicks(self.clicks, top)

    @cached_property
    def _columns(self) -> Array:  # (D, N) float32
        return np.ascontiguousarray(self.catalogue.features.T)

    @cached_property
    def _offset(self) -> Array:  # (N,) float32
        return (self.intercept + self.catalogue.quality).astype(np.float32)

    @cached_property
    def _largest_power(self) -> float:
        """The most that any coordinate of an interest can ever be, squared."""
        amplitude = np.hypot(self.paths.cosine, self.paths.sine).sum(axis=1)
        return float(amplitude.max() ** 2)
