"""What is a defence worth to an attacker who knows it? The game of both, solved and learned.

The instance is that of `Attack-v0`, small enough that every attack meets every defence exactly; payoffs and
defences are those of `poisoning_game.py`. The game is played T times by Hedge against Hedge, anew for every
T, as both are tuned to it, and solved by a linear programme. With v its value, p and q the averages of what
the two played, and A the matrix:

    gap        of the attacker v - min_j (p A)_j, of the recommender max_i (A q)_i - v: what the other gains
               by a best response; their sum, the exploitability, is the sum of regrets over T
    last_gap   the same of the strategies of the last round
    regret     against the best fixed strategy, over T
    bound      of it, spread sqrt(ln n / 2 T), with n strategies and payoffs that spread so far
    payoff     average over the rounds, of the attacker; the recommender pays it
    value      of the game, to each
    best_pure  what the recommender gets by the best defence that it need not hide
    undefended what it gets by `none`

One replicate is one world, of other honest users.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsim_env.agents.bandits.hedge import regret_bound
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, check_ranges
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.experiments import figure
from recsim_env.experiments.aligned import aligned
from recsim_env.experiments.cell_run import run_to_the_end
from recsim_env.experiments.cells import replicate_cells, save_arrays
from recsim_env.experiments.matrix_game import GamePlay, equilibrium, play_game
from recsim_env.experiments.poisoning_game import DEFENCES, PoisoningGame
from recsim_env.experiments.race import show, show_difference
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.settings import option
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.worlds.attack import attack

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "attack_game"
PLAYERS = ("attacker", "recommender")
METRICS = ("gap", "last_gap", "regret", "bound", "payoff", "value")
SHARES = 200  # rounds of the longest run at which the recommender's strategy is kept
MOST = 20_000_000  # probabilities of attacks in all rounds, which are held in memory
LEAST = 1e-6  # share of an attack that is named


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    rounds: int = option(10_000, "T of the longest run; others are shorter by 10^(1/4), down to 1 % of it")
    replicates: int = option(5, "worlds")
    num_items: int = option(5, "N, items of the catalogue")
    num_users: int = option(20, "honest users")
    history: int = option(2, "items of each")
    fakes: int = option(3, "fake users at most")
    actions: int = option(2, "items of each at most")
    k: int = option(2, "places of a list")
    cost: float = option(0.02, "of an item that a fake took")
    harm: float = option(1.0, "weight of what honest users lose, 0 or more")
    seed: int = option(0, "world seed of replicate 0; replicate i has seed + i")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`; a replicate is done in one go."""
    check(settings)
    at = points(settings)
    return run_to_the_end(
        NAME,
        settings,
        out,
        resume,
        workers,
        cells=lambda directory: replicate_cells(
            directory,
            settings.replicates,
            int(at.sum()),
            lambda i: partial(play, settings, settings.seed + i),
        ),
        unit="round",
        collect=partial(collect, settings),
        picture=lambda results: draw_all(results, settings),
        show=print_tables,
    )


def check(settings: Settings) -> None:
    """Refuse settings that cannot be.

    Raises:
        InputError: the first of them.
    """
    check_ranges({"rounds": settings.rounds, "replicates": settings.replicates}, {}, {})
    if settings.seed < 0:
        raise InputError(f"seed must be 0 or more, got {settings.seed}")
    if not 0.0 <= settings.harm < np.inf:
        raise InputError(f"harm must be 0 or more and finite, got {settings.harm}")
    attacks = len(game_of(settings, settings.seed).attacks)
    if settings.rounds * attacks > MOST:
        raise InputError(
            f"rounds must be at most {MOST // attacks:,} where there are {attacks:,} attacks, "
            f"got {settings.rounds:,}"
        )


def game_of(settings: Settings, seed: int) -> PoisoningGame:
    """The game in the world of this seed."""
    s = settings
    world = attack(
        s.num_items, s.num_users, s.history, s.fakes, s.actions, k=s.k, cost=s.cost, world_seed=seed
    )
    had = world.victim.had  # type: ignore[attr-defined]  # it is a CooccurrenceVictim
    return PoisoningGame(had, world.target, s.k, s.fakes, s.actions, s.cost, s.harm)


