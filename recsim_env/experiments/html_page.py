"""A page of HTML in one file: text is escaped unless it is `Markup`, and nothing is fetched from anywhere.

The page forbids itself what it does not need (Content-Security-Policy): no request, and no script but the one
below, known by its hash. So text that slipped through unescaped could still do nothing.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

GENERATOR = "recsim-env report"
STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --soft: #555; --paper: #fff; --line: #c9c9c9;
  --band: #f2f4f7; --link: #0b57a4; --warn: #8a3b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --soft: #b4b4b4; --paper: #16181b;
  --line: #454a50; --band: #22262b; --link: #8ab8f0; --warn: #ffb27a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1rem 1.2rem 4rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1, h2, h3 { line-height: 1.25; }
h2 { margin-top: 3rem; padding-top: 1rem; border-top: 2px solid var(--line); }
h3 { margin-top: 2rem; }
a { color: var(--link); }
p, li { max-width: 46rem; }
.soft, figcaption, caption { color: var(--soft); }
.warn { color: var(--warn); font-weight: 600; }
figure { margin: 1rem 0; }
figure img { display: block; max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
.slates { display: flex; flex-wrap: wrap; gap: 1rem; }
.slates figure { flex: 1 1 18rem; max-width: 30rem; margin: 0; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
caption { text-align: left; padding-bottom: .4rem; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top;
  white-space: nowrap; }
th:first-child, td:first-child, .words th, .words td { text-align: left; }
.words td { white-space: normal; min-width: 6rem; }
thead th { background: var(--band); }
thead button { font: inherit; font-weight: 700; color: inherit; background: none; border: 0; padding: 0;
  cursor: pointer; }
thead button::after { content: " \\2195"; color: var(--soft); }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
pre { overflow-x: auto; background: var(--band); padding: .7rem; border-radius: 4px; white-space: pre-wrap; }
@media print { :root { --ink: #000; --soft: #333; --paper: #fff; --line: #999; --band: #eee; --link: #000;
  --warn: #000; } body { max-width: none; padding: 0; font-size: 10pt; } .scroll { overflow: visible; }
  th, td { white-space: normal; } figure, tr { break-inside: avoid; } thead button::after { content: ""; } }
"""
SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const order = (a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "" || y === "") return (x === "") - (y === "");
        const sign = up ? 1 : -1;
        return sign * (isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y);
      };
      body.append(...[...body.rows].sort(order));
    });
  });
}
"""


class Markup(str):
    """Text that is HTML already."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table that is sorted by a number, not by its text."""

    text: str
    value: float | None = None  # none: it stands last, however the table is sorted


def tag(element: str, *content: str, **attributes: str) -> Markup:
    """`<element attributes>content</element>`, escaped where it is not `Markup`.

    A trailing `_` of an attribute's name is left out (`class_`), and other `_` are `-` (`aria_label`).
    """
    given = "".join(f' {_attribute(key)}="{escape(value)}"' for key, value in attributes.items())
    if element in ("img", "meta"):
        return Markup(f"<{element}{given}>")
    return Markup(f"<{element}{given}>{join(content)}</{element}>")


def join(parts: Iterable[str]) -> Markup:
    """The parts one after the other, escaped where they are not `Markup`."""
    return Markup("".join(part if isinstance(part, Markup) else escape(str(part)) for part in parts))


def prose(text: str) -> Markup:
    """The text of a docstring on one line, with what stands in `` ` `` as code."""
    parts = " ".join(text.split()).split("`")
    return join(tag("code", part) if i % 2 else part for i, part in enumerate(parts))


def table(
    caption: str, head: Sequence[str], rows: Sequence[Sequence[str | Cell]], *, words: bool = False
) -> Markup:
    """A table that can be sorted by its columns, in a box of its own that scrolls on a narrow screen.

    Args:
        caption: what it shows.
        head: of the columns.
        rows: as many cells as the head; the first of each is its heading.
        words: whether its cells are texts to read, and not numbers; their lines may break after commas.
    """
    if words:
        rows = [[_breaking(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    top = tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in head)))
    body = tag("tbody", *(tag("tr", *(_cell(cell, i == 0) for i, cell in enumerate(row))) for row in rows))
    kind = "sortable words" if words else "sortable"
    inner = tag("table", tag("caption", caption), top, body, class_=kind)
    return tag("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)


def image(kind: str, content: bytes, alt: str, caption: str) -> Markup:
    """A picture inside the page.

    Args:
        kind: `png` or `svg+xml`.
        content: of the file.
        alt: what it shows, for who cannot see it.
        caption: below it.
    """
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return tag("figure", tag("img", src=source, alt=alt), tag("figcaption", caption))


def page(title: str, content: Sequence[Markup]) -> str:
    """The whole document."""
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(STYLE)}'; script-src '{_hash(SCRIPT)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="generator", content=GENERATOR),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Markup(STYLE)),
    )
    body = tag("body", tag("main", tag("h1", title), *content), tag("script", Markup(SCRIPT)))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _cell(cell: str | Cell, heading: bool) -> Markup:
    name, scope = ("th", {"scope": "row"}) if heading else ("td", {})
    if isinstance(cell, str):
        return tag(name, cell, **scope)
    return tag(name, cell.text, data_value="" if cell.value is None else repr(float(cell.value)), **scope)


def _breaking(text: str) -> Markup:
    """Text that may be broken after a comma, so that names in a list stay whole."""
    return text if isinstance(text, Markup) else Markup(escape(text).replace(",", ",<wbr>"))


def _attribute(name: str) -> str:
    return name.removesuffix("_").replace("_", "-")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
