"""How far do a few words behind a product's text push it in a list that a model reads, and what stops them?

A small recommender reads what a user wants and the texts of ten products in some order, and lists them
(`text_ranker.py`). It has learned from what readers of such lists took. The sellers of the products that it
hardly ever lists first add up to L words each to their own text (`strategic_text.py`):

    random_words    drawn evenly, as a control
    greedy          chosen by asking the recommender
    gradients       the same, with gradients: fewer questions
    transfer        chosen by asking another recommender, of other weights, products and readers
    knows_filter    greedy, of words that the filter lets through

    first, top3         share of users and orders of the list where the product is in the first place, or
                        in one of the first three
    improved            share where it stands higher than without the words, in the same order
    utility             true utility of what is listed first
    flagged             share of these texts that the perplexity filter flags (`text_filters.py`)
    first, filtered     flagged products are left out
    .., ensemble        lists by the mean rank over all orders
    queries             texts that were asked about

Users and orders of the measures are others than those of the attack. One replicate is a catalogue, readers
and trainings of its own.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsim_env.agents.robust.text_filters import PerplexityFilter, mean_ranks
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, require
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.experiments import figure
from recsim_env.experiments.cell_run import run_to_the_end
from recsim_env.experiments.cells import replicate_cells, save_arrays
from recsim_env.experiments.race import show_difference
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.settings import option, positive
from recsim_env.experiments.training import one_thread
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.attackers.strategic_text import StrategicTextAttacker, drawn_orders
from recsim_env.simulators.product_texts import (
    ProductTexts,
    choices,
    draw_needs,
    product_texts,
    utility,
    vocabulary,
)

if TYPE_CHECKING:
    from recsim_env.agents.generative.text_ranker import AttackedList, TextRanker

NAME = "text_attack"
ATTACKS = ("random_words", "greedy", "gradients", "transfer", "knows_filter")
METRICS = ("first", "top3", "improved", "utility", "flagged", "first_filtered", "first_ensemble", "queries")
CANDIDATES, WINDOW, QUANTILE = 10, 10, 0.99
ASKED, TOP_K = 8, 16  # needs that an attacker asks with, and words that gradients name


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    num_products: int = option(200, "N, products that readers of the training saw, 20 or more")
    readers: int = option(3000, "lists of which the training knows what was taken")
    epochs: int = option(5, "of every training")
    targets: int = option(2, "products whose sellers add words, of the ten candidates; each alone")
    budgets: str = option("0,2,5,10,20", "words that are added at most, 0 first")
    sweeps: int = option(2, "times that every word is chosen")
    orders: int = option(2, "orders of the list that a question is asked in")
    test_users: int = option(60, "users on whom everything is measured")
    test_orders: int = option(20, "orders of the list on which everything is measured")
    replicates: int = option(5, "independent catalogues, readers and trainings")
    seed: int = option(0, "of replicate 0; replicate i has seed + i")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`; a replicate is done in one go."""
    budgets = check(settings)

    def work(replicate: int) -> Callable[..., None]:
        return partial(play_replicate, settings, budgets, settings.seed + replicate)

    return run_to_the_end(
        NAME,
        settings,
        out,
        resume,
        workers,
        cells=lambda directory: replicate_cells(
            directory, settings.replicates, 2 + settings.targets * len(ATTACKS) * len(budgets), work
        ),
        unit="attack",
        collect=lambda found: to_results(found, budgets),
        picture=lambda results: draw_all(results, settings),
        show=lambda results: print_tables(results, settings),
    )


def check(settings: Settings) -> list[int]:
    """Refuse settings that cannot be; returns the budgets.

    Raises:
        InputError: the first of them, or PyTorch is missing.
    """
    try:
        budgets = [int(part) for part in settings.budgets.split(",")]
    except ValueError:
        raise InputError(f"budgets must be whole numbers such as 0,5,20, got {settings.budgets!r}") from None
    if budgets[0] != 0 or budgets != sorted(set(budgets)) or budgets[-1] > 30:
        raise InputError(f"budgets must rise from 0 to 30 at most, got {settings.budgets!r}")
    positive(readers=settings.readers, epochs=settings.epochs, sweeps=settings.sweeps)
    positive(orders=settings.orders, test_users=settings.test_users, test_orders=settings.test_orders)
    if settings.num_products < 2 * CANDIDATES:
        raise InputError(f"num_products must be at least {2 * CANDIDATES}, got {settings.num_products}")
    if not 1 <= settings.targets <= CANDIDATES:
        raise InputError(f"targets must be from 1 to {CANDIDATES}, got {settings.targets}")
    if settings.replicates < 2:
        raise InputError(f"replicates must be 2 or more, got {settings.replicates}")
    if not 0 <= settings.seed <= (1 << 31) - settings.replicates:
        raise InputError(f"seed must be from 0 to 2^31 less the replicates, got {settings.seed}")
    require("torch", "torch")
    return budgets


