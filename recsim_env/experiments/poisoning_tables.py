"""What `poisoning` prints and draws: what targets gain, what a defence leaves of it and costs, ROC curves."""

import sys
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.evaluation.intervals import Estimate, mean_estimate
from recsim_env.evaluation.target_exposure import cost_per_lift
from recsim_env.experiments import figure
from recsim_env.experiments.campaign import NO_ATTACK
from recsim_env.experiments.race import show_difference
from recsim_env.experiments.results import Results

NO_DEFENCE = "none"
ROC = "roc: "  # rows of curves, not of measures
WIDE = 32  # letters of a column
STYLES = ("-", "--", ":", "-.")


def rows_of(results: Results) -> dict[str, tuple[str, str, str]]:
    """Name of a row -> victim, defence, attack."""
    names = [name for name in results.curves if not name.startswith(ROC)]
    return {name: (found[0], found[1], found[2]) for name in names for found in [name.split(", ")]}


def values(results: Results, row: str, metric: str, share: int | None = None) -> Floats | None:
    """(replicates,) at a share of fakes in 100,000; None = the largest. None where it was not measured."""
    curve = results.curves.get(row, {}).get(metric)
    if curve is None:
        return None
    place = -1 if share is None else curve.steps.tolist().index(share)
    return curve.values[place]


def print_tables(results: Results) -> None:
    """A row for every victim, defence, attack and share; differences are paired replicate by replicate."""
    rows = rows_of(results)
    worlds = any("regret" in curves for curves in results.curves.values())
    heads = [
        "fakes, %",
        "target HR@50",
        "lift",
        "actions a point",
        "of the lift removed",
        "honest NDCG@10",
        "cost of the defence",
    ]
    heads += ["regret"] * worlds + ["AUC", "flagged honest"]
    width = max(map(len, rows))
    sys.stdout.write("\n" + " " * width + "".join(f"{head:>{WIDE}}" for head in heads) + "\n")
    for name, (victim, _, attack) in rows.items():
        for share in results.curves[name]["target_hit_rate"].steps.tolist():
            cells = [f"{share / 1000:g}", _text(values(results, name, "target_hit_rate", share), 4)]
            cells += [lift(results, name, share), cost(results, name, share), removed(results, name, share)]
            cells.append(_text(values(results, name, "ndcg@10", share), 4))
            undefended = ", ".join((victim, NO_DEFENCE, attack))
            cells.append(_less(results, name, undefended, share))
            if worlds:
                cells.append(_text(values(results, name, "regret", share), 3))
            for metric in ("auc", "flagged"):
                cells.append(_text(values(results, name, metric, share), 3))
            sys.stdout.write(f"{name:{width}}" + "".join(f"{cell:>{WIDE}}" for cell in cells) + "\n")
    sys.stdout.write(
        "rows: victim, defence, attack; mean +- standard error over replicates; differences paired, with\n"
        "their 95 % intervals; lift and removed are ratios of means, behind removed is by how much target\n"
        "HR@50 falls; cost: honest NDCG less that without the defence\n"
    )


def lift(results: Results, name: str, share: int) -> str:
    """Target hit rate over that of the same victim and defence without fakes."""
    victim, defence, attack = rows_of(results)[name]
    before = values(results, ", ".join((victim, defence, NO_ATTACK)), "target_hit_rate")
    after = values(results, name, "target_hit_rate", share)
    if attack == NO_ATTACK or before is None or after is None:
        return ""
    return f"{after.mean() / before.mean():.1f}" if before.mean() > 0 else "from 0"


def cost(results: Results, name: str, share: int) -> str:
    """Fake actions for each point of target hit rate that they win."""
    victim, defence, attack = rows_of(results)[name]
    before = values(results, ", ".join((victim, defence, NO_ATTACK)), "target_hit_rate")
    after, actions = (values(results, name, one, share) for one in ("target_hit_rate", "fake_actions"))
    if attack == NO_ATTACK or before is None or after is None or actions is None:
        return ""
    return f"{cost_per_lift(float(actions.mean()), float(before.mean()), float(after.mean())):.1f}"


