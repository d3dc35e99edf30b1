"""`recsim-env report`: valid HTML in one file, the numbers of results.csv, nothing executed or fetched."""

import base64
import json
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from browser import browse, look_at

from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.experiments.cli import main
from recsim_env.experiments.html_page import Cell, table
from recsim_env.experiments.report_tables import result_tables, shown
from recsim_env.experiments.results import Curve, Results

VOID = ("meta", "img", "wbr")
EVIL = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


class Page(HTMLParser):
    """Reads a page strictly: every element is closed, in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.all, self.cells, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, name, attributes):
        assert len(dict(attributes)) == len(attributes), f"an attribute of {name} comes twice"
        self.all.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)
        if name in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    def of(self, name):
        return [attributes for element, attributes in self.all if element == name]

    @property
    def text(self):
        return " ".join("".join(self.words).split())


def check(text):
    """What must hold of every report."""
    page = Page(text)
    assert text.startswith("<!doctype html>\n<html")
    assert page.of("html")[0]["lang"] == "en"
    assert len(page.of("h1")) == 1
    levels = [int(name[1]) for name, _ in page.all if re.fullmatch("h[1-6]", name)]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.all if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert all(a["alt"] and a["src"].startswith("data:image/") for a in page.of("img"))
    assert len(page.of("caption")) == len(page.of("table"))
    assert {attributes["href"] for attributes in page.of("a")} <= {f"#{name}" for name in ids}
    assert len(page.of("script")) == 1
    assert {key for _, attributes in page.all for key in attributes} <= {
        "lang", "charset", "name", "content", "http-equiv", "id", "class", "href", "src", "alt", "scope",
        "data-value", "tabindex", "role", "aria-label",
    }  # fmt: skip
    for attributes in page.of("img"):
        kind, _, code = attributes["src"].partition(";base64,")
        start = {"data:image/png": b"\x89PNG", "data:image/svg+xml": b"<?xml"}[kind]
        content = base64.b64decode(code, validate=True)
        assert content.startswith(start)
        if kind.endswith("xml"):
            assert not re.search(rb'(?:href|src)="(?!#)', content)
    return page


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    common = ["run", "bandits", "--replicates", "6"]
    long = [*common, "--rounds", "400", "--agents", "ucb1,beta_ts,random"]
    assert main([*long, "--out", str(folder / "a")]) == 0
    assert main([*common, "--rounds", "400", "--agents", "beta_ts", "--out", str(folder / "b")]) == 0
    assert main(["run", "offline_ranking", "--out", str(folder / "ranking")]) == 0
    return folder


def make(out, *directories):
    return main(["report", *map(str, directories), "--out", str(out)])


def test_the_numbers_are_those_of_the_results(runs, tmp_path):
    assert make(tmp_path / "r.html", runs / "a") == 0
    text = (tmp_path / "r.html").read_text()
    page = check(text)
    for agent, curves in Results.read(runs / "a/results.csv").curves.items():
        last = curves["regret"].values[-1]
        found = mean_estimate(last)
        low, high = found.interval
        at = page.cells.index(agent)  # in the ranks, which come first
        assert page.cells[at + 1] == f"{found.value:,.1f} [{low:,.1f}, {high:,.1f}]"
        assert f"{shown(found.value)} [{shown(low)}, {shown(high)}]" in page.cells
        assert f'data-value="{float(found.value)!r}"' in text
    assert "Who is best?" in page.text
    assert "p of each two, corrected by Holm" in page.text
    document = json.loads((runs / "a/run.json").read_text())
    assert document["command"] in page.text
    assert all(name in page.cells for name in document["settings"])
    unmeasured = page.text.partition("What it did not measure")[2]
    assert "ndcg:" in unmeasured
    assert "coverage:" in unmeasured
    assert "regret:" not in unmeasured


def test_rows_are_sorted_by_the_score(runs, tmp_path):
    make(tmp_path / "r.html", runs / "a")
    cells = check((tmp_path / "r.html").read_text()).cells
    curves = Results.read(runs / "a/results.csv").curves
    best = sorted(curves, key=lambda agent: curves[agent]["regret"].values[-1].mean())
    at = cells.index("agent")
    agents = [cell for cell in cells[at:] if cell in curves][: len(curves)]
    assert agents == best


def test_several_runs_share_the_ranks(runs, tmp_path):
    assert make(tmp_path / "r.html", runs / "a", runs / "b", runs / "ranking") == 0
    page = check((tmp_path / "r.html").read_text())
    assert {"a", "b", "ranking"} <= {text.partition(":")[0] for text in page.words}
    assert page.cells.count("a") == 3  # the run of three of the four that are ranked
    assert page.cells.count("b") == 1
    assert "popularity" in page.cells
    assert "ndcg@10" in page.cells
    assert [a["href"] for a in page.of("a")] == ["#part-1", "#part-2", "#part-3"]


def test_a_comparison_is_shown_as_it_stands(runs, tmp_path):
    assert main(["compare", str(runs / "a"), str(runs / "b"), "--out", str(tmp_path / "cmp")]) == 0
    assert make(tmp_path / "r.html", tmp_path / "cmp") == 0
    page = check((tmp_path / "r.html").read_text())
    assert {"rank_low", "p_holm", "beta_ts"} <= set(page.cells)
    (picture,) = page.of("img")
    code = picture["src"].partition(",")[2]
    assert base64.b64decode(code) == (tmp_path / "cmp/figure.png").read_bytes()


def test_the_same_runs_give_the_same_bytes(runs, tmp_path):
    make(tmp_path / "r.html", runs / "a")
    first = (tmp_path / "r.html").read_bytes()
    make(tmp_path / "r.html", runs / "a")  # an older report is overwritten
    assert (tmp_path / "r.html").read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


@pytest.fixture
def evil(runs, tmp_path):
    """A run whose every text is an attack: of an experiment that exists, and agents that do not."""
    place = tmp_path / "<b>evil"
    shutil.copytree(runs / "a", place)
    document = json.loads((place / "run.json").read_text())
    document["command"] = document["settings"]["env_args"] = EVIL
    document["settings"][EVIL] = document["versions"][EVIL] = EVIL
    (place / "run.json").write_text(json.dumps(document))
    quoted = EVIL.replace('"', '""')
    rows = (place / "results.csv").read_text().replace("ucb1", f'"{quoted}"')
    (place / "results.csv").write_text(rows)
    return place


def test_text_of_a_run_is_text(evil, tmp_path, capsys):
    assert make(tmp_path / "r.html", evil) == 0
    assert "run.json has other settings than this version" in capsys.readouterr().out
    page = check((tmp_path / "r.html").read_text())
    assert EVIL in page.text
    assert len(page.of("img")) == 1 + 2  # the figure, and slates of the two agents that have events


def test_an_unknown_experiment_shows_its_own_figure(runs, tmp_path, capsys):
    place = tmp_path / "later"
    shutil.copytree(runs / "a", place)
    document = json.loads((place / "run.json").read_text())
    (place / "run.json").write_text(json.dumps({**document, "experiment": "later"}))
    assert make(tmp_path / "r.html", place) == 0
    assert "this version has no experiment 'later'" in capsys.readouterr().out
    page = check((tmp_path / "r.html").read_text())
    code = page.of("img")[0]["src"].partition(",")[2]
    assert base64.b64decode(code) == (place / "figure.png").read_bytes()


def test_what_speaks_against_a_run_is_said(tmp_path, capsys):
    main(["run", "bandits", "--rounds", "9", "--replicates", "1", "--agents", "ucb1,random",
          "--out", str(tmp_path / "one")])  # fmt: skip
    document = json.loads((tmp_path / "one/run.json").read_text())
    document["versions"]["numpy"] = "1.0.0"
    (tmp_path / "one/run.json").write_text(json.dumps(document))
    (tmp_path / "one/checkpoints").mkdir()
    assert make(tmp_path / "r.html", tmp_path / "one") == 0
    page, out = check((tmp_path / "r.html").read_text()), capsys.readouterr().out
    for warning in ("it has not finished", "numpy 1.0.0", "one replicate, so there are no intervals"):
        assert warning in page.text
        assert warning in out
    assert "nan" not in page.text


def test_replicates_without_a_value_are_counted():
    values = np.array([[1.0, np.nan, 3.0]])
    steps = np.array([10])
    results = Results(
        {"a": {"error/x": Curve(steps, values)}, "b": {"error/x": Curve(steps, values * np.nan)}}
    )
    (text,) = result_tables(results, "regret")
    cells = Page(text).cells
    low, high = mean_estimate(np.array([1.0, 3.0])).interval
    assert cells == ["agent", "error", "a", f"2.000 [{shown(low)}, {shown(high)}] (2 of 3)", "b", "none"]


def test_yes_and_no_are_counted():
    curve = Curve(np.array([5]), np.array([[1.0, 0.0, 1.0, 1.0]]))
    (text,) = result_tables(Results({"a": {"covered": curve}}), "regret")
    assert Page(text).cells == ["agent", "covered", "a", "3 of 4"]
    assert 'data-value="0.75"' in text


def test_a_measure_that_comes_to_nought_or_one_is_no_count():
    """The optimum has no regret, and all items are shown in the end: neither is a yes or a no."""
    nought, one = (Curve(np.array([5]), np.full((1, 4), value)) for value in (0.0, 1.0))
    (text,) = result_tables(Results({"a": {"test_regret": nought, "coverage": one}}), "regret")
    assert Page(text).cells[3:] == ["a", "1.000 [1.000, 1.000]", "0 [0, 0]"]


def test_what_all_agents_have_is_in_one_table():
    """Though each logs something of itself, which stands in tables of their own."""
    curve = Curve(np.array([5]), np.array([[2.0]]))
    curves = {name: {"regret": curve, "test_reward": curve, f"{name}_loss": curve} for name in "abc"}
    shared, *own = result_tables(Results(curves), "regret")
    assert Page(shared).cells[:5] == ["agent", "regret", "test_reward", "a", "2.000"]
    assert [Page(text).cells for text in own] == [["agent", f"{n}_loss", n, "2.000"] for n in "abc"]


def test_names_in_a_list_stay_whole():
    assert ">ucb1,<wbr>a&amp;b<" in table("x", ["setting", "value"], [["agents", "ucb1,a&b"]], words=True)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1234.56, "1,234.6"),
        (12.345, "12.35"),
        (0.012345, "0.0123"),
        (-2.0, "-2.000"),
        (0.000123, "0.00012"),
        (-0.0000456, "-4.6e-05"),
        (1e-9, "0"),
    ],
)
def test_numbers_are_shown_to_four_digits(value, text):
    assert shown(value) == text


def test_bad_input(runs, tmp_path, capsys):
    def complaint(*arguments):
        assert main(["report", *map(str, arguments)]) == 2
        return capsys.readouterr().err

    out = tmp_path / "r.html"
    assert "holds no run" in complaint(tmp_path, "--out", out)
    assert "comes twice: give every run once" in complaint(runs / "a", runs / "a", "--out", out)
    assert "--out must end in .html" in complaint(runs / "a", "--out", tmp_path / "r.pdf")
    assert "is not a directory" in complaint(runs / "a", "--out", tmp_path / "none/r.html")
    out.write_text("mine")
    assert "is no report: delete it" in complaint(runs / "a", "--out", out)
    assert out.read_text() == "mine"
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "run.json").write_text('{"experiment": "bandits", "settings": []}')
    assert "settings must be an object" in complaint(broken, "--out", tmp_path / "s.html")
    (broken / "run.json").write_text('{"experiment": "bandits", "settings": {}}')
    assert "results.csv does not exist" in complaint(broken, "--out", tmp_path / "s.html")


SORT = """(page) => {
  const head = [...page.querySelectorAll("th button")].find((one) => one.textContent === "reward");
  const order = () => [...head.closest("table").tBodies[0].rows].map((row) => row.cells[0].textContent);
  head.click();
  const up = order(), sort = head.parentElement.getAttribute("aria-sort");
  head.click();
  return {up, sort, down: order()};
}"""


@pytest.mark.parametrize("width", [1000, 380])
def test_in_a_browser(runs, tmp_path, width):
    make(tmp_path / "r.html", runs / "a")
    (tmp_path / "web").mkdir()
    found = look_at(tmp_path / "r.html", tmp_path / "web", SORT, width)
    assert found["console"] == []
    assert found["asked"] == []
    assert sorted(found["served"]) == ["/harness.html", "/page.html"]
    assert len(found["widths"]) == 4
    assert min(found["widths"]) > 0
    assert "Who is best?" in found["text"]
    assert "beta_ts" in found["text"]
    assert found["overflow"] <= 0  # tables scroll in their boxes, the page does not
    curves = Results.read(runs / "a/results.csv").curves
    by_reward = sorted(curves, key=lambda agent: curves[agent]["reward"].values[-1].mean())
    assert found["up"] == by_reward
    assert found["sort"] == "ascending"
    assert found["down"] == by_reward[::-1]


def test_an_attack_does_nothing_in_a_browser(evil, tmp_path):
    make(tmp_path / "r.html", evil)
    (tmp_path / "web").mkdir()
    found = look_at(tmp_path / "r.html", tmp_path / "web")
    assert "owned" not in found["title"]
    assert EVIL in found["text"]
    assert sorted(found["served"]) == ["/harness.html", "/page.html"]


def test_the_page_itself_forbids_what_was_not_escaped(runs, tmp_path):
    """Even if the escaping failed: no script runs, and nothing is fetched."""
    make(tmp_path / "r.html", runs / "a")
    text = (tmp_path / "r.html").read_text()
    (tmp_path / "r.html").write_text(text.replace("<footer>", f"<footer>{EVIL}<script src=x.js></script>"))
    (tmp_path / "web").mkdir()
    found = look_at(tmp_path / "r.html", tmp_path / "web")
    assert "owned" not in found["title"]
    assert sorted(found["served"]) == ["/harness.html", "/page.html"]
    assert any("Content Security Policy" in line for line in found["console"])  # the check can see one


def test_a_picture_of_it_has_ink(runs, tmp_path):
    from PIL import Image

    make(tmp_path / "r.html", runs / "a")
    picture = tmp_path / "r.png"
    address = (tmp_path / "r.html").as_uri()
    browse(f"--screenshot={picture}", "--window-size=1000,2000", address, profile=tmp_path / "p")
    grey = np.asarray(Image.open(picture).convert("L"), float)
    assert grey.shape == (2000, 1000)
    assert np.mean(grey < 120) > 0.01
    assert grey[-300:].std() > 5  # the page goes on to the end of the picture


def test_cells_without_a_number_have_no_number():
    text = table("c", ["a", "b"], [["x", Cell("-")], ["<y>", Cell("1", 1.0)]])
    assert 'data-value=""' in text
    assert "&lt;y&gt;" in text
