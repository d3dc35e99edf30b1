"""Random: the targets among items that are drawn evenly, rated as any item is.

    q(i) = 1,   ratings of fillers ~ N(mean of all, deviation of all)

Knowledge: black. Source: Lam, Riedl, "Shilling recommender systems for fun and profit", WWW 2004.
"""

import numpy as np

from recsim_env.arrays import Ints
from recsim_env.simulators.attackers.attack import Budget, Goal, Knowledge
from recsim_env.simulators.attackers.profiles import draw_profiles


class RandomAttacker:
    """See the module."""

    def profiles(self, goal: Goal, budget: Budget, known: Knowledge, seed: int) -> Ints:
        """See `Attacker`."""
        return draw_profiles(goal, budget, known, seed, law=np.ones(known.num_items))
