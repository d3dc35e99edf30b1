"""The experiment on off-policy estimates: truths against simulation, lessons, files and errors."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from recsim_env.agents.baselines.logging_policies import PlackettLuceSlates
from recsim_env.evaluation.intervals import mean_of
from recsim_env.experiments.cli import main
from recsim_env.experiments.env_args import world_of
from recsim_env.experiments.off_policy import sequences
from recsim_env.experiments.off_policy.actions import action_problem
from recsim_env.experiments.off_policy.problem import Problem, TabularMeans
from recsim_env.experiments.off_policy.slates import TARGET, WORLD, attractions, slate_problem
from recsim_env.experiments.results import Results
from recsim_env.experiments.suite.off_policy_accuracy import rmse
from recsim_env.simulators.log_generation import generate_log


def test_table_of_means_by_hand() -> None:
    model = TabularMeans(last=1).fit(np.array([[7, 0], [8, 0], [9, 1]]), np.array([1.0, 2.0, 6.0]))
    assert_allclose(model.predict(np.array([[0, 0], [7, 1], [7, 2]])), [(3 + 3) / 3, (6 + 3) / 2, 3])
    pairs = TabularMeans(last=2).fit(np.array([[7, 0], [8, 0]]), np.array([1.0, 3.0]))
    assert_allclose(pairs.predict(np.array([[7, 0], [9, 0]])), [1.5, 2.0])


@pytest.mark.parametrize("clicks", ["cascade", "position_based", "user_browsing"])
def test_truth_of_slates_is_what_the_policy_earns(clicks: str) -> None:
    """Played in the world instead of enumerated; and the log's own value is the mean of the log."""
    problem = slate_problem(clicks, 2, 40_000, 0)
    estimate = problem.estimate(np.arange(40_000))["log's mean"]
    assert abs(estimate.value - problem.logged) < 4 * estimate.std_error
    world = world_of("SlateRec-v0", {**WORLD, "clicks": clicks, "slate_size": 2})
    logits = TARGET * np.log(attractions(world))
    policy = PlackettLuceSlates(lambda state: logits[state.user], 2)
    (log,) = generate_log(world, policy, 1, num_users=40_000, seed=7, piece_rows=40_000)
    earned = mean_of(log.clicked.sum(axis=1))
    assert abs(earned.value - problem.truth) < 4 * earned.std_error


def test_rmse_by_hand() -> None:
    assert rmse(np.array([3.0, -4.0])) == pytest.approx(np.sqrt(12.5))


def test_truth_of_sequences_is_the_worlds_for_policies_without_chance() -> None:
    world = world_of("CascadeRec-v0", sequences.WORLD)
    lists = np.array([[a, b] for a in range(5) for b in range(5) if a != b])
    policy = world.optimal_policy
    chosen = (policy[:, :, None, :] == lists).all(axis=3).astype(float)  # (H, S, A)
    value = sequences.exact_value(world, lists, chosen)
    assert value == pytest.approx(world.mean_start_value(world.policy_values(policy)), abs=1e-12)
    problem = sequences.sequence_problem(20_000, 0)
    estimate = problem.estimate(np.arange(20_000))["log's mean"]
    assert abs(estimate.value - problem.logged) < 4 * estimate.std_error


def _errors(problem: Problem, size: int) -> dict[str, np.ndarray]:
    """By estimator, the error on every log of a size."""
    logs = [
        problem.estimate(np.arange(start, start + size)) for start in range(0, problem.size - size + 1, size)
    ]
    return {
        name: np.array([log[name].value - problem.truth for log in logs if name in log]) for name in logs[0]
    }


def _is_biased(errors: np.ndarray) -> bool:
    return bool(abs(errors.mean()) > 4 * errors.std(ddof=1) / np.sqrt(len(errors)))


def test_who_is_biased_when_users_click_how() -> None:
    """The unbiased stay so, and an assumption that users break is paid for."""
    cascade = _errors(slate_problem("cascade", 3, 60_000, 1), 300)
    independent = _errors(slate_problem("position_based", 3, 60_000, 1), 300)
    for name in ("SIPS", "RIPS", "Cascade-DR"):
        assert not _is_biased(cascade[name]), name
    for name in ("SIPS", "IIPS", "PI"):
        assert not _is_biased(independent[name]), name
    assert _is_biased(cascade["IIPS"])
    assert cascade["IIPS"].mean() > 0.1
    assert independent["IIPS"].std() < 0.5 * independent["SIPS"].std()
    assert cascade["Cascade-DR"].std() < 0.8 * cascade["RIPS"].std()
    for errors in (cascade, independent):
        assert _is_biased(errors["DM"])
        assert _is_biased(errors["log's mean"])


def test_actions_and_sequences() -> None:
    actions = _errors(action_problem(60_000, 1), 300)
    for name in ("IPS", "DR"):
        assert not _is_biased(actions[name]), name
    assert _is_biased(actions["DM"])
    # categories carry most of what an item does
    assert abs(actions["MIPS"].mean()) < 0.2 * abs(actions["log's mean"].mean())
    assert actions["DR"].std() < actions["IPS"].std()
    episodes = _errors(sequences.sequence_problem(60_000, 1), 300)
    for name in ("IS", "PDIS", "sequential DR"):
        assert not _is_biased(episodes[name]), name
    assert episodes["PDIS"].std() < episodes["IS"].std()
    assert episodes["sequential DR"].std() < episodes["PDIS"].std()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    options = [
        "--sizes",
        "20,60",
        "--middle",
        "60",
        "--replicates",
        "3",
        "--clicks",
        "cascade,position_based",
    ]
    options += ["--slate-size", "2", "--slate-sizes", "1,2", "--seed", "5"]
    assert main(["run", "off_policy_accuracy", *options, "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    for problem in (
        "slates/cascade/2, 60 rows",
        "slates/cascade/1",
        "slates/position_based/2",
        "actions",
        "sequences",
    ):
        assert problem in shown
    results = Results.read(out / "results.csv")
    curve = results.curves["SIPS"]["error/slates/cascade/2"]
    assert curve.steps.tolist() == [20, 60]
    model = results.curves["DM"]
    assert model["error/actions"].values.mean() < -0.05  # the error, and not the value
    assert model["covered/actions"].values.mean() < 0.5  # a model without users, and far too sure
    assert results.curves["IPS"]["covered/actions"].values.mean() > 0.5
    assert curve.values.shape == (2, 3)
    assert (out / "figure.png").stat().st_size > 10_000
    assert main(["compare", str(out), "--out", str(tmp_path / "figure.png")]) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--clicks", "cascde"], "no click model 'cascde': did you mean cascade"),
        (["--sizes", "100,many"], "sizes must be whole numbers such as 100,1000, got '100,many'"),
        (["--sizes", "5,1000"], "sizes must be 10 or more, got 5"),
        (["--middle", "77"], "middle must be one of the sizes"),
        (["--slate-size", "9"], "slate_size must be from 1 to 8, the items of the world, got 9"),
        (["--replicates", "1"], "replicates must be at least 2"),
        (["--seed", "-1"], "seed must be 0 or more"),
    ],
)
def test_bad_options(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "off_policy_accuracy", *options, "--out", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
