"""`recsim-env calibrate LOG --world SlateRec-v0`: fit, and try the world on sessions that were held out."""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from recsim_env.arrays import Array
from recsim_env.errors import InputError
from recsim_env.experiments.env_args import world_of
from recsim_env.experiments.odd_rows import name_slate, note_repeated_row, problems_of_time
from recsim_env.simulators.calibration.fidelity_report import FidelityReport
from recsim_env.simulators.calibration.slate_calibration import NUMBERS, SlateCalibration
from recsim_env.simulators.log import Log

CLICKS = "cascade"
DIMENSION = 16
AGAIN = "make the log again with this version"


def calibrate_slates(options: argparse.Namespace) -> tuple[SlateCalibration, Callable[[], FidelityReport]]:
    """The calibration, and what makes its report.

    Raises:
        InputError: a file that is no log, or rows in the future without --force; see also `fit_slates`.
    """
    from recsim_env.simulators.calibration.slate_fidelity import slate_fidelity
    from recsim_env.simulators.calibration.slates import fit_slates

    log, late = read(Path(options.log), force=options.force)
    sys.stderr.write(f"fitting {len(log):,} slates ...\n")
    fit = fit_slates(
        log,
        CLICKS if options.clicks is None else options.clicks,
        DIMENSION if options.dimension is None else options.dimension,
        seed=options.seed,
        name=str(options.log),
    )
    calibration = replace(fit.calibration, problems=(*late, *fit.calibration.problems))
    fit = replace(fit, calibration=calibration)
    for problem in calibration.problems:
        sys.stderr.write(f"WARNING: {problem}\n")
    for note in calibration.notes:
        sys.stderr.write(f"note: {note}\n")
    for name in NUMBERS:
        value, error = getattr(calibration, name), calibration.std_errors[name]
        sys.stdout.write(f"{name:20}{value:9.4f}" + (f" +- {error:.4f}\n" if error == error else "\n"))
    sys.stdout.write(f"{'clicks':20}{calibration.click_name}\n")
    for name, value in vars(calibration.clicks).items():
        sys.stdout.write(f"{name:20}{_shown(np.asarray(value))}\n")

    def report() -> FidelityReport:
        sys.stderr.write("showing the held-out slates to the simulated users ...\n")
        return slate_fidelity(calibration.world(force=True), fit, seed=options.seed)

    return calibration, report


def _shown(value: Array) -> str:
    if value.ndim == 2:
        return f"{value.shape[0]} x {value.shape[1]}, in calibration.npz"
    return " ".join(f"{one:.3f}" for one in value.ravel())


def read(path: Path, *, force: bool) -> tuple[Log, tuple[str, ...]]:
    """A log of slates, and its rows in the future as a problem, if there are any.

    In one that an environment of this package made, the users are the people met.

    Args:
        path: of the log.
        force: take rows in the future, too; a simulated clock has no future.

    Raises:
        InputError: no such file, no log, one that is not what its metadata say, or rows in the future.
    """
    from recsim_env.simulators.log_files import read_log

    log = read_log(path)
    name_row = partial(name_slate, log)
    late = problems_of_time(log, None if "env_id" in log.metadata else time.time(), name_row, force=force)
    note_repeated_row(log, name_row)
    try:
        return _of_people(log), late
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _of_people(log: Log) -> Log:
    from recsim_env.simulators.calibration.people import by_people

    num_items = log.metadata.get("num_items")
    if isinstance(num_items, int):
        log.check_items(num_items)
    if "env_id" not in log.metadata:
        return log
    env_id, env_args = str(log.metadata["env_id"]), log.metadata.get("env_args", {})
    if not isinstance(env_args, dict):
        raise InputError(f"env_args in its metadata must be parameters by name, got {env_args!r}: {AGAIN}")
    try:
        world = world_of(env_id, env_args)
    except InputError as error:
        raise InputError(f"it says it was made by {env_id} with {env_args} ({error}): {AGAIN}") from None
    return by_people(world, log) if "user" in world.observation_entries() else log
