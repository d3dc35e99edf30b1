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
  gym.make("RepeatListen-v0", calibration="runs/shop")"""


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
        help="complete-journey, or a directory with interactions.parquet (user_id, item_id, timestamp)",
    )
    verb.add_argument("--world", required=True, choices=("RepeatListen-v0",), help="what to fit")
    verb.add_argument("--out", required=True, type=Path, metavar="DIR", help="a new directory")
    verb.add_argument(
        "--clock", choices=CLOCKS, default="seconds", help="unit of the log's times (default: seconds)"
    )
    verb.add_argument("--seed", type=int, default=0, metavar="N", help="of the simulated log (default: 0)")
    verb.add_argument(
        "--force",
        action="store_true",
        help="write the report although the fit did not converge or lies on a bound",
    )
    verb.set_defaults(do=run)


def run(options: argparse.Namespace) -> None:
    """Fit, simulate, compare, write."""
    from recsim_env.simulators.calibration.fidelity import fidelity
    from recsim_env.simulators.calibration.listening import fit_listening, simulate_like
    from recsim_env.simulators.datasets import read_interactions

    out = options.out
    if out.exists():
        raise InputError(f"{out} is there already: delete it, or choose another --out")
    if options.seed < 0:
        raise InputError(f"--seed must be 0 or more, got {options.seed}")
    seconds = CLOCKS[options.clock]
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
    report = fidelity(log, simulated)
    calibration.save(out)
    write_atomically(out / "fidelity.md", lambda path: _write(path, report.markdown()))
    write_atomically(out / "fidelity.csv", lambda path: _write(path, report.csv()))
    write_atomically(out / "fidelity.png", lambda path: report.picture().savefig(path, dpi=110))
    sys.stdout.write(report.text() + f"\nwrote {out}\n")


def _write(path: Path, words: str) -> None:
    path.write_text(words)
