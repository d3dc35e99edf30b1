"""The examples of docs/sequential and docs/generative run as pasted."""

import re
from pathlib import Path

import pytest

pytest.importorskip("torch")

pytestmark = pytest.mark.extra
DOCS = Path(__file__).parents[1] / "docs"
EXAMPLES = [
    pytest.param(name, block, id=f"{name}-{number}")
    for name in ("sequential", "generative")
    for number, block in enumerate(
        re.findall(r"```python\n(.*?)```", (DOCS / name / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    )
]


@pytest.mark.filterwarnings("ignore:.*deprecated and will be removed in v6:FutureWarning:transformers")
@pytest.mark.parametrize(("name", "block"), EXAMPLES)
def test_an_example_runs(
    name: str,
    block: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CI", "1")  # TRL counts its users otherwise
    exec(compile(block, f"docs/{name}/README.md", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out
