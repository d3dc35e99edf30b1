"""The page of the wrappers runs as pasted, and its table names every wrapper."""

import re
from pathlib import Path

import pytest

from recsim_env.envs import wrappers

PAGE = (Path(__file__).parents[1] / "docs" / "wrappers.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_examples_run(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "docs/wrappers.md", "exec"), {"__name__": "example"})


def test_the_table_names_every_wrapper():
    named = set(re.findall(r"^\| `([A-Z]\w+)` \|", PAGE, re.MULTILINE))
    assert named == set(wrappers.__all__) - {"Change", "wrap"}
