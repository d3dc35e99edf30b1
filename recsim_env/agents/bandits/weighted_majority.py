"""Weighted majority: predict what experts of more weight predict, and trust those less who were wrong.

    w_t(a) = (1 - epsilon)^(mistakes of expert a before round t),
    predict 1 if the experts who say 1 weigh more than those who say 0, else 0.

A vote that is exactly even is decided by a coin. An action here is an expert, so the learner follows the one
of most weight among those on the side that won, which is the same prediction. epsilon = 1 is the majority
vote among the experts who erred least: where one of them never errs, those who never erred, and every mistake
halves them.

The learner is deterministic, and who knows it can make it err in every round while the best expert errs in
half of them: the factor 2 before the cost of the best expert needs coins to be any smaller (`hedge.py`).

Why the bound holds: a mistake takes away epsilon / 2 of all weight at least, so that after M mistakes

    (1 - epsilon)^cost* <= sum_a w(a) <= N (1 - epsilon / 2)^M,

of which take logarithms, with x <= -ln(1 - x) <= x / (1 - x).

Feedback: full: predictions before, the costs of all experts after, `predictions` and `costs` of observations.
Bound: mistakes <= 2 / (1 - epsilon) cost* + (2 / epsilon) ln N, where cost* is the mistakes of the best
    expert; log2 N with epsilon = 1 and a perfect expert.
Source: Littlestone, Warmuth, "The weighted majority algorithm", Information and Computation 108, 1994; the
    form and the bound of Slivkins, "Introduction to multi-armed bandits", 2019, chapter 5 (derived above).
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import check_sizes
from recsim_env.agents.bandits.hedge import add_costs
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class WeightedMajority:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        epsilon: the share of its weight that a mistake costs an expert, in (0, 1].

    Attributes:
        costs: (B, N) mistakes so far.
        rounds: (B,).

    Raises:
        InputError: a size below its least value, epsilon out of range.
    """

    def __init__(self, num_replicates: int, num_items: int, *, epsilon: float = 0.5) -> None:
        check_sizes(num_replicates, num_items)
        if not 0.0 < epsilon <= 1.0:
            raise InputError(f"epsilon must be above 0 and at most 1, got {epsilon}")
        self.keep = 1.0 - epsilon
        self.costs = np.zeros((num_replicates, num_items))
        self.rounds = np.zeros(num_replicates)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """An expert on the side that wins the vote, (B, 1)."""
        coin = luck.uniform("weighted_majority")
        slates: Ints = vote(self.costs, self.keep, observation["predictions"], coin)
        return slates

    def update(self, transition: Transition) -> None:
        """Count the mistakes of all experts.

        Raises:
            InputError: a cost outside 0 to 1.
        """
        costs = transition.next_observation["costs"]
        row = add_costs(costs, self.costs, self.rounds)
        if row >= 0:
            raise InputError(f"costs[{row}] must be from 0 to 1, got {costs[row]}")


@njit(cache=True)
def vote(costs: Floats, keep: float, predictions: Array, coin: Floats) -> Ints:
    """Slates (B, 1): the first expert of least cost on the side that wins; any there predicts the same."""
    B, N = costs.shape
    slates = np.empty((B, 1), np.int64)
    for b in range(B):
        least = costs[b, 0]
        for a in range(1, N):
            least = min(least, costs[b, a])
        balance = 0.0  # the weight of those who say 1 less that of those who say 0
        for a in range(N):
            weight = keep ** (costs[b, a] - least)  # 0^0 = 1: where keep is 0, only who erred least votes
            balance += weight if predictions[b, a] > 0 else -weight
        says_one = balance > 0.0 or (balance == 0.0 and coin[b] < 0.5)
        chosen = -1
        for a in range(N):
            trusted_more = chosen < 0 or costs[b, a] < costs[b, chosen]
            if (predictions[b, a] > 0) == says_one and trusted_more:
                chosen = a
        slates[b, 0] = chosen
    return slates


def regret_bound(rounds: Ints | Floats, *, num_items: int, best_cost: Floats, epsilon: float = 0.5) -> Floats:
    """(P,) of mistakes less those of the best expert, after `rounds` (P,); never more than rounds.

    `best_cost` (P,) are the mistakes of the best expert after as many rounds. The constants are derived in
    the module; they hold for every run, without expectation.
    """
    cost = np.asarray(best_cost, np.float64)
    if epsilon == 1.0:
        bound = np.where(cost == 0.0, np.log2(num_items), np.inf)
    else:
        bound = (2.0 / (1.0 - epsilon) - 1.0) * cost + 2.0 / epsilon * np.log(num_items)
    return np.asarray(np.minimum(bound, rounds))
