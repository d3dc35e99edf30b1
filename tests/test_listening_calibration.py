"""A world of repeated listening out of a log: recovered, saved, refused where not to be trusted."""

import json
import re
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import recsim_env  # noqa: F401
from recsim_env.errors import InputError
from recsim_env.experiments.cli import main
from recsim_env.simulators.calibration import fit_actr, listening
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


def test_a_world_of_few_songs_remembers_what_fits(calibration, tmp_path):
    N = len(calibration.popularity)
    assert N < 500
    calibration.save(tmp_path)
    for size in (1, 3):
        env = gym.make("RepeatListen-v0", calibration=tmp_path, slate_size=size, num_users=3, horizon=5)
        assert env.unwrapped.world.remembered == N - size
        env.reset(seed=0)
        env.step(env.unwrapped.best_slate())
    with pytest.raises(InputError, match=rf"remembered must be from 1 to {N - 1}, .* got 500"):
        gym.make("RepeatListen-v0", calibration=tmp_path, remembered=500)
    assert calibration.world(num_users=3).remembered == N - 1
    assert repeat_listening(num_users=3).remembered == 500


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"num_items": 100}, "num_items=100"),
        ({"repeat": 0.5, "decay": 0.1}, "repeat=0.5, decay=0.1"),
        ({"mean_gap": 9000.0, "slate_size": 2}, "mean_gap=9000.0"),
    ],
)
def test_what_a_calibration_takes_the_place_of_is_refused(given, named, calibration, tmp_path):
    calibration.save(tmp_path)
    with pytest.raises(InputError, match=f"^{named} cannot stand beside calibration"):
        gym.make("RepeatListen-v0", calibration=tmp_path, **given)


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


def test_a_temperature_below_that_of_the_world_is_a_problem_and_forced_to_it(log, monkeypatch):
    fit = fit_actr(log)
    cold = replace(fit, memory=replace(fit.memory, temperature=0.163))
    monkeypatch.setattr(listening, "fit_actr", lambda log: cold)
    calibration = fit_listening(log, seconds=DAY)
    assert calibration.problems == ("temperature 0.163 is below 0.25, the least of the world",)
    with pytest.raises(InputError, match="not to be trusted"):
        calibration.world(remembered=50)
    assert calibration.world(remembered=50, force=True).temperature == 0.25


def test_a_clock_that_counts_visits_has_equal_gaps_and_is_noted(log, tmp_path):
    order = np.concatenate([np.arange(n) for n in np.unique(log.user, return_counts=True)[1]])
    fit = fit_listening(Log(log.user, order.astype(float), log.slate, log.clicked), seconds=DAY)
    assert (fit.mean_gap, fit.gap_shape) == (DAY, np.inf)
    assert fit.problems == ()
    assert "every gap between visits is 1: the log's time counts visits and is no clock" in fit.notes[0]
    fit.save(tmp_path)
    assert ListeningCalibration.load(tmp_path).notes == fit.notes


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


@pytest.mark.parametrize(
    ("file", "field", "value", "complaint"),
    [
        ("npz", "pace", np.empty(0), "must have shape (150), got (0,)"),
        ("npz", "pace", np.ones(149), "must have shape (150), got (149,)"),
        (
            "npz",
            "pace",
            np.append(np.ones(149), np.nan),
            "pace[149] in calibration.npz must be a number above 0",
        ),
        ("npz", "pace", np.zeros(150), "pace[0] in calibration.npz must be a number above 0, got 0.0"),
        ("npz", "pace", np.array(["fast"] * 150), "must hold numbers, got <U4"),
        ("npz", "item_ids", np.arange(3), "must have shape"),
        ("npz", "popularity", np.full(7, np.nan), "must be a number of at least 0 and at most 1, got nan"),
        ("npz", "session_sizes", np.array([0.5, 0.4]), "must sum to 1, got 0.9"),
        ("npz", "session_sizes", np.eye(2), "must have shape (1 or more), got (2, 2)"),
        ("json", "mean_gap", 0, "must be a number above 0, got 0"),
        ("json", "gap_shape", np.nan, "must be a number above 0, got nan"),
        ("json", "repeat", 1.5, "must be a number of at least 0 and at most 1, got 1.5"),
        ("json", "repeat_growth", 1e9, "must be a number of at least -10 and at most 10, got 1000000000.0"),
        ("json", "repeat_reference", 1e-300, "must be a number of at least 1, got 1e-300"),
        ("json", "decay", "slow", "must be a number of at least 0 and at most 0.999, got 'slow'"),
        ("json", "temperature", 0.1, "must be a number of at least 0.25, got 0.1"),
    ],
)
def test_broken_fields_are_named(file, field, value, complaint, calibration, tmp_path):
    calibration.save(tmp_path)
    if file == "npz":
        arrays = dict(np.load(tmp_path / "calibration.npz"))
        np.savez(tmp_path / "calibration.npz", **{**arrays, field: value})
    else:
        document = json.loads((tmp_path / "calibration.json").read_text())
        (tmp_path / "calibration.json").write_text(json.dumps({**document, field: value}))
    with pytest.raises(InputError, match=re.escape(complaint)) as caught:
        gym.make("RepeatListen-v0", calibration=tmp_path)
    said = str(caught.value)
    assert said.startswith(f"{tmp_path} holds no readable calibration (")
    assert field in said
    assert f"calibration.{file}" in said
    assert len(said) < 400


