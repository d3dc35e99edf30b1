"""Replay: the mean reward of the rows in which the log's policy happened to do as the evaluated one."""

from dataclasses import replace

import numpy as np
from scipy.special import chdtrc

from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError, refuse
from recsim_env.evaluation.intervals import Estimate, Interval, ratio_of
from recsim_env.evaluation.off_policy.rows import check_actions, check_rows
from recsim_env.evaluation.off_policy.weights import with_diagnostics

UNEVEN = 1e-4  # probability of counts so uneven under uniform logging, below which it is not believed


def replay(
    reward: Array,
    action: Array,
    target_action: Array,
    *,
    propensity: Array | None = None,
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """V = sum_i 1[a_i = b_i] r_i / sum_i 1[a_i = b_i], with b_i the action of the evaluated policy.

    For deterministic policies and logs of a uniformly random one: then every matching row weighs the same,
    1 / propensity. Where the propensities of matching rows differ, contexts in which the log's policy seldom
    does b count too little: that is a warning, and `snips` is the estimator to take. It averages over about
    R / A rows.

    Args:
        reward: (R,) finite.
        action: (R,) integers, what the log's policy did.
        target_action: (R,) integers, what the evaluated policy does in the same rows.
        propensity: (R,) of `action` under the log's policy, in (0, 1]; if None, uniform logging is judged
            by the counts of actions alone, which does not see a policy that depends on the context.
        interval: as of `ips`; empirical Bernstein intervals are not for ratios.
        groups: as of `ips`.

    Raises:
        InputError: probabilities in place of target actions; shapes that differ; no row in which the two
            agree; a propensity outside (0, 1], or a reward that is not finite, naming the row.

    Source: Li, Chu, Langford and Wang, "Unbiased offline evaluation of contextual-bandit-based news article
    recommendation algorithms", WSDM 2011.
    """
    (reward,) = check_rows(reward=reward)
    target = np.asarray(target_action)
    if target.shape != reward.shape or target.dtype.kind not in "iu":
        raise InputError(
            f"target_action must hold the one action per row of a deterministic policy, integers of shape "
            f"{reward.shape}, got {target.dtype} of {target.shape}: replay has no value for a policy that "
            "draws its actions, use ips or snips with its probabilities"
        )
    action = check_actions("action", action, len(reward))
    match = (action == check_actions("target_action", target, len(reward))).astype(np.float64)
    if not match.any():
        raise InputError(
            "target_action never equals action: no row of the log shows what the evaluated policy does"
        )
    estimate = ratio_of(match * reward, match, interval=interval, groups=groups)
    estimate = with_diagnostics(estimate, match / match.mean())
    doubt = _doubt_by_counts(action) if propensity is None else _doubt(propensity, match)
    return replace(estimate, warnings=(*estimate.warnings, *doubt))


def _doubt(propensity: Array, match: Array) -> list[str]:
    propensity, _ = check_rows(propensity=propensity, match=match)
    refuse("propensity", ~((propensity > 0) & (propensity <= 1)), propensity, "it must be in (0, 1]")
    low, high = propensity[match > 0].min(), propensity[match > 0].max()
    if high - low <= 1e-6 * high:
        return []
    return [
        f"matching rows have propensities from {low:.3g} to {high:.3g}: replay needs a uniformly random log"
    ]


def _doubt_by_counts(action: Ints) -> list[str]:
    count = np.unique(action, return_counts=True)[1]
    expected = len(action) / len(count)
    chi_square = float(((count - expected) ** 2).sum() / expected)
    if chdtrc(max(len(count) - 1, 1), chi_square) >= UNEVEN:
        return []
    return [
        f"the log shows some actions {count.min()} times and some {count.max()}, so its policy was not "
        "uniformly random, as replay needs it"
    ]
