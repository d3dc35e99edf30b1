"""Proto-item -> nearest items: the agent acts by a point among the items, and the K nearest are shown.

    inner_product   the K items of largest f_i . a          l2   the K items of smallest |f_i - a|

nearest first; of equal ones the lower number. Action: Box(-b, b, (D,), float32) with b the largest size of a
feature; points outside are taken as well. A catalogue may have millions of items: how they are searched is
said by `search`, see `nearest.py` for which of them are exact and what they cost.

Source: Dulac-Arnold et al., "Deep reinforcement learning in large discrete action spaces", 2015
(Wolpertinger), section 4; a slate takes the K nearest where they refine one of them.
"""

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Space

from recsim_env.arrays import Array
from recsim_env.envs.wrappers.change import Change, numbers
from recsim_env.envs.wrappers.item_scores import check_metric
from recsim_env.envs.wrappers.nearest import Search, build_search
from recsim_env.errors import InputError, as_numbers
from recsim_env.simulators.worlds.world import World


class ProtoItem(Change):
    """See the module.

    Args:
        features: (N, D) f; by default those of the world's catalogue.
        metric: inner_product or l2.
        search: exact, cells, faiss, faiss_cells; or a `Search` of these features that was built before, such
            as one with other settings.

    Raises:
        InputError: no features, or not one finite row an item; a candidate set inside; an unknown metric or
            search; faiss without the library; a point of another shape, NaN or infinite.
    """

    def __init__(
        self,
        features: Array | None = None,
        metric: str = "inner_product",
        search: "str | Search" = "exact",
    ) -> None:
        check_metric(metric)
        self.features, self.metric, self.search = features, metric, search

    def bind(
        self, world: World, num_envs: int, action_space: Space[Any], observation_space: Space[Any]
    ) -> None:
        """The action is a point."""
        super().bind(world, num_envs, action_space, observation_space)
        self.K, N = self.slot_space()
        catalogue: Any = getattr(world, "catalogue", None)
        if self.features is None and catalogue is None:
            raise InputError("features must be given: this world has no catalogue with features of its items")
        if catalogue is not None and catalogue.num_items != N:
            raise InputError("ProtoItem looks through the whole catalogue: leave candidates out")
        features = as_numbers("features", catalogue.features if self.features is None else self.features)
        if features.ndim != 2 or len(features) != N or not np.isfinite(features).all():
            raise InputError(f"features must be finite, of shape ({N}, D), got {features.shape}")
        if isinstance(self.search, str):
            self.search = build_search(self.search, features.astype(np.float32), self.metric)
        if (self.search.num_items, self.search.metric) != (N, self.metric):
            raise InputError(
                f"search is of {self.search.num_items} items by {self.search.metric}, the world has {N} and "
                f"metric is {self.metric}"
            )
        self.D = features.shape[1]
        bound = max(float(np.abs(features).max()), 1e-6)
        self.action_space = Box(-bound, bound, (self.D,), np.float32)

    def act(self, actions: Array) -> Array:
        """Slates (B, K) of points (B, D)."""
        points = numbers(actions, (self.num_envs, self.D), "points")
        if not np.isfinite(points).all():
            where = np.argwhere(~np.isfinite(points))[0].tolist()
            raise InputError(f"points{where} is infinite: no item is nearest")
        assert not isinstance(self.search, str)
        return self.search.nearest(points.astype(np.float32), self.K)
