"""`recsim-env compare` on bandits: one table over runs, files, TensorBoard; other experiments as before."""

import csv
import re

import numpy as np
import pytest
from scipy import stats

from recsim_env.evaluation.paired import holm
from recsim_env.experiments.cli import main
from recsim_env.experiments.compare_bandits import Run, problem_of, show
from recsim_env.experiments.results import Curve, Results, log_steps


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of one problem with some replicates in common, and one of another problem."""
    out = tmp_path_factory.mktemp("runs")
    common = ["--rounds", "300", "--env-arg", "num_items=3"]
    play(out / "a", *common, "--agents", "ucb1,random", "--replicates", 12)
    play(out / "b", *common, "--agents", "beta_ts,ucb1", "--replicates", 8, "--seed", 2)
    play(
        out / "other",
        "--env",
        "CascadeBandit-v0",
        "--rounds",
        60,
        "--agents",
        "cascade_ts",
        "--replicates",
        2,
    )
    return out


def play(out, *arguments):
    assert main(["run", "bandits", *map(str, arguments), "--out", str(out)]) == 0


def compare(*arguments):
    return main(["compare", *map(str, arguments)])


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_table_over_all_runs(runs, tmp_path, capsys):
    out = tmp_path / "cmp"
    assert compare(runs / "a", runs / "b", runs / "other", "--out", out) == 0
    shown = capsys.readouterr().out
    assert {p.name for p in out.iterdir()} == {
        "figure.png",
        "README.md",
        "table.csv",
        "pairs.csv",
        "tensorboard",
    }
    table = read(out / "table.csv")
    first = [row for row in table if row["problem"].startswith("Bernoulli")]
    assert [row["rank"] for row in first] == ["1", "2", "3", "4"]
    assert {(row["algorithm"], row["run"]) for row in first} == {
        ("ucb1", "a"), ("random", "a"), ("beta_ts", "b"), ("ucb1", "b"),
    }  # fmt: skip
    assert (first[-1]["algorithm"], first[-1]["rank_low"]) == ("random", "4")
    assert [(row["algorithm"], row["rank"]) for row in table if row not in first] == [("cascade_ts", "1")]
    for row in table:
        values = Results.read(runs / row["run"] / "results.csv").curves[row["algorithm"]]["regret"].values[-1]
        assert float(row["mean"]) == pytest.approx(values.mean())
        assert int(row["replicates"]) == len(values)
        assert float(row["low"]) < float(row["mean"]) < float(row["high"])
    for heading in ("BernoulliBandit-v0 (num_items=3), 300 rounds", "CascadeBandit-v0, 60 rounds"):
        assert heading in shown
        assert f"## {heading}" in (out / "README.md").read_text()
    assert f"recsim-env board {out}\n" in shown
    assert "![regret of all runs](figure.png)" in (out / "README.md").read_text()
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert compare(runs / "a", runs / "b", "--out", out) == 0  # again, over what it wrote itself


def test_pairs_are_tested_over_the_replicates_they_share(runs, tmp_path):
    compare(runs / "a", runs / "b", "--out", tmp_path / "cmp")
    pairs = read(tmp_path / "cmp" / "pairs.csv")
    assert len(pairs) == 6
    assert {row["test"] for row in pairs} == {"paired"}
    results = {name: Results.read(runs / name / "results.csv").curves for name in "ab"}
    seeds = {"a": np.arange(12), "b": 2 + np.arange(8)}
    expected = []
    for row in pairs:
        x, y = (
            dict(zip(seeds[run], results[run][agent]["regret"].values[-1], strict=True))
            for agent, run in ((row["algorithm"], row["run"]), (row["other_algorithm"], row["other_run"]))
        )
        shared = sorted(x.keys() & y.keys())
        d = np.array([x[s] - y[s] for s in shared])
        assert float(row["difference"]) == pytest.approx(d.mean())
        expected.append(1.0 if (d == 0).all() else stats.ttest_1samp(d, 0).pvalue)
    np.testing.assert_allclose([float(row["p_holm"]) for row in pairs], holm(np.array(expected)), rtol=1e-6)
    # the same algorithm on the same users is the same, whichever run it was in
    (same,) = [row for row in pairs if row["algorithm"] == row["other_algorithm"]]
    assert (float(same["difference"]), float(same["p_holm"])) == (0.0, 1.0)


def results_of(rounds=100, **ends):
    steps = log_steps(rounds)
    return Results(
        {name: {"regret": Curve(steps, np.outer(steps / rounds, values))} for name, values in ends.items()}
    )


def test_the_table_as_it_is_printed():
    rng = np.random.default_rng(0)
    one = results_of(good=rng.normal(5, 1, 50), bad=rng.normal(90, 1, 50))
    two = results_of(good=rng.normal(5, 1, 50))
    problem = problem_of("A world", [Run("one", one, "regret", 0), Run("two", two, "regret", 1000)])
    lines = show(problem).splitlines()
    assert lines[1] == "A world"
    assert lines[2].split() == ["run", "regret", "after", "100", "rank"]
    assert re.fullmatch(r"good +(one|two) +\d\.\d \[\d\.\d, \d\.\d\] +1 \(1 to 2\)", lines[3])
    assert re.fullmatch(r"good +(one|two) +\d\.\d \[\d\.\d, \d\.\d\] +2 \(1 to 2\)", lines[4])
    assert re.fullmatch(r"bad +one +\d+\.\d \[.*\] +3", lines[5])
    assert lines[7].split() == ["p", "1", "2", "3"]
    first, last = lines[8], lines[10]
    assert re.search(r"\.\d{3}w|1\.000w", first)  # two runs that share no replicate: Welch's test
    assert last.split()[:2] == ["3", "bad"]
    assert sorted(last.split()[2:]) == ["<.001", "<.001w"]  # paired with the good one of its own run
    alone = show(problem_of("A world", [Run("one", one, "regret", 0)]))
    assert "run" not in alone
    assert "w" not in alone.replace("A world", "")


def test_twelve_algorithms_fit_a_terminal():
    rng = np.random.default_rng(0)
    many = results_of(**{f"algorithm_number_{i}": rng.normal(i, 1, 9) for i in range(12)})
    text = show(problem_of("A world", [Run("one", many, "regret", 0)]))
    assert max(map(len, text.splitlines())) <= 110


def test_one_replicate_has_no_tests(tmp_path, capsys):
    play(tmp_path / "r", "--rounds", 50, "--replicates", 1, "--agents", "ucb1,beta_ts")
    assert compare(tmp_path / "r", "--out", tmp_path / "cmp") == 0
    shown = capsys.readouterr().out
    assert "1 (1 to 2)" in shown
    assert "nan" not in shown
    assert {row["p_holm"] for row in read(tmp_path / "cmp" / "pairs.csv")} == {"nan"}


def test_tensorboard_shows_all_runs_together(runs, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    compare(runs / "a", runs / "b", "--out", tmp_path)
    folders = {str(p.parent.relative_to(tmp_path / "tensorboard")) for p in tmp_path.rglob("events*")}
    assert folders == {"a/ucb1", "a/random", "b/beta_ts", "b/ucb1"}
    events = EventAccumulator(str(tmp_path / "tensorboard/b/beta_ts"), size_guidance={"tensors": 0}).Reload()
    assert [event.step for event in events.Tensors("regret")] == list(log_steps(300))


def test_runs_of_one_name_are_told_apart(tmp_path, capsys):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        seed = {"x": 0, "y": 50}[folder]
        play(tmp_path / folder / "r", "--rounds", 30, "--replicates", 3, "--agents", "ucb1", "--seed", seed)
    assert compare(tmp_path / "x/r", tmp_path / "y/r", "--out", tmp_path / "cmp") == 0
    names = {row["run"] for row in read(tmp_path / "cmp" / "table.csv")}
    assert {name[-4:] for name in names} == {"-x-r", "-y-r"}
    assert compare(tmp_path / "x/r", tmp_path / "x/r", "--out", tmp_path / "cmp") == 2
    assert "comes twice: give every run once" in capsys.readouterr().err


def test_what_stands_there_is_not_overwritten(runs, tmp_path, capsys):
    (tmp_path / "README.md").write_text("mine")
    assert compare(runs / "a", "--out", tmp_path) == 2
    assert "README.md is of something else and would be overwritten" in capsys.readouterr().err
    assert {p.name for p in tmp_path.iterdir()} == {"README.md"}
    figure = (runs / "a" / "figure.png").read_bytes()
    assert compare(runs / "a", "--out", runs / "a") == 2
    assert "holds a run, whose figure would be overwritten" in capsys.readouterr().err
    assert (runs / "a" / "figure.png").read_bytes() == figure


def test_a_picture_alone(runs, tmp_path, capsys):
    assert compare(runs / "a", "--out", tmp_path / "c.png") == 0
    assert [p.name for p in tmp_path.iterdir()] == ["c.png"]
    shown = capsys.readouterr().out
    assert shown.endswith(f"wrote {tmp_path / 'c.png'}\n")
    assert "rank" in shown


def test_other_experiments_are_drawn_as_before(tmp_path, capsys):
    asked = ["--rounds", "30", "--replicates", "2", "--agents", "cascade_ts", "--out", str(tmp_path / "c")]
    assert main(["run", "cascade_bandit", *asked]) == 0
    capsys.readouterr()
    assert compare(tmp_path / "c", "--out", tmp_path / "cmp") == 0
    assert capsys.readouterr().out == f"wrote {tmp_path / 'cmp' / 'figure.png'}\n"
    assert [p.name for p in (tmp_path / "cmp").iterdir()] == ["figure.png"]