def test_equal_gaps_come_back_from_disk(calibration, tmp_path):
    replace(calibration, gap_shape=np.inf).save(tmp_path)
    assert ListeningCalibration.load(tmp_path).gap_shape == np.inf


def _write(directory, log, **times):
    """A directory with the log as `read_interactions` takes it."""
    directory.mkdir()
    columns = {"user_id": log.user + 70, "item_id": log.slate[:, 0] + 1000, **times}
    pq.write_table(pa.table(columns), directory / "interactions.parquet")
    return ["calibrate", str(directory), "--world", "RepeatListen-v0", "--out"]


FILES = {"calibration.json", "calibration.npz", "fidelity.md", "fidelity.csv", "fidelity.png"}


def test_the_command_writes_the_calibration_and_the_report(log, tmp_path, capsys):
    arguments = _write(tmp_path / "log", log, timestamp=(log.time * DAY).astype(int))
    out = tmp_path / "fit"
    assert main([*arguments, str(out)]) == 0
    shown = capsys.readouterr()
    assert "temperature" in shown.out
    assert "repeat ratio" in shown.out
    assert "WARNING" not in shown.err
    assert {path.name for path in out.iterdir()} == FILES
    assert out.stat().st_mode & 0o777 == 0o755
    for more, message in (
        ([str(out)], "is there already"),
        ([str(tmp_path / "x"), "--seed", "-1"], "--seed must be 0 or more"),
        ([str(tmp_path / "nowhere" / "x")], "nowhere is not a directory: make it, or choose another --out"),
    ):
        assert main([*arguments, *more]) == 2
        assert message in capsys.readouterr().err
    assert main(["calibrate", "no-such-log", *arguments[2:], str(tmp_path / "x")]) == 2
    assert "there is no data set 'no-such-log'" in capsys.readouterr().err


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("place", ["numpy.savez", "matplotlib.figure.Figure.savefig"])
def test_a_calibration_that_could_not_be_written_is_not_in_the_way(
    error, place, log, tmp_path, monkeypatch, capsys
):
    def full(*args, **options):
        raise error

    arguments = _write(tmp_path / "log", log, timestamp=(log.time * DAY).astype(int))
    with monkeypatch.context() as patch:
        patch.setattr(place, full)
        assert main([*arguments, str(tmp_path / "fit")]) == (2 if isinstance(error, OSError) else 130)
    said = capsys.readouterr().err
    assert f"{tmp_path / 'fit'}: No space left on device" in said or "interrupted: run it again" in said
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_calibration_saved_in_vain_leaves_no_part(calibration, tmp_path, monkeypatch):
    calibration.save(tmp_path)
    monkeypatch.setattr("numpy.savez", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        calibration.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"calibration.json", "calibration.npz"}
    ListeningCalibration.load(tmp_path)


