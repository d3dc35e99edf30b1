"""UCB1 on a uniform grid of the interval: the plain answer to a Lipschitz bandit.

Of the N arms at the points a / (N-1) of [0, 1], only those nearest to the middles of cells of width epsilon are
played, ceil(1/epsilon) of them, by UCB1 with the radius of the horizon T:

    index = m_a + sqrt(2 log T / n_a),      infinite where n_a = 0.

If |mu(x) - mu(y)| <= L |x - y|, the best arm of the grid is within L epsilon / 2 of the best one (and half a
step of the N points), and UCB1 pays O(sqrt(T log T / epsilon)) beside it. Both are in balance at

    epsilon = (T L^2 / log T)^(-1/3).

A finer grid explores too many arms, a coarser one misses the peak: regret over epsilon is U-shaped.

Feedback: the reward of the arm played.
Bound: O(L^(1/3) T^(2/3) (log T)^(1/3)).
Source: Kleinberg, "Nearly tight bounds for the continuum-armed bandit problem", NeurIPS 2004; the step and the
    radius: Slivkins, "Introduction to multi-armed bandits", 2019, sections 4.1 and 1.3 (from memory).
"""

from math import ceil, log
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck

UNSEEN = 1e3  # index of an arm never pulled, as in CascadeUCB


class UniformGrid:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: N, arms at a / (N-1).
        slope: L.
        horizon: T, rounds that will be played.
        step: epsilon; the theorem's by default.

    Attributes:
        grid: (M,) the arms played.
        pulls, reward, index: (B, M) of these arms.

    Raises:
        InputError: a size below its least, a slope or a step that is not above 0.
    """

    def __init__(
        self, num_replicates: int, num_items: int, slope: float, horizon: int, *, step: float | None = None
    ) -> None:
        if num_replicates < 1:
            raise InputError(f"num_replicates must be at least 1, got {num_replicates}")
        if num_items < 2:
            raise InputError(f"num_items must be at least 2, got {num_items}")
        if not 0.0 < slope < np.inf:
            raise InputError(f"slope must be above 0 and finite, got {slope}")
        if horizon < 2:
            raise InputError(f"horizon must be at least 2, got {horizon}")
        if step is None:
            step = min(1.0, (horizon * slope**2 / log(horizon)) ** (-1.0 / 3.0))
        if not 0.0 < step <= 1.0:
            raise InputError(f"step must be above 0 and 1 at most, got {step}")
        cells = min(ceil(1.0 / step - 1e-9), num_items)
        middle = (np.arange(cells) + 0.5) / cells
        self.grid = np.rint(middle * (num_items - 1)).astype(np.int64)
        if cells == num_items:
            self.grid = np.arange(num_items)
        self.width = 2.0 * log(horizon)
        shape = (num_replicates, cells)
        self.pulls, self.reward, self.index = np.zeros(shape), np.zeros(shape), np.full(shape, UNSEEN)
        self.ties = np.zeros(shape)  # as in CascadeUCB: no arm is favoured by its id

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The arm of the grid of largest index, (B, 1)."""
        if self.ties[0, 0] == 0.0:  # not drawn yet
            self.ties = 1e-9 * luck.uniform("uniform_grid/ties", self.ties.shape[1:]).copy()
            self.index += self.ties
        slates = np.empty((len(self.index), 1), np.int64)
        _select(self.grid, self.index, slates)
        return slates

    def update(self, transition: Transition) -> None:
        """One more pull; only the index of its arm changes, as the horizon is known."""
        _learn(
            self.grid,
            self.pulls,
            self.reward,
            self.index,
            self.ties,
            self.width,
            transition.slates,
            transition.reward,
        )


@njit(cache=True)
def _select(grid: Ints, index: Floats, slates: Ints) -> None:
    for b in range(len(index)):
        slates[b, 0] = grid[index[b].argmax()]


@njit(cache=True)
def _learn(
    grid: Ints,
    pulls: Floats,
    total: Floats,
    index: Floats,
    ties: Floats,
    width: float,
    slates: Ints,
    reward: Floats,
) -> None:
    for b in range(len(slates)):
        i = np.searchsorted(grid, slates[b, 0])
        pulls[b, i] += 1.0
        total[b, i] += reward[b]
        n = pulls[b, i]
        index[b, i] = total[b, i] / n + np.sqrt(width / n) + ties[b, i]
