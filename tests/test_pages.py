"""The pages of docs: their Python runs, from top to bottom, and they name what is there."""

import re
import shlex
from pathlib import Path

import pytest

from recsim_env.experiments.cli import main

DOCS = Path(__file__).parents[1] / "docs"


def _blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page / "README.md").read_text()
    return [
        body for name, body in re.findall(r"```(\w*)\n(.*?)```", text, flags=re.DOTALL) if name == language
    ]


def test_the_examples_of_ranking_run(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = _blocks("ranking", "python")
    assert len(blocks) == 6
    exec("\n".join(blocks), {})
    assert "nan" not in capsys.readouterr().out


def test_the_examples_of_off_policy_print_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (log_command,) = (block for block in _blocks("off_policy", "bash") if "recsim-env log" in block)
    assert main(shlex.split(log_command.replace("\\\n", " "))[1:]) == 0
    blocks = _blocks("off_policy", "python")
    assert len(blocks) == 2
    capsys.readouterr()
    exec("\n".join(blocks), {})
    shown = capsys.readouterr().out.splitlines()
    printed = "".join(_blocks("off_policy", "")).splitlines()
    values = [line for line in printed if re.match(r"(ips|snips|clipped_ips|direct_method) |0\.0", line)]
    assert len(values) == 5
    for line in values:  # name and value, or value and error
        assert any(line.split()[:2] == other.split()[:2] for other in shown), line


@pytest.mark.parametrize("page", ["agreement", "audit", "fidelity", "off_policy", "ranking"])
def test_pictures_and_pages_that_are_named_are_there(page: str) -> None:
    text = (DOCS / page / "README.md").read_text()
    targets = re.findall(r"\]\(([^)#]+)\)", text)
    assert targets
    for target in targets:
        assert target.startswith("http") or (DOCS / page / target).exists(), target
