"""CPU-seconds to read and validate logs. About 20 s: python benchmarks/datasets.py [DIRECTORY]

DIRECTORY holds ml-1m-seq as `interactions.parquet`; the default is ../shared/data/ml-1m-seq. Where it is
absent, a made-up log of the same size is read, and the first line says so. Beside it: pandas, which reads the
same file and checks nothing. Below: a log of 20 parts is scanned, and the memory that this adds.
"""

import resource
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from timing import header, row, seconds

from recsim_env.simulators.datasets import count_log, read_dataset, read_table
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_files import write_log
from recsim_env.simulators.log_scan import open_log
from recsim_env.simulators.splits import leave_one_out

ROWS, USERS, ITEMS = 999_610, 6_040, 3_416  # of ml-1m-seq
PART = 1 << 18


def made_up(directory: Path) -> Path:
    """A log as large as ml-1m-seq."""
    rng = np.random.default_rng(0)
    user = np.sort(rng.integers(1, USERS + 1, ROWS))
    order = np.arange(ROWS) - np.searchsorted(user, user)
    frame = pd.DataFrame({"user_id": user, "item_id": rng.integers(1, ITEMS + 1, ROWS), "order": order})
    frame.astype("int32").to_parquet(directory / "interactions.parquet")
    return directory


def main() -> None:
    """Print the table."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data" / "ml-1m-seq"
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    with tempfile.TemporaryDirectory() as folder:
        if source.is_dir():
            print(f"ml-1m-seq of {source.name}")
        else:
            source = made_up(Path(folder))
            print("ml-1m-seq is not here: a made-up log of the same size")
        header()

        def read() -> Log:
            log = read_dataset(source).log
            log.validate()
            return log

        log = read()
        alone = seconds(lambda: pd.read_parquet(source / "interactions.parquet"))
        row(
            "read and validate ml-1m-seq, CPU-s",
            f"{seconds(read):.2f}",
            "2 at most",
            f"pandas, no check {alone:.2f}",
        )
        row("count it, CPU-s", f"{seconds(lambda: count_log(log)):.2f}", "")
        row("leave one out, CPU-s", f"{seconds(lambda: leave_one_out(log)):.2f}", "")
        table = Path(folder) / "table.csv"
        pd.DataFrame({"user_id": log.user, "item_id": log.slate[:, 0], "timestamp": log.time}).to_csv(
            table, index=False
        )
        alone = seconds(lambda: pd.read_csv(table))
        row(
            "the same as CSV by read_table, CPU-s",
            f"{seconds(lambda: read_table(table)):.2f}",
            "",
            f"pandas, no check {alone:.2f}",
        )

        parts, rng = Path(folder) / "parts", np.random.default_rng(0)
        parts.mkdir()
        for part in range(20):
            shown = rng.integers(0, 1000, (PART, 5))
            clicked = rng.random((PART, 5)) < 0.3
            write_log(
                Log(np.arange(PART), np.full(PART, float(part)), shown, clicked, rng.random(PART)),
                parts / f"part-{part:02}.parquet",
            )
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        scan = seconds(lambda: sum(map(len, open_log(parts).pieces())), rounds=1)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        rows = open_log(parts).num_rows
        row("scan 20 parts, slates of 5, rows/s", f"{rows / scan / 1e6:.2f} M", "", f"{rows:,} rows")
        row("memory that this adds, MB", f"{grown:.0f}", "", "to the most that this script had used before")


if __name__ == "__main__":
    sys.exit(main())
