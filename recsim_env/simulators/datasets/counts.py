"""What a log is like, in a few numbers."""

from dataclasses import dataclass

import numpy as np

from recsim_env.simulators.log import Log


@dataclass(frozen=True)
class LogCounts:
    """Counts of a log; what is counted in cells is counted over the items shown, empty slots left out."""

    rows: int
    users: int
    items: int  # different ones that were shown
    slate_size: int
    cells: int
    clicks: int
    density: float  # share of the pairs of a user and an item that were shown at least once
    repeat_share: float  # share of cells whose user was shown the item in an earlier cell
    rows_per_user: float  # median
    most_rows_of_a_user: int
    tied_share: float  # share of rows with another row of the same user at the same time
    first_time: float
    last_time: float


def count_log(log: Log) -> LogCounts:
    """Count a log of one row or more."""
    new_user = np.concatenate([[True], log.user[1:] != log.user[:-1]])[: len(log)]  # sorted by user
    rows = np.diff(np.append(np.flatnonzero(new_user), len(log)))
    shown = log.slate >= 0
    item = log.slate[shown]
    user = np.broadcast_to((np.cumsum(new_user) - 1)[:, None], log.slate.shape)[shown]
    distinct_items, number = np.unique(item, return_inverse=True)
    cells = len(user)
    pair = np.sort(user * np.int64(max(len(distinct_items), 1)) + number)
    pairs = int((pair[1:] != pair[:-1]).sum()) + (cells > 0)
    return LogCounts(
        rows=len(log),
        users=len(rows),
        items=len(distinct_items),
        slate_size=log.slate.shape[1],
        cells=cells,
        clicks=int(log.clicked.sum()),
        density=pairs / max(len(rows) * len(distinct_items), 1),
        repeat_share=1.0 - pairs / max(cells, 1),
        rows_per_user=float(np.median(rows)) if len(rows) else 0.0,
        most_rows_of_a_user=int(rows.max(initial=0)),
        tied_share=float(log.tied_rows().mean()) if len(log) else 0.0,
        first_time=float(log.time.min(initial=np.inf)) if len(log) else float("nan"),
        last_time=float(log.time.max(initial=-np.inf)) if len(log) else float("nan"),
    )
