"""What does it cost to push items into the lists of others, and what does a defence leave of it?

Fake users are added to a log, a recommender is trained on both, and honest users are shown lists. One cell
is an attack, a budget, a victim, a defence and a replicate; the same victim without an attack stands beside.

    target HR@50, NDCG@50   where targets stand for honest users who have not had them, a mean over targets
    lift                    target HR@50 over that of the same victim and defence without fakes
    actions a point         of all fake users, for each point (.01) of target HR@50 that they win
    honest NDCG@10          of what honest users took next, full ranking; its loss without an attack is what
                            a defence costs
    AUC, false positives    of the defence's suspicion; what its threshold makes of honest users
    reward, regret          in a world (`data = organic`), exact expected clicks on honest users' slates, and
                            what the best slates would have earned more

Detectors are trained on the attacks that `known` names, and never on the one that a cell is about. Attacks
know what their level of knowledge says (`simulators/attackers`). A budget is a share of the honest users; a
fake user takes as many items as an honest one does on average.

    als, sasrec     victims: matrix factorisation; a sequence encoder of id vectors
    lorec           a detector that looks again and again, and whom it suspects fades out
    lorec_mean      the same as it was published: hidden units, and who is above the mean is suspected
    lorec_within    the same as lorec while a network learns, of which it reads the states
    filter          the detector of lorec, once; who is nearer to known fakes than to users is left out
    graphrfi, pca   detectors by matrix factorisation, and by main components
    adversarial     vectors of a network are pushed while it learns
    limit           the share of lists that an item may stand on is bounded
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.agents.recommender import recommend, score_blocks, target_ranks
from recsim_env.arrays import Array
from recsim_env.errors import InputError, check_ranges, unknown_name
from recsim_env.evaluation.target_exposure import detection_auc, false_positive_share, roc, target_exposure
from recsim_env.experiments.attacks import ATTACKS, LESSONS, attack_names
from recsim_env.experiments.campaign import NO_ATTACK, Campaign, goal_of, judgement, poisoned_log
from recsim_env.experiments.cell_run import run_to_the_end
from recsim_env.experiments.cells import Cell, save_arrays
from recsim_env.experiments.defended_victims import (
    DEFENCES,
    OF_NETWORKS,
    VICTIMS,
    Taught,
    check_victims,
    limited,
    train,
)
from recsim_env.experiments.poisoned_log import ORGANIC, Honest, honest_users, unpopular_items
from recsim_env.experiments.poisoning_tables import ROC, draw_all, print_tables
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.run_directory import RunDirectory
from recsim_env.experiments.settings import names_of, option, positive
from recsim_env.experiments.training import one_thread
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.attackers.attack import Goal
from recsim_env.simulators.attackers.injection import is_fake

NAME = "poisoning"
BARS = True  # so that `compare` gives every run a panel
GOALS = ("promote", "demote")
ROC_AT = (*range(0, 10), *range(10, 101, 5))  # % of honest users flagged


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    data: str = option(ORGANIC, "organic, a world; or a log: complete-journey, a directory or file")
    attacks: str = option("segment,mimic,paired_mimic,influence", f"of {', '.join(ATTACKS)}")
    victims: str = option("als,sasrec", f"of {', '.join(VICTIMS)}")
    defences: str = option("none,lorec,lorec_mean,pca", f"of {', '.join(DEFENCES)}")
    known: str = option(
        "random,bandwagon",
        f"of {', '.join(LESSONS)}: attacks that detectors are trained on, all but the cell's own",
    )
    shares: str = option("0.005,0.01,0.02", "fake users over honest ones, with commas")
    actions: int = option(0, "items that a fake user takes; 0 = as many as an honest one on average")
    targets: int = option(5, "items of the less popular half that are pushed")
    goal: str = option("promote", "promote, or demote: whether targets are pushed into lists or out of them")
    k: int = option(50, "places of a list that count for targets")
    users: int = option(4000, "of a larger log, who are measured; all are learned from")
    epochs: int = option(12, "of a network")
    cut: float = option(
        0.5, "where between users (0) and known fakes (1) suspects of lorec, lorec_within and filter begin"
    )
    limit: float = option(2.0, "on exposure, over an item's share of what users took; of the defence limit")
    replicates: int = option(3, "targets, fakes, trainings, and on organic worlds, drawn anew")
    seed: int = option(0, "of replicate 0; replicate i has seed + i")


@dataclass(frozen=True)
class Question:
    """What a cell is about."""

    victim: str
    defence: str
    attack: str
    share: float
    replicate: int

    @property
    def row(self) -> str:
        """Its name in tables and pictures."""
        return f"{self.victim}, {self.defence}, {self.attack}"


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`; a cell is done in one go."""
    questions = check(settings)

    def cells(directory: RunDirectory) -> list[Cell]:
        return [
            Cell.of(
                directory,
                f"{one.row}-{one.share:g}-{one.replicate}".replace(", ", "-"),
                size=1,
                label=one.row,
                work=partial(play, settings, one),
            )
            for one in questions
        ]

    return run_to_the_end(
        NAME,
        settings,
        out,
        resume,
        workers,
        cells=cells,
        unit="cell",
        collect=lambda found: to_results(questions, found, settings),
        picture=draw_all,
        show=print_tables,
    )


