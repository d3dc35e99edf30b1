"""The examples of the documents run, and print what the documents say they print."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from recsim_env.experiments.cli import main

DOCS = Path(__file__).resolve().parents[1] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_examples_of_off_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    printed, names, compared = "", {}, 0
    for language, text in BLOCK.findall((DOCS / "off_policy" / "README.md").read_text()):
        if language == "bash":
            command = shlex.split(text.replace("\\\n", ""))
            if command[1] == "log":  # the experiment has a test of its own, and takes a minute
                assert main(command[1:]) == 0
        elif language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as shown:
                exec(compile(text, "docs/off_policy/README.md", "exec"), names)
            printed = shown.getvalue()
        else:
            assert printed == text
            compared += 1
    assert compared == 2
