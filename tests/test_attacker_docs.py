"""The example of docs/attackers runs as pasted, and says what the page says of it."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "attackers" / "README.md").read_text(encoding="utf-8")


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(block, "docs/attackers/README.md", "exec"), {"__name__": "example"})
    honest, attacked = (
        float(found) for found in re.findall(r"targets on ([0-9.]+)%", capsys.readouterr().out)
    )
    assert attacked > 1.5 * honest
