"""The command `recsim-env data`: which data sets there are, what one is like, and whether a file is sound.

`list` names every set with its terms, whether it ships with this package, and where to get it. `info` counts
one: users, items, rows, density, repeats, time and ties. `check` reads a log or a table of interactions whole
and says what is wrong with it: file, row and column.
"""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recsim_env.errors import InputError

EPILOG = """examples:
  recsim-env data list
  recsim-env data info complete-journey
  recsim-env data info open-bandit/all --policy bts
  recsim-env data check random.parquet            # a log of recsim-env log, or a directory of its parts
  recsim-env data check plays.csv --user who --item song --time at --time-unit ms"""

ISO = 86_400.0 * 365  # a clock that begins later than 1971 and is no position is shown as a date, too


def add_data_command(verbs: Any) -> None:
    """Add the command to the parser of `recsim-env`."""
    verb = verbs.add_parser(
        "data",
        help="list the data sets, count one, or check a file",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    tasks = verb.add_subparsers(title="what to do", required=True, metavar="TASK", dest="task")

    task = tasks.add_parser("list", help="every data set that is known, with terms, layout and source")
    task.set_defaults(do=_list)

    task = tasks.add_parser("info", help="counts and terms of a data set")
    task.add_argument("source", metavar="NAME_OR_PATH", help="a shipped name, a directory or a file")
    _add_reading(task)
    task.set_defaults(do=_info)

    task = tasks.add_parser(
        "check", help="read a file whole and say what is wrong with it; exit code 2 if so"
    )
    task.add_argument("source", metavar="FILE", help="a log, a directory of its parts, or what `info` takes")
    _add_reading(task)
    task.add_argument(
        "--unique-times", action="store_true", help="refuse two rows of one user at the same time, too"
    )
    task.set_defaults(do=_check)


def _add_reading(task: argparse.ArgumentParser) -> None:
    task.add_argument(
        "--prefer", choices=("order", "timestamp"), default="order", help="clock, where two are"
    )
    task.add_argument("--campaign", metavar="NAME", help="of the Open Bandit Dataset: all, men or women")
    task.add_argument("--policy", metavar="NAME", help="of the Open Bandit Dataset or KuaiRand")
    for name in ("user", "item", "time", "clicked", "reward", "propensity"):
        hint = ", or none for a table without a clock" if name == "time" else ""
        task.add_argument(
            f"--{name}", metavar="COLUMN", help=f"the column of a table that is the {name}{hint}"
        )
    task.add_argument(
        "--time-unit", default="s", metavar="UNIT", help="of times that are numbers: s, ms, us, ns"
    )


def _list(_: argparse.Namespace) -> None:
    from recsim_env.simulators.datasets.known_sets import KNOWN_SETS

    for known in KNOWN_SETS:
        sys.stdout.write(
            f"{known.name}{' (ships with this package)' * known.ships}\n"
            f"  {known.what}; {known.counts}\n"
            f"  terms: {known.terms}\n"
            f"  from: {known.source}\n"
            f"  read by: {known.layout}\n"
        )
    sys.stdout.write(
        "any other table (.csv, .tsv, .parquet, .jsonl): read_table, or recsim-env data info FILE --user C "
        "...\n"
    )


def _info(options: argparse.Namespace) -> None:
    from recsim_env.simulators.datasets.known_sets import KNOWN_SETS

    name = Path(options.source).name if Path(options.source).exists() else options.source
    known = next((known for known in KNOWN_SETS if known.name in (options.source, name)), None)
    if known is not None and not known.ships and not Path(options.source).exists():
        sys.stdout.write(
            f"{known.name}: {known.what}; {known.counts}\nterms: {known.terms}\n"
            f"not shipped, from: {known.source}\nread by: {known.layout}\n"
        )
        return
    from recsim_env.simulators.log_files import is_log

    path = Path(options.source)
    if is_log(path):
        from recsim_env.simulators.log_files import read_log

        sys.stdout.write(f"{path}: a log of recsim-env\n{_counts(read_log(path), 'time')}")
        return
    data = _read(options)
    sys.stdout.write(f"{data.name}\n{_counts(data.log, getattr(data, 'clock', 'timestamp'))}")
    if known is not None:
        sys.stdout.write(f"terms: {known.terms}\nfrom: {known.source}\n")
    else:
        sys.stdout.write("terms: not known to this package; see where you have it from\n")


def _check(options: argparse.Namespace) -> None:
    from recsim_env.simulators.log_files import is_log
    from recsim_env.simulators.log_scan import open_log

    path = Path(options.source)
    if is_log(path) or (path.is_dir() and any(is_log(part) for part in path.glob("*.parquet"))):
        parts = open_log(path)
        rows = 0
        for piece in parts.pieces():
            try:
                piece.validate(unique_times=options.unique_times)
            except InputError as error:
                raise InputError(f"{path}, of the piece from row {rows} on: {error}") from None
            rows += len(piece)
        if rows != parts.num_rows:
            raise InputError(f"{path} has {rows} rows, but its parts state {parts.num_rows}: make it again")
        columns = ", ".join(parts.columns)
        sys.stdout.write(f"{path}: sound, {rows:,} rows in {len(parts.paths)} file(s), columns {columns}\n")
        return
    data = _read(options)
    log = data.log
    log.validate(unique_times=options.unique_times)
    sys.stdout.write(f"{options.source}: sound, {len(log):,} rows\n")
    if (repeated := log.repeated_row()) is not None:
        again, before = (int(data.rows[row]) for row in repeated)
        sys.stdout.write(
            f"note: row {again} of the source repeats row {before}: drop it, unless a visit may hold a thing "
            "twice\n"
        )
    tied = log.tied_rows().mean()
    if tied > 0:
        sys.stdout.write(
            f"note: {tied:.1%} of the rows share their time with another of their user: their order is the "
            "file's\n"
        )


def _read(options: argparse.Namespace) -> Any:
    """The data set, by `read_table` if columns are named."""
    from recsim_env.simulators.datasets import read_dataset, read_table

    named = {
        name: getattr(options, name)
        for name in ("user", "item", "time", "clicked", "reward", "propensity")
        if getattr(options, name) is not None
    }
    if named.get("time") == "none":
        named["time"] = None
    if named or options.time_unit != "s":
        return read_table(options.source, time_unit=options.time_unit, **named)
    return read_dataset(
        options.source, prefer=options.prefer, campaign=options.campaign, policy=options.policy
    )


def _counts(log: Any, clock: str) -> str:
    from recsim_env.simulators.datasets.counts import count_log

    if len(log) == 0:
        return "no rows\n"
    c = count_log(log)
    lines = [
        f"rows: {c.rows:,}"
        + (f", slates of {c.slate_size} with {c.cells:,} items" if c.slate_size > 1 else ""),
        f"users: {c.users:,}, rows of a user: {c.rows_per_user:g} (median), {c.most_rows_of_a_user:,} (most)",
        f"items: {c.items:,}, density: {c.density:.4%} of the pairs",
        f"repeats: {c.repeat_share:.2%} of the items were shown to their user before",
    ]
    if c.clicks < c.cells:
        lines.append(f"clicks: {c.clicks:,}, {c.clicks / max(c.cells, 1):.4f} of the items shown")
    lines.append(f"propensities: {'yes' if log.log_propensity is not None else 'no'}")
    if clock == "none":
        lines.append("clock: none, so no order: all rows of a user are tied")
    else:
        span = f"{c.first_time:g} to {c.last_time:g}"
        if c.first_time > ISO:
            span = " to ".join(
                datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%d %H:%M:%S")
                for t in (c.first_time, c.last_time)
            )
        lines.append(f"clock: {clock}, {span}; {c.tied_share:.1%} of the rows are tied in time")
    return "".join(f"{line}\n" for line in lines)
