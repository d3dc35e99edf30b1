"""An attack on a log: what is wanted, what it may cost, what the attacker knows; and the fake users it makes.

    knowledge   black: the catalogue, and how popular its items are (with ratings: how they are rated)
                grey:  the log of the honest users, and features of the items, too
                white: a recommender of the victim's kind as well, to be trained on any log

An attacker is one file of this folder; `fake_users` asks one and holds it to its budget.

Source: the terms are those of Burke and others, "Robust collaborative recommendation", 2011 (push and nuke,
fillers), and Si, Li, "Shilling attacks against collaborative recommender systems", 2020 (knowledge).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log

LEVELS = {"black": (), "grey": ("log",), "white": ("log", "surrogate")}


@dataclass(frozen=True)
class Goal:
    """Which items are to be in more lists, or in fewer.

    Raises:
        InputError: no target, one twice, or ids that are no items.
    """

    targets: Ints  # (T,) item ids
    demote: bool = False  # False = promote

    def __post_init__(self) -> None:
        targets = np.asarray(self.targets)
        if targets.ndim != 1 or not len(targets) or not np.issubdtype(targets.dtype, np.integer):
            raise InputError(
                f"targets must be item ids (T,), one or more, got {targets.dtype} {targets.shape}"
            )
        if targets.min() < 0 or len(np.unique(targets)) < len(targets):
            raise InputError(f"targets must be items, each once, got {targets.tolist()}")
        object.__setattr__(self, "targets", targets.astype(np.int64))


@dataclass(frozen=True)
class Budget:
    """What an attack may use.

    Raises:
        InputError: a number out of range.
    """

    users: int  # M, fake users; 0 = none
    actions: int  # A, events of each at most, 1 or more
    items: int | None = None  # that all of them touch together, targets included; None = all

    def __post_init__(self) -> None:
        if self.users < 0:
            raise InputError(f"users of a budget must be 0 or more, got {self.users}")
        for name in ("actions", "items"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} of a budget must be 1 or more, got {value}")


@dataclass(frozen=True)
class RatingStatistics:
    """How items are rated, as anybody sees it."""

    mean: Floats  # (N,)
    deviation: Floats  # (N,)
    overall_mean: float
    overall_deviation: float
    lowest: float
    highest: float


class Surrogate(Protocol):
    """A recommender that the attacker trains."""

    def fit(self, log: Log) -> object:
        """Learn from a log."""

    def scores(self, history: Array) -> Array:
        """Of all items (B, N) after histories (B, H), padded with -1 on the left."""


@dataclass(frozen=True)
class Knowledge:
    """What an attacker was told; see `known`."""

    num_items: int  # N
    popularity: Ints  # (N,) honest events of each item
    ratings: RatingStatistics | None = None  # None: the log has no ratings
    log: Log | None = None  # of honest users
    features: Floats | None = None  # (N, D) of items
    surrogate: Callable[[int], Surrogate] | None = None  # seed -> an untrained one

    def need(self, attacker: str, *names: str) -> None:
        """Refuse to go on without some of it.

        Raises:
            InputError: it is missing; the message says which level of knowledge has it.
        """
        for name in names:
            if getattr(self, name) is None:
                raise InputError(f"{attacker} needs {name}, and its knowledge has none: {_REMEDY[name]}")


_REMEDY = {
    "log": "let it know the honest log (level grey)",
    "features": "give features (N, D) of the items",
    "surrogate": "give it a recommender to train (level white)",
    "ratings": "attack a log whose reward column holds ratings",
}


class Attacker(Protocol):
    """Makes fake users."""

    def profiles(self, goal: Goal, budget: Budget, known: Knowledge, seed: int) -> Ints:
        """Items (M, A) of every fake user in the order they are taken, -1 = none, all on the right.

        Args:
            goal: of items that exist.
            budget: with room for what it needs.
            known: what the attacker was told.
            seed: of all chance; fake user m is the same whatever M, unless the attacker plans them together.

        Raises:
            InputError: knowledge that it needs and was not given, or a budget without room.
        """


@dataclass(frozen=True)
class FakeUsers:
    """Who an attacker sends."""

    items: Ints  # (M, A) in order, -1 = none, all on the right
    ratings: Floats | None = None  # (M, A), nan where there is no item


class RatingAttacker(Attacker, Protocol):
    """One that also says how fillers are rated."""

    def filler_ratings(self, items: Ints, goal: Goal, known: Knowledge, rng: np.random.Generator) -> Floats:
        """Ratings (M, A) of what `profiles` returned, before the scale cuts them; targets' do not count."""


