"""`recsim-env data list | info | check`."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsim_env.experiments.cli import main
from recsim_env.simulators.datasets import KNOWN_SETS, SHIPPED
from recsim_env.simulators.datasets.open_bandit import SHIPPED_CAMPAIGNS
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_files import write_log


def _said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["data", *arguments]) == 0
    return capsys.readouterr().out


def _complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["data", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def _slates() -> Log:
    rng = np.random.default_rng(0)
    slots = np.log(rng.random((90, 2)))
    return Log.sorted(
        user=rng.integers(0, 9, 90),
        time=rng.permutation(90).astype(float),
        slate=rng.integers(0, 30, (90, 2)),
        clicked=rng.random((90, 2)) < 0.5,
        log_propensity=slots.sum(axis=1),
        slot_log_propensity=slots,
    )


def test_the_list_has_a_line_for_every_set(capsys: pytest.CaptureFixture[str]) -> None:
    lines = _said(capsys, "list").splitlines()
    assert max(map(len, lines)) <= 110
    cells = [re.split(r"  +", line.strip()) for line in lines if line.startswith("  ")]
    assert sorted(cells) == sorted([known.name, known.licence, known.what] for known in KNOWN_SETS)
    own = lines.index("read from a copy of your own:")
    assert lines[0] == "ships with this package:"
    shipped = {line.split()[0] for line in lines[1:own]}
    assert shipped == {known.name for known in KNOWN_SETS if known.ships} == {*SHIPPED, *SHIPPED_CAMPAIGNS}


def test_info_says_what_is_known_of_a_set_that_is_not_here(capsys: pytest.CaptureFixture[str]) -> None:
    for known in KNOWN_SETS:
        if not known.ships:
            said = _said(capsys, "info", known.name)
            assert said.startswith(f"{known.name}, not shipped\n")
            for words in (known.what, known.counts, known.terms, known.source, known.layout):
                assert words in said


def test_info_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = _said(capsys, "info", "open-bandit/all", "--policy", "bts")
    for words in ("rows: 10,000", "items: 80", "clicks: 42, 0.0042", "propensities: yes", "Apache-2.0"):
        assert words in said
    rows = {"user_id": [1, 1, 1, 2], "item_id": [5, 5, 6, 5], "timestamp": [10.0, 10.0, 20.0, 5.0]}
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    said = _said(capsys, "info", str(tmp_path / "t.csv"))
    for words in (
        "rows: 4\n",
        "users: 2, rows of a user: 2 (median), 3 (most)",
        "items: 2, density: 75.0000% of the pairs",
        "repeats: 25.00%",
        "clock: timestamp, 5 to 20; 50.0% of the rows are tied in time",
        "terms: not known",
    ):
        assert words in said
    assert "clock: none" in _said(capsys, "info", str(tmp_path / "t.csv"), "--time", "none")
    said = _said(capsys, "info", "kuairand")
    assert "CC BY-SA 4.0" in said
    assert "not shipped" in said
    write_log(_slates(), tmp_path / "log.parquet")
    assert "rows: 90, slates of 2 with 180 items" in _said(capsys, "info", str(tmp_path / "log.parquet"))


def test_check_of_a_sound_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "part-0.parquet"
    write_log(_slates(), path)
    columns = "user, time, slate, clicked, log_propensity, slot_log_propensity"
    for source in (path, tmp_path):
        assert (
            _said(capsys, "check", str(source))
            == f"{source}: sound, 90 rows in 1 file(s), columns {columns}\n"
        )
    pd.DataFrame({"u": ["a", "a"], "i": [1, 1], "t": [5000, 5000]}).to_csv(tmp_path / "t.csv", index=False)
    arguments = (str(tmp_path / "t.csv"), "--user", "u", "--item", "i", "--time", "t", "--time-unit", "ms")
    said = _said(capsys, "check", *arguments)
    assert "sound, 2 rows" in said
    assert "note: row 1 of the source, from 0, repeats row 0" in said
    assert "note: 100.0% of the rows share their time" in said
    said = _complaint(capsys, "check", *arguments, "--unique-times")
    assert (
        "t.csv: row 0 (u = a, i = 1, t = 5) and row 1 (u = a, i = 1, t = 5) have one time, as 100.0%" in said
    )
    said = _said(capsys, "check", arguments[0], "--user", "u", "--item", "i", "--time", "none")
    assert said.endswith("note: there is no clock, so nothing says what came first\n")
    said = _complaint(
        capsys, "check", arguments[0], "--user", "u", "--item", "i", "--time", "none", "--unique-times"
    )
    assert "t.csv has no clock, so no times are unique: name one by --time" in said


def test_options_that_do_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("user_id,item_id,timestamp\n1,2,3\n")
    for arguments, message in (
        ((path, "--user", "user_id", "--policy", "bts"), "--policy must be left out where the columns of a"),
        ((path, "--policy", "bts"), f"policy must be left out: {path} has none, got 'bts'"),
        (
            (str(tmp_path), "--item", "i"),
            f"{tmp_path} is a directory: give the table whose columns are named",
        ),
        ((path, "--time-unit", "hours"), "there is no time_unit 'hours'"),
        (
            (path, "--user", "who"),
            "t.csv has no column 'who': its columns are user_id, item_id, timestamp; say",
        ),
        (("complete-journey", "--user", "who"), "complete-journey must end in .csv, .tsv"),
    ):
        assert message in _complaint(capsys, "info", *arguments)
        assert message in _complaint(capsys, "check", *arguments)


def test_the_open_bandit_is_checked_policy_by_policy(capsys: pytest.CaptureFixture[str]) -> None:
    said = _said(capsys, "check", "open-bandit/men", "--policy", "bts")
    assert said == "open-bandit/men: sound, 10,000 rows of open-bandit/men, policy bts\n"
    assert _said(capsys, "info", "open-bandit/men").startswith("open-bandit/men, policy random\nrows: 10,000")


def test_check_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, path = _slates(), tmp_path / "log.parquet"
    wrong = log.require("log_propensity").copy()
    wrong[40] -= 1.0
    write_log(Log(**{**log.columns(), "log_propensity": wrong}), path)  # type: ignore[arg-type]
    assert f"{path}, of the piece from row 0 on: log_propensity[40] = " in _complaint(
        capsys, "check", str(path)
    )
    tied = _slates().rows(np.array([0, 1, 2]))
    tied.time[1:] = tied.time[0]
    tied.user[:] = 7
    write_log(tied, path)
    assert "sound, 3 rows" in _said(capsys, "check", str(path))
    said = _complaint(capsys, "check", str(path), "--unique-times")
    assert f"{path}, of the piece from row 0 on: time[0] = {tied.time[0]} stands twice for user 7" in said
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert "log.parquet is not a readable Parquet file" in _complaint(capsys, "check", str(path))
    write_log(log, tmp_path / "good.parquet")
    assert "log.parquet is not a readable Parquet file" in _complaint(capsys, "check", str(tmp_path))
    (tmp_path / "t.csv").write_text("user_id,item_id,timestamp\n1,2,3\n1,x y,\n")
    assert "t.csv, line 3: timestamp is missing" in _complaint(capsys, "check", str(tmp_path / "t.csv"))
    assert "there is no data set 'ml-100' " not in _complaint(capsys, "check", str(tmp_path / "none"))
    assert "no known data set" in _complaint(capsys, "info", str(tmp_path.parent))
