"""The experiment that holds a calibrated world against its log: files, figures, errors."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsim_env.experiments.cli import main
from recsim_env.experiments.results import Results
from recsim_env.experiments.suite.simulator_agreement import split_users
from recsim_env.simulators.datasets import read_interactions

SMALL = ["--live-users", "20", "--live-steps", "3", "--resamples", "50"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the first months of 200 users of the shipped log, under ids of its own."""
    log = read_interactions("complete-journey").log
    kept = log.rows((log.user < 200) & (log.time < np.quantile(log.time, 0.3)))
    directory = tmp_path_factory.mktemp("shop")
    columns = {"user_id": kept.user + 7, "item_id": 3 * kept.slate[:, 0] + 5, "timestamp": kept.time}
    pd.DataFrame(columns).to_parquet(directory / "interactions.parquet")
    return directory


def test_the_command(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    names = "p_top,latest,popularity,markov1,item_knn"
    command = ["run", "simulator_agreement", "--data", str(shop), "--recommenders", names, *SMALL]
    assert main([*command, "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "two halves of the real" in shown
    results = Results.read(out / "results.csv")
    cell = {name: {m: c.values[0, 0] for m, c in curves.items()} for name, curves in results.curves.items()}
    for name in names.split(","):
        assert {"real", "simulated", "live"} <= cell[name].keys()
        assert 0 < cell[name]["real"] < 1
        assert 0 < cell[name]["live"] < 1
        assert cell[name]["live_std_error"] > 0
    # users repeat themselves, in the log as in the world: what they had most often beats what all have
    for score in ("real", "simulated", "live"):
        assert cell["p_top"][score] > cell["popularity"][score]
    tau = cell["agreement: real, simulated"]
    assert 0 < tau["tau"] <= 1
    assert tau["tau_low"] <= tau["tau"] <= tau["tau_high"]
    assert (out / "figure.png").stat().st_size > 10_000
    assert main([*command, "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "results.csv").read_bytes() == (out / "results.csv").read_bytes()


def test_halves_share_no_user_and_lose_no_row() -> None:
    log = read_interactions("complete-journey").log
    first, second = split_users(log, 3)
    assert len(first) + len(second) == len(log)
    assert not set(first.user) & set(second.user)
    assert abs(len(np.unique(first.user)) - len(np.unique(second.user))) <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--recommenders", "p_top,latest"], "must hold some of p_top, base_level, latest and some others"),
        (["--recommenders", "p_top,markov3"], "no recommender 'markov3': did you mean markov"),
        (["--live-steps", "0"], "live_steps must be positive, got 0"),
        (["--data", "no-such-log"], "no data set 'no-such-log'"),
    ],
)
def test_bad_options(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "simulator_agreement", *options, "--out", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
