"""Candidate sets: at every step only C items of the catalogue can be shown, so that a million items work.

The C candidates are spread evenly over a list of items: candidate c is drawn uniformly from the c-th of C
equal stretches of the list, so they are distinct, and an observation costs C draws however long the list.
The list is the catalogue (in the order of its categories), or the user's own list of the items nearest to
their interest, as the retrieval stage of a recommender would make it.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.catalogue import Catalogue
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import Entry, Outcome, World
from recsim_env.user_models.affinity import top_items
from recsim_env.user_models.clicks import Response

LISTED_PER_CANDIDATE = 10  # length of a user's own list: 10 C items


class WorldOfItems(World, Protocol):
    """A world whose items attract one by one, and whose step can be taken without its values."""

    @property
    def catalogue(self) -> Catalogue:
        """Of N items."""

    @property
    def interest(self) -> Array:
        """(U, D) of the users."""

    def interest_of(self, state: Any) -> Array:
        """(B, D) of the users, as they are now."""

    def slate_attraction(self, state: Any, slates: Ints) -> Floats:
        """(B, K) of what is shown."""

    def react(
        self, state: Any, slates: Ints, attraction: Floats, luck: Luck
    ) -> tuple[Any, Floats, Bools, Response]:
        """The state after the step, reward (B,), left (B,) and response."""


class CandidateState(NamedTuple):
    """Where B users are, and what can be shown to them."""

    inner: Any  # state of the world behind
    candidates: Ints  # (B, C) items


@dataclass(frozen=True)
class CandidateWorld:
    """A world in which slates are made of places in the candidate set (0 to C-1), not of items.

    Raises:
        InputError: fewer candidates than slots or more than items; an unknown source of candidates.
    """

    plans_ahead: ClassVar[bool] = False  # see `World`

    inner: WorldOfItems
    num_candidates: int  # C, K to N (to N / 10 from interest)
    source: str = "catalogue"  # or interest

    def __post_init__(self) -> None:
        K, N = self.inner.slate_size, self.inner.num_items
        if self.source not in ("catalogue", "interest"):
            raise InputError(f"candidates_from must be catalogue or interest, got {self.source!r}")
        most = N if self.source == "catalogue" else N // LISTED_PER_CANDIDATE
        if not K <= self.num_candidates <= most:
            raise InputError(
                f"candidates must be from the slate size ({K}) to {most} with {N} items and "
                f"candidates_from={self.source!r}, got {self.num_candidates}"
            )

    @property
    def num_items(self) -> int:
        """C: what a slot can hold."""
        return self.num_candidates

    @property
    def slate_size(self) -> int:
        """K."""
        return self.inner.slate_size

    @property
    def horizon(self) -> int:
        """H."""
        return self.inner.horizon

    @property
    def catalogue(self) -> Catalogue:
        """Of all N items."""
        return self.inner.catalogue

    def begin(self, luck: Luck) -> CandidateState:
        """Users of the world behind, and their first candidates."""
        state = self.inner.begin(luck)
        return CandidateState(state, self._draw(state, luck, "first candidates"))

    def observe(self, state: CandidateState) -> dict[str, Array]:
        """What the world behind shows, where items are still items, and the candidates."""
        return {**self.inner.observe(state.inner), "candidates": state.candidates.copy()}

    def observation_entries(self) -> dict[str, Entry]:
        """Those of the world behind, and C items."""
        candidates = Entry(0, self.inner.num_items - 1, (self.num_candidates,))
        return {**self.inner.observation_entries(), "candidates": candidates}

    def respond(self, state: CandidateState, slates: Ints, luck: Luck) -> tuple[CandidateState, Outcome]:
        """Show slates (B, K) of places in the candidate set, -1 in empty slots."""
        items = self.items(state, slates)
        attraction = self.inner.slate_attraction(state.inner, items)
        after, reward, left, response = self.inner.react(state.inner, items, attraction, luck)
        outcome = Outcome(reward, left, response, *self.values(state, slates))
        return CandidateState(after, self._draw(after, luck, "candidates")), outcome

    def expected_reward(self, state: CandidateState, slates: Ints) -> Floats:
        """(B,) of the world behind."""
        return self.inner.expected_reward(state.inner, self.items(state, slates))

    def best_slate(self, state: CandidateState) -> Ints:
        """(B, K) the places of the most attractive candidates, most attractive first."""
        attraction = self.inner.slate_attraction(state.inner, state.candidates)
        return np.argsort(-attraction, axis=1, kind="stable")[:, : self.slate_size]

    def values(self, state: CandidateState, slates: Ints) -> tuple[Floats, Floats]:
        """(B,) expected reward of this step, of the best slate of these candidates and of this one."""
        return self.expected_reward(state, self.best_slate(state)), self.expected_reward(state, slates)

    def items(self, state: CandidateState, slates: Ints) -> Ints:
        """(B, K) items at these places, -1 in empty slots."""
        items = np.take_along_axis(state.candidates, np.maximum(slates, 0), axis=1)
        return np.where(slates < 0, -1, items)

    def places(self, state: CandidateState, items: Ints) -> Ints:
        """(B, K) places of these items among the candidates, -1 in empty slots.

        Raises:
            InputError: an item that is no candidate.
        """
        here = items[:, :, None] == state.candidates[:, None, :]  # (B, K, C)
        missing = (items >= 0) & ~here.any(axis=2)
        if missing.any():
            row, slot = np.argwhere(missing)[0]
            raise InputError(
                f"slates[{row}, {slot}] = {items[row, slot]} is none of the {self.num_candidates} candidates "
                "of this step"
            )
        return np.where(items < 0, -1, here.argmax(axis=2))

    def slate_attraction(self, state: CandidateState, slates: Ints) -> Floats:
        """(B, K) of the items at these places, 0 in empty slots."""
        return self.inner.slate_attraction(state.inner, self.items(state, slates))

    def _draw(self, inner: Any, luck: Luck, stream: str) -> Ints:
        C = self.num_candidates
        length = self.inner.num_items if self.source == "catalogue" else C * LISTED_PER_CANDIDATE
        edges = np.arange(C + 1) * length // C  # of the stretches
        place = edges[:-1] + (luck.uniform(stream, (C,)) * np.diff(edges)).astype(np.int64)  # (B, C)
        return place if self.source == "catalogue" else self._nearest[inner.user[:, None], place]

    @cached_property
    def _nearest(self) -> Ints:
        """(U, 10 C) every user's own list, nearest first."""
        offset = np.zeros(self.inner.num_items, np.float32)
        length = self.num_candidates * LISTED_PER_CANDIDATE
        return top_items(self.inner.interest, self.inner.catalogue.features, offset, length)


def with_candidates(world: WorldOfItems, candidates: int | None, candidates_from: str) -> World:
    """The world itself if `candidates` is None, else that of its candidate sets.

    Raises:
        InputError: as of `CandidateWorld`; a source of candidates where there are none.
    """
    if candidates is not None:
        return CandidateWorld(world, candidates, candidates_from)
    if candidates_from != "catalogue":
        raise InputError(f"candidates_from = {candidates_from!r} needs candidates: give their number")
    return world
