"""A report of runs: what came of them, how sure that is, and how to get it again, as one HTML page.

The sections of a run are: result, figure, slates, settings, how to run it again, what it did not measure.
Runs whose agents can be ranked (`score` of an experiment) have one table for each problem, which comes first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import ModuleType
from typing import Any

from recsim_env.errors import InputError
from recsim_env.experiments import compare_bandits
from recsim_env.experiments.files import write_atomically
from recsim_env.experiments.html_page import GENERATOR, Markup, image, page, prose, table, tag
from recsim_env.experiments.report_tables import comparison_tables, ranking_tables, result_tables
from recsim_env.experiments.results import Results
from recsim_env.experiments.run_directory import read_run, versions
from recsim_env.experiments.settings import from_run
from recsim_env.experiments.tags import TAGS

MOST_SLATES = 6  # agents whose slates are shown


@dataclass
class Part:
    """What a directory holds: a run, or a comparison of runs."""

    path: Path
    name: str
    document: dict[str, Any] | None = None  # run.json; none: a comparison
    experiment: ModuleType | None = None  # none: this version does not have it, or not with these settings
    settings: Any = None
    results: Results = field(default_factory=Results)
    warnings: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """What it is about."""
        if self.document is None:
            return "runs compared"
        if self.experiment is None:
            return str(self.document["experiment"])
        return str(self.experiment.title(self.settings))


def report(
    directories: Sequence[Path], experiments: dict[str, ModuleType], out: Path, command: str
) -> list[str]:
    """Write the report of runs and comparisons.

    Args:
        directories: of them.
        experiments: by name.
        out: the HTML file.
        command: that writes it.

    Returns:
        What speaks against the runs, as the report says it too.

    Raises:
        InputError: a directory that holds neither a run with results nor a comparison, or comes twice.
    """
    names = compare_bandits.run_names(directories)
    parts = [read_part(directory, names[directory], experiments) for directory in directories]
    title = f"{parts[0].name}: {parts[0].title}" if len(parts) == 1 else f"{len(parts)} runs"
    content = [*_ranks(parts)]
    for number, part in enumerate(parts):
        content += _section(part, f"part-{number + 1}")
    links = [
        tag("li", tag("a", f"{part.name}: {part.title}", href=f"#part-{i + 1}"))
        for i, part in enumerate(parts)
    ]
    contents = [tag("nav", tag("ul", *links), aria_label="contents")] if len(parts) > 1 else []
    written = tag("p", "Written by ", tag("code", command), ".", class_="soft")
    text = page(title, [*contents, *content, tag("footer", written)])
    write_atomically(out, lambda temporary: _write(temporary, text))
    return [f"{part.path}: {warning}" for part in parts for warning in part.warnings]


def check_place(out: Path) -> None:
    """Refuse a file that is something else than a report.

    Raises:
        InputError: it is there and no report, or its directory is not.
    """
    if out.suffix not in (".html", ".htm"):
        raise InputError(f"--out must end in .html, got {out}")
    if not out.parent.is_dir():
        raise InputError(f"{out.parent} is not a directory: make it, or choose another --out")
    if out.exists() and (out.is_dir() or GENERATOR.encode() not in out.read_bytes()[:300]):
        raise InputError(f"{out} is there and is no report: delete it, or choose another --out")


def read_part(directory: Path, name: str, experiments: dict[str, ModuleType]) -> Part:
    """What a directory holds.

    Raises:
        InputError: neither a run with results nor a comparison.
    """
    if not (directory / "run.json").exists():
        if (directory / "figure.png").exists():
            return Part(directory, name)
        raise InputError(f"{directory} holds no run: {directory / 'run.json'} does not exist")
    part = Part(directory, name, read_run(directory))
    document = part.document or {}
    if not isinstance(document["settings"], dict):
        raise InputError(f"{directory / 'run.json'}: settings must be an object")
    part.results = Results.read(directory / "results.csv")
    if not part.results.curves:
        raise InputError(f"{directory / 'results.csv'} holds no results yet: let the run finish")
    if any((directory / left).exists() for left in ("checkpoints", "cells")):
        part.warnings.append("it has not finished: agents may be missing; go on with recsim-env run --resume")
    try:
        part.experiment = experiments.get(str(document["experiment"]))
        if part.experiment is None:
            part.warnings.append(f"this version has no experiment {document['experiment']!r}")
        else:
            part.settings = from_run(part.experiment.Settings, document["settings"])
    except InputError as error:
        part.experiment = None
        part.warnings.append(str(error))
    here = versions()
    for package, version in _versions(document).items():
        if version != here.get(package, version):
            part.warnings.append(f"it was made with {package} {version}, this report with {here[package]}")
    if any(c.values.shape[1] == 1 for c in _curves(part)) and "replicates" in document["settings"]:
        part.warnings.append("it has one replicate, so there are no intervals and no tests")
    return part


def _curves(part: Part) -> Iterator[Any]:
    for curves in part.results.curves.values():
        yield from (curve for metric, curve in curves.items() if metric in TAGS)


def _versions(document: dict[str, Any]) -> dict[str, str]:
    found = document.get("versions")
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _ranks(parts: list[Part]) -> list[Markup]:
    """The ranks of all algorithms of each problem, whichever run they are of."""
    runs: dict[str, list[compare_bandits.Run]] = {}
    for part in parts:
        if part.experiment is not None and hasattr(part.experiment, "score"):
            metric = part.experiment.score(part.settings)
            run = compare_bandits.Run(part.name, part.results, metric, part.settings.seed)
            runs.setdefault(part.experiment.title(part.settings), []).append(run)
    problems = [compare_bandits.problem_of(title, found) for title, found in runs.items()]
    problems = [problem for problem in problems if len(problem.standings) > 1]
    if not problems:
        return []
    tables = [tag("p", compare_bandits.MEANING, class_="soft")]
    for problem in problems:
        tables += [tag("h3", problem.title), *ranking_tables(problem)]
    return [tag("h2", "Who is best?", id="ranks"), *tables]


def _section(part: Part, anchor: str) -> list[Markup]:
    """All that is said of a run or a comparison."""
    content = [tag("h2", f"{part.name}: {part.title}", id=anchor)]
    content += [tag("p", f"Mind: {warning}.", class_="warn") for warning in part.warnings]
    if part.document is None:
        return [*content, *_saved_figure(part), *comparison_tables(part.path)]
    if part.experiment is not None:
        question, _, more = (part.experiment.__doc__ or "").strip().partition("\n\n")
        content += [tag("p", tag("strong", prose(question)))]
        content += [tag("p", prose(text)) for text in more.split("\n\n") if text.strip()]
    best = part.experiment.score(part.settings) if hasattr(part.experiment, "score") else "regret"  # type: ignore[union-attr]
    content += [tag("h3", "Result"), *result_tables(part.results, best)]
    content += [tag("h3", "Figure"), *_figure(part)]
    slates = _slates(part, best)
    content += [tag("h3", "Slates"), *slates] if slates else []
    content += [tag("h3", "Settings"), _settings(part)]
    content += [tag("h3", "How to run it again"), *_again(part)]
    return [*content, tag("h3", "What it did not measure"), _unmeasured(part)]


def _figure(part: Part) -> list[Markup]:
    """The figure drawn anew; the one that the run drew, where that cannot be done."""
    from recsim_env.experiments import figure

    if part.experiment is None:
        return _saved_figure(part)
    try:
        if hasattr(part.experiment, "draw_all"):
            picture = part.experiment.draw_all(part.results, part.settings)
        else:
            picture, (axes,) = figure.new_figure(1)
            part.experiment.draw(axes, part.results, part.settings)
    except (InputError, OSError, KeyError) as error:  # its world may need a file that is not here
        part.warnings.append(f"the figure cannot be drawn anew ({error})")
        return [
            tag("p", f"As the run drew it; it cannot be drawn anew ({error}).", class_="warn"),
            *_saved_figure(part),
        ]
    shown = "; ".join(f"{a.get_title()}: {a.get_ylabel()} by {a.get_xlabel()}" for a in picture.axes)
    alt = f"{shown}. Of {', '.join(part.results.curves)}; the table of results has the last values."
    return [image("svg+xml", figure.svg(picture), alt, "Bands and bars are 95 % intervals.")]


def _saved_figure(part: Part) -> list[Markup]:
    file = part.path / "figure.png"
    if not file.is_file():
        return [tag("p", "The run has no figure.")]
    alt = f"The figure of {part.name}; the tables have its last values."
    return [image("png", file.read_bytes(), alt, f"As {file.name} of {part.name} has it.")]


def _slates(part: Part, best: str) -> list[Markup]:
    """The last slate that TensorBoard's events of each agent have, of a few agents."""
    from recsim_env.experiments.tensorboard import read_slates

    agents = list(part.results.curves)
    if all(best in curves for curves in part.results.curves.values()):
        agents.sort(key=lambda agent: float(part.results.curves[agent][best].values[-1].mean()))
    found: list[Markup] = []
    for agent in agents:
        if len(found) < MOST_SLATES and (slates := read_slates(part.path / "tensorboard" / agent)):
            last = slates[-1]
            alt = f"The slate that {agent} showed to the first user at step {last.step}, and what was clicked"
            found.append(image("png", last.png, alt, f"{agent}, step {last.step:,}"))
    if not found:
        return []
    said = "What the first user was shown early in the run, and clicked"
    said += f"; of {len(found)} of {len(agents)} agents." if len(found) < len(agents) else "."
    return [tag("p", said), tag("div", *found, class_="slates")]


