"""SLOPE: which clip, threshold or shrinkage to take, without knowing the bias of any."""

import math
from collections.abc import Sequence

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate
from recsim_env.evaluation.off_policy.weights import check_weights

STRETCH = math.sqrt(6) - 1


def slope(candidates: Sequence[Estimate]) -> int:
    """The index of the candidate with the shortest interval that still agrees with all that are longer.

    Candidates are taken from the longest interval (least bias) to the shortest (most bias). With value V_i
    and half-length c_i, candidate i agrees if for all j before it

        |V_i - V_j| <= c_i + (sqrt(6) - 1) c_j,

    and the last before the first that does not is chosen. Its error is within a constant of the best
    candidate's if bias grows as length falls, which holds for clips, thresholds and shrinkages; the first
    candidate should have almost no bias. The constant is not small: where lengths differ little, the rule
    takes biases of several standard errors. `believable_slope` does not, if the log shows them. No interval
    holds that a choice was made.

    Args:
        candidates: one or more, of one policy on one log, in any order; the confidence of their intervals is
            that of the rule. Equal lengths keep their order.

    Raises:
        InputError: none, or one whose value or interval is not finite.

    Source: Su, Srinath and Krishnamurthy, "Adaptive estimator selection for off-policy evaluation", ICML
    2020; the constant is that of Tucker and Lee, "Improved estimator selection for off-policy evaluation",
    2021, as in the Open Bandit Pipeline.
    """
    if not candidates:
        raise InputError("candidates must hold one estimate or more")
    value = np.array([candidate.value for candidate in candidates], np.float64)
    half = np.array([(candidate.interval[1] - candidate.interval[0]) / 2 for candidate in candidates])
    bad = ~(np.isfinite(value) & np.isfinite(half))
    if bad.any():
        i = int(np.argmax(bad))
        raise InputError(f"candidates[{i}] = {candidates[i]} has no finite interval: more rows are needed")
    order = np.argsort(-half, kind="stable")
    for place in range(1, len(order)):
        i, before = order[place], order[:place]
        if (np.abs(value[i] - value[before]) > half[i] + STRETCH * half[before]).any():
            return int(order[place - 1])
    return int(order[-1])


def believable_slope(candidates: Sequence[Estimate]) -> int:
    """The index that `slope` takes among the candidates with the fewest warnings.

    Estimators of cut weights warn of a bias that the log shows or cannot exclude, uncut ones of too few
    effective rows: so weights are cut only where the uncut ones are not to be believed. Not of a paper: it is
    our remedy for the constant of `slope`. Its mean squared error was less than a tenth on 1,000 rows with
    mild weights, and the same on 100 rows with few heavy ones, where nothing is above suspicion
    (`tests/test_off_policy_choice.py`).

        clips = candidate_cuts(weight)
        estimates = [clipped_ips(reward, weight, clip=c) for c in clips]
        chosen = estimates[believable_slope(estimates)]

    Args, errors: as of `slope`.
    """
    fewest = min((len(candidate.warnings) for candidate in candidates), default=0)
    kept = [i for i, candidate in enumerate(candidates) if len(candidate.warnings) == fewest]
    return kept[slope([candidates[i] for i in kept])]


def candidate_cuts(weight: Array, count: int = 10) -> Floats:
    """Up to `count` clips or thresholds to choose from, evenly spread in logarithm.

    The first is the mean weight, the last the largest, which cuts nothing. Their squares are shrinkages of
    about the same reach; of these inf is the one that shrinks nothing.

    Args:
        weight: (R,) importance weights, not all 0.
        count: 2 or more.

    Raises:
        InputError: no weights, one that is negative or not finite, all of them 0, or a count below 2.
    """
    weight = check_weights(weight)
    if not weight.any():
        raise InputError("weight is 0 in all rows: there is nothing to cut")
    if count < 2:
        raise InputError(f"count must be 2 or more, got {count}")
    return np.unique(np.geomspace(weight.mean(), weight.max(), count))
