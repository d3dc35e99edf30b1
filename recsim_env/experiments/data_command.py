"""The command `recsim-env data`: which data sets there are, what one is like, and whether a file is sound.

`list` names every set with its licence in a word, those that ship with this package first. `info` counts one
(users, items, rows, density, repeats, time and ties) and says its terms and where to get it. `check` reads a
log or a table of interactions whole and says what is wrong with it: file, row and column.
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

    task = tasks.add_parser("list", help="every data set that is known, one a line")
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
    table = task.add_argument_group("the columns of a table (defaults: user_id, item_id, timestamp)")
    for name, what in (
        ("user", "user ids"),
        ("item", "item ids"),
        ("time", "times; none for a table without a clock"),
        ("clicked", "clicks, 0 or 1"),
        ("reward", "rewards"),
        ("propensity", "probabilities of the item under the policy that made the log"),
    ):
        table.add_argument(f"--{name}", metavar="COLUMN", help=what)
    table.add_argument(
        "--time-unit", default="s", metavar="UNIT", help="of times that are numbers: s, ms, us, ns"
    )


def _list(_: argparse.Namespace) -> None:
    from recsim_env.simulators.datasets.known_sets import KNOWN_SETS

    for ships, title in ((True, "ships with this package:"), (False, "read from a copy of your own:")):
        sys.stdout.write(f"{title}\n")
        for known in KNOWN_SETS:
            if known.ships == ships:
                sys.stdout.write(f"  {known.name:31}{known.licence:18}{known.what}\n")
    sys.stdout.write(
        "counts, terms in full, source and files of one: recsim-env data info NAME\n"
        "any other .csv, .tsv, .parquet or .jsonl: recsim-env data info FILE --user C --item C --time C\n"
    )


def _info(options: argparse.Namespace) -> None:
    from recsim_env.simulators.datasets.known_sets import KNOWN_SETS
    from recsim_env.simulators.log_files import is_log

    path = Path(options.source)
    name = path.name if path.exists() else options.source
    known = next((known for known in KNOWN_SETS if known.name in (options.source, name)), None)
    if known is None or known.ships or path.exists():
        if is_log(path):
            from recsim_env.simulators.log_files import read_log

            sys.stdout.write(f"{path}: a log of recsim-env\n{_counts(read_log(path), 'time')}")
            return
        data = _read(options)
        sys.stdout.write(f"{_named(data)}\n{_counts(data.log, getattr(data, 'clock', 'timestamp'))}")
    else:
        sys.stdout.write(f"{known.name}, not shipped\n")
    if known is None:
        sys.stdout.write("terms: not known to this package; see where you have it from\n")
        return
    sys.stdout.write(
        f"what: {known.what}\nas published: {known.counts}\nterms: {known.terms}\nfrom: {known.source}\n"
        f"read from: {known.layout}\n"
    )


def _named(data: Any) -> str:
    """The name of a data set, with the policy that made it."""
    policy = data.log.metadata.get("policy")
    return f"{data.name}, policy {policy}" if policy else str(data.name)


def _check(options: argparse.Namespace) -> None:
    from recsim_env.simulators.log_files import is_log

    path = Path(options.source)
    if is_log(path) or (path.is_dir() and any(is_log(part) for part in path.glob("*.parquet"))):
        _check_log(path, options.unique_times)
        return
    data = _read(options)
    log, clock = data.log, getattr(data, "clock", "timestamp")
    tied = log.tied_rows()
    if options.unique_times and tied.any():
        if clock == "none":
            raise InputError(f"{options.source} has no clock, so no times are unique: name one by --time")
        row = int(tied.argmax())
        raise InputError(
            f"{options.source}: {data.name_row(row)} and {data.name_row(row + 1)} have one time, as "
            f"{tied.mean():.1%} of all rows have: give a finer clock, or leave out --unique-times"
        )
    policy = f" of {_named(data)}" if log.metadata else ""
    sys.stdout.write(f"{options.source}: sound, {len(log):,} rows{policy}\n")
    if (repeated := log.repeated_row()) is not None:
        again, before = (int(data.rows[row]) for row in repeated)
        sys.stdout.write(
            f"note: row {again} of the source, from 0, repeats row {before}: drop it, unless a thing may "
            "come twice in a visit\n"
        )
    if clock == "none":
        sys.stdout.write("note: there is no clock, so nothing says what came first\n")
    elif tied.any():
        sys.stdout.write(
            f"note: {tied.mean():.1%} of the rows share their time with another of their user: the order of "
            "these is the file's\n"
        )


def _check_log(path: Path, unique_times: bool) -> None:
    """Read a log piece by piece."""
    from recsim_env.simulators.log_scan import open_log

    parts = open_log(path)
    rows = 0
    for piece in parts.pieces():
        try:
            piece.validate(unique_times=unique_times)
        except InputError as error:
            raise InputError(f"{path}, of the piece from row {rows} on: {error}") from None
        rows += len(piece)
    columns = ", ".join(parts.columns)
    sys.stdout.write(f"{path}: sound, {rows:,} rows in {len(parts.paths)} file(s), columns {columns}\n")


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
        for name in ("campaign", "policy"):
            if getattr(options, name) is not None:
                raise InputError(f"--{name} must be left out where the columns of a table are named")
        if Path(options.source).is_dir():
            raise InputError(f"{options.source} is a directory: give the table whose columns are named")
        return read_table(options.source, time_unit=options.time_unit, **named)
    return read_dataset(
        options.source, prefer=options.prefer, campaign=options.campaign, policy=options.policy
    )


def _counts(log: Any, clock: str) -> str:
    from recsim_env.simulators.datasets.counts import count_log

    if len(log) == 0:
        return "no rows\n"
    c = count_log(log)
    slates = f", slates of {c.slate_size} with {c.cells:,} items" if c.slate_size > 1 else ""
    lines = [
        f"rows: {c.rows:,}{slates}",
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
