"""When users leave: at random, out of patience, or after bad slates.

    GeometricLeaving         leaves after every slate with the same chance h
    PatienceBudget           patience' = min(patience - cost + refund * clicks, budget); leaves with none left
    LeavingAfterBadSlates    leaves with chance min(1, first growth^(n-1)) after n slates in a row without a
                             click (0 for n = 0)

Each says the probability to stay, and how many slates a user sees if every slate brings clicks by one and the
same law, exactly; the slate after which the user leaves counts. A user who never leaves sees infinitely many.

Source: budgets after RecSim (Ie and others, 2019), where time is the budget; the other two are ours.
"""

from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.errors import InputError

SPENT = 1e-9
"""Patience up to this is none: it is what rounding leaves of equal costs and refunds."""


@dataclass(frozen=True)
class GeometricLeaving:
    """The same chance to leave after every slate."""

    chance: float  # 0 to 1

    def __post_init__(self) -> None:
        _check_chance("chance", self.chance)

    def leaves(self, u: Floats) -> Bools:
        """(B,) from uniforms (B,)."""
        return u < self.chance

    def mean_slates(self) -> float:
        """1 / chance: expected slates until the user leaves."""
        return np.inf if self.chance == 0.0 else 1.0 / self.chance

    def stay_prob(self, slates: Ints) -> Floats:
        """P(still there after so many slates), (1 - h)^slates, of the shape given."""
        return np.asarray((1.0 - self.chance) ** slates)


@dataclass(frozen=True)
class PatienceBudget:
    """Slates cost patience, clicks restore some, never above the budget; none left is goodbye."""

    budget: float  # to begin with, above 0
    cost: float = 1.0  # of a slate, 0 or more
    refund: float = 0.0  # of a click, 0 or more

    def __post_init__(self) -> None:
        if not self.budget > 0.0:
            raise InputError(f"budget must be above 0, got {self.budget}")
        for name in ("cost", "refund"):
            if not 0.0 <= getattr(self, name) < np.inf:
                raise InputError(f"{name} must be 0 or more and finite, got {getattr(self, name)}")

    def begin(self, B: int) -> Floats:
        """(B,) full budgets."""
        return np.full(B, self.budget)

    def step(self, patience: Floats, clicks: Floats) -> Floats:
        """(B,) patience after a slate with so many clicks (B,)."""
        return np.minimum(patience - self.cost + self.refund * clicks, self.budget)

    def leaves(self, patience: Floats) -> Bools:
        """(B,) whether none is left, up to rounding."""
        return patience <= SPENT

    def stay_prob(self, patience: Floats, click_prob: Floats) -> Floats:
        """P(still there after the next slate).

        Args:
            patience: (B,) before it.
            click_prob: (B, J+1) P(j clicks on it), j from 0 to J.
        """
        left = self.step(patience[:, None], np.arange(click_prob.shape[1], dtype=np.float64))  # (B, J+1)
        return np.asarray((click_prob * ~self.leaves(left)).sum(axis=1))

    def stay_probs(self, click_prob: Floats, slates: int) -> Floats:
        """P(a fresh user is still there after n slates), n from 0 to `slates`; its sum is the mean length.

        Exact: the law of the patience, of which there are few different values (told apart to 9 digits of
        the budget), is followed slate by slate.

        Args:
            click_prob: (J+1,) P(j clicks), j from 0 to J, of every slate.
            slates: how many slates to follow, 0 or more.

        Returns:
            (slates+1,).
        """
        clicks, probs = np.arange(len(click_prob), dtype=np.float64), np.ones(slates + 1)
        if np.isinf(self.budget):
            return probs
        patience, weight = self.begin(1), np.ones(1)
        for n in range(1, slates + 1):
            after: Floats = self.step(patience[:, None], clicks).ravel()
            stays = ~self.leaves(after)
            after, weight = after[stays], (weight[:, None] * click_prob).ravel()[stays]
            key, first, place = np.unique(
                np.rint(after / self.budget * 1e9), return_index=True, return_inverse=True
            )
            patience, weight = after[first], np.bincount(place, weight, len(key)).astype(np.float64)
            probs[n] = weight.sum()
        return probs


@dataclass(frozen=True)
class LeavingAfterBadSlates:
    """The chance to leave after n bad slates in a row: min(1, first growth^(n-1)), 0 for n = 0."""

    first: float  # after the first bad slate, 0 to 1
    growth: float = 2.0  # 1 or more

    def __post_init__(self) -> None:
        _check_chance("first", self.first)
        if not 1.0 <= self.growth < np.inf:
            raise InputError(f"growth must be at least 1 and finite, got {self.growth}")

    def step(self, run: Ints, clicks: Floats) -> Ints:
        """(B,) length of the run of bad slates after one with so many clicks (B,)."""
        return np.where(clicks > 0, 0, run + 1)

    def chance(self, run: Ints) -> Floats:
        """(B,) chance to leave with runs of this length."""
        if self.first == 0.0:
            return np.zeros(len(run))
        # runs beyond the one that makes it certain are cut, or the power would overflow
        certain = np.inf if self.growth == 1.0 else 1.0 - np.log(self.first) / np.log(self.growth)
        grown = self.first * self.growth ** (np.clip(run, 1, np.ceil(certain)) - 1.0)
        return np.where(run > 0, np.minimum(grown, 1.0), 0.0)

    def leaves(self, run: Ints, u: Floats) -> Bools:
        """(B,) from uniforms (B,)."""
        return u < self.chance(run)

    def stay_prob(self, run: Ints, miss_prob: Floats) -> Floats:
        """(B,) P(still there after the next slate), which has no click with probability miss_prob (B,)."""
        return np.asarray(1.0 - miss_prob * self.chance(run + 1))

    def mean_slates(self, miss_prob: float) -> float:
        """Expected slates of a fresh user, if each has no click with this probability, independently.

        With s_n = 1 - chance(n) and w_n = miss^n s_1 .. s_n, a user sees A = w_0 + w_1 + .. slates until a
        click or the end, and goes on after a click: it comes with probability (1 - miss) A, so the answer
        is A / (1 - (1 - miss) A); the denominator is computed as its equal, sum_n w_(n-1) miss chance(n).
        """
        _check_chance("miss_prob", miss_prob)
        if self.first == 0.0 or miss_prob == 0.0:
            return np.inf
        if self.growth == 1.0:  # the same chance after every bad slate
            return 1.0 / (miss_prob * self.first)
        reached, slates, left, n = 1.0, 0.0, 0.0, 1
        chance = 0.0
        # where chances grow faster than users get fewer, later terms still matter to those who left
        while reached > 1e-17 * slates or (chance < 1.0 and reached > 1e-17 * left):
            chance = float(self.chance(np.array([n]))[0])
            slates += reached
            left += reached * miss_prob * chance
            reached *= miss_prob * (1.0 - chance)
            n += 1
        return slates / left


def _check_chance(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise InputError(f"{name} must be from 0 to 1, got {value}")
