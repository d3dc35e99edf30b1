"""The experiment that holds a calibrated world against its log: files, figures, errors."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsim_env.experiments.cli import main
from recsim_env.experiments.results import Results
from recsim_env.experiments.suite.simulator_agreement import Settings, live_rewards, live_world, split_users
from recsim_env.simulators.calibration.listening import ListeningCalibration
from recsim_env.simulators.datasets import read_interactions
from recsim_env.simulators.luck import Luck

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
    command = [
        "run",
        "simulator_agreement",
        "--data",
        str(shop),
        "--recommenders",
        names,
        *SMALL,
        "--beta",
        "0",
    ]
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
    # users repeat themselves, in the log as in the world: what they had most often beats what all have, where
    # a slate does not change what they do
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


def _calibration(events: int) -> ListeningCalibration:
    """Twenty items whose ids in the log are 1, 3, 5 ...; nine users."""
    popularity = np.arange(20, 0, -1) / 210
    return ListeningCalibration(
        repeat=0.6,
        repeat_growth=0.0,
        repeat_reference=1.0,
        temperature=1.0,
        decay=0.5,
        popularity_exponent=0.0,
        mean_gap=90_000.0,
        gap_shape=1.0,
        popularity=popularity,
        pace=np.ones(9),
        session_sizes=np.array([0.5, 0.5]),
        std_errors={},
        item_ids=2 * np.arange(20) + 1,
        problems=(),
        notes=(),
        about={"users": 9, "events": events},
    )


class _Recorder:
    """Recommends the log's items 1, 3 and 39 and keeps what it was told."""

    num_items_ = 41

    def __init__(self) -> None:
        self.histories: list[np.ndarray] = []

    def scores(self, history: np.ndarray) -> np.ndarray:
        self.histories.append(history)
        return np.isin(np.arange(41), [1, 3, 39])[None].repeat(len(history), axis=0).astype(float)


@pytest.mark.parametrize("beta", [0.0, 3.0])
def test_live_rewards_are_the_worlds_in_ids_of_the_log(beta: float) -> None:
    settings = Settings(k=3, live_users=50, live_steps=4, beta=beta)
    calibration, told = _calibration(9 * 7), _Recorder()
    world = live_world(calibration, settings)
    assert world.remembered == 7  # events of a user of the log, on average
    assert world.beta == beta
    found = live_rewards(world, calibration.item_ids, told, settings)
    # the same in the ids of the world, where the slate is 0, 1 and 19
    luck, slates, total = Luck.from_seeds(np.arange(50)), np.tile([0, 1, 19], (50, 1)), np.zeros(50)
    state = world.begin(luck)
    for step in range(4):
        recent = state.recent[:, ::-1]
        np.testing.assert_array_equal(told.histories[step], np.where(recent >= 0, 2 * recent + 1, -1))
        total += world.expected_reward(state, slates)
        state, _ = world.respond(state, slates, luck.at(step))
    np.testing.assert_allclose(found, total / 4, rtol=1e-12)


def test_nobody_has_more_behind_them_than_the_world_has_room_for() -> None:
    assert live_world(_calibration(9 * 800), Settings(k=3, live_users=5)).remembered == 20 - 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--recommenders", "p_top,latest"], "must hold some of p_top, base_level, latest and some others"),
        (["--recommenders", "p_top,markov3"], "no recommender 'markov3': did you mean markov"),
        (["--live-steps", "0"], "live_steps must be positive, got 0"),
        (["--resamples", "1"], "resamples must be 2 or more, got 1"),
        (["--beta", "-1"], "beta must be from 0 to 50, got -1"),
        (["--beta", "nan"], "beta must be from 0 to 50, got nan"),
        (["--data", "no-such-log"], "no data set 'no-such-log'"),
    ],
)
def test_bad_options(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "simulator_agreement", *options, "--out", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
