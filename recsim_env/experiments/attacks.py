"""Attacks by name: an attacker, and what it is told."""

from collections.abc import Callable
from dataclasses import dataclass

from recsim_env.arrays import Floats
from recsim_env.errors import unknown_name
from recsim_env.experiments.settings import names_of
from recsim_env.simulators.attackers.attack import (
    Attacker,
    Budget,
    FakeUsers,
    Goal,
    Surrogate,
    fake_users,
    known,
)
from recsim_env.simulators.attackers.average_fillers import AverageAttacker
from recsim_env.simulators.attackers.bandwagon import BandwagonAttacker
from recsim_env.simulators.attackers.deep_poisoning import DeepPoisoningAttacker
from recsim_env.simulators.attackers.influence import InfluenceAttacker
from recsim_env.simulators.attackers.learned import LearnedAttacker
from recsim_env.simulators.attackers.popular_mimic import PopularMimicAttacker
from recsim_env.simulators.attackers.random_fillers import RandomAttacker
from recsim_env.simulators.attackers.segment import SegmentAttacker
from recsim_env.simulators.log import Log


@dataclass(frozen=True)
class Attack:
    """Who attacks, and at which level of knowledge."""

    make: Callable[[], Attacker]
    level: str = "black"


ATTACKS: dict[str, Attack] = {
    "random": Attack(RandomAttacker),
    "average": Attack(AverageAttacker),
    "bandwagon": Attack(BandwagonAttacker),
    "segment": Attack(SegmentAttacker, "grey"),
    "mimic": Attack(PopularMimicAttacker),
    "paired_mimic": Attack(lambda: PopularMimicAttacker(paired=True)),
    "deep_poisoning": Attack(DeepPoisoningAttacker, "white"),
    "influence": Attack(InfluenceAttacker, "white"),
    "learned": Attack(LearnedAttacker, "white"),
}
LESSONS = tuple(name for name, one in ATTACKS.items() if one.level == "black" and name != "average")
"""Those that a defender can make without knowing more than its log."""


def attack(
    name: str,
    log: Log,
    num_items: int,
    goal: Goal,
    budget: Budget,
    seed: int,
    *,
    features: Floats | None = None,
    surrogate: Callable[[int], Surrogate] | None = None,
) -> FakeUsers:
    """The fake users of an attack.

    Args:
        name: a key of `ATTACKS`.
        log: of honest users.
        num_items: N.
        goal: see `Goal`.
        budget: see `Budget`.
        seed: of all chance.
        features: (N, D) of items.
        surrogate: that a white-box attacker trains.

    Raises:
        InputError: an unknown name, more fakes than honest users, and see `fake_users`.
    """
    if name not in ATTACKS:
        raise unknown_name("attack", name, ATTACKS)
    made = ATTACKS[name]
    told = known(made.level, log, num_items, features=features, surrogate=surrogate)
    return fake_users(made.make(), goal, budget, told, seed)


def attack_names(text: str) -> list[str]:
    """`random,segment` -> the names.

    Raises:
        InputError: an unknown name, a name twice, or none.
    """
    return names_of("attacks", "attack", text, ATTACKS)