def check(settings: Settings) -> list[Question]:
    """Refuse settings that cannot be; returns the cells.

    Raises:
        InputError: the first of them.
    """
    attacks = attack_names(settings.attacks)
    learned = names_of("known", "attack that a detector can make itself", settings.known, LESSONS)
    victims, defences = check_victims(settings.victims, settings.defences)
    positive(targets=settings.targets, k=settings.k, users=settings.users, epochs=settings.epochs)
    check_ranges({}, {}, {"limit": settings.limit})
    if settings.replicates < 2 or settings.seed < 0:
        found = f"{settings.replicates} and {settings.seed}"
        raise InputError(f"replicates must be 2 or more and seed 0 or more, got {found}")
    if settings.actions != 0 and settings.actions < settings.targets:
        raise InputError(
            f"actions must be 0 or at least the {settings.targets} targets, got {settings.actions}"
        )
    for name in attacks:
        if defences != ["none"] and set(learned) <= {name}:
            raise InputError(f"known must name an attack besides {name}, so that it is new to detectors")
    check_ranges({}, {"cut": settings.cut}, {})
    if settings.goal not in GOALS:
        raise unknown_name("goal", settings.goal, GOALS)
    shares = parsed_shares(settings.shares)
    honest = honest_users(settings.data, settings.users, settings.seed)
    unpopular_items(honest, settings.targets, settings.seed)
    return [
        Question(victim, defence, name, share, i)  # neighbours share an attack, and what a defence says of it
        for i in range(settings.replicates)
        for name, share in [(NO_ATTACK, 0.0), *((name, share) for name in attacks for share in shares)]
        for defence in defences
        for victim in ([one for one in victims if one != "als"] if defence in OF_NETWORKS else victims)
    ]


def campaign_of(settings: Settings, of: Question) -> Campaign:
    """Who is attacked with what."""
    return Campaign(
        settings.data,
        settings.users,
        settings.seed + of.replicate,
        of.attack,
        of.share,
        settings.actions,
        settings.targets,
        settings.goal == "demote",
    )


def parsed_shares(text: str) -> list[float]:
    """`0.005,0.01` -> numbers.

    Raises:
        InputError: one that is no number above 0 and up to 1, or twice.
    """
    try:
        shares = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"shares must be numbers with commas, got {text!r}") from None
    if any(not 0 < share <= 1 for share in shares) or len(set(shares)) < len(shares):
        raise InputError(f"shares must be above 0 and up to 1, each once, got {text!r}")
    return sorted(shares)


