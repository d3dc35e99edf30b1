"""Personal slates: users with lasting interests look at slates from a catalogue, click, stay or leave.

User u with interest x_u finds item i attractive with probability a(u, i) = sigmoid(offset_i + x_u . f_i),
looks at the slate and clicks by a click model, earns 1 a click, and leaves with probability l_1 after a
slate with a click and l_0 after one without. With r(A) the expected clicks of slate A and

    stay(A) = 1 - l_1 P(a click) - l_0 P(no click),      Q_h(u, A) = r(A) + stay(A) V_{h+1}(u),

the slate A* of the K most attractive items, most attractive first, has for most click models both the most
expected clicks and, if l_0 >= l_1, the most users who stay; where it has not, another is found by exchanges
(`clicks/best_order.py`). So it is best at every step (nearly, for some click models: see `slate_rec`), and

    V_h(u) = r(A*) (1 + stay(A*) + ... + stay(A*)^(H-h-1)).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numba import njit

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
from recsim_env.user_models.affinity import (
    attraction_of_catalogue,
    attraction_of_slates,
    present,
    top_items,
)
from recsim_env.user_models.clicks import Cascade, ClickModel, Response
from recsim_env.user_models.clicks.best_order import best_order
from recsim_env.user_models.clicks.totals import click_totals, expected_clicks, show
from recsim_env.user_models.slots import sum_over_slots

MOST_KEPT = 1 << 22  # attractions of users times items, 32 MB; beyond, they are computed as they are shown


class SlateState(NamedTuple):
    """Where B users are."""

    user: Ints  # (B,) number of the user in the population
    step: Ints  # (B,) slates shown so far
    slate: Ints  # (B, K) the last one, -1 in empty slots and before the first
    clicked: Bools  # (B, K) of the last slate


@dataclass(frozen=True)
class SlateWorld:
    """Users of a population before a catalogue.

    Raises:
        InputError: a shape that does not fit, a probability outside [0, 1], a slate size or horizon out of
            range.
    """

    plans_ahead: ClassVar[bool] = True  # see `World`

    catalogue: Catalogue
    interest: Array  # (U, D) float32; its length says how sharply users tell items apart
    clicks: ClickModel
    slate_size: int  # K, 1 to N
    horizon: int  # H, 1 or more
    intercept: float = 0.0  # logit of the attraction of an item that is nothing to the user
    leave_after_click: float = 0.0  # l_1, probability after each slate with a click
    leave_without_click: float = 0.0  # l_0
    interest_observed: bool = True

    def __post_init__(self) -> None:
        check_sizes(self.slate_size, self.catalogue.num_items, self.horizon, self.clicks)
        if self.interest.ndim != 2 or self.interest.shape[1] != self.catalogue.dimension:
            raise InputError(
                f"interest must have shape (U, {self.catalogue.dimension}), got {self.interest.shape}"
            )
        if len(self.interest) == 0:
            raise InputError("interest must have at least one row: there are no users")
        if not np.isfinite(self.interest).all():
            user, d = np.argwhere(~np.isfinite(self.interest))[0]
            raise InputError(f"interest[{user}, {d}] = {self.interest[user, d]} is not finite")
        if not np.isfinite(self.intercept):
            raise InputError(f"intercept must be finite, got {self.intercept}")
        for name in ("leave_after_click", "leave_without_click"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        if self.leave_without_click < self.leave_after_click:
            raise InputError(
                f"leave_without_click must be at least leave_after_click ({self.leave_after_click}), got "
                f"{self.leave_without_click}: the best slate is known only if clicks keep users"
            )

    @property
    def num_items(self) -> int:
        """N."""
        return self.catalogue.num_items

    @property
    def num_users(self) -> int:
        """U."""
        return len(self.interest)

    def begin(self, luck: Luck) -> SlateState:
        """Users drawn uniformly from the population."""
        B = len(luck)
        user = (luck.uniform("user") * self.num_users).astype(np.int64)
        return SlateState(user, np.zeros(B, np.int64), *no_slate(B, self.slate_size))

    def observe(self, state: SlateState) -> dict[str, Array]:
        """Who it is, what they like (if observed), and what they did with the last slate."""
        seen = {"user": state.user.copy(), **observe_last_slate(state, self.num_items)}
        return {**seen, "interest": self.interest_of(state)} if self.interest_observed else seen

    def interest_of(self, state: SlateState) -> Array:
        """(B, D) float32 interests."""
        return self.interest.take(state.user, axis=0)

    def observation_entries(self) -> dict[str, Entry]:
        """U users; real interests; slates of 0 to N, where N stands for an empty slot."""
        entries = {"user": Entry(0, self.num_users - 1), **last_slate_entries(self)}
        bound = float(np.abs(self.interest).max())
        interest = {"interest": Entry(-bound, bound, (self.catalogue.dimension,), np.float32)}
        return {**entries, **interest} if self.interest_observed else entries

    def slate_attraction(self, state: SlateState, slates: Ints) -> Floats:
        """(B, K) a(u, i) of what is shown; 0 in empty slots and for an item's second showing."""
        if self._attraction is not None:
            return np.asarray(present(self._attraction, state.user, slates)[0])
        return attraction_of_slates(self.interest_of(state), self.catalogue.features, self._offset, slates)

    def respond(self, state: SlateState, slates: Ints, luck: Luck) -> tuple[SlateState, Outcome]:
        """Show slates (B, K), -1 in empty slots; an item shown a second time counts as an empty slot."""
        attraction = self.slate_attraction(state, slates)
        after, reward, left, response = self.react(state, slates, attraction, luck)
        return after, Outcome(reward, left, response, *self._values(state, attraction))

    def react(
        self, state: SlateState, slates: Ints, attraction: Floats, luck: Luck
    ) -> tuple[SlateState, Floats, Bools, Response]:
        """The step without its values: the state after it, reward (B,), left (B,), response."""
        u = luck.uniform("click", (self.clicks.draws_per_slot, self.slate_size))
        leave = luck.uniform("leave")
        response = show(self.clicks, attraction, u)
        reward = sum_over_slots(response.clicked)
        left = leave < np.where(reward > 0.0, self.leave_after_click, self.leave_without_click)
        after = SlateState(state.user, state.step + 1, slates.copy("K"), response.clicked.copy("K"))
        return after, reward, left, response

    def expected_reward(self, state: SlateState, slates: Ints) -> Floats:
        """(B,) expected clicks of this slate."""
        return expected_clicks(self.clicks, self.slate_attraction(state, slates))

    def best_slate(self, state: SlateState) -> Ints:
        """(B, K) the slate that is worth most, shown at every step: see the top of this file."""
        return self._best[0][state.user]

    def values(self, state: SlateState, slates: Ints) -> tuple[Floats, Floats]:
        """(B,) V_h(u) and (B,) Q_h(u, A)."""
        return self._values(state, self.slate_attraction(state, slates))

    def _values(self, state: SlateState, attraction: Floats) -> tuple[Floats, Floats]:
        best, shown = np.empty(len(attraction)), np.empty(len(attraction))
        follow(*self._worth(attraction), self._best[1], state.user, state.step, best, shown)
        return best, shown

    def _worth(self, attraction: Floats) -> tuple[Floats, Floats]:
        """r(A) and stay(A), (B,) both."""
        clicks, none = click_totals(self.clicks, attraction)
        leave = self.leave_after_click + (self.leave_without_click - self.leave_after_click) * none
        return clicks, 1.0 - leave

    @cached_property
    def _offset(self) -> Array:  # (N,) float32
        return (self.intercept + self.catalogue.quality).astype(np.float32)

    @cached_property
    def _attraction(self) -> Floats | None:
        """(U, N) a(u, i), looked up in a third of the time of computing it; None where it would be large."""
        if self.num_users * self.num_items > MOST_KEPT:
            return None
        return attraction_of_catalogue(self.interest, self.catalogue.features, self._offset)

    @cached_property
    def _best(self) -> tuple[Ints, Floats]:
        """(U, K) the best slate of every user and (U, H+1) its value with h steps done."""
        features = self.catalogue.features
        K = self.slate_size
        slates = top_items(self.interest, features, self._offset, K)
        if not isinstance(self.clicks, Cascade):
            least = top_items(-self.interest, features, -self._offset, min(K, self.num_items - K))
            pool = np.concatenate([slates, least], axis=1)
            attraction = attraction_of_slates(self.interest, features, self._offset, pool)
            order = best_order(attraction, K, lambda shown: self._always(shown)[:, 0])
            slates = np.take_along_axis(pool, order, axis=1)
        return slates, self._always(attraction_of_slates(self.interest, features, self._offset, slates))

    def _always(self, attraction: Floats) -> Floats:
        """(R, H+1) value of showing one slate at every step, with h steps done."""
        clicks, stay = self._worth(attraction)
        value = np.zeros((len(clicks), self.horizon + 1))
        for h in range(self.horizon - 1, -1, -1):
            value[:, h] = clicks + stay * value[:, h + 1]
        return value


@njit(cache=True)
def follow(
    clicks: Floats, stay: Floats, value: Floats, user: Ints, step: Ints, best: Floats, shown: Floats
) -> None:
    """Write V_h(u) and r(A) + stay(A) V_{h+1}(u), (B,) both, from the table value (U, H+1)."""
    for b in range(len(user)):
        h = min(step[b], value.shape[1] - 2)
        best[b] = value[user[b], h]
        shown[b] = clicks[b] + stay[b] * value[user[b], h + 1]
