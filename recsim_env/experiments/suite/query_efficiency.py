"""How much does a question to users bring: preference tuning of a generative policy, and bandits.

The world, the log and the trained policy are those of `finetune_compare`. All learners ask the same users,
and all are measured on others: exact expected clicks on the K items that they would show first, as a share
of what one who knows users and items earns, against the number of queries.

A query is an item shown to a user, who clicks or does not. Tunings and most bandits ask one question: an item
alone, at slot 1, which everybody looks at. The bandits of slates show K items, as they are meant to, and
pay K queries, whatever was looked at. That is not the same question: a user looks at slot k with
probability k^-0.7, so a slate tells less than K items alone. Cascade feedback, which takes the slots down to
the first click for looked at and no others, is wrong in this world of position-based clicks, where some of
these were passed over, and clicks follow below; `position_lin_ts` is told the probabilities instead.

    sft              the policy as the log taught it: 0 queries
    rwr, dpo, grpo   tuned as in finetune_compare: 64 users and G items of each a gradient
    grpo_often       the same with 16 users and 4 items a gradient, until 3/10 of the queries are spent
    beta_ts          Thompson sampling of the clicks of each item, all users alike
    lin_ts           of a linear model: features of the item, times mean features of what the user took, and 1
    item_lin_ts      the same, and an offset for every item
    sft_lin_ts       an offset for every item, and log pi of sft in place of features: begins as sft
    cascade_ts       beta_ts, and
    cascade_lin_ts   item_lin_ts, of slates with cascade feedback
    position_lin_ts  item_lin_ts, of slates whose slots' examination is known

A bandit asks 64 users a round, one item or slate each, and learns from all answers at the round's end
(`shared_bandits.py`, `query_learners.py`). It sees what users took, features of items, and clicks; policies
see what users took, codes that were made of the features, and clicks. What users are like, nobody sees. But
the linear bandits have a model of nearly the world's form: attraction is a sigmoid of quality and of features
times interest, and what a user took says where the interest points.

    slate_reward     exact expected clicks on the first K items; test users, no exploration
    share            of the oracle's
    while_learning   what the users who were asked got so far, exactly, as a share of the best for them of the
                     same kind: the best item alone, or the best slate. The rest is the regret of learning
    ndcg@10          of the item that test users took next by themselves
    queries          asked so far: a learner is measured after the last round that does not go beyond a mark
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.experiments import figure
from recsim_env.experiments.cell_run import run_to_the_end
from recsim_env.experiments.cells import replicate_cells, save_arrays
from recsim_env.experiments.policy_measures import LISTED, Lists, lists_of, measure
from recsim_env.experiments.policy_training import (
    PolicySettings,
    check_policy_settings,
    train_policy,
    users_of,
)
from recsim_env.experiments.query_learners import (
    BANDITS,
    OF_SLATES,
    TUNINGS,
    Asked,
    bandit_of,
    marks_of,
    play,
    tune,
)
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.settings import names_of, option
from recsim_env.experiments.training import one_thread
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.worlds.world import take_rows

NAME = "query_efficiency"
METRICS = ("slate_reward", "share", "while_learning", "ndcg@10", "queries")


@dataclass(frozen=True)
class Settings(PolicySettings):
    """Options of the command line."""

    steps: int = option(100, "gradients of a tuning; bandits ask as much")
    horizon: int = option(1, "slates of a session: 1, no more are measured here")
    learners: str = option(",".join((*TUNINGS, *BANDITS)), "of these; sft and oracle are always there")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`; a replicate is done in one go."""
    names = check(settings)

    def work(replicate: int) -> Callable[..., None]:
        return partial(play_replicate, settings, names, settings.seed + replicate)

    return run_to_the_end(
        NAME,
        settings,
        out,
        resume,
        workers,
        cells=lambda directory: replicate_cells(directory, settings.replicates, 1 + len(names), work),
        unit="learner",
        collect=lambda found: to_results(found, names, settings),
        picture=lambda results: draw_all(results, settings),
        show=print_tables,
    )