def play(settings: Settings, of: Question, file: Path, _: Path, progress: Callable[[int], Any]) -> None:
    """Attack, train, measure honest users, and write what was found."""
    with one_thread():
        seed = settings.seed + of.replicate
        campaign = campaign_of(settings, of)
        honest, log = honest_users(settings.data, settings.users, seed), poisoned_log(campaign)
        learned = names_of("known", "attack", settings.known, LESSONS)
        taught = Taught(tuple(name for name in learned if name != of.attack), settings.cut)
        started = time.process_time()
        judged = judgement(campaign, of.defence, taught)
        recommender, judged = train(
            of.victim,
            of.defence,
            taught,
            log,
            judged,
            honest.num_items,
            epochs=settings.epochs,
            mask=honest.mask,
            seed=seed,
        )
        if of.defence == "limit":
            recommender = limited(recommender, log, settings.limit, settings.k)
        found = {"seconds": time.process_time() - started}
        found |= measured(recommender, honest, goal_of(campaign), settings.k)
        fake = is_fake(np.unique(log.user), honest.train)
        found["fakes"], found["fake_actions"] = float(fake.sum()), float(len(log) - len(honest.train))
        if judged.suspicion is not None:
            found["auc"] = detection_auc(judged.suspicion, fake)
            found["flagged"] = false_positive_share(judged.flagged, fake)
            if fake.any():
                false, true = roc(judged.suspicion, fake)
                found |= {f"{ROC}{x}": float(np.interp(x / 100, false, true)) for x in ROC_AT}
    progress(1)
    save_arrays(file, {name: np.array(value) for name, value in found.items()})


def measured(recommender: Any, honest: Honest, goal: Goal, k: int) -> dict[str, float]:
    """What honest users are shown; no fake user is among them."""
    blocks = score_blocks(recommender, honest.history, None)
    exposure = target_exposure(blocks, honest.history, goal.targets, k).mean()
    found = {f"target_{name}": value for name, value in exposure.items()}
    rank = target_ranks(recommender, honest.history, honest.target, mask_history=honest.mask)
    found["ndcg@10"] = float(rank.ndcg(10).mean())
    if honest.users is not None:
        world, state = honest.users.world, honest.users.state
        slates = recommend(recommender, honest.history, world.slate_size, mask_history=honest.mask)
        found["reward"] = float(world.expected_reward(state, slates).mean())
        best = float(world.expected_reward(state, world.best_slate(state)).mean())
        found["regret"] = best - found["reward"]
    return found


def to_results(questions: list[Question], found: list[dict[str, Array]], settings: Settings) -> Results:
    """A row for a victim, a defence and an attack; steps are fakes in 100,000 honest users; ROC curves."""
    cells = dict(zip(questions, found, strict=True))
    results, curves, replicates = Results(), Results(), range(settings.replicates)
    for row in sorted({(one.victim, one.defence, one.attack) for one in questions}, key=_order(questions)):
        shares = sorted({one.share for one in questions if (one.victim, one.defence, one.attack) == row})
        name, steps = ", ".join(row), np.array([round(100_000 * share) for share in shares])

        def values(metric: str, share: float, row: tuple[str, str, str] = row) -> list[float]:
            return [float(cells[Question(*row, share, i)][metric]) for i in replicates]

        metrics = cells[Question(*row, shares[-1], 0)]
        results.curves[name] = {
            metric: Curve(steps, np.array([values(metric, share) for share in shares]))
            for metric in metrics
            if not metric.startswith(ROC)
        }
        if f"{ROC}0" in metrics and row[0] == questions[0].victim:  # a detector does not see the victim
            true = np.array([values(f"{ROC}{x}", shares[-1]) for x in ROC_AT])
            curves.curves[f"{ROC}{row[1]}, {row[2]}"] = {"true_positives": Curve(np.array(ROC_AT), true)}
    results.curves |= curves.curves
    return results


def _order(questions: list[Question]) -> Callable[[tuple[str, str, str]], tuple[int, int, int]]:
    """Rows of one victim together, of one attack within it, in the order in which they were asked for."""
    ranks = [
        list(dict.fromkeys(getattr(one, part) for one in questions))
        for part in ("victim", "attack", "defence")
    ]
    return lambda row: (ranks[0].index(row[0]), ranks[1].index(row[2]), ranks[2].index(row[1]))
