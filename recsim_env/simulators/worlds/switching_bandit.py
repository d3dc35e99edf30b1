"""Arms that change, and arms that an adversary moves: `SwitchingBandit-v0`."""

import math

import numpy as np

from recsim_env.arrays import Bools, Floats
from recsim_env.errors import InputError, unknown_name
from recsim_env.simulators.luck import world_generator
from recsim_env.simulators.worlds.switching import SwitchingWorld

MOST_CELLS = 50_000_000  # of the table of means: 400 MB
KINDS = ("piecewise", "drift", "adversary")


def switching_bandit(
    num_items: int = 10,
    kind: str = "piecewise",
    num_switches: int = 4,
    drift: float = 0.01,
    horizon: int = 10_000,
    world_seed: int = 0,
) -> SwitchingWorld:
    """Find the best of N arms while what is best changes, by chance or by an adversary.

    Story:
        Every round one of N arms is pulled. The arms do not stay what they were. `piecewise`: at a few
        rounds all of them are drawn anew, as when the season changes. `drift`: every arm wanders a little
        in every round. `adversary`: somebody who knows how UCB1 explores has written down, before the first
        round, a list of rewards that makes a fool of it; there is no chance in that list.

    Slate (action):
        One item: the arm to pull (0 to N-1).

    Observation:
        `step` alone. When the arms change is not told.

    What the user does:
        Always looks at the one item, and clicks it where it pays 1.

    Reward:
        1 with the probability that the arm has in this round, else 0. For `adversary` that is 0 or 1.

    Episode end:
        Truncated after `horizon` rounds. Nobody leaves. The next episode is the same list of means again.

    Regret is measured against:
        The best arm of the moment: dynamic regret. `fixed_regret()` of the world is what to subtract for
        the regret against the best single arm in hindsight, which theory bounds for adversaries.

    Parameters (default, range, source):
        num_items: N (10, at least 2; ours).
        kind: how arms change (piecewise, drift or adversary).
        num_switches: of `piecewise`, how often all means are drawn anew, uniformly from 0 to 1, after equal
            stretches (4, 0 to horizon - 1; ours). 0 leaves a world that does not change.
        drift: of `drift`, the standard deviation of a step of a mean, which turns back at 0 and at 1
            (0.01, above 0 to 1; ours).
        horizon: H, rounds of an episode (10000, at least 1, and N at least for `adversary`; horizon x
            num_items at most 50 million; ours).
        world_seed: the means of all rounds (0).

    Known simplifications:
        The adversary is oblivious: it knows how UCB1 explores, with the constant 2, but sees no learner; how
        it works is told at `adversarial_rewards`. It does not fool a learner that tosses coins, as Exp3.

    Version history:
        v0: first version.

    Source: Garivier, Moulines, "On upper-confidence bound policies for switching bandit problems", ALT 2011,
    for worlds that switch; Auer, Cesa-Bianchi, Freund, Schapire, "The nonstochastic multiarmed bandit
    problem", SIAM Journal on Computing 32, 2002, for adversaries.

    Raises:
        InputError: a parameter out of range.
    """
    if num_items < 2:
        raise InputError(f"num_items must be at least 2, got {num_items}")
    if kind not in KINDS:
        raise unknown_name("kind", kind, KINDS)
    least = num_items if kind == "adversary" else 1
    if horizon < least:
        raise InputError(f"horizon must be at least {least}, got {horizon}")
    if horizon * num_items > MOST_CELLS:
        raise InputError(
            f"horizon x num_items must be at most {MOST_CELLS:,}, the size of the table of means, "
            f"got {horizon} x {num_items}"
        )
    if not 0 <= num_switches < horizon:
        raise InputError(f"num_switches must be from 0 to horizon - 1, {horizon - 1}, got {num_switches}")
    if not 0.0 < drift <= 1.0:
        raise InputError(f"drift must be above 0 and at most 1, got {drift}")
    rng = world_generator(world_seed)
    if kind == "piecewise":
        return SwitchingWorld(piecewise_means(rng, num_items, num_switches, horizon))
    if kind == "drift":
        return SwitchingWorld(drifting_means(rng, num_items, drift, horizon))
    return SwitchingWorld(adversarial_rewards(rng, num_items, horizon))


def piecewise_means(rng: np.random.Generator, num_items: int, num_switches: int, horizon: int) -> Floats:
    """(H, N) uniform draws, new ones after each of num_switches + 1 stretches as equal as can be."""
    stretches = num_switches + 1
    stretch = np.arange(horizon) * stretches // horizon  # (H,)
    return np.asarray(rng.random((stretches, num_items))[stretch])


def drifting_means(rng: np.random.Generator, num_items: int, drift: float, horizon: int) -> Floats:
    """(H, N) random walks, folded into [0, 1]: they turn back at both ends."""
    walk = rng.random(num_items) + drift * np.cumsum(rng.standard_normal((horizon, num_items)), axis=0)
    folded = np.mod(walk, 2.0)
    return np.minimum(folded, 2.0 - folded)


def adversarial_rewards(rng: np.random.Generator, num_items: int, horizon: int) -> Floats:
    """(H, N) rewards of 0 and 1 on which UCB1 and follow-the-leader lose about half a unit in every round.

    One arm is the bait: it pays 1 in the first N rounds, and then a fair coin that was tossed beforehand. All
    others pay 0 whenever UCB1 looks at them, and one of them, the treasure, pays 1 in all other rounds.
    UCB1 sees an arm worth 1/2 and N - 1 worth nothing, and stays with the bait.

    UCB1 holds no chance but the order of arms that are equal, and the N - 1 others are equal to it: so the
    rounds in which it looks at one of them are known beforehand, whatever that order (`looks_elsewhere`).
    One that explores otherwise, such as UCB1 with another constant, looks in other rounds and may find it.
    """
    bait, treasure = rng.permutation(num_items)[:2]
    rewards = np.zeros((horizon, num_items))
    rewards[:, bait] = rng.random(horizon) < 0.5
    rewards[:num_items, bait] = 1.0
    rewards[:, treasure] = ~looks_elsewhere(rewards[:, bait], num_items)
    return rewards


def looks_elsewhere(bait: Floats, num_items: int) -> Bools:
    """(H,) whether UCB1 may pull another arm than the bait (H,), where all others pay nothing.

    Of the others one of the fewest pulls is next, with the index sqrt(2 log t / n).
    """
    looks = np.ones(len(bait), np.bool_)
    pulls, won = 1, 1.0  # of the bait, after N rounds in which each arm was pulled once, in some order
    others = num_items - 1  # pulls of all the others together
    for t in range(num_items, len(bait)):
        log = 2.0 * math.log(t + 1)
        fewest = others // (num_items - 1)
        looks[t] = math.sqrt(log / fewest) > won / pulls + math.sqrt(log / pulls)
        if looks[t]:
            others += 1
        else:
            pulls += 1
            won += bait[t]
    return looks
