"""The command `recsim-env calibrate`: a world fitted to a log, and how far it resembles it."""

import argparse
import sys
from pathlib import Path
from typing import Any

from recsim_env.errors import InputError
from recsim_env.experiments.calibrate_listening import CLOCKS, calibrate_listening
from recsim_env.experiments.files import check_new, new_directory

DESCRIPTION = """Fit a world to a log, and hold a log simulated from it against the real one.

Writes into --out: calibration.json and calibration.npz, which gym.make reads, and fidelity.md, fidelity.csv
and fidelity.png, the statistics of both logs beside each other."""

EPILOG = """example:
  recsim-env calibrate complete-journey --world RepeatListen-v0 --out shop
then
  gym.make("RepeatListen-v0", calibration="shop")
or, from slates and clicks,
  recsim-env log SlateRec-v0 --agent random --steps 100 --out log.parquet
  recsim-env calibrate log.parquet --world SlateRec-v0 --clicks cascade --out slates

Ids of users and items are whole numbers. Others, such as texts, are numbered in pandas, for instance by
  df.user_id = pandas.factorize(df.user_id)[0]

RepeatListen-v0 is to know how long users stay away: where a log has timestamp and order, timestamp is read. A
log with order alone counts visits, and the gap from one to the next is one --clock by assumption; this is
warned of, and kept as a note in calibration.json. Rows in the future are refused, as is a fit that is not to
be trusted: --force takes them, and keeps the reason as a problem in calibration.json."""


def add_calibrate_command(verbs: Any) -> None:
    """Add the command to the parser of `recsim-env`."""
    verb = verbs.add_parser(
        "calibrate",
        help="fit a world to a log, and report how far it resembles it",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument(
        "log",
        metavar="LOG",
        help="for RepeatListen-v0: complete-journey, or a directory with interactions.parquet (user_id, "
        "item_id, timestamp or order; ids are whole numbers); for SlateRec-v0: a file of slates, as "
        "`recsim-env log` and write_log write it",
    )
    verb.add_argument(
        "--world", required=True, choices=("RepeatListen-v0", "SlateRec-v0"), help="what to fit"
    )
    verb.add_argument("--out", required=True, type=Path, metavar="DIR", help="a new directory")
    verb.add_argument(
        "--clock",
        choices=CLOCKS,
        help="unit of the log's times, for RepeatListen-v0 (default: seconds)",
    )
    verb.add_argument(
        "--clicks", metavar="NAME", help="click model, for SlateRec-v0 (default: cascade, one click a slate)"
    )
    verb.add_argument(
        "--dimension",
        type=int,
        metavar="D",
        help="of interests and features, for SlateRec-v0 (default: 16)",
    )
    verb.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of the simulation, and of what is held out (default: 0)",
    )
    verb.add_argument(
        "--force",
        action="store_true",
        help="write the report although rows are in the future, or the fit did not converge or lies on a "
        "bound",
    )
    verb.set_defaults(do=run)


def run(options: argparse.Namespace) -> None:
    """Fit, simulate, compare, write."""
    check_new(options.out)
    if options.seed < 0:
        raise InputError(f"--seed must be 0 or more, got {options.seed}")
    of_the_other = ("clock",) if options.world == "SlateRec-v0" else ("clicks", "dimension")
    for name in of_the_other:
        if getattr(options, name) is not None:
            raise InputError(f"--{name} is not for {options.world}: leave it out")
    calibration: Any
    if options.world == "SlateRec-v0":
        from recsim_env.experiments.calibrate_slates import calibrate_slates

        calibration, make_report = calibrate_slates(options)
    else:
        calibration, make_report = calibrate_listening(options)
    if calibration.problems and not options.force:
        raise InputError(
            f"this fit is not to be trusted ({'; '.join(calibration.problems)}): give a longer log, or add "
            "--force to write it all the same"
        )
    report = make_report()
    with new_directory(options.out) as folder:
        calibration.save(folder)
        (folder / "fidelity.md").write_text(report.markdown())
        (folder / "fidelity.csv").write_text(report.csv())
        report.picture().savefig(folder / "fidelity.png", dpi=110)
    sys.stdout.write(report.text() + f"\nwrote {options.out}\n")
