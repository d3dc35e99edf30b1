"""Popular mimic: fake users take what honest ones take, as often as these do, and slip the targets in.

    q(i) = honest events of item i,   ratings of fillers as in the average attack

Their fillers are those of honest users in number and popularity, so detectors that look at how popular a
user's items are see nothing. With `paired`, every second action is a target's, in turn, so that what follows
popular items in a sequence is a target.

Knowledge: black. Source: the average-over-popular attack of Hurley, Cheng, Zhang, "Statistical attack
detection", RecSys 2009, without ratings; the pairs are ours, for recommenders that read sequences.
"""

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.simulators.attackers.attack import Budget, Goal, Knowledge
from recsim_env.simulators.attackers.profiles import draw_profiles


class PopularMimicAttacker:
    """See the module.

    Args:
        paired: whether targets come every second time.
    """

    def __init__(self, *, paired: bool = False) -> None:
        self.paired = paired

    def profiles(self, goal: Goal, budget: Budget, known: Knowledge, seed: int) -> Ints:
        """See `Attacker`."""
        rows = draw_profiles(goal, budget, known, seed, law=known.popularity.astype(np.float64))
        if not self.paired or goal.demote:
            return rows
        paired = rows.copy()
        for m, row in enumerate(rows):
            fillers = row[~np.isin(row, goal.targets) & (row >= 0)]
            half = np.arange(1, budget.actions, 2)
            turn = np.roll(goal.targets, -(m % len(goal.targets)))
            paired[m, 1::2] = turn[np.arange(len(half)) % len(turn)]
            taken = (
                fillers[np.arange(len(paired[m, ::2])) % max(1, len(fillers))] if len(fillers) else turn[0]
            )
            paired[m, ::2] = taken
        return paired

    def filler_ratings(self, items: Ints, goal: Goal, known: Knowledge, rng: np.random.Generator) -> Floats:
        """See `RatingAttacker`."""
        assert known.ratings is not None
        return rng.normal(known.ratings.mean[items], known.ratings.deviation[items])
