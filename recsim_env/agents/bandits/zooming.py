"""Zooming: a grid that grows finer where rewards are high, for Lipschitz bandits.

N arms at the points x = a / (N-1) of [0, 1], with |mu(x) - mu(y)| <= L |x - y|. Some are active. An active
arm that was pulled n times with mean m has the confidence radius

    r = sqrt(2 log T / (n + 1)),

and covers the arms at L |x - y| <= r. Every round:

    activate:  while some arm is covered by no active one, activate any such arm (one drawn at random);
    select:    pull the active arm of largest index m + 2 r  (m = 0 while n = 0).

A radius that shrinks uncovers arms, so active arms pile up where one goes on pulling: near the peak. Radii
are kept as the number of steps of the grid that they reach, whole numbers, and only the arm last pulled can
have uncovered anything, so a round costs one look at the active arms. Equal indices go to the arm activated
earlier; the order of activation is drawn.

Feedback: the reward of the arm played.
Bound: O(T^((d+1)/(d+2)) (c log T)^(1/(d+2))), d the zooming dimension with multiplier c; d = 0 for a tent.
Source: Kleinberg, Slivkins, Upfal, "Multi-armed bandits in metric spaces", STOC 2008; radius and index:
    Slivkins, "Introduction to multi-armed bandits", 2019, section 4.3 (from memory).
"""

from math import log
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import check_sizes, out_of_range
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class Zooming:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        slope: L.
        horizon: T, rounds that will be played.

    Attributes:
        num_active: (B,) A_b. Of the next five the first A_b columns of row b count, in the order of
            activation.
        arm: (B, N) the active arms.
        reach: (B, N) how many steps of the grid their radius covers on either side.
        pulls, reward, index: (B, N).
        last: (B,) place of the arm of the round before, and
        last_reach: (B,) its reach before that round; -1 before the first.

    Raises:
        InputError: a size below its least, a slope that is not above 0.
    """

    def __init__(self, num_replicates: int, num_items: int, slope: float, horizon: int) -> None:
        check_sizes(num_replicates, num_items)
        if not 0.0 < slope < np.inf:
            raise InputError(f"slope must be above 0 and finite, got {slope}")
        if not horizon >= 2:
            raise InputError(f"horizon must be at least 2, got {horizon}")
        B, N = num_replicates, num_items
        self.width = 2.0 * log(horizon)
        self.steps = (num_items - 1) / slope  # of the grid, in one unit of reward
        self.num_active = np.zeros(B, np.int64)
        self.arm, self.reach = np.zeros((2, B, N), np.int64)
        self.pulls, self.reward, self.index = np.zeros((3, B, N))
        self.last, self.last_reach = np.zeros(B, np.int64), np.full(B, -1, np.int64)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """Activate, and the active arm of largest index, (B, 1)."""
        slates = np.empty((len(self.arm), 1), np.int64)
        _activate_and_select(
            self.num_active,
            self.arm,
            self.reach,
            self.index,
            self.last,
            self.last_reach,
            self.width,
            self.steps,
            luck.uniform("zooming"),
            slates,
        )
        return slates

    def update(self, transition: Transition) -> None:
        """One more pull: its radius shrinks.

        Raises:
            InputError: a reward outside 0 to 1.
        """
        row = _learn(
            self.num_active,
            self.arm,
            self.reach,
            self.pulls,
            self.reward,
            self.index,
            self.width,
            self.steps,
            transition.slates,
            transition.reward,
        )
        if row >= 0:
            raise out_of_range(row, transition.reward, (0.0, 1.0))


@njit(inline="always")
def _reach(n: float, width: float, steps: float) -> int:
    """Steps of the grid in sqrt(2 log T / (n+1)), safe against rounding just below a whole number."""
    return int(np.floor(np.sqrt(width / (n + 1.0)) * steps + 1e-9))


@njit(cache=True)
def uncovered(arm: Ints, reach: Ints, active: int, low: int, high: int, found: Ints, count: int) -> int:
    """Append to `found` the arms low to high that no active one covers; returns how many it holds."""
    x = low
    while x <= high:
        beyond = x
        for i in range(active):
            if abs(arm[i] - x) <= reach[i]:
                beyond = arm[i] + reach[i] + 1
                break
        if beyond == x:
            found[count] = x
            count += 1
            beyond = x + 1
        x = beyond
    return count


@njit(cache=True)
def _activate_and_select(
    num_active: Ints,
    arm: Ints,
    reach: Ints,
    index: Floats,
    last: Ints,
    last_reach: Ints,
    width: float,
    steps: float,
    u: Floats,
    slates: Ints,
) -> None:
    B, N = arm.shape
    found = np.empty(N, np.int64)
    whole = _reach(0.0, width, steps)
    for b in range(B):
        A, draw = num_active[b], u[b]
        if A == 0:
            count = uncovered(arm[b], reach[b], 0, 0, N - 1, found, 0)
        elif last_reach[b] > reach[b, last[b]]:  # two strips on either side are no longer covered by this arm
            x, new, old = arm[b, last[b]], reach[b, last[b]], last_reach[b]
            count = uncovered(arm[b], reach[b], A, max(x - old, 0), x - new - 1, found, 0)
            count = uncovered(arm[b], reach[b], A, x + new + 1, min(x + old, N - 1), found, count)
        else:
            count = 0
        while count > 0:
            draw *= count
            j = int(draw)
            draw -= j  # again uniform, and independent of j
            arm[b, A], reach[b, A], index[b, A] = found[j], whole, 2.0 * np.sqrt(width)
            left = 0
            for i in range(count):
                if abs(found[i] - arm[b, A]) > whole:
                    found[left] = found[i]
                    left += 1
            A, count = A + 1, left
        num_active[b] = A
        best = 0
        for i in range(1, A):
            if index[b, i] > index[b, best]:
                best = i
        last[b], last_reach[b] = best, reach[b, best]
        slates[b, 0] = arm[b, best]


@njit(cache=True)
def _learn(
    num_active: Ints,
    arm: Ints,
    reach: Ints,
    pulls: Floats,
    total: Floats,
    index: Floats,
    width: float,
    steps: float,
    slates: Ints,
    reward: Floats,
) -> int:
    """Returns the first row whose reward is out of range (nothing changes), or -1."""
    for b in range(len(slates)):
        if not 0.0 <= reward[b] <= 1.0:
            return b
    for b in range(len(slates)):
        for i in range(num_active[b]):
            if arm[b, i] == slates[b, 0]:
                pulls[b, i] += 1.0
                total[b, i] += reward[b]
                n = pulls[b, i]
                reach[b, i] = _reach(n, width, steps)
                index[b, i] = total[b, i] / n + 2.0 * np.sqrt(width / (n + 1.0))
                break
    return -1
