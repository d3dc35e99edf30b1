"""Semi-bandit Hedge: exponential weights over the shares of the items, for any sequence of rewards.

Losses are l_t(e) = 1 - reward of item e. With L(e) the sum of the estimated losses so far, the agent shows
item e with probability p_t(e), where p_t is the point of {0 <= p <= 1, sum p = K} that minimises

    eta <p, L> + sum_e (p(e) log p(e) - p(e)),      that is      p_t(e) = min(1, c exp(-eta L(e)))

with c such that they sum to K. A slate with exactly these inclusion probabilities is drawn by systematic
sampling: lay the p_t(e) end to end on [0, K], draw u in [0, 1), and show the items in which u, u + 1, ...,
u + K - 1 fall; no item is longer than 1, so none is hit twice. Every slot shown gives feedback, and

    lhat_t(e) = l_t(e) 1{e shown} / p_t(e)

is unbiased, whatever the dependence between slots. Only the p_t enter expected regret, so no joint
distribution over the N-choose-K slates is needed, and no exploration is mixed in.

The bound, in full: follow-the-regularised-leader pays the range of the regulariser, K log(N/K), over eta, and
in each round at most sum_e p (exp(-eta lhat) - 1 + eta lhat) / eta <= eta/2 sum_e p lhat^2, whose expectation
is eta/2 sum_e l^2 <= eta N / 2. With eta = sqrt(2 K log(N/K) / (N n)) the sum is the bound below.

Feedback: semi-bandit, a click or none in every slot shown.
Bound: E R(n) <= K log(N/K) / eta + eta N n / 2 = sqrt(2 K N n log(N/K)), against the best fixed slate.
Source: Audibert, Bubeck, Lugosi, "Regret in online combinatorial optimization", Mathematics of Operations
    Research 39, 2014 (mirror descent with the negative entropy; theirs projects in every round, this is the
    lazy form; constants by the derivation above); Slivkins, "Introduction to multi-armed bandits", chapter 7,
    reaches a weaker bound with Hedge over all slates. Uchiya, Nakamura, Kudo, "Algorithms for adversarial
    bandit problems with multiple plays", ALT 2010 (Exp3.M), mixes in exploration, with 2.63 for sqrt 2 (from
    memory).
    Systematic sampling: Madow, Annals of Mathematical Statistics 20, 1949.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.item_counts import check_slate_sizes
from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class SemiBanditHedge:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        slate_size: K.
        num_rounds: n, the number of slates that the learning rate is chosen for.

    Attributes:
        losses: (B, N) L.
        inclusion: (B, N) p of the last slate.

    Raises:
        InputError: no replicates, no items, more slots than items, or no rounds.
    """

    def __init__(self, num_replicates: int, num_items: int, slate_size: int, num_rounds: int) -> None:
        check_slate_sizes(num_replicates, num_items, slate_size)
        if not num_rounds >= 1:
            raise InputError(f"num_rounds must be at least 1, got {num_rounds}")
        self.slate_size = slate_size
        self.learning_rate = learning_rate(num_items, slate_size, num_rounds)
        self.losses = np.zeros((num_replicates, num_items))
        self.inclusion = np.full((num_replicates, num_items), slate_size / num_items)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """A slate with inclusion probabilities p, (B, K)."""
        inclusion_probabilities(self.losses, self.learning_rate, self.slate_size, self.inclusion)
        slates: Ints = systematic_sample(self.inclusion, luck.uniform("semi_bandit_hedge"), self.slate_size)
        return slates

    def update(self, transition: Transition) -> None:
        """Add the estimated losses of what was shown."""
        _add_losses(self.losses, self.inclusion, transition.slates, transition.clicked, transition.examined)


def learning_rate(num_items: int, slate_size: int, num_rounds: int) -> float:
    """Eta = sqrt(2 K log(N/K) / (N n)), 0 where all items are shown."""
    return float(np.sqrt(2.0 * slate_size * np.log(num_items / slate_size) / (num_items * num_rounds)))


def regret_bound(rounds: Ints | Floats, *, num_items: int, slate_size: int, num_rounds: int) -> Floats:
    """(P,) the bound at each of these numbers of rounds, derived in the module.

    Args:
        rounds: (P,) n.
        num_items: N.
        slate_size: K.
        num_rounds: that the learning rate was chosen for.
    """
    n = np.asarray(rounds, np.float64)
    eta = learning_rate(num_items, slate_size, num_rounds)
    if eta == 0.0:
        return np.zeros_like(n)
    return slate_size * np.log(num_items / slate_size) / eta + eta * num_items * n / 2.0


@njit(cache=True)
def inclusion_probabilities(losses: Floats, eta: float, K: int, inclusion: Floats) -> None:
    """Write p(e) = min(1, c exp(-eta L(e))), summing to K in every row, into inclusion (B, N).

    With the items by increasing L, let S_j be the sum of exp(-eta (L_i - L_j)) over i >= j. If the first j
    are shown for sure, item j has the chance (K - j) / S_j; so j is the first for which that is at most 1.
    """
    B, N = losses.shape
    first = np.empty(K, np.int64)  # the K items of least loss, least first
    total = np.empty(K)  # S
    for b in range(B):
        L = losses[b]
        filled = 0
        for e in range(N):
            if filled == K and L[e] >= L[first[K - 1]]:
                continue
            k = min(filled, K - 1)
            while k > 0 and L[first[k - 1]] > L[e]:
                first[k] = first[k - 1]
                k -= 1
            first[k] = e
            filled = min(filled + 1, K)
        last = L[first[K - 1]]
        for e in range(N):
            inclusion[b, e] = np.exp(-eta * max(L[e] - last, 0.0))
        for k in range(K):
            inclusion[b, first[k]] = 0.0  # written below
        total[K - 1] = 1.0
        for e in range(N):
            total[K - 1] += inclusion[b, e]
        for k in range(K - 2, -1, -1):
            total[k] = 1.0 + np.exp(-eta * (L[first[k + 1]] - L[first[k]])) * total[k + 1]
        sure = 0
        while K - sure > total[sure]:
            sure += 1
        scale = (K - sure) / total[sure]  # the chance of an item with the loss of item `sure`
        shrink = np.exp(-eta * (last - L[first[sure]]))
        for e in range(N):
            inclusion[b, e] *= scale * shrink
        for k in range(K):
            inclusion[b, first[k]] = (
                1.0 if k < sure else scale * np.exp(-eta * (L[first[k]] - L[first[sure]]))
            )


@njit(cache=True)
def systematic_sample(inclusion: Floats, u: Floats, K: int) -> Ints:
    """(B, K) items in which u, u + 1, ..., u + K - 1 fall when inclusion (B, N), of sum K, lie end to end."""
    B, N = inclusion.shape
    slates = np.empty((B, K), np.int64)
    for b in range(B):
        end, k = 0.0, 0
        for e in range(N):
            end += inclusion[b, e]
            if k < K and inclusion[b, e] > 0.0 and u[b] + k < end:
                slates[b, k] = e
                k += 1
        e = N - 1
        while k < K:  # rounding left the sum short of u + K - 1: the last item that can still be shown is
            if inclusion[b, e] > 0.0 and not (slates[b, :k] == e).any():
                slates[b, k] = e
                k += 1
            e -= 1
    return slates


@njit(cache=True)
def _add_losses(losses: Floats, inclusion: Floats, slates: Ints, clicked: Bools, examined: Bools) -> None:
    B, K = slates.shape
    for b in range(B):
        for k in range(K):
            if examined[b, k] and not clicked[b, k]:
                losses[b, slates[b, k]] += 1.0 / inclusion[b, slates[b, k]]