def check(settings: Settings) -> list[str]:
    """Refuse settings that cannot be; returns the names of the learners.

    Raises:
        InputError: the first of them.
    """
    names = names_of("learners", "learner", settings.learners, (*TUNINGS, *BANDITS))
    if settings.horizon != 1:
        raise InputError(f"horizon must be 1, got {settings.horizon}: query_efficiency measures first slates")
    check_policy_settings(settings)
    return names


def play_replicate(
    settings: Settings, names: list[str], seed: int, file: Path, _: Path, progress: Callable[[int], Any]
) -> None:
    """Write (marks,) of every metric of every learner in one world."""
    with one_thread():  # sums of several come out in any order, and runs would not repeat
        of, users, test = users_of(settings, seed)
        recommender = train_policy(of, users, settings, seed)
        sft, found = recommender.policy_, dict[str, list[float]]()

        def note(name: str, lists: Lists, asked: Asked | None = None) -> None:
            values = measure(lists, of, test, seed)
            values = {metric: values[metric] for metric in ("slate_reward", "ndcg@10")}
            values["queries"] = float(asked.simulated.queries) if asked else 0.0
            values["while_learning"] = asked.got / asked.best if asked and asked.best else np.nan
            for metric, value in values.items():
                found.setdefault(f"{name}|{metric}", []).append(value)

        def best(history: Ints, rows: Ints) -> Ints:
            slates = of.world.best_slate(take_rows(of.state, rows))
            return np.pad(slates, ((0, 0), (0, LISTED - slates.shape[1])), constant_values=-1)

        note("oracle", best)
        note("sft", lists_of(sft))
        log_pi = recommender.scores(of.taken[:, :-1]) if "sft_lin_ts" in names else None
        progress(1)
        for name in names:
            asked = Asked(of, users, seed)
            if name in TUNINGS:
                tune(name, sft, of.taken[users, :-1], asked, settings, seed, partial(note, name))
            else:
                features, history = of.world.catalogue.features, of.taken[:, :-1]
                bandit = bandit_of(name, features, history, log_pi, settings.slate_size)
                play(bandit, len(users), asked, settings, seed, partial(note, name))
            progress(1)
    save_arrays(file, {name: np.array(values) for name, values in found.items()})


def to_results(cells: list[dict[str, Array]], names: list[str], settings: Settings) -> Results:
    """Curves over queries; what was not there yet at the first marks is left out."""
    results = Results()
    best = np.stack([cell["oracle|slate_reward"] for cell in cells], axis=1)
    for name in ("oracle", "sft", *names):
        results.curves[name] = {}
        steps = marks_of(name, settings)
        for metric in METRICS:
            kept = "slate_reward" if metric == "share" else metric
            values = np.stack([cell[f"{name}|{kept}"] for cell in cells], axis=1)
            values = np.broadcast_to(values / best if metric == "share" else values, (len(steps), len(cells)))
            known = ~np.isnan(values).any(axis=1)
            if known.any():
                results.curves[name][metric] = Curve(steps[known], values[known])
    return results


