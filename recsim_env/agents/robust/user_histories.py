"""What every user of a log took, as a table that recommenders read."""

import numpy as np

from recsim_env.arrays import Ints
from recsim_env.simulators.log import Log


def user_histories(log: Log, longest: int | None = None) -> Ints:
    """The last items of every user, (U, H), padded with -1 on the left, users in the order of their ids.

    Args:
        log: of interactions.
        longest: H at most, 1 or more; None = the longest history.
    """
    user, item = log.user, log.slate[:, 0]
    _, row, count = np.unique(user, return_inverse=True, return_counts=True)
    back = np.cumsum(count)[row] - 1 - np.arange(len(row))  # 0 = the user's last
    H = int(count.max()) if longest is None else min(longest, int(count.max()))
    kept = back < H
    table = np.full((len(count), H), -1)
    table[row[kept], H - 1 - back[kept]] = item[kept]
    return table
