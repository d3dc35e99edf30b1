"""Fakes among those whose feedback tunes a policy: nothing without them, files, tables, errors."""

import numpy as np
import pytest

pytest.importorskip("torch")

from recsim_env.experiments.cli import main
from recsim_env.experiments.results import Results

pytestmark = pytest.mark.extra

SMALL = ["--num-items", "60", "--num-users", "80", "--test-users", "30", "--epochs", "2", "--steps", "4"]
SMALL += ["--horizon", "2", "--replicates", "2", "--num-generations", "4", "--history", "6"]
SMALL += ["--learning-rate", "1e-3", "--feedbacks", "200"]


def run(*more, name="poisoned_preference"):
    return main(["run", name, *SMALL, *map(str, more)])


def last(path, policy, metric):
    return Results.read(path / "results.csv").curves[policy][metric].values[-1]


def test_the_command_and_that_no_fakes_change_nothing(tmp_path, capsys, elsewhere):
    more = ["--shares", "0,40", "--targets", "4"]
    assert run("--out", tmp_path / "r", *more) == 0
    said = capsys.readouterr().out
    results = Results.read(tmp_path / "r" / "results.csv")
    tunings = ["dpo", "robust_dpo", "ipo", "reward_model"]
    assert list(results.curves) == ["oracle", "before tuning", *tunings]
    for name in tunings:
        assert f"\n{name} " in said
        assert f"\n{name}, 40 % less 0 %: " in said
        assert (results.curves[name]["exposure"].values <= 1).all()
        best = results.curves["oracle"]["slate_reward"].values
        assert (results.curves[name]["slate_reward"].values <= best + 1e-9).all()
    assert (tmp_path / "r" / "figure.png").stat().st_size > 10_000
    assert run("--out", tmp_path / "r", *more, "--resume") == 0
    assert capsys.readouterr().out == said
    assert run("--out", tmp_path / "cut", *more, "--workers", 2) == 0
    assert (tmp_path / "cut" / "results.csv").read_bytes() == (tmp_path / "r" / "results.csv").read_bytes()

    # two experiments that know of no attack, to the last bit
    assert run("--out", tmp_path / "plain", "--policies", "dpo", name="finetune_compare") == 0
    assert run("--out", tmp_path / "gap", "--arms", "guarded", name="reward_model_gap") == 0
    for metric in ("slate_reward", "ndcg@10"):
        ours = results.curves["dpo"][metric].values[0]
        assert np.array_equal(ours, last(tmp_path / "plain", "dpo", metric))
        ours = results.curves["reward_model"][metric].values[0]
        assert np.array_equal(ours, last(tmp_path / "gap", "200 feedbacks, guarded", metric))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--tunings", "ppo"], "there is no tuning 'ppo'"),
        (["--tunings", "dpo,dpo"], "tunings names dpo twice"),
        (["--attack", "shout"], "there is no attack 'shout'"),
        (["--shares", "5,10"], "shares must rise from 0 to below 50"),
        (["--shares", "0,50"], "shares must rise from 0 to below 50"),
        (["--shares", "0,2.5"], "shares must be whole per cent"),
        (["--label-smoothing", "0.5"], "label_smoothing must be above 0 and below 0.5"),
        (["--targets", "31"], "targets must be from 1 to half the items (30), got 31"),
        (["--num-items", "9"], "num_items must be at least 24"),
        (["--feedbacks", "0"], "feedbacks must be positive"),
    ],
)
def test_bad_settings(tmp_path, capsys, more, message):
    assert run("--out", tmp_path / "r", *more) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
