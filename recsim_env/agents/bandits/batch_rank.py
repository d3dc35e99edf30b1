"""BatchRank: batches of items and slots that are tried fairly, and split where their clicks come apart.

A batch b is a run of slots and the items that compete for them; the first has all K slots and all N items.
A batch goes through stages l = 0, 1, ...; every stage counts anew. In each round a batch shows its least
shown items, ties by chance, in random order over its slots, and counts clicks and showings of those shown
least. When every item has

    n_l = ceil(16 Delta_l^-2 log T),      Delta_l = 2^-l

showings, the item i with c clicks has confidence limits L(i) <= c / n_l <= U(i), the lowest and highest q
with

    n_l KL(c / n_l || q) <= log T + 3 log log T.

Let the items stand in descending order of L. If L of the k-th exceeds the U of all behind it for some k <
the number of slots, the batch is split at the last such k: the first k items get the first k slots, all
others the rest, both from stage 0. If not, the items with U below the L of the last that has a slot are
eliminated, and stage l + 1 begins.

Which slots were examined need not be known: the learner uses `clicked` alone.

Feedback: the clicked slots of the list.
Bound: E R(T) <= 192 K^3 N log T / ((1 - a_max) Delta_min) + 4 K N (3 e + K), with Delta_min the smallest of
    the gaps between the k-th and the next most attractive item, k = 1 to K.
Source: Zoghi, Tunys, Ghavamzadeh, Kveton, Szepesvari, Wen, "Online learning to rank in stochastic click
    models", ICML 2017, Algorithms 1-4 and Theorem 1. n_l, the confidence limits and the split were read in
    code of rishabbala on GitHub (`Online-Learning-to-Rank-for-Stochastic-Click-Models`, BatchRank); the
    theorem is from memory. There a batch with no more items than slots never leaves a stage that does not
    split it; here, as the analysis needs, it does.
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

HALVINGS = 50  # of the interval in which a confidence limit is looked for


class BatchRank:
    """One BatchRank learner per row. A batch is named by its first slot.

    Args:
        num_replicates: B.
        num_items: N.
        slate_size: K, 1 to N.
        num_rounds: T, 2 or more. It learns on after T rounds, without the guarantee.

    Attributes:
        batch_of_slot: (B, K).
        batch_of_item: (B, N), -1 for an item that was eliminated.
        stage: (B, K), l of the batch that begins at a slot.
        showings: (B, N), of an item in this stage of its batch.
        clicks: (B, N), the same.

    Raises:
        InputError: a size out of range.
    """

    def __init__(self, num_replicates: int, num_items: int, slate_size: int, num_rounds: int) -> None:
        check_slate_sizes(num_replicates, num_items, slate_size, num_rounds)
        log_T = math.log(num_rounds)
        self.log_rounds = log_T
        self.budget = log_T + 3.0 * math.log(max(log_T, 1.0))
        self.batch_of_slot = np.zeros((num_replicates, slate_size), np.int64)
        self.batch_of_item = np.zeros((num_replicates, num_items), np.int64)
        self.stage = np.zeros((num_replicates, slate_size), np.int64)
        self.showings = np.zeros((num_replicates, num_items))
        self.clicks = np.zeros((num_replicates, num_items))

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """Every batch's least shown items in random order over its slots, (B, K)."""
        N, K = self.batch_of_item.shape[1], self.batch_of_slot.shape[1]
        slates: Ints = display(
            self.batch_of_slot, self.batch_of_item, self.showings, luck.uniform("batch_rank", (N + K,))
        )
        return slates

    def update(self, transition: Transition) -> None:
        """Count, and at the end of a batch's stage split or eliminate."""
        collect(
            self.batch_of_slot,
            self.batch_of_item,
            self.stage,
            self.showings,
            self.clicks,
            self.log_rounds,
            self.budget,
            transition.slates,
            transition.clicked,
        )


@njit(cache=True)
def display(batch_of_slot: Ints, batch_of_item: Ints, showings: Floats, u: Floats) -> Ints:
    """The slates (B, K); u (B, N + K) orders equally shown items, then the slots of a batch."""
    B, K = batch_of_slot.shape
    N = batch_of_item.shape[1]
    slates = np.empty((B, K), np.int64)
    for b in range(B):
        first = 0
        while first < K:
            end = first
            while end < K and batch_of_slot[b, end] == first:
                end += 1
            filled = first  # the least shown items of the batch go to slots first .. end - 1
            for i in range(N):
                if batch_of_item[b, i] != first:
                    continue
                k = filled
                if filled == end:
                    k = end - 1
                    if not _before(showings[b], u[b], i, slates[b, k]):
                        continue
                while k > first and _before(showings[b], u[b], i, slates[b, k - 1]):
                    slates[b, k] = slates[b, k - 1]
                    k -= 1
                slates[b, k] = i
                filled = min(filled + 1, end)
            for k in range(end - 1, first, -1):  # shuffle them (Fisher and Yates)
                other = first + int(u[b, N + k] * (k - first + 1))
                slates[b, k], slates[b, other] = slates[b, other], slates[b, k]
            first = end
    return slates


