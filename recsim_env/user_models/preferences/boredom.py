"""Boredom: a topic clicked too often of late is worth nothing for a while.

A topic bores for `duration` steps after a click on it that makes it, or leaves it, `threshold` or more of the
user's last `window` clicks:

    bored_c(t) = [ some click on c in the steps (t - duration, t] was at least the threshold-th on c among the
                   `window` clicks that end with it ]

so a topic whose clicks are old does not bore for ever where nothing else is clicked.

Before the user has clicked `window` times, all their clicks count. (EasyRL4Rec's rule looks back from t by a
slice that begins below 0 while t < window, which sees one or two items where there are three.)

SARDINE's "bored" users are nearly this law: of their last ten clicks they forget those of too many steps ago,
and a click on a topic that bores does not prolong it (`SardineBoredom`). Its users who churn are away while
any topic bores. In RecLab boredom is a penalty (`RecLabBoredom`).

Source: Deffayet et al., "SARDINE: a simulator for automated recommendation in dynamic and interactive
environments", 2024, section 3.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from recsim_env.arrays import Bools, Ints
from recsim_env.errors import InputError
from recsim_env.user_models.preferences.topics import check_topics


class BoredomState(NamedTuple):
    """What B users clicked of late, and what bores them."""

    recent: Ints  # (B, window) topics of the last clicks, in a ring; -1 = none yet
    place: Ints  # (B,) of the next click in the ring
    left: Ints  # (B, C) steps for which each topic still bores, 0 = not at all


@dataclass(frozen=True)
class Boredom:
    """When topics bore, and for how long.

    Raises:
        InputError: a parameter out of range.
    """

    num_topics: int  # C
    threshold: int = 5  # clicks, 1 to window
    window: int = 10  # clicks looked back on
    duration: int = 5  # steps, 1 or more

    def __post_init__(self) -> None:
        if self.num_topics < 1:
            raise InputError(f"num_topics must be at least 1, got {self.num_topics}")
        if not 1 <= self.threshold <= self.window:
            raise InputError(f"threshold must be from 1 to the window ({self.window}), got {self.threshold}")
        if self.duration < 1:
            raise InputError(f"duration must be at least 1, got {self.duration}")

    def begin(self, B: int) -> BoredomState:
        """Users who have clicked nothing and are bored of nothing."""
        recent = np.full((B, self.window), -1)
        return BoredomState(recent, np.zeros(B, np.int64), np.zeros((B, self.num_topics), np.int64))

    def bored(self, state: BoredomState) -> Bools:
        """(B, C) topics that are worth nothing now."""
        return state.left > 0

    def step(self, state: BoredomState, topics: Ints, clicked: Bools) -> BoredomState:
        """The state after a slate.

        Args:
            state: before it.
            topics: (B, K) of the slate, anything in empty slots.
            clicked: (B, K); clicks count from the top slot down.

        Raises:
            InputError: a clicked slot holds a topic that does not exist.
        """
        check_topics(topics, clicked, self.num_topics)
        after = BoredomState(state.recent.copy(), state.place.copy(), np.maximum(state.left - 1, 0))
        note_clicks(topics, clicked, *after, self.threshold, self.duration)
        return after


@njit(cache=True)
def note_clicks(
    topics: Ints, clicked: Bools, recent: Ints, place: Ints, left: Ints, threshold: int, duration: int
) -> None:
    """Add the clicks (B, K) to the rings, and bore whom they bore, in place."""
    B, K = topics.shape
    window = recent.shape[1]
    for b in range(B):
        for k in range(K):
            if not clicked[b, k]:
                continue
            topic = topics[b, k]
            recent[b, place[b]] = topic
            place[b] = (place[b] + 1) % window
            count = 0
            for w in range(window):
                count += recent[b, w] == topic
            if count >= threshold:
                left[b, topic] = duration
