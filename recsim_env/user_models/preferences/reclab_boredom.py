"""Boredom as in RecLab's topics environment: items of a topic had too often of late are rated lower.

    n_c = items of topic c among the user's last `memory` items
    bored_c = [ n_c > threshold ],        loss_c = penalty bored_c

is taken off the worth of an item of topic c, together with the loss of satiation where there is any:
`RecLabSatiation.mean_rating(preference - boredom.loss(state), satiation)`. An item counts from the next one
on. It is what was consumed that counts, rated high or low.

`Boredom` and `SardineBoredom` look back on clicks and make topics worth nothing for some steps.

Source: Krauth and others, "Do offline metrics predict online performance in recommender systems?", arXiv
2011.07931, 2020; the timing is that of its released code.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.user_models.preferences.topics import check_topics


class RecLabBoredomState(NamedTuple):
    """What B users consumed of late."""

    recent: Ints  # (B, memory) topics of the last items, in a ring; -1 = none yet
    place: Ints  # (B,) of the next item in the ring


@dataclass(frozen=True)
class RecLabBoredom:
    """When topics bore, and what it costs.

    Raises:
        InputError: a parameter out of range.
    """

    num_topics: int  # C
    memory: int  # items, 1 or more
    threshold: int  # items, 0 or more: one more than that bores
    penalty: float  # taken off the rating, 0 or more

    def __post_init__(self) -> None:
        for name, least in (("num_topics", 1), ("memory", 1), ("threshold", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not 0.0 <= self.penalty < np.inf:
            raise InputError(f"penalty must be 0 or more and finite, got {self.penalty}")

    def begin(self, B: int) -> RecLabBoredomState:
        """Users who have consumed nothing."""
        return RecLabBoredomState(np.full((B, self.memory), -1), np.zeros(B, np.int64))

    def bored(self, state: RecLabBoredomState) -> Bools:
        """(B, C) topics of which there were too many."""
        each = state.recent[:, :, None] == np.arange(self.num_topics)  # (B, memory, C)
        return np.asarray(each.sum(axis=1) > self.threshold)

    def loss(self, state: RecLabBoredomState) -> Floats:
        """(B, C) what to take off the worth of items of each topic."""
        return np.where(self.bored(state), self.penalty, 0.0)

    def step(self, state: RecLabBoredomState, topics: Ints, consumed: Bools) -> RecLabBoredomState:
        """The state after a slate.

        Args:
            state: before it.
            topics: (B, K) of the slate, anything in slots that were not consumed.
            consumed: (B, K); items count from the top slot down.

        Raises:
            InputError: a topic consumed that is none.
        """
        check_topics(topics, consumed, self.num_topics)
        after = RecLabBoredomState(state.recent.copy(), state.place.copy())
        note_items(topics, consumed, *after)
        return after


@njit(cache=True)
def note_items(topics: Ints, consumed: Bools, recent: Ints, place: Ints) -> None:
    """Put the topics consumed (B, K) into the rings, in place."""
    B, K = topics.shape
    for b in range(B):
        for k in range(K):
            if consumed[b, k]:
                recent[b, place[b]] = topics[b, k]
                place[b] = (place[b] + 1) % recent.shape[1]
