"""What attackers that plan do with a surrogate: train it as the victim will be, and look at honest users.

train      on the honest log and fake users among them, with the clocks that `inject` gives
look       at the items that honest users have, some of them drawn evenly where there are many
"""

import numpy as np

from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError
from recsim_env.evaluation.target_exposure import target_exposure
from recsim_env.simulators.attackers.attack import Attacker, Goal, Knowledge, Surrogate, rated
from recsim_env.simulators.attackers.injection import inject
from recsim_env.simulators.log import Log


def trained(
    attacker: Attacker, items: Ints, goal: Goal, known: Knowledge, seed: int, converts: Ints | None = None
) -> Surrogate:
    """A surrogate that has learned from the honest log and fake users who take items (M, A).

    Args:
        attacker: whose fake users these are, for their ratings.
        items: -1 = none, all on the right.
        goal: see `Goal`.
        known: with a log and a surrogate.
        seed: of the surrogate, of the fake users' ratings and clocks.
        converts: ids of honest users who take the targets at the end, rated best; None = none.
    """
    assert known.surrogate is not None
    assert known.log is not None
    surrogate = known.surrogate(seed)
    log = known.log if converts is None else _converted(known.log, converts, goal)
    surrogate.fit(inject(log, rated(attacker, items, goal, known, seed), seed))
    return surrogate


def _converted(log: Log, users: Ints, goal: Goal) -> Log:
    """The log in which these users (C,) end with the targets."""
    users = np.sort(users)
    last = log.time[np.searchsorted(log.user, users, side="right") - 1]
    T = len(goal.targets)
    more = {"user": np.repeat(users, T), "time": np.repeat(last, T)}
    more["slate"] = np.tile(goal.targets, len(users))[:, None]
    more["clicked"] = np.ones((len(users) * T, 1), np.bool_)
    if log.reward is not None:
        more["reward"] = np.full(len(users) * T, log.reward.max())
    joined = {name: np.concatenate([column, more[name]]) for name, column in log.columns().items()}
    return Log.sorted(metadata=log.metadata, **joined)


def honest_users(known: Knowledge) -> Ints:
    """Their ids (U,)."""
    assert known.log is not None
    return np.unique(known.log.user)


def item_scores(surrogate: Surrogate, history: Array, known: Knowledge) -> Array:
    """Scores (B, N) after histories (B, H).

    Raises:
        InputError: the surrogate scores more items than there are, or fewer.
    """
    scores = np.asarray(surrogate.scores(history))
    wanted = len(history), known.num_items
    if scores.shape != wanted:
        raise InputError(
            f"the surrogate must score items {wanted}, got {scores.shape}: give it the catalogue's num_items"
        )
    return scores


def honest_histories(known: Knowledge, most: int | None, rng: np.random.Generator) -> Ints:
    """What honest users took, (B, H), -1 padded on the left, rows in the order of their ids.

    Args:
        known: with a log of interactions.
        most: users at most, drawn evenly; None = all.
        rng: of the draw.
    """
    assert known.log is not None
    _, start, size = np.unique(known.log.user, return_index=True, return_counts=True)
    if most is not None and most < len(start):
        drawn = np.sort(rng.choice(len(start), most, replace=False))
        start, size = start[drawn], size[drawn]
    place = np.arange(int(size.max())) - (size.max() - size)[:, None]
    return np.where(place >= 0, known.log.slate[start[:, None] + np.maximum(place, 0), 0], -1)


def exposure(surrogate: Surrogate, history: Ints, goal: Goal, known: Knowledge, k: int) -> float:
    """HR@k of the targets, mean over users who have not had them, after histories (B, H)."""
    blocks = (
        item_scores(surrogate, history[start : start + 512], known) for start in range(0, len(history), 512)
    )
    return target_exposure(blocks, history, goal.targets, k).mean()["hit_rate"]