def removed(results: Results, name: str, share: int) -> str:
    """1 - what targets gain with the defence over what they gain without it."""
    victim, defence, attack = rows_of(results)[name]
    parts = []
    for one in (defence, NO_DEFENCE):
        row, base = ", ".join((victim, one, attack)), ", ".join((victim, one, NO_ATTACK))
        if row not in results.curves or base not in results.curves:
            return ""
        after, before = (
            values(results, row, "target_hit_rate", share),
            values(results, base, "target_hit_rate"),
        )
        assert after is not None
        assert before is not None
        parts.append(after - before)
    if attack == NO_ATTACK or defence == NO_DEFENCE or parts[1].mean() <= 0:
        return ""
    found = 1.0 - parts[0].mean() / parts[1].mean()
    won = mean_estimate(parts[1] - parts[0])
    return f"{found:.0%}: {show_difference(won, 3)}"


def _less(results: Results, name: str, other: str, share: int) -> str:
    """Paired difference of honest NDCG."""
    mine = values(results, name, "ndcg@10", share)
    if other == name or other not in results.curves or mine is None:
        return ""
    theirs = values(results, other, "ndcg@10", share)
    assert theirs is not None
    return show_difference(mean_estimate(mine - theirs), 4)


def _text(found: Floats | None, digits: int) -> str:
    if found is None or np.isnan(found).all():
        return ""
    estimate = mean_estimate(found)
    return f"{estimate.value:.{digits}f} +- {estimate.std_error:.{digits}f}"


def draw_all(results: Results) -> Any:
    """Targets and honest users by share, what defences leave, and ROC curves of attacks never seen."""
    picture, axes = figure.new_figure(2, rows=2)
    draw_attacks(axes[0], results)
    draw_defences(axes[1], results)
    draw_honest(axes[2], results)
    draw_roc(axes[3], results)
    return picture


def draw_attacks(axes: Any, results: Results) -> None:
    """Target hit rate against the share of fakes, from none, undefended; a colour an attack."""
    rows = rows_of(results)
    victims = list(dict.fromkeys(victim for victim, _, _ in rows.values()))
    attacks = [one for one in dict.fromkeys(attack for *_, attack in rows.values()) if one != NO_ATTACK]
    first = next(iter(rows.values()))[1]
    for victim in victims:
        base = values(results, ", ".join((victim, first, NO_ATTACK)), "target_hit_rate")
        assert base is not None
        for attack in attacks:
            curve = results.curves[", ".join((victim, first, attack))]["target_hit_rate"]
            y = np.concatenate([base[None], curve.values])
            estimate = mean_estimate(y)
            _line(axes, curve.steps, estimate, (attacks, attack), (victims, victim))
    axes.set(title="Targets, undefended", xlabel="fake users, % of honest ones", ylabel="target HR@50")
    _plain(axes)
    figure.legend_below(axes)


