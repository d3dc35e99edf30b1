"""Standard inverse propensity scoring of slates: the whole slate is one action.

    sips     v = 1/R sum_r w_r sum_k y_{r,k}             w_r the weight of the slate (`slate_weights`)
    snsips   v = sum_r w_r sum_k y_{r,k} / sum_r w_r

with y_{r,k} the reward of slot k. It makes no assumption about the user: unbiased whatever rewards depend
on, if the log's policy can show every slate that the evaluated one can. The price is variance: w is a
product of K ratios and its variance grows like that of N! / (N - K)! actions. The self-normalised form is
biased for few rows, consistent, and stays within the range of the rewards.

Source: McInerney, Brost, Chandar, Mehrotra, Carterette, "Counterfactual Evaluation of Slate Recommendations
with Sequential Reward Interactions", KDD 2020, equation 1. Equal to Open Bandit Pipeline 0.5.5.
"""

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate, Interval, mean_of, ratio_of
from recsim_env.evaluation.off_policy.slots import check_slate_rewards
from recsim_env.evaluation.off_policy.weights import check_weights, with_diagnostics


def sips(
    reward: Array,
    slate_weight: Array,
    *,
    clipped: bool = False,
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """The mean over slates of weight times reward.

    Args:
        reward: (R, K) of slots, 0 in empty ones, or (R,) of slates.
        slate_weight: (R,) from `slate_weights`.
        clipped: whether the weights were clipped.
        interval: `Normal()` if None.
        groups: (R,) whose each row is; None = all rows are independent.

    Returns:
        The expected reward of a slate.

    Raises:
        InputError: bad input, named by row and slot.
    """
    reward, weight = _checked(reward, slate_weight)
    return with_diagnostics(
        mean_of(weight * reward, interval=interval, groups=groups), weight, clipped=clipped
    )


def snsips(
    reward: Array,
    slate_weight: Array,
    *,
    clipped: bool = False,
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """The weighted mean. Arguments and errors as `sips`, and weights that are all 0 are refused."""
    reward, weight = _checked(reward, slate_weight)
    estimate = ratio_of(weight * reward, weight, interval=interval, groups=groups)
    return with_diagnostics(estimate, weight, clipped=clipped)


def _checked(reward: Array, slate_weight: Array) -> tuple[Floats, Floats]:
    reward, weight = check_slate_rewards(reward), check_weights(slate_weight)
    if len(weight) != len(reward):
        raise InputError(f"slate_weight must have {len(reward)} rows as reward has, got {len(weight)}")
    return reward, weight
