"""Open Bandit Dataset: what two policies recommended on a fashion shop, how likely it was, and the clicks.

Shipped is the small version that the Open Bandit Pipeline carries, 10,000 impressions for each of the two
policies, of the campaigns `all` (80 items) and `men` (34 items): names `open-bandit/all` and
`open-bandit/men`. It has 38 to 69 clicks for each pair, so that an estimate from it has a wide interval:
good for checking that two programs agree, not for claims about an estimator. The full data set (26 million
impressions, with the campaign `women`) is read from the directory that it unpacks to.

Source: Saito, Aihara, Matsutani, Narita, "Open Bandit Dataset and Pipeline: Towards Realistic and
Reproducible Off-Policy Evaluation" (2020, arXiv 2008.07146), ZOZO, Inc.; https://research.zozo.com/data.html.
Terms of the shipped files: they come from the distribution `obp` 0.4.1, which is under the Apache License 2.0
(`open_bandit.LICENSE.txt` beside this file, with what was changed). The layout of the full data set was
written from its published description and from how the Pipeline reads it, and run on the small version in
that layout.

User features are hashed alike for both policies, the categories of items are not: they have other hashes for
bts, which name the same groups of items. The shipped files have those of the policy random for both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError, unknown_name
from recsim_env.simulators.datasets.clocks import times
from recsim_env.simulators.datasets.columns import (
    Source,
    floats,
    identities,
    integers,
    read_parquet_columns,
    refuse,
)
from recsim_env.simulators.datasets.tables import flags, log_propensities
from recsim_env.simulators.datasets.text_tables import read_delimited
from recsim_env.simulators.log import Log

SHIPPED_CAMPAIGNS = {"open-bandit/all": "all", "open-bandit/men": "men"}
POLICIES = ("random", "bts")
USER_FEATURES = tuple(f"user_feature_{i}" for i in range(4))
ITEM_CATEGORIES = tuple(f"item_feature_{i}" for i in (1, 2, 3))


@dataclass(frozen=True)
class LoggedBandit:
    """Rounds of one logging policy, in the order of time; nobody is known to come twice."""

    name: str
    log: Log  # (R,) slates of one item; user = number of the round, reward = click, log_propensity
    position: Ints  # (R,) where on the page the item stood: 0, 1 or 2
    context: Floats  # (R, D) user features, one-hot without the first category of each in the source's file
    context_names: tuple[str, ...]  # (D,) feature=category
    num_items: int  # N: items are 0 to N-1, some may have no row
    item_context: Floats  # (N, 4) three categories, numbered alphabetically, and one number
    rows: Ints  # (R,) row of the source's file that each round is, from 0


def read_open_bandit(
    source: str | Path, *, campaign: str | None = None, policy: str | None = None
) -> LoggedBandit:
    """Read the rounds of one campaign and one policy, sorted by time; rows of one time keep their order.

    `log_propensity` is the logarithm of the logged probability of the item at its position. Rows are sampled
    impressions: those of one page cannot be put together, so slates have one item.

    Args:
        source: `open-bandit/all` or `open-bandit/men`, the shipped rounds; the directory of the full data
            set, with `<policy>/<campaign>/<campaign>.csv` and `item_context.csv` beside it; or a directory
            with `impressions_<campaign>.parquet` and `items_<campaign>.parquet`.
        campaign: all, men or women; that of the name, or all, by default.
        policy: random (uniform), the default, or bts (Bernoulli Thompson sampling).

    Raises:
        InputError: an unknown name, campaign or policy; a missing file or column; a cell that is missing or
            not what it must be, such as a propensity outside (0, 1]: file, row or line, and column.
    """
    policy = policy or "random"
    if policy not in POLICIES:
        raise unknown_name("policy of the Open Bandit Dataset", policy, POLICIES)
    if isinstance(source, str) and source in SHIPPED_CAMPAIGNS:
        if campaign not in (None, SHIPPED_CAMPAIGNS[source]):
            raise InputError(f"campaign must be {SHIPPED_CAMPAIGNS[source]} in {source}, got {campaign!r}")
        campaign = SHIPPED_CAMPAIGNS[source]
        folder = Path(str(files("recsim_env.simulators.datasets")))
        return _from_parquet(
            source,
            folder / f"open_bandit_{campaign}.parquet",
            folder / f"open_bandit_{campaign}_items.parquet",
            policy,
        )
    campaign, directory = campaign or "all", Path(source)
    if campaign not in ("all", "men", "women"):
        raise unknown_name("campaign of the Open Bandit Dataset", campaign, ("all", "men", "women"))
    name = f"{directory.resolve().name}/{campaign}"
    impressions = directory / f"impressions_{campaign}.parquet"
    if impressions.is_file():
        return _from_parquet(name, impressions, directory / f"items_{campaign}.parquet", policy)
    folder = directory / policy / campaign
    if folder.is_dir():
        return _from_csv(name, folder, campaign, policy)
    known = ", ".join(SHIPPED_CAMPAIGNS)
    raise InputError(
        f"{directory} holds neither {policy}/{campaign}/{campaign}.csv nor {impressions.name}: give the "
        f"directory of the Open Bandit Dataset, or one of {known}"
    )


def is_open_bandit(directory: Path) -> bool:
    """Whether a directory holds the Open Bandit Dataset, as published or as Parquet."""
    return any(directory.glob("impressions_*.parquet")) or any(
        (directory / policy).is_dir() and any((directory / policy).glob("*/item_context.csv"))
        for policy in POLICIES
    )


def _from_parquet(name: str, path: Path, items_path: Path, policy: str) -> LoggedBandit:
    wanted = ["timestamp", "item_id", "position", "clicked", "propensity", "policy", *USER_FEATURES]
    columns = read_parquet_columns(path, wanted)
    mine = np.array(columns["policy"].to_pylist()) == policy
    if not mine.any():
        raise InputError(f"{path} has no row whose policy is {policy!r}")
    items = read_parquet_columns(items_path, ["item_id", "item_feature_0", *ITEM_CATEGORIES])
    return _rounds(name, columns, path, items, items_path, ("clicked", "propensity"), policy, mine)


def _from_csv(name: str, folder: Path, campaign: str, policy: str) -> LoggedBandit:
    numbers = {"item_id": "integer", "position": "integer", "click": "number", "propensity_score": "number"}
    texts = dict.fromkeys(("timestamp", *USER_FEATURES), "text")
    source, columns = read_delimited(folder / f"{campaign}.csv", numbers | texts)
    kinds = {"item_id": "integer", "item_feature_0": "number", **dict.fromkeys(ITEM_CATEGORIES, "text")}
    items_source, items = read_delimited(folder / "item_context.csv", kinds)
    mine = np.ones(len(columns["click"]), np.bool_)
    return _rounds(name, columns, source, items, items_source, ("click", "propensity_score"), policy, mine)


def _rounds(
    name: str,
    columns: Mapping[str, Any],
    source: Source,
    items: Mapping[str, Any],
    items_source: Source,
    named: tuple[str, str],
    policy: str,
    mine: Bools,
) -> LoggedBandit:
    """The rows of a file that are of this policy, sorted by time; all rows are checked."""
    click, propensity = named
    ids = integers(items["item_id"], items_source, "item_id")
    N = len(ids)
    if not np.array_equal(np.sort(ids), np.arange(N)):
        raise InputError(f"{items_source}: item_id must be 0 to {N - 1}, each once: get the file again")
    by_id = np.argsort(ids)
    categories = [identities(items[c], items_source, c)[1][by_id] for c in ITEM_CATEGORIES]
    number = floats(items["item_feature_0"], items_source, "item_feature_0")[by_id]
    time = times(columns["timestamp"], source, "timestamp")
    item = integers(columns["item_id"], source, "item_id")
    complaint = f"is not an item: the catalogue has {N} (0-{N - 1})"
    refuse((item < 0) | (item >= N), columns["item_id"], source, "item_id", complaint)
    position = identities(columns["position"], source, "position")[1]
    clicked = flags(columns[click], source, click)
    log_propensity = log_propensities(columns[propensity], source, propensity)
    rows = np.argsort(time, kind="stable")
    rows = rows[mine[rows]]
    context, names = _one_hot({feature: columns[feature] for feature in USER_FEATURES}, source)
    log = Log(
        user=np.arange(len(rows)),
        time=time[rows],
        slate=item[rows, None],
        clicked=clicked[rows, None],
        reward=clicked[rows].astype(np.float64),
        log_propensity=log_propensity[rows],
        metadata={"dataset": name, "policy": policy, "num_items": N},
    )
    item_context = np.column_stack([*categories, number]).astype(np.float64)
    return LoggedBandit(name, log, position[rows], context[rows], names, N, item_context, rows)


def _one_hot(features: Mapping[str, Any], source: Source) -> tuple[Floats, tuple[str, ...]]:
    """(R, D) the categories of each feature but its alphabetically first, and their names."""
    blocks: list[Array] = []
    names: list[str] = []
    for feature, column in features.items():
        categories, place = identities(column, source, feature)
        blocks.append(place[:, None] == np.arange(1, len(categories)))
        names += [f"{feature}={category}" for category in categories[1:]]
    return np.concatenate(blocks, axis=1).astype(np.float64), tuple(names)
