"""In-slate Thompson sampling: a posterior draw for every slot, so that a slate spreads over what may be best.

Draws k = 1 .. K of all items, with T_e examinations and W_e clicks,

    theta_k(e) ~ Beta(1 + W_e, 1 + T_e - W_e),

independent over items and draws; slot k shows the item of largest theta_k that no slot above shows. Where the
posterior is sharp all draws agree, and the slate is the K best items, best first.

The authors draw from the posterior of a network over users' tastes. A draw then prefers one kind of items,
and K draws mix the kinds in a slate. Here it is the Beta posterior of each item, independent of the others:
every slot is a chance for an unknown item to beat the best known one that is left, where one draw of all
items (CascadeTS) gives each unknown item one chance. So more unknown items are shown where the known ones are
about as good as each other; where means differ much, one draw goes further down the list, and mixes more.

Feedback: cascade or semi-bandit, a click or none in every slot examined.
Bound: none known.
Source: Eide, Leslie, Frigessi, "Dynamic slate recommendation with gated recurrent units and Thompson
    sampling", Data Mining and Knowledge Discovery 36, 2022: the filling of slates, checked in their code.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.item_counts import ItemCounts, check_slate_sizes
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.simulators.beta_draws import fill_beta
from recsim_env.simulators.luck import stream_number

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck

STREAM = stream_number("in_slate_thompson")


class InSlateThompson:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        slate_size: K.

    Raises:
        InputError: no replicates, no items, or more slots than items.
    """

    def __init__(self, num_replicates: int, num_items: int, slate_size: int) -> None:
        check_slate_sizes(num_replicates, num_items, slate_size)
        self.slate_size = slate_size
        self.counts = ItemCounts(num_replicates, num_items)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """Slot k from draw k, (B, K)."""
        draw = luck.seed, luck.episode, luck.step, STREAM
        slates: Ints = draw_slates(*draw, self.counts.clicks, self.counts.examinations, self.slate_size)
        return slates

    def update(self, transition: Transition) -> None:
        """Count what was examined and clicked."""
        self.counts.update(transition)


@njit(cache=True)
def draw_slates(
    seed: Array, episode: Ints, step: Ints, stream: int, clicks: Floats, examinations: Floats, K: int
) -> Ints:
    """K draws of all items from their posteriors, and the slates (B, K) that they make."""
    B, N = clicks.shape
    alpha, beta, theta = np.empty((B, K, N)), np.empty((B, K, N)), np.empty((B, K, N))
    for b in range(B):
        for k in range(K):
            for e in range(N):
                alpha[b, k, e] = 1.0 + clicks[b, e]
                beta[b, k, e] = 1.0 + (examinations[b, e] - clicks[b, e])
    shape = B, K * N
    fill_beta(seed, episode, step, stream, alpha.reshape(shape), beta.reshape(shape), theta.reshape(shape))
    return best_of_each_draw(theta)


@njit(cache=True)
def best_of_each_draw(theta: Floats) -> Ints:
    """(B, K): slot k holds the item of largest theta[:, k] that no slot above holds; theta is (B, K, N)."""
    B, K, N = theta.shape
    slates = np.empty((B, K), np.int64)
    used = np.empty(N, np.bool_)
    for b in range(B):
        used[:] = False
        for k in range(K):
            best = -1
            for e in range(N):
                if not used[e] and (best < 0 or theta[b, k, e] > theta[b, k, best]):
                    best = e
            slates[b, k] = best
            used[best] = True
    return slates
