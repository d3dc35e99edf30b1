"""How good rankings are: lists of items (`ndcg`, `hit_rate`, `mrr`, `recall`) and one target among all items.

Two ways through this file, both ranking the full catalogue (there are no sampled candidates here):

- several relevant items per user: `top_k(scores, k)` gives the list, `ndcg(ranked, relevant, k)` rates it;
- one held-out item per user: `rank_of(scores, target)` gives a `TargetRank`, whose `ndcg(k)`,
  `hit_rate(k)` and `mrr(k)` are expectations over ties broken at random.

Variant of every figure: relevance is 0 or 1; seen items are ranked unless they are passed as `exclude`;
the split is the caller's. A user without relevant items has no value: the result is nan there, so that
the average has to say what it does with them (`numpy.nanmean` leaves them out; scikit-learn and
TorchMetrics count them as 0 by default).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError

BLOCK_CELLS = 2**20
"""Rows are worked on in blocks of about this many cells: 8 MB, which stays near the processor."""


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
    hit, count = _hits(ranked, relevant, k)
    discount = 1 / np.log2(np.arange(2, 2 + min(k, max(hit.shape[1], int(count.max(initial=0))))))
    ideal = np.append(0, np.cumsum(discount))[np.minimum(count, k)]
    return _over(np.where(hit, discount[: hit.shape[1]], 0).sum(axis=1), ideal)


def hit_rate(ranked: Array, relevant: Array, k: int) -> Floats:
    """1 where at least one of the first k items is relevant, else 0; (B,), nan without relevant items.

    Arguments and errors as in `ndcg`.
    """
    hit, count = _hits(ranked, relevant, k)
    return _over(np.asarray(hit.any(axis=1)), np.minimum(count, 1))


def mrr(ranked: Array, relevant: Array, k: int) -> Floats:
    """Reciprocal rank of the first relevant item, 0 if it is not among the first k.

    (B,), nan without relevant items; the mean over users is the MRR@k. Arguments and errors as in `ndcg`.
    """
    hit, count = _hits(ranked, relevant, k)
    reciprocal = np.where(hit, 1 / np.arange(1, 1 + hit.shape[1]), 0).max(axis=1, initial=0)
    return _over(reciprocal, np.minimum(count, 1))


def recall(ranked: Array, relevant: Array, k: int) -> Floats:
    """Share of all relevant items that are among the first k, (B,), nan without relevant items.

    The divisor is the number of relevant items, not `min(k, number)`: with more than k of them even the
    best list stays below 1. Arguments and errors as in `ndcg`.
    """
    hit, count = _hits(ranked, relevant, k)
    return _over(hit.sum(axis=1), count)


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
        return self._expected(np.ones(_length(k)))

    def ndcg(self, k: int) -> Floats:
        """E[1[rank <= k] / log2(rank + 1)], (B,); the ideal is 1."""
        return self._expected(1 / np.log2(np.arange(2, 2 + _length(k))))

    def mrr(self, k: int) -> Floats:
        """E[1[rank <= k] / rank], (B,)."""
        return self._expected(1 / np.arange(1, 1 + _length(k)))

    def _expected(self, gain: Floats) -> Floats:
        """The mean of gain[rank - 1] over the possible ranks, 0 beyond its end."""
        total = np.append(0, np.cumsum(gain))
        end = self.better + self.tied + 1
        mean = (total[np.minimum(end, len(gain))] - total[np.minimum(self.better, len(gain))]) / (
            self.tied + 1
        )
        return np.where(self.candidate, mean, 0)


def rank_of(scores: Array, target: Array, exclude: Array | None = None) -> TargetRank:
    """The rank of each user's target among all N items, with its ties.

    Args:
        scores: (B, N) finite, higher is better.
        target: (B,) item ids, 0 to N - 1.
        exclude: (B, E) item ids that are no candidates, -1 = empty cell, repetitions allowed: pass the
            history to mask seen items, leave it out for logs where people come back to an item. A
            target among them counts as a miss.

    Raises:
        InputError: wrong shapes, ids outside the catalogue, a score that is nan or infinite (comparisons
            with nan are all false, so a nan target would come out on top).
    """
    scores, exclude = _check_scores(scores, exclude)
    target = np.asarray(target)
    if target.shape != scores.shape[:1] or not np.issubdtype(target.dtype, np.integer):
        wanted = f"integers of shape {scores.shape[:1]}"
        raise InputError(f"target must hold {wanted}, got {target.dtype} of shape {target.shape}")
    _check_range("target", target, 0, scores.shape[1])
    better, tied = np.zeros(len(target), np.int64), np.zeros(len(target), np.int64)
    for rows, block in _candidate_blocks(scores, exclude):
        of_target = scores[rows][np.arange(len(block)), target[rows]].astype(np.float64)[:, None]
        better[rows] = np.count_nonzero(block > of_target, axis=1)
        tied[rows] = np.count_nonzero(block == of_target, axis=1)
    candidate = ~(exclude == target[:, None]).any(axis=1)
    return TargetRank(better, tied - candidate, candidate)


def top_k(scores: Array, k: int, exclude: Array | None = None) -> Ints:
    """The k items with the highest scores, best first, (B, k), -1 where fewer than k candidates are left.

    Ties go to the lowest item id, so the list is always the same. Where ids carry information (items
    numbered by popularity), a score with many ties profits from it: rate such scores with `rank_of`.

    Args:
        scores: (B, N) finite, higher is better.
        k: 1 or more.
        exclude: as in `rank_of`.

    Raises:
        InputError: as `rank_of`, and k below 1.
    """
    scores, exclude = _check_scores(scores, exclude)
    ranked = np.full((len(scores), _length(k)), -1, np.int64)
    num_items = scores.shape[1]
    width = min(k, num_items)
    if width == 0:
        return ranked
    for rows, block in _candidate_blocks(scores, exclude):
        worst = np.partition(block, num_items - width, axis=1)[:, num_items - width, None]  # (b, 1)
        chosen = block >= worst  # more than `width` of them where the last places are tied
        for row in np.flatnonzero(np.count_nonzero(chosen, axis=1) > width):
            level = np.flatnonzero(block[row] == worst[row])
            places = width - np.count_nonzero(block[row] > worst[row])
            chosen[row, level[places:]] = False
        items = np.nonzero(chosen)[1].reshape(-1, width)  # ascending ids, so the stable sort keeps ties so
        value = np.take_along_axis(block, items, axis=1)
        order = np.argsort(-value, axis=1, kind="stable")
        items = np.where(np.isinf(value), -1, items)
        ranked[rows, :width] = np.take_along_axis(items, order, axis=1)
    return ranked


def _hits(ranked: Array, relevant: Array, k: int) -> tuple[Bools, Ints]:
    """Which of the first k places hold a relevant item, (B, min(k, R)), and how many there are, (B,)."""
    ranked, relevant = _ids("ranked", ranked)[:, : _length(k)], _ids("relevant", relevant)
    if len(ranked) != len(relevant):
        raise InputError(f"relevant must have one row per row of ranked, {len(ranked)}, got {len(relevant)}")
    hit = np.zeros(ranked.shape, np.bool_)
    # Row and item make one key, so that one search in a sorted vector serves a whole block of rows. An
    # empty cell becomes the key just below its row, which no item has.
    span = int(max(ranked.max(initial=0), relevant.max(initial=0))) + 2
    step = max(1, BLOCK_CELLS // max(1, ranked.shape[1] + relevant.shape[1]))
    if span > 2**62 // step:
        raise InputError(f"item ids must be below {2**62 // step}, got {span - 2}: number the items from 0")
    for start in range(0, len(ranked), step):
        rows = slice(start, start + step)
        _sorted_rows("ranked", ranked[rows], start)
        known = _sorted_rows("relevant", relevant[rows], start)
        first = span * np.arange(len(known))[:, None]
        keys, wanted = (known + first).ravel(), ranked[rows] + first
        if keys.size:
            place = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
            hit[rows] = (keys[place] == wanted) & (ranked[rows] >= 0)
    return hit, np.count_nonzero(relevant >= 0, axis=1)


def _sorted_rows(name: str, ids: Ints, start: int) -> Ints:
    ordered = np.sort(ids, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        row, column = np.argwhere(twice)[0]
        raise InputError(
            f"{name}[{start + row}] holds item {ordered[row, column]} twice: name each item once"
        )
    return ordered


def _over(part: Array, whole: Array) -> Floats:
    """Part / whole, nan where the whole is 0."""
    share = np.full(len(part), np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share


def _length(k: int) -> int:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise InputError(f"k must be an integer of 1 or more, got {k!r}")
    return int(k)


def _ids(name: str, ids: Array) -> Ints:
    ids = np.asarray(ids)
    if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.integer):
        raise InputError(
            f"{name} must hold integers of shape (B, items), got {ids.dtype} of shape {ids.shape}"
        )
    _check_range(name, ids, -1, None)
    return ids.astype(np.int64, copy=False)


def _check_range(name: str, ids: Array, low: int, num_items: int | None) -> None:
    bad = ids < low if num_items is None else (ids < low) | (ids >= num_items)
    if bad.any():
        at = ", ".join(str(i) for i in np.argwhere(bad)[0])
        known = f"ids start at {low}" if num_items is None else f"the catalogue has {num_items} items"
        raise InputError(f"{name}[{at}] = {ids[bad][0]} is not an item: {known}")


def _check_scores(scores: Array, exclude: Array | None) -> tuple[Array, Ints]:
    scores = np.asarray(scores)
    if scores.ndim != 2:
        raise InputError(f"scores must have shape (B, N), got {scores.shape}")
    if exclude is None:
        return scores, np.empty((len(scores), 0), np.int64)
    exclude = _ids("exclude", exclude)
    if len(exclude) != len(scores):
        raise InputError(f"exclude must have one row per row of scores, {len(scores)}, got {len(exclude)}")
    _check_range("exclude", exclude, -1, scores.shape[1])
    return scores, exclude


def _candidate_blocks(scores: Array, exclude: Ints) -> Iterator[tuple[slice, Floats]]:
    """Blocks of rows of a copy of the scores in which excluded items have -inf, which no candidate has."""
    step = max(1, BLOCK_CELLS // max(1, scores.shape[1]))
    for start in range(0, len(scores), step):
        rows = slice(start, start + step)
        block = scores[rows].astype(np.float64)
        if not np.isfinite(block).all():
            row, item = np.argwhere(~np.isfinite(block))[0]
            raise InputError(f"scores[{start + row}, {item}] must be finite, got {block[row, item]}")
        row, column = np.nonzero(exclude[rows] >= 0)
        block[row, exclude[rows][row, column]] = -np.inf
        yield rows, block
