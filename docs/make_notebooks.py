"""Write docs/notebooks/: every notebook as it comes out when it is run, with its pictures.

Run from the root of the repository: python docs/make_notebooks.py [NUMBER ...]
"""

import base64
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import jupytext
from nbclient import NotebookClient

SOURCES = Path(__file__).parents[1] / "notebooks"
FOLDER = Path(__file__).parent / "notebooks"
PICTURES = {"image/png": "png", "image/gif": "gif"}


def main(numbers: list[str]) -> None:
    """Run and write the notebooks of these numbers, or all, and their list."""
    FOLDER.mkdir(exist_ok=True)
    sources = sorted(SOURCES.glob("[0-9][0-9]_*.py"))
    for source in sources:
        if not numbers or source.stem[:2].lstrip("0") in numbers:
            write(source)
            print(f"wrote docs/notebooks/{source.stem}.md")
    lines = [
        "# Notebooks",
        "",
        "Ten lessons, one question each; every one runs in under a minute. The sources are in",
        "[notebooks](../../notebooks/README.md); these pages are what comes out, written by",
        "`python docs/make_notebooks.py`.",
        "",
        *(f"- [{title(source)}]({source.stem}.md): {question(source)}" for source in sources),
    ]
    (FOLDER / "README.md").write_text("\n".join(lines) + "\n")


def write(source: Path) -> None:
    """Run one notebook and write its page and pictures."""
    notebook = jupytext.read(source)
    with tempfile.TemporaryDirectory() as place:
        # the kernel works in a folder of its own, but imports this copy of the package
        environment = {**os.environ, "PYTHONPATH": str(SOURCES.parent)}
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": place}}).execute(
            env=environment
        )
    for old in FOLDER.glob(f"{source.stem}-*"):
        old.unlink()
    link = f"[`notebooks/{source.name}`](../../notebooks/{source.name})"
    blocks = [f"*This is {link}, run from top to bottom.*"]
    pictures = 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            blocks.append(cell.source)
            continue
        blocks.append(f"```python\n{cell.source.strip()}\n```")
        for output in cell.outputs:
            kind = next((kind for kind in PICTURES if kind in output.get("data", {})), None)
            if kind is None:
                blocks.append(words_of(output))
                continue
            pictures += 1
            name = f"{source.stem}-{pictures}.{PICTURES[kind]}"
            (FOLDER / name).write_bytes(base64.b64decode(output["data"][kind]))
            blocks.append(f"![picture {pictures}]({name})")
    (FOLDER / f"{source.stem}.md").write_text("\n\n".join(block for block in blocks if block) + "\n")


def words_of(output: Any) -> str:
    """What a cell printed, or the value of its last line; nothing for the names of drawn things."""
    text = output.get("text") or output.get("data", {}).get("text/plain", "")
    if output.output_type != "stream" and re.match(r"<|\[<|Text\(|\(<", text):
        return ""
    return f"```text\n{text.rstrip()}\n```" if text.strip() else ""


def title(source: Path) -> str:
    """The first heading."""
    return next(line[4:] for line in source.read_text().splitlines() if line.startswith("# # "))


def question(source: Path) -> str:
    """The first sentence in bold."""
    found = re.search(r"\*\*(.+?)\*\*", re.sub(r"\n# ?", " ", source.read_text()))
    assert found is not None
    return found[1]


if __name__ == "__main__":
    main(sys.argv[1:])
