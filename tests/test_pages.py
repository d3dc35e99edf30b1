"""The pages of docs: their Python runs, from top to bottom, and they name what is there."""

import re
from pathlib import Path

import pytest

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


@pytest.mark.extra
def test_the_examples_of_sequence_models_run(capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    blocks = _blocks("sequential", "python")
    assert len(blocks) == 2
    for block in blocks:
        exec(block, {})
    shown = capsys.readouterr().out
    assert float(shown.split()[1].rstrip(",")) > 0.5
    assert "slate 2: expected reward 0.8" in shown


@pytest.mark.parametrize("page", ["agreement", "audit", "fidelity", "off_policy", "ranking", "sequential"])
def test_pictures_and_pages_that_are_named_are_there(page: str) -> None:
    text = (DOCS / page / "README.md").read_text()
    targets = re.findall(r"\]\(([^)#]+)\)", text)
    assert targets
    for target in targets:
        assert target.startswith("http") or (DOCS / page / target).exists(), target
