"""The pages on ranking: their Python runs, from top to bottom, and names what is there."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def test_the_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "ranking" / "README.md").read_text(), flags=re.DOTALL)
    assert len(blocks) == 6
    exec("\n".join(blocks), {})
    assert "nan" not in capsys.readouterr().out


@pytest.mark.parametrize("page", ["ranking", "agreement"])
def test_pictures_and_pages_that_are_named_are_there(page: str) -> None:
    text = (DOCS / page / "README.md").read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("http") or (DOCS / page / target).exists(), target
