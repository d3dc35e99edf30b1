"""What the NDCG of a recommender rests on: how much history, which items, which users, and how much noise.

last n     the history cut to its last n items
target     users by how often their target was clicked in training: never (cold), few times, often
head/tail  the same in two: the most clicked items that make half of the training clicks, and the others
gap        users by the time between their last item and the target, in quartiles
noise      one in five items of every history replaced by a random one
"""

from itertools import pairwise
from typing import Any

import numpy as np

from recsim_env.agents.recommender import score_blocks
from recsim_env.arrays import Floats, Ints
from recsim_env.evaluation.intervals import Estimate, mean_estimate
from recsim_env.evaluation.ranking import rank_of
from recsim_env.simulators.splits import HeldOut

LENGTHS = (1, 2, 3, 5, 10)  # of a history that is cut; the whole one stands beside them
COUNTS = (0, 1, 5, 20, 100)  # training clicks from which the next group of targets begins
NOISE = 0.2  # share of the items of a history that are replaced
K = 10  # of NDCG@K


def by_history(recommender: Any, held: HeldOut, mask: bool, gaps: Floats | None) -> dict[int, float]:
    """NDCG@10 of all users after their last n items only; what is left out of the list stays the same."""
    found = {}
    for n in LENGTHS:
        history = held.history.copy()
        history[:, :-n] = -1
        found[n] = float(_ndcg(recommender, held, history, mask, gaps).mean())
    return found


def with_noise(recommender: Any, held: HeldOut, mask: bool, gaps: Floats | None, seed: int) -> float:
    """NDCG@10 where one in five items that were had is another one, drawn from all."""
    rng = np.random.default_rng(seed)
    changed = (rng.random(held.history.shape) < NOISE) & (held.history >= 0)
    random = rng.integers(0, recommender.num_items_, held.history.shape)
    return float(_ndcg(recommender, held, np.where(changed, random, held.history), mask, gaps).mean())


def by_target_count(ndcg: Floats, held: HeldOut, count: Ints) -> dict[int, Estimate]:
    """Mean NDCG of users by the training clicks (N,) of what they took next; of each group's least count."""
    edges = [*COUNTS, np.inf]
    of_target = count[held.target]
    groups = {low: (of_target >= low) & (of_target < high) for low, high in pairwise(edges)}
    return {int(low): mean_estimate(ndcg[rows]) for low, rows in groups.items() if rows.sum() > 1}


def head_and_tail(ndcg: Floats, held: HeldOut, count: Ints) -> tuple[float, float]:
    """Mean NDCG of users whose target is of the head, and of the others; nan where there is none."""
    order = np.argsort(-count, kind="stable")
    head = np.zeros(len(count), np.bool_)
    head[order[: 1 + int(np.searchsorted(np.cumsum(count[order]), count.sum() / 2))]] = True
    inside = head[held.target]
    return _mean(ndcg[inside]), _mean(ndcg[~inside])


def by_gap(ndcg: Floats, held: HeldOut) -> list[float]:
    """Mean NDCG of users in quartiles of the time before the target, shortest first.

    No numbers where half of the users have one time in common, as where the order alone is known.
    """
    last = held.gaps[:, -1]
    borders = np.quantile(last, [0.25, 0.5, 0.75])
    if borders[0] == borders[2]:
        return [float("nan")] * 4
    place = np.searchsorted(borders, last)
    return [_mean(ndcg[place == quartile]) for quartile in range(4)]


def _ndcg(recommender: Any, held: HeldOut, history: Ints, mask: bool, gaps: Floats | None) -> Floats:
    """(U,) after another history, the same items left out."""
    scores = score_blocks(recommender, history, gaps)
    return rank_of(scores, held.target, held.history if mask else None).ndcg(K)


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")
