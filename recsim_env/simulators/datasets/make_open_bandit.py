"""Make the bandit logs that ship with this package, from the distribution that holds them.

    pip download obp==0.4.1 --no-deps && unzip obp-0.4.1-py3-none-any.whl -d OBP
    python -m recsim_env.simulators.datasets.make_open_bandit OBP/obp/dataset/obd OUT_DIR

Writes for each of the campaigns all and men, the same tables every time:

- `open_bandit_<campaign>.parquet`: 20,000 impressions, those of the policy random first, each in the order
  of its file: `timestamp`, `item_id`, `position` (1 to 3), `clicked`, `propensity`, `policy`,
  `user_feature_0` to `user_feature_3`. Left out are the user-item affinities, which the Open Bandit Pipeline
  does not use either unless it is changed.
- `open_bandit_<campaign>_items.parquet`: `item_id`, `item_feature_0` (a number), `item_feature_1` to `_3`, as
  the policy random has them (for bts the same groups of items have other hashes).

The campaign women, in the same distribution, is left out to keep the package small. Source and terms: see
`open_bandit`.
"""

import argparse
import csv
from datetime import datetime
from pathlib import Path
from typing import Any

from recsim_env.errors import InputError
from recsim_env.simulators.datasets.make_complete_journey import write_table
from recsim_env.simulators.datasets.open_bandit import ITEM_CATEGORIES, POLICIES, USER_FEATURES

CAMPAIGNS = ("all", "men")


def write(source: Path, out_dir: Path) -> list[Path]:
    """Write the files; each appears whole or not at all. Returns their paths.

    Raises:
        InputError: `source` does not hold `<policy>/<campaign>/<campaign>.csv`.
    """
    import pyarrow as pa

    out_dir.mkdir(parents=True, exist_ok=True)
    paths = []
    for campaign in CAMPAIGNS:
        rows = [
            {**row, "policy": policy}
            for policy in POLICIES
            for row in _rows(source / policy / campaign / f"{campaign}.csv")
        ]
        impressions = {
            "timestamp": pa.array(
                [datetime.fromisoformat(r["timestamp"]) for r in rows], pa.timestamp("us", tz="UTC")
            ),
            "item_id": pa.array([int(r["item_id"]) for r in rows], pa.int16()),
            "position": pa.array([int(r["position"]) for r in rows], pa.int8()),
            "clicked": pa.array([int(r["click"]) for r in rows], pa.int8()),
            "propensity": pa.array([float(r["propensity_score"]) for r in rows], pa.float64()),
            **{name: pa.array([r[name] for r in rows], pa.string()) for name in ("policy", *USER_FEATURES)},
        }
        items = _rows(source / "random" / campaign / "item_context.csv")
        catalogue = {
            "item_id": pa.array([int(r["item_id"]) for r in items], pa.int16()),
            "item_feature_0": pa.array([float(r["item_feature_0"]) for r in items], pa.float64()),
            **{name: pa.array([r[name] for r in items], pa.string()) for name in ITEM_CATEGORIES},
        }
        for stem, columns in (
            (f"open_bandit_{campaign}", impressions),
            (f"open_bandit_{campaign}_items", catalogue),
        ):
            paths.append(out_dir / f"{stem}.parquet")
            write_table(pa.table(columns), paths[-1], None)
    return paths


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise InputError(
            f"{path} does not exist: give the folder obp/dataset/obd of the distribution obp 0.4.1"
        )
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description="Make the shipped Open Bandit logs from the distribution obp."
    )
    parser.add_argument("source", type=Path, help="the folder obp/dataset/obd of obp 0.4.1")
    parser.add_argument("out_dir", type=Path, help="folder that receives the four Parquet files")
    options = parser.parse_args()
    try:
        paths = write(options.source, options.out_dir)
    except (InputError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    for path in paths:
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