@njit(inline="always")
def _before(showings: Floats, u: Floats, i: int, j: int) -> bool:
    """Whether item i comes before item j: less shown, or as often and drawn before it."""
    return showings[i] < showings[j] or (showings[i] == showings[j] and u[i] < u[j])


@njit(cache=True)
def collect(
    batch_of_slot: Ints,
    batch_of_item: Ints,
    stage: Ints,
    showings: Floats,
    clicks: Floats,
    log_rounds: float,
    budget: float,
    slates: Ints,
    clicked: Bools,
) -> None:
    """Add one round of every row, and end the stages that are over."""
    B, K = slates.shape
    N = batch_of_item.shape[1]
    for b in range(B):
        first = 0
        while first < K:
            end = first
            while end < K and batch_of_slot[b, end] == first:
                end += 1
            size, least = 0, np.inf
            for i in range(N):
                if batch_of_item[b, i] == first:
                    size += 1
                    least = min(least, showings[b, i])
            if size > 1:  # an item alone has its slot for good
                for k in range(first, end):
                    i = slates[b, k]
                    if showings[b, i] == least:
                        showings[b, i] += 1.0
                        clicks[b, i] += clicked[b, k]
                least = np.inf
                for i in range(N):
                    if batch_of_item[b, i] == first:
                        least = min(least, showings[b, i])
                needed = np.ceil(16.0 * 4.0 ** stage[b, first] * log_rounds)
                if least >= needed:
                    _end_stage(
                        batch_of_slot[b],
                        batch_of_item[b],
                        stage[b],
                        showings[b],
                        clicks[b],
                        needed,
                        budget,
                        first,
                        end,
                        size,
                    )
            first = end


@njit(cache=True)
def _end_stage(
    batch_of_slot: Ints,
    batch_of_item: Ints,
    stage: Ints,
    showings: Floats,
    clicks: Floats,
    n: float,
    budget: float,
    first: int,
    end: int,
    size: int,
) -> None:
    """Split a batch of one row, slots first to end - 1, or begin its next stage with what remains."""
    N = len(batch_of_item)
    items, low, high = np.empty(size, np.int64), np.empty(size), np.empty(size)
    filled = 0
    for i in range(N):  # by descending L
        if batch_of_item[i] != first:
            continue
        mean = clicks[i] / n
        lower, upper = _limit(mean, 0.0, budget / n), _limit(mean, 1.0, budget / n)
        k = filled
        while k > 0 and low[k - 1] < lower:
            items[k], low[k], high[k] = items[k - 1], low[k - 1], high[k - 1]
            k -= 1
        items[k], low[k], high[k] = i, lower, upper
        filled += 1
    split, highest = 0, -1.0  # of the U behind
    for k in range(size - 1, 0, -1):
        highest = max(highest, high[k])
        if k < end - first and low[k - 1] > highest:
            split = k
            break
    for k in range(size):
        showings[items[k]] = 0.0
        clicks[items[k]] = 0.0
    if split > 0:
        stage[first] = 0
        stage[first + split] = 0
        batch_of_slot[first + split : end] = first + split
        for k in range(split, size):
            batch_of_item[items[k]] = first + split
        return
    stage[first] += 1
    last = low[end - first - 1]
    for k in range(size):
        if high[k] < last:
            batch_of_item[items[k]] = -1


@njit(cache=True)
def _limit(mean: float, far: float, budget: float) -> float:
    """The q from the mean towards `far` (0 or 1) at which KL(mean || q) reaches the budget, by halving."""
    near = mean
    for _ in range(HALVINGS):
        q = 0.5 * (near + far)
        divergence = 0.0
        if mean > 0.0:
            divergence += mean * np.log(mean / q)
        if mean < 1.0:
            divergence += (1.0 - mean) * np.log((1.0 - mean) / (1.0 - q))
        if divergence <= budget:
            near = q
        else:
            far = q
    return near


def regret_bound(rounds: Ints | Floats, *, attraction: Floats, slate_size: int, num_rounds: int) -> Floats:
    """(P,) the bound on expected regret after T rounds, at each of `rounds`: before T it holds all the more.

    From memory of Theorem 1, not verified in a source.

    Args:
        rounds: (P,) from 1 to T.
        attraction: (N,) a.
        slate_size: K.
        num_rounds: T, that the learner was made for.

    Raises:
        InputError: a gap of zero among the best K items and the next, or an item that surely attracts.
    """
    a = -np.sort(-np.asarray(attraction, np.float64))
    N, K = len(a), slate_size
    gap = float((a[:-1] - a[1:])[:K].min())
    if gap <= 0.0:
        raise InputError(f"attraction must tell the best {K} items and the next apart, got a gap of {gap}")
    if a[0] >= 1.0:
        raise InputError(f"attraction must be below 1 for this bound, got {a[0]}")
    stages = 192.0 * K**3 * N * math.log(num_rounds) / ((1.0 - a[0]) * gap)
    return np.full(np.shape(rounds), stages + 4.0 * K * N * (3.0 * math.e + K))