def test_the_command_reads_timestamps_and_warns_where_there_are_none(log, tmp_path, capsys):
    order = np.concatenate([np.arange(n) for n in np.unique(log.user, return_counts=True)[1]])
    both = {"order": order, "timestamp": (log.time * DAY).astype(int)}
    assert main([*_write(tmp_path / "both", log, **both), str(tmp_path / "a")]) == 0
    assert "WARNING" not in capsys.readouterr().err
    assert ListeningCalibration.load(tmp_path / "a").mean_gap == pytest.approx(2 * DAY, rel=0.05)
    for name, times, words in (
        ("counts", order, "counts visits"),
        ("holes", order + (order > 40), "--clock"),
    ):
        assert main([*_write(tmp_path / name, log, order=times), str(tmp_path / f"{name}-fit")]) == 0
        shown = capsys.readouterr()
        assert f"WARNING: {ListeningCalibration.load(tmp_path / f'{name}-fit').notes[0]}" in shown.err
        assert words in shown.err
        assert ListeningCalibration.load(tmp_path / f"{name}-fit").notes[0] in shown.out


def test_rows_in_the_future_are_refused_and_rows_that_stand_twice_are_said(log, tmp_path, capsys):
    log = log.rows(np.append(np.arange(len(log)), len(log) - 1))  # the last row stands twice
    time = (log.time * DAY).astype(int)
    last_of_first = int(np.argmax(log.user)) - 1
    assert log.user[last_of_first] == 148
    time[last_of_first] = 4_102_444_800  # 2100
    arguments = [*_write(tmp_path / "log", log, timestamp=time), str(tmp_path / "fit")]
    assert main(arguments) == 2
    refused = capsys.readouterr().err
    assert not (tmp_path / "fit").exists()
    assert main([*arguments, "--force"]) == 0
    said = capsys.readouterr().err
    cells = f"user_id = 218, item_id = {log.slate[last_of_first, 0] + 1000}, timestamp = 4102444800"
    future = f"rows in the future: 1 of {len(log):,}, such as row {last_of_first} ({cells}), where now is "
    assert f"recsim-env: this log is not to be trusted ({future}" in refused
    assert "mend their clock or drop them, or add --force" in refused
    assert f"WARNING: {future}" in said
    assert ListeningCalibration.load(tmp_path / "fit").problems[0].startswith(future)
    assert f"\n- NOT TO BE TRUSTED: {future}" in (tmp_path / "fit" / "fidelity.md").read_text()
    cells = f"(user_id = 219, item_id = {log.slate[-1, 0] + 1000}, timestamp = {time[-1]})"
    twice = f"row {len(log) - 1} {cells} repeats row {len(log) - 2} {cells}: drop it, unless a visit"
    assert f"note: {twice}" in said


def test_a_row_in_the_far_future_is_named_where_it_makes_a_world_impossible(log, tmp_path, capsys):
    time = (log.time * DAY).astype(int)
    time[int(np.argmax(log.user)) - 1] = 50_000_000_000  # in milliseconds, perhaps
    arguments = [*_write(tmp_path / "log", log, timestamp=time), str(tmp_path / "fit")]
    assert main(arguments) == 2
    refused = capsys.readouterr().err
    assert "timestamp = 50000000000" in refused
    assert "mean_gap" not in refused
    assert main([*arguments, "--force"]) == 2
    stopped = capsys.readouterr().err.splitlines()[-1]
    assert "even with --force no world can be made of this fit" in stopped
    assert stopped.index("timestamp = 50000000000") < stopped.index("mean_gap must be at most")
    assert not (tmp_path / "fit").exists()


def test_the_help_says_how_ids_are_numbered(capsys):
    with pytest.raises(SystemExit):
        main(["calibrate", "--help"])
    assert "\n  df.user_id = pandas.factorize(df.user_id)[0]\n" in capsys.readouterr().out


def test_negative_ids_are_ids_like_others(log, tmp_path, capsys):
    columns = {"user_id": log.user - 70, "item_id": log.slate[:, 0] - 30, "timestamp": log.time * DAY}
    (tmp_path / "log").mkdir()
    # row 7 stands twice, the second time last
    table = pa.table({name: np.append(cells, cells[7]) for name, cells in columns.items()})
    pq.write_table(table, tmp_path / "log" / "interactions.parquet")
    arguments = ["calibrate", str(tmp_path / "log"), "--world", "RepeatListen-v0", "--out"]
    assert main([*arguments, str(tmp_path / "fit")]) == 0
    assert ListeningCalibration.load(tmp_path / "fit").about["items"] == len(np.unique(log.slate))
    said = capsys.readouterr().err
    assert f"row {len(log)} (user_id = -70, item_id = {log.slate[7, 0] - 30}, " in said
    assert f"repeats row 7 (user_id = -70, item_id = {log.slate[7, 0] - 30}, " in said
