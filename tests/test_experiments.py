"""Runs: what they write, that a killed one goes on to the same bytes, and what bad input says."""

import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recsim_env.envs.describe import registered_ids
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate
from recsim_env.experiments import checkpoint
from recsim_env.experiments.agents import AGENTS, Task
from recsim_env.experiments.cli import main, parser
from recsim_env.experiments.files import write_atomically
from recsim_env.experiments.race import show_difference
from recsim_env.experiments.results import Results, log_steps
from recsim_env.experiments.suite.cascade_mdp import world_parameters
from recsim_env.simulators.worlds.engagement_ladder import engagement_ladder

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "recsim_env.experiments.cli"]
SMALL = ["--world", "num_states=3,num_items=5,slate_size=2,horizon=4", "--replicates", "3", "--seed", "1"]


def run(*arguments):
    assert main(["run", *map(str, arguments)]) == 0


def refused(capsys, *arguments):
    """The one line that a bad command prints; exit code 2, no traceback."""
    try:
        code = main([str(a) for a in arguments])
    except SystemExit as stop:  # argparse
        code = stop.code
    shown = capsys.readouterr().err
    lines = [line for line in shown.splitlines() if "it/s" not in line and line.strip()]
    assert code == 2
    assert len(lines) == 1, shown
    return lines[0]


