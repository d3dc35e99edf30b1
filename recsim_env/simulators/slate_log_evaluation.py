"""What a policy of slates would earn, from a `Log`: the estimators of slates in one call, side by side."""

from typing import Any

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate, Interval, mean_of
from recsim_env.evaluation.off_policy import (
    cascade_dr,
    draw_folds,
    fit_cascade_q,
    iips,
    prefix_weights,
    q_of_log,
    rips,
    sips,
    slate_weights,
    sniips,
    snrips,
    snsips,
)
from recsim_env.evaluation.off_policy.slots import check_slates, check_slot_distribution
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_evaluation import OffPolicyValues

LOST = 0.01  # share of what the evaluated policy shows that the log may lack by chance
NAMED = 10  # items named in a refusal


def slate_off_policy_values(
    log: Log,
    slot_log_target: Array | None = None,
    *,
    slot_target: Array | None = None,
    position_weight: Array | None = None,
    slot_reward: Array | None = None,
    model: Any = None,
    context: Array | None = None,
    folds: int = 3,
    seed: int = 0,
    interval: Interval | None = None,
    by_user: bool = True,
) -> OffPolicyValues:
    """The mean reward per slate that a policy would earn, by the estimators that what is given allows.

    Which to believe is a question of how users look at a list. `sips` and `snsips` hold for any user, `rips`,
    `snrips` and `cascade_dr` if what is below a slot does not matter for it, `iips` and `sniips` if no other
    slot does. Where the last disagree with the others beyond their errors, users are not like that; the
    warnings cannot know it.

    Args:
        log: with slot_log_propensity; a slot may be empty, except for cascade_dr.
        slot_log_target: (R, K) log-probability of the item at each slot under the evaluated policy, given
            those above it: `log_propensities` of the policies that make logs. For sips, rips and their
            self-normalised forms.
        slot_target: (R, K, N) in its place, the same of all items, such as `plackett_luce_slot_prob`. It adds
            cascade_dr, and lets a policy be refused that shows what the log never does.
        position_weight: (R, K) of `position_weights`; adds iips and sniips.
        slot_reward: (R, K), 0 in empty slots; None = clicks.
        model: of the rewards, for cascade_dr, cross-fitted by `fit_cascade_q`; None = means by item and slot.
        context: (R, D) features for the model.
        folds: of the cross-fitting, the rows of a user in one.
        seed: of the folds.
        interval: how intervals are made; `Normal()` if None.
        by_user: the rows of a user belong together; False = all rows are independent.

    Raises:
        InputError: no rows; no slot_log_propensity in the log; neither or both of slot_log_target and
            slot_target; a policy of which more than 1 % is items that the log never shows, naming them; and
            what the estimators raise, naming row and slot.
    """
    if not len(log):
        raise InputError("log must hold a row or more, got none")
    slot_log_logging = log.require("slot_log_propensity")
    reward = log.clicked.astype(np.float64) if slot_reward is None else slot_reward
    target = None if slot_target is None else _checked_target(log, slot_target)
    if target is None and slot_log_target is not None:
        log_target = slot_log_target
    elif target is not None and slot_log_target is None:
        shown = np.take_along_axis(target, log.slate[:, :, None], axis=2)[:, :, 0]
        with np.errstate(divide="ignore"):  # log 0 is right: the evaluated policy never does that
            log_target = np.log(np.minimum(shown, 1.0))
    else:
        raise InputError("give slot_log_target, or slot_target in its place to have cascade_dr too")
    of_slate = slate_weights(log_target, slot_log_logging, slate=log.slate)
    of_prefix = prefix_weights(log_target, slot_log_logging, slate=log.slate)
    groups = log.user if by_user else None
    options: dict[str, Any] = {"interval": interval, "groups": groups}
    found: dict[str, Estimate] = {
        "sips": sips(reward, of_slate, **options),
        "snsips": snsips(reward, of_slate, **options),
        "rips": rips(reward, of_prefix, **options),
        "snrips": snrips(reward, of_prefix, **options),
    }
    if position_weight is not None:
        found["iips"] = iips(reward, position_weight, **options)
        found["sniips"] = sniips(reward, position_weight, **options)
    if target is not None:
        fold = draw_folds(len(log), folds, seed=seed, groups=groups)
        q = fit_cascade_q(log.slate, reward, target, model, context=context, fold=fold)
        found["cascade_dr"] = cascade_dr(reward, of_prefix, *q_of_log(q, target, log.slate), **options)
    return OffPolicyValues(found, mean_of(np.sum(reward, axis=1), groups=groups))


def _checked_target(log: Log, slot_target: Array) -> Floats:
    """(R, K, N) the probabilities, of items that the log shows."""
    R, K = log.slate.shape
    target = check_slot_distribution("slot_target", slot_target, (R, K))
    N = target.shape[2]
    slate = check_slates(log.slate, N, full=True)
    share = target.mean(axis=(0, 1))
    share[np.bincount(slate.ravel(), minlength=N) > 0] = 0.0
    if share.sum() > LOST:
        lost = np.argsort(-share, kind="stable")[: np.count_nonzero(share)]
        more = f" and {len(lost) - NAMED} more" if len(lost) > NAMED else ""
        raise InputError(
            f"slot_target has no support in the log, which never shows items "
            f"{', '.join(map(str, lost[:NAMED]))}{more}: {share.sum():.2%} of what the evaluated policy "
            "shows; evaluate a policy without them, or log with one that shows them"
        )
    return target
