"""The experiments that tune policies: files, tables, workers, errors."""

import numpy as np
import pytest

pytest.importorskip("torch")

from recsim_env.experiments.cli import main
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


def test_the_gap_of_reward_models(tmp_path, capsys):
    name = "reward_model_gap"
    assert run("--out", tmp_path / "r", "--feedbacks", "100,2000", name=name) == 0
    said = capsys.readouterr().out
    results = Results.read(tmp_path / "r" / "results.csv")
    tunings = ["100 feedbacks", "100 feedbacks, guarded", "2,000 feedbacks", "2,000 feedbacks, guarded"]
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
    for kind in ("100 feedbacks", "2,000 feedbacks"):  # one model for both
        scores = (results.curves[kind + more]["score"].values[0] for more in ("", ", guarded"))
        np.testing.assert_allclose(*scores)
    assert (tmp_path / "r" / "figure.png").stat().st_size > 10_000
    assert run("--out", tmp_path / "again", "--feedbacks", "100,2000", "--workers", "0", name=name) == 2
    capsys.readouterr()
    for more, message in (
        (["--feedbacks", "1e3"], "feedbacks must be whole numbers such as 1000,10000, got '1e3'"),
        (["--feedbacks", "9,9"], "feedbacks must be 1 or more, each once"),
        (["--guard", "0"], "guard must be above 0 and finite"),
        (["--num-items", "9"], "num_items must be at least 24"),
    ):
        assert run("--out", tmp_path / "x", *more, name=name) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--policies", "ppo"], "there is no policy 'ppo'"),
        (["--policies", "dpo,dpo"], "policies must name one or more, each once"),
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
