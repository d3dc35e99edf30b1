"""How long does it take to find the best items of a catalogue, code by code?

B users with `beams` beams each; identifiers of L codes below V drawn at random; the logits of the codes are
given, as those of a head that looks at no prefix, so that all ways have the same work to do beside them:

    trie         `decoding.beam_step`: children of a prefix are neighbours in flat arrays
    dictionary   the same step by a dictionary of prefixes in plain Python, as usual logits processors do it
    score_all    sums of gathered log-probabilities of all items, and the best of them: one call where the
                 others take L steps, possible for such a head only. What it ranks by is not normalised over
                 the catalogue, so its lists are others (those of RPG)

in CPU milliseconds of one thread, the best of several rounds, of a step at each level but the first (at which
there is one beam) and of the whole search; and the seconds in which the index of the trie is built.

Timings of a machine that does something else are those of both: compare the rows of one run, and let
`--workers` be.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError, require
from recsim_env.experiments import figure
from recsim_env.experiments.cell_run import run_to_the_end
from recsim_env.experiments.cells import Cell, save_arrays
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.run_directory import RunDirectory
from recsim_env.experiments.settings import option, positive
from recsim_env.experiments.training import one_thread
from recsim_env.experiments.workers import Workers

if TYPE_CHECKING:
    from torch import Tensor

NAME = "decode_bench"
WAYS = ("trie", "dictionary", "score_all")
MOST = {"trie": 10**8, "dictionary": 10**5, "score_all": 10**5}  # items up to which a way is timed


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    sizes: str = option("1000,10000,100000,1000000", "items of the catalogues")
    levels: int = option(3, "L, codes of an item, 2 or more")
    codes: int = option(256, "V, codes of a level")
    users: int = option(64, "B, who are searched for at once")
    beams: int = option(20, "of each")
    seconds: float = option(0.2, "of a round, of which the best of three counts")
    seed: int = option(0, "of identifiers and logits")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`; a catalogue is done in one go."""
    sizes = check(settings)

    def cells(directory: RunDirectory) -> list[Cell]:
        return [
            Cell.of(
                directory,
                f"{size}",
                size=len(WAYS),
                label=f"{size:,} items",
                work=partial(time_catalogue, settings, size),
            )
            for size in sizes
        ]

    return run_to_the_end(
        NAME,
        settings,
        out,
        resume,
        workers,
        cells=cells,
        unit="way",
        collect=lambda found: to_results(sizes, found),
        picture=lambda results: figure.panel(lambda axes: draw(axes, results, settings)),
        show=lambda results: print_table(results, settings),
    )


def check(settings: Settings) -> list[int]:
    """Refuse settings that cannot be; returns the sizes of catalogues.

    Raises:
        InputError: the first of them, or PyTorch is missing.
    """
    require("torch", "torch")
    try:
        sizes = [int(part) for part in settings.sizes.split(",")]
    except ValueError:
        raise InputError(f"sizes must be whole numbers such as 1000,10000, got {settings.sizes!r}") from None
    if min(sizes) < settings.beams or len(set(sizes)) < len(sizes):
        raise InputError(f"sizes must be {settings.beams} (beams) or more, each once, got {settings.sizes!r}")
    positive(codes=settings.codes, users=settings.users, beams=settings.beams, seconds=settings.seconds)
    if settings.levels < 2 or settings.seed < 0:
        found = f"{settings.levels} and {settings.seed}"
        raise InputError(f"levels must be 2 or more and seed 0 or more, got {found}")
    return sizes


def time_catalogue(
    settings: Settings, size: int, file: Path, _: Path, progress: Callable[[int], Any]
) -> None:
    """Write the milliseconds of every way in a catalogue of so many items."""
    import torch

    from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
    from recsim_env.agents.generative.decoding import beam_search, beam_step

    with one_thread(), torch.inference_mode():
        rng = np.random.default_rng([settings.seed, size])
        generator = torch.Generator().manual_seed(settings.seed)
        B, M, V = settings.users, settings.beams, settings.codes
        codes = rng.integers(0, V, (size, settings.levels))
        started = time.process_time()
        trie = CatalogueTrie(codes, (V,) * settings.levels)
        found: dict[str, list[float]] = {"index": [time.process_time() - started]}
        logits = torch.randn(settings.levels, B, V, generator=generator)
        scores = torch.randn(B, M, generator=generator)

        def next_code(level: int, parents: "Tensor", codes: "Tensor") -> "Tensor":
            return logits[level].unsqueeze(1).expand(-1, codes.shape[1], -1)

        each = [logits[level].unsqueeze(1).expand(-1, M, -1).contiguous() for level in range(settings.levels)]
        nodes = [
            torch.from_numpy(rng.integers(0, len(trie.code_of[level - 1]), (B, M)))
            for level in range(1, settings.levels)
        ]
        searched: dict[str, tuple[Callable[[int], object], Callable[[], object]]] = {
            "trie": (
                lambda level: beam_step(trie, level, nodes[level - 1], scores, each[level], M),
                lambda: beam_search(trie, next_code, B, M, width=M),
            )
        }
        if size <= MOST["dictionary"]:
            prefixes = dictionary(codes)
            beams = [
                prefixes_of(trie.codes[trie.items[trie.first_item[level][nodes[level - 1]]], :level])
                for level in range(1, settings.levels)
            ]
            searched["dictionary"] = (
                lambda level: step_by_dictionary(prefixes, beams[level - 1], each[level], scores, M),
                lambda: search_by_dictionary(prefixes, logits, M),
            )
        for way in ("trie", "dictionary"):
            if way in searched:
                step, whole = searched[way]
                found[f"{way}|step"] = [
                    milliseconds(partial(step, level), settings.seconds)
                    for level in range(1, settings.levels)
                ]
                found[f"{way}|search"] = [milliseconds(whole, settings.seconds)]
            progress(1)
        if size <= MOST["score_all"]:
            every = partial(search_all, trie.codes, logits, M)
            found["score_all|search"] = [milliseconds(every, settings.seconds)]
        progress(1)
    save_arrays(file, {name: np.array(values) for name, values in found.items()})