def known(
    level: str,
    log: Log,
    num_items: int,
    *,
    features: Floats | None = None,
    surrogate: Callable[[int], Surrogate] | None = None,
) -> Knowledge:
    """What an attacker of a level knows of an honest log.

    Args:
        level: black, grey or white.
        log: of honest users; its `reward`, where there is one, are ratings.
        num_items: N.
        features: (N, D) of items, which grey and white know.
        surrogate: seed -> an untrained recommender, which white knows.

    Raises:
        InputError: an unknown level, or white without a surrogate.
    """
    if level not in LEVELS:
        raise InputError(f"knowledge must be {', '.join(LEVELS)}, got {level!r}")
    if level == "white" and surrogate is None:
        raise InputError("white knowledge needs a surrogate: a recommender of the victim's kind")
    item = log.slate[log.clicked]
    popularity = np.bincount(item, minlength=num_items)
    ratings = None if log.reward is None else _rating_statistics(item, log.reward, num_items)
    if level == "black":
        return Knowledge(num_items, popularity, ratings)
    return Knowledge(num_items, popularity, ratings, log, features, surrogate if level == "white" else None)


def fake_users(
    attacker: Attacker, goal: Goal, budget: Budget, knowledge: Knowledge, seed: int = 0
) -> FakeUsers:
    """Ask an attacker for its fake users.

    Args:
        attacker: see `Attacker`.
        goal: of items of the catalogue.
        budget: of honest users at most as many fakes.
        knowledge: see `known`.
        seed: of all chance.

    Raises:
        InputError: a target that is no item, an attacker that needs what it was not told, a budget that it
            cannot keep, and an attacker that did not keep it.
    """
    N = knowledge.num_items
    if goal.targets.max() >= N:
        raise InputError(
            f"target {goal.targets.max()} is not an item: the catalogue has {N} items (0-{N - 1})"
        )
    if budget.items is not None and budget.items < len(goal.targets):
        raise InputError(
            f"a budget of {budget.items} items has no room for {len(goal.targets)} targets: raise items"
        )
    name = type(attacker).__name__
    if budget.users == 0:
        return FakeUsers(np.empty((0, budget.actions), np.int64), _no_ratings(budget, knowledge))
    items = np.asarray(attacker.profiles(goal, budget, knowledge, seed))
    if items.shape != (budget.users, budget.actions) or not np.issubdtype(items.dtype, np.integer):
        wanted = budget.users, budget.actions
        raise InputError(f"{name} must return item ids {wanted}, got {items.dtype} {items.shape}")
    if items.min() < -1 or items.max() >= N or ((items[:, :-1] < 0) & (items[:, 1:] >= 0)).any():
        raise InputError(f"{name} returned what is no item, or an item behind an empty place")
    touched = np.setdiff1d(items, [-1])
    if budget.items is not None and len(touched) > budget.items:
        raise InputError(f"{name} touched {len(touched)} items, and its budget has {budget.items}")
    return rated(attacker, items.astype(np.int64), goal, knowledge, seed)


def rated(attacker: Attacker, items: Ints, goal: Goal, known: Knowledge, seed: int) -> FakeUsers:
    """Fake users who take these items (M, A); they rate where honest users do.

    Targets have the best rating, or the worst; fillers what the attacker says, or what all items have.
    """
    if known.ratings is None:
        return FakeUsers(items)
    scale, rng = known.ratings, np.random.default_rng([seed, 1])
    if hasattr(attacker, "filler_ratings"):
        rating = attacker.filler_ratings(items, goal, known, rng)
    else:
        rating = rng.normal(scale.overall_mean, scale.overall_deviation, items.shape)
    rating = np.clip(rating, scale.lowest, scale.highest)
    rating = np.where(np.isin(items, goal.targets), scale.lowest if goal.demote else scale.highest, rating)
    return FakeUsers(items, np.where(items < 0, np.nan, rating))


def _no_ratings(budget: Budget, known: Knowledge) -> Floats | None:
    return None if known.ratings is None else np.empty((0, budget.actions))


def _rating_statistics(item: Ints, rating: Floats, num_items: int) -> RatingStatistics:
    """Of items; one that nobody rated has the mean and the deviation of all."""
    mean, deviation = float(rating.mean()), float(rating.std())
    count = np.bincount(item, minlength=num_items)
    some = np.maximum(count, 1)
    each = np.bincount(item, rating, num_items) / some
    spread = np.sqrt(np.maximum(np.bincount(item, rating**2, num_items) / some - each**2, 0.0))
    return RatingStatistics(
        np.where(count > 0, each, mean),
        np.where(count > 0, spread, deviation),
        mean,
        deviation,
        float(rating.min()),
        float(rating.max()),
    )
