"""How good rankings are: lists of items, and where relevant items stand among the scores of all items.

Three ways through this file, all ranking the full catalogue (there are no sampled candidates here):

- several relevant items per user: `top_k(scores, k)` gives the list; `ndcg`, `hit_rate`, `mrr`, `recall`,
  `precision` and `average_precision` rate it;
- the same with ties: `ndcg_of_scores(scores, relevant, k)` is the expectation over ties broken at random;
- one held-out item per user: `rank_of(scores, target)` gives a `TargetRank`, whose `ndcg(k)`,
  `hit_rate(k)` and `mrr(k)` are such expectations too.

Scores and ids may be NumPy arrays or torch tensors; results are NumPy arrays. Scores that do not fit in
memory come as a generator of blocks of users, and memory stays flat:

    top_k((model(users[i : i + 1000]) for i in range(0, len(users), 1000)), 10)

Variant of every figure: relevance is 0 or 1; seen items are ranked unless they are passed as `exclude`;
the split is the caller's. A user without relevant items has no value: the result is nan there, so that
the average has to say what it does with them (`numpy.nanmean` leaves them out; scikit-learn, trec_eval and
TorchMetrics count them as 0 by default).
"""

from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.evaluation.rank_kernels import count_above
from recsim_env.evaluation.ranked_lists import check_distinct, hits, item_ids, list_length, share, target_ids
from recsim_env.evaluation.score_blocks import Scores, candidate_blocks, highest


def ndcg(ranked: Array, relevant: Array, k: int) -> Floats:
    """Normalised discounted cumulative gain at k, (B,) in [0, 1], nan for users without relevant items.

    `DCG@k = sum_{j<=k} 1[ranked_j relevant] / log2(j + 1)`, divided by its value for the best list, which
    has `min(k, number of relevant items)` hits at the top.

    Args:
        ranked: (B, R) item ids, best first, -1 = empty place (a miss that takes its place); columns
            beyond k are not looked at, and with R < k the missing places are misses.
        relevant: (B, M) item ids in any order, -1 = empty cell.
        k: the length of the list that counts, 1 or more.

    Raises:
        InputError: wrong shapes, ids that are not integers or below -1, an item twice in one user's
            relevant items or first k places, k below 1.

    Source: Järvelin and Kekäläinen 2002, binary gains; equals scikit-learn's `ndcg_score` without ties.
    """
    hit, count = hits(ranked, relevant, k)
    discount = 1 / np.log2(np.arange(2, 2 + min(k, max(hit.shape[1], int(count.max(initial=0))))))
    ideal = np.append(0, np.cumsum(discount))[np.minimum(count, k)]
    return share(np.where(hit, discount[: hit.shape[1]], 0).sum(axis=1), ideal)


def hit_rate(ranked: Array, relevant: Array, k: int) -> Floats:
    """1 where at least one of the first k items is relevant, else 0; (B,), nan without relevant items.

    Arguments and errors as in `ndcg`.
    """
    hit, count = hits(ranked, relevant, k)
    return share(np.asarray(hit.any(axis=1)), np.minimum(count, 1))


def mrr(ranked: Array, relevant: Array, k: int) -> Floats:
    """Reciprocal rank of the first relevant item, 0 if it is not among the first k.

    (B,), nan without relevant items; the mean over users is the MRR@k. Arguments and errors as in `ndcg`.
    """
    hit, count = hits(ranked, relevant, k)
    reciprocal = np.where(hit, 1 / np.arange(1, 1 + hit.shape[1]), 0).max(axis=1, initial=0)
    return share(reciprocal, np.minimum(count, 1))


def recall(ranked: Array, relevant: Array, k: int) -> Floats:
    """Share of all relevant items that are among the first k, (B,), nan without relevant items.

    The divisor is the number of relevant items, not `min(k, number)`: with more than k of them even the
    best list stays below 1. Arguments and errors as in `ndcg`.
    """
    hit, count = hits(ranked, relevant, k)
    return share(hit.sum(axis=1), count)


def precision(ranked: Array, relevant: Array, k: int) -> Floats:
    """Share of the k places that hold a relevant item, (B,), nan without relevant items.

    The divisor is k for everyone: empty places are misses, and a user with fewer than k relevant items
    cannot reach 1. Arguments and errors as in `ndcg`.
    """
    hit, count = hits(ranked, relevant, k)
    return share(hit.sum(axis=1) * (count > 0), np.where(count > 0, k, 0))


def average_precision(ranked: Array, relevant: Array, k: int) -> Floats:
    """Average precision at k, (B,), nan without relevant items; its mean over users is MAP@k.

    `AP@k = sum_{j<=k} 1[ranked_j relevant] P@j / min(k, number of relevant items)`, so that the best list
    has 1. trec_eval's `map_cut` (`AP@k` of ir-measures) divides by the number of relevant items instead: to
    have that, multiply by `min(k, number) / number`. Arguments and errors as in `ndcg`.
    """
    hit, count = hits(ranked, relevant, k)
    precision_at = np.cumsum(hit, axis=1) / np.arange(1, 1 + hit.shape[1])
    return share((precision_at * hit).sum(axis=1), np.minimum(count, k))


