"""`recsim-env run bandits`: what is recorded, drawn and printed, stops in the middle, and bad input."""

import json
import re
import sys
from dataclasses import dataclass, replace
from typing import NamedTuple

import gymnasium as gym
import numpy as np
import pytest

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits import ucb1
from recsim_env.envs.batched import BatchedEnv
from recsim_env.envs.describe import builder, registered_ids
from recsim_env.errors import InputError
from recsim_env.experiments import checkpoint, figure
from recsim_env.experiments import run as loop
from recsim_env.experiments.bandit_agents import BANDITS, BanditTask
from recsim_env.experiments.bandits_by_world import algorithms_by_world, bandits_of, bound_of
from recsim_env.experiments.cli import main
from recsim_env.experiments.env_args import world_of
from recsim_env.experiments.results import Curve, Results, log_steps
from recsim_env.experiments.suite import bandits
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.arms import ArmsWorld
from recsim_env.simulators.worlds.bernoulli_bandit import bernoulli_bandit
from recsim_env.simulators.worlds.gaussian_bandit import gaussian_bandit
from recsim_env.simulators.worlds.world import columns, with_columns

SMALL = ["--rounds", "400", "--replicates", "5", "--env-arg", "num_items=3"]


@dataclass(frozen=True)
class Adversary(ArmsWorld):
    """Arms with a best fixed one that has a regret of its own."""

    def fixed_regret(self):
        return 0.01 * np.arange(self.horizon + 1)


def adversary(low: float = 0.1, horizon: int = 100) -> Adversary:
    """Arms of which `fixed_regret` is known."""
    return Adversary(np.array([low, 0.5]), horizon)


@pytest.fixture
def adversary_id():
    gym.register(
        "Adversary-v0",
        entry_point="recsim_env.envs.single_user:SingleUserEnv",
        kwargs={"world": f"{__name__}:adversary"},
    )
    yield "Adversary-v0"
    del gym.registry["Adversary-v0"]


def run(out, *arguments):
    assert main(["run", "bandits", *map(str, arguments), "--out", str(out)]) == 0
    return Results.read(out / "results.csv")


def test_a_run_writes_everything(tmp_path, capsys):
    results = run(tmp_path / "r", *SMALL, "--seed", 3)
    assert list(results.curves) == bandits_of(bernoulli_bandit())
    for curves in results.curves.values():
        assert set(curves) == {"regret", "reward", "realised_regret"}
        assert list(curves["regret"].steps) == list(log_steps(400))
        assert curves["regret"].values.shape[1] == 5
    assert {p.name for p in (tmp_path / "r").iterdir()} == {
        "run.json", "results.csv", "figure.png", "tensorboard",
    }  # fmt: skip
    settings = json.loads((tmp_path / "r" / "run.json").read_text())["settings"]
    assert settings["env_args"] == "num_items=3"
    assert settings["env"] == "BernoulliBandit-v0"
    shown = capsys.readouterr().out
    assert re.search(r"regret after 400 +reward a round +realised regret +exponent, 40 to 400 +bound", shown)
    assert re.search(r"random +[\d.,]+ \+- .* (1.0\d|0.9\d) \[.*\] +-\n", shown)
    words = " ".join(shown.split())
    assert "bound of ucb1: E R(T) <= sum over arms" in words
    assert "from memory" in words  # where its constants come from
    assert main(["run", "--resume", str(tmp_path / "r")]) == 0  # a finished run is shown again
    assert capsys.readouterr().out.endswith(shown[shown.index("algorithm") :])


