"""Fake feedback: accounts that answer what they are asked so that a policy tuned to the answers serves them.

Honest users are numbered 0 .. P - 1, fakes P .. P + M - 1, of whoever is asked:

    click    1 where the item shown is a target, 0 for all else
    flip     1 - what an honest user with the same past would say: pairs of better and worse turn round

A fake is shown what the policy draws for its past, and says no more than that; so its past matters. Those
who click have the past of a segment attack, one target each, taken in turn, among what is nearest to it:
there the policy is likeliest to show the target, and honest users who like such items are near. Those who
flip have the past of an honest user drawn at random.

Knowledge: click needs features of the items, or the honest log (as the segment attack); flip honest pasts.
Source: Chowdhury, Kini, Natarajan, "Provably robust DPO", ICML 2024 (pairs that are turned round), and
Baumgärtner and others, "Best-of-venom", 2024 (preferences for an entity); fakes who are users are ours.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError, unknown_name
from recsim_env.simulators.attackers.attack import Budget, Goal, Knowledge, fake_users
from recsim_env.simulators.attackers.segment import SegmentAttacker

ATTACKS = ("click", "flip")

Feedback = Callable[[Ints, Ints], Floats]
"""Numbers of users (B,), items (B, G) -> what these are worth to them, (B, G)."""


@dataclass(frozen=True)
class FakeRaters:
    """Who lies, and how.

    Raises:
        InputError: no such attack, or numbers that are no honest users.
    """

    attack: str  # one of ATTACKS
    targets: Ints  # (T,) items
    taken: Ints  # (M, H) items that each took before, as they say, the latest last
    like: Ints  # (M,) the honest user whom each has them from; those who click have none, -1

    def __post_init__(self) -> None:
        if self.attack not in ATTACKS:
            raise unknown_name("attack", self.attack, ATTACKS)
        if len(self.like) != len(self.taken) or (self.attack == "flip" and (self.like < 0).any()):
            raise InputError("like must say of each fake who flips whose past it has")

    def __len__(self) -> int:
        """M."""
        return len(self.taken)


def fakes_of_share(share: float, honest: int) -> int:
    """M, so that M of honest + M users are about this share of all.

    Raises:
        InputError: a share below 0, or of 1/2 or more.
    """
    if not 0.0 <= share < 0.5:
        raise InputError(f"the share of fakes must be from 0 to below 0.5, got {share}")
    return round(share / (1.0 - share) * honest)


def fake_raters(
    attack: str, targets: Ints, count: int, taken: Ints, known: Knowledge, seed: int
) -> FakeRaters:
    """Make fakes; fake m is the same whatever their number.

    Args:
        attack: one of `ATTACKS`.
        targets: (T,) items.
        count: M, 0 or more.
        taken: (P, H) items of the honest users, the latest last.
        known: see `attack.known`.
        seed: of all chance, 0 or more.

    Raises:
        InputError: an unknown attack, a negative number, missing knowledge, or targets that are no items.
    """
    if attack not in ATTACKS:
        raise unknown_name("attack", attack, ATTACKS)
    if count < 0:
        raise InputError(f"the number of fakes must be 0 or more, got {count}")
    targets, H = Goal(targets).targets, taken.shape[1]
    if attack == "flip":
        like = np.random.default_rng([seed, 4]).integers(len(taken), size=count)
        return FakeRaters(attack, targets, taken[like], like)
    past = np.empty((count, H), np.int64)
    for place, target in enumerate(targets):
        budget = Budget(len(range(place, count, len(targets))), H)
        one = fake_users(SegmentAttacker(H - 1), Goal(np.array([target])), budget, known, seed)
        past[place :: len(targets)] = one.items
    return FakeRaters(attack, targets, past, np.full(count, -1))


class PoisonedFeedback:
    """`Feedback` of a pool of honest users and fakes; honest ones are asked, fakes answer for themselves.

    Without fakes among those who are asked, the honest are asked as if there were nobody else.

    Args:
        honest: of users 0 .. P - 1.
        num_honest: P.
        fakes: users P, P + 1, ..
    """

    def __init__(self, honest: Feedback, num_honest: int, fakes: FakeRaters) -> None:
        self._honest, self._num_honest, self._fakes = honest, num_honest, fakes

    def __call__(self, users: Ints, items: Ints) -> Floats:
        """See `Feedback`.

        Raises:
            InputError: a number that is neither of an honest user nor of a fake.
        """
        everyone = self._num_honest + len(self._fakes)
        if len(users) and not 0 <= users.min() <= users.max() < everyone:
            raise InputError(f"users must be from 0 to {everyone - 1}, got {users.min()} to {users.max()}")
        fake = users >= self._num_honest
        if not fake.any():
            return self._honest(users, items)
        if self._fakes.attack == "flip":
            asked = users.copy()
            asked[fake] = self._fakes.like[users[fake] - self._num_honest]
            said = np.asarray(self._honest(asked, items), np.float64)
            return np.where(fake[:, None], 1.0 - said, said)
        said = np.isin(items, self._fakes.targets).astype(np.float64)
        if not fake.all():
            said[~fake] = self._honest(users[~fake], items[~fake])
        return said