@dataclass(frozen=True)
class TargetRank:
    """Where one held-out item per user stands among all candidates; ties are broken at random.

    The target's rank is uniform on `better + 1 ... better + tied + 1`, and the methods give exact
    expectations over it. So scores that are all equal are worth k / candidates hits, as random ones are;
    counting only better items would call them perfect.
    """

    better: Ints  # (B,) candidates with a higher score
    tied: Ints  # (B,) other candidates with the same score
    candidate: Bools  # (B,) False where the target itself was excluded: a miss at every k

    def hit_rate(self, k: int) -> Floats:
        """P(rank <= k), (B,); with one target per user also the recall at k."""
        return self._expected(np.ones(list_length(k)))

    def ndcg(self, k: int) -> Floats:
        """E[1[rank <= k] / log2(rank + 1)], (B,); the ideal is 1."""
        return self._expected(1 / np.log2(np.arange(2, 2 + list_length(k))))

    def mrr(self, k: int) -> Floats:
        """E[1[rank <= k] / rank], (B,)."""
        return self._expected(1 / np.arange(1, 1 + list_length(k)))

    def _expected(self, gain: Floats) -> Floats:
        """The mean of gain[rank - 1] over the possible ranks, 0 beyond its end."""
        total = np.append(0, np.cumsum(gain))
        end = self.better + self.tied + 1
        mean = (total[np.minimum(end, len(gain))] - total[np.minimum(self.better, len(gain))]) / (
            self.tied + 1
        )
        return np.where(self.candidate, mean, 0)


def rank_of(scores: Scores, target: Array, exclude: Array | None = None) -> TargetRank:
    """The rank of each user's target among all N items, with its ties.

    Args:
        scores: (B, N) finite, higher is better: an array, a tensor, or an iterator of blocks of rows.
        target: (B,) item ids, 0 to N - 1.
        exclude: (B, E) item ids that are no candidates, -1 = empty cell, repetitions allowed: pass the
            history to mask seen items, leave it out for logs where people come back to an item. A
            target among them counts as a miss.

    Raises:
        InputError: wrong shapes, ids outside the catalogue, a score that is nan or infinite (comparisons
            with nan are all false, so a nan target would come out on top).
    """
    target = target_ids(target)
    masked = None if exclude is None else item_ids("exclude", exclude)
    better, tied = np.zeros(len(target), np.int64), np.zeros(len(target), np.int64)
    candidate = np.zeros(len(target), np.bool_)
    for rows, block in candidate_blocks(scores, masked, target=target):
        of_target = block[np.arange(len(block)), target[rows]]
        candidate[rows] = of_target > -np.inf
        count_above(block, of_target, better[rows], tied[rows])
    return TargetRank(better, tied - candidate, candidate)


def top_k(scores: Scores, k: int, exclude: Array | None = None) -> Ints:
    """The k items with the highest scores, best first, (B, k), -1 where fewer than k candidates are left.

    Ties go to the lowest item id, so the list is always the same. Where ids carry information (items
    numbered by popularity), a score with many ties profits from it: rate such scores with `rank_of` or
    `ndcg_of_scores`.

    Args:
        scores: as in `rank_of`.
        k: 1 or more.
        exclude: as in `rank_of`.

    Raises:
        InputError: as `rank_of`, and k below 1.
    """
    k, lists = list_length(k), [np.empty((0, k), np.int64)]
    for _, block in candidate_blocks(scores, None if exclude is None else item_ids("exclude", exclude)):
        ranked = np.full((len(block), k), -1, np.int64)
        width = min(k, block.shape[1])
        if width > 0:
            items, value = highest(block, width)
            ranked[:, :width] = np.where(value == -np.inf, -1, items)
        lists.append(ranked)
    return np.concatenate(lists)


def ndcg_of_scores(scores: Scores, relevant: Array, k: int, exclude: Array | None = None) -> Floats:
    """Expected NDCG@k over ties broken at random, (B,) in [0, 1], nan for users without relevant items.

    An expectation is a sum over the relevant items, whoever else is relevant: one with `better` items above
    it and `t` on its level (itself counted) stands on every rank better + 1 ... better + t with probability
    1/t, and is worth the mean of `1[rank <= k] / log2(rank + 1)` over those. Without ties this is
    `ndcg(top_k(scores, k), relevant, k)`; with them, scikit-learn's `ndcg_score` (McSherry and Najork 2008).

    Args:
        scores: as in `rank_of`.
        relevant: (B, M) item ids in any order, -1 = empty cell.
        k: 1 or more.
        exclude: as in `rank_of`; a relevant item among them is a miss.

    Raises:
        InputError: as `rank_of`, an item twice in one user's relevant items, k below 1.
    """
    k, relevant = list_length(k), item_ids("relevant", relevant)
    check_distinct("relevant", relevant)
    count = np.count_nonzero(relevant >= 0, axis=1)
    best = max(1, int(count.max(initial=0)))
    gained = np.zeros(len(relevant))
    masked = None if exclude is None else item_ids("exclude", exclude)
    for rows, block in candidate_blocks(scores, masked, relevant=relevant):
        width = min(k, block.shape[1])
        if width == 0:
            continue
        gain = np.append(0, np.cumsum(1 / np.log2(np.arange(2, 2 + width))))
        level = highest(block, width)[1]  # (b, width)
        own = np.take_along_axis(block, np.maximum(relevant[rows], 0), axis=1)  # (b, M)
        own = np.where(relevant[rows] >= 0, own, -np.inf)
        better, tied = np.zeros(own.shape, np.int64), np.zeros(own.shape, np.int64)
        for j in range(width):  # place by place, so that memory is b M
            better += level[:, j, None] > own
            tied += level[:, j, None] == own
        # the last level may go on below place k
        lowest = np.count_nonzero(block == level[:, -1:], axis=1)[:, None]
        tied = np.maximum(np.where(own == level[:, -1:], lowest, tied), 1)
        end = np.minimum(better + tied, width)
        expected = (gain[end] - gain[np.minimum(better, width)]) / tied
        gained[rows] = np.where(own > -np.inf, expected, 0).sum(axis=1)
    ideal = np.append(0, np.cumsum(1 / np.log2(np.arange(2, 2 + min(k, best)))))[np.minimum(count, k)]
    return share(gained, ideal)
