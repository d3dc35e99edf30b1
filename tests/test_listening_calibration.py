"""A world of repeated listening out of a log: recovered, saved, refused where not to be trusted."""

import json
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

import recsim_env  # noqa: F401
from recsim_env.errors import InputError
from recsim_env.experiments.cli import main
from recsim_env.simulators.calibration.listening import (
    ListeningCalibration,
    fit_listening,
    simulate_like,
)
from recsim_env.simulators.log import Log
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.repeat_listening import repeat_listening

DAY = 86_400.0


@pytest.fixture(scope="module")
def truth():
    return repeat_listening(
        num_items=400,
        num_users=1,
        num_categories=1,
        repeat=0.6,
        temperature=1.2,
        decay=0.4,
        session_length=3,
        mean_gap=2 * DAY,
        remembered=350,
        horizon=1,
    )


@pytest.fixture(scope="module")
def log(truth):
    """150 users with 60 to 209 events."""
    sizes = np.arange(60, 210)
    pattern = Log.from_interactions(
        np.repeat(np.arange(150), sizes), np.zeros(sizes.sum(), int), np.concatenate([*map(np.arange, sizes)])
    )
    return simulate_like(truth, pattern, seconds=DAY, seed=7)


@pytest.fixture(scope="module")
def calibration(log):
    return fit_listening(log, seconds=DAY, name="a simulated log")


def test_a_simulated_log_has_the_users_and_events_asked_for(log):
    assert sorted(np.unique(log.user, return_counts=True)[1]) == list(range(60, 210))
    assert log.slate.shape == (len(log), 1)


def test_parameters_are_recovered(truth, calibration):
    for name in ("repeat", "temperature", "decay"):
        error = calibration.std_errors[name]
        assert 0.0 < error < 0.1
        # sessions of three are baskets, whose ties bias the temperature by some hundredths
        assert abs(getattr(calibration, name) - getattr(truth, name)) < 4 * error + 0.04
    # gaps are half an hour plus an exponential: nearly Gamma of shape 1
    assert calibration.mean_gap == pytest.approx(2 * DAY, rel=0.05)
    assert calibration.gap_shape == pytest.approx(1.05, abs=0.06)
    assert calibration.session_sizes.shape == (3,)
    assert calibration.session_sizes[2] > 0.98  # but for last visits that were cut
    assert calibration.problems == ()
    known = truth.catalogue.popularity[calibration.item_ids]
    # the slope of one logarithm by the other would be 1 if all were known well; counts of users give 0.7
    slope = np.polyfit(np.log(known), np.log(calibration.popularity), 1, w=np.sqrt(known))[0]
    assert slope == pytest.approx(1.0, abs=0.1)


def test_growth_popularity_and_pace_are_recovered(truth):
    U = 150
    world = replace(
        truth,
        taste=np.ones((U, 1)),
        pace=np.exp(np.random.default_rng(1).normal(0.0, 0.7, U)),
        repeat_growth=0.6,
        repeat_reference=20.0,
        popularity_exponent=0.5,
    )
    pattern = Log.from_interactions(np.repeat(np.arange(U), 150), np.zeros(U * 150, int), np.arange(U * 150))
    fitted = fit_listening(simulate_like(world, pattern, seed=3))
    errors = fitted.std_errors
    rho = world.repeat * (fitted.repeat_reference / 20.0) ** 0.6
    rho /= rho + 1.0 - world.repeat
    assert abs(fitted.repeat - rho) < 4 * errors["repeat"] + 0.02
    assert abs(fitted.repeat_growth - 0.6) < 4 * errors["repeat_growth"] + 0.05
    assert abs(fitted.popularity_exponent - 0.5) < 4 * errors["popularity_exponent"] + 0.05
    mean_gap = 1800.0 + (2 * DAY - 1800.0) * world.pace
    assert np.corrcoef(np.log(mean_gap), np.log(fitted.pace))[0, 1] > 0.95
    assert fitted.gap_shape == pytest.approx(1.05, abs=0.06)  # not that of the mixture, which is 0.75
    again = fitted.world(num_users=75, remembered=100, horizon=10)
    assert np.array_equal(again.pace, fitted.pace[::2])
    slow = replace(fitted, pace=fitted.pace * 1e6).world(num_users=3, remembered=100, horizon=10)
    assert slow.mean_gap * slow.pace.max() < 2**31


