"""Runs in cells: how a run is cut, and where it is stopped, changes no byte of what it finds. Without Ray."""

import errno
import io
import os
import re
import signal
import sys
import warnings
from functools import partial
from inspect import signature

import numpy as np
import pandas as pd
import pytest

from recsim_env.agents.bandits.ucb1 import UCB1
from recsim_env.errors import InputError
from recsim_env.experiments import cli, race, training
from recsim_env.experiments import run as loop
from recsim_env.experiments.agents import AGENTS
from recsim_env.experiments.bandits_by_world import algorithms_by_world
from recsim_env.experiments.cli import main
from recsim_env.experiments.results import Results
from recsim_env.experiments.run import Race
from recsim_env.experiments.run_directory import open_run
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.datasets import read_interactions
from recsim_env.simulators.worlds.bernoulli_bandit import bernoulli_bandit

SMALL = ["--world", "num_states=3,num_items=5,slate_size=2,horizon=4", "--episodes", "20"]


def run(*arguments):
    assert main(["run", *map(str, arguments)]) == 0


def results(directory):
    return (directory / "results.csv").read_bytes()


WORLDS = [e for e in algorithms_by_world() if e not in ("CascadeRec-MovieLens-v0", "CascadeRec-Grocery-v0")]


@pytest.mark.parametrize("env_id", WORLDS)
def test_bandits_do_not_depend_on_how_replicates_are_cut(tmp_path, elsewhere, env_id):
    agents = ",".join(algorithms_by_world()[env_id])
    asked = ["bandits", "--env", env_id, "--rounds", 30, "--replicates", 5, "--agents", agents]
    asked += {
        "LipschitzBandit-v0": ["--env-arg", "num_items=21"],
        "KnapsackBandit-v0": ["--env-arg", "budget=20"],
    }.get(env_id, [])
    run(*asked, "--out", tmp_path / "whole")
    assert not elsewhere
    run(*asked, "--out", tmp_path / "cut", "--workers", 3)
    assert len(elsewhere) > agents.count(",")
    assert results(tmp_path / "cut") == results(tmp_path / "whole")


@pytest.mark.parametrize("workers", [2, 7])
def test_planners_do_not_depend_on_how_replicates_are_cut(tmp_path, elsewhere, workers):
    asked = ["cascade_mdp", *SMALL, "--replicates", 5, "--agents", ",".join(AGENTS)]
    run(*asked, "--out", tmp_path / "whole")
    run(*asked, "--out", tmp_path / "cut", "--workers", workers)
    assert results(tmp_path / "cut") == results(tmp_path / "whole")
    assert {p.name for p in (tmp_path / "cut").iterdir()} == {p.name for p in (tmp_path / "whole").iterdir()}


def test_a_run_goes_on_with_any_number_of_workers(tmp_path, monkeypatch, elsewhere):
    """Cells that are done and checkpoints that are begun keep their replicates, whoever goes on."""
    asked = ["bandits", "--rounds", 40, "--replicates", 11, "--agents", "ucb1,beta_ts"]
    run(*asked, "--out", tmp_path / "whole")
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    save, saved = loop.checkpoint.save, []

    def save_and_stop(*arguments):
        save(*arguments)
        saved.append(1)
        if len(saved) % 23 == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop.checkpoint, "save", save_and_stop)
    out, again, number = tmp_path / "cut", [], [3, None, 1, 7, 2, None, 5]
    while main(
        ["run", *map(str, asked), "--out", str(out), *again]
        + (["--workers", str(number[0])] if number[0] else [])
    ) == 130:  # fmt: skip
        again, number = ["--resume"], [*number[1:], number[0]]
    assert len(saved) > 4 * 23
    assert results(out) == results(tmp_path / "whole")


def test_ranges_cover_every_replicate_once(tmp_path):
    rng = np.random.default_rng(0)
    for case in range(200):
        with open_run(tmp_path / str(case), "x", {}, resume=False) as directory:
            directory.cells.mkdir()
            directory.checkpoints.mkdir()
            for folder in (directory.cells, directory.checkpoints):
                for first in rng.integers(0, 20, rng.integers(3)):
                    (folder / f"a-{first}-{first + rng.integers(1, 9)}.npz").touch()
            (directory.cells / "a-b-0-20.npz").touch()  # of an agent whose name begins likewise
            (directory.cells / "a-5-3.npz").touch()  # no range
            ranges = race.cut(directory, "a", 20, int(rng.integers(1, 8)))
        covered = [i for first, last in ranges for i in range(first, last)]
        assert covered == list(range(20))


