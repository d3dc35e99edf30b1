"""The experiments that tune policies: files, tables, workers, errors."""

import numpy as np
import pytest

pytest.importorskip("torch")

from recsim_env.experiments.cli import main
from recsim_env.experiments.relearned_reward import RelearnedReward
from recsim_env.experiments.results import Results

pytestmark = pytest.mark.extra

SMALL = ["--num-items", "60", "--num-users", "80", "--test-users", "30", "--epochs", "2", "--steps", "6"]
SMALL += [
    "--horizon",
    "2",
    "--replicates",
    "2",
    "--feedbacks",
    "200",
    "--num-generations",
    "4",
    "--history",
    "6",
]


def run(*more, name="finetune_compare"):
    return main(["run", name, *SMALL, *map(str, more)])


def test_the_command(tmp_path, capsys, elsewhere):
    assert run("--out", tmp_path / "r") == 0
    said = capsys.readouterr().out
    results = Results.read(tmp_path / "r" / "results.csv")
    tuned = ["rwr", "dpo", "softmax_dpo", "grpo", "reward_model"]
    assert list(results.curves) == ["random", "popular", "oracle", "sft", "sft_continued", *tuned]
    sft, oracle = results.curves["sft"], results.curves["oracle"]
    assert not oracle["regret"].values.any()
    for name, curves in results.curves.items():
        total = curves["slate_reward"].values + curves["regret"].values
        np.testing.assert_allclose(total, np.broadcast_to(oracle["slate_reward"].values[-1], total.shape))
        assert f"\n{name} " in said
    for name in tuned:  # all begin where sft ended
        curves = results.curves[name]
        assert np.array_equal(curves["slate_reward"].values[0], sft["slate_reward"].values[0])
        assert abs(curves["kl"].values[0]).max() < 1e-6
        asked = [200] * 5 if name == "reward_model" else [0, 64 * 4, 64 * 4 * 3, 64 * 4 * 4, 64 * 4 * 6]
        assert curves["queries"].values[:, 0].tolist() == asked
    assert (tmp_path / "r" / "figure.png").stat().st_size > 10_000
    assert run("--out", tmp_path / "r", "--resume") == 0
    assert capsys.readouterr().out == said

    assert run("--out", tmp_path / "cut", "--workers", 2) == 0
    assert (tmp_path / "cut" / "results.csv").read_bytes() == (tmp_path / "r" / "results.csv").read_bytes()


GAP = ["--feedbacks", "100,2000", "--rounds", "3"]


def test_the_gap_of_reward_models(tmp_path, capsys):
    name = "reward_model_gap"
    assert run("--out", tmp_path / "r", *GAP, name=name) == 0
    said = capsys.readouterr().out
    results = Results.read(tmp_path / "r" / "results.csv")
    kinds = ["100 feedbacks", "2,000 feedbacks"]
    tunings = [kind + more for kind in kinds for more in ("", ", guarded", ", relearned")]
    assert list(results.curves) == [*tunings, "oracle"]
    for tuning in tunings:
        curves = results.curves[tuning]
        assert f"\n{tuning} " in said
        assert (curves["score"].values > 0).all()
        assert (curves["score"].values < 1).all()
        for metric in ("truth", "slate_reward", "ndcg@10"):  # all begin with the same policy
            assert np.array_equal(curves[metric].values[0], results.curves[tunings[0]][metric].values[0])
        assert (
            curves["slate_reward"].values <= results.curves["oracle"]["slate_reward"].values[-1] + 1e-9
        ).all()
    for kind, asked in zip(kinds, ([33, 33, 66, 66, 100], [666, 666, 1333, 1333, 2000]), strict=True):
        one, guarded, relearned = (results.curves[kind + more] for more in ("", ", guarded", ", relearned"))
        np.testing.assert_allclose(one["score"].values[0], guarded["score"].values[0])  # one model for both
        assert (one["queries"].values == one["queries"].values[0, 0]).all()
        assert relearned["queries"].values[:, 0].tolist() == asked  # rounds after 0, 2 and 4 gradients
        gaps = [c["score"].values[-1] - c["truth"].values[-1] for c in (relearned, one)]
        less = (gaps[0] - gaps[1]).mean()
        line = next(row for row in said.splitlines() if row.startswith(f"{kind}, relearned less {kind}: "))
        assert f"score - truth {less:+.3f} [" in line
    assert (tmp_path / "r" / "figure.png").stat().st_size > 10_000
    assert run("--out", tmp_path / "alone", *GAP, "--arms", "guarded_relearned", name=name) == 0
    alone = Results.read(tmp_path / "alone" / "results.csv")
    assert list(alone.curves) == [*(f"{kind}, guarded, relearned" for kind in kinds), "oracle"]
    assert run("--out", tmp_path / "again", *GAP, "--workers", "0", name=name) == 2
    capsys.readouterr()
    for more, message in (
        (["--feedbacks", "1e3"], "feedbacks must be whole numbers such as 1000,10000, got '1e3'"),
        (["--feedbacks", "9,9"], "feedbacks must be 1 or more, each once"),
        (["--guard", "0"], "guard must be above 0 and finite"),
        (["--num-items", "9"], "num_items must be at least 24"),
        (["--arms", "all"], "there is no arm 'all'"),
        (["--arms", "plain,plain"], "arms names plain twice"),
        (["--rounds", "7"], "rounds must be from 2 to 6, a gradient and a feedback each, got 7"),
        (["--rounds", "1"], "rounds must be from 2 to 6"),
        (["--feedbacks", "5,9", "--rounds", "6"], "rounds must be from 2 to 5"),
    ):
        assert run("--out", tmp_path / "x", *more, name=name) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_cut_run_of_relearned_models_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch):
    """The second world is cut off in the middle of a tuning, between two rounds."""
    name, more = "reward_model_gap", ["--feedbacks", "100", "--arms", "relearned", "--rounds", "3"]
    assert run("--out", tmp_path / "r", *more, name=name) == 0
    relearn, calls = RelearnedReward.relearn, []

    def cut(self, policy, feedbacks):
        calls.append(feedbacks)
        if len(calls) == 5:
            raise KeyboardInterrupt
        relearn(self, policy, feedbacks)

    monkeypatch.setattr(RelearnedReward, "relearn", cut)
    assert run("--out", tmp_path / "cut", *more, name=name) == 130
    assert calls == [33, 33, 34, 33, 33]
    assert len(list((tmp_path / "cut" / "cells").iterdir())) == 1
    assert run("--out", tmp_path / "cut", *more, "--resume", name=name) == 0
    assert (tmp_path / "cut" / "results.csv").read_bytes() == (tmp_path / "r" / "results.csv").read_bytes()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--policies", "ppo"], "there is no policy 'ppo'"),
        (["--policies", "dpo,dpo"], "policies names dpo twice"),
        (["--num-items", 23], "num_items must be at least 24, got 23"),
        (["--slate-size", 11], "slate_size must be from 1 to 10, got 11"),
        (["--replicates", 1], "history, num_generations and replicates must be 2 or more, got 6, 4 and 1"),
        (["--steps", 0], "steps"),
        (["--seed", -1], "seed must be from 0 to 2^31 less the replicates, got -1"),
    ],
)
def test_bad_settings(tmp_path, capsys, more, message):
    assert run("--out", tmp_path / "r", *more) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