def points(settings: Settings) -> Ints:
    """(P,) numbers of rounds that are played."""
    return np.unique(np.maximum(np.rint(settings.rounds / 10.0 ** (np.arange(9) / 4)), 1)).astype(np.int64)


def kept(settings: Settings) -> Ints:
    """(S,) rounds of the longest run, from 1, at which the recommender's strategy is kept."""
    return np.unique(np.rint(np.linspace(1, settings.rounds, min(SHARES, settings.rounds)))).astype(np.int64)


def play(settings: Settings, seed: int, file: Path, _: Path, progress: Callable[[int], Any]) -> None:
    """Write what the players found in one world, for every number of rounds, and what the programme says."""
    game = game_of(settings, seed)
    payoff = game.payoff()
    value, mixed_attack, defence = solve(payoff)
    parts = []
    for rounds in points(settings):
        numbers, played = learn(payoff, value, int(rounds))
        parts.append(numbers)
        progress(int(rounds))
    found = {name: [part[name] for part in parts] for name in parts[0]}
    worst = payoff.max(axis=0)  # of every defence, to an attacker who sees it
    found["recommender|best_pure"] = [-float(worst.min())]
    found["recommender|undefended"] = [-float(worst[list(DEFENCES).index("none")])]
    average = played.average()[0]
    for j, name in enumerate(DEFENCES):
        found[f"recommender|solved share of {name}"] = [float(defence[j])]
        found[f"recommender|average share of {name}"] = [float(average[j])]
        found[f"recommender|share of {name}"] = played.rows[kept(settings) - 1, j].tolist()
    for i in np.flatnonzero(mixed_attack > LEAST):
        found[f"attacker|solved share of {game.name(game.attacks[i])}"] = [float(mixed_attack[i])]
    save_arrays(file, {name: np.array(values) for name, values in found.items()})


def scaled(payoff: Floats) -> tuple[Floats, float, float]:
    """The game as costs (defences, attacks) from 0 to 1 of the recommender; payoff = low + spread cost."""
    low, spread = float(payoff.min()), float(np.ptp(payoff)) or 1.0
    return np.clip((payoff.T - low) / spread, 0.0, 1.0), low, spread


def solve(payoff: Floats) -> tuple[float, Floats, Floats]:
    """The value by linear programming, and strategies (attacks,) and (defences,) that guarantee it.

    Args:
        payoff: (attacks, defences) to the attacker, two of each at least.
    """
    cost, low, spread = scaled(payoff)
    value, defence, mixed_attack = equilibrium(cost)
    return low + spread * value, mixed_attack, defence


def learn(payoff: Floats, value: float, rounds: int) -> tuple[dict[str, float], GamePlay]:
    """Hedge against Hedge: `player|metric` of `METRICS`, and what was played (rows: the recommender).

    Args:
        payoff: (attacks, defences) to the attacker.
        value: of the game.
        rounds: T.
    """
    cost, low, spread = scaled(payoff)
    played = play_game(cost, rounds)
    q, p = played.average()
    paid = low + spread * float(np.einsum("td,td->t", played.rows @ cost, played.columns).mean())
    found = {}
    for name, one, other in (("gap", p, q), ("last_gap", played.columns[-1], played.rows[-1])):
        found[f"attacker|{name}"] = value - float((one @ payoff).min())
        found[f"recommender|{name}"] = float((payoff @ other).max()) - value
    regrets = [float(regret[-1]) for regret in played.regrets()]  # of the recommender, then the attacker
    for player, regret, n, sign in zip(PLAYERS, regrets[::-1], payoff.shape, (1.0, -1.0), strict=True):
        bound = float(regret_bound(np.array(rounds), num_items=n, horizon_known=True))
        found[f"{player}|regret"] = spread * regret / rounds
        found[f"{player}|bound"] = spread * bound / rounds
        found[f"{player}|payoff"] = sign * paid
        found[f"{player}|value"] = sign * value
    return found, played


def collect(settings: Settings, cells: list[dict[str, Array]]) -> Results:
    """The results of all worlds; an attack that a solution does not use has share 0 there."""
    results = Results({player: {} for player in PLAYERS})
    for key in dict.fromkeys(key for cell in cells for key in cell):
        player, metric = key.split("|")
        values = np.stack([cell.get(key, np.zeros(1)) for cell in cells], axis=1)
        steps = points(settings) if metric in METRICS else np.array([settings.rounds])
        if metric.startswith("share of "):
            steps = kept(settings)
        results.curves[player][metric] = Curve(steps, values)
    return results


