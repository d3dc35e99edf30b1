"""Bored users: what was clicked lately is worth less (satiation), and too much of a topic bores.

User u finds item i of topic c attractive with probability

    a = sigmoid(offset_i + x_u . f_i - factor s_uc),      0 while topic c bores u,

where s is satiation (`Satiation`) and boredom is a count of recent clicks (`Boredom`). They click by a click
model, and leave when their patience (`PatienceBudget`) is used up by slates without clicks.
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
    attraction_of_logits,
    fill_logits,
    is_new,
    keep_highest,
    lanes,
    logits_of_slot,
    sigmoid,
)
from recsim_env.user_models.clicks import ClickModel, GlobalClickThroughRate, RankClickThroughRate
from recsim_env.user_models.clicks.totals import expected_clicks, show
from recsim_env.user_models.preferences import Boredom, BoredomState, Satiation
from recsim_env.user_models.sessions import PatienceBudget
from recsim_env.user_models.slots import sum_over_slots

BORES = np.float32(1e9)  # logits taken off an item of a boring topic: nobody ever clicks it


class BoredState(NamedTuple):
    """Where B users are."""

    user: Ints  # (B,) number of the user in the population
    satiation: Floats  # (B, C) s
    boredom: BoredomState
    patience: Floats  # (B,)
    step: Ints  # (B,) slates shown so far
    slate: Ints  # (B, K) the last one, -1 in empty slots and before the first
    clicked: Bools  # (B, K) of the last slate


@dataclass(frozen=True)
class BoredWorld:
    """Users of a population who tire of topics, before a catalogue whose categories are the topics.

    Raises:
        InputError: a shape that does not fit, a slate size or horizon out of range.
    """

    plans_ahead: ClassVar[bool] = False  # see `World`

    catalogue: Catalogue
    interest: Array  # (U, D) float32; its length says how sharply users tell items apart
    clicks: ClickModel
    satiation: Satiation
    boredom: Boredom
    patience: PatienceBudget
    slate_size: int  # K
    horizon: int  # H
    intercept: float = 0.0
    boredom_observed: bool = True

    def __post_init__(self) -> None:
        check_sizes(self.slate_size, self.catalogue.num_items, self.horizon, self.clicks)
        if self.interest.ndim != 2 or self.interest.shape[1] != self.catalogue.dimension:
            raise InputError(
                f"interest must have shape (U, {self.catalogue.dimension}), got {self.interest.shape}"
            )
        if isinstance(self.clicks, GlobalClickThroughRate | RankClickThroughRate):
            raise InputError(
                f"clicks must be a model in which items attract, got {type(self.clicks).__name__}: "
                "nobody would tire of anything"
            )
        if self.boredom.num_topics != self.catalogue.num_categories:
            raise InputError(
                f"boredom must be over the {self.catalogue.num_categories} categories, got "
                f"{self.boredom.num_topics} topics"
            )

    @property
    def num_items(self) -> int:
        """N."""
        return self.catalogue.num_items

    @property
    def num_users(self) -> int:
        """U."""
        return len(self.interest)

    def begin(self, luck: Luck) -> BoredState:
        """Users drawn uniformly from the population: fresh and patient."""
        B = len(luck)
        user = (luck.uniform("user") * self.num_users).astype(np.int64)
        return BoredState(
            user,
            np.zeros((B, self.catalogue.num_categories)),
            self.boredom.begin(B),
            self.patience.begin(B),
            np.zeros(B, np.int64),
            *no_slate(B, self.slate_size),
        )

    def observe(self, state: BoredState) -> dict[str, Array]:
        """Who it is, what they like and what they are tired of (if observed), and the last slate."""
        seen = {"user": state.user.copy(), "interest": self.interest_of(state)}
        seen |= observe_last_slate(state, self.num_items)
        if not self.boredom_observed:
            return seen
        return {
            **seen,
            "satiation": state.satiation.astype(np.float32),
            "bored": self.boredom.bored(state.boredom).view(np.int8),
        }

    def interest_of(self, state: BoredState) -> Array:
        """(B, D) float32 interests, when nothing bores."""
        return self.interest.take(state.user, axis=0)

    def observation_entries(self) -> dict[str, Entry]:
        """U users; interests; slates of 0 to N (N = empty); satiation and boredom of each category."""
        C = self.catalogue.num_categories
        bound = float(np.abs(self.interest).max())
        entries = {
            "user": Entry(0, self.num_users - 1),
            "interest": Entry(-bound, bound, (self.catalogue.dimension,), np.float32),
            **last_slate_entries(self),
        }
        if not self.boredom_observed:
            return entries
        most = self.slate_size * self.satiation.memory / (1.0 - self.satiation.memory)
        return {
            **entries,
            "satiation": Entry(0.0, most, (C,), np.float32),
            "bored": Entry(0, 1, (C,), np.int8),
        }

    def slate_attraction(self, state: BoredState, slates: Ints) -> Floats:
        """(B, K) a of what is shown; 0 in empty slots, for a second showing, and for boring topics."""
        B, K = slates.shape
        attraction = np.empty((K, B)).T
        fill_attraction_less(
            self.interest_of(state),
            self.catalogue.features,
            self._offset,
            self._loss(state),
            self.catalogue.category,
            slates,
            attraction,
        )
        return attraction

    def respond(self, state: BoredState, slates: Ints, luck: Luck) -> tuple[BoredState, Outcome]:
        """Show slates (B, K), -1 in empty slots; an item shown a second time counts as an empty slot."""
        u = luck.uniform("click", (self.clicks.draws_per_slot, self.slate_size))
        attraction = self.slate_attraction(state, slates)
        response = show(self.clicks, attraction, u)
        reward = sum_over_slots(response.clicked)
        topics = self.catalogue.category[slates]  # anything in empty slots, which are not clicked
        consumed = np.zeros(state.satiation.shape)
        count_topics(topics, response.clicked, consumed)
        patience = self.patience.step(state.patience, reward)
        after = BoredState(
            state.user,
            self.satiation.step(state.satiation, consumed),
            self.boredom.step(state.boredom, topics, response.clicked),
            patience,
            state.step + 1,
            slates.copy("K"),
            response.clicked.copy("K"),
        )
        value = expected_clicks(self.clicks, attraction)
        left = self.patience.leaves(patience)
        return after, Outcome(reward, left, response, self._best_value(state), value)

    def expected_reward(self, state: BoredState, slates: Ints) -> Floats:
        """(B,) expected clicks of this slate."""
        return expected_clicks(self.clicks, self.slate_attraction(state, slates))

    def best_slate(self, state: BoredState) -> Ints:
        """(B, K) the most attractive items now, most attractive first."""
        return self._top(state)[0]

    def values(self, state: BoredState, slates: Ints) -> tuple[Floats, Floats]:
        """(B,) expected clicks of this step, of the best slate of the moment and of this one."""
        return self._best_value(state), self.expected_reward(state, slates)

    def _best_value(self, state: BoredState) -> Floats:
        return expected_clicks(self.clicks, attraction_of_logits(self._top(state)[1]))

    def _top(self, state: BoredState) -> tuple[Ints, Array]:
        """(B, K) the most attractive items and their logits."""
        shape = len(state.user), self.slate_size
        best, highest = np.empty(shape, np.int64), np.empty(shape, np.float32)
        fill_top_less(
            self.interest_of(state),
            self._columns,
            self._offset,
            self._loss(state),
            self.catalogue.category,
            best,
            highest,
        )
        return best, highest

    def _loss(self, state: BoredState) -> Array:
        """(B, C) float32 logits taken off the items of each category."""
        loss = self.satiation.loss(state.satiation).astype(np.float32)
        loss += BORES * self.boredom.bored(state.boredom)
        return loss

    @cached_property
    def _offset(self) -> Array:  # (N,) float32
        return (self.intercept + self.catalogue.quality).astype(np.float32)

    @cached_property
    def _columns(self) -> Array:  # (D, N) float32
        return np.ascontiguousarray(self.catalogue.features.T)


@njit(cache=True, error_model="numpy")
def fill_attraction_less(
    interest: Array,
    features: Array,
    offset: Array,
    loss: Array,
    category: Ints,
    slates: Ints,
    attraction: Floats,
) -> None:
    """As `fill_attraction`, with loss (B, C) taken off the logits of the categories."""
    B, K = slates.shape
    logit, shown, power = np.empty(B, np.float32), np.empty(B, np.bool_), np.empty(B)
    for k in range(K):
        logits_of_slot(interest, features, offset, slates[:, k], logit)
        is_new(slates, k, shown)
        for b in range(B):
            logit[b] -= loss[b, category[max(slates[b, k], 0)]]
        sigmoid(logit, shown, power, attraction[:, k])


@njit(cache=True, error_model="numpy")
def fill_top_less(
    interest: Array,
    columns: Array,
    offset: Array,
    loss: Array,
    category: Ints,
    best: Ints,
    highest: Array,
) -> None:
    """As `fill_top_items`, with loss (B, C) taken off the logits of the categories."""
    N, K = columns.shape[1], best.shape[1]
    logit, maxima, passed = np.empty(N, np.float32), np.empty(lanes(K), np.float32), np.empty(N + 1, np.int64)
    for b in range(len(interest)):
        fill_logits(interest[b], columns, offset, logit)
        for n in range(N):
            logit[n] -= loss[b, category[n]]
        keep_highest(logit, maxima, passed, best[b], highest[b])


@njit(cache=True)
def count_topics(topics: Ints, clicked: Bools, consumed: Floats) -> None:
    """Add the clicks (B, K) to consumed (B, C)."""
    B, K = topics.shape
    for b in range(B):
        for k in range(K):
            if clicked[b, k]:
                consumed[b, topics[b, k]] += 1.0
