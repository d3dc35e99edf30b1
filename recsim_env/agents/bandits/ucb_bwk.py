"""UcbBwK: the best mix of arms under optimistic rewards and costs, for bandits with a budget.

With n_a pulls of arm a that earned m_a and cost k_a on average, T rounds and a budget of B units,

    u_a = min(1, m_a + rad(m_a)),      l_a = max(0, k_a - rad(k_a)),
    rad(v) = sqrt(gamma v / (n_a + 1)) + gamma / (n_a + 1),      gamma = log T,

and every round solves the linear programme of the optimistic round and draws an arm from its solution x:

    max sum_a x_a u_a      with x >= 0,      sum_a x_a <= 1,      sum_a x_a l_a <= B/T.

With one budget beside time the solution mixes two arms at most: the programme is the upper concave envelope
of the points (l_a, u_a), of which waiting is (0, 0), at B/T. The walk along the envelope starts at the
cheapest point and takes the steepest line to the right until it would pass B/T, or fall (`best_mix`).

Ours: the paper's radius is twice as wide, with a gamma whose constant is not given, and its budget is shrunk
by a factor 1 - epsilon so that it lasts; here it is not shrunk, as the world is closed once it is gone. What
happens after that is not learned from. The last arm is to wait: its 0 and 0 are known.

Feedback: reward and cost of the arm played.
Bound: O(sqrt(N OPT) + OPT sqrt(N / B)) below OPT = T LP, up to logarithms.
Source: Agrawal, Devanur, "Bandits with concave rewards and convex knapsacks", EC 2014, section 3.2; the
    radius is of Kleinberg, Slivkins, Upfal, STOC 2008, and Badanidiyuru, Kleinberg, Slivkins, FOCS 2013 (all
    from memory, as is the bound).
"""

from math import log
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import check_sizes, out_of_range
from recsim_env.agents.bandits.ties import tie_breakers
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class UcbBwK:
    """One UcbBwK learner per row.

    Args:
        num_replicates: B of the arrays.
        num_items: N, of which the last is to wait.
        budget: B of the formulas, units of an episode.
        horizon: T, rounds of an episode.
        gamma: of the radius; log T by default.

    Attributes:
        pulls, reward, cost: (B, N) pulls of every arm, and the sums of what they earned and cost.
        upper, lower: (B, N) u and l.

    Raises:
        InputError: a size below its least, a budget of 0.
    """

    def __init__(
        self, num_replicates: int, num_items: int, budget: int, horizon: int, *, gamma: float | None = None
    ) -> None:
        check_sizes(num_replicates, num_items)
        if not 1 <= budget <= horizon:
            raise InputError(f"budget must be from 1 to the horizon, {horizon}, got {budget}")
        if gamma is not None and not 0.0 < gamma < np.inf:
            raise InputError(f"gamma must be above 0 and finite, got {gamma}")
        self.gamma = log(max(horizon, 2)) if gamma is None else gamma
        self.per_round = budget / horizon
        shape = (num_replicates, num_items)
        self.pulls, self.reward, self.cost = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.upper, self.lower = np.ones(shape), np.zeros(shape)
        self.upper[:, -1] = 0.0
        self.ties = np.zeros(shape)  # as in CascadeUCB: no arm is favoured by its id

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """An arm drawn from the mix, (B, 1)."""
        if self.ties.item(0) == 0.0:  # not drawn yet
            self.ties = tie_breakers(self.ties, luck, "ucb_bwk/ties")
            self.upper[:, :-1] += self.ties[:, :-1]
        slates = np.empty((len(self.upper), 1), np.int64)
        draw_from_mix(self.upper, self.lower, self.per_round, luck.uniform("ucb_bwk"), slates)
        return slates

    def update(self, transition: Transition) -> None:
        """Count, unless the budget was gone.

        Raises:
            InputError: a reward outside 0 to 1.
        """
        row = _learn(
            self.pulls,
            self.reward,
            self.cost,
            self.upper,
            self.lower,
            self.ties,
            self.gamma,
            transition.observation["budget"],
            transition.slates,
            transition.reward,
            transition.next_observation["cost"],
        )
        if row >= 0:
            raise out_of_range(row, transition.reward, (0.0, 1.0))


@njit(cache=True)
def best_mix(upper: Floats, lower: Floats, per_round: float) -> tuple[int, int, float]:
    """The solution of the programme for one row (N,): an arm, another one, and the probability of the other.

    The cheapest point must cost no more than `per_round`: waiting is free.
    """
    N = len(upper)
    at = 0
    for a in range(1, N):
        if lower[a] < lower[at] or (lower[a] == lower[at] and upper[a] > upper[at]):
            at = a
    while True:
        to, steepest = -1, 0.0
        for a in range(N):
            if lower[a] > lower[at]:
                slope = (upper[a] - upper[at]) / (lower[a] - lower[at])
                if slope > steepest:
                    to, steepest = a, slope
        if to < 0:
            return at, at, 0.0
        if lower[to] > per_round:
            return at, to, (per_round - lower[at]) / (lower[to] - lower[at])
        at = to


@njit(cache=True)
def draw_from_mix(upper: Floats, lower: Floats, per_round: float, u: Floats, slates: Ints) -> None:
    """Write one arm of the mix of every row into slates (B, 1)."""
    for b in range(len(upper)):
        one, other, weight = best_mix(upper[b], lower[b], per_round)
        slates[b, 0] = other if u[b] < weight else one


@njit(cache=True)
def _learn(
    pulls: Floats,
    total: Floats,
    spent: Floats,
    upper: Floats,
    lower: Floats,
    ties: Floats,
    gamma: float,
    budget: Ints,
    slates: Ints,
    reward: Floats,
    cost: Ints,
) -> int:
    """Returns the first row whose reward is out of range (nothing changes), or -1."""
    for b in range(len(slates)):
        if not 0.0 <= reward[b] <= 1.0:
            return b
    wait = pulls.shape[1] - 1
    for b in range(len(slates)):
        a = slates[b, 0]
        if budget[b] == 0 or a == wait:
            continue
        pulls[b, a] += 1.0
        total[b, a] += reward[b]
        spent[b, a] += cost[b]
        n = pulls[b, a]
        m, k = total[b, a] / n, spent[b, a] / n
        upper[b, a] = min(1.0, m + np.sqrt(gamma * m / (n + 1.0)) + gamma / (n + 1.0)) + ties[b, a]
        lower[b, a] = max(0.0, k - np.sqrt(gamma * k / (n + 1.0)) - gamma / (n + 1.0))
    return -1
