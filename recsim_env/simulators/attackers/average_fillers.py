"""Average: random fillers, each rated as that item is, so that fake users look like what they stand beside.

    q(i) = 1,   rating of filler i ~ N(mean of i, deviation of i)

Knowledge: black, on a log with ratings; without ratings it would be the random attack.
Source: Lam, Riedl, "Shilling recommender systems for fun and profit", WWW 2004.
"""

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.simulators.attackers.attack import Budget, Goal, Knowledge
from recsim_env.simulators.attackers.profiles import draw_profiles


class AverageAttacker:
    """See the module.

    Raises:
        InputError: `profiles`: a log without ratings.
    """

    def profiles(self, goal: Goal, budget: Budget, known: Knowledge, seed: int) -> Ints:
        """See `Attacker`."""
        known.need("AverageAttacker", "ratings")
        return draw_profiles(goal, budget, known, seed, law=np.ones(known.num_items))

    def filler_ratings(self, items: Ints, goal: Goal, known: Knowledge, rng: np.random.Generator) -> Floats:
        """See `RatingAttacker`."""
        assert known.ratings is not None
        return rng.normal(known.ratings.mean[items], known.ratings.deviation[items])