def test_curves_are_those_of_the_plain_loop(tmp_path):
    """World and agent called one after the other; regret, reward and the best, summed."""
    found = run(tmp_path / "r", "--agents", "ucb1", *SMALL, "--seed", 7)
    world = bernoulli_bandit(num_items=3, horizon=400)
    users = Luck.from_seeds([7 + i for i in range(5)])
    mine = Luck.from_seeds([loop.AGENT_LUCK + 7 + i for i in range(5)])
    agent, state = ucb1.UCB1(5, 3), world.begin(users)
    observation, lost, earned = world.observe(state), [], []
    for t in range(400):
        slates = agent.act(observation, mine.at(t))
        lost.append(world.mean.max() - world.mean[slates[:, 0]])
        state, o = world.respond(state, slates, users.at(t))
        agent.update(
            Transition(observation, slates, *o.response, o.reward, world.observe(state), o.left, o.left)
        )
        observation = world.observe(state)
        earned.append(o.reward)
    steps = log_steps(400) - 1
    curves = found.curves["ucb1"]
    np.testing.assert_allclose(curves["regret"].values, np.cumsum(lost, axis=0)[steps], atol=1e-9)
    np.testing.assert_array_equal(curves["reward"].values, np.cumsum(earned, axis=0)[steps])
    best = (steps + 1)[:, None] * world.mean.max()
    np.testing.assert_allclose(
        curves["realised_regret"].values, best - curves["reward"].values, rtol=1e-12, atol=1e-9
    )


def test_realised_regret_has_the_mean_of_regret(tmp_path):
    """The luck of the rewards has mean 0, and is all that makes them differ."""
    curves = run(tmp_path / "r", "--agents", "random", "--rounds", 100, "--replicates", 400).curves["random"]
    luck = (curves["realised_regret"].values - curves["regret"].values)[-1]
    assert abs(luck.mean()) < 4 * luck.std() / 20
    assert luck.std() == pytest.approx(np.sqrt(100 * 0.183), rel=0.2)  # mean of mu (1 - mu)


@pytest.mark.parametrize(
    ("env_id", "agents"),
    [("BernoulliBandit-v0", "ucb1,beta_ts"), ("CascadeBandit-v0", "cascade_kl_ucb,ts_cascade")],
)
def test_a_stopped_run_goes_on_to_the_same_bytes(tmp_path, monkeypatch, env_id, agents):
    """Stopped in the middle of its one episode, again and again; `test_experiments` kills one likewise."""
    asked = ["--env", env_id, "--agents", agents, "--rounds", 60, "--replicates", 4]
    run(tmp_path / "whole", *asked)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)  # a checkpoint every round
    save, saved = checkpoint.save, []

    def save_and_stop(*arguments):
        save(*arguments)
        saved.append(arguments[0])
        if len(saved) % 17 == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", save_and_stop)
    out, again = tmp_path / "cut", []
    while main(["run", "bandits", *map(str, asked), "--out", str(out), *again]) == 130:
        again = ["--resume"]
    assert len(saved) == 2 * 59  # no round was played twice; after the last one nothing is left to save
    assert (out / "results.csv").read_bytes() == (tmp_path / "whole" / "results.csv").read_bytes()


@pytest.mark.parametrize("env_id", [*algorithms_by_world(), "GroupSlate-v0"])
def test_environments_go_on_from_their_arrays(env_id):
    """Saved in the middle of an episode, a fresh one does what this one would have done."""
    try:
        world = world_of(env_id, {})
    except InputError:
        pytest.skip("it needs a file")
    env, fresh = BatchedEnv(3, world), BatchedEnv(3, world)
    rng = np.random.default_rng(0)
    slates = [[rng.permutation(world.num_items)[: world.slate_size] for _ in range(3)] for _ in range(4)]
    for one in (env, fresh):
        one.reset(seed=[4, 5, 6])
        one.reset(options={"episode": 2})
    seen = env.step(np.array(slates[0]))[0]
    kept = {name: array.copy() for name, array in env.progress().items()}
    then = [env.step(np.array(one)) for one in slates[1:]]
    observation = fresh.restore(kept)
    assert all(np.array_equal(observation[name], seen[name]) for name in seen)
    for a, b in zip(then, [fresh.step(np.array(one)) for one in slates[1:]], strict=True):
        for mine, other in zip(flat(a), flat(b), strict=True):
            np.testing.assert_array_equal(mine, other)


def flat(step):
    observation, *middle, info = step
    return [*observation.values(), *middle, *info.values()]


