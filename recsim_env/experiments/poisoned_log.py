"""A log that is attacked: honest users, who is asked what they took next, and the items that fakes push.

data          a real log; or `organic`, users of a world, of whom true clicks are known as well
learned from  all but the last event of every honest user, and the fakes' profiles
measured on   the last event of honest users alone; the history is masked where the log repeats nothing
targets       T of the least popular half of the items that honest users had, drawn by the seed
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError
from recsim_env.experiments.organic_users import OrganicUsers, organic_users
from recsim_env.experiments.sequential_models import told_features
from recsim_env.experiments.sequential_training import asked
from recsim_env.simulators.log import Log
from recsim_env.simulators.splits import leave_one_out

ORGANIC = "organic"
ITEMS, USERS, TAKEN, SLATE = 500, 1500, 16, 5  # of the world of organic users
FEATURES = 64  # of items, where a log tells something of them


@dataclass(frozen=True)
class Honest:
    """Honest users, before any attack."""

    train: Log
    num_items: int  # N
    history: Ints  # (U, H) of those who are measured, -1 on the left
    target: Ints  # (U,) what each took next
    mask: bool  # whether lists leave out the history
    features: Floats | None  # (N, D) of items; None = nothing is told of them
    users: OrganicUsers | None  # the world, where it is one, of the same U users

    @property
    def profile_length(self) -> int:
        """Events of a user, on average."""
        return max(2, round(len(self.train) / len(np.unique(self.train.user))))


@lru_cache(maxsize=1)
def honest_users(source: str, most: int, seed: int) -> Honest:
    """Read or draw them.

    Args:
        source: organic, or what `read_events` reads.
        most: U at most; of a larger log as many are measured, drawn by 0, and all are learned from.
        seed: of the world; a real log does not depend on it.

    Raises:
        InputError: of a broken file, or a log with fewer than 20 users.
    """
    if source == ORGANIC:
        users = organic_users(ITEMS, USERS, TAKEN, SLATE, 1, seed)
        held = leave_one_out(users.log(np.arange(USERS)))
        known = users.world.catalogue.features.astype(np.float64)
        return Honest(held.train, ITEMS, held.history, held.target, False, known, users)
    data, held, _, mask = asked(source, "leave_one_out", 0.9)
    if len(held.user) < 20:
        raise InputError(f"{source} has {len(held.user)} users with two events: an attack needs 20 or more")
    kept = np.arange(len(held.user))
    if len(kept) > most:
        kept = np.sort(np.random.default_rng(0).permutation(kept)[:most])
    features = told_features(source, data.item_ids, FEATURES)
    return Honest(
        held.train, data.num_items, held.history[kept], held.target[kept], mask, features, users=None
    )


def unpopular_items(honest: Honest, count: int, seed: int) -> Ints:
    """T items of the less popular half of those that were taken, ascending.

    Raises:
        InputError: there are fewer.
    """
    popularity = np.bincount(honest.train.slate[:, 0], minlength=honest.num_items)
    order = np.argsort(popularity, kind="stable")
    order = order[popularity[order] > 0]
    half = order[: len(order) // 2]
    if count > len(half):
        raise InputError(f"targets must be at most {len(half)}, half the items that were taken, got {count}")
    return np.sort(np.random.default_rng([seed, 7]).choice(half, count, replace=False))
