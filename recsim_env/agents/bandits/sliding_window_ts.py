"""Sliding-window Thompson sampling: Beta posteriors of the last W rounds, for arms that change.

With s_a the rewards of arm a in the last W rounds and n_a its pulls in them,

    theta_a ~ Beta(1 + s_a, 1 + n_a - s_a),      A_t = argmax_a theta_a.

A reward between 0 and 1 counts as that share of a win; Agrawal and Goyal toss a coin for it instead, which is
the same for rewards of 0 and 1.

Feedback: the reward of the arm pulled.
Bound: O(sqrt(switches T log T)) of the dynamic regret, with a window of the order of sqrt(T log T / switches)
    (from memory, constants not looked up: none is drawn).
Source: Trovo, Paladino, Restelli, Gatti, "Sliding-window Thompson sampling for non-stationary settings", JAIR
    68, 2020.
"""

from typing import TYPE_CHECKING

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.window_counts import WindowCounts, largest_draw
from recsim_env.arrays import Array, Ints
from recsim_env.simulators.luck import stream_number

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck

STREAM = stream_number("sliding_window_ts")


class SlidingWindowTS:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        window: W, N or more; see `window_counts.tuned_window`.

    Raises:
        InputError: a size below its least value.
    """

    def __init__(self, num_replicates: int, num_items: int, *, window: int) -> None:
        self.counts = WindowCounts(num_replicates, num_items, window)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The arm of largest draw, (B, 1)."""
        known = self.counts.pulls, self.counts.sums
        slates: Ints = largest_draw(luck.seed, luck.episode, luck.step, STREAM, *known)
        return slates

    def update(self, transition: Transition) -> None:
        """Count the pull, and forget the oldest."""
        self.counts.update(transition)
