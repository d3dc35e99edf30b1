"""NDCG@10 of a full ranking, users per CPU-second. About 2 min: python benchmarks/ranking_metrics.py

100,000 users and 10,000 items, float32 scores made in blocks of 500 users, 5 relevant items each. Limit:
scikit-learn's `ndcg_score` of the same scores in the same run, of the first users of every tenth block only
(its time is the same for each user). Making the scores is not timed. Memory is what the whole run adds.
"""

import resource
import sys
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import ndcg_score
from timing import header, row

from recsim_env.evaluation.ranking import ndcg, ndcg_of_scores, rank_of, top_k

USERS, ITEMS, BLOCK, RELEVANT, K = 100_000, 10_000, 500, 5, 10
SAMPLED = 40  # users of a block that scikit-learn rates


class Clock:
    """CPU seconds of what is taken from a stream of blocks, without those that making the blocks takes."""

    def __init__(self) -> None:
        self.making = 0.0

    def blocks(self, relevant: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
        """Normal scores; relevant items are higher by 2, so that they are found now and then."""
        rng = np.random.default_rng(0)
        for start in range(0, USERS, BLOCK):
            begun = time.process_time()
            scores = rng.standard_normal((BLOCK, ITEMS), dtype=np.float32)
            its = relevant[start : start + BLOCK]
            np.put_along_axis(scores, its, np.take_along_axis(scores, its, axis=1) + 2, axis=1)
            self.making += time.process_time() - begun
            yield scores


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(1)
    relevant = np.sort(rng.integers(0, ITEMS // RELEVANT, (USERS, RELEVANT)) * RELEVANT, axis=1)
    relevant += np.arange(RELEVANT)  # distinct
    warm = rng.standard_normal((2, ITEMS), dtype=np.float32)
    ndcg_of_scores(warm, relevant[:2], K)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results, rates = {}, {}
    for name, call in (
        ("ties in expectation", lambda blocks: ndcg_of_scores(blocks, relevant, K)),
        ("list, ties to the lowest id", lambda blocks: ndcg(top_k(blocks, K), relevant, K)),
        ("rank of one target", lambda blocks: rank_of(blocks, relevant[:, 0]).ndcg(K)),
    ):
        clock, begun = Clock(), time.process_time()
        results[name] = call(clock.blocks(relevant))
        rates[name] = USERS / (time.process_time() - begun - clock.making)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024

    spent, rated, apart = {False: 0.0, True: 0.0}, 0, 0.0
    for number, scores in enumerate(Clock().blocks(relevant)):
        if number % 10:
            continue
        users = slice(number * BLOCK, number * BLOCK + SAMPLED)
        truth = np.zeros((SAMPLED, ITEMS), np.int8)
        np.put_along_axis(truth, relevant[users], 1, axis=1)
        for ignore_ties in (False, True):
            begun = time.process_time()
            theirs = ndcg_score(truth, scores[:SAMPLED], k=K, ignore_ties=ignore_ties)
            spent[ignore_ties] += time.process_time() - begun
            apart = max(apart, abs(theirs - results["ties in expectation"][users].mean()))
        rated += SAMPLED
    if apart > 1e-9:
        sys.exit(f"scikit-learn disagrees by {apart}")
    limits = {"ties in expectation": spent[False], "list, ties to the lowest id": spent[True]}

    header()
    for name, rate in rates.items():
        if name not in limits:
            row(f"NDCG@10, {name}, users/s", f"{rate:,.0f}", "")
            continue
        theirs = rated / limits[name]
        beside = f"scikit-learn {theirs:,.0f} (of {rated:,} users)"
        row(
            f"NDCG@10, {name}, users/s",
            f"{rate:,.0f}",
            f"{3 * theirs:,.0f}",
            f"{beside}: {rate / theirs:.0f}x",
        )
    row("memory that 100,000 users x 10,000 items add, MB", f"{grown:.0f}", "below 1,000", "with the blocks")


if __name__ == "__main__":
    main()