def play_replicate(
    settings: Settings, budgets: list[int], seed: int, file: Path, _: Path, progress: Callable[[int], Any]
) -> None:
    """Write (budgets,) of every metric of every attack, the mean over targets."""
    from recsim_env.agents.generative.text_ranker import AttackedList

    with one_thread():  # sums of several come out in any order, and runs would not repeat
        honest = product_texts(settings.num_products, 4 * seed)
        candidates = product_texts(CANDIDATES, 4 * seed + 1)
        victim = trained(honest, settings, seed, 0)
        progress(1)
        surrogate = trained(product_texts(settings.num_products, 4 * seed + 2), settings, seed, 1)
        progress(1)
        cut = 2 * settings.num_products // 3
        odd = PerplexityFilter(len(vocabulary()), window=WINDOW)
        odd.fit(honest.texts[:cut], honest.texts[cut:], QUANTILE)
        rng = np.random.default_rng([seed, 1])
        asked, users = draw_needs(ASKED, rng), draw_needs(settings.test_users, rng)
        orders = drawn_orders(CANDIDATES, settings.test_orders, rng)
        before = AttackedList(victim, candidates.texts, 0, users.texts).ranks(text_of(candidates, 0), orders)
        targets = np.argsort((before == 0).mean(axis=(0, 1)), kind="stable")[: settings.targets]
        found = {
            f"{name}|{metric}": np.zeros(len(budgets))
            for name in ATTACKS
            for metric in (*METRICS, "utility_ensemble")
        }
        for item in targets.tolist():
            shown = AttackedList(victim, candidates.texts, item, users.texts)
            lists = {
                name: AttackedList(
                    surrogate if name == "transfer" else victim, candidates.texts, item, asked.texts
                )
                for name in ATTACKS
            }
            for name in ATTACKS:
                for row, budget in enumerate(budgets):
                    text, queries = attacked(
                        name, lists[name], text_of(candidates, item), budget, odd, settings, seed
                    )
                    values = measured(shown, text, item, orders, before, utility(users, candidates))
                    values["flagged"] = float(odd.flags(text[None])[0])
                    values["first_filtered"] = values["first"] * (1.0 - values["flagged"])
                    for metric, value in {**values, "queries": float(queries)}.items():
                        found[f"{name}|{metric}"][row] += value / len(targets)
                    progress(1)
        found["honest|flagged"] = np.array([odd.flags(product_texts(500, 4 * seed + 3).texts).mean()])
    save_arrays(file, found)


def trained(products: ProductTexts, settings: Settings, seed: int, which: int) -> "TextRanker":
    """A recommender that has learned from what readers took of lists of these products."""
    import torch

    from recsim_env.agents.generative.text_ranker import TextRanker

    rng, R, N = np.random.default_rng([seed, 2, which]), settings.readers, settings.num_products
    needs = draw_needs(R, rng)
    lists = rng.permuted(np.tile(np.arange(N), (R, 1)), axis=1)[:, :CANDIDATES]
    taken = choices(np.take_along_axis(utility(needs, products), lists, axis=1), rng)
    generator = torch.Generator().manual_seed(2 * seed + which)
    ranker = TextRanker(len(vocabulary()), max_places=CANDIDATES, generator=generator)
    return ranker.fit(products.texts, needs.texts, lists, taken, epochs=settings.epochs, seed=seed)


def text_of(products: ProductTexts, item: int) -> Ints:
    """(T,) without empty cells."""
    row = products.texts[item]
    return row[row >= 0]


def attacked(
    name: str,
    asked: "AttackedList",
    text: Ints,
    budget: int,
    odd: PerplexityFilter,
    settings: Settings,
    seed: int,
) -> tuple[Ints, int]:
    """The text with words behind it, and what they cost in questions."""
    if name == "random_words":
        words = np.random.default_rng([seed, 3]).integers(asked.num_words, size=budget)
        return np.concatenate([text, words]), 0
    attacker = StrategicTextAttacker(
        budget,
        iterations=max(1, settings.sweeps * budget),
        orders=settings.orders,
        top_k=TOP_K if name == "gradients" else None,
        passes=(lambda texts: ~odd.flags(texts)) if name == "knows_filter" else None,
        seed=seed,
    )
    found = attacker.attack(asked, text)
    return found.text, found.queries


def measured(
    shown: "AttackedList", text: Ints, item: int, orders: Ints, before: Ints, worth: Floats
) -> dict[str, float]:
    """What a text does; `before` (Q, O, C) are ranks without it, `worth` (Q, C) the utility of candidates."""
    ranks = shown.ranks(text, orders)
    lists = mean_ranks(ranks)
    mine = ranks[..., item]
    top = np.argmin(ranks, axis=2)
    return {
        "first": float((mine == 0).mean()),
        "top3": float((mine < 3).mean()),
        "improved": float((mine < before[..., item]).mean()),
        "utility": float(np.take_along_axis(worth, top, axis=1).mean()),
        "first_ensemble": float((lists[:, item] == 0).mean()),
        "utility_ensemble": float(worth[np.arange(len(worth)), np.argmin(lists, axis=1)].mean()),
    }


