"""What looks like a mistake in a log and may be none: it is said, and the fit goes on."""

import sys

import numpy as np

from recsim_env.errors import InputError
from recsim_env.simulators.log import Log


def say_what_is_odd(log: Log, now: float | None) -> None:
    """Warn of rows later than now, and note a row that stands twice.

    Args:
        log: with the users and items of the source, so that the rows can be found there.
        now: on the log's clock; None if that counts events, which are neither past nor future.
    """
    late = np.zeros(len(log), np.bool_) if now is None else log.time > now
    if late.any():
        row = int(np.argmax(late))
        sys.stderr.write(
            f"WARNING: {late.sum():,} of {len(log):,} rows are in the future, such as user {log.user[row]}, "
            f"time {log.time[row]:.15g}, slate {log.slate[row].tolist()}: mend their clock, or drop them\n"
        )
    try:
        log.check_no_duplicates()
    except InputError as error:
        sys.stderr.write(f"note: {error}, unless a visit may hold a thing twice (rows by user, then time)\n")