def draw_honest(axes: Any, results: Results) -> None:
    """What honest users lose against the share of fakes, a mean over attacks; a colour a defence.

    Clicks in a world, else NDCG@10: less than undefended and without fakes, so that at no fakes stands what a
    defence costs. A replicate is one sample, whatever the number of attacks.
    """
    rows = rows_of(results)
    world = any("regret" in results.curves[row] for row in rows)
    metric, sign = ("regret", 1.0) if world else ("ndcg@10", -1.0)
    defences = list(dict.fromkeys(defence for _, defence, _ in rows.values()))
    victims = list(dict.fromkeys(victim for victim, _, _ in rows.values()))
    for victim in victims:
        base = values(results, ", ".join((victim, NO_DEFENCE, NO_ATTACK)), metric)
        assert base is not None
        for defence in defences:
            own = [row for row, (*of, _) in rows.items() if of == [victim, defence]]
            if not own:
                continue
            attacked = [results.curves[row][metric].values for row in own if rows[row][2] != NO_ATTACK]
            without = values(results, ", ".join((victim, defence, NO_ATTACK)), metric)
            assert without is not None
            lost = mean_estimate(sign * (np.concatenate([without[None], np.mean(attacked, axis=0)]) - base))
            _line(axes, results.curves[own[-1]][metric].steps, lost, (defences, defence), (victims, victim))
    axes.axhline(0.0, color="0.7", lw=0.8)
    label = "regret of honest users, clicks more" if world else "NDCG@10 of honest users, lost"
    axes.set(title="Honest users", xlabel="fake users, % of honest ones", ylabel=label)
    _plain(axes)
    figure.legend_below(axes)


def draw_defences(axes: Any, results: Results) -> None:
    """Target hit rate under each defence, at the largest share; a group of bars an attack and victim."""
    rows = rows_of(results)
    defences = list(dict.fromkeys(defence for _, defence, _ in rows.values()))
    groups = list(dict.fromkeys((victim, attack) for victim, _, attack in rows.values()))
    width = 0.86 / len(defences)
    for i, defence in enumerate(defences):
        rows_here = [", ".join((victim, defence, attack)) for victim, attack in groups]
        found = {place: values(results, row, "target_hit_rate") for place, row in enumerate(rows_here)}
        estimates = {place: mean_estimate(one) for place, one in found.items() if one is not None}
        axes.bar(
            np.array(list(estimates)) + (i - (len(defences) - 1) / 2) * width,
            [one.value for one in estimates.values()],
            0.92 * width,
            yerr=[1.96 * float(one.std_error) for one in estimates.values()],
            label=defence,
            color=figure.SPARE[i % len(figure.SPARE)],
        )
    names = [f"{attack}\n{victim}" for victim, attack in groups]
    axes.set_xticks(range(len(groups)), names, fontsize=7, rotation=90)
    axes.set(title="What defences leave", ylabel="target HR@50")
    _plain(axes)
    axes.legend(frameon=False, fontsize=8)


def draw_roc(axes: Any, results: Results) -> None:
    """True positives against false ones, a mean over replicates, of attacks that the detector never saw.

    A colour an attack, a style a defence.
    """
    curves = {name.removeprefix(ROC): one for name, one in results.curves.items() if name.startswith(ROC)}
    found = [name.split(", ") for name in curves]
    defences, attacks = (
        (list(dict.fromkeys(part)) for part in zip(*found, strict=True)) if found else ([], [])
    )
    for (defence, attack), (name, metrics) in zip(found, curves.items(), strict=True):
        curve = metrics["true_positives"]
        axes.plot(
            curve.steps / 100,
            curve.values.mean(axis=1),
            color=figure.SPARE[attacks.index(attack) % len(figure.SPARE)],
            ls=STYLES[defences.index(defence) % len(STYLES)],
            label=name,
        )
    axes.plot([0, 1], [0, 1], color="0.7", lw=0.8)
    axes.set(title="Detectors", xlabel="honest users flagged", ylabel="fake users flagged")
    _plain(axes)
    if curves:
        figure.legend_below(axes)


def _line(
    axes: Any, shares: Array, found: Estimate, coloured: tuple[list[str], str], styled: tuple[list[str], str]
) -> None:
    """From no fakes on; a colour and a style by the place of a name among its kind."""
    (colours, one), (styles, other) = coloured, styled
    axes.errorbar(
        np.append(0, shares) / 1000,
        found.value,
        1.96 * found.std_error,
        color=figure.SPARE[colours.index(one) % len(figure.SPARE)],
        ls=STYLES[styles.index(other) % len(STYLES)],
        marker="o",
        ms=3,
        label=f"{one}, {other}",
    )


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, lw=0.6)