def to_results(cells: list[dict[str, Array]], budgets: list[int]) -> Results:
    """Curves over the budget."""
    results = Results()
    for key in cells[0]:
        name, metric = key.split("|")
        values = np.stack([cell[key] for cell in cells], axis=1)
        steps = np.array(budgets[: len(values)])
        results.curves.setdefault(name, {})[metric] = Curve(steps, values)
    return results


def print_tables(results: Results, settings: Settings) -> None:
    """All attacks at all budgets, and what differs, catalogue by catalogue."""
    width = max(map(len, results.curves))
    sys.stdout.write(f"\n{'':{width}}  words" + "".join(f"{metric:>17}" for metric in METRICS) + "\n")
    for name in ATTACKS:
        for row, budget in enumerate(results.curves[name]["first"].steps):
            if row or name == ATTACKS[0]:
                cells = ""
                for metric in METRICS:
                    estimate = mean_estimate(results.curves[name][metric].values[row])
                    digits = 0 if metric == "queries" else 3
                    said = f"{estimate.value:.{digits}f} +- {estimate.std_error:.{digits}f}"
                    cells += said.rjust(17)
                sys.stdout.write(f"{name if row else 'none':{width}}  {budget:5d}{cells}\n")
    false = mean_estimate(results.curves["honest"]["flagged"].values[0])
    sys.stdout.write(f"mean +- standard error over {settings.replicates} replicates\n")
    sys.stdout.write(f"honest texts that the filter flags: {false.value:.2%} +- {false.std_error:.2%}\n\n")
    for one, two in (
        (("greedy", "first", -1), ("greedy", "first", 0)),
        (("random_words", "first", -1), ("random_words", "first", 0)),
        (("gradients", "first", -1), ("greedy", "first", -1)),
        (("transfer", "first", -1), ("transfer", "first", 0)),
        (("knows_filter", "first_filtered", -1), ("greedy", "first_filtered", -1)),
        (("greedy", "first_ensemble", -1), ("greedy", "first", -1)),
        (("greedy", "utility", -1), ("greedy", "utility", 0)),
        (("greedy", "utility_ensemble", 0), ("greedy", "utility", 0)),
    ):
        say(results, one, two)


def say(results: Results, one: tuple[str, str, int], two: tuple[str, str, int]) -> None:
    """One difference of (attack, metric, row), paired by replicate."""
    values, names = [], []
    for name, metric, row in (one, two):
        curve = results.curves[name][metric]
        values.append(curve.values[row])
        names.append(f"{name} {metric} at {curve.steps[row]} words")
    less = mean_estimate(values[0] - values[1])
    sys.stdout.write(f"{names[0]} less {names[1]}: {show_difference(less)}\n")


def title(settings: Settings) -> str:
    """What the run is about, for a picture; runs with one title are comparable."""
    return f"words behind one of {CANDIDATES} texts, {settings.readers} readers learned from"


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """How often the product is listed first, against the words added."""
    attacks = Results({name: results.curves[name] for name in ATTACKS})
    figure.draw_curves(axes, attacks, "first", label, style)
    axes.set(title=title(settings), xlabel="words added at most", ylabel="P(listed first), any order")


def draw_all(results: Results, settings: Settings) -> Any:
    """The picture of a run: listed first against the budget, and what defences leave of the largest."""
    picture, axes = figure.new_figure(2)
    draw(axes[0], results, settings)
    looks = (
        ("first", "undefended"),
        ("first_filtered", "perplexity filter"),
        ("first_ensemble", "mean rank over orders"),
    )
    for i, (metric, said) in enumerate(looks):
        found = [mean_estimate(results.curves[name][metric].values[-1]) for name in ATTACKS]
        reach = [float(one.interval[1] - one.value) for one in found]
        places = np.arange(len(ATTACKS)) + 0.27 * (i - 1)
        error = {"yerr": reach, "error_kw": {"lw": 1}}
        axes[1].bar(places, [one.value for one in found], 0.25, color=figure.SPARE[i], label=said, **error)
    axes[1].set_xticks(range(len(ATTACKS)), ATTACKS, fontsize=8)
    axes[1].set(title=f"Defended, {results.curves['greedy']['first'].steps[-1]} words", ylim=(0.0, None))
    axes[1].set_ylabel("P(listed first)")
    axes[1].spines[["top", "right"]].set_visible(False)
    axes[1].grid(axis="y", alpha=0.25, lw=0.6)
    axes[1].set_axisbelow(True)
    figure.legend_below(axes[1])
    return picture
