"""The experiment on the depth of reasoning: its users, files, tables, workers, errors."""

import numpy as np
import pytest

pytest.importorskip("torch")

from recsim_env.errors import InputError
from recsim_env.experiments.cli import main
from recsim_env.experiments.drifting_users import drifting_users
from recsim_env.experiments.reasoning_training import ndcg_of
from recsim_env.experiments.results import Results

pytestmark = pytest.mark.extra

SMALL = ["--num-items", "50", "--num-users", "60", "--test-users", "40", "--epochs", "1", "--history", "5"]
SMALL += ["--replicates", "2", "--depths", "1,2"]


def run(*more):
    return main(["run", "reasoning_depth", *SMALL, *map(str, more)])


def test_the_command(tmp_path, capsys, elsewhere):
    assert run("--out", tmp_path / "r") == 0
    said = capsys.readouterr().out
    results = Results.read(tmp_path / "r" / "results.csv")
    kinds = ["plain", "progressive", "ensemble", "graph_prior"]
    assert list(results.curves) == ["interest", "sasrec", *kinds]
    base = results.curves["sasrec"]["ndcg@10"].values
    assert (base[0] == base).all()
    assert (results.curves["interest"]["ndcg@10"].values > base).all()
    for kind in kinds:
        curves = results.curves[kind]
        assert f"\n{kind} " in said
        assert curves["ndcg@10"].steps.tolist() == curves["drift"].steps.tolist() == [0, 1, 2]
        assert np.array_equal(curves["ndcg@10"].values[0], base[0])
        at_step = curves["ndcg@10_at_step"].values
        assert (curves["best_step"].values[-1] >= at_step.max(axis=0)).all()
        assert (curves["best_model"].values[-1] >= curves["ndcg@10"].values.max(axis=0)).all()
        assert (curves["steps"].values >= 1).all()
        assert (curves["steps"].values <= 2).all()
        assert (curves["drift"].values > 0).all()
        if kind != "ensemble":  # which is read out by the mean
            np.testing.assert_allclose(at_step[-1], curves["ndcg@10"].values[-1])
    assert (tmp_path / "r" / "figure.png").stat().st_size > 10_000
    assert run("--out", tmp_path / "r", "--resume") == 0
    assert capsys.readouterr().out == said

    assert run("--out", tmp_path / "cut", "--workers", 2) == 0
    assert (tmp_path / "cut" / "results.csv").read_bytes() == (tmp_path / "r" / "results.csv").read_bytes()


def test_ndcg_by_hand():
    scores = np.array([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0]])
    np.testing.assert_allclose(ndcg_of(scores, np.array([0, 1])), [1.0, 0.5])
    assert ndcg_of(np.arange(12.0)[None], np.array([1])) == 0.0  # place 11


def test_users_drift_as_fast_as_they_are_told():
    """What was taken last is less likely the longer ago the interest was another one; alone users stay."""

    def kept(length_scale):
        of = drifting_users(200, 300, 12, length_scale, seed=1)
        score = of.last_score - of.last_score.mean(axis=1, keepdims=True)
        return [np.take_along_axis(score, of.taken[:, [t]], axis=1).mean() for t in range(12)]

    fast, slow = kept(3.0), kept(np.inf)
    assert fast[-1] > fast[-3] > fast[-5] + 1
    assert abs(fast[0]) < 2  # forgotten: as any item
    assert np.ptp(slow) < 1
    assert fast[-1] == pytest.approx(slow[-1], abs=1)


def test_users_do_not_depend_on_how_many_there_are():
    few, many = (drifting_users(100, users, 6, 4.0, seed=3) for users in (10, 30))
    assert np.array_equal(few.taken, many.taken[:10])
    log = many.log(5)
    assert np.array_equal(log.slate[:, 0].reshape(5, 6), many.taken[:5])
    assert log.user.tolist() == np.repeat(np.arange(5), 6).tolist()
    with pytest.raises(InputError, match="num_users must be at least 1, got 0"):
        drifting_users(100, 0, 6, 4.0, seed=3)


def test_what_is_taken_follows_the_score():
    """Chi-square of the last item of many users whose probabilities are known, by its decile."""
    of = drifting_users(60, 4000, 2, 4.0, seed=5)
    share = np.exp(of.last_score - of.last_score.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    order = np.argsort(-share, axis=1)
    place = np.argsort(order, axis=1)[np.arange(4000), of.taken[:, -1]]
    expected = np.take_along_axis(share, order, axis=1).sum(axis=0)
    seen = np.bincount(place, minlength=60)
    some = expected > 20
    error = ((seen[some] - expected[some]) ** 2 / expected[some]).sum()
    assert error < some.sum() + 4 * np.sqrt(2 * some.sum())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--kinds", "deep"], "there is no kind of reasoning 'deep'"),
        (["--kinds", "plain,plain"], "kinds names plain twice"),
        (["--depths", "2,1"], "depths must be 1 or more and rise, got '2,1'"),
        (["--depths", "0,1"], "depths must be 1 or more and rise, got '0,1'"),
        (["--depths", "a"], "depths must be whole numbers such as 1,2,3, got 'a'"),
        (["--halt", "0"], "halt must be above 0 and finite, got 0.0"),
        (["--num-items", "39"], "num_items must be at least 40, got 39"),
        (["--replicates", "1"], "history and replicates must be 2 or more, got 5 and 1"),
        (["--seed", "-1"], "seed must be from 0 to 2^31 less the replicates, got -1"),
    ],
)
def test_bad_settings(tmp_path, capsys, more, message):
    assert run("--out", tmp_path / "r", *more) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
