"""The Open Bandit Dataset: the shipped rounds, the published layout, and rows that are refused."""

import csv
import hashlib
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from recsim_env.errors import InputError
from recsim_env.simulators.datasets import LoggedBandit, read_dataset, read_open_bandit
from recsim_env.simulators.datasets.make_open_bandit import write

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "obd"
SHIPPED = Path(str(files("recsim_env.simulators.datasets")))
# from the reference run of the Open Bandit Pipeline 0.5.5: clicks in 10,000 rows, items
PUBLISHED = {
    ("all", "random"): (38, 80),
    ("all", "bts"): (42, 80),
    ("men", "random"): (46, 34),
    ("men", "bts"): (69, 34),
}


@pytest.mark.parametrize(("campaign", "policy"), PUBLISHED)
def test_the_shipped_rounds(campaign: str, policy: str) -> None:
    data = read_open_bandit(f"open-bandit/{campaign}", policy=policy)
    clicks, num_items = PUBLISHED[campaign, policy]
    assert (len(data.log), data.num_items, data.log.require("reward").sum()) == (10_000, num_items, clicks)
    assert_array_equal(data.log.user, np.arange(10_000))
    assert (np.diff(data.log.time) >= 0).all()  # the rounds stand in the order of time
    assert set(data.position) == {0, 1, 2}
    assert data.context.shape == (10_000, len(data.context_names))
    assert set(np.unique(data.context)) == {0.0, 1.0}
    assert data.item_context.shape == (num_items, 4)
    if policy == "random":
        np.testing.assert_allclose(np.exp(data.log.require("log_propensity")), 1 / num_items, rtol=1e-12)
    data.log.validate()
    data.log.check_items(num_items)


