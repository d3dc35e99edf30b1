"""KuaiRand: short videos that policies showed, and 1.2 million shown at random, with what users did.

Source: Gao et al., "KuaiRand: An Unbiased Sequential Recommendation Dataset with Randomly Exposed Videos"
(CIKM 2022), https://kuairand.com. KuaiRand-Pure: 27,285 users; 1,436,609 rows of the 15 standard policies,
1,186,059 of the random one, over 7,583 videos. Terms: CC BY-SA 4.0, share-alike: not shipped. Written from
the published description of every column, and run on small files of that layout only.
"""

from pathlib import Path

import numpy as np

from recsim_env.arrays import Array
from recsim_env.errors import InputError
from recsim_env.simulators.datasets.clocks import times
from recsim_env.simulators.datasets.columns import dense, floats, integers
from recsim_env.simulators.datasets.interactions import Interactions, numbered
from recsim_env.simulators.datasets.tables import flags
from recsim_env.simulators.datasets.text_tables import read_delimited

FEEDBACK = ("is_like", "is_follow", "long_view", "play_time_ms", "duration_ms", "is_rand", "tab")


def read_kuairand(directory: str | Path, *, policy: str | None = None) -> Interactions:
    """Read impressions with clicks: slates of one video, `log.clicked` is `is_click`, times in seconds.

    `columns` has `is_like`, `is_follow`, `long_view`, `play_time_ms`, `duration_ms`, `is_rand` (shown at
    random) and `tab` (the page). The files state no propensities, so the log has none: shown at random means
    that a video drawn from the pool replaced the recommended one, but not how likely the replacement was.

    Args:
        directory: that of the data set, or its folder `data`, with `log_standard_*.csv` and
            `log_random_*.csv`.
        policy: standard, random or, by default, both; the row numbers of `rows` count through the files that
            are read, in the order of their names.

    Raises:
        InputError: an unknown policy, no such file, or a cell that is missing or no number: file, line,
            column.
    """
    if policy not in (None, "standard", "random"):
        raise InputError(f"policy must be standard or random, got {policy!r}")
    paths = kuairand_files(Path(directory), policy)
    if not paths:
        raise InputError(f"{directory} holds no log_{policy or '*'}_*.csv: give the directory of KuaiRand")
    parts: list[dict[str, Array]] = []
    for path in paths:
        kinds = dict.fromkeys(("user_id", "video_id", "time_ms"), "integer")
        source, found = read_delimited(path, kinds | dict.fromkeys(("is_click", *FEEDBACK), "number"))
        parts.append(
            {
                "user_id": integers(found["user_id"], source, "user_id"),
                "video_id": integers(found["video_id"], source, "video_id"),
                "time": times(found["time_ms"], source, "time_ms", "ms"),
                "clicked": flags(found["is_click"], source, "is_click"),
                **{name: floats(found[name], source, name) for name in FEEDBACK},
            }
        )
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return numbered(
        Path(directory).resolve().name,
        dense(columns["user_id"]),
        dense(columns["video_id"]),
        columns["time"],
        clock="time_ms",
        id_columns=("user_id", "video_id"),
        clicked=columns["clicked"],
        columns={name: columns[name] for name in FEEDBACK},
    )


def kuairand_files(directory: Path, policy: str | None = None) -> list[Path]:
    """The logs in a directory or in its folder `data`."""
    pattern = f"log_{policy or '*'}_*.csv"
    return sorted(directory.glob(pattern)) or sorted((directory / "data").glob(pattern))
