"""TopRank: a partial order of the items, grown by comparing clicks, and random lists that respect it.

G holds the pairs (j, i) of which it is known that i is better than j. Every round the items are divided into
blocks: P_1 are those that no item is known to be better than, P_2 those of the rest that no item of the
rest is, and so on. The list shows P_1 in uniformly random order, then P_2 in random order, and so on, cut
at K. With C_t(i) = 1 if item i was shown and clicked, else 0, for i and j in one block,

    U_t(i,j) = C_t(i) - C_t(j),      S(i,j) = sum of U_t(i,j),      N(i,j) = sum of |U_t(i,j)|,

and (j, i) joins G as soon as N(i,j) > 0 and

    S(i,j) >= sqrt(2 N(i,j) log(c sqrt(N(i,j)) / delta)),    c = 4 sqrt(2/pi) / erf(sqrt 2),    delta = 1/T.

Random order within a block makes the comparison fair whatever the slots are worth, so neither the click
model nor which slots were examined need be known: the learner uses `clicked` alone.

With probability at least 1 - delta N^2, G never contradicts the attractions, and then it has no cycle.
Should one arise, nothing is said of the items on it and behind it: they share the last block.

Feedback: the clicked slots of the list.
Bound: E R(T) <= delta T K N^2 + sum over items j and better items i, the best K at most, of
    1 + 6 (a_i + a_j) log(c sqrt T / delta) / (a_i - a_j); and
    E R(T) <= delta T K N^2 + K N + sqrt(4 K^3 N T log(c sqrt T / delta)).
Source: Lattimore, Kveton, Li, Szepesvari, "TopRank: a practical algorithm for online stochastic ranking",
    NeurIPS 2018, Algorithm 1 and Theorem 1. Update, threshold and the gap-dependent bound were read in
    Lattimore and Szepesvari, "Bandit algorithms", 2020, section 32.3; c as in the code
    published by Gauthier and Gaudel with their ICML 2021 paper, which rounds it to 3.43 where the formula
    gives 3.34.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.item_counts import check_slate_sizes
from recsim_env.arrays import Array, Bools, Floats, Ints

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck

C = 4.0 * math.sqrt(2.0 / math.pi) / math.erf(math.sqrt(2.0))


class TopRank:
    """One TopRank learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        slate_size: K, 1 to N.
        num_rounds: T, 2 or more: delta is 1/T. It learns on after T rounds, without the guarantee.

    Attributes:
        better: (B, N, N), whether item i, the second axis, is known to be better than item j, the third.
        block: (B, N), the block of each item, from 0.
        lead: (B, N, N), S.
        clicks_apart: (B, N, N), N of the docstring above.

    Raises:
        InputError: a size out of range.
    """

    def __init__(self, num_replicates: int, num_items: int, slate_size: int, num_rounds: int) -> None:
        check_slate_sizes(num_replicates, num_items, slate_size, num_rounds)
        self.slate_size = slate_size
        self.log_scale = math.log(C * num_rounds)  # log(c / delta)
        self.better = np.zeros((num_replicates, num_items, num_items), np.bool_)
        self.block = np.zeros((num_replicates, num_items), np.int64)
        self.lead = np.zeros((num_replicates, num_items, num_items))
        self.clicks_apart = np.zeros((num_replicates, num_items, num_items))

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The blocks in order, each in random order, cut at K: (B, K)."""
        slates: Ints = by_block(self.block, luck.uniform("top_rank", self.block.shape[1:]), self.slate_size)
        return slates

    def update(self, transition: Transition) -> None:
        """Compare every clicked item with every other of its block that was not clicked."""
        compare(
            self.lead,
            self.clicks_apart,
            self.better,
            self.block,
            self.log_scale,
            transition.slates,
            transition.clicked,
        )


@njit(cache=True)
def by_block(block: Ints, u: Floats, K: int) -> Ints:
    """The K items of lowest block, ties by u, in this order: (B, K)."""
    B, N = block.shape
    slates = np.empty((B, K), np.int64)
    key = np.empty(N)
    for b in range(B):
        filled = 0
        for i in range(N):
            key[i] = block[b, i] + u[b, i]
            if filled == K and key[i] >= key[slates[b, K - 1]]:
                continue
            k = min(filled, K - 1)
            while k > 0 and key[slates[b, k - 1]] > key[i]:
                slates[b, k] = slates[b, k - 1]
                k -= 1
            slates[b, k] = i
            filled = min(filled + 1, K)
    return slates


@njit(cache=True)
def compare(
    lead: Floats,
    clicks_apart: Floats,
    better: Bools,
    block: Ints,
    log_scale: float,
    slates: Ints,
    clicked: Bools,
) -> None:
    """Add one round of every row to S, N and G, and divide the items anew where G has grown."""
    B, K = slates.shape
    N = block.shape[1]
    mine = np.empty(N, np.bool_)
    for b in range(B):
        mine[:] = False
        for k in range(K):
            mine[slates[b, k]] = clicked[b, k]
        grown = False
        for k in range(K):
            if not clicked[b, k]:
                continue
            i = slates[b, k]
            for j in range(N):
                if mine[j] or block[b, j] != block[b, i]:
                    continue
                lead[b, i, j] += 1.0
                lead[b, j, i] -= 1.0
                apart = clicks_apart[b, i, j] + 1.0
                clicks_apart[b, i, j] = apart
                clicks_apart[b, j, i] = apart
                # S(j,i) has fallen and its threshold risen: only (j, i) can be new
                if lead[b, i, j] >= np.sqrt(2.0 * apart * (log_scale + 0.5 * np.log(apart))):
                    better[b, i, j] = True
                    grown = True
        if grown:
            _divide(better[b], block[b])


@njit(cache=True)
def _divide(better: Bools, block: Ints) -> None:
    """Write the block of each item (N,) by peeling off those that no remaining item is better than."""
    N = len(block)
    block[:] = N  # no block yet
    placed, d = 0, 0
    while placed < N:
        before = placed
        for j in range(N):
            if block[j] < N:
                continue
            beaten = False
            for i in range(N):
                # items placed in this very pass are still part of the rest
                beaten |= better[i, j] and block[i] >= d
            if not beaten:
                block[j] = d
                placed += 1
        if placed == before:  # a cycle
            for j in range(N):
                if block[j] == N:
                    block[j] = d
            return
        d += 1


def regret_bound(rounds: Ints | Floats, *, attraction: Floats, slate_size: int, num_rounds: int) -> Floats:
    """(P,) the smaller of the two bounds on expected regret after `rounds` rounds, with delta = 1/T.

    The first and its constants were read in section 32.3 of "Bandit algorithms" (see Source above), of the
    second the terms K N and delta T K N^2 are from memory. A gap of zero makes the first infinite; the second
    holds for any attractions.

    Args:
        rounds: (P,) from 1 to T.
        attraction: (N,) a.
        slate_size: K.
        num_rounds: T, that the learner was made for.
    """
    t = np.asarray(rounds, np.float64)
    a = -np.sort(-np.asarray(attraction, np.float64))
    N, K = len(a), slate_size
    log_term = np.log(C * np.sqrt(t) * num_rounds)
    i, j = np.nonzero(np.arange(N)[:, None] < np.arange(N))
    i, j = i[i < K], j[i < K]
    with np.errstate(divide="ignore"):
        by_gaps = len(i) + 6.0 * log_term * ((a[i] + a[j]) / (a[i] - a[j])).sum()
    free = K * N + np.sqrt(4.0 * K**3 * N * t * log_term)
    return np.asarray(K * N**2 * t / num_rounds + np.minimum(by_gaps, free))
