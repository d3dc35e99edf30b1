"""The model of `cascade_dr`, fitted from the last slot to the first with any regressor.

    Q_k  regresses  y_k + sum_a pi(a | A_0 ... A_k) Q_{k+1}(x, A_0 ... A_k, a)  on  (x, A_0, ..., A_k)

so that Q_k is of the rewards from slot k down when pi fills the slots below k. Items enter as their numbers,
one column for each slot, which suits trees; for other regressors give features in `context` or another
model. It is fitted to the rows it predicts: use small trees, or fit on one half of the log and estimate on
the other.

Source: Kiyohara et al., WSDM 2022, section 3.1 (see `cascade_doubly_robust`). With the same regressor equal
to Open Bandit Pipeline 0.5.5.
"""

from copy import deepcopy
from typing import Any, Protocol

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError
from recsim_env.evaluation.off_policy.cross_fitting import check_features
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
    regressor: Regressor,
    *,
    context: Array | None = None,
) -> Floats:
    """(R, K, N) Q_k(x, A_0 ... A_{k-1}, a) of every item a at every slot, after what was shown above.

    Args:
        slate: (R, K) full.
        slot_reward: (R, K).
        slot_target: (R, K, N) pi(a | A_0 ... A_{k-1}), such as `plackett_luce_slot_prob`.
        regressor: copied for every slot, and left as it is.
        context: (R, D) what else is known of a row; None = nothing.

    Raises:
        InputError: bad input, named by row and slot.
    """
    (reward,) = check_slots(slot_reward=slot_reward)
    R, K = reward.shape
    if np.shape(slate) != reward.shape:
        raise InputError(f"slate must have the shape of slot_reward, {reward.shape}, got {np.shape(slate)}")
    target = check_slot_distribution("slot_target", slot_target, (R, K))
    N = target.shape[2]
    slate = check_slates(slate, N, full=True)
    known = check_features("context", context, R)
    q, rest = np.empty((R, K, N)), np.zeros(R)
    for k in range(K - 1, -1, -1):
        above = np.concatenate([known, slate[:, :k]], axis=1)
        model = deepcopy(regressor)
        model.fit(np.column_stack([above, slate[:, k]]), reward[:, k] + rest)
        options = np.column_stack([np.repeat(above, N, axis=0), np.tile(np.arange(N), R)])
        q[:, k] = np.asarray(model.predict(options)).reshape(R, N)
        rest = np.einsum("rn,rn->r", target[:, k], q[:, k])
    return q
