"""The model of `cascade_dr`, fitted from the last slot to the first with any regressor.

    Q_k  regresses  y_k + sum_a pi(a | A_0 ... A_k) Q_{k+1}(x, A_0 ... A_k, a)  on  (x, A_0, ..., A_k)

so that Q_k is of the rewards from slot k down when pi fills the slots below k. Items enter as their numbers,
one column for each slot, which suits trees; for other regressors give features in `context` or another
model. With `fold` a row is predicted by a chain of models of the other folds, as the unbiasedness of
`cascade_dr` wants it; without, all models are fitted to the rows that they predict: use small ones then.

Source: Kiyohara et al., WSDM 2022, section 3.1 (see `cascade_doubly_robust`). With the same regressor equal
to Open Bandit Pipeline 0.5.5.
"""

from copy import deepcopy
from typing import Any, Protocol

import numpy as np

from recsim_env.arrays import Array, Bools, Floats
from recsim_env.errors import InputError
from recsim_env.evaluation.off_policy.cross_fitting import check_features, mean_rewards
from recsim_env.evaluation.off_policy.rows import check_actions
from recsim_env.evaluation.off_policy.slots import check_slates, check_slot_distribution, check_slots


class Regressor(Protocol):
    """What scikit-learn's regressors are."""

    def fit(self, features: Any, target: Any) -> Any:
        """Learn from (R, D) and (R,)."""

    def predict(self, features: Any) -> Any:
        """(R,) of (R, D)."""


def fit_cascade_q(
    slate: Array,
    slot_reward: Array,
    slot_target: Array,
    regressor: Regressor | None = None,
    *,
    context: Array | None = None,
    fold: Array | None = None,
) -> Floats:
    """(R, K, N) Q_k(x, A_0 ... A_{k-1}, a) of every item a at every slot, after what was shown above.

    Args:
        slate: (R, K) full.
        slot_reward: (R, K).
        slot_target: (R, K, N) pi(a | A_0 ... A_{k-1}), such as `plackett_luce_slot_prob`.
        regressor: copied for every slot, and left as it is; None = the mean of what is regressed over the
            rows with this item at this slot, over all rows where there is none.
        context: (R, D) what else is known of a row, for the regressor; None = nothing.
        fold: (R,) integers, two or more different, from `draw_folds`; None = no cross-fitting.

    Raises:
        InputError: bad input, named by row and slot; a single fold; a context without a regressor.
    """
    (reward,) = check_slots(slot_reward=slot_reward)
    R, K = reward.shape
    if np.shape(slate) != reward.shape:
        raise InputError(f"slate must have the shape of slot_reward, {reward.shape}, got {np.shape(slate)}")
    target = check_slot_distribution("slot_target", slot_target, (R, K))
    N = target.shape[2]
    slate = check_slates(slate, N, full=True)
    if regressor is None and context is not None:
        raise InputError("context needs a regressor: give one in the manner of scikit-learn's")
    known = check_features("context", context, R)
    q = np.empty((R, K, N))
    for train, test in _splits(fold, R):
        rest: Floats = np.zeros(R)
        for k in range(K - 1, -1, -1):
            wanted = reward[train, k] + rest[train]
            if regressor is None:
                found = np.broadcast_to(mean_rewards(wanted, slate[train, k], N), (R, N))
            else:
                above = np.concatenate([known, slate[:, :k]], axis=1)
                model = deepcopy(regressor)
                model.fit(np.column_stack([above, slate[:, k]])[train], wanted)
                options = np.column_stack([np.repeat(above, N, axis=0), np.tile(np.arange(N), R)])
                found = np.asarray(model.predict(options)).reshape(R, N)
            rest = np.einsum("rn,rn->r", target[:, k], found)
            q[test, k] = found[test]
    return q


def _splits(fold: Array | None, rows: int) -> list[tuple[Bools, Bools]]:
    """Which rows teach, and which are predicted."""
    if fold is None:
        return [(np.ones(rows, np.bool_), np.ones(rows, np.bool_))]
    fold = check_actions("fold", fold, rows)
    names = np.unique(fold)
    if len(names) < 2:
        raise InputError("fold must hold two or more different folds: a row must not judge what it taught")
    return [(fold != f, fold == f) for f in names]
