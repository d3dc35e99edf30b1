"""`recsim-env calibrate LOG --world RepeatListen-v0`: fit, and simulate a log like the one fitted to."""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from recsim_env.errors import InputError
from recsim_env.experiments.odd_rows import note_repeated_row, problems_of_time

if TYPE_CHECKING:
    from recsim_env.simulators.calibration.fidelity_report import FidelityReport
    from recsim_env.simulators.calibration.listening import ListeningCalibration

CLOCKS = {"seconds": 1.0, "minutes": 60.0, "hours": 3600.0, "days": 86_400.0}
MOST_REMEMBERED = 2000  # plays of the simulated users of the report
UNKNOWN_GAPS = (
    "the log has no timestamp, and its order counts visits: how long users stay away is --clock by assumption"
)


def calibrate_listening(
    options: argparse.Namespace,
) -> tuple["ListeningCalibration", Callable[[], "FidelityReport"]]:
    """The calibration, and what makes its report.

    Raises:
        InputError: no such log, or rows in the future without --force; see also `fit_listening`.
    """
    from recsim_env.simulators.calibration.fidelity import fidelity
    from recsim_env.simulators.calibration.listening import fit_listening, simulate_like
    from recsim_env.simulators.datasets import read_events

    seconds = CLOCKS[options.clock or "seconds"]
    data = read_events(options.log, prefer="timestamp")
    log = data.log
    now = time.time() / seconds if data.clock == "timestamp" else None
    late = problems_of_time(log, now, data.name_row, force=options.force)
    note_repeated_row(log, data.name_row)
    sys.stderr.write(f"fitting {len(log):,} events ...\n")
    calibration = fit_listening(log, seconds=seconds, name=str(options.log))
    calibration = replace(calibration, problems=(*late, *calibration.problems))
    if data.clock == "order" and not calibration.notes:
        calibration = replace(calibration, notes=(UNKNOWN_GAPS,))
    for warning in (*calibration.problems, *calibration.notes):
        sys.stderr.write(f"WARNING: {warning}\n")
    for name, error in calibration.std_errors.items():
        sys.stdout.write(f"{name:20} {getattr(calibration, name):.4f} +- {error:.4f}\n")
    sys.stdout.write(
        f"{'mean gap':20} {calibration.mean_gap / 86_400:.2f} days, shape {calibration.gap_shape:.2f}\n"
    )

    def report() -> "FidelityReport":
        remembered = max(1, min(MOST_REMEMBERED, len(calibration.popularity) - 2))
        try:
            world = calibration.world(
                num_users=len(calibration.pace), force=True, remembered=remembered, horizon=1
            )
        except InputError as error:  # it names a parameter that nobody gave: say where that comes from
            if not calibration.problems:
                raise
            raise InputError(
                f"even with --force no world can be made of this fit, which is not to be trusted "
                f"({'; '.join(calibration.problems)}): mend the log; what stops it: {error}"
            ) from None
        sys.stderr.write("simulating a log of the same users and numbers of events ...\n")
        found = fidelity(log, simulate_like(world, log, seconds=seconds, seed=options.seed))
        notes = (*calibration.notes, *found.notes)
        return replace(found, notes=notes, problems=calibration.problems)

    return calibration, report
