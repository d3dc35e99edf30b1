"""Fake users among honest ones: one log of both, which a recommender is trained on.

    fake user m has the id of the largest honest one + 1 + m; its clock is that of an honest user drawn for
    it: actions at evenly drawn moments between that user's first event and last, in order.

Honest rows stay as they are, and stand first.
"""

import numpy as np

from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.attackers.attack import FakeUsers
from recsim_env.simulators.log import Log


def inject(log: Log, fakes: FakeUsers, seed: int = 0) -> Log:
    """The log with the fake users behind the honest ones; the log itself where there are none.

    Args:
        log: of honest users, slates of one item that was clicked.
        fakes: see `fake_users`.
        seed: of the fake users' clocks.

    Raises:
        InputError: a log of slates, with other columns than these events can have, or with fewer users
            than there are fake ones.
    """
    if len(fakes.items) == 0:
        return log
    if log.slate.shape[1] != 1 or not log.clicked.all():
        raise InputError("fake users go into logs of interactions: slates of one item, all clicked")
    unknown = log.columns().keys() - {"user", "time", "slate", "clicked", "reward"}
    if unknown:
        raise InputError(f"fake users have no {', '.join(sorted(unknown))}: leave these columns out")
    honest, start = np.unique(log.user, return_index=True)
    if len(fakes.items) > len(honest):
        raise InputError(
            f"{len(fakes.items)} fake users are more than the {len(honest)} honest ones: lower the budget"
        )
    taken = fakes.items >= 0
    user = np.repeat(log.user[-1] + 1 + np.arange(len(taken)), taken.sum(axis=1))
    ends = np.append(start[1:], len(log)) - 1
    time = _clock(log.time[start], log.time[ends], taken.shape, seed)[taken]
    parts = {"user": user, "time": time, "slate": fakes.items[taken][:, None]}
    parts["clicked"] = np.ones((len(user), 1), np.bool_)
    if log.reward is not None:
        parts["reward"] = np.ones(len(user)) if fakes.ratings is None else fakes.ratings[taken]
    joined = {name: np.concatenate([column, parts[name]]) for name, column in log.columns().items()}
    return Log(**joined, metadata=log.metadata)


def _clock(first: Floats, last: Floats, shape: tuple[int, ...], seed: int) -> Floats:
    """Times (M, A) in order."""
    time = np.empty(shape)
    for m in range(shape[0]):
        rng = np.random.default_rng([seed, 3, m])
        like = rng.integers(len(first))
        time[m] = np.sort(rng.uniform(first[like], last[like], shape[1]))
    return time


def is_fake(user: Ints, honest: Log) -> Bools:
    """Which of these users (U,) of a poisoned log are fakes."""
    return user > honest.user[-1]
