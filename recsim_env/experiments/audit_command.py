"""The command `recsim-env audit`: which shortcuts and leaks a log has, and which claims it can carry.

Scores baselines that only count (popularity, Markov-1 and -2, item-kNN, the transition-graph heuristic with
every kind of item features there is), measures how much of the log they already solve, looks for leaks, and
says what a better number on this log would, and would not, be evidence of.
"""

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from recsim_env.errors import InputError

EPILOG = """examples:
  recsim-env audit complete-journey
  recsim-env audit path/of/a/directory --out audits/mine      (report.json, report.md, figure.png)
  recsim-env log SlateRec-v0 --agent random --steps 20 --out log.parquet && recsim-env audit log.parquet

a directory holds interactions.parquet with user_id, item_id and order or timestamp, and may hold
items.parquet with item_id and title, attribute_ids, brand, category or categories: the item features."""


def add_audit_command(verbs: Any) -> None:
    """Add the command to the parser of `recsim-env`."""
    verb = verbs.add_parser(
        "audit",
        help="which shortcuts and leaks a log has, and which claims it can carry",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument(
        "log", metavar="LOG", help="name of a shipped data set, a directory, or the Parquet file of a log"
    )
    verb.add_argument(
        "--out", type=Path, metavar="DIR", help="a new directory for report.json, report.md and figure.png"
    )
    verb.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of ties in time and equal scores (default: 0)"
    )
    verb.set_defaults(do=run)


def run(options: argparse.Namespace) -> None:
    """Audit, print, and write where asked to."""
    from recsim_env.experiments.audit import audit
    from recsim_env.experiments.audit_report import text, write
    from recsim_env.experiments.files import check_new, new_directory

    if options.seed < 0:
        raise InputError(f"--seed must be 0 or more, got {options.seed}")
    if options.out is not None:
        check_new(options.out)
    found = audit(options.log, seed=options.seed, progress=True)
    sys.stdout.write(text(found))
    if options.out is not None:
        seed = f" --seed {options.seed}" if options.seed else ""
        command = f"recsim-env audit {shlex.quote(Path(options.log).name)}{seed}"
        with new_directory(options.out) as folder:
            write(found, folder, command)
        sys.stdout.write(f"wrote {options.out}/: report.json, report.md, figure.png\n")
