"""The compiled loop of `predictability`: one user after the other, one visit after the other.

`better` and `tied` are how many items stand before a target, and beside it: its rank is uniform on
better + 1 ... better + tied + 1.
"""

import numpy as np
from numba import njit

from recsim_env.arrays import Bools, Floats, Ints


@njit(cache=True)
def predict_visits(
    item: Ints,
    time: Floats,
    start: Ints,
    of_user: Ints,
    first_held: Ints,
    popularity: Ints,
    row: Ints,
    column: Ints,
    probability: Floats,
    decay: float,
    gain: Floats,
    out: Floats,
) -> None:
    """Fill out (held-out visits, 4, 3): NDCG, hit and NDCG of repetitions of every rule; nan = no repetition.

    Args:
        item: (R,) of the events, by visit.
        time: (R,) increasing between the visits of a user.
        start: (V+1,) first event of each visit.
        of_user: (U+1,) first visit of each user.
        first_held: (U,) first visit of each user that is predicted.
        popularity: (N,) events of each item in training.
        row: (N+1,) where the followers of each item begin in `column`.
        column: (E,) an item that followed.
        probability: (E,) P(column | row).
        decay: d of strength.
        gain: (k+1,) the best DCG of 0, 1, ... k relevant items.
        out: (H, 4, 3) filled with nan.
    """
    N = len(popularity)
    by_popularity = np.sort(popularity)
    count, strength, chance = np.zeros(N), np.zeros(N), np.zeros(N)
    last_seen = np.full(N, -1)  # the visit that an item was last in the target of
    known, led = np.empty(N, np.int64), np.empty(N, np.int64)
    h = 0
    for u in range(len(of_user) - 1):
        first, num_known = start[of_user[u]], 0
        for v in range(of_user[u], of_user[u + 1]):
            if v >= first_held[u]:
                target = np.empty(start[v + 1] - start[v], np.int64)
                m = 0
                for e in range(start[v], start[v + 1]):
                    if last_seen[item[e]] != v:
                        last_seen[item[e]] = v
                        target[m] = item[e]
                        m += 1
                target = target[:m]
                repeated = count[target] > 0
                better, tied = np.empty(m, np.int64), np.empty(m, np.int64)
                # popularity
                for j in range(m):
                    p = popularity[target[j]]
                    above = np.searchsorted(by_popularity, p, side="right")
                    better[j] = N - above
                    tied[j] = above - np.searchsorted(by_popularity, p) - 1
                _rate(better, tied, repeated, gain, out[h, 0])
                # what the user had most
                _among(count, known[:num_known], target, repeated, better, tied)
                _rate(better, tied, repeated, gain, out[h, 1])
                # what is strongest in memory
                strength[known[:num_known]] = 0.0
                now = time[start[v]]
                for e in range(first, start[v]):
                    elapsed = now - time[e]
                    strength[item[e]] += 1.0 / np.sqrt(elapsed) if decay == 0.5 else elapsed**-decay
                _among(strength, known[:num_known], target, repeated, better, tied)
                _rate(better, tied, repeated, gain, out[h, 2])
                # what followed the items of the visit before
                num_led = 0
                for e in range(start[v - 1], start[v]):
                    a = item[e]
                    if last_seen[a] != -2 - v:  # each item of that visit once
                        last_seen[a] = -2 - v
                        for c in range(row[a], row[a + 1]):
                            if chance[column[c]] == 0.0:
                                led[num_led] = column[c]
                                num_led += 1
                            chance[column[c]] += probability[c]
                _behind(chance, popularity, by_popularity, led[:num_led], target, better, tied)
                _rate(better, tied, repeated, gain, out[h, 3])
                chance[led[:num_led]] = 0.0
                h += 1
            for e in range(start[v], start[v + 1]):
                if count[item[e]] == 0:
                    known[num_known] = item[e]
                    num_known += 1
                count[item[e]] += 1
        count[known[:num_known]] = 0


@njit(cache=True)
def _among(score: Floats, items: Ints, target: Ints, listed: Bools, better: Ints, tied: Ints) -> None:
    """How many of the items score more than, and the same as, each target; no place (-1) if not listed."""
    for j in range(len(target)):
        better[j], tied[j] = -1, 0
        if listed[j]:
            mine = score[target[j]]
            more, same = 0, 0
            for i in items:
                more += score[i] > mine * (1 + 1e-12)  # sums of the same terms in another order are ties
                same += abs(score[i] - mine) <= 1e-12 * mine
            better[j], tied[j] = more, same - 1


@njit(cache=True)
def _behind(
    chance: Floats, popularity: Ints, by_popularity: Ints, led: Ints, target: Ints, better: Ints, tied: Ints
) -> None:
    """`_among` all items by chance, then popularity; chance is 0 outside `led`, popularity has its order."""
    N = len(popularity)
    for j in range(len(target)):
        mine, p = chance[target[j]], popularity[target[j]]
        more, same = 0, 0
        for i in led:
            level = abs(chance[i] - mine) <= 1e-12 * mine
            more += (chance[i] > mine and not level) or (level and popularity[i] > p)
            same += level and popularity[i] == p
        if mine == 0.0:  # then all of `led` are better, and of the others those that are more popular
            above = np.searchsorted(by_popularity, p, side="right")
            more += N - above
            same += above - np.searchsorted(by_popularity, p)
            for i in led:
                more -= popularity[i] > p
                same -= popularity[i] == p
        better[j], tied[j] = more, same - 1


@njit(cache=True)
def _rate(better: Ints, tied: Ints, repeated: Bools, gain: Floats, out: Floats) -> None:
    """Expected NDCG, hit and NDCG of repetitions of targets with these places; better -1 = no place."""
    k = len(gain) - 1
    m, again, total, of_repeated, missed = len(better), 0, 0.0, 0.0, 1.0
    cut, size, relevant = -1, 0, 0  # of the group of ties that the end of the list cuts
    for j in range(m):
        again += repeated[j]
        if 0 <= better[j] < k:
            last = better[j] + tied[j] + 1
            mean = (gain[min(last, k)] - gain[better[j]]) / (tied[j] + 1)
            total += mean
            of_repeated += mean * repeated[j]
            if last <= k:
                missed = 0.0
            else:
                cut, size, relevant = better[j], tied[j] + 1, relevant + 1
    if relevant > 0:
        for j in range(k - cut):  # no relevant one among the first k - cut of the group in random order
            missed *= max(0.0, size - relevant - j) / (size - j)
    out[0] = total / gain[min(m, k)]
    out[1] = 1.0 - missed
    if again > 0:
        out[2] = of_repeated / gain[min(again, k)]
