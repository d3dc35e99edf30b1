"""Deep poisoning (DP): fillers are what a recommender in which the attack has won would show a fake user.

    for fake user v = 1..M:
        f   = surrogate of the honest log, of the fake users before v and of v with the targets alone, where
              a share `converted` of honest users, drawn evenly, are made to take the targets as well
        r_i = sigmoid((f_vi - mean of f_v) / deviation of f_v),   f_v = scores after v's targets
        fillers of v = the A - T items of the largest r_i x rho_i that are not targets
        rho_i <- .9 rho_i for them;   rho <- 1 once all fillers have rho < 1

f is what the paper calls a poison model, rho its selection probabilities, 1 at first: without them all fake
users would take the same. Fake user v is the same whatever M.

Knowledge: white, any surrogate; promotes only. Source: Huang and others, "Data poisoning attacks to deep
learning based recommender systems", NDSS 2021.
Ours: the paper's poison model minimises a loss that lifts the target over the K-th best item of every user,
which needs gradients; a surrogate here has `fit` and `scores`, so its log says that honest users have taken
the targets, all of them unless `converted` is less. All T targets are taken by each fake user, the paper has
one. The surrogate is trained anew for every `retrain_every` fake users, by the paper for each. Scores are
brought to (0, 1), where the paper's are, by a sigmoid.
"""

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError, check_ranges
from recsim_env.simulators.attackers.attack import Budget, Goal, Knowledge
from recsim_env.simulators.attackers.surrogates import honest_users, item_scores, trained

DECAY = 0.9  # of the paper


class DeepPoisoningAttacker:
    """See the module.

    Args:
        converted: share of honest users, from 0 to 1; 0 = the surrogate is no poison model.
        retrain_every: fake users to a training, 1 or more.

    Raises:
        InputError: a number out of range; `profiles`: a demotion, no log or surrogate, or a budget without
            room for the targets.
    """

    def __init__(self, *, converted: float = 1.0, retrain_every: int = 10) -> None:
        check_ranges({"retrain_every": retrain_every}, {"converted": converted}, {})
        self.converted, self.retrain_every = converted, retrain_every

    def profiles(self, goal: Goal, budget: Budget, known: Knowledge, seed: int) -> Ints:
        """See `Attacker`."""
        known.need("DeepPoisoningAttacker", "log", "surrogate")
        if goal.demote:
            raise InputError("DeepPoisoningAttacker promotes only: demote with LearnedAttacker")
        T, A = len(goal.targets), budget.actions
        if A < T:
            raise InputError(f"{A} actions have no room for {T} targets: raise actions, or name fewer")
        rows = np.full((budget.users, A), -1)
        rho, others = np.ones(known.num_items), np.setdiff1d(np.arange(known.num_items), goal.targets)
        touched = np.isin(np.arange(known.num_items), goal.targets)
        for v in range(budget.users):
            if v % self.retrain_every == 0:
                r = self._wanted(rows[:v], goal, known, seed, v)
            order = others[np.argsort(-r[others] * rho[others], kind="stable")]
            if budget.items is not None:
                new = ~touched[order]
                order = order[~new | (np.cumsum(new) <= budget.items - touched.sum())]
            fillers = order[: A - T]
            touched[fillers] = True
            rho[fillers] *= DECAY
            if (rho[others] < 1.0).all():
                rho[:] = 1.0
            row = np.append(goal.targets, fillers)
            rows[v, : len(row)] = np.random.default_rng([seed, 2, v]).permutation(row)
        return rows

    def _wanted(self, before: Ints, goal: Goal, known: Knowledge, seed: int, v: int) -> Floats:
        """The r (N,) of fake user v behind others (v, A)."""
        alone = np.full((1, before.shape[1]), -1)
        alone[0, : len(goal.targets)] = goal.targets
        users = honest_users(known)
        converts = np.random.default_rng([seed, 7, v]).permutation(users)[
            : round(self.converted * len(users))
        ]
        surrogate = trained(self, np.concatenate([before, alone]), goal, known, seed, converts)
        scores = item_scores(surrogate, goal.targets[None], known)[0].astype(np.float64)
        far = (scores - scores.mean()) / max(float(scores.std()), 1e-300)
        return np.asarray(1.0 / (1.0 + np.exp(-far)))
