"""The game of an attacker who sends fake users and a recommender who picks a defence, as a matrix.

The small instance is that of `AttackWorld`: honest users with few items each, a recommender by items that
occur together, one target. Attack i is a multiset S of at most M profiles, all of them (nobody to send is
one); defence j is a way to read a log with fakes in it. With P(u, x) the probability that honest user u finds
item x among their k, and x_u the item that they would take next,

    e_j(S) = mean of P(u, target) over users who have not had it
    h_j(S) = mean of P(u, x_u), x_u in expectation: by 1 / rank among items not had, as they took theirs
    payoff[i, j] = e_j(S) - e_none(0) - c (items that the fakes took) + w (h_none(0) - h_j(S)).

The recommender pays what the attacker is paid: lift is lost to it, and so is, with weight w, what honest
users no longer find, whether the fakes or the defence took it from them; the attacker likes their loss.
Every cell is exact: there is no luck but ties, and those are counted.

    none        count how many users had two items together
    pairs       without users who hold two items together that fewer than 2 others hold
    profiles    every set of items counts once, whoever took it
    cosine      counts divided by sqrt(n_x n_y), n_x the users who had x
    limit       an item is shown to at most twice the share of users who had it in the log; places stay empty

A defence does not know the target. Recommending what is popular is none of them: users here have no taste of
their own, and it would win.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, combinations_with_replacement
from math import comb

import numpy as np

from recsim_env.arrays import Array, Bools, Floats
from recsim_env.errors import InputError
from recsim_env.simulators.worlds.attack import Profiles, items_of, members

SUPPORT = 2  # others who hold a pair, for `pairs`
LIMIT = 2.0  # times the share of those who had an item, for `limit`
MOST_ATTACKS = 4_000  # rows of a matrix that is made


@dataclass(frozen=True)
class PoisoningGame:
    """See the module.

    Raises:
        InputError: more attacks than a matrix is made for.
    """

    had: Bools  # (U, N) by honest users
    target: int
    k: int  # places of a list
    fakes: int  # M, at most
    actions: int  # items of each, at most
    cost: float  # c of an item that a fake took
    harm: float  # w of what honest users lose

    def __post_init__(self) -> None:
        N = self.had.shape[1]
        kinds = sum(comb(N, a) for a in range(1, self.actions + 1))
        count = comb(kinds + self.fakes, self.fakes)
        if count > MOST_ATTACKS:
            raise InputError(
                f"there are {count:,} attacks of up to {self.fakes} fakes with {self.actions} of {N} items, "
                f"more than {MOST_ATTACKS:,}: take fewer fakes, actions or items"
            )

    @cached_property
    def attacks(self) -> list[Profiles]:
        """All multisets of profiles, as bits; nobody first."""
        sizes, items = range(1, self.actions + 1), range(self.had.shape[1])
        kinds = sorted(sum(1 << i for i in some) for size in sizes for some in combinations(items, size))
        return [some for size in range(self.fakes + 1) for some in combinations_with_replacement(kinds, size)]

    def name(self, attack: Profiles) -> str:
        """Such as `t+0 t+0 1`: two fakes who took the target and item 0, and one who took item 1."""
        said = [
            "+".join(sorted(("t" if i == self.target else str(i) for i in items_of(bits)), key="t".__ne__))
            for bits in attack
        ]
        return " ".join(sorted(said, key=lambda word: (word[0] != "t", word))) or "nobody"

    def measured(self, defence: str, attack: Profiles) -> tuple[float, float]:
        """Exposure e and honest hits h of one cell."""
        shown = lists(defence, self.had, members(attack, self.had.shape[1]), self.k)
        asked = ~self.had[:, self.target]
        law = np.where(self.had, 0.0, 1.0 / (1.0 + np.arange(self.had.shape[1])))
        found = (shown * law).sum(axis=1) / law.sum(axis=1)
        return float(shown[asked, self.target].mean()), float(found.mean())

    def payoff(self) -> Floats:
        """What the recommender pays to the attacker, (attacks, defences)."""
        exposure, hits = self.measured("none", ())
        cells = np.empty((len(self.attacks), len(DEFENCES)))
        for i, attack in enumerate(self.attacks):
            taken = sum(bits.bit_count() for bits in attack)
            for j, defence in enumerate(DEFENCES):
                e, h = self.measured(defence, attack)
                cells[i, j] = e - exposure - self.cost * taken + self.harm * (hits - h)
        return cells


@dataclass(frozen=True)
class DefendedVictim:
    """A recommender for `AttackWorld` that reads the log by a defence."""

    had: Bools  # (U, N) by honest users
    target: int
    k: int  # places of a list
    defence: str  # of `DEFENCES`

    def exposure(self, fakes: Bools) -> float:
        """Of the target; see `Victim`."""
        shown = lists(self.defence, self.had, fakes, self.k)
        return float(shown[~self.had[:, self.target], self.target].mean())


def lists(defence: str, had: Bools, fakes: Bools, k: int) -> Floats:
    """P (U, N): how probably each honest user finds each item among their k.

    Args:
        defence: of `DEFENCES`.
        had: (U, N) by honest users.
        fakes: (F, N) by fakes.
        k: places of a list.
    """
    took = np.concatenate([had, fakes])
    score = np.round(had @ DEFENCES[defence](took), 9)  # equal sums in another order are ties
    candidate = ~had
    better = (candidate[:, None, :] & (score[:, None, :] > score[:, :, None])).sum(axis=2)
    tied = (candidate[:, None, :] & (score[:, None, :] == score[:, :, None])).sum(axis=2)
    shown = np.where(candidate, np.clip((k - better) / np.maximum(tied, 1), 0.0, 1.0), 0.0)
    if defence == "limit":
        most = LIMIT * took.mean(axis=0)
        shown *= np.minimum(1.0, most / np.maximum(shown.mean(axis=0), 1e-12))
    return shown


def together(took: Array) -> Floats:
    """(N, N) users who had two items."""
    of = took.astype(np.float64)
    return of.T @ of


def without_rare_pairs(took: Array) -> Floats:
    """(N, N) of users all whose pairs are held by `SUPPORT` others or more."""
    count = together(took)
    np.fill_diagonal(count, np.inf)
    rare = (count <= SUPPORT).astype(np.float64)
    suspect = ((took @ rare) * took).any(axis=1)
    return together(took[~suspect])


def every_set_once(took: Array) -> Floats:
    """(N, N) of different sets of items."""
    return together(np.unique(took, axis=0))


def cosine(took: Array) -> Floats:
    """(N, N) counts over the roots of those of each item."""
    count = together(took)
    size = np.sqrt(np.maximum(np.diag(count), 1.0))
    return np.asarray(count / size[:, None] / size)


DEFENCES: dict[str, Callable[[Array], Floats]] = {  # name -> (F + U, N) who took what -> (N, N)
    "none": together,
    "pairs": without_rare_pairs,
    "profiles": every_set_once,
    "cosine": cosine,
    "limit": together,
}