def milliseconds(call: Callable[[], object], budget: float) -> float:
    """CPU milliseconds of a call: the best of three rounds of about so many seconds."""
    call()
    best = np.inf
    for _ in range(3):
        calls, started = 0, time.process_time()
        while (spent := time.process_time() - started) < budget:
            call()
            calls += 1
        best = min(best, spent / calls)
    return 1e3 * best


def dictionary(codes: Ints) -> dict[tuple[int, ...], list[int]]:
    """Prefix -> the codes that may follow."""
    found: dict[tuple[int, ...], set[int]] = {}
    for identifier in codes.tolist():
        for level, code in enumerate(identifier):
            found.setdefault(tuple(identifier[:level]), set()).add(code)
    return {prefix: sorted(following) for prefix, following in found.items()}


def prefixes_of(codes: "Tensor") -> list[list[tuple[int, ...]]]:
    """The beams (B, M, l) as keys of the dictionary."""
    return [[tuple(beam) for beam in user] for user in codes.tolist()]


def step_by_dictionary(
    prefixes: dict[tuple[int, ...], list[int]],
    beams: list[list[tuple[int, ...]]],
    logits: "Tensor",
    scores: "Tensor",
    width: int,
) -> Any:
    """The step of `beam_step`: a mask for every beam, log-softmax, the best of each user."""
    import torch

    masked = torch.full_like(logits, -torch.inf)
    for user, row in enumerate(beams):
        for beam, prefix in enumerate(row):
            following = prefixes[prefix]
            masked[user, beam, following] = logits[user, beam, following]
    total = (masked.log_softmax(-1) + scores.unsqueeze(-1)).flatten(1)
    return total.topk(min(width, total.shape[1]), dim=1)


def search_by_dictionary(prefixes: dict[tuple[int, ...], list[int]], logits: "Tensor", width: int) -> Any:
    """A whole search; prefixes and log pi of the beams of each user."""
    beams: list[list[tuple[int, ...]]] = [[()] for _ in range(logits.shape[1])]
    scores = logits.new_zeros(len(beams), 1)
    for of_level in logits:
        each = of_level.unsqueeze(1).expand(-1, len(beams[0]), -1)
        scores, place = step_by_dictionary(prefixes, beams, each, scores, width)
        V = of_level.shape[1]
        beams = [
            [(*row[cell // V], cell % V) for cell in cells]
            for row, cells in zip(beams, place.tolist(), strict=True)
        ]
    return beams, scores


def search_all(codes: "Tensor", logits: "Tensor", width: int) -> Any:
    """The best items of all, by log-probabilities that are not normalised over the catalogue."""
    import torch

    log_pi = torch.log_softmax(logits, dim=2)
    total = log_pi[0][:, codes[:, 0]]
    for level in range(1, codes.shape[1]):
        total += log_pi[level][:, codes[:, level]]
    return total.topk(width, dim=1)


def to_results(sizes: list[int], cells: list[dict[str, Array]]) -> Results:
    """Curves over sizes, nan where a way was not timed."""
    results = Results()
    levels = range(2, 2 + len(cells[0]["trie|step"]))
    for way in WAYS:
        results.curves[way] = {}
        for name, key, place in (
            *((f"step_{level}_ms", f"{way}|step", i) for i, level in enumerate(levels)),
            ("search_ms", f"{way}|search", 0),
            ("index_seconds", "index" if way == "trie" else "", 0),
        ):
            values = np.array([[cell[key][place] if key in cell else np.nan] for cell in cells])
            if not np.isnan(values).all():
                results.curves[way][name] = Curve(np.array(sizes), values)
    return results


def print_table(results: Results, settings: Settings) -> None:
    """A row for every catalogue and way."""
    names = list(results.curves["trie"])
    sys.stdout.write(f"\n{'items':>12}  {'':12}" + "".join(f"{name:>16}" for name in names) + "\n")
    for place, size in enumerate(results.curves["trie"]["search_ms"].steps):
        for way, curves in results.curves.items():
            cells = [curves[name].values[place, 0] if name in curves else np.nan for name in names]
            if not np.isnan(cells).all():
                row = "".join(f"{'' if np.isnan(value) else f'{value:,.2f}':>16}" for value in cells)
                sys.stdout.write(f"{size:>12,}  {way:12}{row}\n")
    sys.stdout.write(f"CPU time of one thread, {settings.users} users with {settings.beams} beams each\n")


def title(settings: Settings) -> str:
    """What the run is about, for a picture; runs with one title are comparable."""
    return f"{settings.users} x {settings.beams} beams, {settings.levels} x {settings.codes} codes"


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """Milliseconds of a search against items, both on logarithmic scales."""
    axes.set(xscale="log", yscale="log")  # before the curves: a linear axis is made to begin at 0
    figure.draw_curves(axes, results, "search_ms", label, style)
    axes.set(title=title(settings), xlabel="items of the catalogue", ylabel="CPU milliseconds of a search")