def test_columns_of_states_in_states():
    class Inner(NamedTuple):
        a: np.ndarray
        b: np.ndarray

    class Outer(NamedTuple):
        x: np.ndarray
        inner: Inner
        y: np.ndarray

    state = Outer(np.zeros(2), Inner(np.ones(2), np.full(2, 2.0)), np.full(2, 3.0))
    assert [column[0] for column in columns(state)] == [0.0, 1.0, 2.0, 3.0]
    other = with_columns(state, [column + 10 for column in columns(state)])
    assert type(other) is Outer
    assert type(other.inner) is Inner
    assert [column[1] for column in (other.x, *other.inner, other.y)] == [10.0, 11.0, 12.0, 13.0]


def test_progress_needs_an_episode():
    env = BatchedEnv(2, bernoulli_bandit())
    for call in (env.progress, lambda: env.restore({})):
        with pytest.raises(InputError, match="the episode has not begun"):
            call()


def test_regret_against_the_best_fixed_arm(tmp_path, adversary_id, capsys):
    asked = ["--env", adversary_id, "--rounds", 200, "--replicates", 3, "--agents", "ucb1,random"]
    results = run(tmp_path / "moment", *asked)
    curves = results.curves["ucb1"]
    np.testing.assert_allclose(
        curves["regret_fixed"].values, curves["regret"].values - 0.01 * log_steps(200)[:, None], atol=1e-12
    )
    shown = capsys.readouterr().out
    assert "against fixed" in shown
    assert "bound of" not in shown  # a bound is of regret against a fixed arm here
    run(tmp_path / "fixed", *asked, "--against", "fixed")
    assert "bound of ucb1" in capsys.readouterr().out
    drawn = axes_of(tmp_path / "fixed", results, against="fixed", env=adversary_id, rounds=200)
    line = next(line for line in drawn.get_lines() if line.get_label() == "ucb1")
    np.testing.assert_allclose(line.get_ydata(), curves["regret_fixed"].values.mean(axis=1))
    assert "against the best fixed arm" in drawn.get_title()


def axes_of(_, results, **changes):
    _, (axes,) = figure.new_figure(1)
    bandits.draw(axes, results, replace(bandits.Settings(), **changes))
    return axes


def flat_results(rounds, **regret):
    steps = log_steps(rounds)
    return Results(
        {
            name: {"regret": Curve(steps, np.outer(steps**0.5, [scale, scale])), "reward": Curve(steps, np.outer(steps, [1.0, 1.0]))}  # noqa: E501
            for name, scale in regret.items()
        }
    )  # fmt: skip


def test_bounds_are_drawn_dashed_and_do_not_stretch_the_picture(tmp_path):
    results = flat_results(1000, ucb1=0.1, random=0.2)
    axes = axes_of(tmp_path, results, rounds=1000)
    lines = {line.get_label(): line for line in axes.get_lines()}
    (label,) = [name for name in lines if name.startswith("bound")]
    world = bernoulli_bandit(horizon=1000)
    bound = ucb1.regret_bound(log_steps(1000), means=world.mean)
    assert label == f"bound of ucb1: {bound[-1]:,.0f}"
    np.testing.assert_allclose(lines[label].get_ydata(), bound)
    assert lines[label].get_color() == lines["ucb1"].get_color()
    assert lines[label].get_linestyle() == "--"
    assert axes.get_ylim()[1] < 10  # curves end at 3 and 6, the bound at hundreds
    assert not any(
        name.startswith("bound") for name in labels(axes_of(tmp_path, results, rounds=1000, bounds=0))
    )
    on_log = axes_of(tmp_path, results, rounds=1000, scale="log")
    assert (on_log.get_xscale(), on_log.get_yscale()) == ("log", "log")
    assert on_log.get_ylim()[1] > bound[-1]  # there is room for it there
    # a bound close by is shown to its end
    close = axes_of(tmp_path, flat_results(1000, ucb1=40.0), rounds=1000)
    assert close.get_ylim()[1] > bound[-1]


def labels(axes):
    return [line.get_label() for line in axes.get_lines()]


