"""The page for strangers: its files are written to a folder, and all else is run there, in order."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text()
FILES = {"worlds.py": "class MoodWorld", "agents.py": "class MoodUCB", "__init__.py": "register("}


def blocks():
    """(language, text) of every block of code."""
    return re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)


def write_package(folder):
    """The files that the page names; the other blocks are left."""
    package, rest = folder / "my_package", []
    package.mkdir()
    for language, text in blocks():
        name = next((name for name, word in FILES.items() if language == "python" and word in text), None)
        if name is None:
            rest.append((language, text))
        else:
            assert not (package / name).exists()
            assert f"my_package/{name}" in PAGE
            (package / name).write_text(text)
    assert {file.name for file in package.iterdir()} == set(FILES)
    return rest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("stranger")
    write_package(place)
    return place


def run(folder, *command):
    """As a stranger does, who has no copy of this repository on the path but where the tests run from it."""
    root = str(Path(__file__).parents[1])
    path = os.pathsep.join([root, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]).rstrip(os.pathsep)
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )


def command_line(text):
    words = shlex.split(text)
    assert words.pop(0) == "recsim-env"
    # not `-m`, which would put the current folder on the path, as the installed command does not
    code = "import sys; sys.path = [p for p in sys.path if p]; from recsim_env.experiments.cli import main; "
    return [sys.executable, "-c", f"{code}sys.exit(main({words!r}))"]


def test_every_example_runs(folder):
    ran = 0
    for language, text in (
        (kind, text) for kind, text in blocks() if not any(w in text for w in FILES.values())
    ):
        commands = (
            [command_line(line) for line in text.splitlines()]
            if language == "bash"
            else [[sys.executable, "-W", "error", "-c", text]]
        )
        for command in commands:
            shown = run(folder, *command)
            assert shown.returncode == 0, (text, shown.stdout, shown.stderr)
            ran += 1
            if "check" in text:
                assert "all contracts hold" in shown.stdout
    assert ran == 8
    assert (folder / "mood.parquet").exists()


@pytest.mark.extra
@pytest.mark.parametrize("library", ["sb3", "rllib --runners 1"])
def test_libraries_train_in_it(folder, library):
    out = "trained-" + library.split()[0]
    command = (
        f"recsim-env train --library {library} --env my_package:Mood-v0 --env-arg num_items=4 --out {out}"
    )
    shown = run(folder, *command_line(f"{command} --steps 400 --evaluations 1 --episodes 10 --num-envs 10"))
    assert shown.returncode == 0, shown.stderr
    assert "optimal" in shown.stdout


REFUSED = [
    ("recsim-env describe my_package:Mood-v1", "my_package has no function Mood-v1 and registers no"),
    ("recsim-env describe no_package:Mood-v0", "no_package cannot be imported"),
    ("recsim-env describe Mod-v0", "there is no environment 'Mod-v0'"),
    ("recsim-env check my_package.worlds:mood", "my_package.worlds has no function mood"),
    ("recsim-env check my_package.worlds:mood_world --env-arg num_item=4", "did you mean num_items"),
    (
        "recsim-env check my_package.worlds:mood_world --env-arg slate_size=9",
        "slate_size must be from 1 to 5",
    ),
    ("recsim-env check my_package.worlds:new_items", "does not fit my_package.worlds:new_items"),
    (
        "recsim-env check my_package.worlds:mood_world --agent my_package.agents:mood",
        "has no attribute 'mood'",
    ),
    ("recsim-env check my_package.worlds:mood_world --agent mood_ucb", "--agent must be module:function"),
    ("recsim-env check my_package:Mood-v0 --agent my_package.agents:mood_ucb --steps 0", "steps must be"),
    ("recsim-env film my_package:Mood-v0 --out mood.gif", "there is no picture of a MoodWorld"),
    ("recsim-env run cascade_mdp --env my_package:Mood-v0 --out r", "my_package:Mood-v0"),
    ("recsim-env run bandits --env my_package:Mood-v0 --out r", "my_package:Mood-v0"),
]


@pytest.fixture(scope="module")
def refusals(folder):
    """Command -> exit code and what it wrote to standard error: of one process, as imports take seconds."""
    arguments = [shlex.split(command)[1:] for command, _ in REFUSED]
    code = f"""
import contextlib, io, json, sys
sys.path = [p for p in sys.path if p]
from recsim_env.experiments.cli import main
for arguments in {arguments!r}:
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main(arguments)
    print(json.dumps([code, said.getvalue()]))
"""
    shown = run(folder, sys.executable, "-c", code)
    assert shown.returncode == 0, shown.stderr
    answers = [json.loads(line) for line in shown.stdout.splitlines()]
    return dict(zip((command for command, _ in REFUSED), answers, strict=True))


@pytest.mark.parametrize(("command", "words"), REFUSED)
def test_what_cannot_be_is_said_in_one_line(refusals, command, words):
    code, said = refusals[command]
    assert code == 2
    assert words in said
    assert said.startswith("recsim-env: ")
    assert len(said.splitlines()) == 1
