"""The command `recsim-env calibrate`: a world fitted to a log, and how far it resembles it."""

import argparse
import sys
from pathlib import Path
from typing import Any

from recsim_env.errors import InputError
from recsim_env.experiments.files import write_atomically

CLOCKS = {"seconds": 1.0, "minutes": 60.0, "hours": 3600.0, "days": 86_400.0}
MOST_REMEMBERED = 2000  # plays of the simulated users of the report

DESCRIPTION = """Fit a world to a log, and hold a log simulated from it against the real one.

Writes into --out: calibration.json and calibration.npz, which gym.make reads, and fidelity.md, fidelity.csv
and fidelity.png, the statistics of both logs beside each other."""

EPILOG = """example:
  recsim-env calibrate complete-journey --world RepeatListen-v0 --out runs/shop
then
  gym.make("RepeatListen-v0", calibration="runs/shop")
or, from slates and clicks,
  recsim-env log SlateRec-v0 --agent random --steps 100 --out log.parquet
  recsim-env calibrate log.parquet --world SlateRec-v0 --clicks cascade --out runs/slates"""


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
        "item_id, timestamp); for SlateRec-v0: a file of slates, as `recsim-env log` and write_log write it",
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
        help="write the report although the fit did not converge or lies on a bound",
    )
    verb.set_defaults(do=run)


def run(options: argparse.Namespace) -> None:
    """Fit, simulate, compare, write."""
    out = options.out
    if out.exists():
        raise InputError(f"{out} is there already: delete it, or choose another --out")
    if options.seed < 0:
        raise InputError(f"--seed must be 0 or more, got {options.seed}")
    of_the_other = ("clock",) if options.world == "SlateRec-v0" else ("clicks", "dimension")
    for name in of_the_other:
        if getattr(options, name) is not None:
            raise InputError(f"--{name} is not for {options.world}: leave it out")
    if options.world == "SlateRec-v0":
        from recsim_env.experiments.calibrate_slates import calibrate_slates

        _write_all(out, *calibrate_slates(options))
    else:
        _write_all(out, *_calibrate_listening(options))


def _calibrate_listening(options: argparse.Namespace) -> tuple[Any, Any]:
    """The calibration and its report."""
    from recsim_env.simulators.calibration.fidelity import fidelity
    from recsim_env.simulators.calibration.listening import fit_listening, simulate_like
    from recsim_env.simulators.datasets import read_interactions

    seconds = CLOCKS[options.clock or "seconds"]
    say = sys.stderr.write
    log = read_interactions(options.log).log
    say(f"fitting {len(log):,} events ...\n")
    calibration = fit_listening(log, seconds=seconds, name=str(options.log))
    for problem in calibration.problems:
        say(f"WARNING: {problem}\n")
    for name, error in calibration.std_errors.items():
        sys.stdout.write(f"{name:20} {getattr(calibration, name):.4f} +- {error:.4f}\n")
    sys.stdout.write(
        f"{'mean gap':20} {calibration.mean_gap / 86_400:.2f} days, shape {calibration.gap_shape:.2f}\n"
    )
    remembered = max(1, min(MOST_REMEMBERED, len(calibration.popularity) - 2))
    world = calibration.world(
        num_users=len(calibration.pace), force=options.force, remembered=remembered, horizon=1
    )
    say("simulating a log of the same users and numbers of events ...\n")
    simulated = simulate_like(world, log, seconds=seconds, seed=options.seed)
    return calibration, fidelity(log, simulated)


def _write_all(out: Path, calibration: Any, report: Any) -> None:
    """What gym.make reads, and the report in three forms."""
    calibration.save(out)
    write_atomically(out / "fidelity.md", lambda path: _write(path, report.markdown()))
    write_atomically(out / "fidelity.csv", lambda path: _write(path, report.csv()))
    write_atomically(out / "fidelity.png", lambda path: report.picture().savefig(path, dpi=110))
    sys.stdout.write(report.text() + f"\nwrote {out}\n")


def _write(path: Path, words: str) -> None:
    path.write_text(words)
