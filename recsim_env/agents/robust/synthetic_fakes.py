"""Fakes that a defender makes to learn from: it poisons its own log, further, with attacks that it knows.

    of every known attack   C campaigns, each with T targets of its own, drawn evenly from the rarer half of
                            the items, and with fakes, a share b of the users; a fake has as many events as
                            a user of the log who is drawn for it, T + 1 at least

The features of all users, the fakes among them, are then those of one log, so that what a campaign does to
the popularity and company of its targets is in them. Fakes that were there before stay, unmarked.
"""

from collections.abc import Mapping

import numpy as np

from recsim_env.agents.recommender import clicked_items
from recsim_env.arrays import Bools, Ints
from recsim_env.errors import InputError, check_ranges
from recsim_env.simulators.attackers.attack import Attacker, Budget, FakeUsers, Goal, fake_users, known
from recsim_env.simulators.attackers.injection import inject
from recsim_env.simulators.log import Log

LONGEST = 50  # events of a fake


def check_campaigns(attackers: Mapping[str, Attacker], campaigns: int, targets: int, share: float) -> None:
    """Refuse what `with_synthetic_fakes` cannot use.

    Raises:
        InputError: no attacker, or a number out of range.
    """
    if not attackers:
        raise InputError("known_attacks must name one attacker or more: there is nothing to learn from")
    check_ranges({"campaigns": campaigns, "targets": targets}, {"share": share}, {"share": share})


def with_synthetic_fakes(
    log: Log,
    attackers: Mapping[str, Attacker],
    num_items: int | None = None,
    *,
    campaigns: int = 4,
    targets: int = 5,
    share: float = 0.01,
    seed: int = 0,
) -> tuple[Log, Bools]:
    """The log with the defender's fakes behind its users; which of its users (V,) they are.

    Args:
        log: of interactions.
        attackers: that the defender knows, by name.
        num_items: N; None = 1 + the largest id in the log.
        campaigns: C of each.
        targets: T of each campaign.
        share: b, above 0 and at most 1.
        seed: of all chance.

    Raises:
        InputError: as `check_campaigns`, `fake_users` and `inject`; a catalogue of too few items.
    """
    check_campaigns(attackers, campaigns, targets, share)
    _, item, num_items = clicked_items(log, num_items)
    _, length = np.unique(log.user, return_counts=True)
    popularity = np.bincount(item, minlength=num_items)
    rare = np.argsort(popularity, kind="stable")
    rare = rare[popularity[rare] > 0]
    rare = rare[: max(1, len(rare) // 2)]
    longest = min(LONGEST, num_items)
    if len(rare) < targets or longest <= targets:
        raise InputError(f"{num_items} items are too few for campaigns of {targets} targets: lower targets")
    knowledge = known("grey", log, num_items)
    count = max(2, round(share * len(length)))
    poisoned = log
    for kind, attacker in enumerate(attackers.values()):
        for campaign in range(campaigns):
            rng = np.random.default_rng([seed, kind, campaign])
            goal = Goal(rng.choice(rare, targets, replace=False))
            actions = np.clip(rng.choice(length, count), targets + 1, longest)
            rows = np.full((count, longest), -1)
            for of_them in np.unique(actions):
                these = np.flatnonzero(actions == of_them)
                budget, chance = Budget(len(these), int(of_them)), int(rng.integers(2**31))
                rows[these, :of_them] = fake_users(attacker, goal, budget, knowledge, chance).items
            poisoned = inject(poisoned, FakeUsers(_packed(rows)), int(rng.integers(2**31)))
    return poisoned, np.arange(len(np.unique(poisoned.user))) >= len(length)


def _packed(rows: Ints) -> Ints:
    """Without the columns that nobody fills."""
    return rows[:, : int((rows >= 0).sum(axis=1).max())]
