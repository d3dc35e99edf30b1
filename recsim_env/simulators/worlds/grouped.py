"""Slates of grouped items: users are drawn towards what they click, and compare all that they are shown.

A user with preference z in R^D looks at the whole slate A and clicks one item or none,

    P(click i) = exp(-|z - v_i|) / (exp(b) + sum_j exp(-|z - v_j|)),      P(no click) = exp(b) / (the same)

and a click on v moves their state h; without one it stays. Linear users have z = h and

    h' = gamma h + (1 - gamma) v

and gated users a recurrent unit without biases, in units of the largest radius m,

    r = sigmoid(W_ir x + W_hr h),      u = sigmoid(W_iu x + W_hu h),      n = tanh(W_in x + r (W_hn h)),
    h' = (1 - u) n + u h,      x = v / m,      z = m W_z h

Items stand around the vector of their group, and users begin at the vector of a random group.

Source: Eide, Leslie, Frigessi, "Dynamic slate recommendation with gated recurrent units and Thompson
sampling", Data Mining and Knowledge Discovery 36, 2022.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numba import njit
from scipy.special import expit

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.simulators.catalogue import Catalogue
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.last_slate import (
    check_sizes,
    last_slate_entries,
    no_slate,
    observe_last_slate,
)
from recsim_env.simulators.worlds.world import Entry, Outcome
from recsim_env.user_models.affinity import fill_top_items, listed
from recsim_env.user_models.choices import MultinomialLogit
from recsim_env.user_models.slots import sum_over_slots


class GroupState(NamedTuple):
    """Where B users are."""

    hidden: Array  # (B, D) float32 h
    step: Ints  # (B,) slates shown so far
    slate: Ints  # (B, K) the last one, -1 in empty slots and before the first
    clicked: Bools  # (B, K) of the last slate


@dataclass(frozen=True)
class LinearUser:
    """h' = gamma h + (1 - gamma) v, z = h."""

    keep: float  # gamma, 0 to 1

    def move(self, hidden: Array, item: Array) -> Array:
        """(B, D) after clicks on items (B, D)."""
        return np.asarray(self.keep * hidden + (1.0 - self.keep) * item, np.float32)

    def preference(self, hidden: Array) -> Array:
        """(B, D) z."""
        return hidden

    def begin(self, preference: Array) -> Array:
        """(B, D) the state of users whose preference is z."""
        return preference


@dataclass(frozen=True)
class GatedUser:
    """A gated recurrent unit without biases."""

    weights: Array  # (6, D, D) float32: W_ir, W_hr, W_iu, W_hu, W_in, W_hn
    radius: float  # m, of the items
    # W_z is the identity: any other is a change of coordinates of the items

    def move(self, hidden: Array, item: Array) -> Array:
        """(B, D) after clicks on items (B, D)."""
        x = item / np.float32(self.radius)
        # einsum, not a matrix product: its rows do not depend on how many there are
        xr, hr, xu, hu, xn, hn = (
            np.einsum("bd,ed->be", a, w) for a, w in zip((x, hidden) * 3, self.weights, strict=True)
        )
        reset, update = _sigmoid(xr + hr), _sigmoid(xu + hu)
        new = np.tanh(xn + reset * hn)
        return np.asarray((1.0 - update) * new + update * hidden, np.float32)

    def preference(self, hidden: Array) -> Array:
        """(B, D) z."""
        return np.asarray(np.float32(self.radius) * hidden)

    def begin(self, preference: Array) -> Array:
        """(B, D) the state of users whose preference is z."""
        return preference / np.float32(self.radius)