def test_bounds_are_of_the_worlds_they_speak_of():
    rounds = np.array([10, 100])
    assert bound_of("ucb1", BanditTask(bernoulli_bandit(), 2, 100), rounds).shape == (2,)
    drawn = bernoulli_bandit(means="drawn")
    assert bound_of("ucb1", BanditTask(drawn, 2, 100), rounds) is None  # every user has means of their own
    wide = bound_of("ucb1", BanditTask(gaussian_bandit(num_items=2, deviation=1.0), 2, 100), rounds)
    assert wide[1] == pytest.approx(4 * 8 * np.log(100) + 1 + np.pi**2 / 3)
    assert bound_of("moss", BanditTask(gaussian_bandit(), 2, 100), rounds) is None  # it is of rewards 0 to 1
    assert bound_of("random", BanditTask(bernoulli_bandit(), 2, 100), rounds) is None


def test_many_algorithms_can_be_told_apart():
    names = [*figure.COLOURS, *(f"new_{i}" for i in range(15))]
    steps = log_steps(100)
    results = Results({name: {"regret": Curve(steps, np.outer(steps, [1.0, 2.0]))} for name in names})
    _, (axes, small) = figure.new_figure(2)
    figure.draw_curves(axes, results, "regret")
    lines = axes.get_lines()
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == len(names)
    width = axes.figure.get_figwidth()
    assert width > 2 * figure.PANEL[0]  # there is room for the legend beside the panel
    # a second run: the same algorithms look the same but for the line, new ones are new
    more = {"new_3": results.curves["new_3"], "newer": results.curves["random"]}
    figure.draw_curves(axes, Results(more), "regret", " (two)", 1)
    looks = {line.get_label(): (line.get_color(), line.get_marker()) for line in axes.get_lines()}
    assert looks["new_3 (two)"] == looks["new_3"]
    assert looks["newer (two)"] not in [looks[name] for name in names]
    figure.draw_curves(small, Results({"ucb1": results.curves["ucb1"]}), "regret")
    assert small.get_lines()[0].get_color() == figure.COLOURS["ucb1"]


def test_all_is_what_can_act_there(tmp_path):
    found = run(tmp_path / "r", "--env", "CascadeBandit-v0", "--rounds", 20, "--replicates", 2, "--bounds", 0)
    assert {"random", "cascade_ucb", "cascade_kl_ucb", "cascade_ts", "ts_cascade"} <= set(found.curves)
    assert "ucb1" not in found.curves
    assert set(found.curves["random"]) == {"regret", "reward"}  # it plans ahead


def test_cascades_are_those_of_the_experiment_of_cascades(tmp_path):
    """Two experiments on the same users: the same curves, to rounding (their episodes differ in length)."""
    asked = ["--rounds", "1000", "--replicates", "4", "--agents", "cascade_ucb,cascade_ts", "--seed", "5"]
    here = run(tmp_path / "b", "--env", "CascadeBandit-v0", *asked)
    assert main(["run", "cascade_bandit", *asked, "--out", str(tmp_path / "c")]) == 0
    there = Results.read(tmp_path / "c" / "results.csv")
    for agent, curves in there.curves.items():
        np.testing.assert_array_equal(curves["reward"].values, here.curves[agent]["reward"].values)
        np.testing.assert_allclose(curves["regret"].values, here.curves[agent]["regret"].values, rtol=1e-9)


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_short_runs(tmp_path, rounds, capsys):
    run(tmp_path / "r", "--rounds", rounds, "--replicates", 1, "--agents", "ucb1,random")
    assert f"regret after {rounds}" in capsys.readouterr().out