def test_cells_of_agents_with_odd_names_are_found(tmp_path):
    with open_run(tmp_path / "r", "x", {}, resume=False) as directory:
        directory.cells.mkdir()
        for name in ("ucb [c=2]", "a*", "a.b+", "naïve"):
            directory.cell(f"{name}-3-7").touch()
            assert race.cut(directory, name, 9, 2) == [(0, 3), (3, 7), (7, 9)]


def test_pieces_give_every_worker_several_cells_but_no_more():
    assert race.num_pieces(1, 100, Workers(2)) == 2  # no more than workers: each repeats what a step costs
    assert race.num_pieces(5, 100, Workers(8)) == 7  # 35 cells for 8
    assert race.num_pieces(40, 100, Workers(8)) == 1
    assert race.num_pieces(1, 3, Workers(8)) == 3


class Together(UCB1):
    """Of which the rows are said to learn from one another."""

    rows_learn_together = True


def ignore(*_):
    """Draws and prints nothing."""


def test_agents_whose_rows_learn_together_are_not_cut(tmp_path, elsewhere):
    world = bernoulli_bandit(num_items=3, horizon=20)
    asked = Race(20, count_rounds=True, seed=0, replicates=6)
    directory = open_run(tmp_path / "r", "x", {}, resume=False)
    agents = {"a": partial(Together, num_items=3), "b": partial(UCB1, num_items=3)}
    race.race_agents(agents, world, asked, directory, ignore, ignore, Workers(3))
    assert elsewhere == ["b-4-6", "b-2-4", "b-0-2", "a-0-6"]


EVENTS = ("fsync", "replace", "rename", "unlink", "rmdir", "mkdir")


