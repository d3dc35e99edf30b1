"""What looks like a mistake in a log and may be none: it is said, and the fit goes on."""

import sys
from collections.abc import Callable

import numpy as np

from recsim_env.simulators.log import Log


def say_what_is_odd(log: Log, now: float | None, name_row: Callable[[int], str]) -> None:
    """Warn of rows later than now, and note a row that stands twice.

    Args:
        log: with ids of any numbering.
        now: on the log's clock; None if that counts events, which are neither past nor future.
        name_row: where a row of the log is found in its source, and what it holds there.
    """
    late = np.zeros(len(log), np.bool_) if now is None else log.time > now
    if late.any():
        sys.stderr.write(
            f"WARNING: {late.sum():,} of {len(log):,} rows are in the future, such as "
            f"{name_row(int(np.argmax(late)))}: mend their clock, or drop them\n"
        )
    if (repeated := log.repeated_row()) is not None:
        again, before = map(name_row, repeated)
        sys.stderr.write(f"note: {again} repeats {before}: drop it, unless a visit may hold a thing twice\n")


def name_slate(log: Log, row: int) -> str:
    """A row of a log of slates with its cells; `read_log` has sorted the rows, so the order is said, too."""
    cells = f"user {log.user[row]}, time {log.time[row]:.16g}, slate {log.slate[row].tolist()}"
    return f"row {row} by user and time ({cells})"
