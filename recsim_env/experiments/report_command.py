"""The command `recsim-env report`: runs as one page of HTML that can be sent to somebody."""

import argparse
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from recsim_env.experiments.report import check_place, report


def add_report_command(verbs: Any, experiments: Callable[[], dict[str, ModuleType]]) -> None:
    """Add the command to the parser of `recsim-env`.

    Args:
        verbs: of the parser.
        experiments: gives them by name.
    """
    verb = verbs.add_parser(
        "report",
        help="write runs as one HTML page, to share",
        description="Write runs as one HTML page: results with intervals, ranks, figures, slates, settings, "
        "how to run them again, and what they did not measure. All is in the file; it needs no network.",
        epilog="example: recsim-env report runs/first --out first.html",
    )
    verb.add_argument(
        "directories",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="directories of runs, or of `recsim-env compare`",
    )
    verb.add_argument(
        "--out",
        type=Path,
        default=Path("report.html"),
        metavar="FILE",
        help="an older report there is overwritten (default: report.html)",
    )
    verb.set_defaults(do=lambda options: run(options, experiments()))


def run(options: argparse.Namespace, experiments: dict[str, ModuleType]) -> None:
    """Write the report."""
    check_place(options.out)
    command = shlex.join(["recsim-env", "report", *map(str, options.directories), "--out", str(options.out)])
    warnings = report(options.directories, experiments, options.out, command)
    size = options.out.stat().st_size / 1e3
    sys.stdout.write("".join(f"warning: {warning}\n" for warning in warnings))
    sys.stdout.write(f"wrote {options.out}: {size:.0f} kB, needs no network\n")