def test_names_and_options() -> None:
    data = read_dataset("open-bandit/men", policy="bts")
    assert isinstance(data, LoggedBandit)
    assert data.log.metadata == {"dataset": "open-bandit/men", "policy": "bts", "num_items": 34}
    first, second = read_open_bandit("open-bandit/all"), read_open_bandit("open-bandit/all", policy="bts")
    assert first.log.metadata["policy"] == "random"
    assert first.context_names == second.context_names  # so that what one learns the other can be asked
    for call, message in (
        (
            lambda: read_open_bandit("open-bandit/all", campaign="men"),
            "campaign must be all in open-bandit/all",
        ),
        (
            lambda: read_open_bandit("open-bandit/all", policy="ucb"),
            "no policy of the Open Bandit Dataset 'ucb'",
        ),
        (
            lambda: read_dataset("complete-journey", policy="bts"),
            "policy must be left out: complete-journey has",
        ),
        (lambda: read_dataset("open-bandit/women"), "there is no data set 'open-bandit/women': did you mean"),
        (
            lambda: read_dataset("ml-1m"),
            "ml-1m is not shipped: get it where `recsim-env data info ml-1m` says",
        ),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_attribution_ships_with_the_files() -> None:
    notice = (SHIPPED / "open_bandit.LICENSE.txt").read_text()
    for words in ("Apache License", "ZOZO, Inc.", "No value was\nchanged", "open_bandit_men_items.parquet"):
        assert words in notice
    assert sum(path.stat().st_size for path in SHIPPED.glob("open_bandit_*.parquet")) < 600_000


@pytest.mark.parametrize(("campaign", "policy"), PUBLISHED)
def test_the_shipped_rounds_are_those_of_another_copy(campaign: str, policy: str) -> None:
    if not REAL.is_dir():
        pytest.skip("the data set obd is not on this machine")
    shipped, other = (
        read_open_bandit(source, campaign=campaign, policy=policy)
        for source in (f"open-bandit/{campaign}", REAL)
    )
    for name in ("slate", "clicked", "log_propensity"):
        assert_array_equal(shipped.log.columns()[name], other.log.columns()[name])
    for name in ("position", "context", "item_context", "num_items", "context_names"):
        assert_array_equal(getattr(shipped, name), getattr(other, name))
    assert_array_equal(np.floor(shipped.log.time), other.log.time)  # the copy has whole seconds


# of the LICENSE in the wheel of obp 0.4.1, white space folded
OBP_LICENCE = "fb7763a291bd75e8456fdfa03cd06257a61835591a72083b82fcc0c560b6d6fa"
FEATURES = [f"user_feature_{i}" for i in range(4)]


def _published(root: Path, **changes: Any) -> Path:
    """Four rounds of two items in the layout of the full data set."""
    rounds = {
        "": [0, 1, 2, 3],
        "timestamp": [f"2019-11-24 00:00:{s}+00:00" for s in ("09.5", "03.25", "07", "11")],
        "item_id": [0, 1, 1, 0],
        "position": [3, 1, 2, 1],
        "click": [0, 1, 0, 0],
        "propensity_score": [0.5, 0.25, 0.75, 1.0],
        **{name: ["a", "b", "c", "a"] if k == 0 else ["x"] * 4 for k, name in enumerate(FEATURES)},
        "user-item_affinity_0": [0.0] * 4,
        **changes,
    }
    items = {
        "": [0, 1],
        "item_id": [0, 1],
        "item_feature_0": [-0.5, 0.25],
        "item_feature_1": ["q", "p"],
        "item_feature_2": ["r", "r"],
        "item_feature_3": ["t", "s"],
    }
    for policy in ("random", "bts"):
        for campaign in ("all", "men"):
            folder = root / policy / campaign
            folder.mkdir(parents=True, exist_ok=True)
            for name, columns in ((f"{campaign}.csv", rounds), ("item_context.csv", items)):
                with (folder / name).open("w", newline="") as file:
                    csv.writer(file).writerows([list(columns), *zip(*columns.values(), strict=True)])
    return root


def test_the_published_layout(tmp_path: Path) -> None:
    data = read_dataset(_published(tmp_path), campaign="men", policy="bts")
    assert isinstance(data, LoggedBandit)
    assert_array_equal(data.rows, [1, 2, 0, 3])
    assert_array_equal(data.log.time - data.log.time[0], [0, 3.75, 6.25, 7.75])
    assert_array_equal(data.log.slate[:, 0], [1, 1, 0, 0])
    assert_array_equal(data.log.reward, [1, 0, 0, 0])
    assert_array_equal(data.position, [0, 1, 2, 0])
    assert data.context_names == ("user_feature_0=b", "user_feature_0=c")
    assert_array_equal(data.context, [[1, 0], [0, 1], [0, 0], [0, 0]])
    assert_array_equal(data.item_context, [[1, 0, 1, -0.5], [0, 0, 0, 0.25]])
    np.testing.assert_allclose(np.exp(data.log.require("log_propensity")), [0.25, 0.75, 0.5, 1.0])


def test_items_may_stand_in_any_order_but_each_once(tmp_path: Path) -> None:
    _published(tmp_path)
    path = tmp_path / "random" / "all" / "item_context.csv"
    head, first, second = path.read_text().splitlines()
    path.write_text(f"{head}\n{second}\n{first}\n")
    assert_array_equal(read_open_bandit(tmp_path).item_context, [[1, 0, 1, -0.5], [0, 0, 0, 0.25]])
    path.write_text(f"{head}\n{second}\n{second}\n")
    with pytest.raises(InputError, match=r"item_context.csv: item_id must be 0 to 1, each once"):
        read_open_bandit(tmp_path)


def test_the_script_keeps_every_value(tmp_path: Path) -> None:
    source = _published(tmp_path / "source")
    paths = write(source, tmp_path / "out")
    assert [path.name for path in paths] == [
        "open_bandit_all.parquet",
        "open_bandit_all_items.parquet",
        "open_bandit_men.parquet",
        "open_bandit_men_items.parquet",
    ]
    frame = pd.read_parquet(paths[0])
    assert frame.policy.tolist() == ["random"] * 4 + ["bts"] * 4
    assert frame.propensity.tolist() == [0.5, 0.25, 0.75, 1.0] * 2
    assert frame.timestamp[0].isoformat() == "2019-11-24T00:00:09.500000+00:00"
    with pytest.raises(InputError, match="give the folder obp/dataset/obd of the distribution obp"):
        write(tmp_path / "none", tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"propensity_score": [0.5, 0.0, 1, 1]}, "all.csv, line 3: propensity_score = 0.0 is not in (0, 1]"),
        (
            {"propensity_score": [0.5, 1, 1.01, 1]},
            "all.csv, line 4: propensity_score = 1.01 is not in (0, 1]",
        ),
        ({"item_id": [0, 1, 2, 0]}, "all.csv, line 4: item_id = 2 is not an item: the catalogue has 2 (0-1)"),
        ({"click": [0, 1, 0, 3]}, "all.csv, line 5: click = 3.0 is neither 0 nor 1"),
        (
            {"timestamp": ["x"] * 4},
            "all.csv, line 2: timestamp = 'x' is not a number: give numbers, or dates",
        ),
    ],
)
def test_bad_rounds(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_open_bandit(_published(tmp_path, **changes))
    assert message in str(caught.value)


def test_a_directory_without_the_policy(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"holds neither random/women/women.csv nor impressions_women.parquet"
    ):
        read_open_bandit(_published(tmp_path), campaign="women")
    with pytest.raises(InputError, match="no campaign of the Open Bandit Dataset 'kids'"):
        read_open_bandit(tmp_path, campaign="kids")


def test_the_licence_stands_in_what_is_built() -> None:
    project = Path(__file__).resolve().parents[1]
    stated = tomllib.loads((project / "pyproject.toml").read_text())
    notice = (SHIPPED / "open_bandit.LICENSE.txt").relative_to(project).as_posix()
    assert notice in stated["project"]["license-files"]
    assert "Apache-2.0" in stated["project"]["license"]
    assert "simulators/datasets/*.txt" in stated["tool"]["setuptools"]["package-data"]["recsim_env"]
    licence = (SHIPPED / "open_bandit.LICENSE.txt").read_text().split("\n\n", 3)[3]
    body = " ".join(licence.split()).encode()
    assert hashlib.sha256(body).hexdigest() == OBP_LICENCE
    assert "Open Bandit Dataset" in (project / "README.md").read_text()
