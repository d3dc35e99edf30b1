"""CascadeTS: Thompson sampling with a Beta posterior for every item.

    theta_e ~ Beta(1 + W_e, 1 + T_e - W_e),

independent over items, with T_e examinations and W_e clicks; the list is the K items of largest theta,
in descending order. The learner is myopic: one table for each user state.

Feedback: cascade: the slots down to the first click, and which of them was clicked.
Bound: O(sum over items outside the best K of ln T / gap).
Source: "CTS" in Zhong, Cheung, Tan, "Thompson sampling algorithms for cascading bandits", JMLR 22, 2021.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.cascade_counts import CascadeCounts, highest
from recsim_env.agents.bandits.item_counts import check_slate_sizes
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.simulators.beta_draws import fill_beta
from recsim_env.simulators.luck import stream_number

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck

STREAM = stream_number("cascade_ts")


class CascadeTS:
    """One learner per row; arguments as in `CascadeUCB`."""

    def __init__(self, num_replicates: int, num_states: int, num_items: int, slate_size: int) -> None:
        check_slate_sizes(num_replicates, num_items, slate_size)
        self.slate_size = slate_size
        self.counts = CascadeCounts(num_replicates, num_states, num_items)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The K items of largest posterior draw, (B, K)."""
        draw = luck.seed, luck.episode, luck.step, STREAM
        counts = self.counts
        slates: Ints = draw_slates(
            *draw, counts.clicks, counts.examinations, observation["state"], self.slate_size
        )
        return slates

    def update(self, transition: Transition) -> None:
        """Count what was examined and clicked."""
        self.counts.update(transition)


@njit(cache=True)
def draw_slates(
    seed: Array,
    episode: Ints,
    step: Ints,
    stream: int,
    clicks: Floats,
    examinations: Floats,
    state: Ints,
    K: int,
) -> Ints:
    """A draw from the posterior of every item, and the K largest of each row, (B, K)."""
    B, _, N = clicks.shape
    alpha, beta, theta = np.empty((B, N)), np.empty((B, N)), np.empty((B, N))
    for b in range(B):
        W, T = clicks[b, state[b]], examinations[b, state[b]]
        for e in range(N):
            alpha[b, e] = 1.0 + W[e]
            beta[b, e] = 1.0 + T[e] - W[e]
    fill_beta(seed, episode, step, stream, alpha, beta, theta)
    return highest(theta, K)
