"""The experiment on bought bandits: files, tables, workers, errors, and what its columns hold."""

import numpy as np
import pytest

from recsim_env.experiments.cli import main
from recsim_env.experiments.results import Results
from recsim_env.experiments.suite.corrupted_bandits import AGENTS

SMALL = ["--rounds", "700", "--replicates", "6", "--num-items", "3", "--budgets", "0,40,inf"]


def run(*more):
    return main(["run", "corrupted_bandits", *SMALL, *map(str, more)])


def test_the_command(tmp_path, capsys, elsewhere):
    assert run("--out", tmp_path / "r") == 0
    said = capsys.readouterr().out
    results = Results.read(tmp_path / "r" / "results.csv")
    assert list(results.curves) == [f"{name}, budget {b}" for name in AGENTS for b in ("0", "40", "inf")]
    for label, curves in results.curves.items():
        budget = float(label.split(" ")[-1])
        spent, share, regret = (curves[m].values for m in ("spent", "target_share", "regret"))
        assert (spent <= budget + 1e-9).all()
        assert (np.diff(spent, axis=0) >= 0).all()
        # with arms of gaps 1, 1/2 and 0, a pull of the target costs 1
        assert (regret >= share * curves["spent"].steps[:, None] - 1e-9).all()
        assert f"\n{label.split(',')[0]} " in said
    ucb1 = [results.curves[f"ucb1, budget {b}"]["target_share"].values[-1] for b in ("0", "inf")]
    assert ucb1[0].max() < 0.1
    assert ucb1[1].min() > 0.7
    assert (tmp_path / "r" / "figure.png").stat().st_size > 10_000
    assert run("--out", tmp_path / "r", "--resume") == 0
    assert capsys.readouterr().out == said
    assert run("--out", tmp_path / "cut", "--workers", 2) == 0
    assert (tmp_path / "cut" / "results.csv").read_bytes() == (tmp_path / "r" / "results.csv").read_bytes()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--budgets", "1,x"], "budgets must be numbers such as 0,100,inf, got '1,x'"),
        (["--budgets", "1,1"], "budgets must be 0 or more, each once"),
        (["--budgets", "nan"], "budgets must be 0 or more"),
        (["--agents", "ucb"], "did you mean ucb1"),
        (["--agents", "ucb1,ucb1"], "agents names ucb1 twice"),
        (["--margin", "-1"], "margin must be 0 or more"),
        (["--rounds", "1"], "rounds must be at least 2, got 1"),
        (["--seed", "-1"], "seed must be 0 or more"),
        (["--trimmed", "0.5"], "trimmed must be 0 or more and below 1/2, got 0.5"),
        (["--corruption", "-1"], "corruption must be 0 or more"),
    ],
)
def test_bad_input(more, message, tmp_path, capsys):
    assert run("--out", tmp_path / "x", *more) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
