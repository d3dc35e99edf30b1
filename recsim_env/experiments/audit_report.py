"""An audit to read: text, Markdown, JSON, and a picture."""

import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsim_env.experiments.audit import Audit, K
from recsim_env.experiments.audit_verdict import findings, verdict
from recsim_env.experiments.figure import SPARE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RED = "#D55E00"


def text(audit: Audit, width: int = 110) -> str:
    """Tables in aligned columns, findings, alarms, the verdict."""
    lines = [*textwrap.wrap(_head(audit), width), ""]
    for title, cells in _tables(audit):
        wide = [max(len(row[c]) for row in cells) for c in range(len(cells[0]))]
        for r, row in enumerate(cells):
            first = (title if r == 0 else row[0]).ljust(max(wide[0], len(title)))
            rest = [row[c].rjust(wide[c]) for c in range(1, len(row))]
            lines.append("  ".join([first, *rest]).rstrip())
        lines.append("")
    remarks = [*findings(audit), *_alarms(audit), *_quiet(audit), *audit.notes]
    for remark in remarks:
        lines += textwrap.wrap(remark, width, subsequent_indent="  ")
    lines += ["", *textwrap.wrap(f"VERDICT: {verdict(audit)}", width)]
    return "\n".join(lines) + "\n"


def markdown(audit: Audit, command: str = "") -> str:
    """The same for a page, the verdict first; `command` is the one that prints it."""
    lines = [f"## {audit.name}", "", f"**{verdict(audit)}**", "", _head(audit), ""]
    if command:
        lines += [f"`{command}`", ""]
    for title, cells in _tables(audit):
        lines.append("| " + " | ".join([title, *cells[0][1:]]) + " |")
        lines.append("|---" + "|---:" * (len(cells[0]) - 1) + "|")
        lines += ["| " + " | ".join(row) + " |" for row in cells[1:]]
        lines.append("")
    lines += [f"- {remark}" for remark in (*findings(audit), *_alarms(audit), *_quiet(audit), *audit.notes)]
    return "\n".join(lines) + "\n"


def document(audit: Audit) -> dict[str, Any]:
    """All numbers, for JSON; what is not a number there (nan) is null."""
    rows = {
        one.name: {
            f"ndcg@{K}": one.ndcg.value,
            f"ndcg@{K}_std_error": one.ndcg.std_error,
            f"hit_rate@{K}": one.hit_rate.value,
            f"hit_rate@{K}_std_error": one.hit_rate.std_error,
            "history_masked": one.masked,
        }
        for one in audit.baselines
    }
    whole = {
        "name": audit.name,
        "clock": audit.clock,
        "verdict": verdict(audit),
        "findings": findings(audit),
        "baselines": rows,
        "report": asdict(audit.report),
        "notes": audit.notes,
    }
    cleaned = _plain(whole)
    assert isinstance(cleaned, dict)
    return cleaned


