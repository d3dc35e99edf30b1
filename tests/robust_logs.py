"""A small log with groups of taste, and attacks on it, that the tests of defences share."""

import numpy as np

from recsim_env.simulators.attackers.attack import Budget, Goal, fake_users, known
from recsim_env.simulators.attackers.injection import inject, is_fake
from recsim_env.simulators.log import Log

N, GROUPS, USERS = 600, 8, 600
GOAL = Goal(np.array([595, 597, 599]))


def honest(users=USERS, seed=0):
    """Users of eight tastes, who take what is popular among their items, without repeats."""
    rng = np.random.default_rng(seed)
    weight = 1.0 / (5 + np.arange(N // GROUPS))
    rows = []
    for u in range(users):
        mine = np.arange(u % GROUPS, N, GROUPS)
        chance = 0.02 * weight.sum() / len(weight) * np.ones(N)
        chance[mine] += weight
        rows.append(rng.choice(N, rng.integers(5, 13), replace=False, p=chance / chance.sum()))
    user = np.repeat(np.arange(users) * 2, [len(row) for row in rows])
    return Log.from_interactions(user, np.concatenate(rows), np.arange(len(user)))


def attacked(attacker, log, *, users=9, actions=9, seed=3):
    """The log with fakes, and which of its users they are."""
    fakes = fake_users(attacker, GOAL, Budget(users, actions), known("grey", log, N), seed)
    both = inject(log, fakes, seed)
    return both, is_fake(np.unique(both.user), log)
