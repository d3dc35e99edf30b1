"""Sampled metrics: the target among a few sampled negatives. For recognising published numbers, not for use.

Do not compare recommenders by these. The rank among m negatives is a blurred picture of the rank among all N
items: every metric at k of it mostly asks whether the target is among the top k N / m, so it hardly sees the
top of the list, and the order of two recommenders can differ from that of the full ranking (Krichene and
Rendle, "On sampled metrics for item recommendation", KDD 2020). In a comparison of losses on ML-1M a change
that costs 0.4 % of sampled HR@10 brings 22.5 % of the full one. The numbers are also far larger, and depend
on m and on the law of the negatives. `ranking.rank_of` ranks all items and is cheaper than drawing them.

What is here because papers print it: SASRec, 100 uniform negatives that the user never had; BERT4Rec, 100
drawn by popularity. Letters: B users, N items, m negatives; -1 is an empty cell.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError
from recsim_env.evaluation.ranked_lists import as_array, item_ids, target_ids
from recsim_env.evaluation.ranking import TargetRank
from recsim_env.evaluation.score_blocks import Scores, candidate_blocks


@dataclass(frozen=True)
class SampledTargetRank:
    """Where each user's target stands among itself and its negatives, ties in expectation."""

    rank: TargetRank  # among the m + 1 candidates

    def sampled_hit_rate(self, k: int) -> Floats:
        """P(rank <= k), (B,)."""
        return self.rank.hit_rate(k)

    def sampled_ndcg(self, k: int) -> Floats:
        """E[1[rank <= k] / log2(rank + 1)], (B,)."""
        return self.rank.ndcg(k)

    def sampled_mrr(self, k: int) -> Floats:
        """E[1[rank <= k] / rank], (B,)."""
        return self.rank.mrr(k)


def sampled_rank_of(
    scores: Scores,
    target: Array,
    exclude: Array,
    *,
    num_negatives: int,
    seed: int,
    popularity: Array | None = None,
) -> SampledTargetRank:
    """The rank of each user's target among `num_negatives` items drawn without replacement.

    Negatives are neither the target nor excluded. With `popularity` they are drawn one after the other with
    probabilities proportional to it, without replacement, as NumPy's `choice(replace=False, p=...)` does;
    SASRec's own code draws with replacement and may draw the target.

    Args:
        scores: (B, N) finite, higher is better: an array, a tensor, or an iterator of blocks of rows.
        target: (B,) item ids.
        exclude: (B, E) items that are no negatives, usually the history, -1 = empty cell; a target among
            them counts as a miss.
        num_negatives: m, 1 or more.
        seed: of the negatives; the same for all recommenders that are compared, who then face the same ones.
        popularity: (N,) finite, 0 or more; items with 0 are never drawn. None = uniform.

    Raises:
        InputError: as `ranking.rank_of`; a bad popularity; a user with fewer than m possible negatives.
    """
    if isinstance(num_negatives, bool) or not isinstance(num_negatives, int) or num_negatives < 1:
        raise InputError(f"num_negatives must be an integer of 1 or more, got {num_negatives!r}")
    rng = np.random.default_rng(seed)
    target, masked = target_ids(target), item_ids("exclude", exclude)
    better, tied = np.zeros(len(target), np.int64), np.zeros(len(target), np.int64)
    candidate = np.zeros(len(target), np.bool_)
    for rows, block in candidate_blocks(scores, masked, target=target):
        each = np.arange(len(block))
        weight = _weights(popularity, block.shape[1])
        # m smallest of E / weight, E exponential: successive draws without replacement
        arrival = rng.standard_exponential(block.shape)
        with np.errstate(divide="ignore"):
            arrival /= weight
        arrival[block == -np.inf] = np.inf
        arrival[each, target[rows]] = np.inf
        possible = np.count_nonzero(arrival < np.inf, axis=1)
        if (possible < num_negatives).any():
            row = int(np.argmax(possible < num_negatives))
            raise InputError(
                f"num_negatives must be at most {possible[row]}, the items that can be negatives of "
                f"user {rows.start + row}, got {num_negatives}"
            )
        drawn = np.argpartition(arrival, num_negatives - 1, axis=1)[:, :num_negatives]
        negative = np.take_along_axis(block, drawn, axis=1)
        of_target = block[each, target[rows]][:, None]
        candidate[rows] = of_target[:, 0] > -np.inf
        better[rows] = np.count_nonzero(negative > of_target, axis=1)
        tied[rows] = np.count_nonzero(negative == of_target, axis=1)
    return SampledTargetRank(TargetRank(better, tied, candidate))


def _weights(popularity: Any, num_items: int) -> Floats:
    if popularity is None:
        return np.ones(num_items)
    weight = as_array(popularity).astype(np.float64)
    if weight.shape != (num_items,):
        raise InputError(f"popularity must have shape ({num_items},), one per item, got {weight.shape}")
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        item = int(np.argmax(bad))
        raise InputError(f"popularity[{item}] must be finite and 0 or more, got {weight[item]}")
    return weight
