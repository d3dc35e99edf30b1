"""UCB1 on a uniform grid of the interval: the plain answer to a Lipschitz bandit.

Of the N arms at the points a / (N-1) of [0, 1], only those nearest to the middles of cells of width epsilon
are played, ceil(1/epsilon) of them and two at least, by UCB1 with the radius of the horizon T:

    index = m_a + sqrt(2 log T / n_a),      infinite where n_a = 0.

If |mu(x) - mu(y)| <= L |x - y|, the best arm of the grid is within L epsilon / 2 of the best one (and half a
step of the N points), and UCB1 pays O(sqrt(T log T / epsilon)) beside it. Both are in balance at

    epsilon = (T L^2 / log T)^(-1/3).

A finer grid explores too many arms, a coarser one misses the peak: regret over epsilon is U-shaped.

Feedback: the reward of the arm played.
Bound: O(L^(1/3) T^(2/3) (log T)^(1/3)).
Source: Kleinberg, "Nearly tight bounds for the continuum-armed bandit problem", NeurIPS 2004; the step and
    the radius: Slivkins, "Introduction to multi-armed bandits", 2019, sections 4.1 and 1.3 (from memory).
"""

from math import ceil, log, sqrt
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import ArmCounts, check_sizes, count_pulls, out_of_range
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class UniformGrid:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: N, arms at a / (N-1).
        slope: L.
        horizon: T, rounds that will be played.
        step: epsilon, at most 1; the theorem's by default.

    Attributes:
        grid: (M,) the arms played.
        counts: of these arms.

    Raises:
        InputError: a size below its least, a slope or a step that is not above 0.
    """

    def __init__(
        self, num_replicates: int, num_items: int, slope: float, horizon: int, *, step: float | None = None
    ) -> None:
        check_sizes(num_replicates, num_items)
        if not 0.0 < slope < np.inf:
            raise InputError(f"slope must be above 0 and finite, got {slope}")
        if not horizon >= 2:
            raise InputError(f"horizon must be at least 2, got {horizon}")
        if step is None:
            step = min(1.0, (horizon * slope**2 / log(horizon)) ** (-1.0 / 3.0))
        if not 0.0 < step <= 1.0:
            raise InputError(f"step must be above 0 and 1 at most, got {step}")
        cells = max(2, min(ceil(1.0 / step - 1e-9), num_items))
        # (i + 1/2) (N-1) / cells to the nearest, halves up: in whole numbers, so that all differ
        self.grid = ((2 * np.arange(cells) + 1) * (num_items - 1) + cells) // (2 * cells)
        self.counts = ArmCounts(num_replicates, cells)
        self.radius = sqrt(2.0 * log(horizon))  # after one pull

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The arm of the grid of largest index, (B, 1)."""
        counts = self.counts
        counts.break_ties(luck, "uniform_grid/ties")
        slates = np.empty((len(counts.rounds), 1), np.int64)
        _select(self.grid, counts.centres, counts.inverse_roots, self.radius, slates)
        return slates

    def update(self, transition: Transition) -> None:
        """Count the pull of a cell.

        Raises:
            InputError: a reward outside 0 to 1.
        """
        cell, reward, c = np.searchsorted(self.grid, transition.slates), transition.reward, self.counts
        row = count_pulls(
            cell, reward, 0.0, 1.0, c.ties, c.pulls, c.sums, c.centres, c.inverse_roots, c.rounds
        )
        if row >= 0:
            raise out_of_range(row, reward, (0.0, 1.0))


@njit(cache=True)
def _select(grid: Ints, centres: Floats, inverse_roots: Floats, radius: float, slates: Ints) -> None:
    for b in range(len(centres)):
        best, highest = 0, -np.inf
        for i in range(len(grid)):
            bound = centres[b, i] + radius * inverse_roots[b, i]
            if bound > highest:
                best, highest = i, bound
        slates[b, 0] = grid[best]
