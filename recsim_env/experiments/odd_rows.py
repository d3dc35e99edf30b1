"""What looks like a mistake in a log: rows of the future are refused, a row that stands twice is said."""

import sys
from collections.abc import Callable

import numpy as np

from recsim_env.errors import InputError
from recsim_env.simulators.log import Log


def problems_of_time(
    log: Log, now: float | None, name_row: Callable[[int], str], *, force: bool
) -> tuple[str, ...]:
    """Rows later than now, as a problem of what is fitted to them; empty if there are none.

    They are refused before the fit, which may fail on them with an error that does not name them.

    Args:
        log: with ids of any numbering.
        now: on the log's clock; None if that is no calendar, and knows neither past nor future.
        name_row: where a row of the log is found in its source, and what it holds there.
        force: refuse nothing.

    Raises:
        InputError: there are such rows, and `force` is False.
    """
    late = np.zeros(len(log), np.bool_) if now is None else log.time > now
    if not late.any():
        return ()
    problem = (
        f"rows in the future: {late.sum():,} of {len(log):,}, such as {name_row(int(np.argmax(late)))}, "
        f"where now is {now:.0f}"
    )
    if not force:
        raise InputError(
            f"this log is not to be trusted ({problem}): mend their clock or drop them, or add --force to "
            "fit it all the same"
        )
    return (problem,)


def note_repeated_row(log: Log, name_row: Callable[[int], str]) -> None:
    """Say where a row stands twice, which may be no mistake; the arguments are those of above."""
    if (repeated := log.repeated_row()) is not None:
        again, before = map(name_row, repeated)
        sys.stderr.write(f"note: {again} repeats {before}: drop it, unless a visit may hold a thing twice\n")


def name_slate(log: Log, row: int) -> str:
    """A row of a log of slates with its cells; `read_log` has sorted the rows, so the order is said, too."""
    cells = f"user {log.user[row]}, time {log.time[row]:.16g}, slate {log.slate[row].tolist()}"
    return f"row {row} by user and time ({cells})"
