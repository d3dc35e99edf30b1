"""Every notebook runs from the first cell to the last, whose assertions hold its numbers."""

import os
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9][0-9]_*.py"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    jupytext = pytest.importorskip("jupytext", reason="needs the notebooks extra")
    pytest.importorskip("nbclient", reason="needs the notebooks extra")
    return jupytext.read(request.param)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_runs(notebook, tmp_path):
    from nbclient import NotebookClient

    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env={**os.environ, "PYTHONPATH": str(FOLDER.parent)})
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [output for output in shown if {"image/png", "image/gif"} & output.get("data", {}).keys()]
    assert pictures, "a notebook has a picture"


def test_reads_as_a_lesson(notebook):
    """A question, a prediction before the reveal, exercises, where it fails, assertions at the end."""
    text = "\n".join(cell.source for cell in notebook.cells)
    first = notebook.cells[0].source
    assert first.startswith("# ")
    assert re.search(r"\*\*[^*]+\?\*\*", first), "the first cell asks a question in bold"
    asks, tells = text.find("predict("), text.find(".reveal(")
    assert 0 < asks < tells
    assert "## Your turn" in text
    assert "raise NotImplementedError" in text
    assert "check_" in text
    assert "## Where this fails" in text
    assert "animate(" in text or "interact" in text
    assert notebook.cells[-1].cell_type == "code"
    assert "assert " in notebook.cells[-1].source
    longest = max(len(cell.source.splitlines()) for cell in notebook.cells if cell.cell_type == "code")
    assert longest <= 30, "code short enough to read"


def test_numbers_of_notebooks_follow_each_other():
    assert [int(path.stem[:2]) for path in NOTEBOOKS] == list(range(1, len(NOTEBOOKS) + 1))
