"""Robust UCB by trimmed means: an upper confidence bound that leaves out the ends of what it was told.

In round t, with n_a pulls of arm a and g = floor(alpha n_a), the g least and the g largest rewards of an arm
are left out,

    U_t(a) = mean of the n_a - 2 g others + sigma / (1 - 2 alpha) sqrt(c log t / n_a),

infinite for an arm with less than `first` pulls; rewards are sigma-sub-Gaussian. As long as no more than a
share alpha of the rewards of an arm is corrupted, whatever they are, the mean is one of numbers that lie
between honest ones. With alpha = 0 and c = 8 it is UCB1.

That is a promise about shares, where `median_of_means_ucb.py` has a number of corruptions and
`corruption_robust_ucb.py` their sum. Of less than 1 / alpha pulls nothing is left out, and an arm that looks
bad is not pulled so often: an attacker who spoils its first reward has won, as against UCB1. So the paper's
learner, first = 1, withstands contamination, not an attack on first rewards; first = 50 makes that dearer.
An attacker who corrupts every pull moves a trimmed mean as he moves a mean.

The trimmed mean is exact at every pull. The rewards of an arm stand in order, in blocks of up to `BLOCK`,
which are halved when full, so a pull costs a shift in one block and a walk over n / BLOCK sums of blocks, and
the memory is 8 to 16 bytes for a round: .7 GB for 1,000 replicates of 50,000 rounds.

Feedback: the reward of the arm pulled, some of them possibly corrupted.
Bound: none here; the paper's is E R(T) = O(sqrt(N T log T)), for alpha small beside the gaps.
Source: Niss, Tewari, "What you see may not be what you get: UCB bandit algorithms robust to
    epsilon-contamination", UAI 2020: crUCB with the trimmed mean; its abstract was read, the index with c = 4
    is from memory.
Ours: the term of the paper's index for the bias of a trimmed mean is left out, since it is the same for all
    arms and orders nothing (from memory as well); first.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import ArmCounts
from recsim_env.agents.bandits.ties import UNSEEN
from recsim_env.agents.bandits.ucb1 import highest_bound
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, check_ranges

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck

BLOCK = 256  # rewards that stand together


class TrimmedMeanUCB:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        trimmed: alpha, the share that is left out at either end, 0 or more and below 1/2.
        exploration: c, above 0.
        deviation: None for rewards from 0 to 1; else sigma of rewards that can be any number.
        first: pulls that every arm has before any is judged, at least 1.

    Attributes:
        rewards: (B, M, BLOCK) of M blocks, each in order.
        order: (B, N, M) the blocks of an arm, that of its least rewards first.
        held: (B, N, M) rewards in each of them.
        sums: (B, N, M) of these rewards.
        tops: (B, N, M) the largest of them.
        blocks: (B, N) how many an arm has.

    Raises:
        InputError: a size below its least value, a share that is not in its range, an exploration or
            deviation that is not above 0.
    """

    def __init__(
        self,
        num_replicates: int,
        num_items: int,
        trimmed: float = 0.1,
        exploration: float = 4.0,
        deviation: float | None = None,
        first: int = 1,
    ) -> None:
        if not 0.0 <= trimmed < 0.5:
            raise InputError(f"trimmed must be 0 or more and below 1/2, got {trimmed}")
        sigma = 0.5 if deviation is None else deviation
        check_ranges({"first": first}, {}, {"exploration": exploration, "deviation": sigma})
        everything = (0.0, 1.0) if deviation is None else (-np.inf, np.inf)
        self.counts = ArmCounts(num_replicates, num_items, everything)
        self.trimmed, self.first = float(trimmed), first
        self.width = exploration * (sigma / (1.0 - 2.0 * trimmed)) ** 2
        B, N = num_replicates, num_items
        self.rewards = np.empty((B, 2 * N, BLOCK))
        shape = B, N, 2 * N
        self.order, self.held = np.zeros((2, *shape), np.int64)
        self.sums, self.tops = np.zeros((2, *shape))
        self.order[:, :, 0] = np.arange(N)  # the first block of every arm
        self.blocks = np.ones((B, N), np.int64)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The arm of largest index, (B, 1)."""
        counts = self.counts
        counts.break_ties(luck, "trimmed_mean_ucb/ties")
        slates: Ints = highest_bound(counts.centres, counts.inverse_roots, counts.rounds, self.width)
        return slates

    def update(self, transition: Transition) -> None:
        """Count the pull, and bring the trimmed mean of its arm up to date.

        Raises:
            InputError: a reward outside the range, or that is no finite number.
        """
        reward = transition.reward
        if not np.isfinite(reward).all():
            row = int(np.flatnonzero(~np.isfinite(reward))[0])
            raise InputError(f"reward[{row}] = {reward[row]} is no finite number: nothing could be trimmed")
        counts = self.counts
        counts.update(transition)
        if self.blocks.sum(axis=1).max() == self.rewards.shape[1]:
            self._grow()
        tables = self.order, self.held, self.sums, self.tops, self.blocks, counts.centres
        given = transition.slates, reward, self.trimmed, self.first, counts.pulls, counts.ties
        insert(*given, self.rewards, *tables)

    def _grow(self) -> None:
        """Room for twice as many blocks."""
        for name in ("rewards", "order", "held", "sums", "tops"):
            old = getattr(self, name)
            shape = list(old.shape)
            shape[1 if name == "rewards" else 2] *= 2
            new = np.empty(shape, old.dtype)  # what is not written yet takes no memory
            new[tuple(slice(n) for n in old.shape)] = old
            setattr(self, name, new)


@njit(cache=True)
def insert(
    slates: Ints,
    reward: Floats,
    trimmed: float,
    first: int,
    pulls: Floats,
    ties: Floats,
    rewards: Floats,
    order: Ints,
    held: Ints,
    sums: Floats,
    tops: Floats,
    blocks: Ints,
    centres: Floats,
) -> None:
    """Put every reward where it belongs, halve a block that is full, write the trimmed mean."""
    for b in range(len(slates)):
        a, x = slates[b, 0], reward[b]
        last = blocks[b, a] - 1
        at = min(np.searchsorted(tops[b, a, : last + 1], x), last)  # whose largest reward is not below x
        row, size = rewards[b, order[b, a, at]], held[b, a, at]
        place = np.searchsorted(row[:size], x)
        for i in range(size, place, -1):
            row[i] = row[i - 1]
        row[place] = x
        held[b, a, at] = size + 1
        sums[b, a, at] += x
        tops[b, a, at] = row[size]
        if size + 1 == len(row):
            new = blocks[b].sum()
            halve(at, new, last + 1, rewards[b], order[b, a], held[b, a], sums[b, a], tops[b, a])
            blocks[b, a] += 1
        if pulls[b, a] < first:
            centres[b, a] = UNSEEN * (1.0 + ties[b, a])
            continue
        mine = order[b, a, : blocks[b, a]]
        centres[b, a] = trimmed_mean(trimmed, rewards[b], mine, held[b, a], sums[b, a]) + ties[b, a]


@njit(cache=True)
def halve(
    at: int, new: int, blocks: int, rewards: Floats, order: Ints, held: Ints, sums: Floats, tops: Floats
) -> None:
    """Move the upper half of a full block to a new one behind it."""
    for i in range(blocks, at + 1, -1):
        order[i], held[i], sums[i], tops[i] = order[i - 1], held[i - 1], sums[i - 1], tops[i - 1]
    order[at + 1] = new
    half = rewards.shape[1] // 2
    rewards[new, :half] = rewards[order[at], half:]
    for i in (at, at + 1):
        row = rewards[order[i], :half]
        held[i], sums[i], tops[i] = half, row.sum(), row[-1]


@njit(cache=True)
def trimmed_mean(trimmed: float, rewards: Floats, order: Ints, held: Ints, sums: Floats) -> float:
    """Of the rewards in blocks `order`, as a sum of what is kept: huge ends would spoil a difference."""
    n = 0
    for i in range(len(order)):
        n += held[i]
    g = int(np.floor(trimmed * n))
    total, before = 0.0, 0
    for i in range(len(order)):
        start, end = max(g - before, 0), min(n - g - before, held[i])
        if start == 0 and end == held[i]:
            total += sums[i]
        else:
            for j in range(start, end):
                total += rewards[order[i], j]
        before += held[i]
    return total / (n - 2 * g)
