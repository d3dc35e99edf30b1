"""The panels of `attack_agents`: learning, arms, and what transfers."""

from typing import Any

import numpy as np

from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.experiments import figure
from recsim_env.experiments.attack_tables import BEST, FROM, RECOMMENDERS, SIZES, arms_of, final, matrix
from recsim_env.experiments.results import Curve, Results

LEVEL = ("#999999", *figure.SPARE[3:])  # colours of arms that do not learn


def draw_learning(axes: Any, results: Results, size: str, label: str = "", style: int = 0) -> None:
    """Reward of greedy attacks against attacks tried; who does not learn is a level line.

    Where the best is known, less the best world by world: worlds differ more than arms do.
    """
    names = [name for name in results.curves if name.startswith(f"{size}, ")]
    best = final(results, f"{size}, {BEST}", "reward") if f"{size}, {BEST}" in names else 0.0
    looks = [(colour, dash) for dash in ((0, (5, 3)), (0, (1, 1.5))) for colour in LEVEL]
    agents, levels = Results(), {}
    for name in names:
        arm, curve = name.split(", ")[1], results.curves[name]["reward"]
        if "learning" in results.curves[name]:
            agents.curves[arm] = {"reward": Curve(curve.steps, curve.values - best)}
            reach = curve.steps[[0, -1]]
        else:
            levels[arm] = float((curve.values[-1] - best).mean())
    figure.draw_curves(axes, agents, "reward", label, style)
    if BEST in levels:
        axes.plot(reach, [levels.pop(BEST)] * 2, color="#000000", lw=1.3, label=BEST + label)
    for (arm, level), (colour, dash) in zip(levels.items(), looks, strict=False):
        axes.plot(reach, [level] * 2, color=colour, ls=dash, lw=1.3, label=arm + label)
    of = "reward of an attack" + (" less the best" if f"{size}, {BEST}" in names else "")
    axes.set(xlabel="attacks tried", ylabel=of)
    handles = sorted(axes.get_lines(), key=lambda line: -float(np.asarray(line.get_ydata())[-1]))
    place = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
    axes.legend(handles, [line.get_label() for line in handles], frameon=False, fontsize=9, **place)


def draw_arms(axes: Any, results: Results) -> None:
    """Exposure by arm with 95 % intervals, on both instances."""
    arms = list(dict.fromkeys(name.split(", ")[1] for size in SIZES for name in arms_of(results, size)))
    for i, size in enumerate(SIZES):
        there = [arm for arm in arms if f"{size}, {arm}" in results.curves]
        found = [mean_estimate(final(results, f"{size}, {arm}", "exposure")) for arm in there]
        reach = np.array([np.nan_to_num(float(one.interval[1]) - float(one.value)) for one in found])
        places = np.array([arms.index(arm) for arm in there]) + (0.2 if i == 0 else -0.2)
        values = [float(one.value) for one in found]
        axes.barh(places, values, 0.38, xerr=reach, color=figure.SPARE[i], label=size, error_kw={"lw": 1})
    axes.set_yticks(range(len(arms)), arms, fontsize=9)
    axes.invert_yaxis()
    axes.set(title="Exposure after the last fake user", xlabel="share of honest users", xlim=(0.0, 1.0))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.25, lw=0.6)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def draw_transfer(axes: Any, results: Results) -> None:
    """Mean rewards by recommender trained against and played against."""
    means = matrix(results, FROM).mean(axis=2)
    axes.imshow(means, cmap="Blues", aspect="auto")
    middle = (means.min() + means.max()) / 2
    for (i, j), value in np.ndenumerate(means):
        colour = "white" if value > middle else "black"
        axes.text(j, i, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(RECOMMENDERS)), RECOMMENDERS, fontsize=9)
    axes.set_yticks(range(len(RECOMMENDERS)), RECOMMENDERS, fontsize=9)
    axes.set(
        title="Reward of the first agent, small instance", xlabel="played against", ylabel="trained against"
    )
