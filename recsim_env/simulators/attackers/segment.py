"""Segment: the targets beside items that are like them, so that users who like those are shown the targets.

    always taken: the S items nearest to a target, by the cosine of their features
    q(i) = 1,   the segment is rated best, fillers worst

Knowledge: features of the items; without them, of who had what: the vectors of an item are the users who had
it, which is grey. Source: Mobasher and others, "Toward trustworthy recommender systems", 2007; its code in
XMUDM/ShillingAttack for the ratings.
"""

import numpy as np
from scipy import sparse

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import check_ranges
from recsim_env.simulators.attackers.attack import Budget, Goal, Knowledge
from recsim_env.simulators.attackers.profiles import draw_profiles


class SegmentAttacker:
    """See the module.

    Args:
        segment: S; None = half of what is not a target.

    Raises:
        InputError: S below 1; `profiles`: neither features nor a log.
    """

    def __init__(self, segment: int | None = None) -> None:
        if segment is not None:
            check_ranges({"segment": segment}, {}, {})
        self.segment = segment

    def profiles(self, goal: Goal, budget: Budget, known: Knowledge, seed: int) -> Ints:
        """See `Attacker`."""
        near = self._segment(goal, budget.actions, known)
        return draw_profiles(goal, budget, known, seed, law=np.ones(known.num_items), always=near)

    def filler_ratings(self, items: Ints, goal: Goal, known: Knowledge, rng: np.random.Generator) -> Floats:
        """See `RatingAttacker`."""
        assert known.ratings is not None
        near = np.isin(items, self._segment(goal, items.shape[1], known))
        return np.where(near, known.ratings.highest, known.ratings.lowest)

    def _segment(self, goal: Goal, actions: int, known: Knowledge) -> Ints:
        """The items nearest to a target, targets left out, nearest first."""
        count = max(0, actions - len(goal.targets)) // 2 if self.segment is None else self.segment
        order = np.argsort(-_nearness(goal.targets, known), kind="stable")
        return order[~np.isin(order, goal.targets)][:count]


def _nearness(targets: Ints, known: Knowledge) -> Floats:
    """(N,) the largest cosine of each item to a target."""
    if known.features is not None:
        unit = known.features / np.maximum(np.linalg.norm(known.features, axis=1, keepdims=True), 1e-12)
        return (unit @ unit[targets].T).max(axis=1)
    known.need("SegmentAttacker", "log")
    assert known.log is not None
    user = np.repeat(known.log.user, np.count_nonzero(known.log.clicked, axis=1))
    _, row = np.unique(user, return_inverse=True)
    shape = known.num_items, int(row.max(initial=0)) + 1
    had = sparse.csr_array((np.ones(len(row)), (known.log.slate[known.log.clicked], row)), shape)
    length = np.sqrt(np.maximum(known.popularity, 1))
    common = np.asarray((had @ had[targets].T).toarray())
    return (common / length[:, None] / length[targets]).max(axis=1)
