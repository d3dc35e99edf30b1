"""What fake sessions do to honest ones: the measure, by hand and in the experiment."""

import numpy as np
import pytest

from recsim_env.errors import InputError
from recsim_env.evaluation.honest_exposure import exposure_lift, honest_exposure
from recsim_env.experiments.cli import main
from recsim_env.experiments.results import Results


def test_exposure_and_loss_by_hand():
    slates = np.array([[[7, 1], [1, 2]], [[7, 3], [2, 1]], [[2, 7], [3, 4]]])  # (3, 2, 2)
    fake = np.array([[True, False], [False, False], [False, True]])
    regret = np.array([[9.0, 1.0], [0.5, 2.0], [0.25, 9.0]])
    found = honest_exposure(slates, np.array([7, 4]), regret, fake)
    assert found.exposure.tolist() == [1.0, 0.0]
    assert found.loss.tolist() == [0.375, 1.5]


def test_fakes_never_enter_honest_numbers():
    """Whatever the rows of fakes hold, all comes out the same; where all are fake there is no number."""
    rng = np.random.default_rng(0)
    slates, regret, fake = rng.integers(0, 5, (50, 8, 2)), rng.random((50, 8)), rng.random((50, 8)) < 0.4
    fake[:, 3] = True
    found = honest_exposure(slates, [1], regret, fake)
    other = honest_exposure(np.where(fake[..., None], 1, slates), [1], np.where(fake, np.nan, regret), fake)
    np.testing.assert_array_equal(found.exposure, other.exposure)
    np.testing.assert_array_equal(found.loss, other.loss)
    assert np.isnan(found.exposure).tolist() == [b == 3 for b in range(8)]


def test_lift_is_a_ratio_of_means():
    assert float(exposure_lift([0.2, 0.4], [0.1, 0.2]).value) == pytest.approx(2.0)
    with pytest.raises(InputError):
        exposure_lift([0.2, 0.4], [0.0, 0.0])


def test_shapes_are_checked():
    with pytest.raises(InputError, match=r"slates must be \(T, B, K\), regret and fake \(T, B\), got"):
        honest_exposure(np.zeros((3, 2, 2)), [1], np.zeros((3, 2)), np.zeros((2, 3)))


SMALL = ["--rounds", "300", "--replicates", "5", "--num-items", "6", "--slate-size", "2"]
SMALL += ["--agents", "cascade_ts,cascade_ucb", "--shares", "0,0.4"]


def run(*more):
    return main(["run", "click_fraud", *SMALL, *map(str, more)])


def test_the_command(tmp_path, capsys, elsewhere):
    assert run("--out", tmp_path / "r") == 0
    said = capsys.readouterr().out
    results = Results.read(tmp_path / "r" / "results.csv")
    names = [f"{name}, share {share}" for name in ("cascade_ts", "cascade_ucb") for share in ("0", "0.4")]
    assert list(results.curves) == names
    for i in (0, 2):
        clean, bought = (results.curves[name]["exposure"].values[-1] for name in names[i : i + 2])
        assert bought.mean() > 1.5 * clean.mean()
        assert (results.curves[names[i + 1]]["loss"].values >= 0).all()
    assert (tmp_path / "r" / "figure.png").stat().st_size > 10_000
    assert run("--out", tmp_path / "r", "--resume") == 0
    assert capsys.readouterr().out == said
    assert run("--out", tmp_path / "cut", "--workers", 2) == 0
    assert (tmp_path / "cut" / "results.csv").read_bytes() == (tmp_path / "r" / "results.csv").read_bytes()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--shares", "x"], "shares must be numbers such as 0,0.1, got 'x'"),
        (["--shares", "0.1"], "shares must begin with 0 and be below 1"),
        (["--shares", "0,1"], "shares must begin with 0 and be below 1"),
        (["--agents", "cascade_ubc"], "did you mean cascade_ucb"),
        (["--agents", "cascade_ts,cascade_ts"], "agents names cascade_ts twice"),
        (["--slate-size", "9"], "slate_size must be from 1 to num_items"),
        (["--seed", "-1"], "seed must be 0 or more"),
    ],
)
def test_bad_input(more, message, tmp_path, capsys):
    assert run("--out", tmp_path / "x", *more) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