def killed_at(event, arguments):
    """Run in a child that kills itself just before the so-many-th of `EVENTS`; whether it was killed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads of libraries, which do nothing here
        child = os.fork()
    if child == 0:
        left = [event]

        def counted(call):
            def called(*given, **named):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*given, **named)

            return called

        for name in EVENTS:
            setattr(os, name, counted(getattr(os, name)))
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
        os._exit(main(arguments))
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False


TINY = ["bandits", "--rounds", "12", "--replicates", "2", "--agents", "ucb1,random", "--bounds", "0"]


def test_killed_at_every_write_of_one_run_after_the_other(tmp_path):
    """Each attempt dies one event later than the one before; nothing is lost nor counted twice."""
    run(*TINY, "--out", tmp_path / "whole")
    out, event = tmp_path / "cut", 1
    while killed_at(event, ["run", *TINY, "--out", str(out), "--resume"]):
        event += 1
    assert event > 5
    assert results(out) == results(tmp_path / "whole")
    assert {p.name for p in out.iterdir()} == {p.name for p in (tmp_path / "whole").iterdir()}


@pytest.mark.slow
def test_killed_at_any_write(tmp_path):
    """Of a new run each, then resumed."""
    run(*TINY, "--out", tmp_path / "whole")
    event, killed = 1, True
    while killed:
        out = tmp_path / str(event)
        killed = killed_at(event, ["run", *TINY, "--out", str(out)])
        run(*TINY, "--out", out, "--resume")
        assert results(out) == results(tmp_path / "whole")
        assert {p.name for p in out.iterdir()} == {p.name for p in (tmp_path / "whole").iterdir()}
        event += 1
    assert event > 20


def test_a_disk_that_fills_at_every_write(tmp_path, monkeypatch, capsys):
    run(*TINY, "--out", tmp_path / "whole")
    out, attempt, force = tmp_path / "cut", 0, os.fsync
    code = 2
    while code == 2:
        attempt += 1
        left = [attempt]

        def full(descriptor, left=left):
            left[0] -= 1
            if left[0] == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            force(descriptor)

        monkeypatch.setattr(os, "fsync", full)
        capsys.readouterr()
        code = main(["run", *TINY, "--out", str(out), "--resume"])
        monkeypatch.setattr(os, "fsync", force)
        if code:
            said = [line for line in capsys.readouterr().err.splitlines() if "recsim-env:" in line]
            assert len(said) == 1
            assert "No space left on device" in said[0]
            assert not [p for p in out.rglob(".*-*") if p.is_file()], "a temporary file was left"
    assert attempt == 4  # run.json, a cell and results.csv were refused
    assert results(out) == results(tmp_path / "whole")


def test_two_processes_in_one_directory(tmp_path, capsys):
    asked = [*TINY, "--out", tmp_path / "r"]
    directory = open_run(tmp_path / "r", "bandits", {}, resume=False)
    child = os.fork()
    if child == 0:
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
        os._exit(main(["run", *map(str, asked), "--resume"]))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    with pytest.raises(InputError, match=r"another process is at work in .*r: wait until it ends, or choose"):
        open_run(tmp_path / "r", "bandits", {}, resume=True)
    directory.__exit__()
    open_run(tmp_path / "r", "bandits", {}, resume=True)


def test_a_killed_process_leaves_no_lock(tmp_path):
    child = os.fork()
    if child == 0:
        kept = open_run(tmp_path / "r", "x", {}, resume=False)
        os.kill(os.getpid(), signal.SIGKILL)
        assert kept
    os.waitpid(child, 0)
    assert (tmp_path / "r" / ".lock").exists()
    with open_run(tmp_path / "r", "x", {}, resume=True):
        pass
    assert not (tmp_path / "r" / ".lock").exists()


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


GOOD = npz(records=np.random.default_rng(0).random((3, 9, 2)))
DAMAGED = {
    "half of something": b"PK half a file",
    "empty": b"",
    "zeros": bytes(2000),
    "cut off": GOOD[: len(GOOD) // 2],
    "other bits": GOOD[:100] + b"?" * 50 + GOOD[150:],
    "one array": npy(np.zeros(3)),
    "another file": npz(x=np.zeros(3)),
}


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """The `run.json` of `TINY`."""
    out = tmp_path_factory.mktemp("tiny") / "s"
    run(*TINY, "--out", out)
    return (out / "run.json").read_text()


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("folder", ["cells", "checkpoints"])
def test_damaged_files_are_named(tmp_path, capsys, document, folder, damage):
    out = tmp_path / "r"
    (out / folder).mkdir(parents=True)
    (out / "run.json").write_text(document)
    (out / folder / "ucb1-0-2.npz").write_bytes(DAMAGED[damage])
    assert main(["run", "--resume", str(out)]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert re.search(r"ucb1-0-2.npz (is damaged|is not of this run|is not a checkpoint|belongs to)", said)
    assert "delete it" in said


def test_checkpoints_that_are_no_cells_of_this_version_are_left_alone(tmp_path, document):
    """Those of a whole agent, as runs wrote them before there were cells: the agent begins anew."""
    out = tmp_path / "r"
    (out / "checkpoints").mkdir(parents=True)
    (out / "run.json").write_text(document)
    (out / "checkpoints" / "ucb1.npz").write_bytes(b"what it was")
    run("--resume", out)
    run(*TINY, "--out", tmp_path / "whole")
    assert results(out) == results(tmp_path / "whole")
    assert {p.name for p in out.iterdir()} == {p.name for p in (tmp_path / "whole").iterdir()}


def test_a_folder_with_files_of_others_is_refused_and_kept(tmp_path, capsys):
    """Also by a command that goes on where it can: it would throw them away at the end."""
    for verb, place, out in (
        (["run", *TINY, "--resume"], tmp_path / "r", tmp_path / "r"),
        (
            ["log", "SlateRec-v0", "--agent", "random", "--steps", "2", "--num-envs", "3", "--workers", "1"],
            tmp_path / "big.part",
            tmp_path / "big",
        ),
    ):
        place.mkdir()
        (place / "thesis.txt").write_text("years of work")
        assert main([*verb, "--out", str(out)]) == 2
        assert "is not empty and holds no run: choose another --out" in capsys.readouterr().err
        assert [file.name for file in place.iterdir()] == ["thesis.txt"]


def test_what_a_run_leaves_that_is_killed_at_its_beginning_is_cleared(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / ".run-8x1.json").write_text("{")
    with open_run(tmp_path, "x", {}, resume=False):
        assert sorted(file.name for file in tmp_path.iterdir()) == [".lock", "run.json"]


def test_workers_that_cannot_be_are_refused(tmp_path, capsys):
    out = tmp_path / "r"
    assert main(["run", "bandits", "--out", str(out), "--workers", "0"]) == 2
    assert "--workers must be at least 1, got 0" in capsys.readouterr().err
    assert main(["run", "bandits", "--out", str(out), "--address", "auto"]) == 2
    assert "--address needs --workers N" in capsys.readouterr().err
    assert not out.exists()


def test_every_experiment_takes_workers():
    for module in cli.experiments().values():
        assert "workers" in signature(module.run).parameters


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The first months of 200 users of the shipped log."""
    log = read_interactions("complete-journey").log
    kept = log.rows((log.user < 200) & (log.time < np.quantile(log.time, 0.3)))
    directory = tmp_path_factory.mktemp("shop")
    columns = {"user_id": kept.user, "item_id": kept.slate[:, 0], "timestamp": kept.time}
    pd.DataFrame(columns).to_parquet(directory / "interactions.parquet")
    return directory