@dataclass(frozen=True)
class GroupWorld:
    """Users before a catalogue whose categories are the groups.

    Raises:
        InputError: a slate size or horizon out of range.
    """

    plans_ahead: ClassVar[bool] = False  # see `World`

    catalogue: Catalogue  # features are the item vectors v
    centres: Array  # (G, D) float32 vectors of the groups
    user: LinearUser | GatedUser
    choice: MultinomialLogit
    slate_size: int  # K
    horizon: int  # H
    preference_observed: bool = False

    def __post_init__(self) -> None:
        check_sizes(self.slate_size, self.catalogue.num_items, self.horizon)

    @property
    def num_items(self) -> int:
        """N."""
        return self.catalogue.num_items

    def begin(self, luck: Luck) -> GroupState:
        """Users at the vectors of uniformly drawn groups."""
        B = len(luck)
        group = (luck.uniform("group") * len(self.centres)).astype(np.int64)
        hidden = self.user.begin(self.centres[group])
        return GroupState(hidden, np.zeros(B, np.int64), *no_slate(B, self.slate_size))

    def observe(self, state: GroupState) -> dict[str, Array]:
        """What the user did with the last slate, and their preference, if it is observed."""
        seen = observe_last_slate(state, self.num_items)
        if not self.preference_observed:
            return seen
        return {**seen, "preference": self.user.preference(state.hidden).copy()}

    def observation_entries(self) -> dict[str, Entry]:
        """Slates of 0 to N, where N stands for an empty slot; preferences, if observed."""
        entries = last_slate_entries(self)
        if not self.preference_observed:
            return entries
        bound = 1.0 + float(max(np.abs(self.catalogue.features).max(), np.abs(self.centres).max()))
        if isinstance(self.user, GatedUser):
            bound = max(bound, self.user.radius)
        D = self.catalogue.dimension
        return {**entries, "preference": Entry(-bound, bound, (D,), np.float32)}

    def utility(self, state: GroupState, slates: Ints) -> Floats:
        """(B, K) -|z - v_i| of what is shown, anything in empty slots."""
        utility = np.empty(slates.shape[::-1]).T  # slot by slot in memory
        fill_utility(self.user.preference(state.hidden), self.catalogue.features, slates, utility)
        return utility

    def slate_attraction(self, state: GroupState, slates: Ints) -> Floats:
        """(B, K) probability to click each item were it shown alone; 0 in empty slots."""
        alone = expit(self.utility(state, slates) - self.choice.no_click_logit)
        return np.where(listed(slates), alone, 0.0)

    def respond(self, state: GroupState, slates: Ints, luck: Luck) -> tuple[GroupState, Outcome]:
        """Show slates (B, K), -1 in empty slots; an item shown a second time counts as an empty slot."""
        shown, utility = listed(slates), self.utility(state, slates)
        response = self.choice.sample(utility, shown, luck.uniform("choice"))
        reward = sum_over_slots(response.clicked)
        item = np.where(response.clicked, slates, 0).sum(axis=1)
        moved = self.user.move(state.hidden, self.catalogue.features[item])
        hidden = np.where(reward[:, None] > 0.0, moved, state.hidden)
        after = GroupState(hidden, state.step + 1, slates.copy("K"), response.clicked.copy("K"))
        left = np.zeros(len(slates), np.bool_)
        value = 1.0 - self.choice.no_click_prob(utility, shown)
        return after, Outcome(reward, left, response, self._best_value(state), value)

    def expected_reward(self, state: GroupState, slates: Ints) -> Floats:
        """(B,) the probability of a click."""
        return 1.0 - self.choice.no_click_prob(self.utility(state, slates), listed(slates))

    def best_slate(self, state: GroupState) -> Ints:
        """(B, K) the items nearest to the user's preference, nearest first, to single precision."""
        shape = len(state.step), self.slate_size
        best, highest = np.empty(shape, np.int64), np.empty(shape, np.float32)
        # scores 2 z . v - |v|^2 rise as the distance to z falls
        interest = np.float32(2.0) * self.user.preference(state.hidden)
        fill_top_items(interest, self._columns, self._offset, best, highest)
        return best

    def values(self, state: GroupState, slates: Ints) -> tuple[Floats, Floats]:
        """(B,) probability of a click at this step, of the best slate and of this one."""
        return self._best_value(state), self.expected_reward(state, slates)

    def _best_value(self, state: GroupState) -> Floats:
        return self.expected_reward(state, self.best_slate(state))

    @cached_property
    def _offset(self) -> Array:  # (N,) float32 -|v|^2
        return -(self.catalogue.features**2).sum(axis=1, dtype=np.float32)

    @cached_property
    def _columns(self) -> Array:  # (D, N) float32
        return np.ascontiguousarray(self.catalogue.features.T)


@njit(cache=True)
def fill_utility(preference: Array, features: Array, slates: Ints, utility: Floats) -> None:
    """Write -|z - v_i| (B, K), in double precision; of item 0 in empty slots."""
    B, K = slates.shape
    for k in range(K):
        for b in range(B):
            item, total = max(slates[b, k], 0), 0.0
            for d in range(preference.shape[1]):
                apart = np.float64(preference[b, d]) - np.float64(features[item, d])
                total += apart * apart
            utility[b, k] = -np.sqrt(total)


def _sigmoid(x: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))