def picture(audit: Audit) -> "Figure":
    """Who scores what, where the targets stand, what a shorter history costs; the verdict above."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15.0, 5.6), layout="constrained")
    FigureCanvasAgg(figure)  # not pyplot, which would keep the figure alive and look for a screen
    scores, places, history = figure.subplots(1, 3, width_ratios=(1.4, 1.1, 1.0))
    figure.suptitle("\n".join(textwrap.wrap(verdict(audit), 150)), fontsize=10, fontweight="bold")

    ordered = sorted(audit.baselines, key=lambda one: float(one.ndcg.value))
    value = np.array([float(one.ndcg.value) for one in ordered])
    error = 1.96 * np.array([float(one.ndcg.std_error) for one in ordered])
    colours = [RED if one is audit.best else SPARE[0] for one in ordered]
    scores.barh(range(len(ordered)), value, xerr=error, color=colours, capsize=2)
    scores.set_yticks(range(len(ordered)), [one.name for one in ordered])
    for y, (v, e) in enumerate(zip(value, error, strict=True)):
        scores.text(v + e, y, f"  {v:.4f}", va="center", fontsize=8)
    scores.margins(x=0.18)
    scores.set(title="Baselines without training", xlabel=f"NDCG@{K}, full ranking, 95 % interval over users")

    share = [*audit.report.coverage.share, max(0.0, 1 - sum(audit.report.coverage.share))]
    names = [f"{n}\n{size:,.0f} items" for n, size in zip("123", audit.report.coverage.size, strict=True)]
    places.bar(range(4), share, color=[SPARE[0], SPARE[5], SPARE[2], "#999999"])
    places.set_xticks(range(4), [*names, "farther"], fontsize=9)
    for x, s in enumerate(share):
        places.text(x, s, f"{s:.1%}", ha="center", va="bottom", fontsize=8)
    places.set(
        title="Where the next item stands", xlabel="steps from the last item", ylabel="share of the targets"
    )

    for i, (name, curve) in enumerate(audit.report.history.items()):
        history.plot(range(len(curve.lengths)), curve.value, "os^"[i % 3] + "-", color=SPARE[i], label=name)
        history.set_xticks(range(len(curve.lengths)), [str(n) if n else "all" for n in curve.lengths])
    history.set_ylim(bottom=0.0)
    history.set(title="What a shorter history costs", xlabel="last items shown", ylabel=f"NDCG@{K}")
    history.legend(frameon=False, fontsize=9, loc="lower right")
    for axes in (scores, places, history):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, lw=0.6)
        axes.set_axisbelow(True)
    return figure


def write(audit: Audit, folder: Path, command: str) -> None:
    """Put report.json, report.md and figure.png into a folder."""
    import json

    from recsim_env.experiments import figure

    (folder / "report.json").write_text(json.dumps(document(audit), indent=1, allow_nan=False) + "\n")
    page = markdown(audit, command) + "\n![scores, places and histories](figure.png)\n"
    (folder / "report.md").write_text(page)
    figure.save(picture(audit), folder / "figure.png")


def _head(audit: Audit) -> str:
    report = audit.report
    masked = any(one.masked for one in audit.baselines)
    return (
        f"{audit.name}: {report.num_events:,} events of {report.num_users:,} users and {report.num_items:,} "
        f"items, {report.num_asked:,} users asked for their last event; full ranking, "
        f"history {'masked (not for TGH)' if masked else 'not masked'}."
    )


def _tables(audit: Audit) -> list[tuple[str, list[list[str]]]]:
    report = audit.report
    rows = [["", f"NDCG@{K}", f"HR@{K}"]]
    for one in audit.baselines:
        rows.append([one.name, *(f"{e.value:.4f} +- {e.std_error:.4f}" for e in (one.ndcg, one.hit_rate))])
    graph = [
        ["", "ring 1", "ring 2", "ring 3"],
        ["share of the targets", *(f"{s:.1%}" for s in report.coverage.share)],
        ["items in the ring", *(f"{s:,.1f}" for s in report.coverage.size)],
    ]
    shares = [
        ["", ""],
        [
            "successors of an item, mean / median",
            f"{report.branching.mean:.1f} / {report.branching.median:g}",
        ],
        ["edges seen once", f"{report.branching.seen_once:.1%}"],
        ["events / targets tied with the one before", f"{report.tied_share:.1%} / {report.tied_targets:.1%}"],
        ["repeated events / targets", f"{report.repeat_share:.1%} / {report.repeated_targets:.1%}"],
    ]
    for kind, smooth in report.smoothness.items():
        shares.append(
            [
                f"cosine edge / target / random, {kind}",
                f"{smooth.edge:.3f} / {smooth.target:.3f} / {smooth.random:.3f}",
            ]
        )
    lengths = next(iter(report.history.values())).lengths
    curves = [["", *(f"last {n}" if n else "all" for n in lengths)]]
    curves += [[name, *(f"{v:.4f}" for v in curve.value)] for name, curve in report.history.items()]
    return [
        ("baseline", rows),
        ("from the last item", graph),
        ("diagnostic", shares),
        (f"NDCG@{K} with a part of the history", curves),
    ]


def _alarms(audit: Audit) -> list[str]:
    return [f"ALARM, {leak.name}: {leak.says}: {leak.remedy}." for leak in audit.report.alarms]


def _quiet(audit: Audit) -> list[str]:
    quiet = [leak.name for leak in audit.report.leaks if not leak.alarm]
    return [f"No alarm: {', '.join(quiet)}."] if quiet else []


def _plain(value: Any) -> Any:
    """What JSON can hold."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value
