"""Users whose interest drifts while they take items by themselves; nobody recommends anything.

    interest of u    x_u(t), a Gaussian process of the number t of the item that is taken, whose correlation
                     at lag d is exp(-d^2 / 2 length_scale^2)
    what u takes     item i with probability proportional to exp(kappa cos(x_u(t), f_i)), at every t

The categories of the catalogue are small patches of the sphere that an interest wanders over, so what comes
next is near to what came last, further on the way. Source: the set-up is ours.
"""

from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import check_ranges
from recsim_env.simulators.catalogue import synthetic_catalogue
from recsim_env.simulators.log import Log
from recsim_env.simulators.luck import Luck
from recsim_env.user_models.preferences import GaussianProcess

CATEGORIES, DIMENSION, SPREAD, SHARPNESS = 40, 8, 0.3, 16.0


@dataclass(frozen=True)
class DriftingUsers:
    """What U users took, and how probable each next item was."""

    taken: Ints  # (U, T) items, the latest last
    last_score: Floats  # (U, N) log-probability of every item, but for a constant, where the last was taken

    def log(self, users: int) -> Log:
        """All that the first users took, as a log."""
        U, T = self.taken[:users].shape
        user, time = np.repeat(np.arange(U), T), np.tile(np.arange(T), U)
        return Log.from_interactions(user, self.taken[:users].ravel(), time.astype(np.float64))


def drifting_users(
    num_items: int, num_users: int, taken: int, length_scale: float, seed: int
) -> DriftingUsers:
    """Draw a catalogue, users and what they take.

    Args:
        num_items: N, at least 40.
        num_users: U.
        taken: T items of each.
        length_scale: in items taken, above 0; infinity for users who do not change.
        seed: of everything.

    Raises:
        InputError: a number out of range.
    """
    check_ranges({"num_users": num_users, "taken": taken}, {}, {})
    process = GaussianProcess(DIMENSION, length_scale)
    catalogue = synthetic_catalogue(num_items, DIMENSION, CATEGORIES, spread=SPREAD, world_seed=seed)
    luck = Luck.from_seeds(np.arange(num_users) + (seed << 32))
    paths = process.paths(luck.normal("paths", (process.num_normals,)))
    drawn, users = luck.uniform("taken", (taken,)), np.arange(num_users)
    items, score = np.empty((num_users, taken), np.int64), np.empty((num_users, num_items))
    for t in range(taken):
        interest = process.interest(paths, users, np.full(num_users, float(t))).astype(np.float64)
        interest *= SHARPNESS / np.linalg.norm(interest, axis=1, keepdims=True)
        score = interest @ catalogue.features.T
        share = np.exp(score - score.max(axis=1, keepdims=True)).cumsum(axis=1)
        items[:, t] = (share <= drawn[:, t, None] * share[:, -1:]).sum(axis=1)
    return DriftingUsers(items, score)