def test_a_run_writes_everything(tmp_path, capsys):
    run("cascade_mdp", *SMALL, "--episodes", 150, "--agents", ",".join(AGENTS), "--out", tmp_path / "r")
    out = capsys.readouterr().out
    assert "the optimum of CascadeRec-v0 earns" in out
    assert all(name in out for name in AGENTS)
    names = {p.name for p in (tmp_path / "r").iterdir()}
    assert names == {"run.json", "results.csv", "figure.png", "tensorboard"}
    header, *rows = (tmp_path / "r" / "results.csv").read_text().splitlines()
    assert header == "agent,replicate,step,metric,value"
    cells = [row.split(",") for row in rows]
    assert {c[0] for c in cells} == set(AGENTS)
    assert {c[3] for c in cells} == {"regret", "reward"}
    assert max(int(c[2]) for c in cells) == 150
    assert {int(c[1]) for c in cells} == {0, 1, 2}
    results = Results.read(tmp_path / "r" / "results.csv")
    for curves in results.curves.values():
        assert (np.diff(curves["regret"].values, axis=0) >= -1e-9).all()  # pseudo-regret never falls
    np.testing.assert_allclose(results.curves["optimal"]["regret"].values, 0.0, atol=1e-9)
    document = json.loads((tmp_path / "r" / "run.json").read_text())
    assert document["experiment"] == "cascade_mdp"
    assert document["settings"]["episodes"] == 150
    assert {"python", "numpy", "gymnasium", "recsim-env"} <= document["versions"].keys()
    assert (tmp_path / "r" / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_regret_agrees_with_exact_policy_values(tmp_path):
    """Two ways to the same number: summed differences, and episodes x (V* - V^pi)."""
    run(
        "cascade_mdp",
        *SMALL[:2],
        "--replicates",
        60,
        "--episodes",
        400,
        "--agents",
        "myopic",
        "--out",
        tmp_path / "r",
    )
    world = engagement_ladder(3, 5, 2, 4)
    gap = world.mean_start_value(world.optimal_values() - world.policy_values(world.myopic_policy()))
    last = Results.read(tmp_path / "r" / "results.csv").curves["myopic"]["regret"].values[-1] / 400
    assert abs(last.mean() - gap) < 5 * last.std() / np.sqrt(60)


def test_tensorboard_events_can_be_read(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run("cascade_mdp", *SMALL, "--episodes", 40, "--agents", "random", "--out", tmp_path / "r")
    events = EventAccumulator(str(tmp_path / "r/tensorboard/random"), size_guidance={"tensors": 0}).Reload()
    tags = events.Tags()
    assert {"regret", "reward"} <= {*tags["tensors"], *tags["scalars"]}
    steps = [event.step for event in events.Tensors("regret")]
    assert steps == list(log_steps(40))


def test_replicates_do_not_depend_on_their_number(tmp_path):
    """Replicate i is seed + i, alone or among others."""
    common = [*SMALL[:2], "--episodes", 60, "--agents", "cascading_vi,cascade_ts,random"]
    run("cascade_mdp", *common, "--replicates", 4, "--seed", 5, "--out", tmp_path / "four")
    run("cascade_mdp", *common, "--replicates", 1, "--seed", 7, "--out", tmp_path / "one")
    four, one = (Results.read(tmp_path / d / "results.csv") for d in ("four", "one"))
    for agent in four.curves:
        for metric in ("regret", "reward"):
            np.testing.assert_array_equal(
                four.curves[agent][metric].values[:, 2], one.curves[agent][metric].values[:, 0]
            )


@pytest.mark.parametrize(
    "experiment", ["cascade_mdp", "bandits", pytest.param("cascade_bandit", marks=pytest.mark.slow)]
)
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, experiment):
    options = {
        "cascade_mdp": [
            *SMALL,
            "--episodes",
            "2500",
            "--agents",
            "cascading_vi,cascade_kl_ucb,cascade_ts,adapt_vi",
        ],
        "cascade_bandit": ["--rounds", "12500", "--replicates", "30"],
        "bandits": ["--rounds", "15000", "--replicates", "30", "--agents", "ucb1,beta_ts"],
    }[experiment]
    run(experiment, *options, "--out", tmp_path / "whole")
    environment = {**os.environ, "RECSIM_ENV_CHECKPOINT_SECONDS": "0.05"}
    cut = tmp_path / "cut"
    finished = False
    for attempt in range(30):
        resume = [] if attempt == 0 else ["--resume"]
        process = subprocess.Popen(
            [*COMMAND, "run", experiment, *options, "--out", str(cut), *resume],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            process.wait(timeout=1.6 * 1.15**attempt)  # long enough in the end, however busy the machine
            finished = True
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert finished
    assert attempt > 0, "the run was never killed: make it longer"
    assert process.returncode == 0
    assert (cut / "results.csv").read_bytes() == (tmp_path / "whole" / "results.csv").read_bytes()
    assert {p.name for p in cut.iterdir()} == {"run.json", "results.csv", "figure.png", "tensorboard"}
    before = (cut / "results.csv").stat().st_mtime_ns
    assert main(["run", "--resume", str(cut)]) == 0  # a finished run is only shown
    assert (cut / "results.csv").stat().st_mtime_ns == before


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_survives_its_checkpoint(tmp_path, name):
    """All an agent learns is in the arrays that a checkpoint keeps."""
    from recsim_env.agents.agent import Transition
    from recsim_env.simulators.luck import Luck

    world = engagement_ladder(3, 5, 2, 4)
    task = Task(world, 2, 100, 0.1)

    def play(agent, episodes):
        shown = []
        for e in episodes:
            luck = Luck.from_seeds([1, 2]).of_episode(e)
            mine = Luck.from_seeds([11, 12]).of_episode(e)
            state = world.begin(luck)
            for h in range(world.horizon):
                observation = world.observe(state)
                slates = agent.act(observation, mine.at(h))
                shown.append(slates)
                state, o = world.respond(state, slates, luck.at(h))
                agent.update(
                    Transition(
                        observation, slates, *o.response, o.reward, world.observe(state), o.left, o.left
                    )
                )
        return np.array(shown)

    unbroken, first, second = (AGENTS[name](task) for _ in range(3))
    whole = play(unbroken, range(20))
    play(first, range(12))
    checkpoint.save(tmp_path / "c" / "agent.npz", first, {"position": np.array([12])})
    assert checkpoint.load(tmp_path / "c" / "agent.npz", second)["position"] == 12
    np.testing.assert_array_equal(play(second, range(12, 20)), whole[12 * world.horizon :])


def test_offline_ranking_on_the_shipped_log(tmp_path, capsys):
    run("offline_ranking", "--out", tmp_path / "r")
    out = capsys.readouterr().out
    assert "held out the last basket" in out
    assert "history not masked" in out
    results = Results.read(tmp_path / "r" / "results.csv")
    assert list(results.curves) == ["popularity", "markov1", "markov2"]
    ndcg = {name: curves["ndcg@10"].values[0, 0] for name, curves in results.curves.items()}
    assert all(0.14 < value < 0.18 for value in ndcg.values())  # the figures of the README
    difference = ndcg["markov1"] - ndcg["popularity"]
    assert f"markov1     {difference:+.4f} [" in out
    assert "0.8%" in out  # popularity lists ten of 1,317
    for curves in results.curves.values():
        at_10 = {name: curves[f"{name}@10"].values[0, 0] for name in ("hit_rate", "precision", "map", "ndcg")}
        assert 0 < at_10["map"] < at_10["ndcg"] < at_10["hit_rate"] < 10 * at_10["precision"]
    assert (tmp_path / "r" / "figure.png").exists()


def test_offline_ranking_of_one_recommender_has_nothing_to_compare(tmp_path, capsys):
    run("offline_ranking", "--recommenders", "popularity", "--out", tmp_path / "r")
    assert "less that of" not in capsys.readouterr().out


def test_compare(tmp_path):
    for seed in (1, 2):
        run(
            "cascade_mdp",
            *SMALL[:4],
            "--seed",
            seed,
            "--episodes",
            30,
            "--agents",
            "random,myopic",
            "--out",
            tmp_path / f"s{seed}",
        )
    run(
        "cascade_bandit", "--rounds", 50, "--replicates", 2, "--agents", "cascade_ts", "--out", tmp_path / "b"
    )
    assert (
        main(["compare", *(str(tmp_path / d) for d in ("s1", "s2", "b")), "--out", str(tmp_path / "c.png")])
        == 0
    )
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert main(["compare", str(tmp_path / "b"), "--out", str(tmp_path / "folder")]) == 0
    assert (tmp_path / "folder" / "figure.png").exists()
    assert main(["compare", str(tmp_path / "b"), "--out", str(tmp_path / "new" / "c.png")]) == 0
    assert (tmp_path / "new" / "c.png").exists()


def test_list_and_describe(capsys):
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    assert "CascadeRec-v0" in shown
    assert "offline_ranking" in shown
    assert "cascading_vi" in shown
    assert "in any world: random, popularity, epsilon_best\n" in shown
    assert "in all but RepeatListen-v0 and bandits with arms: plackett_luce\n" in shown
    assert "epsilon_myopic" in shown.split("in cascading worlds: ")[1].splitlines()[0]
    worlds = "CascadeRec-v0, CascadeBandit-v0, CascadeRec-Grocery-v0, CascadeRec-MovieLens-v0, "
    assert f"cascading worlds: {worlds}LinearCascadeBandit-v0\n" in shown
    assert main(["describe", "CascadeRec-v0"]) == 0
    assert "MultiDiscrete" in capsys.readouterr().out


def test_the_commands_of_the_readme_fit_each_other():
    """Each can be given, and none is refused because another one wrote the same file before."""
    text = (ROOT / "README.md").read_text()
    commands = re.findall(r"recsim-env ((?:run|log|film|calibrate|describe) [^`#\n]+)", text)
    assert len(commands) > 6
    written = []
    for command in commands:
        words = shlex.split(command)
        if "--help" not in words:
            options = parser(words).parse_args(words)
            written.append(getattr(options, "out", None) or command)
    assert len(set(written)) == len(written)


def test_pages_and_films_are_those_that_the_readme_promises():
    there = {path.name for path in (ROOT / "docs" / "environments").iterdir()} - {"README.md"}
    with_film = [env_id for env_id in registered_ids() if env_id != "CascadeRec-MovieLens-v0"]
    assert there == {f"{i}.md" for i in registered_ids()} | {f"{i}.gif" for i in with_film}
    text = " ".join((ROOT / "README.md").read_text().split())
    assert "a page for each, and a film of ten steps of all but `CascadeRec-MovieLens-v0`" in text


@pytest.mark.parametrize(
    "experiment",
    ["cascade_mdp", "cascade_bandit", "bandits", "offline_ranking", "repeat_sessions", "deep_slates"],
)
def test_help_explains_every_option(capsys, experiment):
    with pytest.raises(SystemExit) as stop:
        main(["run", experiment, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert "default:" in shown
    assert "--seed" in shown
    assert "--resume" in shown


def test_bad_commands(tmp_path, capsys):
    mdp = ["run", "cascade_mdp", "--out", tmp_path / "x"]
    cases = [
        ([*mdp, "--agents", "cascadng_vi"], "did you mean cascading_vi?"),
        ([*mdp, "--agents", ""], "agents must name one or more"),
        ([*mdp, "--agents", "random,random"], "agents names random twice"),
        ([*mdp, "--env", "CascadeRec-v1"], "did you mean CascadeRec-v0?"),
        ([*mdp, "--env", "CascadeRec-MovieLens-v0"], "path"),
        ([*mdp, "--episodes", "0"], "episodes must be positive, got 0"),
        ([*mdp, "--episodes", "many"], "invalid int value: 'many'"),
        ([*mdp, "--replicates", "-1"], "replicates must be positive"),
        ([*mdp, "--bonus-scale", "nan"], "bonus_scale must be positive, got nan"),
        ([*mdp, "--seed", "-1"], "seed must be 0 or more"),
        ([*mdp, "--world", "num_states"], "world must be name=value"),
        ([*mdp, "--world", "num_sates=3"], "there is no parameter 'num_sates': did you mean num_states"),
        ([*mdp, "--world", "horizon=0"], "horizon must be at least 1"),
        ([*mdp, "--world", "max_episode_steps=3"], "no parameter 'max_episode_steps'"),
        ([*mdp, "--world", "num_states=few"], "num_states"),
        ([*mdp, "--no-such-option"], "--no-such-option (see recsim-env run cascade_mdp --help)"),
        (["run", "cascade_mpd"], "cascade_mdp"),
        (["run"], "run needs the name of an experiment"),
        (["run", "--resume", tmp_path / "nowhere"], "holds no run"),
        (["run", "cascade_mdp", "--resume"], "--resume needs the directory"),
        (
            ["run", "cascade_bandit", "--gap", "0.5", "--out", tmp_path / "x"],
            "gap must be in (0, attraction]",
        ),
        (["run", "offline_ranking", "--data", tmp_path, "--out", tmp_path / "x"], "interactions.parquet"),
        (
            ["run", "offline_ranking", "--data", "complete-jurney", "--out", tmp_path / "x"],
            "complete-journey",
        ),
        (
            ["run", "offline_ranking", "--recommenders", "markov3", "--out", tmp_path / "x"],
            "did you mean markov",
        ),
        (["run", "offline_ranking", "--hold-out", "all", "--out", tmp_path / "x"], "hold_out must be one of"),
        (["compare", tmp_path / "nowhere"], "holds no run"),
        (["describe", "CascadeRec-v7"], "did you mean CascadeRec-v0?"),
        (["dance"], "invalid choice: 'dance'"),
    ]
    for arguments, message in cases:
        assert message in refused(capsys, *arguments), arguments
        assert not (tmp_path / "x").exists(), f"{arguments} left something behind"


def test_directories_that_hold_something_else(tmp_path, capsys):
    out = ["--out", tmp_path / "r"]
    run("cascade_mdp", *SMALL, "--episodes", 20, "--agents", "random", *out)
    capsys.readouterr()
    again = ["run", "cascade_mdp", *SMALL, "--episodes", 20, "--agents", "random", *out]
    assert "already holds a run of cascade_mdp" in refused(capsys, *again)
    other = ["run", "cascade_mdp", *SMALL, "--episodes", 21, "--agents", "random", *out, "--resume"]
    assert "episodes is 20 there, 21 was asked for" in refused(capsys, *other)
    other = ["run", "cascade_bandit", *out, "--resume"]
    assert "experiment is cascade_mdp there" in refused(capsys, *other)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "diary.txt").write_text("mine")
    assert "is not empty and holds no run" in refused(
        capsys, "run", "cascade_bandit", "--out", tmp_path / "notes"
    )
    (tmp_path / "file").write_text("mine")
    assert "is a file" in refused(capsys, "run", "cascade_bandit", "--out", tmp_path / "file")


def test_broken_files(tmp_path, capsys):
    run("cascade_mdp", *SMALL, "--episodes", 20, "--agents", "random", "--out", tmp_path / "r")
    capsys.readouterr()
    results = tmp_path / "r" / "results.csv"
    lines = results.read_text().splitlines(keepends=True)
    results.write_text("".join([*lines[:5], "random,0,many,regret,1.0\n"]))
    assert "results.csv, row 6 is not a result" in refused(capsys, "compare", tmp_path / "r")
    results.write_text("a,b\n")
    assert "must begin with the columns" in refused(capsys, "compare", tmp_path / "r")
    (tmp_path / "r" / "run.json").write_text("{")
    assert "run.json is not JSON" in refused(capsys, "run", "--resume", tmp_path / "r")
    bad = tmp_path / "bad.npz"
    bad.write_bytes(b"not a zip file")
    with pytest.raises(InputError, match="is not a checkpoint"):
        checkpoint.load(bad, AGENTS["cascade_ucb"](Task(engagement_ladder(3, 5, 2, 4), 2, 100, 0.1)))


def test_a_full_disk_leaves_nothing_half_written(tmp_path):
    """A limit on the size of files stands for the full disk: writing fails with an OSError likewise."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    out, command = tmp_path / "r", [*COMMAND, "run", "cascade_bandit", "--replicates", "20"]
    warm = [*command, "--rounds", "20", "--out", str(tmp_path / "warm")]  # what is compiled is on the disk
    subprocess.run(warm, capture_output=True, check=True)
    done = subprocess.run(
        [*command, "--rounds", "3000", "--out", str(out)],
        preexec_fn=limit, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    said = done.stderr.splitlines()[-1]
    assert "File too large: free some room, or raise the limit on files, then" in said
    assert "go on with: recsim-env run --resume" in said
    assert "/." not in said, "a temporary file is named"
    assert not list(out.rglob(".*-*")), "a temporary file was left"
    assert not (out / "results.csv").exists()


@pytest.mark.parametrize("verb", [["describe", "SlateRec-v0"], ["list"]])
def test_a_reader_that_has_seen_enough_is_no_error(verb):
    """`recsim-env list | true`, with a pipe that is closed before anything is written."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*COMMAND, *verb], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.returncode == 141  # 128 + SIGPIPE, as shells have it
    assert done.stderr == ""


def test_standard_output_that_takes_nothing_is_named():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run([*COMMAND, "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    line = "standard output: No space left on device: free some room, then run it again"
    assert done.stderr == f"recsim-env: {line}\n"


def test_what_is_said_fits_the_command(tmp_path, monkeypatch, capsys):
    """--resume is for runs that have begun; a film, a log or a list is made again."""
    begun, new = tmp_path / "begun", tmp_path / "new"
    run("cascade_bandit", "--rounds", 20, "--replicates", 2, "--out", begun)
    resume = f"go on with: recsim-env run --resume {begun}"
    cases = [
        (["run", "--resume", begun], begun, resume),
        (["run", "cascade_bandit", "--out", begun], begun, resume),
        (["run", "cascade_bandit", "--out", new], new, "run it again"),
        (["film", "GroupSlate-v0", "--out", tmp_path / "x.gif"], tmp_path / "x.gif", "run it again"),
        (["log", "CascadeRec-v0", "--agent", "random", "--steps", 1, "--out", new], new, "run it again"),
        (["list"], "standard output", "run it again"),
    ]
    stops = []

    def stopped(*_):
        raise stops[-1]

    for place in ("suite.cascade_bandit.run", "film.film", "log_command.world_of", "cli._list"):
        monkeypatch.setattr(f"recsim_env.experiments.{place}", stopped)
    for arguments, place, remedy in cases:
        capsys.readouterr()
        stops.append(KeyboardInterrupt())
        assert main([str(a) for a in arguments]) == 130
        assert capsys.readouterr().err == f"recsim-env: interrupted: {remedy}\n"
        stops.append(OSError(28, "No space left on device"))
        said = refused(capsys, *arguments)
        assert said == f"recsim-env: {place}: No space left on device: free some room, then {remedy}"


def test_errors_name_what_the_user_gave_and_not_a_temporary_file(tmp_path, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device", str(path))

    def forbidden(**_):
        raise PermissionError(13, "Permission denied", ".figure-abc.png")

    out = tmp_path / "figure.png"
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_atomically(out, full)
    assert caught.value.filename == str(out)
    monkeypatch.setattr("tempfile.mkstemp", forbidden)
    with pytest.raises(PermissionError) as caught:
        write_atomically(out, full)
    assert caught.value.filename == str(out)
    assert list(tmp_path.iterdir()) == []


def test_too_little_memory_is_one_line(tmp_path, capsys):
    log = ["log", "CascadeRec-v0", "--agent", "popularity", "--steps", 1, "--out", tmp_path / "x"]
    said = refused(capsys, *log, "--num-envs", 1 << 40)
    assert "the memory does not suffice (Unable to allocate" in said
    assert "ask for fewer users, items or steps" in said
    assert "--num-envs must be at most 2^40" in refused(capsys, *log, "--num-envs", 10**20)
    assert list(tmp_path.iterdir()) == []


def test_log_steps():
    assert list(log_steps(1)) == [1]
    steps = log_steps(100_000)
    assert steps[0] == 1
    assert steps[-1] == 100_000
    assert (np.diff(steps) > 0).all()
    assert len(steps) < 120
    assert log_steps(6001)[-1] == 6001


def test_world_parameters():
    given = {"num_states": 5, "gap": 0.5, "path": "here", "observed": False}
    assert world_parameters("num_states=5,gap=0.5,path=here,observed=False") == given
    assert world_parameters("") == {}


def test_a_difference_is_shown_with_its_interval_where_it_has_one():
    assert show_difference(Estimate(0.0123, 0.001)) == "+0.012 [+0.010, +0.014]"
    assert show_difference(Estimate(-1.0, np.nan, 1), 1) == "-1.0"