def _settings(part: Part) -> Markup:
    assert part.document is not None
    about: dict[str, tuple[str, str]] = {}
    if part.experiment is not None:
        for one in fields(part.experiment.Settings):
            about[one.name] = (str(one.metadata.get("help", "")), repr(one.default))
    rows = []
    for name, value in part.document["settings"].items():
        meaning, default = about.get(name, ("", ""))
        changed = "" if default in ("", repr(value)) else f"{default.strip(chr(39)) or 'none'}"
        rows.append([name, "none" if value == "" else str(value), changed, prose(meaning)])
    head = ["setting", "value", "default, if another", "what it is"]
    return table("Settings of the run", head, rows, words=True)


def _again(part: Part) -> list[Markup]:
    assert part.document is not None
    here, found = versions(), _versions(part.document)
    rows = [[package, version, here.get(package, "-")] for package, version in found.items()]
    content = [tag("p", "The command that began it:"), tag("pre", str(part.document.get("command", "-")))]
    if rows:
        head = ["package", "of the run", "of this report"]
        content.append(table("Versions", head, rows, words=True))
    return content


def _unmeasured(part: Part) -> Markup:
    """The tags that no agent has, and what no run measures."""
    metrics = {name for curves in part.results.curves.values() for name in curves}
    there = {
        name for name in TAGS if any(m == name or m.startswith((f"{name}@", f"{name}_")) for m in metrics)
    }
    lines = [f"{name}: {meaning}" for name, meaning in TAGS.items() if name not in there]
    lines.append("time and memory that the agents need: `benchmarks/` measures those")
    return tag("ul", *(tag("li", prose(line)) for line in lines))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
