"""Bandwagon: the targets beside what is most popular, which many users have had, among random fillers.

    always taken: the P most popular items;   q(i) = 1,   popular items are rated best

Knowledge: black. Source: Burke, Mobasher, Bhaumik, "Limited knowledge shilling attacks", 2005; P as in ARLib
(CoderWZW/ARLib): as many as there are fillers.
"""

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import check_ranges
from recsim_env.simulators.attackers.attack import Budget, Goal, Knowledge
from recsim_env.simulators.attackers.profiles import draw_profiles


class BandwagonAttacker:
    """See the module.

    Args:
        popular: P; None = half of what is not a target.

    Raises:
        InputError: P below 1.
    """

    def __init__(self, popular: int | None = None) -> None:
        if popular is not None:
            check_ranges({"popular": popular}, {}, {})
        self.popular = popular

    def profiles(self, goal: Goal, budget: Budget, known: Knowledge, seed: int) -> Ints:
        """See `Attacker`."""
        popular = self._popular(goal, budget.actions, known)
        return draw_profiles(goal, budget, known, seed, law=np.ones(known.num_items), always=popular)

    def filler_ratings(self, items: Ints, goal: Goal, known: Knowledge, rng: np.random.Generator) -> Floats:
        """See `RatingAttacker`."""
        scale = known.ratings
        assert scale is not None
        drawn = rng.normal(scale.overall_mean, scale.overall_deviation, items.shape)
        return np.where(np.isin(items, self._popular(goal, items.shape[1], known)), scale.highest, drawn)

    def _popular(self, goal: Goal, actions: int, known: Knowledge) -> Ints:
        """The most popular items, targets left out, most popular first."""
        count = max(0, actions - len(goal.targets)) // 2 if self.popular is None else self.popular
        order = np.argsort(-known.popularity, kind="stable")
        return order[~np.isin(order, goal.targets)][:count]
