"""Items in an index of faiss, exact or not; needs `pip install "recsim-env[faiss]"`."""

import numpy as np

from recsim_env.arrays import Array, Ints
from recsim_env.envs.wrappers.item_scores import check_metric, full_search, offsets, rescore
from recsim_env.errors import InputError, require

SPARE = 8  # items found beyond K, so that rounding hides none
INDEX = "IVF1024,PQ32x4fs,RFlat"
INDEX_PROBES = 10  # cells that are looked at
INDEX_REFINED = 16  # items looked at again for each one wanted


class FaissSearch:
    """Items in an index of faiss.

    Args:
        features: (N, D) float32.
        metric: inner_product or l2.
        index: a description as faiss's `index_factory` takes it; Flat is exact.
        probes: cells that are looked at, of an index of cells.
        refined: items looked at again for each one wanted, of an index that refines.

    Raises:
        InputError: an unknown metric; faiss is not installed, or cannot make the index.
    """

    def __init__(
        self,
        features: Array,
        metric: str,
        index: str = "Flat",
        probes: int = INDEX_PROBES,
        refined: int = INDEX_REFINED,
    ) -> None:
        require("faiss", "faiss")
        import faiss

        check_metric(metric)
        self.features = np.ascontiguousarray(features, np.float32)
        self.num_items, self.metric, self.exact = len(features), metric, index == "Flat"
        self.offset = offsets(self.features, metric)
        measure = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
        try:
            self.index = faiss.index_factory(features.shape[1], index, measure)
            sample = np.random.default_rng(0).permutation(len(features))[: 1 << 16]
            self.index.train(self.features[np.sort(sample)])
            self.index.add(self.features)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise InputError(f"index = {index!r} cannot be made of {len(features)} items: {reason}") from None
        if "IVF" in index:
            faiss.extract_index_ivf(self.index).nprobe = probes
        if "RFlat" in index or "Refine" in index:
            self.index.k_factor = refined
        self.longest = float(np.linalg.norm(self.features.astype(np.float64), axis=1).max())

    def nearest(self, points: Array, K: int) -> Ints:
        """See `Search`."""
        points = np.ascontiguousarray(points, np.float32)
        L = min(K + SPARE * self.exact, self.num_items)
        _, found = self.index.search(points, L)
        slates, kth = rescore(points, self.features, self.offset, found, K)
        unsure = slates[:, -1] < 0
        if self.exact and self.num_items > L:
            size = np.linalg.norm(points.astype(np.float64), axis=1)
            error = (points.shape[1] + 8) * 2.0**-22 * (size + self.longest) ** 2
            last = np.einsum("bd,bd->b", self.features[found[:, -1]], points, dtype=np.float64)
            unsure |= last + self.offset[found[:, -1]] + 2.0 * error >= kth
        for b in np.flatnonzero(unsure):
            slates[b] = full_search(points[b], self.features, self.offset, K)
        return slates