def total(results: Results, metric: str) -> Floats:
    """(P, B) of both players."""
    return np.sum([results.curves[player][metric].values for player in PLAYERS], axis=0)


def print_tables(results: Results) -> None:
    """Every world, the mean gaps for each number of rounds, and the mixed strategies."""
    attacker, recommender = (results.curves[player] for player in PLAYERS)
    rounds, worlds = attacker["gap"].steps, attacker["gap"].values.shape[1]
    gap, last, bound = (total(results, metric) for metric in ("gap", "last_gap", "bound"))
    value = attacker["value"].values[-1]
    pure, bare = (-recommender[metric].values[0] for metric in ("best_pure", "undefended"))
    rows = [["world", "value", "average payoff", "gap", "best pure defence", "none"]]
    for b in range(worlds):
        numbers = (value[b], attacker["payoff"].values[-1, b], gap[-1, b], pure[b], bare[b])
        rows.append([str(b), *(f"{number:.4f}" for number in numbers)])
    sys.stdout.write(f"\n{aligned(rows)}what the recommender pays; after {rounds[-1]:,} rounds of Hedge\n")
    for less, words in ((value - pure, "the best pure defence"), (value - bare, "none")):
        sys.stdout.write(f"value less {words}: {show_difference(mean_estimate(less), 4)}\n")
    rows = [["rounds", "gap of average play", "bound", "gap of the last strategies"]]
    for t, count in enumerate(rounds):
        rows.append([f"{count:,}", *(show(mean_estimate(values[t]), 4) for values in (gap, bound, last))])
    sys.stdout.write(f"\n{aligned(rows)}mean +- standard error over {worlds} worlds\n\n")
    for player, curves in results.curves.items():
        rows = [[player, *(f"world {b}" for b in range(worlds))]]
        for metric, curve in curves.items():
            if metric.startswith("solved share of "):
                shares = (f"{share:.3f}" for share in curve.values[0])
                rows.append([metric.removeprefix("solved share of "), *shares])
        sys.stdout.write(f"{aligned(rows)}\n")
    sys.stdout.write(
        "shares in a solution; attacks by what each fake takes: t is the target, 0 most popular\n"
    )


def title(settings: Settings) -> str:
    """What the run is about, for a picture; runs with one title are comparable."""
    s = settings
    return f"up to {s.fakes} fakes of {s.actions} of {s.num_items} items, {s.num_users} honest users"


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """Gaps of average and last strategies against rounds, on logarithmic scales, with the bound."""
    axes.set(xscale="log", yscale="log")  # before the curves: a linear axis is made to begin at 0
    rounds = results.curves["attacker"]["gap"].steps
    names = {"average play": "gap", "last strategies": "last_gap"}
    gaps = {name: {"gap": Curve(rounds, total(results, metric))} for name, metric in names.items()}
    figure.draw_curves(axes, Results(gaps), "gap", label, style)
    bound = total(results, "bound").mean(axis=1)
    axes.plot(rounds, bound, color="#000000", lw=1.1, ls=(0, (5, 3)), label=f"bound{label}")
    figure.legend(axes)
    axes.set(title=title(settings), xlabel="T, rounds of Hedge against Hedge", ylabel="best response gap")


def draw_all(results: Results, settings: Settings) -> "Figure":
    """The picture of a run: gaps, and how the recommender's strategy moves in the first world."""
    picture, (left, right) = figure.new_figure(2)
    draw(left, results, settings)
    curves = results.curves["recommender"]
    for name, colour in zip(DEFENCES, figure.SPARE, strict=False):
        share = curves[f"share of {name}"]
        right.plot(share.steps, share.values[:, 0], color=colour, lw=1.2, label=name)
        solved = float(curves[f"solved share of {name}"].values[0, 0])
        right.axhline(solved, color=colour, lw=1.1, ls=(0, (5, 3)))
    right.set(title="Dashed: the linear programme", xlabel="round", ylabel="share of the defence, world 0")
    right.set_ylim(-0.02, 1.02)
    right.spines[["top", "right"]].set_visible(False)
    figure.legend_below(right)
    return picture