@pytest.mark.parametrize("experiment", ["offline_ranking", "simulator_agreement"])
def test_recommenders_are_cells(tmp_path, elsewhere, experiment, capsys, shop):
    names = ["popularity", "p_top", "item_knn", "markov1"]
    asked = [experiment, "--data", shop, "--recommenders", ",".join(names)]
    if experiment == "simulator_agreement":
        asked += ["--live-users", 10, "--live-steps", 2, "--resamples", 20]
    run(*asked, "--out", tmp_path / "whole")
    said = capsys.readouterr().out
    run(*asked, "--out", tmp_path / "cut", "--workers", 2)
    assert elsewhere == names[::-1]
    assert results(tmp_path / "cut") == results(tmp_path / "whole")
    again = capsys.readouterr().out
    assert again.replace("/cut", "/whole") == said
    run(*asked, "--out", tmp_path / "whole", "--resume")  # finished: shown again
    table = said[: said.index("less that of")] if "less that of" in said else said
    assert capsys.readouterr().out.splitlines()[:6] == table.splitlines()[:6]


def test_other_experiments_do_not_depend_on_workers(tmp_path, elsewhere):
    asked = ["off_policy_accuracy", "--sizes", "20,60", "--middle", 60, "--slate-sizes", 1, "--slate-size", 2]
    asked += ["--clicks", "cascade", "--replicates", 12]
    run(*asked, "--out", tmp_path / "whole")
    run(*asked, "--out", tmp_path / "cut", "--workers", 3)
    assert elsewhere == [
        name
        for problem in ("sequences", "actions", "slates-cascade-1", "slates-cascade-2")
        for name in (f"{problem}-10", f"{problem}-0")
    ]
    assert results(tmp_path / "cut") == results(tmp_path / "whole")
    curve = Results.read(tmp_path / "cut" / "results.csv").curves["IPS"]["error/actions"]
    assert curve.values.shape == (2, 12)


@pytest.mark.extra
def test_replicates_of_slate_exploration_are_cells(tmp_path, elsewhere):
    pytest.importorskip("torch")
    asked = ["slate_exploration", "--replicates", 2, "--rounds", 1, "--epochs", 1, "--round-users", 8]
    asked += ["--logged-users", 8, "--num-items", 40]
    run(*asked, "--out", tmp_path / "whole")
    run(*asked, "--out", tmp_path / "cut", "--workers", 2)
    assert elsewhere == ["replicate-1", "replicate-0"]
    assert results(tmp_path / "cut") == results(tmp_path / "whole")


DEEP = ["deep_slates", "--world", "num_states=3,num_items=5,slate_size=2,horizon=4", "--replicates", 2]
DEEP += ["--rows", 4, "--episodes", 20]


def test_trainings_are_cells(tmp_path, elsewhere):
    asked = [*DEEP, "--agents", "myopic,random", "--steps", 20]
    run(*asked, "--out", tmp_path / "whole")
    run(*asked, "--out", tmp_path / "cut", "--workers", 8)
    assert elsewhere == ["random-1", "random-0", "myopic-1", "myopic-0"]
    assert results(tmp_path / "cut") == results(tmp_path / "whole")
    assert {p.name for p in (tmp_path / "cut").iterdir()} == {p.name for p in (tmp_path / "whole").iterdir()}


@pytest.mark.extra
def test_trainings_of_networks_go_on_with_any_number_of_workers(tmp_path, monkeypatch, elsewhere):
    """Stopped in the middle of a training, which goes on from its checkpoint in another process."""
    pytest.importorskip("torch")
    asked = [*DEEP, "--agents", "slate_q,reinforce_top_k,wolpertinger", "--units", 8, "--steps", 120]
    run(*asked, "--out", tmp_path / "whole")
    assert not elsewhere
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
    save, saved = training.checkpoint.save, []

    def save_and_stop(*arguments):
        save(*arguments)
        saved.append(1)
        if len(saved) % 250 == 100:
            raise KeyboardInterrupt

    monkeypatch.setattr(training.checkpoint, "save", save_and_stop)
    out, again, workers = tmp_path / "cut", [], [["--workers", 2], [], ["--workers", 7]]
    while main(["run", *map(str, [*asked, "--out", out, *again, *workers[0]])]) == 130:
        again, workers = ["--resume"], [*workers[1:], workers[0]]
    assert len(saved) > 500
    assert results(out) == results(tmp_path / "whole")
