"""Profiles of targets and fillers, which most attackers differ in by one law.

    a fake user takes   the targets, what all fake users take, and fillers drawn without putting back from
                        the law q over items, so that A are taken; in random order
    a demotion          leaves the targets out, but for logs with ratings, where they are rated worst

With a budget of fewer items than the catalogue has, fillers come from as many, drawn from q once.
"""

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.attackers.attack import Budget, Goal, Knowledge


def draw_profiles(
    goal: Goal, budget: Budget, known: Knowledge, seed: int, *, law: Floats, always: Ints | None = None
) -> Ints:
    """Items (M, A) of every fake user.

    Args:
        goal: see `Goal`.
        budget: see `Budget`.
        known: see `Knowledge`.
        seed: of the draws; fake user m depends on it and on m alone.
        law: (N,) weights of fillers, 0 or more; targets are never fillers.
        always: (F,) items that every fake user takes, the first of them where there is no room for all.

    Raises:
        InputError: a budget without room for the targets, or too few items to choose from.
    """
    shown = goal.targets if not goal.demote or known.ratings is not None else goal.targets[:0]
    if budget.actions < len(shown):
        raise InputError(
            f"{budget.actions} actions have no room for {len(shown)} targets: raise actions, or name fewer"
        )
    fixed = np.empty(0, np.int64) if always is None else np.setdiff1d(always, goal.targets)
    if always is not None:
        fixed = always[np.isin(always, fixed)]  # in the order given
    places = budget.actions if budget.items is None else min(budget.actions, budget.items)
    fixed = np.concatenate([shown, fixed[: places - len(shown)]])
    weight = np.asarray(law, np.float64).copy()
    weight[goal.targets] = weight[fixed] = 0.0
    if budget.items is not None and budget.items - len(fixed) < np.count_nonzero(weight):
        pool = _drawn(weight, budget.items - len(fixed), np.random.default_rng([seed, 0]))
        weight = np.where(np.isin(np.arange(len(weight)), pool), weight, 0.0)
    fillers = min(budget.actions - len(fixed), int(np.count_nonzero(weight)))
    if budget.items is None and fillers < budget.actions - len(fixed):
        raise InputError(
            f"{budget.actions} actions need {budget.actions - len(fixed)} fillers, and there are {fillers}: "
            "lower actions"
        )
    rows = np.full((budget.users, budget.actions), -1)
    for m in range(budget.users):
        rng = np.random.default_rng([seed, 2, m])
        row = np.concatenate([fixed, _drawn(weight, fillers, rng)])
        rows[m, : len(row)] = rng.permutation(row)
    return rows


def _drawn(weight: Floats, count: int, rng: np.random.Generator) -> Ints:
    """So many items without putting back: those of the largest log weight + Gumbel noise."""
    with np.errstate(divide="ignore"):
        key = np.log(weight) + rng.gumbel(size=len(weight))
    return np.argsort(-key, kind="stable")[:count]