def test_a_calibration_is_saved_and_makes_an_environment(calibration, tmp_path):
    calibration.save(tmp_path / "fit")
    again = ListeningCalibration.load(tmp_path / "fit")
    assert again.repeat == calibration.repeat
    assert np.array_equal(again.popularity, calibration.popularity)
    assert again.about == calibration.about
    env = gym.make("RepeatListen-v0", calibration=tmp_path / "fit", remembered=100, slate_size=2).unwrapped
    assert env.world.num_items == len(calibration.popularity)
    assert env.world.temperature == calibration.temperature
    assert env.world.gap_shape == calibration.gap_shape
    env.reset(seed=0)
    for _ in range(20):
        observation, _, _, _, info = env.step(env.best_slate())
        assert env.observation_space.contains(observation)
        assert info["slate_value"] == pytest.approx(info["best_value"], rel=1e-12)


def test_sessions_of_different_sizes(calibration):
    sizes = np.array([0.5, 0.0, 0.3, 0.2])
    world = replace(calibration.world(num_users=300, remembered=50), session_sizes=sizes)
    pattern = Log.from_interactions(
        np.repeat(np.arange(300), 80), np.zeros(24_000, int), np.tile(np.arange(80), 300)
    )
    log = simulate_like(world, pattern)
    new = np.append(True, (np.diff(log.user) != 0) | (np.diff(log.time) > 0))
    counts = np.bincount(np.bincount(np.cumsum(new) - 1), minlength=5)[1:]
    assert (np.abs(counts / counts.sum() - sizes) < 0.015).all()  # visits cut at the end are some of 1
    state = world.begin(Luck.from_seeds(range(9)))
    assert (state.session_song == 0).all()
    assert (state.session_start == state.now).all()


def test_what_is_not_to_be_trusted_is_refused_unless_forced(calibration, tmp_path):
    doubtful = replace(calibration, problems=("decay lies on the bound of its search",))
    doubtful.save(tmp_path)
    with pytest.raises(InputError, match=r"not to be trusted \(decay lies on the bound"):
        gym.make("RepeatListen-v0", calibration=tmp_path)
    gym.make("RepeatListen-v0", calibration=tmp_path, force=True, remembered=50)


def test_a_clock_that_counts_visits_has_equal_gaps(log):
    order = np.concatenate([np.arange(n) for n in np.unique(log.user, return_counts=True)[1]])
    fit = fit_listening(Log(log.user, order.astype(float), log.slate, log.clicked), seconds=DAY)
    assert (fit.mean_gap, fit.gap_shape) == (DAY, np.inf)
    assert fit.problems == ()


def test_bad_input(calibration, tmp_path, log):
    with pytest.raises(InputError, match="seconds must be above 0, got 0"):
        fit_listening(log, seconds=0.0)
    with pytest.raises(InputError, match=r"must be a directory with calibration.json, got .*nowhere"):
        gym.make("RepeatListen-v0", calibration=tmp_path / "nowhere")
    calibration.save(tmp_path)
    (tmp_path / "calibration.npz").write_bytes(b"broken")
    with pytest.raises(InputError, match="holds no readable calibration"):
        ListeningCalibration.load(tmp_path)
    document = json.loads((tmp_path / "calibration.json").read_text())
    (tmp_path / "calibration.json").write_text(json.dumps({**document, "schema": 99}))
    with pytest.raises(InputError, match="schema 99, needed are"):
        ListeningCalibration.load(tmp_path)
    (tmp_path / "calibration.json").write_text("{")
    with pytest.raises(InputError, match="holds no readable calibration"):
        ListeningCalibration.load(tmp_path)


def test_the_command_writes_the_calibration_and_the_report(log, tmp_path, capsys):
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = tmp_path / "log"
    source.mkdir()
    table = {"user_id": log.user, "item_id": log.slate[:, 0], "timestamp": (log.time * DAY).astype(int)}
    pq.write_table(pa.table(table), source / "interactions.parquet")
    out = tmp_path / "fit"
    arguments = ["calibrate", str(source), "--world", "RepeatListen-v0", "--out", str(out)]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "temperature" in shown
    assert "repeat ratio" in shown
    assert {path.name for path in out.iterdir()} == {
        "calibration.json",
        "calibration.npz",
        "fidelity.md",
        "fidelity.csv",
        "fidelity.png",
    }
    assert main(arguments) == 2
    assert "is there already" in capsys.readouterr().err
    assert main([*arguments[:-1], str(tmp_path / "x"), "--seed", "-1"]) == 2
    assert main(["calibrate", "no-such-log", *arguments[2:-1], str(tmp_path / "x")]) == 2
    assert "there is no data set 'no-such-log'" in capsys.readouterr().err
