"""Boredom counted over steps, as in SARDINE: a topic clicked too often of late bores for as long again.

    n_c(t) = clicks on topic c in the steps t - window + 1 .. t         (all of them while t + 1 < window)
    once n_c(t) >= threshold, c bores in the steps t + 1 .. t + window, and may then bore again at once

A step is one slate, with any number of clicks. `Boredom` looks back on a number of clicks instead, and lets
a click on a topic that bores prolong it.

The clicks of the last `window` steps are kept, of no clicks at all at first, so that the beginning is no case
of its own. (EasyRL4Rec cuts t - window .. t out of a list, where a negative beginning counts from its end.)

What boredom does is the world's: SARDINE's "temporary loss of interest" is `interest`, its "churn and return"
(the user is away while anything bores) is `away`.

Source: Deffayet and others, "SARDINE: a simulator for automated recommendation in dynamic and interactive
environments", 2024; the timing is that of its released code.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.user_models.preferences.topics import check_topics


class SardineBoredomState(NamedTuple):
    """What B users clicked in the last steps, and what bores them."""

    recent: NDArray[np.int16]  # (B, window, C) clicks on each topic in each step, oldest first
    left: Ints  # (B, C) steps for which each topic still bores, 0 = not at all


@dataclass(frozen=True)
class SardineBoredom:
    """When topics bore, and for how long.

    Raises:
        InputError: a parameter below 1.
    """

    num_topics: int  # C
    threshold: int  # clicks, 1 or more
    window: int  # steps, 1 or more: looked back on, and of boredom

    def __post_init__(self) -> None:
        for name in ("num_topics", "threshold", "window"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")

    def begin(self, B: int) -> SardineBoredomState:
        """Users who have clicked nothing and are bored of nothing."""
        C = self.num_topics
        return SardineBoredomState(np.zeros((B, self.window, C), np.int16), np.zeros((B, C), np.int64))

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
            clicked: (B, K).

        Raises:
            InputError: a clicked slot holds a topic that does not exist.
        """
        check_topics(topics, clicked, self.num_topics)
        after = SardineBoredomState(np.empty_like(state.recent), np.empty_like(state.left))
        move_window(*state, topics, clicked, self.threshold, *after)
        return after


@njit(cache=True)
def move_window(
    recent: NDArray[np.int16],
    left: Ints,
    topics: Ints,
    clicked: Bools,
    threshold: int,
    new_recent: NDArray[np.int16],
    new_left: Ints,
) -> None:
    """Write the state after a slate (B, K): drop the oldest step, add this one, and bore whom it bores."""
    B, window, C = recent.shape
    total = np.empty(C, np.int16)
    for b in range(B):
        new = new_recent[b, window - 1]
        new[:] = 0
        for k in range(topics.shape[1]):
            if clicked[b, k]:
                new[topics[b, k]] += 1
        total[:] = new
        for w in range(1, window):
            old, kept = recent[b, w], new_recent[b, w - 1]
            for c in range(C):
                total[c] += old[c]
                kept[c] = old[c]
        for c in range(C):
            still = max(left[b, c] - 1, 0)
            new_left[b, c] = window if still == 0 and total[c] >= threshold else still