def test_environment_arguments_are_settings(tmp_path, capsys):
    asked = ["--rounds", "10", "--replicates", "2", "--agents", "random", "--out", str(tmp_path / "r")]
    given = ["--env-arg", "num_items=4", "--env-arg", "means=one_best"]
    assert main(["run", "bandits", *asked, *given]) == 0
    assert main(["run", "bandits", *asked, *given, "--resume"]) == 0
    assert main(["run", "bandits", *asked, *given[:2], "--resume"]) == 2
    assert "env_args is 'num_items=4 means=one_best' there" in capsys.readouterr().err
    settings = bandits.Settings(env_args="num_items=4 means=one_best", rounds=10)
    assert bandits.title(settings) == "BernoulliBandit-v0 (means=one_best num_items=4), 10 rounds"
    world = bandits.task_of(settings).world
    assert (world.num_items, world.horizon, np.unique(world.mean).size) == (4, 10, 2)
    with_space = bandits.Settings(env_args="'means=no such kind'")
    with pytest.raises(InputError, match="means must be even, one_best or drawn, got 'no such kind'"):
        bandits.task_of(with_space)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--agents", "ucb2"], "there is no bandit algorithm 'ucb2': did you mean ucb1?"),
        (["--agents", "ucb1,ucb1"], "agents names ucb1 twice"),
        (
            ["--agents", "cascade_ucb"],
            "cascade_ucb is not made for the feedback of BernoulliBandit-v0: random,",
        ),
        (
            ["--env", "GaussianBandit-v0", "--agents", "beta_ts"],
            "beta_ts needs rewards from 0 to 1, and they are from -inf to inf in GaussianBandit-v0",
        ),
        (["--env", "BernouliBandit-v0"], "did you mean BernoulliBandit-v0?"),
        (["--env", "BoredUser-v0"], "no bandit algorithm can act in BoredUser-v0: `recsim-env list`"),
        (["--replicates", "0"], "replicates must be positive, got 0"),
        (["--rounds", "0"], "rounds must be positive, got 0"),
        (["--seed", "-1"], "seed must be 0 or more, got -1"),
        (["--against", "best"], "against must be moment or fixed, got 'best'"),
        (["--against", "fixed"], "BernoulliBandit-v0 knows of no best fixed arm in hindsight"),
        (["--bounds", "2"], "bounds must be 0 or 1, got 2"),
        (["--scale", "loglog"], "scale must be linear or log, got 'loglog'"),
        (["--env-arg", "num_items"], "--env-arg must be KEY=VALUE"),
        (["--env-arg", "num_itms=3"], "there is no parameter 'num_itms': did you mean num_items?"),
        (["--env-arg", "num_items=1"], "num_items must be at least 2, got 1"),
        (["--env-arg", "low=0.9"], "low and high must be from 0 to 1 and low below high, got 0.9 and 0.9"),
        (["--env-arg", "horizon=5"], "horizon is the number of rounds here: give it as --rounds"),
        (
            ["--env", "CascadeBandit-v0", "--env-arg", "slate_size=20"],
            "slate_size must be from 1 to num_items",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_refused_before_anything_runs(tmp_path, capsys, arguments, message):
    assert main(["run", "bandits", *arguments, "--out", str(tmp_path / "x")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "x").exists()


def test_what_an_algorithm_refuses_is_said_before_another_one_runs(tmp_path, capsys, monkeypatch):
    def refuse(task):
        raise InputError("horizon is too short for me")

    monkeypatch.setitem(BANDITS, "ucb1", replace(BANDITS["ucb1"], make=refuse))
    assert main(["run", "bandits", "--agents", "random,ucb1", "--out", str(tmp_path / "x")]) == 2
    assert "horizon is too short for me" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_list_says_which_algorithms_act_where(capsys):
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    by_world = algorithms_by_world()
    section = " ".join(shown.partition("algorithms of recsim-env run bandits")[2].split())
    for env_id, names in by_world.items():
        assert f"{env_id} {', '.join(names)}" in section
    assert by_world["BernoulliBandit-v0"] == bandits_of(bernoulli_bandit())
    assert "beta_ts" not in by_world["GaussianBandit-v0"]
    assert "BoredUser-v0" not in by_world
    for name, agent in BANDITS.items():  # every algorithm has a world, unless that is not registered
        kinds = {builder(env_id).__annotations__["return"] for env_id in registered_ids()}
        if any(issubclass(kind, agent.worlds) for kind in kinds):
            assert any(name in names for names in by_world.values()), name
    assert sys.modules["recsim_env.experiments.suite.bandits"].NAME in shown