def print_tables(results: Results) -> None:
    """Shares of the oracle at marks, and each bandit less the best tuning there, replicate by replicate."""
    at = results.curves["sft"]["share"].steps
    shown = at[np.isin(at, at[1] * 10 ** np.arange(10)) | (at == at[-1])]
    width = max(map(len, results.curves))
    replicates = results.curves["sft"]["share"].values.shape[1]
    heads = "".join(f"{mark:>19,}" for mark in shown)
    sys.stdout.write(f"\n{'':{width}}{heads}{'while learning':>19}{'ndcg@10':>19}\n")
    for name, curves in results.curves.items():
        cells = [_cell(100.0 * at_mark(curves["share"], mark)) for mark in shown]
        learning = curves["while_learning"].values[-1] if "while_learning" in curves else np.empty(0)
        cells += [_cell(100.0 * learning), _cell(curves["ndcg@10"].values[-1], digits=3)]
        sys.stdout.write(f"{name:{width}}{''.join(cells)}\n")
    sys.stdout.write(
        "true slate reward after so many queries, % of the oracle's; while learning: what the users asked\n"
        "got, % of the best for them, over all queries of the learner; mean +- standard error over "
        f"{replicates} replicates\n"
    )
    tuned = [name for name in results.curves if name in TUNINGS]
    bandits = [name for name in results.curves if name in BANDITS]
    if not tuned or not bandits:
        return
    best = {}  # mark -> the best tuning that went as far
    for mark in shown:
        there = [name for name in tuned if len(at_mark(results.curves[name]["share"], mark))]
        if there:
            best[mark] = max(there, key=lambda name: at_mark(results.curves[name]["share"], mark).mean())
    heads = "".join(f"{f'{name} at {mark:,}':>23}" for mark, name in best.items())
    sys.stdout.write(f"\n{'points more than':{width}}{heads}\n")
    for name in bandits:
        cells = []
        for mark, other in best.items():
            ours, theirs = (at_mark(results.curves[one]["share"], mark) for one in (name, other))
            more = mean_estimate(100.0 * (ours - theirs))
            low, high = more.interval
            cells.append(f"{more.value:+.1f} [{low:+.1f}, {high:+.1f}]".rjust(23))
        sys.stdout.write(f"{name:{width}}{''.join(cells)}\n")
    sys.stdout.write(
        "than the tuning that is best at the mark, on average; 95 % intervals, paired by replicate\n"
    )


def at_mark(curve: Curve, mark: int) -> Floats:
    """(replicates,) at a mark; none where the learner was not measured there."""
    return np.asarray(curve.values[curve.steps == mark].ravel())


def _cell(values: Floats, digits: int = 1) -> str:
    if not len(values):
        return " " * 19
    estimate = mean_estimate(values)
    return f"{estimate.value:.{digits}f} +- {estimate.std_error:.{digits}f}".rjust(19)


def title(settings: Settings) -> str:
    """What the run is about, for a picture; runs with one title are comparable."""
    return f"{settings.num_items} items, slates of {settings.slate_size}"


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """True reward against queries."""
    _draw_curves(axes, results, "share", label, style)
    axes.set(title=title(settings), ylabel="of the oracle's clicks on a slate")
    figure.legend(axes)


def draw_all(results: Results, settings: Settings) -> Any:
    """The picture of a run: what was learned, and what learning cost."""
    picture, axes = figure.new_figure(2)
    draw(axes[0], results, settings)
    _draw_curves(axes[1], results, "while_learning")
    axes[1].set(title="What users got who were asked", ylabel="of the best for them, so far")
    return picture


def _draw_curves(axes: Any, results: Results, metric: str, label: str = "", style: int = 0) -> None:
    """Of tunings plain, of bandits with discs, of bandits of slates with squares; with bands of 95 %."""
    alone, slates = (tuple(name for name in BANDITS if (name in OF_SLATES) == both) for both in (False, True))
    looks = {"oracle": ("#000000", ""), "sft": ("#999999", "")}
    for names, marker in ((TUNINGS, ""), (alone, "o"), (slates, "s")):
        looks |= {name: (colour, marker) for name, colour in zip(names, figure.SPARE, strict=False)}
    for name, curves in results.curves.items():
        if metric not in curves:
            continue
        after = curves[metric].steps > 0  # 0 has no logarithm
        steps, estimate = curves[metric].steps[after], mean_estimate(curves[metric].values[after])
        colour, marker = looks[name]
        look = {"color": colour, "marker": marker, "markersize": 4.5, "lw": 1.8, "label": name + label}
        axes.plot(steps, estimate.value, figure.STYLES[style % len(figure.STYLES)], **look)
        axes.fill_between(steps, *estimate.interval, color=colour, alpha=0.15, lw=0)
    axes.set_xscale("log")
    axes.set(xlabel="queries", ylim=(0.0, 1.03))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, lw=0.6)
