"""BubbleRank: begin with a given list, and exchange neighbours as clicks show which of two is better.

Every round, neighbours in the list are paired: slots (1,2), (3,4), ... in one round, (2,3), (4,5), ... in
the next. Unless the upper item i of a pair is known to be better than the lower one j, the two change
places with probability 1/2 in the list shown. If just one of them is clicked, s(i,j) goes up by one for a
click on i and down for one on j, and n(i,j) goes up by one; s(j,i) = -s(i,j). Item i is known to be better
than j if

    s(i,j) > 2 sqrt(n(i,j) log(1/delta)),      delta = T^-4,

and then they change places for good if j stands right above i. So the list shown differs from the list kept
by exchanges of disjoint neighbours alone: with V the number of pairs in the wrong order, V(shown) <=
V(first) + K/2 in all T rounds together with probability at least 1 - sqrt(delta) K^2 T. That is what makes
it safe. Which slots were examined need not be known: the learner uses `clicked` alone.

The paper re-ranks K items in K slots, and so does this learner where N = K. With more items than slots,
ours, the others wait below the list: the first in the queue is paired with the item of the last slot as if
it stood in a slot that nobody examines; once it is known to be worse than that item, the next one not known
to be takes its place.

Feedback: the clicked slots of the list.
Bound: N = K: E R(T) <= 180 K (theta_max / theta_min) (K - 1 + 2 V(first)) / Delta_min log(1/delta) +
    sqrt(delta) K^3 T^2, with theta the examination of the slots and Delta_min the smallest gap of
    attraction.
Source: Li, Kveton, Lattimore, Markov, de Rijke, Szepesvari, Zoghi, "BubbleRank: safe online learning to
    re-rank via implicit click feedback", UAI 2019, Algorithm 1, Theorem 1 and Lemma 1. Pairs, thresholds and
    delta were read in code of Gauthier and Gaudel's package `bandits_to_rank`; the theorem and the lemma
    are from memory. That code too lets items in from below, but drops for good one that is known to be
    worse than the last of the list, though others of the list may be worse than it; here it only waits.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.item_counts import check_slate_sizes
from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class BubbleRank:
    """One BubbleRank learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        slate_size: K, 1 to N.
        num_rounds: T, 2 or more. It learns on after T rounds, without the guarantee.
        initial: (K,) or (B, K) the list to begin with; by default each replicate draws one.

    Attributes:
        order: (B, N), the list kept, then the queue; -1 where nothing is drawn yet.
        lead: (B, N, N), s.
        clicks_apart: (B, N, N), n.

    Raises:
        InputError: a size out of range, or an initial list that is not of K distinct items.
    """

    def __init__(
        self,
        num_replicates: int,
        num_items: int,
        slate_size: int,
        num_rounds: int,
        *,
        initial: Ints | None = None,
    ) -> None:
        check_slate_sizes(num_replicates, num_items, slate_size, num_rounds)
        self.slate_size = slate_size
        self.log_certainty = 4.0 * math.log(num_rounds)  # log(1/delta)
        self.order = np.full((num_replicates, num_items), -1)
        if initial is not None:
            first = _checked(np.asarray(initial), num_replicates, num_items, slate_size)
            self.order[:, :slate_size] = first
        self.lead = np.zeros((num_replicates, num_items, num_items))
        self.clicks_apart = np.zeros((num_replicates, num_items, num_items))
        self.rounds = np.zeros(num_replicates, np.int64)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The list kept, with undecided neighbours exchanged by chance, (B, K)."""
        N, K = self.order.shape[1], self.slate_size
        if self.order[0, -1] < 0:  # nothing is drawn yet, for no replicate
            complete(self.order, luck.uniform("bubble_rank/first", (N,)))
        slates: Ints = exchange(
            self.order,
            self.lead,
            self.clicks_apart,
            self.rounds,
            self.log_certainty,
            luck.uniform("bubble_rank", ((K + 1) // 2,)),
            K,
        )
        return slates

    def update(self, transition: Transition) -> None:
        """Compare the clicks of the pairs, and exchange neighbours known to be in the wrong order."""
        compare(
            self.order,
            self.lead,
            self.clicks_apart,
            self.rounds,
            self.log_certainty,
            transition.slates,
            transition.clicked,
        )


def _checked(initial: Array, B: int, N: int, K: int) -> Ints:
    """The initial list as integers, (K,) or (B, K)."""
    if initial.shape not in ((K,), (B, K)):
        raise InputError(f"initial must have shape ({K},) or ({B}, {K}), got {initial.shape}")
    if initial.dtype.kind not in "iu":
        raise InputError(f"initial must hold items, whole numbers, got {initial.dtype}")
    if initial.min() < 0 or initial.max() >= N:
        raise InputError(f"initial must hold items 0-{N - 1}, got {initial.min()} to {initial.max()}")
    if (np.diff(np.sort(initial, axis=-1), axis=-1) == 0).any():
        raise InputError("initial must hold every item once at most, got one twice")
    return initial.astype(np.int64)


@njit(cache=True)
def complete(order: Ints, u: Floats) -> None:
    """Fill the places of order (B, N) that are -1 with the items that it lacks, in the order of u (B, N)."""
    B, N = order.shape
    for b in range(B):
        held = 0
        key = u[b].copy()
        while held < N and order[b, held] >= 0:
            key[order[b, held]] = -1.0
            held += 1
        by_key = np.argsort(key)
        for k in range(held, N):
            order[b, k] = by_key[k]


@njit(inline="always")
def _known(lead: Floats, clicks_apart: Floats, log_certainty: float, i: int, j: int) -> bool:
    """Whether item i is known to be better than item j."""
    return lead[i, j] > 2.0 * np.sqrt(clicks_apart[i, j] * log_certainty)


@njit(cache=True)
def exchange(
    order: Ints,
    lead: Floats,
    clicks_apart: Floats,
    rounds: Ints,
    log_certainty: float,
    u: Floats,
    K: int,
) -> Ints:
    """The lists to show (B, K); u (B, (K + 1) // 2) exchanges pairs below 1/2."""
    B, N = order.shape
    slates = np.empty((B, K), np.int64)
    for b in range(B):
        for k in range(K):
            slates[b, k] = order[b, k]
        h = (rounds[b] + 1) % 2  # the paper's t begins at 1
        for k in range(h, min(K, N - 1), 2):
            i, j = order[b, k], order[b, k + 1]
            if u[b, (k - h) // 2] < 0.5 and not _known(lead[b], clicks_apart[b], log_certainty, i, j):
                slates[b, k] = j
                if k + 1 < K:
                    slates[b, k + 1] = i
    return slates


@njit(cache=True)
def compare(
    order: Ints,
    lead: Floats,
    clicks_apart: Floats,
    rounds: Ints,
    log_certainty: float,
    slates: Ints,
    clicked: Bools,
) -> None:
    """Add one round of every row, and mend its list."""
    B, K = slates.shape
    N = order.shape[1]
    for b in range(B):
        rounds[b] += 1
        h = rounds[b] % 2
        for k in range(h, min(K, N - 1), 2):
            i = slates[b, k]
            j = order[b, k + 1] if i == order[b, k] else order[b, k]
            below = k + 1 < K and clicked[b, k + 1]
            if clicked[b, k] != below:
                won = 1.0 if clicked[b, k] else -1.0
                lead[b, i, j] += won
                lead[b, j, i] -= won
                clicks_apart[b, i, j] += 1.0
                clicks_apart[b, j, i] += 1.0
        for k in range(min(K, N - 1)):
            i, j = order[b, k], order[b, k + 1]
            if _known(lead[b], clicks_apart[b], log_certainty, j, i):
                order[b, k], order[b, k + 1] = j, i
        if K < N and _known(lead[b], clicks_apart[b], log_certainty, order[b, K - 1], order[b, K]):
            for k in range(K + 1, N):
                if not _known(lead[b], clicks_apart[b], log_certainty, order[b, K - 1], order[b, k]):
                    next_one = order[b, k]  # to the head of the queue, which moves back by one
                    for m in range(k, K, -1):
                        order[b, m] = order[b, m - 1]
                    order[b, K] = next_one
                    break


def regret_bound(
    rounds: Ints | Floats, *, attraction: Floats, examination: Floats, wrong_pairs: int, num_rounds: int
) -> Floats:
    """(P,) the bound on expected regret with N = K. From memory of Theorem 1, not verified in a source.

    Args:
        rounds: (P,) from 1 to T.
        attraction: (K,) a.
        examination: (K,) theta of the slots, above 0.
        wrong_pairs: V(first), pairs in the wrong order in the first list.
        num_rounds: T, that the learner was made for.

    Raises:
        InputError: two items of equal attraction (a gap of zero), or a slot that nobody examines.
    """
    t = np.asarray(rounds, np.float64)
    a, theta = np.sort(np.asarray(attraction, np.float64)), np.asarray(examination, np.float64)
    K = len(a)
    gap = float(np.diff(a).min(initial=np.inf))
    if gap <= 0.0:
        raise InputError(f"attraction must tell all items apart, got a gap of {gap}")
    if not theta.min() > 0.0:
        raise InputError(f"examination must be above 0 for this bound, got {theta.min()}")
    spread = theta.max() / theta.min()
    learning = 180.0 * K * spread * (K - 1 + 2 * wrong_pairs) / gap * 4.0 * math.log(num_rounds)
    return np.asarray(learning + K**3 * (t / num_rounds) ** 2)
