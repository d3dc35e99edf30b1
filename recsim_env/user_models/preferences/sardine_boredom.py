"""Boredom as in SARDINE: a topic clicked too often of late bores for as long as clicks are looked back on.

    n_c(t) = clicks on topic c among the last `recent_clicks` that were in the steps t - window + 1 .. t
    once n_c(t) >= threshold, c bores in the steps t + 1 .. t + window, and may then bore again at once

A step is one slate, with any number of clicks. `Boredom` looks back on a number of clicks alone, and lets a
click on a topic that bores prolong it.

The last clicks are kept with their ages, none at first, so that the beginning is no case of its own.
(EasyRL4Rec cuts t - window .. t out of a list, where a negative beginning counts from its end.)

What boredom does is the world's: SARDINE's "temporary loss of interest" is `interest`, its "churn and return"
(the user is away while anything bores) is `away`.

Source: Deffayet and others, "SARDINE: a simulator for automated recommendation in dynamic and interactive
environments", 2024; the timing, and the ten recent clicks, are those of its released code.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.user_models.preferences.topics import check_topics


class SardineBoredomState(NamedTuple):
    """What B users clicked of late, and what bores them."""

    recent: Ints  # (B, M) topics of the last clicks, in a ring; -1 = none yet
    age: Ints  # (B, M) steps since each of them
    place: Ints  # (B,) of the next click in the ring
    left: Ints  # (B, C) steps for which each topic still bores, 0 = not at all


@dataclass(frozen=True)
class SardineBoredom:
    """When topics bore, and for how long.

    Raises:
        InputError: a parameter below 1, or a threshold that cannot be reached.
    """

    num_topics: int  # C
    threshold: int  # clicks, 1 to recent_clicks
    window: int  # steps, 1 or more: looked back on, and of boredom
    recent_clicks: int = 10  # M, clicks looked back on

    def __post_init__(self) -> None:
        for name in ("num_topics", "window", "recent_clicks"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 1 <= self.threshold <= self.recent_clicks:
            raise InputError(
                f"threshold must be from 1 to recent_clicks ({self.recent_clicks}), got {self.threshold}"
            )

    def begin(self, B: int) -> SardineBoredomState:
        """Users who have clicked nothing and are bored of nothing."""
        none = np.full((B, self.recent_clicks), -1)
        left = np.zeros((B, self.num_topics), np.int64)
        return SardineBoredomState(none, np.zeros_like(none), np.zeros(B, np.int64), left)

    def bored(self, state: SardineBoredomState) -> Bools:
        """(B, C) topics that are worth nothing now."""
        return state.left > 0

    def interest(self, interest: Floats, state: SardineBoredomState) -> Floats:
        """(B, C) the interest in each topic, 0 in those that bore."""
        return np.where(self.bored(state), 0.0, interest)

    def away(self, state: SardineBoredomState) -> Bools:
        """(B,) whether anything bores."""
        return np.any(self.bored(state), axis=1)

    def step(self, state: SardineBoredomState, topics: Ints, clicked: Bools) -> SardineBoredomState:
        """The state after a slate.

        Args:
            state: before it.
            topics: (B, K) of the slate, anything in empty slots.
            clicked: (B, K); clicks count from the top slot down.

        Raises:
            InputError: a clicked slot holds a topic that does not exist.
        """
        check_topics(topics, clicked, self.num_topics)
        after = SardineBoredomState(*(column.copy() for column in state))
        after.age[:] += 1
        note_clicks(topics, clicked, *after, self.threshold, self.window)
        return after


@njit(cache=True)
def note_clicks(
    topics: Ints,
    clicked: Bools,
    recent: Ints,
    age: Ints,
    place: Ints,
    left: Ints,
    threshold: int,
    window: int,
) -> None:
    """Add the clicks (B, K) to the rings, let boredom pass by a step, and bore whom they bore, in place."""
    B, M = recent.shape
    C = left.shape[1]
    count = np.empty(C, np.int64)
    for b in range(B):
        for k in range(topics.shape[1]):
            if clicked[b, k]:
                recent[b, place[b]], age[b, place[b]] = topics[b, k], 0
                place[b] = (place[b] + 1) % M
        count[:] = 0
        for m in range(M):
            if recent[b, m] >= 0 and age[b, m] < window:
                count[recent[b, m]] += 1
        for c in range(C):
            left[b, c] = max(left[b, c] - 1, 0)
            if left[b, c] == 0 and count[c] >= threshold:
                left[b, c] = window
